"""Items put one by one, taken all at once; a taker that sleeps is woken, and one is enough."""

import asyncio

from app.cache.mailbox import Mailbox
from tests.fakes import turns


class Taker:
    """Waits, takes, and is busy for some turns of the loop, again and again.

    `taken` is what it got each time.
    """

    def __init__(self, mailbox: Mailbox[int], most: int = 100, busy: int = 1) -> None:
        self.taken: list[list[int]] = []
        self.num_wakes = 0
        self._mailbox = mailbox
        self._most = most
        self._busy = busy

    async def run(self) -> None:
        while True:
            await self._mailbox.wait()
            self.num_wakes += 1
            self.taken.append(self._mailbox.take(self._most))
            await turns(self._busy)


async def sleeping(*takers: Taker) -> "list[asyncio.Task[None]]":
    """Takers that wait for an item, the first one in front."""
    tasks = [asyncio.create_task(taker.run()) for taker in takers]
    await turns()
    return tasks


async def stopped(*tasks: "asyncio.Task[None]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_items_of_one_turn_are_taken_at_once() -> None:
    """What is put before the taker runs goes together, the oldest first."""
    mailbox: Mailbox[int] = Mailbox()
    taker = Taker(mailbox)
    tasks = await sleeping(taker)

    for item in range(50):
        mailbox.put(item)
    await turns()
    await stopped(*tasks)

    assert taker.taken == [list(range(50))]
    assert taker.num_wakes == 1


async def test_one_item_wakes_one_taker() -> None:
    """The one that has slept longest is woken; the others sleep on."""
    mailbox: Mailbox[int] = Mailbox()
    first, second = Taker(mailbox), Taker(mailbox)
    tasks = await sleeping(first, second)

    mailbox.put(1)
    await turns()
    await stopped(*tasks)

    assert (first.taken, second.taken) == ([[1]], [])
    assert second.num_wakes == 0


async def test_nobody_is_woken_for_nothing() -> None:
    """Items of one turn wake one taker; the next in line is still the next."""
    mailbox: Mailbox[int] = Mailbox()
    takers = [Taker(mailbox, busy=1000) for _ in range(3)]
    tasks = await sleeping(*takers)

    for items in ([1, 2], [3]):
        for item in items:
            mailbox.put(item)
        await turns()
    await stopped(*tasks)

    assert [taker.taken for taker in takers] == [[[1, 2]], [[3]], []]


async def test_what_comes_while_one_is_busy_goes_to_another() -> None:
    """An item after the first was taken wakes the next taker."""
    mailbox: Mailbox[int] = Mailbox()
    other = Taker(mailbox)
    tasks = await sleeping(other)

    mailbox.put(1)
    own = mailbox.take(10)
    mailbox.put(2)
    await turns()
    await stopped(*tasks)

    assert (own, other.taken) == ([1], [[2]])


async def test_what_is_left_wakes_another() -> None:
    """What is more than one may take goes to the next that sleeps, in order."""
    mailbox: Mailbox[int] = Mailbox()
    takers = [Taker(mailbox, 2, busy=1000) for _ in range(3)]
    tasks = await sleeping(*takers)

    for item in range(5):
        mailbox.put(item)
    await turns(10)
    await stopped(*tasks)

    assert [taker.taken for taker in takers] == [[[0, 1]], [[2, 3]], [[4]]]


async def test_wait_does_not_sleep_when_there_are_items() -> None:
    """A taker that comes late takes what is there."""
    mailbox: Mailbox[int] = Mailbox()
    mailbox.put(1)

    await asyncio.wait_for(mailbox.wait(), 10)

    assert mailbox.take(10) == [1]


async def test_taker_that_is_gone_is_passed_over() -> None:
    """A sleeper that was cancelled takes no item with it."""
    mailbox: Mailbox[int] = Mailbox()
    gone, living = Taker(mailbox), Taker(mailbox)
    tasks = await sleeping(gone, living)

    await stopped(tasks[0])
    mailbox.put(1)
    await turns()
    await stopped(tasks[1])

    assert (gone.taken, living.taken) == ([], [[1]])


async def test_taker_whose_items_were_taken_sleeps_again() -> None:
    """One that is woken for nothing takes nothing, and is woken by the next item."""
    mailbox: Mailbox[int] = Mailbox()
    taker = Taker(mailbox)
    tasks = await sleeping(taker)

    mailbox.put(1)
    mailbox.take(10)
    await turns()
    before = list(taker.taken)
    mailbox.put(2)
    await turns()
    await stopped(*tasks)

    assert (before, taker.taken) == ([], [[2]])


def test_take_takes_the_oldest() -> None:
    """At most so many are taken, the oldest first, and the rest is there the next time."""
    mailbox: Mailbox[int] = Mailbox()
    for item in range(5):
        mailbox.put(item)

    assert mailbox.take(2) == [0, 1]
    assert len(mailbox) == 3
    assert mailbox.take(10) == [2, 3, 4]


def test_sizes_add_up_to_no_more_than_the_most() -> None:
    """Items are weighed, and the first that would be too much is left with all after it."""
    mailbox: Mailbox[int] = Mailbox()
    for item in [3, 4, 3, 1]:
        mailbox.put(item)

    assert mailbox.take(10, lambda item: item) == [3, 4, 3]
    assert mailbox.take(10, lambda item: item) == [1]


def test_item_that_is_too_large_goes_alone() -> None:
    """An item over the most is taken by itself, neither with others nor never."""
    mailbox: Mailbox[int] = Mailbox()
    for item in [30, 1, 30]:
        mailbox.put(item)

    assert mailbox.take(10, lambda item: item) == [30]
    assert mailbox.take(10, lambda item: item) == [1]
    assert mailbox.take(10, lambda item: item) == [30]


def test_nothing_can_be_taken() -> None:
    """An empty mailbox gives nothing, and says that it is empty."""
    mailbox: Mailbox[int] = Mailbox()

    assert mailbox.take(10) == []
    assert len(mailbox) == 0
