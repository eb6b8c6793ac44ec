"""The end of a server whose Redis hangs."""

import signal
import time

import pytest

from tests.faults.conftest import Serve
from tests.faults.load import ReplicaLoad
from tests.redis_server import RedisServer

END_SECONDS = 5.0


@pytest.mark.parametrize("frozen_seconds", [0.0, 1.0])
def test_a_stop_waits_for_no_frozen_redis(serve: Serve, frozen_seconds: float) -> None:
    """SIGTERM ends a server in good time with status 0, and no request is lost."""
    with RedisServer() as redis, ReplicaLoad(server := serve(redis.url)) as load:
        load.wait_for("redis")
        redis.freeze()
        load.go_on(frozen_seconds)
        load.leaving = True
        begun = time.monotonic()
        server.send(signal.SIGTERM)
        status = server.wait()
        seconds = time.monotonic() - begun

    assert load.faults == []
    assert status == 0
    assert seconds < END_SECONDS
