"""The README's table of targets: read, judged, filled in."""

from pathlib import Path

import pytest

from bench.suite.checks import CHECKS
from bench.suite.results import Ceiling, Results
from bench.targets import (
    HEADER,
    README,
    Target,
    TargetError,
    Verdict,
    fill_in,
    judge,
    read_targets,
    shown_value,
)
from tests.bench.made_up import outcome, times

OWN = read_targets(README.read_text())
TABLE = f"""\
Before.

{HEADER}
|---|---:|---:|---|
| start ≤ 1.0 s | 3–5 s | – | `starts`: median of 5 |
| sustained ≥ 2,000 requests/s | | 2,345 requests/s | `sustained` |
| wrong ≤ 0 | | – | every scenario |

After, with a | start ≤ 1.0 s | of its own.
"""
MALFORMED = {
    "no sign": "| start 1.0 s | | – | x |",
    "no limit": "| start ≤ s | | – | x |",
    "a limit that is no number": "| start ≤ 1.2.3 s | | – | x |",
    "a column too few": "| start ≤ 1.0 s | – | x |",
    "no column": "|",
}


def target(sign: str, limit: float, unit: str = "ms") -> Target:
    """Give a row of which only the limit matters."""
    return Target("what", sign, limit, unit, seed="", how="")


def test_every_row_has_a_check_and_every_check_a_row() -> None:
    """What the README promises is measured, and what is measured is promised: once each."""
    assert sorted(row.what for row in OWN) == sorted(CHECKS)


def test_the_readme_s_own_rows_keep_their_wording() -> None:
    """A row that is read and put together again stands in the README."""
    text = README.read_text()

    rows = [f"| {row.what} {row.sign} " for row in OWN]

    assert [row for row in rows if row not in text] == []
    assert [row.sign for row in OWN if row.sign not in "≤≥"] == []


def test_a_row_is_read_with_its_parts() -> None:
    """What, sign, limit, unit, seed figure and how it is measured are told apart."""
    first = read_targets(TABLE)[0]

    assert first == Target("start", "≤", 1.0, "s", "3–5 s", "`starts`: median of 5")


def test_a_thousands_separator_is_no_decimal_point() -> None:
    """2,000 is two thousand, and is shown as it was written."""
    second = read_targets(TABLE)[1]

    assert second.limit == 2000
    assert second.demand == "≥ 2,000 requests/s"


def test_a_limit_of_millions_is_shown_in_full() -> None:
    """No limit turns into an exponent."""
    assert target("≥", 1_234_567, "rows/s").demand == "≥ 1,234,567 rows/s"


def test_the_table_ends_where_its_lines_do() -> None:
    """What stands below the table is no row."""
    assert [row.what for row in read_targets(TABLE)] == ["start", "sustained", "wrong"]


@pytest.mark.parametrize("row", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_row_is_refused(row: str) -> None:
    """A row that cannot be read is an error, which shows it, and not a target less."""
    text = f"{HEADER}\n|---|---:|---:|---|\n{row}\n"

    with pytest.raises(TargetError) as raised:
        read_targets(text)

    assert row in str(raised.value)


def test_a_missing_table_is_refused() -> None:
    """A README without the table does not pass for one without targets."""
    with pytest.raises(TargetError, match="expected a table"):
        read_targets("# Nothing here\n")


@pytest.mark.parametrize(
    ("sign", "value", "met"),
    [
        ("≤", 4.9, True),
        ("≤", 5.0, True),
        ("≤", 5.1, False),
        ("≥", 5.1, True),
        ("≥", 5.0, True),
        ("≥", 4.9, False),
    ],
)
def test_a_figure_is_judged_by_its_side_of_the_limit(sign: str, value: float, met: bool) -> None:
    """At most and at least both include the limit itself."""
    assert target(sign, 5.0).is_met(value) is met


@pytest.mark.parametrize(("value", "mark"), [(4.0, "✓"), (6.0, "✗"), (None, "–")])
def test_a_verdict_has_a_mark(value: float | None, mark: str) -> None:
    """Met, missed and not measured look different, and only a miss is one."""
    verdict = Verdict(target("≤", 5.0), value)

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
    assert shown_value(Verdict(target("≤", 5.0, unit), value)) == shown


def test_filling_in_changes_nothing_but_the_measured_figures(tmp_path: Path) -> None:
    """Column `ours` of what was measured is new, with or without a seed figure; a miss says so."""
    file = tmp_path / "README.md"
    file.write_text(TABLE)
    start, sustained, wrong = read_targets(TABLE)

    fill_in(file, [Verdict(start, 1.5), Verdict(sustained, None), Verdict(wrong, 0.0)])

    expected = TABLE.replace("| 3–5 s | – |", "| 3–5 s | **missed:** 1.50 s |")
    assert file.read_text() == expected.replace("| wrong ≤ 0 | | – |", "| wrong ≤ 0 | | 0 |")


def test_filling_in_again_replaces_what_stood_there(tmp_path: Path) -> None:
    """The figures of a later run take the place of earlier ones."""
    file = tmp_path / "README.md"
    file.write_text(TABLE)
    rows = read_targets(TABLE)
    once = [Verdict(row, 7.0) for row in rows]

    fill_in(file, [Verdict(row, 3000.0) for row in rows])
    fill_in(file, once)

    text = file.read_text()
    assert "3,000" not in text
    assert [text.count(f" {shown_value(verdict)} |") for verdict in once] == [1, 1, 1]


def test_filling_in_the_readme_s_own_table_reaches_every_row(tmp_path: Path) -> None:
    """Each row of the real table takes its figure."""
    file = tmp_path / "README.md"
    file.write_text(README.read_text())

    fill_in(file, [Verdict(row, row.limit) for row in OWN])

    lines = file.read_text().splitlines()
    table = lines[lines.index(HEADER) + 2 :][: len(OWN)]
    shown = [line.split("|")[3].strip() for line in table]
    assert shown == [shown_value(Verdict(row, row.limit)) for row in OWN]


def test_a_target_without_a_check_is_an_error() -> None:
    """A row that nothing measures does not pass."""
    with pytest.raises(KeyError):
        judge([target("≤", 1.0)], CHECKS, Results())


def test_a_run_that_measured_nothing_meets_and_misses_nothing() -> None:
    """Every check of an empty run is without a figure."""
    assert {verdict.mark for verdict in judge(OWN, CHECKS, Results())} == {"–"}


def test_a_run_without_one_right_answer_is_judged_by_its_faults() -> None:
    """Scenarios that nobody answered leave latencies unmeasured and count as faults."""
    names = ("floor", "uncached", "past_nginx", "hit_memory", "sustained", "overload")
    dead = {name: outcome(name, answered=None, accepted=None, num_faults=3) for name in names}

    verdicts = judge(OWN, CHECKS, Results(outcomes=dead))

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

    found = {verdict.target.what: verdict.value for verdict in judge(OWN, CHECKS, results)}

    assert found["no cache: p99"] == pytest.approx(2.0)
    assert found["hit in memory: p50 above the floor"] == pytest.approx(0.25)
    assert found["what Nginx adds to p50"] == pytest.approx(1.5)
    assert found["3 × capacity: p50 of a refusal"] == pytest.approx(4.0)
    assert found["sustained, by wrk, one replica"] == 9000
    assert found["requests that Prometheus counts otherwise"] == 3
    assert found["hit in Redis: p50 above the floor"] is None
