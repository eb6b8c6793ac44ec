"""The charts of a run, as PNG: distributions, the way to the knee, and scaling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from bench.suite.outcome import Latencies
from bench.suite.results import Results

SIZE = (7.5, 3.4)  # inches
DPI = 110
INK, GRID = "#24292f", "#d8dee4"
COLOURS = ("#0969da", "#1a7f37", "#bf3989", "#9a6700", "#8250df", "#cf222e", "#57606a")
SHOWN = ("floor", "hit_memory", "hit_redis", "uncached", "msgpack", "mixed_day", "overload")
HIGHEST = 99.9  # beyond it a single request decides
STYLE: Any = {
    "font.size": 9.0,
    "font.family": "DejaVu Sans",
    "axes.edgecolor": GRID,
    "axes.labelcolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
}


def draw_charts(results: Results, folder: Path) -> list[Path]:
    """Draw what the run has measured; return the files."""
    drawn = []
    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(STYLE):
        for name, draw in (("latency", _latency), ("knee", _knee), ("scaling", _scaling)):
            figure = Figure(figsize=SIZE, layout="constrained")
            if draw(results, figure.subplots()):
                path = folder / f"{name}.png"
                # Without the library's version in the file: the same figures give the same bytes.
                figure.savefig(path, dpi=DPI, metadata={"Software": None})
                drawn.append(path)
    return drawn


def _latency(results: Results, axes: Any) -> bool:
    """Percentile against latency, one line a scenario, on a log axis."""
    outcomes = [results.outcomes[name] for name in SHOWN if name in results.outcomes]
    shown = [(outcome.name, outcome.answered) for outcome in outcomes if outcome.answered]
    if not shown:
        return False
    for (name, found), colour in zip(shown, COLOURS, strict=False):
        points = _distribution(found)
        axes.plot(*zip(*points, strict=True), label=name.replace("_", " "), color=colour)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("ms from when a request was due to its answer (log)")
    axes.set_ylabel("percent of the requests")
    axes.set_ylim(0, 100)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return True


def _distribution(found: Latencies) -> list[tuple[float, float]]:
    """Return (ms, percent), rising."""
    return [(ms, float(q)) for q, ms in found.ms.items() if float(q) <= HIGHEST]


def _knee(results: Results, axes: Any) -> bool:
    """Latency against the requests a second that were answered."""
    ramp = results.outcomes.get("ramp")
    if ramp is None or not ramp.steps:
        return False
    answered = [step.answered for step in ramp.steps]
    for percentile, colour in zip(("50", "95", "99"), COLOURS, strict=False):
        values = [step.latencies.ms[percentile] for step in ramp.steps]
        axes.plot(answered, values, "o-", ms=3, label=f"p{percentile}", color=colour)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("requests/s answered, one row, cache off")
    axes.set_ylabel("ms (log)")
    axes.set_xlim(left=0)
    axes.legend()
    return True


def _scaling(results: Results, axes: Any) -> bool:
    """Requests a second by number of replicas."""
    if len(results.ceilings) < 2:
        return False
    counts = [f"{ceiling.replicas}" for ceiling in results.ceilings]
    rates = [ceiling.requests_per_second for ceiling in results.ceilings]
    bars = axes.bar(counts, rates, width=0.5, color=COLOURS[0])
    axes.bar_label(bars, labels=[f"{rate:,.0f}" for rate in rates], padding=2)
    axes.grid(axis="x", visible=False)
    axes.set_ylim(0, max(rates) * 1.15)
    axes.set_xlabel("replicas behind Nginx, on the same cores")
    axes.set_ylabel("requests/s, wrk, 32 connections")
    return True
