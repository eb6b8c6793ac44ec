"""A run in a lane that outlasts the deadlines of those who wait for it."""

import asyncio
from time import monotonic

import pytest

from app.errors import DeadlineExceeded
from tests.conftest import Serve, WriteModel
from tests.models import loop_model

MINUTES = 30_000_000
"""A row that would keep a lane busy for minutes."""


async def test_who_waits_is_told_at_the_deadline(write_model: WriteModel, serve: Serve) -> None:
    """Not when the run ends."""
    served = await serve(write_model(loop_model()))
    started = monotonic()

    with pytest.raises(DeadlineExceeded, match="of the run"):
        await served.ask([[MINUTES]], timeout_seconds=0.5, use_cache=False)

    assert monotonic() - started < 30  # of minutes


async def test_a_run_that_nobody_waits_for_is_ended(write_model: WriteModel, serve: Serve) -> None:
    """So its lane is free for others."""
    served = await serve(write_model(loop_model()))
    late = [served.ask([[MINUTES + n]], timeout_seconds=0.5, use_cache=False) for n in range(2)]
    for error in await asyncio.gather(*late, return_exceptions=True):
        assert isinstance(error, DeadlineExceeded)

    async with asyncio.timeout(30):
        answers = [await served.ask([[n]], use_cache=False) for n in range(1, 5)]

    assert [answer.answer["predictions"] for answer in answers] == [[2.0], [4.0], [6.0], [8.0]]


async def test_who_has_time_left_is_answered(write_model: WriteModel, serve: Serve) -> None:
    """Though another of the same run had less."""
    served = await serve(write_model(loop_model()))

    patient, hasty = await asyncio.gather(
        served.ask([[60_000]], timeout_seconds=60.0, use_cache=False),
        served.ask([[60_001]], timeout_seconds=0.1, use_cache=False),
        return_exceptions=True,
    )

    assert isinstance(hasty, DeadlineExceeded)
    assert not isinstance(patient, BaseException), patient
    assert patient.answer["predictions"] == [120_000.0]
