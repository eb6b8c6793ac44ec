"""Lets nobody knock at a door that is about to be closed.

Whoever is still waiting to be accepted when a listening socket is closed is reset by the kernel,
its request perhaps sent already: Nginx then has to take it for lost. So first the kernel is told to
drop what begins a connection, which its sender repeats or takes elsewhere; who waits is accepted
meanwhile. Linux only; elsewhere nothing is done.
"""

import socket
import sys
from struct import pack

SO_ATTACH_FILTER = 26
NO_SYN = (  # classic BPF: code, jump if true, jump if false, operand
    (0x30, 0, 0, 13),  # load the byte with the flags of the TCP header
    (0x45, 0, 1, 0x02),  # is SYN among them?
    (0x06, 0, 0, 0),  # then keep nothing of the packet,
    (0x06, 0, 0, 0xFFFFFFFF),  # else all of it
)


def turn_away(listening: socket.socket) -> None:
    """Have the kernel drop requests for new connections to this socket."""
    if sys.platform != "linux":
        return
    from ctypes import addressof, create_string_buffer

    program = create_string_buffer(b"".join(pack("HBBI", *line) for line in NO_SYN))
    try:
        listening.setsockopt(
            socket.SOL_SOCKET, SO_ATTACH_FILTER, pack("HP", len(NO_SYN), addressof(program))
        )
    except OSError:  # a kernel, or a sandbox, that has no filters
        pass
