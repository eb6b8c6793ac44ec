"""What the log, traces and `Server-Timing` tell of a request when it has been answered."""

import pytest

from ml_pipeline.protocols.timings import Timings, describe, phases, with_members
from tests.conftest import json_call


@pytest.fixture
def batch() -> Timings:
    """Of two members, one from the cache and one that was run with others."""
    hit = Timings(0.0, "wine", "1", 2, "l1", decode_seconds=0.1, cache_seconds=0.2)
    run = Timings(0.0, "wine", "1", 3, "miss", 0.3, 0.4, 0.5, 0.6, 0.7, batch_rows=9)
    return Timings(0.0, "wine", "1", cache_seconds=0.05, members=[hit, run])


def test_a_batch_took_what_its_members_took(batch: Timings) -> None:
    """Reading and look-ups add up; of waiting and running it is the longest."""
    told = phases(batch)

    assert told["decode"] == pytest.approx(0.4)
    assert told["cache"] == pytest.approx(0.65)
    assert (told["queue"], told["run"]) == (0.5, 0.6)


def test_a_batch_is_described_by_its_members(batch: Timings) -> None:
    """Their rows add up, their cache states are counted, and the largest run is told."""
    assert describe(json_call(b"", "wine"), batch) == {
        "model": "wine",
        "version": "1",
        "cache": "l1;n=1, miss;n=1",
        "rows": 5,
        "batch_rows": 9,
    }


def test_to_add_up_changes_nothing(batch: Timings) -> None:
    """It may be told twice, to the log and to a trace, and is the same."""
    assert phases(batch) == phases(batch)
    assert batch.decode_seconds == 0.0


def test_a_lone_request_is_told_as_it_is() -> None:
    """Nothing is made of what has no members."""
    alone = Timings(0.0, "wine", "1", 1)

    assert with_members(alone) is alone


def test_an_unknown_model_is_told_as_asked_for() -> None:
    """Where no model was found the log says which was wanted."""
    told = describe(json_call(b"", "other"), Timings(0.0))

    assert (told["model"], told["version"]) == ("other", "")
