"""API keys under Compose, really built and run."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from ml_pipeline.api_keys import make_key
from tests.server import STOP_SECONDS, settled
from tests.stack.compose import ComposeStack


class Keyed(NamedTuple):
    """A stack that asks for a key, the file of the keys, and the one in it."""

    stack: ComposeStack
    path: Path
    key: str

    def status(self, **headers: str) -> int:
        """Ask for the models."""
        return self.stack.client.get("/api/models", headers=headers).status_code


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    """The stack, with the file on the machine that Docker runs on."""
    path = tmp_path_factory.mktemp("keys") / "keys"
    key, line = make_key("alice")
    path.write_text(f"{line}\n")
    path.chmod(0o644)  # its reader is another user
    with ComposeStack(API_KEYS_FILE=str(path), RATE_LIMIT_API="6000") as stack:
        yield Keyed(stack, path, key)


def test_a_key_is_asked_for(keyed: Keyed) -> None:
    """With the one in the file the answer comes, without it it does not."""
    assert keyed.status() == 401
    assert keyed.status(Authorization=f"Bearer {keyed.key}") == 200


def test_a_key_that_is_added_counts_without_a_restart(keyed: Keyed) -> None:
    """When it is written into the same file, which is all that the container sees."""
    key, line = make_key("bob")
    with keyed.path.open("a") as file:
        file.write(f"{line}\n")

    assert settled(lambda: keyed.status(**{"X-API-Key": key}), 200, STOP_SECONDS) == 200
