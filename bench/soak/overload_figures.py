"""What an overload showed, and what it must have."""

from __future__ import annotations

from typing import NamedTuple

from bench.soak.scenario import Finding

QUICK_DEADLINE = 20
"""Least deadline of the short form, in the times that capacity takes for a request: on a machine
that others use too, a single run may take longer than the long form's deadline."""


class Bounds(NamedTuple):
    """What is promised.

    Attributes:
        deadline_seconds: Of each request.
        in_time: Part of what is taken whose answer keeps it, since it was due.
        refusal_seconds: Of a refusal at the median, since it was due.
        let_in: Part of those who come again when told, after the burst has ended.
        growth: Of resident memory, from the first quarter of the overload to its end.
        normal_seconds: After the overload, until a lone request takes at most ...
        normal_factor: ... so many times what it took before.
    """

    deadline_seconds: float = 0.25
    in_time: float = 0.99
    refusal_seconds: float = 0.005
    let_in: float = 0.9
    growth: float = 0.1
    normal_seconds: float = 2.0
    normal_factor: float = 1.5


def quick_bounds(capacity: float) -> Bounds:
    """Give those of the short form, which must hold on a machine that others use too."""
    return Bounds(
        deadline_seconds=max(Bounds().deadline_seconds, QUICK_DEADLINE / capacity),
        in_time=0.5,
        refusal_seconds=0.05,
        let_in=0.6,
        normal_seconds=10.0,
        normal_factor=10.0,
    )


class Seen(NamedTuple):
    """The figures of a run.

    Attributes:
        times: Of capacity.
        capacity: Requests/s of a closed loop.
        num_requests: Of the overload; those of the burst before it are not counted.
        num_taken: Answered with 200.
        in_time: Part of those that kept their deadline, since they were due.
        late_seconds: p99 of those, likewise.
        refusal_seconds: p50 of those refused, likewise.
        num_again: Who came again when told, after the burst had ended.
        let_in: Part of those.
        longest: Retry-After in the burst, seconds.
        growth: Of resident memory.
        recovered_seconds: After the overload, until lone requests took as long as before.
        slower: How many times as long they took then.
        lag_seconds: p99 of how late the generator was.
        disturbance: Who else had the cores, in words.
        num_wrong: Answers of 200 that said something else than they must.
        num_unanswered: Requests without an answer, or with one of another status.
        num_untold: Refusals without a Retry-After.
    """

    times: float
    capacity: float
    num_requests: int
    num_taken: int
    in_time: float
    late_seconds: float
    refusal_seconds: float
    num_again: int
    let_in: float
    longest: int
    growth: float
    recovered_seconds: float
    slower: float
    lag_seconds: float
    disturbance: str
    num_wrong: int
    num_unanswered: int
    num_untold: int

    def finding(self, seconds: float, bounds: Bounds) -> Finding:
        """Judge them.

        Args:
            seconds: The overload took.
            bounds: That were promised.
        """
        return Finding(
            tried=f"{self.num_requests:,} requests of 128 rows in {seconds:.0f} s, {self.times:g} "
            f"× the {self.capacity:,.0f} a second that it can do",
            found=f"p99 of the {self.num_taken:,} taken {self.late_seconds * 1e3:.0f} ms; p50 of a "
            f"refusal {self.refusal_seconds * 1e3:.1f} ms; {self.let_in:.1%} of "
            f"{self.num_again:,} who came again as told, after up to {self.longest} s, let in; "
            f"memory {self.growth:+.1%}; lone requests as before after "
            f"{self.recovered_seconds:.1f} s; {self.num_wrong} wrong, {self.num_unanswered} "
            f"unanswered (the generator was late by {self.lag_seconds * 1e3:.0f} ms at p99; "
            f"{self.disturbance})",
            broken=[promise for promise, held in self._promises(bounds).items() if not held],
        )

    def _promises(self, bounds: Bounds) -> dict[str, bool]:
        return {
            f"what is taken: expected {bounds.in_time:.0%} within "
            f"{bounds.deadline_seconds * 1e3:.0f} ms, found {self.in_time:.1%}, p99 "
            f"{self.late_seconds * 1e3:.0f}": self.in_time >= bounds.in_time,
            f"p50 of a refusal: expected {bounds.refusal_seconds * 1e3:.0f} ms at most, found "
            f"{self.refusal_seconds * 1e3:.2f}": self.refusal_seconds <= bounds.refusal_seconds,
            f"who comes again when told: expected {bounds.let_in:.0%} let in, found "
            f"{self.let_in:.1%} of {self.num_again}": self.let_in >= bounds.let_in,
            f"memory: expected to grow by {bounds.growth:.0%} at most, found "
            f"{self.growth:.1%}": self.growth <= bounds.growth,
            f"lone requests: expected as before within {bounds.normal_seconds:.0f} s, found "
            f"{self.slower:.1f} × as long after "
            f"{self.recovered_seconds:.1f} s": self.recovered_seconds <= bounds.normal_seconds,
            f"answers: expected right ones, found {self.num_wrong} wrong": not self.num_wrong,
            f"answers: expected 200, 503 or 504 for each request, found {self.num_unanswered} "
            "without": not self.num_unanswered,
            f"refusals: expected a Retry-After each, found {self.num_untold} "
            "without": not self.num_untold,
            f"requests: expected some taken and some refused, found {self.num_taken} of "
            f"{self.num_requests} taken": 0 < self.num_taken < self.num_requests,
        }
