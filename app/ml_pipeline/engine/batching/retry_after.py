"""When to come again: whoever is refused is told a time at which there is room.

All who are refused in one moment and told to come again a second later would do so in one moment,
and most of them be refused again. So what each was told is noted, as work that will come then, and
a time is told no further once as much will come as can be done in it. A promise it is not: those
who come unannounced meanwhile take the same room, and the two cannot be told apart.
"""

from math import floor

SLOT_SECONDS = 0.025
"""Work is counted by slots of this length; in longer ones those of a slot would come together."""

RESERVED_SHARE = 0.6
"""Of a slot; the rest is for those who were told nothing, and for runs that take longer."""

HORIZON_SECONDS = 30
"""No later than so much after the earliest: how long the rush lasts, nobody knows."""

SLOTS_PER_SECOND = round(1 / SLOT_SECONDS)
MAX_SLOTS = 4 * HORIZON_SECONDS * SLOTS_PER_SECOND
"""Kept before those that have passed are thrown away; about half of them are still to come."""
SLOT_WORK_SECONDS = SLOT_SECONDS * RESERVED_SHARE


class RetrySchedule:
    """What was told of one model.

    Mutable state: seconds of work by slot; a slot is the clock's seconds divided by its length.
    """

    def __init__(self) -> None:
        self._reserved: dict[int, float] = {}

    def reserve(self, now: float, earliest_seconds: int, work_seconds: float) -> int:
        """Note work for the first time that has room for it, a whole number of seconds from now.

        Args:
            now: Any clock's seconds, always of the same one.
            earliest_seconds: Not before; at least 1.
            work_seconds: Of all lanes together.

        Returns:
            Those seconds; where there is no room at all, the latest that is ever told.
        """
        current = floor(now / SLOT_SECONDS)
        if len(self._reserved) > MAX_SLOTS:
            self._reserved = {
                slot: work for slot, work in self._reserved.items() if slot >= current
            }
        latest_seconds = earliest_seconds + HORIZON_SECONDS
        for seconds in range(earliest_seconds, latest_seconds):
            slot = current + seconds * SLOTS_PER_SECOND
            if self._room(slot) > 0.0:
                self._fill(slot, work_seconds)
                return seconds
        return latest_seconds

    def __len__(self) -> int:
        """Slots that something was told of, passed ones among them."""
        return len(self._reserved)

    def _room(self, slot: int) -> float:
        return SLOT_WORK_SECONDS - self._reserved.get(slot, 0.0)

    def _fill(self, slot: int, work_seconds: float) -> None:
        """Put work into a slot, and what does not fit into those behind it."""
        last = slot + HORIZON_SECONDS * SLOTS_PER_SECOND
        while work_seconds > 0.0 and slot < last:
            part = min(work_seconds, max(self._room(slot), 0.0))
            self._reserved[slot] = self._reserved.get(slot, 0.0) + part
            work_seconds -= part
            slot += 1
