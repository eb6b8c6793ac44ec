"""Where Redis is: the connections to it, and its password kept out of all that is told."""

from urllib.parse import unquote, urlsplit

from redis.asyncio.connection import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.maint_notifications import MaintNotificationsConfig

from ml_pipeline.cache.redis_reader import BoundedParser

CONNECT_SECONDS = 1.0
"""For connection, TLS and log-in. A request waits for them only after Redis has hung up on an idle
connection, and no longer than for any round trip."""

MAX_CONNECTIONS = 16
"""More than are ever opened at once: the lanes, a probe, publisher and subscriber."""

RECOGNISED_BYTES = 8
"""Of a password's beginning, so that it is seen even where it was cut."""


class RedisEndpoint:
    """The pool of all connections of this process; opens none yet.

    Nothing is retried and nothing times out in the pool: links have deadlines of their own.

    Args:
        url: Where Redis is, and how to log in.

    Attributes:
        pool: Connections.
        database: Its number.

    Raises:
        ValueError: The URL cannot be used; the text does not quote it.
    """

    def __init__(self, url: str) -> None:
        try:
            password = urlsplit(url).password or ""
            self.pool: ConnectionPool = ConnectionPool.from_url(
                url,
                protocol=3,
                max_connections=MAX_CONNECTIONS,
                retry=Retry(NoBackoff(), 0),
                socket_timeout=None,
                socket_connect_timeout=CONNECT_SECONDS,
                socket_keepalive=True,
                driver_info=None,
                parser_class=BoundedParser,
                maint_notifications_config=MaintNotificationsConfig(enabled=False),
            )
        except ValueError:  # its text quotes what it takes for the port, which may be a password
            raise ValueError("expected a URL, found what cannot be read as one") from None
        self._secrets = {password, unquote(password)} - {""}
        try:
            self.pool.make_connection()  # type: ignore[no-untyped-call]  # checks the options
        except (TypeError, RedisError, OSError) as error:
            raise ValueError(self.scrub(str(error))) from None
        self.database: int = self.pool.connection_kwargs.get("db") or 0

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
