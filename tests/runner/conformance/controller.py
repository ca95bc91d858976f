"""The runner as one process for many builds, which can be killed as a Jenkins controller can."""

import subprocess
import threading
import time
from pathlib import Path

RUN = Path(__file__).parent.parent / "run"


class Controller:
    """Starts on first use; answers are waited for by the build's folder. Several cases may share one."""

    def __init__(self, folder: Path, shared: bool) -> None:
        self.errors = (folder / "controller.log").open("a")
        self.shared = shared
        self.process: subprocess.Popen[str] | None = None
        self.changed = threading.Condition()
        self.began: set[str] = set()
        self.ended: dict[str, str] = {}
        self.failed: dict[str, str] = {}  # by the job's folder, as refused
        self.refused: set[str] = set()

    def start(self) -> subprocess.Popen[str]:
        """The process, started where it does not run."""
        with self.changed:
            if self.process is None:
                pipe = subprocess.PIPE
                self.process = subprocess.Popen([RUN, "--controller"], stdin=pipe, stdout=pipe, stderr=self.errors, text=True)
                threading.Thread(target=self.read, args=(self.process,), daemon=True).start()
            return self.process

    def read(self, process: subprocess.Popen[str]) -> None:
        """Notes what the process says."""
        assert process.stdout is not None
        for line in process.stdout:
            words = line.rstrip("\n").split(" ", 2)
            with self.changed:
                if words[0] == "began":
                    self.began.add(words[1])
                elif words[0] == "ended":
                    self.ended[words[1]] = words[2]
                elif words[0] == "refused":
                    self.refused.add(words[1])
                elif words[0] == "failed":
                    self.failed[words[1]] = line.strip()
                self.changed.notify_all()

    def build(self, options: list[str]) -> None:
        """Starts a build, or resumes one."""
        process = self.start()
        assert process.stdin is not None
        with self.changed:
            process.stdin.write("\t".join(options) + "\n")
            process.stdin.flush()

    def started(self, build: Path, seconds: float) -> bool:
        """False where the build was refused; one that has not begun within that time is queued."""
        job = str(build.parent)
        with self.changed:
            self.changed.wait_for(lambda: str(build) in self.began or job in self.refused or job in self.failed, seconds)
            refused = job in self.refused
            self.refused.discard(job)
            return not refused

    def problem(self, job: Path) -> str:
        """What failed of this job, once; empty where nothing did."""
        with self.changed:
            return self.failed.pop(str(job), "")

    def wait(self, build: Path, until: float) -> str:
        """Empty when the build has ended, else why not."""
        with self.changed:
            while str(build) not in self.ended:
                failed = self.failed.pop(str(build.parent), "")
                if failed:
                    return failed
                if not self.changed.wait(max(0, until - time.monotonic())):
                    return f"{build.name} does not end"
        return ""

    def kill(self) -> None:
        """As if the machine had lost its power."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def give_up(self) -> None:
        """A case cannot be played on: its builds may run for ever, and others' are let alone."""
        if not self.shared:
            self.kill()

    def close(self) -> None:
        """Ends the process."""
        self.kill()
        self.errors.close()
