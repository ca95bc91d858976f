"""A real PostgreSQL for the service's tests: the one that PGHOST names, as in the pipeline, or one of its own, from Debian's package."""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

PROGRAMS = Path("/usr/lib/postgresql/15/bin")
ROOT = Path(__file__).parents[2]


def _as_postgres() -> None:
    account = pwd.getpwnam("postgres")
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)


def _run(*command: str) -> None:
    demote = _as_postgres if os.geteuid() == 0 else None
    subprocess.run(command, check=True, preexec_fn=demote, cwd="/", stdout=subprocess.DEVNULL)


def _connect() -> psycopg.Connection[tuple[object, ...]]:
    deadline = time.monotonic() + 60
    while True:
        try:
            return psycopg.connect(autocommit=True)
        except psycopg.OperationalError:  # it starts beside the tests
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _migrate() -> None:
    # All of a file goes in one statement here, and in such a one PostgreSQL builds no index concurrently.
    with _connect() as connection:
        for migration in sorted((ROOT / "migrations").glob("*.sql")):
            connection.execute(migration.read_bytes().replace(b" CONCURRENTLY", b""))
        connection.execute("CREATE TABLE schema_migrations (version text PRIMARY KEY)")
        connection.execute("INSERT INTO schema_migrations VALUES ('003')")


@pytest.fixture(scope="session", autouse=True)
def postgres() -> Iterator[None]:
    """An empty database, migrated to the newest schema."""
    if "PGHOST" in os.environ:
        _migrate()
        yield
    else:
        yield from _own()


def _own() -> Iterator[None]:
    """A server on a socket in a folder that goes with it."""
    folder = Path(tempfile.mkdtemp(prefix="app-tests-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    data = str(folder / "data")
    _run(str(PROGRAMS / "initdb"), "-D", data, "-U", "app", "-A", "trust", "--no-sync")
    options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
    _run(str(PROGRAMS / "pg_ctl"), "-D", data, "-o", options, "-l", f"{folder}/log", "-w", "start")
    try:
        os.environ.update(PGHOST=str(folder), PGUSER="app", PGDATABASE="postgres")
        _migrate()
        yield
    finally:
        _run(str(PROGRAMS / "pg_ctl"), "-D", data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder)
