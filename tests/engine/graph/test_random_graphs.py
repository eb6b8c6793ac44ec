"""Random graphs: what is said to keep rows apart is never contradicted by a run."""

import os
from collections import Counter
from collections.abc import Callable
from random import Random

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from onnx import printer

from ml_pipeline.engine.graph.batch_axis import judge
from tests.engine.graph import random_counts, random_moves, random_values
from tests.engine.graph.random_graphs import Graph, grow, loaded, rows_of
from tests.engine.graph.together import difference

ADDED_UP = 1e-6
"""By how much kernels round differently, one behind the other."""

NUM_GRAPHS = int(os.environ.get("RANDOM_GRAPHS", "100"))
MAKERS = random_counts.MAKERS + random_moves.MAKERS + random_values.MAKERS
SHAPES = (
    *([()], [(4,)], [(2, 3)], [(2, 2, 3)]),
    *([(3,), (3,)], [(1, 4), (2, 4)], [(4,), (2, 4)], [(3,), (2, 3)]),
)
"""Of one row of each input."""

VERSIONS = (11, 13, 17, 21)
"""Of ONNX' operators: axes became operands, Softmax got one axis."""

COUNTS = (2, 5, 16)
"""Numbers of rows that are run together."""


def test_no_run_contradicts_the_analysis(record_property: Callable[[str, object], None]) -> None:
    """Rows of several scales and signs, together and each alone."""
    verdicts = Counter[str]()

    @settings(
        max_examples=NUM_GRAPHS,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        derandomize=NUM_GRAPHS <= 100,  # the same graphs each time in `ops/test`
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.randoms(use_true_random=False))
    def hold(random: Random) -> None:
        draw = random.randrange
        graph = Graph(draw, SHAPES[draw(len(SHAPES))], VERSIONS[draw(len(VERSIONS))])
        model = grow(graph, MAKERS, 2 + draw(12))
        verdict = judge(model).verdict
        verdicts[verdict] += 1
        if verdict == "independent":
            run = loaded(model)
            for count in COUNTS:
                rows = {name: rows_of(count, s, count) for name, s in graph.inputs.items()}
                assert run is None or difference(run, rows, ADDED_UP) == "", printer.to_text(model)

    hold()

    for verdict, count in verdicts.items():
        record_property(verdict, count)
    least = {"independent": NUM_GRAPHS / 4, "coupled": NUM_GRAPHS / 20, "unknown": NUM_GRAPHS / 50}
    assert [verdict for verdict in least if verdicts[verdict] < least[verdict]] == []
