"""Before a server ends: who has connected is let in, and nobody else connects."""

import socket
import sys

import pytest

from ml_pipeline.fronts.http.last_call import turn_away

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux' own filters")


def test_who_waits_is_accepted_and_nobody_else_connects() -> None:
    """One who was there before is accepted, and what it sends comes; one who comes later waits."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = listening.getsockname()
        with socket.create_connection(address) as early:
            turn_away(listening)
            with pytest.raises(TimeoutError):
                socket.create_connection(address, timeout=0.2).close()
            early.sendall(b"sent later")
            accepted, _ = listening.accept()
            with accepted:
                received = accepted.recv(100)

    assert received == b"sent later"
