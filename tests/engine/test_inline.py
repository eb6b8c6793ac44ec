"""Which runs may keep the event loop waiting: those alone whose work the sizes of the inputs bound.

The options of these tests let every run that is thought short stay on the loop's thread.
"""

import asyncio
from collections.abc import Callable
from inspect import Parameter, signature
from time import monotonic
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests import models, odd_models
from tests.conftest import Serve, WriteModel

NOT_SERVED = {"optional_output_model", "sequence_model"}


def makers(module: ModuleType) -> list[Any]:
    """List what makes a model without being told how."""
    found: list[Any] = []
    for name, make in vars(module).items():
        if callable(make) and make.__module__ == module.__name__ and name.endswith("_model"):
            needs = [p for p in signature(make).parameters.values() if p.default is Parameter.empty]
            if not needs and name not in NOT_SERVED:
                found.append(pytest.param(make, id=name))
    return found


@pytest.mark.parametrize("make", makers(models) + makers(odd_models))
async def test_runs_of_unbounded_work_leave_the_loop_alone(
    make: Callable[[], bytes], write_model: WriteModel, serve: Serve
) -> None:
    """Alone and in a crowd."""
    served = await serve(write_model(make()))
    model = served.repository.get(None)
    inputs, num_rows = model.sample, model.count_rows(model.sample)
    run = model.batcher.run

    for crowd in (1, 8):
        await asyncio.gather(
            *(run(inputs, num_rows, deadline=monotonic() + 60) for _ in range(crowd)),
            return_exceptions=True,  # drawn rows do not fit every model
        )

    assert not (model.graph.unbounded and any(record.inline for record in served.batches))


unbounded: list[Any] = [
    pytest.param(models.loop_model(), [[3]], "Loop", id="loop"),
    pytest.param(odd_models.costly_branch_model(), [[1.0, 2.0, 3.0, 101.0]], "If", id="branch"),
    *(
        pytest.param(odd_models.window_model(operator), [[50_000]], operator, id=operator)
        for operator in ("HannWindow", "HammingWindow", "BlackmanWindow")
    ),
]


@pytest.mark.parametrize(("model", "rows", "operator"), unbounded)
async def test_values_that_make_work_are_worked_off_elsewhere(
    model: bytes, rows: Any, operator: str, write_model: WriteModel, serve: Serve
) -> None:
    """The trial's rows were quick, and these are not."""
    served = await serve(write_model(model))

    await served.ask(np.array(rows).tolist())

    assert served.repository.get(None).graph.unbounded.startswith(operator)
    assert [record.inline for record in served.batches] == [False]


async def test_bounded_work_stays_on_the_loop(write_model: WriteModel, serve: Serve) -> None:
    """Without which the others would prove nothing."""
    served = await serve(write_model(models.scale_model()))

    await served.ask([[1.0, 2.0, 3.0]])

    assert [record.inline for record in served.batches] == [True]
