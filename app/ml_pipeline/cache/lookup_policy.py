"""Whether a look-up in the far tier is worth its time.

It is not when hardly anything is found there and computing the answer takes no longer than asking:
traffic that never repeats would only pay (a user of Triton measured 600 → 100 requests/s on unique
inputs with the cache on, triton-inference-server/server#4379). Then one key in `SAMPLE` is still
looked up and stored, chosen by the key itself, so that all replicas choose the same ones and the
hit rate among them is that of all keys
(spatial sampling: Waldspurger et al., SHARDS, FAST 2015). When it rises, everything is asked again.
"""

from collections.abc import Callable

from ml_pipeline.cache.base import LookupBudget

LOW, HIGH = 0.01, 0.02
"""Hit rates at which sampling begins and ends; the gap keeps it from flapping."""

WINDOW = 1024
"""Look-ups that the rate is taken over: at twice as many both counts are halved."""

TRUSTED_FROM = 256
"""Look-ups before the rate is believed."""

SAMPLE = 16
"""One key in so many: 6 % of the cost, and a change is noticed within some thousand requests."""


class _Rate:
    __slots__ = ("num_found", "num_looked", "sampled")

    def __init__(self) -> None:
        self.num_looked = 0
        self.num_found = 0
        self.sampled = False

    def update(self, num_looked: int, num_found: int) -> None:
        self.num_looked += num_looked
        self.num_found += num_found
        if self.num_looked >= 2 * WINDOW:
            self.num_looked //= 2
            self.num_found //= 2
        if self.num_looked >= TRUSTED_FROM:
            limit = HIGH if self.sampled else LOW
            self.sampled = self.num_found < limit * self.num_looked


class LookupPolicy:
    """Event loop only. Mutable state: hit rates by group.

    Args:
        far_seconds: Gives what a round trip to the far tier takes.
        always: Ask for every key, whether it pays or not.
    """

    def __init__(self, far_seconds: Callable[[], float], *, always: bool = False) -> None:
        self._far_seconds = far_seconds
        self._always = always
        self._rates: dict[str, _Rate] = {}

    def asks(self, key: bytes, budget: LookupBudget) -> bool:
        """Whether to look this key up, and to store it.

        Args:
            key: A digest: its first byte is as good as random.
            budget: Group and cost.
        """
        rate = self._rates.get(budget.group)
        if rate is None or not rate.sampled or key[0] % SAMPLE == 0:
            return True
        return budget.compute_seconds > self._far_seconds()

    def observe(self, group: str, num_looked: int, num_found: int) -> None:
        """Count look-ups that were answered."""
        if self._always:
            return
        rate = self._rates.get(group)
        if rate is None:
            rate = self._rates[group] = _Rate()
        rate.update(num_looked, num_found)
