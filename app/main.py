"""The reference service: users, and what an operator asks a service."""

import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app import crud, database
from app.models import User, UserIn, UserOut

# A caller can invent methods; each label's value is a time series that stays.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
VERSION = os.environ.get("APP_VERSION", "development")
COMMIT = os.environ.get("APP_COMMIT", "unknown")

REQUESTS = Counter("http_requests_total", "Requests answered.", ["method", "route", "status"])
LATENCY = Histogram(
    "http_request_duration_seconds",
    "Time from a request to its answer.",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
Gauge("app_build_info", "Which build runs here.", ["version", "commit"]).labels(VERSION, COMMIT).set(1)


class Draining:
    """Whether this process was asked to end: it then says that it is not ready, and goes on answering."""

    asked = False


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Turn the readiness off as soon as SIGTERM comes; uvicorn then drains."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread is told of signals
        return
    before = signal.getsignal(signal.SIGTERM)

    def drain(number: int, frame: object) -> None:
        Draining.asked = True
        if callable(before):
            before(number, frame)  # type: ignore[arg-type]

    signal.signal(signal.SIGTERM, drain)
    yield


app = FastAPI(title="users", version=VERSION, lifespan=lifespan)
Database = Annotated[Session, Depends(database.session)]


@app.middleware("http")
async def measure(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
    """Count and time each request by the route's pattern, never by its path."""
    start, status = time.perf_counter(), 500
    try:
        response = await answer(request)
        status = response.status_code
        response.headers["X-Version"] = VERSION
        return response
    finally:
        route = getattr(request.scope.get("route"), "path", "none")
        method = request.method if request.method in METHODS else "other"
        if route not in ("/metrics", "/healthz", "/readyz"):
            REQUESTS.labels(method, route, str(status)).inc()
            LATENCY.labels(method, route).observe(time.perf_counter() - start)


@app.get("/healthz")
def healthz() -> dict[str, str]:
    """The process lives."""
    return {"status": "ok"}


@app.get("/readyz")
def readyz(response: Response) -> dict[str, str]:
    """The database answers, on a schema that this version works with."""
    reason = "draining"
    if not Draining.asked:
        try:
            schema = database.schema_version()
        except SQLAlchemyError as error:
            reason = f"the database does not answer: {type(error).__name__}"
        else:
            if schema >= database.SCHEMA:
                return {"status": "ok", "schema": schema}
            reason = f"the schema is at {schema or 'nothing'}, this version needs {database.SCHEMA}"
    response.status_code = 503
    return {"status": reason}


@app.get("/version")
def version() -> dict[str, str]:
    """Which build answers."""
    return {"version": VERSION, "commit": COMMIT}


@app.get("/metrics")
def metrics() -> Response:
    """For Prometheus."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def found(user_id: int, session: Database) -> User:
    """The user of the path, or 404."""
    user = crud.get(session, user_id)
    if user is None:
        raise HTTPException(404, f"there is no user {user_id}")
    return user


Found = Annotated[User, Depends(found)]


@app.post("/users", status_code=201, response_model=UserOut)
def create(given: UserIn, session: Database) -> User:
    """Make a user."""
    try:
        return crud.create(session, given)
    except crud.Taken as taken:
        raise HTTPException(409, f"the address {taken} is taken") from taken


@app.get("/users", response_model=list[UserOut])
def page(
    session: Database,
    after: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> object:
    """List users by id; the last one's id is the next page's `after`."""
    return crud.page(session, after, limit)


@app.get("/users/{user_id}", response_model=UserOut)
def read(user: Found) -> User:
    """Read a user."""
    return user


@app.put("/users/{user_id}", response_model=UserOut)
def update(user: Found, given: UserIn, session: Database) -> User:
    """Change a user."""
    try:
        return crud.update(session, user, given)
    except crud.Taken as taken:
        raise HTTPException(409, f"the address {taken} is taken") from taken


@app.delete("/users/{user_id}", status_code=204)
def delete(user: Found, session: Database) -> None:
    """Remove a user."""
    crud.delete(session, user)
