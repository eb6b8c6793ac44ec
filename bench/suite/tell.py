"""What a run prints: the scenarios, the targets, and where the figures come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.markdown import facts, number, table
from bench.suite.outcome import Latencies, Outcome, knee_of
from bench.suite.results import Results
from bench.targets import Verdict, verdict_table

SCENARIO_HEADER = (
    *("scenario", "requests", "requests/s", "p50 ms", "p95 ms", "p99 ms", "refused", "errors"),
    *("late p99 ms", "replica CPU µs", "Nginx CPU µs", "generator CPU µs"),
)


def tell(results: Results, verdicts: Sequence[Verdict]) -> None:
    """Print everything a run has found."""
    parts = []
    if results.outcomes:
        rows = [_row(outcome) for outcome in results.outcomes.values()]
        parts.append(table(SCENARIO_HEADER, rows))
        parts.extend(_states(outcome) for outcome in results.outcomes.values())
    parts.append(_knee(results))
    parts.append(_faults(results))
    if verdicts:
        parts.append(verdict_table(verdicts))
    parts.append(facts(results.about))
    print("\n\n".join(part for part in parts if part))


def _row(outcome: Outcome) -> tuple[object, ...]:
    cpu = [
        number(outcome.cpu_us[kind]) if kind in outcome.cpu_us else ""
        for kind in ("replica", "nginx", "generator")
    ]
    return (
        outcome.name,
        f"{outcome.requests:,}",
        number(outcome.requests_per_second),
        *_times(outcome.answered),
        f"{outcome.refused.requests:,}" if outcome.refused else "",
        outcome.num_faults,
        number(outcome.late_p99_ms),
        *cpu,
    )


def _times(found: Latencies | None) -> tuple[str, str, str]:
    if found is None:
        return ("–", "–", "–")
    return (number(found.p50), number(found.p95), number(found.p99))


def _states(outcome: Outcome) -> str:
    """Return the cache states of a scenario that met several."""
    if len(outcome.by_cache) < 2:
        return ""
    shown = [
        f"{state} {found.requests:,} (p50 {number(found.p50)}, p99 {number(found.p99)} ms)"
        for state, found in outcome.by_cache.items()
    ]
    return f"{outcome.name}: {', '.join(shown)}"


def _knee(results: Results) -> str:
    ramp = results.outcomes.get("ramp")
    if ramp is None or not ramp.steps:
        return ""
    knee = knee_of(ramp.steps)
    return f"The knee: {knee:,.0f} requests/s are kept up with, p95 within 5 ms."


def _faults(results: Results) -> str:
    lines = [
        f"- {outcome.name}: {fault}"
        for outcome in results.outcomes.values()
        for fault in outcome.faults
    ]
    lines += [
        f"- {what}: Prometheus counts {ours:,}, the clients {theirs:,}"
        for what, (ours, theirs) in results.miscounts.items()
    ]
    return "\n".join(lines)


def published(verdicts: Sequence[Verdict], about: Mapping[str, str]) -> str:
    """Return the targets and figures as docs/benchmarks.md has them."""
    rows = [
        (
            f"{each.target.what} {each.target.demand}",
            each.target.seed,
            f"**missed:** {each.shown}" if each.missed else each.shown,
            each.target.how,
        )
        for each in verdicts
    ]
    judged = table(("target", "seed figure", "ours", "how measured"), rows)
    return f"{judged}\n\n{facts(about)}"
