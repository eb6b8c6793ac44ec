"""`python -m bench compare` proves that servers do the same work, and prints ratios of speed."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack

import pytest

from bench.contestants import BYPASS, MOSEC, MOSEC_JSON, MOSEC_SINGLE, OURS, Contestant, start
from bench.measurements.compare import ROWS, batch_request
from bench.request import Answer, AnswerError, send
from bench.same_answers import (
    CROWD,
    prove_bypass,
    prove_equal,
    prove_hits,
    send_all,
    various,
)
from tests.server import ROOT

LIMIT_SECONDS = 60.0
MOSECS = (MOSEC, MOSEC_JSON, MOSEC_SINGLE)


@pytest.fixture(scope="module")
def contestants() -> Iterator[Mapping[str, Contestant]]:
    with ExitStack() as opened:
        yield start(opened, [OURS, *MOSECS])


def compare(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "bench", "compare", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )


def labels(answers: Sequence[Answer]) -> list[list[str]]:
    """What each answer says of its rows."""
    return [json.loads(answer.body)["labels"] for answer in answers]


def rows_run(contestant: Contestant) -> float:
    """Rows that a server's model has run."""
    return contestant.server.metrics()[contestant.kind.rows_counter]


@pytest.mark.parametrize("name", MOSECS)
def test_mosec_answers_as_the_server_does(contestants: Mapping[str, Contestant], name: str) -> None:
    """Many requests at a time, joined or not, with either codec: each gets its own answer."""
    ours, theirs = contestants[OURS], contestants[name]
    requests = various(ours, 100)

    prove_equal(ours, theirs, requests)

    assert labels(send_all(theirs, requests)) == labels(send_all(ours, requests))


@pytest.mark.parametrize("name", [OURS, *MOSECS])
def test_a_bypass_runs_each_row(contestants: Mapping[str, Contestant], name: str) -> None:
    """Equal requests without the cache are not answered from one run."""
    before = rows_run(contestants[name])

    prove_bypass(contestants[name], BYPASS)

    assert rows_run(contestants[name]) - before == CROWD


def test_mosec_refuses_what_is_no_row(contestants: Mapping[str, Contestant]) -> None:
    """Input that is no table of numbers is a 422."""
    bad = type(BYPASS)(BYPASS.path, b'{"data": [["x"]]}', BYPASS.content_type)

    assert send(contestants[MOSEC].server.port, bad).status == 422


def test_equal_rows_prove_nothing(contestants: Mapping[str, Contestant]) -> None:
    """Answers that are all of one class are no proof."""
    ours = contestants[OURS]

    with pytest.raises(AnswerError, match="one class"):
        prove_equal(ours, contestants[MOSEC], [BYPASS])


def test_a_bypass_is_no_hit(contestants: Mapping[str, Contestant]) -> None:
    """The proof of hits fails where the model runs."""
    with pytest.raises(AnswerError, match="ran 1 rows"):
        prove_hits(contestants[OURS], [BYPASS])


def test_a_batch_holds_that_many_requests() -> None:
    """Each member of the measured batch is a row that bypasses the cache."""
    assert batch_request(3).body.count(b'"use_cache":false') == 3


def test_a_run_prints_its_ratios() -> None:
    """The smallest run against the ordinary implementation ends well, with both targets."""
    done = compare("--rounds", "1", "--seconds", "1", "--only", "uncached", "--only", "redis")

    assert done.returncode == 0, done.stderr
    assert "| one row, uncached | 32 |" in done.stdout
    assert "RPS × ordinary" in done.stdout
    assert done.stdout.count("| ≥ 8 |") == 2


def test_a_run_against_mosec_prints_its_ratio() -> None:
    """The smallest run against mosec ends well, with its target."""
    done = compare("--peer", "mosec", "--rounds", "1", "--seconds", "1", "--only", "alone")

    assert done.returncode == 0, done.stderr
    assert "p50 × mosec" in done.stdout


@pytest.mark.parametrize("peer", ROWS)
def test_an_unknown_row_is_refused_with_those_there_are(peer: str) -> None:
    """A typo in `--only` does not measure nothing."""
    done = compare("--peer", peer, "--only", "crwd")

    assert done.returncode == 2
    assert f"expected some of {', '.join(ROWS[peer])}, found crwd" in done.stderr
