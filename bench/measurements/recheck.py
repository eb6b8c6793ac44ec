"""What it costs that some rows of an *unknown* model are run again alone, in service.

Two servers on one model whose graph holds an operator that nobody follows, loaded by turns: one
watches the model, of the other its metadata accepts whatever rows do to each other, so that nothing
is checked. Every request carries a row of its own. Two models: one that takes microseconds, and
one of a millisecond a row.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import onnx
from onnx import helper

from bench import compute_bound
from bench.harness import SERVE_COMMAND, Server
from bench.load import Load
from bench.markdown import number
from bench.request import AnswerError, get, json_request, send_ok
from bench.rounds import RPS, Candidate, headers
from bench.run import Run

ROUNDS, SECONDS = 20, 1
CROWD = 32
REQUEST = json_request(1, compute_bound.FEATURES, use_cache=False, numbered=True)
WIDTHS = {"microseconds": 16, "a millisecond a row": compute_bound.WIDTH}
WATCHED, ACCEPTED = "watched", "accepted"


def measure(run: Run) -> None:
    """Measure and report."""
    folder = run.folder()
    load = Load(REQUEST, CROWD, run.options.seconds)
    candidates = []
    for size, width in WIDTHS.items():
        for kind in (WATCHED, ACCEPTED):
            model = write_model(folder / kind / f"{width}.onnx", width)
            server = run.start(kind, (*SERVE_COMMAND, str(model)))
            prove(server, kind)
            candidates.append(Candidate(f"{size}, {kind}", server, load))
    results = run.by_turns(candidates)
    ratios = {
        f"{size}, {kind}": results.ratio(f"{size}, {kind}", f"{size}, {ACCEPTED}", RPS)
        for size in WIDTHS
        for kind in (WATCHED, ACCEPTED)
    }
    run.table(
        ("model, rows", *headers(), "RPS × accepted"),
        [(name, *results.cells(name), number(ratio)) for name, ratio in ratios.items()],
    )
    run.explain(connections=CROWD)
    run.judge(
        {f"throughput, {size}: watched / accepted": ratios[f"{size}, {WATCHED}"] for size in WIDTHS}
    )


def write_model(path: Path, width: int) -> Path:
    """Write the compute-bound model, and behind it operators that do nothing and nobody follows.

    With `accepted` as its folder's name its metadata accepts what rows do to each other.
    """
    path.parent.mkdir(exist_ok=True)
    compute_bound.write_model(path, width)
    model = onnx.load(path)
    last = model.graph.node[-1]
    last.output[0] = "value"
    model.graph.node.append(helper.make_node("SequenceConstruct", ["value"], ["values"]))
    model.graph.node.append(helper.make_node("SequenceAt", ["values", "first"], ["output"]))
    model.graph.initializer.append(helper.make_tensor("first", onnx.TensorProto.INT64, [], [0]))
    onnx.save(model, path)
    if path.parent.name == ACCEPTED:
        path.with_suffix(".json").write_text('{"batching": "accept"}')
    return path


def prove(server: Server, kind: str) -> None:
    """Make sure that rows share runs, and that nobody knows whether they stay apart."""
    send_ok(server.port, REQUEST)
    batching = msgspec.json.decode(get(server.port, "/models/info").body)["batching"]
    if (batching["verdict"], batching["enabled"]) != ("unknown", True):
        raise AnswerError(f"{kind}: {batching}")
