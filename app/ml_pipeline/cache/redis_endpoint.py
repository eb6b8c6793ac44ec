"""Where Redis is, how to log in, and its password kept out of all that is told."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from hiredis import pack_command

CONNECT_SECONDS = 1.0
"""For connection, TLS and log-in. A request waits for them only after Redis has hung up on an idle
connection, and no longer than for any round trip."""

RECOGNISED_BYTES = 8
"""Of a password's beginning, so that it is seen even where it was cut."""

DEFAULT_PORT = 6379

Speaker = TypeVar("Speaker", bound=asyncio.Protocol)

_trust = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
_versions = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}
_yes_or_no = {"true": True, "false": False}
_options: dict[str, object] = {
    **dict.fromkeys(("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile")),
    **dict.fromkeys(("ssl_password", "ssl_ciphers")),
    "ssl_cert_reqs": _trust,
    "ssl_min_version": _versions,
    "ssl_check_hostname": _yes_or_no,
}
"""Of TLS, named as redis-py names them; with the values that they may have, where those are few."""


def pack(*parts: bytes | int) -> bytes:
    """Write one command as Redis reads it."""
    return pack_command(parts)  # type: ignore[arg-type, no-any-return]


class RedisEndpoint:
    """One address; connects to nothing yet.

    Args:
        url: `redis://`, `rediss://` or `unix://`.

    Attributes:
        database: Its number.
        login: Commands that a connection begins with. The first is HELLO, whose answer says who is
            there; it needs no permission.

    Raises:
        ValueError: The URL cannot be used; the text does not quote it.
    """

    def __init__(self, url: str) -> None:
        try:
            self._url = urlsplit(url)
            self._port = self._url.port or DEFAULT_PORT
            path = self._url.path.strip("/")
            options = dict(parse_qsl(self._url.query))
            number = options.pop("db", "") if self._url.scheme == "unix" else path
            self.database = int(number or 0)
        except ValueError:  # its text quotes what it takes for the port, which may be a password
            raise ValueError("expected a URL, found what cannot be read as one") from None
        if self._url.scheme not in ("redis", "rediss", "unix"):
            raise ValueError("expected redis://, rediss:// or unix://, found another scheme")
        self._options = _checked(options)
        password = self._url.password or ""
        self._secrets = {password, unquote(password)} - {""}
        self.login = [_hello(self._url)]
        if self.database:
            self.login.append(pack(b"SELECT", self.database))

    async def open(self, make: Callable[[], Speaker]) -> Speaker:
        """Connect, with TLS if the URL says so; log in is the caller's.

        Args:
            make: Makes what speaks on the connection.

        Raises:
            OSError: Nobody is there, or TLS cannot be had.
            ValueError: An option of TLS cannot be used.
        """
        loop = asyncio.get_running_loop()
        if self._url.scheme == "unix":
            _, speaker = await loop.create_unix_connection(make, unquote(self._url.path))
            return speaker
        context = self._context() if self._url.scheme == "rediss" else None
        host = self._url.hostname or "localhost"
        transport, speaker = await loop.create_connection(make, host, self._port, ssl=context)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return speaker

    def _context(self) -> ssl.SSLContext:
        """Read the certificates, which may have been renewed since the last connection."""
        found = self._options
        context = ssl.create_default_context(
            cafile=found.get("ssl_ca_certs"), capath=found.get("ssl_ca_path")
        )
        trust = _trust[found.get("ssl_cert_reqs", "required")]
        named = _yes_or_no[found.get("ssl_check_hostname", "true").lower()]
        context.check_hostname = named and trust != ssl.CERT_NONE
        context.verify_mode = trust
        if "ssl_certfile" in found:
            context.load_cert_chain(
                found["ssl_certfile"], found.get("ssl_keyfile"), found.get("ssl_password")
            )
        if "ssl_min_version" in found:
            context.minimum_version = _versions[found["ssl_min_version"]]
        if "ssl_ciphers" in found:
            context.set_ciphers(found["ssl_ciphers"])
        return context

    def scrub(self, text: str) -> str:
        """Take the password out of a text.

        A Redis that does not know HELLO repeats its arguments, each cut at 128 bytes: these go
        first, and of a long password its beginning is enough to cut the text there.
        """
        text = text.split("with args")[0]
        for secret in self._secrets:
            text = text.replace(secret, "***")
            if len(secret) > RECOGNISED_BYTES:
                text = text.split(secret[:RECOGNISED_BYTES])[0]
        return text.splitlines()[0][:200] if text.strip() else "no reason given"


def _hello(url: SplitResult) -> bytes:
    if url.password is None and url.username is None:
        return pack(b"HELLO", 3)
    name, password = unquote(url.username or "default"), unquote(url.password or "")
    return pack(b"HELLO", 3, b"AUTH", name.encode(), password.encode())


def _checked(options: dict[str, str]) -> dict[str, str]:
    """Give options of TLS back, or tell of one that is none."""
    for name, value in options.items():
        if name not in _options:
            raise ValueError(f"expected options among {', '.join(_options)}, found another")
        values = _options[name]
        text = value.lower() if values is _yes_or_no else value
        if isinstance(values, dict) and text not in values:
            raise ValueError(f"{name}: expected one of {', '.join(values)}, found another")
    return options
