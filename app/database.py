"""The connection to PostgreSQL, from the environment."""

import os
from collections.abc import Iterator

from sqlalchemy import URL, Engine, create_engine, text
from sqlalchemy.orm import Session, sessionmaker

# The migration that this version of the code needs at least.
SCHEMA = "003"


def url() -> URL:
    """The database's address: PGHOST and its like, as libpq names them."""
    return URL.create(
        "postgresql+psycopg",
        username=os.environ.get("PGUSER", "postgres"),
        password=os.environ.get("PGPASSWORD"),
        host=os.environ.get("PGHOST", "localhost"),
        port=int(os.environ.get("PGPORT", "5432")),
        database=os.environ.get("PGDATABASE", "mydb"),
    )


# All pods together, also while a rollout runs the old and the new ones, stay
# below PostgreSQL's 100 connections: 9 + 5 more + a canary, each with these at most.
engine: Engine = create_engine(url(), pool_pre_ping=True, pool_size=5, max_overflow=0, pool_timeout=5, connect_args={"connect_timeout": 5})
sessions = sessionmaker(engine, expire_on_commit=False)


def session() -> Iterator[Session]:
    """A session for one request."""
    with sessions() as open_session:
        yield open_session


def schema_version() -> str:
    """The newest migration that was applied, as its file's number; empty where there is none."""
    with engine.connect() as connection:
        version = connection.execute(text("SELECT max(version) FROM schema_migrations")).scalar()
    return str(version or "").split("_")[0]
