"""What two consoles must have in common, and what they may differ in because no two runs are alike."""

import re

RULES = [
    # What Jenkins' own names are made of: a job's, its build's number, five random letters or more.
    (r"/\S*/script\.sh(\.copy)?", "SCRIPT"),
    (r"^Running on .* in .*$", "Running on NODE in WORKSPACE"),
    (r"https?://[^/\s\"]+/", "http://HOST/"),
    (r"(case-[a-z0-9-]+)/\d+/", r"\1/N/"),
    (r"jenkins/label-digest: .*", "jenkins/label-digest: DIGEST"),
    (r"/home/jenkins/agent/workspace/[^\s'\":]+", "WORKSPACE"),
    (r"^\+ kill -9 \d+$", "+ kill -9 PID"),
    (r"^\+ basename .*$", "+ basename WORKSPACE"),
    (r"^(-rw\S+ 1 1000 1000 2) .* f$", r"\1 TIME f"),
    (r"@[0-9a-f]{5,}", "@HASH"),
    (r"^Running in .*$", "Running in WORKSPACE"),
    (r"^Resuming build at .* after Jenkins restart$", "Resuming build at TIME after Jenkins restart"),
    (r"^Ready to run at .*$", "Ready to run at TIME"),
    # Java names one or both of two classes here, by whether the code was compiled yet.
    (r" \([^()]* of loader 'bootstrap'\)$", ""),
    (r"found among steps \[.*", "found among steps [...]"),
]
NAMES = [
    ("POD", re.compile(r"\b(?:case-[a-z0-9-]+?-\d+(?:-[a-z0-9]{5}){3}|own-label(?:-[a-z0-9]{5}){2})\b")),
    ("TEMPLATE", re.compile(r"\b(?:case-[a-z0-9-]+_\d+(?:-[a-z0-9]{5}){2}|own-label-[a-z0-9]{5})\b")),
    ("LABEL", re.compile(r"\bcase-[a-z0-9-]+_\d+-[a-z0-9]{5}\b")),
]
# Also: what the API server and the agent say themselves, in words that are not Jenkins'.
LEFT_OUT = re.compile(
    r"^\s*at \S+\(|ErrorId|^$"
    r"|^Still waiting to schedule task$|^(‘.*’ is|All nodes of label .* are) offline$"  # by how long it took
    r"|^Failure executing: |KubernetesClientException: Failure executing: |^(INFO|TIME|-----Logs--|Picked up )"
)
# Several parts of Jenkins notice that a pod is lost, in no order.
LOSS = re.compile(r"^(Cannot contact |Pod \S+ was just deleted|\S+ Container \S+ was terminated|\S+ Pod just failed|- \S+ -- )")
# Either says how long it still is, which is another time in each run.
SPANS = re.compile(r"^(Timeout set to expire in|Sleeping for)( another)? .*$")


def renamed(console: str) -> str:
    """Pods, templates and labels under the names that the answers have: POD, POD2, in the order in which they appear."""
    for kind, pattern in NAMES:
        known: dict[str, str] = {}
        for name in pattern.findall(console):
            known.setdefault(name, kind if not known else f"{kind}{len(known) + 1}")
        for name in sorted(known, key=len, reverse=True):
            console = console.replace(name, known[name])
    return console


def normal(console: str) -> list[str]:
    """Its lines, without what is another in each run."""
    lines = []
    loss: list[str] = []
    for line in renamed(console).splitlines():
        text = line.rstrip()
        for pattern, by in RULES:
            text = re.sub(pattern, by, text)
        if LEFT_OUT.search(text):
            continue
        if LOSS.search(text):
            loss.append(re.sub(r"^(Cannot contact [^:]*):.*", r"\1", text))
            continue
        lines += sorted(loss)
        loss = []
        lines.append(text)
    return lines + sorted(loss)


def begun(console: str) -> str:
    """Without what is said before the program begins, which the answers leave out."""
    start = console.find("[Pipeline] Start of Pipeline")
    return console[start:] if start >= 0 else console


def observed(lines: list[str]) -> list[str]:
    """What must be equal: the lines that a case observes, and the result."""
    return [line for line in lines if line.startswith(("=>", "Finished: "))]


def missing(console: str, lines: list[str]) -> str:
    """The first of these lines that the console does not have behind those before it; empty where it has them all."""
    rest = iter(console.splitlines())
    for line in lines:
        if not any(each.startswith(line) for each in rest):
            return f"the console does not say at its place: {line}"
    return ""


def first(ours: list[str], theirs: list[str]) -> str:
    """The first line that differs, on both sides; empty where none does."""
    for number in range(max(len(ours), len(theirs))):
        mine = ours[number] if number < len(ours) else "(nothing)"
        other = theirs[number] if number < len(theirs) else "(nothing)"
        if mine != other and not (other.endswith(" TIME") and SPANS.match(mine) and SPANS.match(other)):
            return f"Jenkins: {other} | here: {mine}"
    return ""


def predicted(ours: str, lines: list[str]) -> str:
    """Where a console is another one than was predicted: the first line that a case observes, or that is missing."""
    return first(observed(ours.splitlines()), observed(lines)) or missing(ours, lines)


def differences(ours: str, theirs: str) -> tuple[str, str]:
    """The first difference that must not be, and the first that may."""
    mine, other = normal(begun(ours)), normal(begun(theirs))
    return first(observed(mine), observed(other)), first(mine, other)
