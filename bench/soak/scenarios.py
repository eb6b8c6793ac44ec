"""Every scenario, in the order they are run."""

from __future__ import annotations

from bench.soak import kills, million
from bench.soak.scenario import Scenario

SCENARIOS = (
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
)
