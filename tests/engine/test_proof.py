"""What service has shown of a model: which rows are checked, and what may be kept until then."""

import pytest

from ml_pipeline.engine.batching.proof import EVERY_ROWS, FIRST_ROWS, Proof


def evenly() -> Proof:
    """A proof whose checks come after as many rows each."""
    return Proof(spread=lambda: 1.0)


def trusted() -> Proof:
    """Such a proof whose first rows have passed, one by one."""
    proof = evenly()
    for _ in range(FIRST_ROWS):
        assert proof.choose(2, 2)
        proof.passed(1, 1)
    return proof


def test_the_first_rows_are_all_due() -> None:
    """Of each shared run all requests are checked until so many rows have passed."""
    proof = Proof()
    few = proof.choose(3, 3)
    many = proof.choose(100, 100)
    proof.passed(FIRST_ROWS - 2, FIRST_ROWS - 2)

    assert sorted(few) == [0, 1, 2]
    assert len(set(many)) == FIRST_ROWS
    assert len(proof.choose(100, 100)) == 2


def test_then_one_row_in_a_thousand_is_due() -> None:
    """Runs are counted by their rows."""
    proof = trusted()

    chosen = [len(proof.choose(4, 100)) for _ in range(EVERY_ROWS // 100)]

    assert chosen == [*[0] * (EVERY_ROWS // 100 - 1), 1]


def test_the_first_rows_put_nothing_off() -> None:
    """However many of them were run in one go."""
    proof = evenly()
    proof.choose(FIRST_ROWS, FIRST_ROWS)
    proof.passed(FIRST_ROWS, FIRST_ROWS)

    assert proof.choose(2, EVERY_ROWS - 1) == []
    assert len(proof.choose(2, 1)) == 1


def test_a_check_of_many_rows_puts_the_next_one_off() -> None:
    """However large requests are, one row in a thousand is run again."""
    proof = trusted()
    proof.passed(2, 10)

    assert proof.choose(2, 10 * EVERY_ROWS - 1) == []
    assert len(proof.choose(2, 1)) == 1


def test_a_check_that_was_not_made_is_due_again() -> None:
    """While no lane is idle nothing passes, so the next run is asked for."""
    proof = Proof()

    assert [len(proof.choose(2, 2)) for _ in range(200)] == [2] * 200
    assert not proof.trusted


def test_no_run_is_left_out_of_those_that_come_again_and_again() -> None:
    """The parts of a large request, say: of 64 and 37 rows the thousandth would be the latter's."""
    proof = Proof()
    proof.passed(FIRST_ROWS, FIRST_ROWS)
    found = set()
    for _ in range(1000):
        for size in (64, 37):
            if proof.choose(size, size):
                proof.passed(1, 1)
                found.add(size)

    assert found == {64, 37}


def test_every_place_has_its_turn() -> None:
    """A model that spoils the last rows of a run only is found out, too."""
    proof = trusted()

    assert {place for _ in range(5) for place in proof.choose(5, EVERY_ROWS)} == {0, 1, 2, 3, 4}


def test_what_may_be_kept_grows_with_the_proof() -> None:
    """Others are told once the first rows have passed, and nobody once one has failed."""
    proof = Proof()
    kept = [proof.keeping]
    proof.passed(FIRST_ROWS - 1, 1)
    kept.append(proof.keeping)
    proof.passed(1, 1)
    kept.append(proof.keeping)
    proof.refuted = True
    kept.append(proof.keeping)

    assert kept == ["here", "here", "everywhere", "nowhere"]


@pytest.mark.parametrize("proof", [Proof(accepted=True), trusted()], ids=["accepted", "refuted"])
def test_what_is_accepted_or_refuted_is_not_checked(proof: Proof) -> None:
    """There is nothing left to find out, and nothing to be kept."""
    proof.refuted = not proof.accepted

    assert [proof.choose(2, EVERY_ROWS) for _ in range(3)] == [[]] * 3
    assert proof.keeping == "nowhere"
