"""Every scenario, in the order they are run."""

from __future__ import annotations

from bench.soak import deadlines, fair, kills, million, models, overload, vanished
from bench.soak.scenario import Scenario

SCENARIOS = (
    Scenario(
        "overload",
        "At 3 × capacity, each request with a deadline of 250 ms, p99 of what is taken keeps it; "
        "the rest is refused within 5 ms, and who comes again when told is let in (90 %)",
        overload.three,
    ),
    Scenario(
        "overload_10",
        "At 10 × capacity too; memory stays (10 %), and 2 s later a lone request takes as long as "
        "before (1.5 ×)",
        overload.ten,
    ),
    Scenario(
        "fair",
        "Behind Nginx a greedy client starves nobody: each of twenty modest ones gets every "
        "answer, p99 at most 3 × what it is alone (or 25 ms); the greedy one is told when to "
        "come again",
        fair.run,
    ),
    Scenario(
        "deadlines",
        "A deadline counts from a request's first byte and is kept: an answer comes 50 ms after "
        "it at most, and no row is run whose deadline has passed, or whose client has hung up",
        deadlines.run,
    ),
    Scenario(
        "vanished",
        "Of 10,000 clients that vanish amid what they do nothing is kept: memory grows by 5 % at "
        "most after the first tenth, descriptors, tasks and queue are as before",
        vanished.run,
    ),
    Scenario(
        "million",
        "What it keeps of a million requests is bounded: memory grows by 5 % at most after the "
        "first tenth, nothing leaks",
        million.run,
    ),
    Scenario(
        "kills",
        "A replica killed each second loses no request, and comes back by itself",
        kills.kill_replicas,
    ),
    Scenario(
        "restarts",
        "Redis and Prometheus may be killed: no request is lost, none waits",
        kills.restart_services,
    ),
    Scenario(
        "models",
        "A model whose run raises, lacks rows, takes 10 s or wants more memory than there is "
        "spoils no other request, not even of its own batch",
        models.run,
    ),
)
