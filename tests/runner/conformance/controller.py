"""The runner as one process for many builds, which can be killed as a Jenkins controller can."""

import subprocess
import threading
import time
from pathlib import Path

RUN = Path(__file__).parent.parent / "run"


class Controller:
    """Starts on first use; answers are waited for by the build's folder."""

    def __init__(self, folder: Path) -> None:
        self.errors = (folder / "controller.log").open("a")
        self.process: subprocess.Popen[str] | None = None
        self.changed = threading.Condition()
        self.began: set[str] = set()
        self.ended: dict[str, str] = {}
        self.failed: list[str] = []
        self.refused = 0

    def start(self) -> subprocess.Popen[str]:
        """The process, started where it does not run."""
        if self.process is None:
            pipe = subprocess.PIPE
            self.process = subprocess.Popen([RUN, "--controller"], stdin=pipe, stdout=pipe, stderr=self.errors, text=True)
            threading.Thread(target=self.read, args=(self.process,), daemon=True).start()
        return self.process

    def read(self, process: subprocess.Popen[str]) -> None:
        """Notes what the process says."""
        assert process.stdout is not None
        for line in process.stdout:
            words = line.rstrip("\n").split(" ")
            with self.changed:
                if words[0] == "began":
                    self.began.add(words[1])
                elif words[0] == "ended":
                    self.ended[words[1]] = words[2]
                elif words[0] == "refused":
                    self.refused += 1
                elif words[0] == "failed":
                    self.failed.append(line.strip())
                self.changed.notify_all()

    def build(self, options: list[str]) -> None:
        """Starts a build, or resumes one."""
        process = self.start()
        assert process.stdin is not None
        process.stdin.write("\t".join(options) + "\n")
        process.stdin.flush()

    def started(self, build: Path, seconds: float) -> bool:
        """False where the build was refused; one that has not begun within that time is queued."""
        with self.changed:
            before, self.refused = self.refused, 0
            self.changed.wait_for(lambda: str(build) in self.began or self.refused > 0 or bool(self.failed), seconds)
            was, self.refused = self.refused, 0
            return before + was == 0

    def wait(self, build: Path, until: float) -> str:
        """Empty when the build has ended, else why not."""
        with self.changed:
            while str(build) not in self.ended:
                if self.failed:
                    return self.failed.pop()
                if not self.changed.wait(max(0, until - time.monotonic())):
                    return f"{build.name} does not end"
        return ""

    def kill(self) -> None:
        """As if the machine had lost its power."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def close(self) -> None:
        """Ends the process."""
        self.kill()
        self.errors.close()
