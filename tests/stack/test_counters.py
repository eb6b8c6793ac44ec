"""What Prometheus has counted, against what clients have sent."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.load import OLD
from tests.faults.replica import write_model
from tests.stack.load import StackLoad
from tests.stack.native import Stack

PREDICTED = 'sum(ml_api_requests_total{endpoint="/predict",status="200"})'


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """Two replicas that nobody has asked anything."""
    models = write_model(tmp_path / "models", OLD)
    with Stack(tmp_path / "s", MODEL_PATH=str(models)) as stack:
        yield stack


def test_every_request_is_counted_once(stack: Stack) -> None:
    """Over both replicas, and by cache state, the counters add up to the answers clients got."""
    with StackLoad(stack.port) as load:
        load.go_on(1.0)
    assert load.faults == []

    stack.wait_for_series(f"{PREDICTED} == {load.num_answers}", 1)
    stack.wait_for_series(f"sum(ml_api_cache_requests_total) == {load.num_answers}", 1)
