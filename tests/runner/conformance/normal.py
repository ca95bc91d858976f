"""What two consoles must have in common, and what they may differ in because no two runs are alike."""

import re

RULES = [
    (r"@[0-9a-f]{5,}", "@HASH"),
    (r"^Running on .* in .*$", "Running on NODE in WORKSPACE"),
    (r"^Running in .*$", "Running in WORKSPACE"),
    (r"^Resuming build at .* after Jenkins restart$", "Resuming build at TIME after Jenkins restart"),
    (r"^Ready to run at .*$", "Ready to run at TIME"),
    (r"/\S*/script\.sh(\.copy)?", "SCRIPT"),
    (r"found among steps \[.*", "found among steps [...]"),
]
LEFT_OUT = re.compile(r"^\s*at \S+\(|ErrorId|^$")
# Either says how long it still is, which is another time in each run.
SPANS = re.compile(r"^(Timeout set to expire in|Sleeping for)( another)? .*$")


def normal(console: str) -> list[str]:
    """Its lines, without what is another in each run."""
    lines = []
    for line in console.splitlines():
        text = line.rstrip()
        for pattern, by in RULES:
            text = re.sub(pattern, by, text)
        if not LEFT_OUT.search(text):
            lines.append(text)
    return lines


def observed(lines: list[str]) -> list[str]:
    """What must be equal: the lines that a case observes, and the result."""
    return [line for line in lines if line.startswith(("=>", "Finished: "))]


def first(ours: list[str], theirs: list[str]) -> str:
    """The first line that differs, on both sides; empty where none does."""
    for number in range(max(len(ours), len(theirs))):
        mine = ours[number] if number < len(ours) else "(nothing)"
        other = theirs[number] if number < len(theirs) else "(nothing)"
        if mine != other and not (other.endswith(" TIME") and SPANS.match(mine) and SPANS.match(other)):
            return f"Jenkins: {other} | here: {mine}"
    return ""


def differences(ours: str, theirs: str) -> tuple[str, str]:
    """The first difference that must not be, and the first that may."""
    mine, other = normal(ours), normal(theirs)
    return first(observed(mine), observed(other)), first(mine, other)
