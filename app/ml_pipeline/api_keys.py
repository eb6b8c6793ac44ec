"""API keys: what a key is, the file of those that are known, and reading it again when it changes.

A client sends `NAME.SECRET`; the file has `NAME SHA256HEX` on a line, the hash being that of the
whole key. Slow hashes are for passwords, which people think up: a secret here is 32 random
characters at least, which nobody finds by trying, so one SHA-256 is as safe, and costs 1 µs.
Which requests need a key is in `web/access.py`.
"""

import asyncio
import hmac
import os
import re
import secrets
from hashlib import sha256
from pathlib import Path

from ml_pipeline.log import get_logger

LOOK_SECONDS = 1.0
"""Between two looks at the file: for so long a key that was taken out goes on working."""

MAX_BYTES = 1024 * 1024
"""Longest file; room for 7,000 keys of the longest names, more of others."""

_name = re.compile(rb"[a-z0-9][a-z0-9_-]{0,62}").fullmatch
_key = re.compile(rb"([a-z0-9][a-z0-9_-]{0,62})\.[A-Za-z0-9_-]{32,200}").fullmatch
_digest = re.compile(rb"[0-9a-fA-F]{64}").fullmatch

Stamp = tuple[int, int, int, int]


class KeysError(ValueError):
    """The file cannot be used; the text never holds what is in it: it may be a key."""


class ApiKeys:
    """The keys that are known. Event loop only.

    Mutable state: the digests, the stamp of the file that was looked at last, and what was wrong
    with it.

    Args:
        path: Of the file.

    Attributes:
        fault: Why the file, as it is now, is not what holds; empty when it is.

    Raises:
        KeysError: The file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._nobody = os.urandom(32)  # the digest of no key that anybody has
        self._stamp = _stamp(path)
        self._digests = _read(path)
        self.fault = ""

    def owner(self, sent: bytes) -> str | None:
        """Give the name of a key's owner, None if the key is not known.

        A name that is not known takes the same way as one that is, so that time tells nothing.
        """
        found = _key(sent)
        if found is None:
            return None
        expected = self._digests.get(found[1], self._nobody)
        if not hmac.compare_digest(sha256(sent).digest(), expected):
            return None
        return found[1].decode()

    async def watch(self) -> None:
        """Read the file again whenever it has changed, for ever."""
        self._tell()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            stamp = await asyncio.to_thread(_stamp, self._path)  # a disk may be slow
            if stamp == self._stamp:
                continue
            self._stamp = stamp
            try:
                self._digests = await asyncio.to_thread(_read, self._path)
                self.fault = ""
            except KeysError as error:
                self.fault = str(error)
            self._tell()

    def _tell(self) -> None:
        if self.fault:
            get_logger().error("api_keys_unusable", reason=self.fault, keys=len(self._digests))
        else:
            get_logger().info("api_keys_read", keys=len(self._digests))


def make_key(name: str) -> tuple[str, str]:
    """Make a key; gives it, and the line of the file.

    Raises:
        KeysError: It cannot be a name.
    """
    if _name(name.encode()) is None:
        raise KeysError("expected 1 to 63 of a-z, 0-9, _ and -, a letter or digit first")
    key = f"{name}.{secrets.token_urlsafe(32)}"
    return key, f"{name} {sha256(key.encode()).hexdigest()}"


def _stamp(path: Path) -> Stamp | None:
    """Give what differs when a file is another; None if there is none.

    The links are among it because a file that is mounted by itself, as Compose does, stays the one
    that it was when another takes its place outside: then it has none left.
    """
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size, found.st_nlink


def _read(path: Path) -> dict[bytes, bytes]:
    """Read the digests by name.

    Raises:
        KeysError: The file is missing, empty, too long, replaced beneath a mount, or a line of it
            is wrong.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
            links = os.fstat(file.fileno()).st_nlink
    except OSError as error:
        raise KeysError(f"expected a file that can be read, found: {error.strerror}") from None
    if links == 0:
        raise KeysError("expected the file itself to be changed, found another put in its place")
    if len(content) > MAX_BYTES:
        raise KeysError(f"expected at most {MAX_BYTES} bytes, found more")
    digests = _parse(content)
    if not digests:
        raise KeysError("expected a key at least, found none")
    return digests


def _parse(content: bytes) -> dict[bytes, bytes]:
    digests: dict[bytes, bytes] = {}
    for number, line in enumerate(content.splitlines(), 1):
        fields = line.partition(b"#")[0].split()
        if not fields:
            continue
        if len(fields) != 2:
            raise KeysError(f"line {number}: expected NAME SHA256HEX, found {len(fields)} fields")
        name, digest = fields
        if _name(name) is None:
            raise KeysError(
                f"line {number}: expected a name of 1 to 63 of a-z, 0-9, _ and -, found another"
            )
        if _digest(digest) is None:
            raise KeysError(
                f"line {number}: expected 64 hexadecimal digits behind the name, found "
                f"{len(digest)} characters"
            )
        if name in digests:
            raise KeysError(f"line {number}: expected a name of its own, found one from above")
        digests[name] = bytes.fromhex(digest.decode())
    return digests
