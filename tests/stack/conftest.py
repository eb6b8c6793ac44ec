"""One server and one Nginx with the variables that ship, for every test that needs no others."""

from collections.abc import Iterator

import pytest

from tests.server import Server
from tests.stack.nginx import Gateway, Stub


@pytest.fixture(scope="session")
def replica() -> Iterator[Server]:
    """A server that several instances of Nginx stand in front of."""
    with Server(ALLOWED_HOSTS="*") as server:
        yield server


@pytest.fixture(scope="module")
def stub() -> Iterator[Stub]:
    """A replica that says yes to everything, keeps what it was asked, and may be told to wait."""
    with Stub() as stub:
        yield stub


@pytest.fixture(scope="session")
def gateway(replica: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Nginx as it ships, in front of one replica; where Prometheus should be, nobody is."""
    with Gateway(tmp_path_factory.mktemp("gateway"), replica.port) as gateway:
        yield gateway
