"""The targets of `bench/targets.toml`: read and judged."""

from typing import Any

import msgspec
import pytest

from bench.__main__ import NAMES
from bench.suite.checks import CHECKS, verdicts_on
from bench.suite.results import Ceiling, Results
from bench.suite.tell import published
from bench.targets import Target, TargetError, Verdict, judge, read_targets
from tests.bench.made_up import outcome, times

SUITE = read_targets()["suite"]
MALFORMED = {
    "no limit": {"what": "a"},
    "two limits": {"what": "a", "most": 1.0, "least": 1.0},
    "a limit that is no number": {"what": "a", "most": "x"},
    "no name": {"most": 1.0},
    "an unknown key": {"what": "a", "most": 1.0, "limit": 1.0},
}


def test_every_target_has_a_check_and_every_check_a_target() -> None:
    """What the suite promises is measured, and what is measured is promised: once each."""
    assert sorted(target.what for target in SUITE) == sorted(CHECKS)


def test_every_target_is_of_a_measurement_that_there_is() -> None:
    """A section is named as the command is."""
    assert read_targets().keys() - {"suite", *NAMES} == set()


@pytest.mark.parametrize("content", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_target_is_refused(content: dict[str, object]) -> None:
    """What cannot be read is an error, and not a target less."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(content, Target)


def test_a_limit_of_millions_is_shown_in_full() -> None:
    """No limit turns into an exponent."""
    assert Target("what", least=1_234_567, unit="rows/s").demand == "≥ 1,234,567 rows/s"


@pytest.mark.parametrize(
    ("limit", "value", "met"),
    [
        ({"most": 5.0}, 4.9, True),
        ({"most": 5.0}, 5.0, True),
        ({"most": 5.0}, 5.1, False),
        ({"least": 5.0}, 5.1, True),
        ({"least": 5.0}, 5.0, True),
        ({"least": 5.0}, 4.9, False),
        ({"most": 0.0}, 1.0, False),
    ],
)
def test_a_figure_is_judged_by_its_side_of_the_limit(
    limit: dict[str, Any], value: float, met: bool
) -> None:
    """At most and at least both include the limit itself; 0 is a limit too."""
    assert Target("what", **limit).is_met(value) is met


@pytest.mark.parametrize(("value", "mark"), [(4.0, "✓"), (6.0, "✗"), (None, "–")])
def test_a_verdict_has_a_mark(value: float | None, mark: str) -> None:
    """Met, missed and not measured look different, and only a miss is one."""
    verdict = Verdict(Target("what", most=5.0), value)

    assert verdict.mark == mark
    assert verdict.missed is (mark == "✗")


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (1.284, "ms", "1.28 ms"),
        (75_984.0, "rows/s", "75,984 rows/s"),
        (0.0, "µs", "0 µs"),
        (0.0, "", "0"),
        (3.0, "", "3.00"),
        (None, "ms", "–"),
    ],
)
def test_a_figure_is_shown_with_its_unit(value: float | None, unit: str, shown: str) -> None:
    """Three digits and the unit; no unit leaves no space behind."""
    assert Verdict(Target("what", most=5.0, unit=unit), value).shown == shown


def test_a_figure_without_a_target_is_an_error() -> None:
    """A misspelt name does not leave its target unjudged."""
    with pytest.raises(TargetError, match="expected a typo in redis, found none"):
        judge("redis", {"a typo": 1.0})


def test_a_run_that_measured_nothing_meets_and_misses_nothing() -> None:
    """Every check of an empty run is without a figure."""
    assert {verdict.mark for verdict in verdicts_on(Results())} == {"–"}


def test_a_run_without_one_right_answer_is_judged_by_its_faults() -> None:
    """Scenarios that nobody answered leave latencies unmeasured and count as faults."""
    names = ("floor", "uncached", "past_nginx", "hit_memory", "sustained", "overload")
    dead = {name: outcome(name, answered=None, accepted=None, num_faults=3) for name in names}

    verdicts = verdicts_on(Results(outcomes=dead))

    found = {verdict.target.what: verdict.value for verdict in verdicts if verdict.value}
    assert found == {"requests answered wrongly or not at all": 18.0}


def test_figures_come_from_their_scenarios() -> None:
    """Differences to the floor, Nginx's share and wrk's first ceiling are computed as they say."""
    results = Results(
        outcomes={
            "floor": outcome("floor", 0.5),
            "uncached": outcome("uncached", 2.0),
            "past_nginx": outcome("past_nginx", 1.25),
            "hit_memory": outcome("hit_memory", 9.0, by_cache={"l1": times(0.75)}),
            "overload": outcome("overload", refused=times(4.0)),
        },
        ceilings=[Ceiling(1, 9000.0, 3.0, 5.0), Ceiling(2, 12_000.0, 2.0, 4.0)],
        miscounts={"standard: status 200": (10, 12), "standard: cache l1": (5, 4)},
        counted=100,
    )

    found = {verdict.target.what: verdict.value for verdict in verdicts_on(results)}

    assert found["no cache: p99"] == pytest.approx(2.0)
    assert found["hit in memory: p50 above the floor"] == pytest.approx(0.25)
    assert found["what Nginx adds to p50"] == pytest.approx(1.5)
    assert found["3 × capacity: p50 of a refusal"] == pytest.approx(4.0)
    assert found["sustained, by wrk, one replica"] == 9000
    assert found["requests that Prometheus counts otherwise"] == 3
    assert found["hit in Redis: p50 above the floor"] is None


def test_a_published_row_has_target_and_figure() -> None:
    """A miss says so, and what others know and how it is measured stand beside."""
    target = Target("start", most=1.0, unit="s", seed="3–5 s", how="median")

    rows = published([Verdict(target, 0.5), Verdict(target, 1.5)], {"machine": "m"}).splitlines()

    assert rows[2:4] == [
        "| start ≤ 1 s | 3–5 s | 0.50 s | median |",
        "| start ≤ 1 s | 3–5 s | **missed:** 1.50 s | median |",
    ]
    assert rows[-1] == "- machine: m"
