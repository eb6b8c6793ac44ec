"""Every scenario, in the order they are run."""

from __future__ import annotations

from bench.soak import (
    backend,
    bad_input,
    bombs,
    clock,
    cross_site,
    deadlines,
    descriptors,
    disk,
    fair,
    graphs,
    hung_replica,
    kills,
    lost_reload,
    million,
    models,
    overload,
    pipelined,
    restarts,
    vanished,
)
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
        "pipelined",
        "A client that sends request upon request and waits for no answer holds nobody up: p99 of "
        "`/health` beside it is at most 20 ms, and memory grows by 32 MB at most, whether it reads "
        "its answers or not",
        pipelined.run,
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
        "Replicas that are killed cost no request but those that they were given, each of which "
        "gets a 503 with `Retry-After`, as long as one lives, and come back by themselves",
        kills.run,
    ),
    Scenario(
        "hung_replica",
        "One of three replicas that stands still costs no request: it is left out within 3 s, who "
        "waited for it is answered by another, p99 of those 3 s is 3 s at most, and as before "
        "afterwards",
        hung_replica.run,
    ),
    Scenario(
        "restarts",
        "Redis and Prometheus that are killed cost no request and little time; `/health` says "
        "degraded, then healthy again",
        restarts.run,
    ),
    Scenario(
        "lost_reload",
        "A reload that is made while Redis stands still, is killed or has hung up on who listens "
        "reaches every replica within 10 s after it is back, and costs no request",
        lost_reload.run,
    ),
    Scenario(
        "models",
        "A value that a model fails for costs nobody else an answer: who shares its batch, its "
        "model or its server gets the right one in time",
        models.run,
    ),
    Scenario(
        "descriptors",
        "More clients than there are descriptors for: who is connected is answered, who comes is "
        "hung up on, and a reload and Redis get theirs",
        descriptors.run,
    ),
    Scenario(
        "disk",
        "Whatever a reload finds in place of the model, the old one answers on, and a file that is "
        "right again is taken; a log that cannot be written costs no answer",
        disk.run,
    ),
    Scenario(
        "clock",
        "A clock that is set hours forwards or back costs no answer, moves no deadline, and keeps "
        "no cached answer beyond its time",
        clock.run,
    ),
    Scenario(
        "cross_site",
        "What a page of another site makes a browser send changes nothing, on a developer's server "
        "without a token and behind Nginx, also where the page's name leads to it; who may reload "
        "does",
        cross_site.run,
    ),
    Scenario(
        "documented",
        "Whatever fits the OpenAPI document, or does not, is answered as the document says: all "
        "checks of schemathesis",
        bad_input.documented,
    ),
    Scenario(
        "any_order",
        "Predictions, changes of models and outages of Redis in any order: each answer is the "
        "served model's, and a hit only where its answer has been stored",
        bad_input.any_order,
    ),
    Scenario(
        "streams",
        "Of bytes that are not quite HTTP nothing comes above 4xx but 505, nothing gets through "
        "that was hidden in another request, and the next request is answered; behind Nginx too",
        bad_input.streams,
    ),
    Scenario(
        "tensors",
        "A broken request under `/v2` is refused with 4xx within 10 s, and memory grows by 20 MB "
        "at most",
        bad_input.tensors,
    ),
    Scenario(
        "bombs",
        "A request that weighs more than it looks is refused with 4xx, takes 64 MB and 8 times its "
        "bytes at most, and keeps nobody waiting: p99 of `/health` beside them 20 ms",
        bombs.run,
    ),
    Scenario(
        "graphs",
        "A model that is said to keep the rows of a batch apart does: each row is answered as "
        "alone",
        graphs.run,
    ),
    Scenario(
        "backend",
        "Every model of ONNX's own backend suite that ONNX Runtime runs is served and answers as "
        "it does alone, in a crowd of 8 too; no graph is called independent whose rows change "
        "each other",
        backend.run,
    ),
)
