"""The charts of a run."""

from pathlib import Path

import pytest

from bench.suite.charts import draw_charts
from bench.suite.results import Ceiling, Results
from tests.bench.made_up import outcome, step

PNG = b"\x89PNG\r\n\x1a\n"
RAMP = outcome("ramp", steps=[step(500, 500, 1.0), step(1000, 900, 8.0)])
CEILINGS = [Ceiling(1, 9000.0, 3.0, 5.0), Ceiling(2, 9500.0, 3.0, 6.0)]
MEASURED = {
    "nothing": (Results(), set()),
    "a scenario": (Results(outcomes={"uncached": outcome("uncached")}), {"latency.png"}),
    "a scenario nobody answered": (
        Results(outcomes={"uncached": outcome("uncached", answered=None)}),
        set(),
    ),
    "a ramp": (Results(outcomes={"ramp": RAMP}), {"knee.png"}),
    "one replica": (Results(ceilings=CEILINGS[:1]), set()),
    "two replicas": (Results(ceilings=CEILINGS), {"scaling.png"}),
    "all": (
        Results(outcomes={"ramp": RAMP, "floor": outcome("floor")}, ceilings=CEILINGS),
        {"latency.png", "knee.png", "scaling.png"},
    ),
}


@pytest.mark.parametrize(("results", "names"), MEASURED.values(), ids=MEASURED)
def test_what_was_measured_is_drawn(results: Results, names: set[str], tmp_path: Path) -> None:
    """A chart is written for what the run has, for nothing else, and is a PNG."""
    drawn = draw_charts(results, tmp_path)

    assert {path.name for path in drawn} == {path.name for path in tmp_path.iterdir()} == names
    assert [path.name for path in drawn if not path.read_bytes().startswith(PNG)] == []


def test_the_same_figures_give_the_same_bytes(tmp_path: Path) -> None:
    """A chart in the repository changes when its figures do."""
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
        draw_charts(Results(outcomes={"ramp": RAMP}), folder)

    one, two = ((folder / "knee.png").read_bytes() for folder in folders)
    assert one == two
