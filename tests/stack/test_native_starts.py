"""A service that ends at each of its starts, by the supervisord of the native stack."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.native.probes import MOST_ENDS, wait_until_ready
from ops.native.services import write_service
from ops.native.state import Folder, StackError, State
from ops.native.supervision import Supervisor
from tests.server import free_port, settled, wait_until

SERVICE = "api-1"


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    """One that has a single service, which runs for as long as the file `go` is there."""
    folder = Folder(tmp_path / "s")
    folder.make()
    script = f"[ -e {tmp_path}/go ] && exec sleep 60"
    write_service(folder, SERVICE, ["sh", "-c", script.replace('"', "'")])
    supervisor = Supervisor(folder)
    supervisor.start()
    yield supervisor
    supervisor.shut_down()
    wait_until(lambda: not supervisor.is_there)


def test_who_waits_is_told_that_it_ends(supervisor: Supervisor) -> None:
    """Its first starts are waited for, and no more."""
    state = State(0, 0, 0, 0, 0, "default", replicas={SERVICE: free_port()})

    with pytest.raises(StackError, match=f"{SERVICE} ended"):
        wait_until_ready([SERVICE], state, supervisor)


def test_it_is_started_until_it_runs(supervisor: Supervisor, tmp_path: Path) -> None:
    """However often it has ended: what it lacked may come back."""
    starts = set[int]()

    def failed() -> bool:
        starts.add(supervisor.processes()[SERVICE]["start"])
        return len(starts) > MOST_ENDS + 1

    wait_until(failed)
    (tmp_path / "go").touch()

    assert settled(lambda: supervisor.state_of(SERVICE), "RUNNING", 30.0) == "RUNNING"
