"""How long `/health` is waited for beside a load; `beside.py` asks for it."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.server import Server


class Beside(NamedTuple):
    """Seconds in which `/health` was answered, sorted: as far as the server worked, and all."""

    worked: list[float]
    waited: list[float]

    @property
    def p99(self) -> float:
        """Of those as far as the server worked: all but one in a hundred are shorter."""
        return self.worked[int(0.99 * len(self.worked))]


@contextmanager
def health_of(server: Server) -> Iterator[Callable[[], Beside]]:
    """Ask for its health by another process; what is yielded ends it and tells."""
    script = Path(__file__).with_name("beside.py")
    command = [sys.executable, str(script), str(server.port), str(server.pid)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:

        def tell() -> Beside:
            words, _ = process.communicate(timeout=60)
            return Beside(*json.loads(words))

        try:
            yield tell
        finally:
            process.kill()
