"""What service has shown of a model: which rows are checked, and what may be kept until then."""

import pytest

from app.engine.proof import EVERY_ROWS, FIRST_ROWS, Proof


def trusted() -> Proof:
    """A proof whose first rows have passed, one by one."""
    proof = Proof()
    for _ in range(FIRST_ROWS):
        assert proof.choose(2, 2) is not None
        proof.passed(1, 1)
    return proof


def test_the_first_rows_are_all_due() -> None:
    """Of each shared run a request is checked until so many rows have passed."""
    assert trusted().num_passed == FIRST_ROWS


def test_then_one_row_in_a_thousand_is_due() -> None:
    """Runs are counted by their rows."""
    proof = trusted()

    chosen = [proof.choose(4, 100) is not None for _ in range(EVERY_ROWS // 100)]

    assert chosen == [*[False] * (EVERY_ROWS // 100 - 1), True]


def test_a_check_of_many_rows_puts_the_next_one_off() -> None:
    """However large requests are, one row in a thousand is run again."""
    proof = trusted()
    proof.passed(2, 10)

    assert proof.choose(2, 10 * EVERY_ROWS - 1) is None
    assert proof.choose(2, 1) is not None


def test_a_check_that_was_not_made_is_due_again() -> None:
    """While no lane is idle nothing passes, so the next run is asked for."""
    proof = Proof()

    assert [proof.choose(2, 2) is not None for _ in range(200)] == [True] * 200
    assert not proof.trusted


def test_every_position_has_its_turn() -> None:
    """A model that spoils the last rows of a run only is found out, too."""
    proof = Proof()

    assert {proof.choose(5, 5) for _ in range(5)} == {0, 1, 2, 3, 4}


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

    assert [proof.choose(2, EVERY_ROWS) for _ in range(3)] == [None] * 3
    assert proof.keeping == "nowhere"
