"""The cost curve of a model that is about to answer."""

import msgspec
import numpy as np
import pytest

from ml_pipeline.engine.model.source import EngineOptions
from ml_pipeline.engine.model.warm_up import measure
from tests.conftest import LoadModel, WriteModel, with_batch
from tests.models import lookup_model, mean_model, network_model, scale_model, two_input_model

ROWS = np.random.default_rng(4).standard_normal((24, 3)).astype(np.float32)


def test_curve_is_measured_up_to_the_batch_size(
    write_model: WriteModel, load: LoadModel, options: EngineOptions
) -> None:
    """Runs of 1, 2, 4 … rows are timed, none larger than a batch, as many as there is time for."""
    model = load(write_model(scale_model()), with_batch(options, max_batch_size=20))

    sizes = [sample.num_rows for sample in model.curve.samples]
    assert len(sizes) >= 2
    assert sizes == [1, 2, 4, 8, 16][: len(sizes)]
    assert all(sample.seconds > 0 for sample in model.curve.samples)


def test_curve_of_an_unbatched_model_is_one_run(write_model: WriteModel, load: LoadModel) -> None:
    """Where rows are not run together, only a run of the trial rows is timed."""
    model = load(write_model(mean_model()))

    assert [sample.num_rows for sample in model.curve.samples] == [1]


def test_curve_grows_with_rows(write_model: WriteModel, load: LoadModel) -> None:
    """A model whose work is in its rows is predicted to take longer for more of them."""
    model = load(write_model(network_model(512)))

    assert len(model.curve.samples) >= 2
    assert model.curve.predict(256) > model.curve.predict(16) > model.curve.predict(1) > 0


def test_curve_of_failing_rows_is_unknown(write_model: WriteModel, load: LoadModel) -> None:
    """Nothing is measured where the trial rows fail, and a cost is predicted all the same."""
    model = load(write_model(lookup_model()))

    assert model.curve.samples == []
    assert model.curve.predict(1) > 0


@pytest.mark.parametrize("share_weights_above_bytes", [0, 10**9], ids=["shared", "own"])
def test_curve_is_measured_on_any_pool(
    share_weights_above_bytes: int, write_model: WriteModel, load: LoadModel, options: EngineOptions
) -> None:
    """A curve can be measured on a pool of any number of sessions, shared or not."""
    three_lanes = msgspec.structs.replace(
        options, num_sessions=3, share_weights_above_bytes=share_weights_above_bytes
    )
    pool = load(write_model(scale_model()), three_lanes).pool

    curve = measure(pool, {"x": ROWS}, 2)

    assert [sample.num_rows for sample in curve.samples] == [1, 2]


@pytest.mark.parametrize(
    ("model", "num_rows"),
    [
        pytest.param(scale_model(shape=[4, 3]), 1, id="four-rows-are-one"),
        pytest.param(two_input_model(right_shape=[1, 2]), 3, id="rows-of-one-input"),
    ],
)
def test_a_run_is_counted_as_requests_count_it(
    model: bytes, num_rows: int, write_model: WriteModel, load: LoadModel
) -> None:
    """Where a first size is fixed its rows are one: a run would be thought four times too short."""
    loaded = load(write_model(model))

    assert loaded.count_rows(loaded.sample) == num_rows
    assert {sample.num_rows for sample in loaded.curve.samples} == {num_rows}


def test_a_run_of_a_fixed_size_is_expected_to_take_its_time(
    write_model: WriteModel, load: LoadModel
) -> None:
    """A request that is one row by the protocol is predicted the whole run."""
    curve = load(write_model(scale_model(shape=[4, 3]))).curve

    assert curve.predict(1) >= 0.99 * min(sample.seconds for sample in curve.samples)
