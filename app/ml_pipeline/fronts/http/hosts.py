"""Names that this server answers to, by the Host header of a request.

A page may have its name lead to 127.0.0.1 (DNS rebinding). Its reader's browser then takes this
server for the page's own, and lets the page ask for anything and read it: only Host still has the
page's name. So a server that listens on a loopback address answers to the names of that alone.
"""

import re
from ipaddress import ip_address

from ml_pipeline.errors import Misdirected

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")

MAX_KNOWN = 64
"""Values that are kept, with their ports, as ones that need not be read again."""

_read = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(?::[0-9]*)?").fullmatch


class Hosts:
    """Knows the names of this server. Event loop only.

    Mutable state: the values that were right before.

    Args:
        names: In lower case, without a port: of those any will do.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = frozenset(name.encode() for name in names)
        self._shown = ", ".join(names)
        self._known: set[bytes] = set()

    def find_fault(self, sent: bytes) -> Misdirected | None:
        """Tell what is wrong with the value of a Host header; None for one of this server's."""
        if sent in self._known:
            return None
        found = _read(sent)
        if found is None or found[1].lower() not in self._names:
            shown = sent[:100].decode("latin-1")
            return Misdirected(
                f"host: expected one of ALLOWED_HOSTS ({self._shown[:200]}), found {shown!r}"
            )
        if len(self._known) < MAX_KNOWN:
            self._known.add(sent)
        return None


def choose_hosts(chosen: tuple[str, ...], address: str) -> Hosts | None:
    """Give those that a server answers to; None where any name will do.

    Args:
        chosen: By the operator; `*` is any, nothing at all leaves it to the address.
        address: That the server listens on.
    """
    if "*" in chosen or not (chosen or _is_loopback(address)):
        return None
    own = f"[{address}]" if ":" in address else address
    names = chosen or (*LOOPBACK_NAMES, own)
    return Hosts(tuple(dict.fromkeys(name.lower() for name in names)))


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return address.lower() == "localhost"
