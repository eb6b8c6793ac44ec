"""Files and ports of a stack: one folder that nothing else uses, and what is in it."""

import fcntl
import os
import socket
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

ROOT = Path(__file__).parents[2]
FIRST_INTERNAL_PORT = 8101

Profile = Literal["default", "bench"]


class StackError(Exception):
    """The command cannot be done; the text says why and what to do."""


class State(msgspec.Struct):
    """What runs, kept in `state.json`.

    Attributes:
        http_port: Of Nginx, for clients.
        prometheus_port: Of Prometheus.
        status_port: Of Nginx, for health checks and the exporter.
        exporter_port: Of Nginx's metrics.
        redis_port: Of Redis.
        profile: `bench` lifts the rate limits.
        first_port: From which on free ones are sought for all but the first two.
        variables: Of Nginx, as they were set when it was started or restarted.
        replicas: Port by name, the oldest first.
    """

    http_port: int
    prometheus_port: int
    status_port: int
    exporter_port: int
    redis_port: int
    profile: Profile
    first_port: int = FIRST_INTERNAL_PORT
    variables: dict[str, str] = {}
    replicas: dict[str, int] = {}

    @property
    def ports(self) -> list[int]:
        """All of them."""
        services = [self.http_port, self.prometheus_port, self.status_port]
        return [*services, self.exporter_port, self.redis_port, *self.replicas.values()]


class Folder:
    """Paths of a stack.

    Args:
        path: Absolute; `STACK_FOLDER`, or `.stack` at the top of the repository.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.logs = path / "logs"
        self.services = path / "services"
        self.nginx = path / "nginx"
        self.hung = path / "nginx" / "hung"  # addresses of replicas that are just being ended
        self.prometheus = path / "prometheus"
        self.redis = path / "redis"
        self.supervisor_configuration = path / "supervisord.conf"
        self.supervisor_socket = path / "supervisor.sock"
        self.admin_token = path / "admin_token"  # the one that ops/stack made, if it did
        self._state = path / "state.json"

    @classmethod
    def chosen(cls) -> "Folder":
        """Take the folder that the environment names, or the usual one."""
        return cls(Path(os.environ.get("STACK_FOLDER") or ROOT / ".stack").absolute())

    def make(self) -> None:
        """Make what is missing.

        Raises:
            StackError: The path is too long for a socket in it (unix(7): 108 bytes).
        """
        if len(os.fsencode(self.supervisor_socket)) > 100:
            raise StackError(
                f"{self.path} is too long a path for a socket: set STACK_FOLDER to a shorter one"
            )
        for folder in (self.logs, self.services, self.nginx, self.prometheus, self.redis):
            folder.mkdir(parents=True, exist_ok=True)

    def read_state(self) -> State:
        """Read what runs; StackError if nothing was started."""
        try:
            return msgspec.json.decode(self._state.read_bytes(), type=State)
        except FileNotFoundError:
            raise StackError("the stack is not up: ops/stack up") from None

    def write_state(self, state: State) -> None:
        """Keep what runs."""
        replace(self._state, msgspec.json.format(msgspec.json.encode(state)).decode())

    @contextmanager
    def one_at_a_time(self) -> Iterator[None]:
        """Hold the stack against other commands that change it."""
        self.path.mkdir(parents=True, exist_ok=True)
        with open(self.path / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            (self.nginx / "closing").unlink(missing_ok=True)  # of a command that was killed
            yield


def replace(path: Path, text: str) -> None:
    """Write a file at once: who reads it meanwhile finds the old or the new one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.write_text(text)
    new.replace(path)


def free_port(first: int, taken: Container[int]) -> int:
    """Find the next port from `first` on that nobody listens on and that is not in `taken`."""
    for port in range(first, 65536):
        if port not in taken and is_free(port):
            return port
    raise StackError(f"no free port from {first} on")


def is_free(port: int) -> bool:
    """Tell whether a port of 127.0.0.1 can be listened on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
