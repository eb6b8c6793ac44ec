"""The deciding half of microbatching: what goes together, and in which order."""

from collections.abc import Hashable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_pipeline.engine.batching.batch_queue import LEVEL_SECONDS, BatchQueue, WorkItem, head_start
from tests.fakes import FakeFuture

FOREVER = float("inf")


def item(
    num_rows: int = 1, group: Hashable = (), arrived: float = 0.0, deadline: float = FOREVER
) -> WorkItem:
    rows = {"x": np.zeros((num_rows, 1), np.float32)}
    return WorkItem(rows, num_rows, group, deadline, arrived, FakeFuture())  # type: ignore[arg-type]


def leave(one: WorkItem) -> None:
    """The caller of an item hangs up."""
    one.future.left = True  # type: ignore[attr-defined]


def filled(*items: WorkItem) -> BatchQueue:
    queue = BatchQueue()
    for one in items:
        queue.push(one)
    return queue


def test_new_queue_is_empty() -> None:
    """A queue starts with no items, no rows and no deadline."""
    queue = BatchQueue()

    assert (bool(queue), len(queue), queue.num_rows) == (False, 0, 0)
    assert queue.next_deadline == FOREVER


def test_take_of_nothing_is_empty() -> None:
    """Taking from an empty queue gives an empty batch."""
    assert BatchQueue().take(8) == []


def test_items_are_taken_in_order_of_arrival() -> None:
    """First come, first served."""
    first, second, third = item(arrived=1), item(arrived=2), item(arrived=3)
    queue = filled(first, second, third)

    assert queue.take(2) == [first, second]
    assert queue.take(2) == [third]


def test_batch_holds_at_most_max_rows() -> None:
    """An item that would go over the limit waits for the next batch."""
    queue = filled(item(3), item(3), item(2))

    batch = queue.take(5)

    assert [one.num_rows for one in batch] == [3]


def test_batch_may_be_filled_to_the_last_row() -> None:
    """Rows that reach the limit exactly go together."""
    queue = filled(item(3), item(2), item(1))

    assert [one.num_rows for one in queue.take(5)] == [3, 2]


def test_an_item_over_the_limit_goes_by_itself() -> None:
    """At least one item is taken, however many rows it has."""
    queue = filled(item(9), item(1))

    assert [one.num_rows for one in queue.take(4)] == [9]


def test_limit_of_zero_takes_one_item() -> None:
    """A limit of 0 rows means one item at a time."""
    queue = filled(item(), item())

    assert len(queue.take(0)) == 1


def test_groups_do_not_mix() -> None:
    """A batch holds items of one group only."""
    queue = filled(item(group="a"), item(group="b"), item(group="a"))

    assert [one.group for one in queue.take(8)] == ["a", "a"]
    assert [one.group for one in queue.take(8)] == ["b"]


def test_oldest_group_goes_first() -> None:
    """The group whose first item came first is taken first."""
    queue = filled(item(group="late", arrived=2), item(group="early", arrived=1))

    assert [one.group for one in queue.take(8)] == ["early"]


def test_lowest_priority_goes_first() -> None:
    """Of those that came at about the same time."""
    usual = item(group="usual", arrived=1.0)
    soon = item(group="soon", arrived=1.1)
    sooner = item(group="sooner", arrived=1.2)
    late = item(group="late", arrived=0.9)
    soon.head_start, sooner.head_start = head_start(2, 5), head_start(1, 5)
    late.head_start = head_start(5, 5)
    queue = filled(usual, soon, sooner, late)

    assert [queue.take(10) for _ in range(4)] == [[sooner], [soon], [usual], [late]]


@pytest.mark.parametrize("num_levels", [2, 3, 9])
def test_who_has_waited_long_enough_goes_first(num_levels: int) -> None:
    """The last priority overtakes the first, which keeps nobody waiting for longer than that."""
    longest = num_levels * LEVEL_SECONDS
    last = item(group="last", arrived=1.0)
    last.head_start = head_start(num_levels, num_levels)
    queue = filled(last)
    taken = []
    for number in range(100):  # each time one of the first priority has just come
        first = item(group="first", arrived=1.0 + 0.1 * number)
        first.head_start = head_start(1, num_levels)
        queue.push(first)
        taken += queue.take(1)
        if last in taken:
            break

    assert last in taken
    assert len(taken) - 1 <= longest / 0.1


def test_a_priority_beyond_the_levels_is_the_last() -> None:
    """Whatever is asked for, nobody is put further behind."""
    assert head_start(2**32 - 1, 3) == head_start(3, 3) < head_start(2, 3) == 0.0


def test_those_who_left_are_not_taken() -> None:
    """Items whose caller has gone are dropped on the way, and take no room in the batch."""
    queue = filled(item(2), item(2), item(2))
    leave(next(iter(queue)))

    batch = queue.take(4)

    assert [one.num_rows for one in batch] == [2, 2]
    assert queue.num_rows == 0


def test_take_passes_over_a_group_that_all_left() -> None:
    """A group without callers is emptied, and the next one is taken."""
    gone, here = item(group="a", arrived=1), item(group="b", arrived=2)
    queue = filled(gone, here)
    leave(gone)

    assert queue.take(8) == [here]


def test_take_is_empty_if_all_have_left() -> None:
    """With every caller gone there is no batch, and nothing left."""
    one, two = item(), item(group="b")
    queue = filled(one, two)
    leave(one)
    leave(two)

    assert queue.take(8) == []
    assert (bool(queue), queue.num_rows) == (False, 0)


def test_failed_batch_goes_back_to_the_front_one_by_one() -> None:
    """Items that are put back are taken before all others, in their order, each alone."""
    first, second, waiting = item(arrived=1), item(arrived=2), item(arrived=3)
    queue = filled(first, second)
    failed = queue.take(8)
    queue.push(waiting)

    queue.push_front(failed)

    assert [queue.take(8), queue.take(8), queue.take(8)] == [[first], [second], [waiting]]


def test_rows_put_back_are_counted() -> None:
    """Rows of a failed batch wait again."""
    queue = filled(item(2), item(3))

    queue.push_front(queue.take(8))

    assert (queue.num_rows, len(queue)) == (5, 2)


def test_nothing_expires_before_the_first_deadline() -> None:
    """Until the earliest deadline no item is late."""
    queue = filled(item(deadline=5.0), item(deadline=3.0))

    assert queue.expire(2.9) == []
    assert queue.next_deadline == 3.0


def test_only_what_is_late_expires() -> None:
    """At a deadline its item is taken out, the others stay, and the next deadline is known."""
    late, staying = item(2, deadline=3.0), item(4, deadline=5.0)
    queue = filled(staying, late)

    assert queue.expire(3.0) == [late]
    assert (list(queue), queue.num_rows, queue.next_deadline) == ([staying], 4, 5.0)


def test_items_keep_their_order_when_others_expire() -> None:
    """Expiry does not reorder what stays."""
    first, late, last = item(deadline=9.0), item(deadline=1.0), item(deadline=8.0)
    queue = filled(first, late, last)

    queue.expire(1.0)

    assert queue.take(8) == [first, last]


def test_deadline_is_forgotten_with_the_last_item() -> None:
    """An emptied queue waits for no deadline."""
    queue = filled(item(deadline=3.0))

    queue.take(8)

    assert queue.next_deadline == FOREVER


@settings(max_examples=100, deadline=None)
@given(
    sizes=st.lists(st.tuples(st.integers(1, 6), st.sampled_from("abc")), max_size=30),
    max_rows=st.integers(0, 8),
)
def test_each_item_is_taken_once_and_in_order(sizes: list[tuple[int, str]], max_rows: int) -> None:
    """Whatever is pushed comes out once, in order within its group, within the limit."""
    items = [item(rows, group, arrived=at) for at, (rows, group) in enumerate(sizes)]
    queue = filled(*items)

    batches = []
    while queue:
        batches.append(queue.take(max_rows))

    taken = [one for batch in batches for one in batch]
    for group in "abc":
        expected = [one for one in items if one.group == group]
        assert [one for one in taken if one.group == group] == expected
    for batch in batches:
        assert len({one.group for one in batch}) == 1
        assert len(batch) == 1 or sum(one.num_rows for one in batch) <= max_rows
    assert queue.num_rows == 0
