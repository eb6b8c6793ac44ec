"""Every scenario, in the order they are run: `promises.toml` has their names and promises."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from bench.soak import (
    clock,
    cross_site,
    deadlines,
    descriptors,
    disk,
    fair,
    hung_replica,
    kills,
    longer_tests,
    lost_reload,
    million,
    models,
    overload,
    pipelined,
    restarts,
    vanished,
)
from bench.soak.scenario import Finding, Run, Scenario

PROMISES = msgspec.toml.decode(
    Path(__file__).with_name("promises.toml").read_bytes(), type=dict[str, str]
)
RUNS: dict[str, Callable[[Run], Finding]] = {
    "overload": overload.three,
    "overload_10": overload.ten,
    "fair": fair.run,
    "pipelined": pipelined.run,
    "deadlines": deadlines.run,
    "vanished": vanished.run,
    "million": million.run,
    "kills": kills.run,
    "hung_replica": hung_replica.run,
    "restarts": restarts.run,
    "lost_reload": lost_reload.run,
    "models": models.run,
    "descriptors": descriptors.run,
    "disk": disk.run,
    "clock": clock.run,
    "cross_site": cross_site.run,
    "documented": longer_tests.documented,
    "any_order": longer_tests.any_order,
    "streams": longer_tests.streams,
    "tensors": longer_tests.tensors,
    "bombs": longer_tests.bombs,
    "graphs": longer_tests.graphs,
    "backend": longer_tests.backend,
}
SCENARIOS = tuple(Scenario(name, promise, RUNS[name]) for name, promise in PROMISES.items())
