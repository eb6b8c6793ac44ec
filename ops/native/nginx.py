"""Nginx on a bare machine: the shipped template rendered, and a reload that loses no request."""

import os
import re
import subprocess
import time

from supervisor.xmlrpc import Faults

from ops.native.probes import wait_until_ready
from ops.native.state import ROOT, Folder, StackError, State, replace
from ops.native.supervision import Refused, Supervisor

TEMPLATES = ROOT / "nginx"

CLOSING_SECONDS = 1.0
"""How long answers say `Connection: close` before a reload.

A reload closes idle connections at once, and a request that is just then on the wire is lost. In
this time clients that are busy hang up by themselves; the others are unlikely to meet the moment.
"""

_profiles = {
    "default": {},
    "bench": {
        "RATE_LIMIT_EXEMPT": "127.0.0.0/8",
    },
}


def render(folder: Folder, state: State) -> None:
    """Write nginx.conf and upstreams.conf from the templates, and variables that were set once.

    Raises:
        StackError: A variable has a value that Nginx would not take.
    """
    variables = _variables(
        {
            "WORKER_PROCESSES": str(workers_needed()),
            **state.variables,
            **_profiles[state.profile],
            "HTTP_LISTEN": f"127.0.0.1:{state.http_port}",
            "STATUS_LISTEN": f"127.0.0.1:{state.status_port}",
            "UI_ROOT": str(ROOT / "ui"),
            "RUN_FOLDER": str(folder.nginx),
        }
    )
    template = (TEMPLATES / "nginx.conf.template").read_text()
    write_upstreams(folder, state)
    candidate = folder.nginx / "candidate.conf"
    replace(candidate, substitute(template, variables))
    check(folder, candidate.name)
    candidate.replace(folder.nginx / "nginx.conf")  # one that Nginx refuses never gets there


def write_upstreams(folder: Folder, state: State) -> None:
    """Write upstreams.conf: its template with a line a replica in place of each look-up by name.

    And with a group of all others for each replica.
    """
    template = (TEMPLATES / "upstreams.conf.template").read_text()
    template = re.sub(r"(?m)^ *resolver .*\n|(?<=ADDRESS}) resolve", "", template)
    addresses = [f"127.0.0.1:{port}" for port in state.replicas.values()]
    template = re.sub(
        r"(?m)^(.*)\$\{(?:API|ADMIN)_ADDRESS\}(.*\n)",
        lambda line: "".join(f"{line[1]}{each}{line[2]}" for each in addresses),
        template,
    )
    variables = {"PROMETHEUS_ADDRESS": f"127.0.0.1:{state.prometheus_port}"}
    text = substitute(template, variables)
    for address in addresses if len(addresses) > 1 else []:
        servers = "".join(f"    server {a} max_fails=0;\n" for a in addresses if a != address)
        group = f"other_than_{address.rpartition(':')[2]}"
        text = text.replace("default api_again;", f"default api_again;\n    {address} {group};")
        text += f"\nupstream {group} {{\n    least_conn;\n{servers}}}\n"
    replace(folder.nginx / "upstreams.conf", text)


def check(folder: Folder, name: str = "nginx.conf") -> None:
    """Let Nginx read its configuration; StackError with its own words if it would not start."""
    command = ["nginx", "-t", "-q", "-p", f"{folder.nginx}/", "-c", name]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise StackError(f"nginx: {done.stderr.strip()}")


def reload(folder: Folder, supervisor: Supervisor, state: State) -> None:
    """Let new workers take over; no request is lost. Takes about 2 s.

    While supervisord starts it, or tries to, that is waited for.

    Raises:
        StackError: It does not run, keeps its old configuration, or does not answer.
    """
    check(folder)
    closing = folder.nginx / "closing"
    # It may have been started just now, without workers yet, in place of one that was killed.
    workers = _wait_for_workers(folder, set(), "nginx does not run")
    closing.touch()
    try:
        time.sleep(CLOSING_SECONDS)
        _reread(supervisor)
        _wait_for_workers(folder, workers, "nginx kept its old configuration")
        time.sleep(CLOSING_SECONDS / 2)  # for connections that the old ones have just accepted
    finally:
        closing.unlink(missing_ok=True)
    wait_until_ready(["nginx"], state, supervisor)


def _reread(supervisor: Supervisor) -> None:
    """Have Nginx read its configuration; one that has just ended is started anew, and does so."""
    try:
        supervisor.signal("nginx", "HUP")
    except Refused as refused:
        if refused.code != Faults.NOT_RUNNING:
            raise


def chosen_variables() -> dict[str, str]:
    """Give those of variables.envsh that the environment sets."""
    script = (TEMPLATES / "variables.envsh").read_text()
    names = re.findall(r"\$\{([A-Z_]+):?=", script)
    return {name: os.environ[name] for name in names if os.environ.get(name)}


def substitute(template: str, variables: dict[str, str]) -> str:
    """Fill in `${NAME}` as the official image does; KeyError for a name without a value."""
    return re.sub(r"\$\{([A-Z_]+)\}", lambda match: variables[match[1]], template)


def _variables(more: dict[str, str]) -> dict[str, str]:
    """Read variables.envsh in a shell, as the official image does."""
    script = f'set -e; . "{TEMPLATES}/variables.envsh"; env -0'
    environment = {**os.environ, **more}
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, env=environment)
    if done.returncode:
        raise StackError(done.stderr.strip())
    pairs = (line.partition("=") for line in done.stdout.split("\0") if line)
    return {name: value for name, _, value in pairs}


def workers_needed() -> int:
    """Give a worker for every two cores: a request takes a third of what it takes a replica.

    On two cores a second worker cost 0.04 of 0.83 ms, since each wakes for the other's clients.
    """
    return max(1, len(os.sched_getaffinity(0)) // 2)


def _wait_for_workers(
    folder: Folder, old: set[int], otherwise: str, timeout_seconds: float = 60.0
) -> set[int]:
    """Give Nginx's workers once there are others than those; StackError if none come."""
    give_up = time.monotonic() + timeout_seconds
    while not (workers := _workers(folder)) - old:
        if time.monotonic() > give_up:
            raise StackError(f"{otherwise}: ops/stack logs nginx")
        time.sleep(0.02)
    return workers


def _workers(folder: Folder) -> set[int]:
    """Give the process ids of Nginx's workers, old and new; none while it does not run."""
    try:
        master = int((folder.nginx / "nginx.pid").read_text())
        with open(f"/proc/{master}/task/{master}/children") as children:
            return set(map(int, children.read().split()))
    except (OSError, ValueError):
        return set()
