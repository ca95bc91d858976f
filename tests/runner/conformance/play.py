"""Plays one case: starts its builds and does from outside what its header says."""

import os
import re
import shlex
import subprocess
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import lab
from controller import Controller

ADMINISTRATOR = "admin"
SITE = Path(__file__).parent / "site.yaml"
# Neither answers; a case says in its header that it has them instead of the usual one.
CLOUDS = """jenkins:
  clouds:
  - kubernetes: {name: restricted, namespace: ci, usageRestricted: true}
  - kubernetes: {name: open, namespace: ci}
"""
UPSTREAM = "case-upstream"
PREPARED = threading.Lock()  # two cases may want the same thing prepared
QUEUED_SECONDS = 2  # a second build that has not begun by then waits for the first
# The plugin that gave the answers misses an agent for five minutes before it gives it up.
POD_OPTIONS = ["--cloud", "--agent-image", "jenkins/inbound-agent:3192.v713e3b_039fb_e-1", "--agent-timeout", "300"]
BUSY = 5  # so much longer a case may take where the machine has other work
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
    """The seconds that a case may take: those that it names are of an idle machine; a case that hangs is found later as well."""
    limits = header(case, "limit")
    return BUSY * float(limits[0] if limits else 120)


@dataclass(frozen=True)
class Way:
    """How cases are played."""

    library: Path
    other: Path  # the library's branch other
    second: Path
    untrusted: bool
    pods: bool


class Play:
    """One case in a home of its own."""

    def __init__(self, case: Path, way: Way, home: Path, controller: Controller) -> None:
        self.case = case
        self.home = home
        self.controller = controller
        self.job = f"case-{case.stem}"
        self.builds = 0
        self.seen: dict[int, int] = {}
        self.actions = actions(case)
        self.until = time.monotonic() + limit(case)
        libraries = {"conformance": way.library, "pinned": way.library, "second": way.second}
        libraries |= {"conformance@other": way.other, "pinned@other": way.other}
        self.site = [
            *("--sandbox", "--config", str(SITE), "--without", "junit"),
            *([] if way.pods else ["--folder", self.home_folder()]),
            *(word for name, folder in libraries.items() for word in ("--library", f"{name}={folder}")),
            *("--answer", "wait", "--virtual-time"),
            *(["--untrusted"] if way.untrusted else []),
            *(POD_OPTIONS if way.pods else []),
            *(["--config", str(self.clouds())] if header(case, "clouds") else []),
        ]
        self.options = [*self.site, "--jenkinsfile", str(case), *(word for xml in header(case, "jobxml") for word in ("--job-xml", xml))]

    def home_folder(self) -> str:
        """The folder of a job without pods; a case whose cloud is permitted elsewhere is played in another than the one that may use it."""
        return "elsewhere" if any("another folder" in clouds for clouds in header(self.case, "clouds")) else "own"

    def clouds(self) -> Path:
        """What a case has that wants other clouds than the usual one."""
        self.home.mkdir(parents=True, exist_ok=True)
        file = self.home / "clouds.yaml"
        file.write_text(CLOUDS)
        return file

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
        starters = [words[1] for words in self.actions if words[0] == "started-by"]
        self.actions = [words for words in self.actions if words[0] != "started-by"]
        self.build([], self.held(0), by=starters[0] if starters else ADMINISTRATOR)
        for index, words in enumerate(self.actions):
            if index > 0 and self.held(index - 1) and not self.held(index):
                self.release()
            problem = self.act(words, self.held(index + 1))
            if problem:
                self.controller.give_up()
                return problem
        if self.held(len(self.actions) - 1) or self.actions:
            self.release()
        for number in range(1, self.builds + 1):
            problem = self.controller.wait(self.folder(number), self.until)
            if problem:
                self.controller.give_up()
                return problem
        return ""

    def held(self, index: int) -> bool:
        """Whether somebody is still to do something: the builds' clocks may not skip ahead of that."""
        return any(words[0] != "end" for words in self.actions[index:])

    def act(self, words: list[str], held: bool, by: str = ADMINISTRATOR) -> str:
        """Does one action."""
        verb, rest = words[0], words[1:]
        if verb == "as":
            return self.act(words[2:], held, words[1])
        number = 1
        if rest and rest[0].isdigit() and verb not in ("wait", "sleep"):
            number = int(rest.pop(0))
        match verb:
            case "until":
                return self.wait_for(number, rest[0])
            case "stop":
                self.request(number, f"stop {by}", [])
            case "input":
                # What a program sends in place of the page's form has only the fields that it gives.
                answer = "submit" if rest[1] == "proceed" else rest[1]
                self.request(number, f"input {rest[0]}:{answer} {by}", rest[2:])
            case "build":
                self.build(rest, held, by)
            case "replay":
                self.build([], held, by, ["--replay", str(number), "--jenkinsfile", str(self.replayed(number, rest))])
            case "upstream":
                self.upstream()
                self.build([], held, by, ["--cause", f"upstream:{UPSTREAM}#1"])
            case "config":
                pass
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

    def build(self, parameters: list[str], held: bool, by: str = ADMINISTRATOR, options: list[str] | None = None) -> None:
        """Starts the job's next build, if that user may."""
        given = [word for parameter in parameters for word in ("--param", parameter)]
        given += ["--user", by, *(options or []), *(["--hold-clock"] if held else [])]
        self.controller.build([*self.options, "--home", str(self.home), "--job", self.job, *given])
        seconds = QUEUED_SECONDS if self.builds > 0 else self.until - time.monotonic()
        if self.controller.started(self.folder(self.builds + 1), seconds):
            self.builds += 1

    def replayed(self, number: int, texts: list[str]) -> Path:
        """The script of a build, with one text in place of another."""
        file = self.home / f"replay-{uuid.uuid4()}.groovy"
        script = (self.folder(number) / "Jenkinsfile").read_text()
        file.write_text(script.replace(texts[0], texts[1]) if texts else script)
        return file

    def upstream(self) -> None:
        """Plays the job whose end starts this one."""
        script = self.home / "upstream.groovy"
        script.write_text("echo 'upstream'\n")
        which = ["--home", str(self.home), "--job", UPSTREAM, "--user", ADMINISTRATOR]
        self.controller.build([*self.site, "--jenkinsfile", str(script), *which])
        self.controller.wait(self.home / "jobs" / UPSTREAM / "1", self.until)

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
        """Until the console says it, after what was waited for before. A build that nobody has started is the timer's."""
        if number > self.builds:
            self.build([], False, options=["--cause", "timer"])
        log = self.folder(number) / "log"
        ended = False
        while time.monotonic() < self.until and not ended:
            ended = (self.folder(number) / "build.properties").exists()
            content = log.read_text() if log.exists() else ""
            found = re.compile(re.escape(text)).search(content, self.seen.get(number, 0))
            if found:
                self.seen[number] = found.end()
                return ""
            problem = self.controller.problem(self.folder(number).parent)
            if problem:
                return problem
            time.sleep(0.02)
        return f"the console of {number} never says {text!r}"
