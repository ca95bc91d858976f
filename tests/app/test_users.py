"""What a caller sees of the users."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text


@pytest.fixture
def client() -> Iterator[TestClient]:
    from app import database
    from app.main import app

    with database.engine.begin() as connection:
        connection.execute(text("TRUNCATE users RESTART IDENTITY"))
    with TestClient(app) as opened:
        yield opened


def add(client: TestClient, email: str = "ada@example.com") -> int:
    answer = client.post("/users", json={"email": email, "name": "Ada"})
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


def test_a_user_is_made_read_changed_and_removed(client: TestClient) -> None:
    user = add(client)
    assert client.get(f"/users/{user}").json()["email"] == "ada@example.com"
    changed = client.put(f"/users/{user}", json={"email": "ada@example.org", "name": "Ada L."})
    assert (changed.status_code, changed.json()["name"]) == (200, "Ada L.")
    assert client.delete(f"/users/{user}").status_code == 204
    assert client.get(f"/users/{user}").status_code == 404


def test_pages_follow_one_another(client: TestClient) -> None:
    made = [add(client, f"u{number}@example.com") for number in range(5)]
    first = client.get("/users", params={"limit": 3}).json()
    second = client.get("/users", params={"limit": 3, "after": first[-1]["id"]}).json()
    assert [user["id"] for user in first + second] == made


def test_an_address_belongs_to_one_user(client: TestClient) -> None:
    add(client)
    other = add(client, "bob@example.com")
    again = {"email": "ada@example.com", "name": "Eve"}
    assert client.post("/users", json=again).status_code == 409
    assert client.put(f"/users/{other}", json=again).status_code == 409


@pytest.mark.parametrize("given", [{}, {"email": "nobody", "name": "x"}, {"email": "a@b", "name": ""}])
def test_what_makes_no_sense_is_refused(client: TestClient, given: dict[str, str]) -> None:
    assert client.post("/users", json=given).status_code == 422


def test_readiness_needs_the_schema_and_ends_with_the_drain(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    from app import database, main

    assert client.get("/readyz").status_code == 200
    monkeypatch.setattr(database, "SCHEMA", "999")
    assert "needs 999" in client.get("/readyz").json()["status"]
    monkeypatch.setattr(database, "SCHEMA", "001")
    monkeypatch.setattr(main.Draining, "asked", True)
    assert client.get("/readyz").status_code == 503
    assert client.get("/healthz").status_code == 200


def test_metrics_count_by_route_and_status(client: TestClient) -> None:
    add(client)
    client.get("/users/4711")
    body = client.get("/metrics").text
    assert 'http_requests_total{method="GET",route="/users/{user_id}",status="404"}' in body
    assert "app_build_info{" in body


def test_what_a_caller_invents_makes_no_time_series(client: TestClient) -> None:
    def series() -> int:
        return len(client.get("/metrics").text.splitlines())

    paths = ("/users", "/users/1", "/version", "/nowhere", "/metrics")
    for path in paths:
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "MADE-UP"):
            client.request(method, path)
    before = series()
    for number in range(300):
        client.request(f"M{number}", paths[number % len(paths)])
    for number in range(20):
        client.get(f"/nowhere/{number}")
        client.get("/users", params={"limit": number, f"p{number}": ""}, headers={"Host": f"h{number}.example", "User-Agent": str(number)})
    assert series() <= before + 20  # /users with a limit that is refused: one status, once


def test_the_version_is_told(client: TestClient) -> None:
    answer = client.get("/version")
    assert answer.headers["X-Version"] == answer.json()["version"]
