"""What a case does to the cluster behind the builds' backs."""

import functools
import os
import re
import signal
import subprocess
import time
from pathlib import Path

NAMESPACES = ["ci", "ci-full"]


def kubectl(arguments: list[str]) -> str:
    """Its output; a failure is no problem of the player's: what a case is about, it sees in the console."""
    return subprocess.run(["kubectl", *arguments], check=False, capture_output=True, text=True).stdout


@functools.cache
def prepare() -> None:
    """What the answers' cluster had: two namespaces and a service account."""
    for namespace in NAMESPACES:
        subprocess.run(["kubectl", "create", "namespace", namespace], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["kubectl", "-n", "ci", "create", "serviceaccount", "builder"], check=True, stdout=subprocess.DEVNULL)


def kill_container(namespace: str, pod: str, name: str) -> None:
    """Kills a container's main process, from the node, where nothing protects it."""
    where = f'jsonpath={{.status.containerStatuses[?(@.name=="{name}")].containerID}}'
    found = kubectl(["-n", namespace, "get", "pod", pod, "-o", where])
    container = found.removeprefix("containerd://")
    assert container, f"the pod {pod} has no container {name} that runs"
    for process in Path("/proc").glob("[0-9]*"):
        try:
            inside = re.search(r"^NSpid:.*\t1$", (process / "status").read_text(), re.MULTILINE)
            if inside and container in (process / "cgroup").read_text():
                os.kill(int(process.name), signal.SIGKILL)
                return
        except (FileNotFoundError, ProcessLookupError):
            continue
    raise AssertionError(f"no process is the first of the container {name}")


def stop_api_server(seconds: float) -> None:
    """Kills it and starts it again so much later, for as long as the lab runs."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (process / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if arguments[0].endswith(b"/kube-apiserver"):
            os.kill(int(process.name), signal.SIGKILL)
            time.sleep(seconds)
            nothing = subprocess.DEVNULL
            subprocess.Popen(arguments, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)
            return
    raise AssertionError("no kube-apiserver runs: a case that stops it is played on the lab")
