"""t(B) ≈ a + c·B: learned from samples, kept up to date by runs."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_pipeline.engine.batching.cost_curve import PAYS_FROM, UNKNOWN_SECONDS, CostCurve, Sample

samples = st.lists(
    st.builds(Sample, st.integers(1, 256), st.floats(1e-6, 1.0)),
    min_size=1,
    max_size=8,
    unique_by=lambda sample: sample.num_rows,
)


def line(fixed: float, per_row: float, *sizes: int) -> CostCurve:
    """The curve of a model that costs exactly so much."""
    return CostCurve([Sample(size, fixed + per_row * size) for size in sizes])


def test_exact_line_is_found() -> None:
    """From samples on a line the curve is that line, also for sizes that were not measured."""
    curve = line(100e-6, 2e-6, 1, 8, 64)

    assert curve.predict(1) == pytest.approx(102e-6)
    assert curve.predict(32) == pytest.approx(164e-6)


def test_without_samples_a_run_is_taken_for_long() -> None:
    """An unmeasured model is predicted to take UNKNOWN_SECONDS, whatever the rows."""
    curve = CostCurve([])

    assert curve.predict(1) == curve.predict(100) == UNKNOWN_SECONDS


def test_a_run_of_no_rows_teaches_nothing() -> None:
    """It costs something, but not by the row."""
    curve = CostCurve([Sample(4, 8e-3)])

    curve.update(0, 1.0)

    assert (curve.scale, curve.predict(0)) == (1.0, 0.0)


def test_one_sample_is_read_as_a_cost_by_row() -> None:
    """A single size gives a line through the origin, on which batching does not pay."""
    curve = CostCurve([Sample(4, 8e-3)])

    assert curve.predict(2) == pytest.approx(4e-3)
    assert not curve.batching_pays(64)


def test_samples_of_one_size_are_averaged() -> None:
    """Several runs of one size predict a time between the quickest and the slowest of them."""
    quick, slow = 0.0008205480443282016, 0.0009409958054405477

    curve = CostCurve([Sample(28, quick), Sample(28, slow)])

    assert quick <= curve.predict(28) <= slow


def test_small_runs_count_as_much_as_large_ones() -> None:
    """Large runs that are off the line do not bend the prediction of the small ones."""
    large = Sample(128, 400e-6), Sample(256, 600e-6)

    curve = CostCurve([Sample(1, 10e-6), Sample(2, 11e-6), *large])

    assert curve.predict(1) == pytest.approx(10e-6, rel=0.3)


def test_batching_pays_for_a_fixed_cost() -> None:
    """Where a run costs much and a row little, rows are better run together."""
    assert line(100e-6, 1e-6, 1, 64).batching_pays(64)


def test_batching_does_not_pay_for_a_cost_by_row() -> None:
    """Where a run costs nothing beside its rows, nothing is gained together."""
    assert not line(1e-9, 100e-6, 1, 64).batching_pays(64)


def test_batching_never_pays_for_one_row() -> None:
    """A largest batch of one row is no batch."""
    assert not line(100e-6, 1e-6, 1, 64).batching_pays(1)


@pytest.mark.parametrize(("share", "pays"), [(1.05, True), (0.95, False)])
def test_batching_pays_from_a_stated_ratio(share: float, pays: bool) -> None:
    """The bound is PAYS_FROM: apart over together, at the largest batch."""
    # apart/together = B(f + r)/(f + rB) = ratio  ⇒  f = rB(ratio - 1)/(B - ratio)
    ratio, rows, per_row = 1 + (PAYS_FROM - 1) * share, 16, 1e-5
    fixed = per_row * rows * (ratio - 1) / (rows - ratio)

    assert line(fixed, per_row, 1, rows).batching_pays(rows) is pays


def test_prediction_follows_the_runs() -> None:
    """After many runs that take twice as long, twice as long is predicted."""
    curve = line(100e-6, 1e-6, 1, 64)
    before = curve.predict(8)

    for _ in range(200):
        curve.update(8, 2 * before)

    assert curve.predict(8) == pytest.approx(2 * before, rel=0.01)


def test_one_run_far_off_moves_the_prediction_little() -> None:
    """A run of a thousand times the prediction counts as one of four times."""
    curve, same = line(100e-6, 1e-6, 1, 64), line(100e-6, 1e-6, 1, 64)
    expected = curve.predict(8)

    curve.update(8, 1000 * expected)
    same.update(8, 4 * expected)

    assert curve.predict(8) == pytest.approx(same.predict(8))
    assert curve.predict(8) < 1.2 * expected


def test_update_does_not_change_whether_batching_pays() -> None:
    """A slow machine is slow together and apart."""
    curve = line(100e-6, 1e-6, 1, 64)

    curve.update(8, 1.0)

    assert curve.batching_pays(64)


@settings(max_examples=100, deadline=None)
@given(samples)
def test_no_run_is_predicted_to_be_free(measured: list[Sample]) -> None:
    """Whatever is measured, a prediction is positive and does not fall with more rows."""
    curve = CostCurve(measured)

    predictions = [curve.predict(rows) for rows in (1, 2, 16, 256, 4096)]

    assert predictions[0] > 0
    assert predictions == sorted(predictions)


def test_repr_shows_the_line() -> None:
    """The curve prints as microseconds a run and a row."""
    assert repr(line(100e-6, 2e-6, 1, 64)) == "<CostCurve 100.0 µs + 2.00 µs a row, scale 1.00>"
