"""A real PostgreSQL of its own for the service's tests, from Debian's package."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

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


@pytest.fixture(scope="session", autouse=True)
def postgres() -> Iterator[None]:
    """A server on a socket in a folder that goes with it, migrated to the newest schema."""
    folder = Path(tempfile.mkdtemp(prefix="app-tests-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    data = str(folder / "data")
    _run(str(PROGRAMS / "initdb"), "-D", data, "-U", "app", "-A", "trust", "--no-sync")
    options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
    _run(str(PROGRAMS / "pg_ctl"), "-D", data, "-o", options, "-l", f"{folder}/log", "-w", "start")
    try:
        os.environ.update(PGHOST=str(folder), PGUSER="app", PGDATABASE="postgres")
        for migration in sorted((ROOT / "migrations").glob("*.sql")):
            _run("psql", "-h", str(folder), "-U", "app", "-d", "postgres", "-q", "-v", "ON_ERROR_STOP=1", "-f", str(migration))
        _run("psql", "-h", str(folder), "-U", "app", "-d", "postgres", "-q", "-c",
             "CREATE TABLE schema_migrations (version text PRIMARY KEY); INSERT INTO schema_migrations VALUES ('003')")
        yield
    finally:
        _run(str(PROGRAMS / "pg_ctl"), "-D", data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder)
