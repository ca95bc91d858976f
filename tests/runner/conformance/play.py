"""Plays one case: starts its builds and does from outside what its header says."""

import os
import re
import shlex
import subprocess
import threading
import time
import uuid
from pathlib import Path

import lab
from controller import Controller

USER = "admin"
PREPARED = threading.Lock()  # two cases may want the same thing prepared
QUEUED_SECONDS = 2  # a second build that has not begun by then waits for the first
# The plugin that gave the answers misses an agent for five minutes before it gives it up.
POD_OPTIONS = ["--cloud", "--agent-image", "jenkins/inbound-agent:3192.v713e3b_039fb_e-1", "--agent-timeout", "300"]
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
        lexer.commenters = ""
        words: list[str] = []
        for word in lexer:
            if word == ";":
                found.append(words)
                words = []
            else:
                words.append(word)
        found.append(words)
    return [words for words in found if words]


def limit(case: Path) -> float:
    """The seconds that a case may take."""
    limits = header(case, "limit")
    return float(limits[0]) if limits else 120


class Play:
    """One case in a home of its own."""

    def __init__(self, case: Path, library: Path, home: Path, controller: Controller, untrusted: bool, pods: bool) -> None:
        self.case = case
        self.home = home
        self.controller = controller
        self.job = f"case-{case.stem}"
        self.builds = 0
        self.seen: dict[int, int] = {}
        self.actions = actions(case)
        self.until = time.monotonic() + limit(case)
        self.options = [
            *("--jenkinsfile", str(case), "--library", f"conformance={library}", "--sandbox", "--config", str(controller.site)),
            *("--answer", "wait", "--user", USER, "--virtual-time"),
            *(["--untrusted"] if untrusted else []),
            *(POD_OPTIONS if pods else []),
        ]

    def folder(self, number: int) -> Path:
        """Of a build."""
        return self.home / "jobs" / self.job / str(number)

    def run(self) -> str:
        """Empty, or what could not be played."""
        if not header(self.case, "before"):
            return self.play()
        with PREPARED:
            for command in header(self.case, "before"):
                subprocess.run(shlex.split(command), check=True, capture_output=True)
            try:
                self.until = time.monotonic() + limit(self.case)
                return self.play()
            finally:
                for command in header(self.case, "after"):
                    subprocess.run(shlex.split(command), check=False, capture_output=True)

    def play(self) -> str:
        """The builds of the case, and what happens to them from outside."""
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
                self.controller.kill()
                self.resume(held)
            case "kill":
                self.controller.kill()
            case "start":
                self.resume(held)
            case "kubectl":
                lab.kubectl([self.pod(word) for word in rest])
            case "killcontainer":
                lab.kill_container(*self.pods()[-1], rest[0])
            case "api":
                lab.stop_api_server(float(rest[1]))
            case _:
                return f"the action {verb} is not known"
        return ""

    def build(self, parameters: list[str], held: bool) -> None:
        """Starts the job's next build."""
        self.builds += 1
        given = [word for parameter in parameters for word in ("--param", parameter)]
        self.controller.build([*self.options, "--home", str(self.home), "--job", self.job, *(["--hold-clock"] if held else []), *given])
        self.controller.started(self.folder(self.builds), QUEUED_SECONDS if self.builds > 1 else self.until - time.monotonic())

    def pods(self) -> list[tuple[str, str]]:
        """Namespace and name of each pod of the first build, the oldest first."""
        return re.findall(r"^Created Pod: \S+ ([^/]+)/(\S+)$", (self.folder(1) / "log").read_text(), re.MULTILINE)

    def pod(self, word: str) -> str:
        """The word of a command; $POD stands for the newest pod, $POD1 for the oldest."""
        return {"$POD": lambda: self.pods()[-1][1], "$POD1": lambda: self.pods()[0][1]}.get(word, lambda: word)()

    def resume(self, held: bool) -> None:
        """Lets a new controller find the builds on disk."""
        for number in range(1, self.builds + 1):
            if not (self.folder(number) / "build.properties").exists():
                which = ["--home", str(self.home), "--job", self.job, "--build", str(number)]
                self.controller.build(["--resume", *which, "--away", RESTART_SECONDS, *(["--hold-clock"] if held else [])])

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
