"""Every scenario, in the order they are run."""

from __future__ import annotations

from bench.soak import million
from bench.soak.scenario import Scenario

SCENARIOS = (
    Scenario(
        "million",
        "What it keeps of a million requests is bounded: memory grows by 5 % at most after the "
        "first tenth, nothing leaks",
        million.run,
    ),
)
