"""A real redis-server as a process of its own: a free port, nothing on disk, stopped by its pid."""

import contextlib
import signal
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType

import redis

from tests.server import free_port, wait_until

STOP_SECONDS = 10.0


def cluster_options() -> tuple[str, ...]:
    """Options of a node of a Redis Cluster, with a port for the others that is free."""
    return "--cluster-enabled", "yes", "--cluster-port", str(free_port())


class RedisServer:
    """Runs from the start of a `with` block to its end; may be killed and started again within.

    Args:
        options: Of redis-server, such as `--maxmemory`, `1mb`.
        port: 0 for none but TLS or a socket, None for a free one.

    Attributes:
        port: On 127.0.0.1; the same after a restart.
        url: For REDIS_URL.
    """

    def __init__(self, *options: str, port: int | None = None) -> None:
        self.port = free_port() if port is None else port
        self.url = f"redis://127.0.0.1:{self.port}"
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "RedisServer":
        self._folder = tempfile.TemporaryDirectory()
        try:
            self.start()
        except BaseException:
            self._folder.cleanup()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        try:
            self.kill()
        finally:
            self._folder.cleanup()

    def start(self) -> None:
        """Start, empty, and wait until it answers."""
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--save", "", "--appendonly", "no", "--dir", self._folder.name]
        log = Path(self._folder.name) / "log"
        command += ["--logfile", str(log), *self._options]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        try:
            wait_until(lambda: log.exists() and "Ready to accept connections" in log.read_text())
        except TimeoutError:
            self.kill()
            raise

    def kill(self) -> None:
        """End it at once, as a crash does; idempotent."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)
            self._process.wait(STOP_SECONDS)
            self._process = None
        (Path(self._folder.name) / "log").unlink(missing_ok=True)

    def freeze(self) -> None:
        """Stop its clock: connections stay open and nothing is answered."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._send(signal.SIGCONT)

    def client(self) -> "redis.Redis":
        """Make a client to look and meddle with; closed by the caller."""
        return redis.Redis(port=self.port, socket_timeout=STOP_SECONDS)

    def _send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
