"""Plays one case: starts its builds and does from outside what its header says."""

import os
import re
import shlex
import time
import uuid
from pathlib import Path

from controller import Controller

USER = "admin"
QUEUED_SECONDS = 2  # a second build that has not begun by then waits for the first
RESTART_SECONDS = "20"  # a controller is away for so long; the clock of a build skips it


def header(case: Path, name: str) -> list[str]:
    """The lines of a case's header of that name."""
    return [line.split(":", 1)[1].strip() for line in case.read_text().splitlines() if line.startswith(f"// {name}:")]


def actions(case: Path) -> list[list[str]]:
    """The words of each action of the play, in their order."""
    found = []
    for play in header(case, "play"):
        lexer = shlex.shlex(play, posix=True, punctuation_chars=";")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in lexer:
            if word == ";":
                found.append(words)
                words = []
            else:
                words.append(word)
        found.append(words)
    return [words for words in found if words]


class Play:
    """One case in a home of its own."""

    def __init__(self, case: Path, library: Path, home: Path, controller: Controller, untrusted: bool) -> None:
        self.case = case
        self.home = home
        self.controller = controller
        self.job = f"case-{case.stem}"
        self.builds = 0
        self.seen: dict[int, int] = {}
        self.actions = actions(case)
        limits = header(case, "limit")
        self.until = time.monotonic() + (float(limits[0]) if limits else 120)
        self.options = ["--jenkinsfile", str(case), "--library", f"conformance={library}", "--sandbox", "--config", str(controller.site), "--answer", "wait",
                        "--user", USER, "--virtual-time", *(["--untrusted"] if untrusted else [])]

    def folder(self, number: int) -> Path:
        """Of a build."""
        return self.home / "jobs" / self.job / str(number)

    def run(self) -> str:
        """Empty, or what could not be played."""
        self.build([], self.held(0))
        for index, words in enumerate(self.actions):
            if index > 0 and self.held(index - 1) and not self.held(index):
                self.release()
            problem = self.act(words, self.held(index + 1))
            if problem:
                self.controller.kill()
                return problem
        if self.held(len(self.actions) - 1) or self.actions:
            self.release()
        for number in range(1, self.builds + 1):
            problem = self.controller.wait(self.folder(number), self.until)
            if problem:
                self.controller.kill()
                return problem
        return ""

    def held(self, index: int) -> bool:
        """Whether somebody is still to do something: the builds' clocks may not skip ahead of that."""
        return any(words[0] != "end" for words in self.actions[index:])

    def act(self, words: list[str], held: bool) -> str:
        """Does one action."""
        verb, rest = words[0], words[1:]
        number = 1
        if rest and rest[0].isdigit() and verb not in ("wait", "sleep"):
            number = int(rest.pop(0))
        match verb:
            case "until":
                return self.wait_for(number, rest[0])
            case "stop":
                self.request(number, f"stop {USER}", [])
            case "input":
                self.request(number, f"input {rest[0]}:{rest[1]} {USER}", rest[2:])
            case "build":
                self.build(rest, held)
            case "end":
                return self.controller.wait(self.folder(number), self.until)
            case "wait" | "sleep":
                time.sleep(float(rest[0]))
            case "restart":
                self.restart(held)
            case _:
                return f"the action {verb} is not known"
        return ""

    def build(self, parameters: list[str], held: bool) -> None:
        """Starts the job's next build."""
        self.builds += 1
        given = [word for parameter in parameters for word in ("--param", parameter)]
        self.controller.build([*self.options, "--home", str(self.home), "--job", self.job, *(["--hold-clock"] if held else []), *given])
        self.controller.started(self.folder(self.builds), QUEUED_SECONDS if self.builds > 1 else self.until - time.monotonic())

    def restart(self, held: bool) -> None:
        """Kills the controller and lets a new one find the builds on disk."""
        self.controller.kill()
        for number in range(1, self.builds + 1):
            if not (self.folder(number) / "build.properties").exists():
                self.controller.build(["--resume", "--home", str(self.home), "--job", self.job, "--build", str(number), "--away", RESTART_SECONDS, *(["--hold-clock"] if held else [])])

    def release(self) -> None:
        """From now on waiting may be skipped."""
        for number in range(1, self.builds + 1):
            if self.folder(number).is_dir():
                self.request(number, "release-clock", [])

    def request(self, number: int, line: str, values: list[str]) -> None:
        """Asks something of a build, as the runner's --request does."""
        folder = self.folder(number) / "requests"
        folder.mkdir(exist_ok=True)
        name = f"{time.monotonic_ns():020d}-{uuid.uuid4()}"
        (folder / f".{name}").write_text("\n".join([line, *values]) + "\n")
        os.rename(folder / f".{name}", folder / name)

    def wait_for(self, number: int, text: str) -> str:
        """Until the console says it, after what was waited for before."""
        log = self.folder(number) / "log"
        while time.monotonic() < self.until:
            content = log.read_text() if log.exists() else ""
            found = re.compile(re.escape(text)).search(content, self.seen.get(number, 0))
            if found:
                self.seen[number] = found.end()
                return ""
            if self.controller.failed:
                return self.controller.failed.pop()
            time.sleep(0.02)
        return f"the console of {number} never says {text!r}"
