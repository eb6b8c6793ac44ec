"""Ends replicas that hang: supervisord starts them anew, and Nginx asks others meanwhile.

A service of its own, `watch`. Each quarter of a second it asks every replica whether it is alive;
one that takes connections and says nothing for `HANG_SECONDS` is killed. Nginx learns of that from
the connections that break, and from a file with the replica's address in the folder `hung`: who has
waited for this one may ask another, while a request with which a replica ends by itself may not.
"""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

from ml_pipeline.hang_watch import PAUSE_SECONDS, hangs
from ops.native.state import Folder, StackError
from ops.native.supervision import Supervisor

USUAL_SECONDS = "2"
MARKED_SECONDS = 1.0
"""How long an address stays in the folder: until Nginx has noticed every broken connection."""
MOST_REPLICAS = 64


def seconds_allowed() -> int:
    """Read `HANG_SECONDS`; 0 is never."""
    text = os.environ.get("HANG_SECONDS") or USUAL_SECONDS
    if not text.isdecimal() or int(text) > 3600:
        raise StackError(f"HANG_SECONDS={text}: expected a whole number from 0 to 3600")
    return int(text)


def watch(folder: Folder, seconds: int) -> None:
    """Look until this process is ended."""
    supervisor = Supervisor(folder)

    def look(replica: tuple[str, int]) -> None:
        name, port = replica
        if hangs("127.0.0.1", port, seconds):
            with _marked(folder, port), suppress(StackError):  # it may have ended meanwhile
                supervisor.signal(name, "KILL")
                print(f"{name}: no answer in {seconds} s: it hangs and is ended", flush=True)
                time.sleep(MARKED_SECONDS)

    with ThreadPoolExecutor(MOST_REPLICAS) as threads:
        while True:
            list(threads.map(look, folder.read_state().replicas.items()))
            time.sleep(PAUSE_SECONDS)


@contextmanager
def _marked(folder: Folder, port: int) -> Iterator[None]:
    """Let Nginx know meanwhile that a replica ends because it hangs."""
    mark = folder.hung / f"127.0.0.1:{port}"
    mark.parent.mkdir(exist_ok=True)
    mark.touch()
    try:
        yield
    finally:
        mark.unlink(missing_ok=True)


if __name__ == "__main__":
    watch(Folder.chosen(), seconds_allowed())
