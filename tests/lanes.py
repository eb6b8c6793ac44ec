"""Which lane a test is of: what it starts decides, and so how long it takes and what it needs.

`unit` starts no process but the one that reads graphs, which the tests share; a test of it that
does is failed. `process` starts the server, Redis or a script; `stack` starts Nginx or the whole
native stack; `browser` drives Chromium as well; `docker` needs a Docker engine. One line decides
for all tests below it, and the longest that fits is the one that counts.
"""

import sys
from pathlib import Path
from typing import Any

LANES = ("unit", "process", "stack", "browser", "docker")

TABLE = {
    "tests/backend": "process",
    "tests/bench": "process",
    "tests/bombs": "process",
    "tests/browser": "browser",
    "tests/cache": "unit",
    "tests/cache/test_broadcast.py": "process",
    "tests/cache/test_contract.py": "process",
    "tests/cache/test_redis.py": "process",
    "tests/cache/test_redis_beat.py": "process",
    "tests/cache/test_redis_faults.py": "process",
    "tests/cache/test_redis_link.py": "process",
    "tests/cache/test_redis_loop.py": "process",
    "tests/cache/test_tiered.py::test_answer_of_one_replica_is_found_by_another": "process",
    "tests/cache/test_tiered.py::test_without_redis_the_near_tier_goes_on": "process",
    "tests/cache/test_wanted.py": "process",
    "tests/engine": "unit",
    "tests/engine/graph/test_process.py": "process",
    "tests/engine/test_cache_key.py::test_keys_last_longer_than_a_process": "process",
    "tests/engine/test_custom_ops.py::test_a_package_that_is_missing_is_told": "process",
    "tests/engine/test_real_disks.py::test_a_closed_folder_is_told": "process",
    "tests/engine/test_real_disks.py::test_lost_and_found_is_ignored_closed": "process",
    "tests/families": "process",
    "tests/faults": "process",
    "tests/http": "unit",
    "tests/http/test_hostile.py": "process",
    "tests/http/test_leaving.py::test_clients_that_leave_are_counted": "process",
    "tests/http/test_leaving.py::test_reloads_go_on_though_the_client_left": "process",
    "tests/http/test_refusals.py::test_refusals_are_counted": "process",
    "tests/http/test_refusals.py::test_refusals_are_problems": "process",
    "tests/oip": "process",
    "tests/ops": "process",
    "tests/soak": "process",
    "tests/stack": "stack",
    "tests/stack/test_compose.py": "docker",
    "tests/stack/test_compose_keys.py": "docker",
    "tests/stack/test_compose_production.py": "docker",
    "tests/test_api_keys.py": "process",
    "tests/test_disproofs.py": "unit",
    "tests/test_docs.py": "unit",
    "tests/test_hang_watch.py": "process",
    "tests/test_lanes.py": "unit",
    "tests/test_layers.py": "unit",
    "tests/test_layers.py::test_a_lone_server_does_not_load_the_redis_client": "process",
    "tests/test_layers.py::test_the_core_runs_without_the_rest": "process",
    "tests/test_layers.py::test_the_hot_path_runs_without_the_web": "process",
    "tests/test_layers.py::test_the_server_does_not_load_the_onnx_package": "process",
    "tests/test_loading.py": "process",
    "tests/test_log.py": "process",
    "tests/test_main.py": "process",
    "tests/test_metrics.py": "unit",
    "tests/test_pipeline.py": "unit",
    "tests/test_pipeline_far.py": "process",
    "tests/test_pipeline_proof.py": "unit",
    "tests/test_pipeline_proof.py::test_a_disproof_leaves_nothing_in_redis": "process",
    "tests/test_pipeline_proof.py::test_accepted_answers_are_not_kept_in_redis": "process",
    "tests/test_pipeline_proof.py::test_proven_answers_are_for_all": "process",
    "tests/test_pipeline_proof.py::test_unproven_answers_stay_in_this_process": "process",
    "tests/test_readme.py": "process",
    "tests/test_reload.py": "unit",
    "tests/test_settings.py": "unit",
    "tests/test_trace_context.py": "unit",
    "tests/test_tracing.py": "process",
    "tests/web": "process",
}


def lane_of(test: str, table: dict[str, str] = TABLE) -> str:
    """Give the lane of a test, by pytest's id for it.

    Raises:
        LookupError: No line of the table fits.
    """
    function = test.split("[", 1)[0]
    fitting = [line for line in table if f"{function}/".startswith((f"{line}/", f"{line}::"))]
    if not fitting:
        raise LookupError(f"tests/lanes.py: expected a line for {function}, found none")
    return table[max(fitting, key=len)]


class ProcessGuard:
    """Refuses processes while a test of the unit lane runs.

    Mutable state: the test, or None while processes may be started.
    """

    READS_GRAPHS = "ml_pipeline.engine.graph"

    def __init__(self) -> None:
        self.test: str | None = None
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.test is None or event != "subprocess.Popen" or self.READS_GRAPHS in arguments[1]:
            return
        raise RuntimeError(
            f"{self.test}: expected no process of its own in the unit lane (tests/lanes.py), "
            f"found {Path(arguments[0]).name}"
        )
