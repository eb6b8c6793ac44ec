"""Which lane a test is of: what it starts decides, and so how long it takes and what it needs.

`unit` starts no process but the one that reads graphs, which the tests share, and takes no second;
a test of it that starts another is failed. `process` starts the server, Redis or a script, or takes
its time; `stack` starts Nginx or the whole native stack; `browser` drives Chromium as well;
`docker` needs a Docker engine. One line decides for all tests below it, and the longest that fits
is the one that counts.

Usage: python -m tests.lanes LANE, which prints where the tests of a lane are.
"""

import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

LINES = {
    "unit": (
        "tests/cache",
        "tests/engine",
        "tests/http",
        "tests/test_announcements.py",
        "tests/test_disproofs.py",
        "tests/test_docs.py",
        "tests/test_lanes.py",
        "tests/test_layers.py",
        "tests/test_metrics.py",
        "tests/test_pipeline.py",
        "tests/test_pipeline_proof.py",
        "tests/test_protocols.py",
        "tests/test_reload.py",
        "tests/test_settings.py",
        "tests/test_timings.py",
        "tests/test_trace_context.py",
        "tests/test_turn_collector.py",
    ),
    "process": (
        "tests/backend",
        "tests/bench",
        "tests/bombs",
        "tests/cache/test_broadcast.py",
        "tests/cache/test_contract.py",
        "tests/cache/test_pipeline_far.py",
        "tests/cache/test_redis.py",
        "tests/cache/test_redis_beat.py",
        "tests/cache/test_redis_faults.py",
        "tests/cache/test_redis_link.py",
        "tests/cache/test_redis_loop.py",
        "tests/cache/test_tiered.py::test_answer_of_one_replica_is_found_by_another",
        "tests/cache/test_tiered.py::test_without_redis_the_near_tier_goes_on",
        "tests/cache/test_wanted.py",
        "tests/engine/graph/test_process.py",
        "tests/engine/graph/test_random_graphs.py",
        "tests/engine/test_batcher_overdue.py",
        "tests/engine/test_cache_key.py::test_keys_last_longer_than_a_process",
        "tests/engine/test_custom_ops.py::test_a_package_that_is_missing_is_told",
        "tests/engine/test_loading.py",
        "tests/engine/test_model_content.py::test_a_model_is_loaded_beside_a_project_in_no_time",
        "tests/engine/test_real_disks.py::test_a_closed_folder_is_told",
        "tests/engine/test_real_disks.py::test_lost_and_found_is_ignored_closed",
        "tests/engine/test_trial.py::test_large_rows_are_tried_by_as_many_as_fit_into_memory",
        "tests/families",
        "tests/faults",
        "tests/http/test_hostile.py",
        "tests/http/test_leaving.py::test_clients_that_leave_are_counted",
        "tests/http/test_leaving.py::test_reloads_go_on_though_the_client_left",
        "tests/http/test_pipelining.py::test_reading_pauses_behind_one_that_waits",
        "tests/http/test_refusals.py::test_refusals_are_counted",
        "tests/http/test_refusals.py::test_refusals_are_problems",
        "tests/oip",
        "tests/ops",
        "tests/test_api_keys.py",
        "tests/test_hang_watch.py",
        "tests/test_layers.py::test_a_lone_server_does_not_load_the_redis_client",
        "tests/test_layers.py::test_the_core_runs_without_the_rest",
        "tests/test_layers.py::test_the_hot_path_runs_without_the_web",
        "tests/test_layers.py::test_the_server_does_not_load_the_onnx_package",
        "tests/test_loading.py",
        "tests/test_log.py",
        "tests/test_main.py",
        "tests/test_pipeline_proof.py::test_a_disproof_leaves_nothing_in_redis",
        "tests/test_pipeline_proof.py::test_accepted_answers_are_not_kept_in_redis",
        "tests/test_pipeline_proof.py::test_proven_answers_are_for_all",
        "tests/test_pipeline_proof.py::test_unproven_answers_stay_in_this_process",
        "tests/test_readme.py",
        "tests/test_tracing.py",
        "tests/web",
    ),
    "stack": ("tests/stack",),
    "browser": ("tests/browser",),
    "docker": (
        "tests/stack/test_compose.py",
        "tests/stack/test_compose_keys.py",
        "tests/stack/test_compose_production.py",
    ),
}

LANES = tuple(LINES)
TABLE = {line: lane for lane, lines in LINES.items() for line in lines}

SECONDS = {
    "tests/backend": 1800,
    "tests/bench": 1800,
    "tests/browser": 900,
    "tests/families": 1800,
    "tests/ops": 1800,  # installs
    "tests/stack": 900,
    "tests/stack/test_compose.py": 3600,  # builds images
    "tests/stack/test_compose_keys.py": 3600,
    "tests/stack/test_compose_production.py": 3600,
}
"""How long a test may take, its fixtures included, where that is more than pyproject.toml says."""


def lane_of(test: str, table: dict[str, str] = TABLE) -> str:
    """Give the lane of a test, by pytest's id for it.

    Raises:
        LookupError: No line of the table fits.
    """
    line = _closest(test, table)
    if line is None:
        raise LookupError(f"tests/lanes.py: expected a line for {test}, found none")
    return table[line]


def seconds_of(test: str) -> int | None:
    """Give how long a test may take, if that is more than the others."""
    line = _closest(test, SECONDS)
    return None if line is None else SECONDS[line]


def _closest(test: str, lines: Iterable[str]) -> str | None:
    function = test.split("[", 1)[0]
    fitting = [line for line in lines if f"{function}/".startswith((f"{line}/", f"{line}::"))]
    return max(fitting, key=len, default=None)


def paths_of(lane: str) -> list[str]:
    """Give the folders and modules that tests of a lane are in, none of which is in another."""
    paths = {line.partition("::")[0] for line in LINES[lane]}
    return sorted(path for path in paths if not paths.intersection(map(str, Path(path).parents)))


@contextmanager
def no_processes(test: str) -> Iterator[None]:
    """Refuse processes, but for the one that reads graphs.

    Not by an audit hook: with one, threads cannot begin at the same time under coverage.
    """
    start = subprocess.Popen.__init__

    def refuse(process: Any, command: Any, *arguments: Any, **options: Any) -> None:
        if "ml_pipeline.engine.graph" not in command:
            raise RuntimeError(
                f"{test}: expected no process of its own in the unit lane (tests/lanes.py), "
                f"found {command}"
            )
        start(process, command, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess.Popen, "__init__", refuse)
        yield


if __name__ == "__main__":
    print(*paths_of(sys.argv[1]), sep="\n")
