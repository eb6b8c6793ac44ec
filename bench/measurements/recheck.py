"""What it costs that some rows of an *unknown* model are run again alone, in service.

Two servers on one model whose graph holds an operator that nobody follows, loaded by turns: one
watches the model, of the other its metadata accepts whatever rows do to each other, so that nothing
is checked. Every request carries a row of its own. Two models: one that takes microseconds, and
one of a millisecond a row.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

import msgspec
import onnx
from onnx import helper

from bench import compute_bound
from bench import cores as core_division
from bench.harness import SERVE_COMMAND, Server, started
from bench.load import Load
from bench.report import Target, begin, number, parser
from bench.request import AnswerError, get, json_request, send_ok
from bench.rounds import Candidate, Results, alternate, cpu, p50, p99, rps

CROWD = 32
REQUEST = json_request(1, compute_bound.FEATURES, use_cache=False, numbered=True)
WIDTHS = {"microseconds": 16, "a millisecond a row": compute_bound.WIDTH}
WATCHED, ACCEPTED = "watched", "accepted"
HEADER = ("model", "rows", "RPS", "p50 µs", "p99 µs", "CPU µs", "RPS × accepted")


def main() -> None:
    """Measure and print."""
    report, arguments = begin("Rows run again in service", parser(__doc__, rounds=20, seconds=1))
    cores = core_division.divide()
    load = Load(REQUEST, CROWD, arguments.seconds)
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="bench-model-")))
        candidates = []
        for size, width in WIDTHS.items():
            for kind in (WATCHED, ACCEPTED):
                command = [*SERVE_COMMAND, str(write_model(folder / kind / f"{width}.onnx", width))]
                server = running.enter_context(started(kind, command, cores=cores.server))
                prove(server, kind)
                candidates.append(Candidate(label(size, kind), server, load))
        results = alternate(candidates, arguments.rounds, load_cores=cores.load)
    report.table(
        HEADER, [row(results, size, kind) for size in WIDTHS for kind in (WATCHED, ACCEPTED)]
    )
    report.note(
        f"Medians over rounds; CPU: the quietest round; × accepted: median of the ratios within a "
        f"round. {CROWD} connections, one row a request, cache off; {cores.text}."
    )
    report.targets([target(results, size) for size in WIDTHS])
    report.raw = results.raw()
    report.finish(arguments.json)


def label(size: str, kind: str) -> str:
    """Name a row of the table."""
    return f"{size}, {kind}"


def row(results: Results, size: str, kind: str) -> tuple[object, ...]:
    """Return a row of the table."""
    name, base = label(size, kind), label(size, ACCEPTED)
    medians = [number(results.median(name, value)) for value in (rps, p50, p99)]
    ratio = number(results.ratio(name, base, rps))
    return (size, kind, *medians, number(results.least(name, cpu)), ratio)


def target(results: Results, size: str) -> Target:
    """Return the target of one model."""
    ratio = results.ratio(label(size, WATCHED), label(size, ACCEPTED), rps)
    return Target(f"throughput, {size}: watched / accepted", ratio, 0.99, at_least=True)


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


if __name__ == "__main__":
    main()
