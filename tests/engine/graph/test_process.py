"""The child that reads graphs: it answers, rests, and is replaced when it has died."""

import os
from collections.abc import Iterator
from pathlib import Path
from threading import Thread, get_native_id

import pytest

from ml_pipeline.engine.graph.process import GraphReader
from tests import models
from tests.server import run_python, wait_until


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A model that draws at random."""
    path = tmp_path / "model.onnx"
    path.write_bytes(models.random_model())
    return path


@pytest.fixture
def reader() -> Iterator[GraphReader]:
    """One that stays for as long as the test needs it."""
    reader = GraphReader(lasting=True)
    yield reader
    reader.close()


def test_a_report_comes_back(reader: GraphReader, path: Path) -> None:
    """Of the model that was asked for."""
    reader.ask(path)

    assert reader.answer().random.startswith("Random")


def test_who_reads_in_turn_has_the_answer_when_it_has_asked(
    reader: GraphReader, path: Path
) -> None:
    """A load beside others computes on one core at a time: its child's, then its own."""
    reader.in_turn = True
    reader.ask(path)
    reader.close()

    assert reader.answer().random.startswith("Random")
    assert reader.process_id is None  # nobody was asked again


def test_one_child_reads_many(reader: GraphReader, path: Path) -> None:
    """Starting it is what takes time."""
    reader.ask(path)
    reader.answer()
    first = reader.process_id
    reader.ask(path)
    reader.answer()

    assert reader.process_id == first


def test_a_folder_of_the_same_name_beside_the_caller_is_not_taken_for_it(
    reader: GraphReader, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server may be started where somebody keeps a package `app` of their own."""
    (tmp_path / "ml_pipeline").mkdir()
    (tmp_path / "ml_pipeline" / "__init__.py").touch()
    monkeypatch.chdir(tmp_path)
    reader.ask(path)

    assert reader.answer().random.startswith("Random")


def test_an_answer_that_nobody_waited_for_is_left_out(
    reader: GraphReader, path: Path, tmp_path: Path
) -> None:
    """Its model could not be loaded; the next one's report is not its."""
    other = tmp_path / "other.onnx"
    other.write_bytes(models.scale_model())
    reader.ask(path)
    reader.ask(other)

    assert reader.answer().random == ""


def test_a_reader_that_rests_has_no_child_soon(path: Path) -> None:
    """It leaves nothing behind, and has another when it is asked again."""
    reader = GraphReader(linger_seconds=0.05)
    reader.in_turn = True
    reader.ask(path)
    reader.answer()
    first = reader.process_id
    assert first is not None

    reader.rest()

    wait_until(lambda: reader.process_id is None)
    assert not Path(f"/proc/{first}").exists()
    reader.ask(path)
    assert reader.answer().random.startswith("Random")
    reader.close()


def test_a_child_that_rests_is_asked_again(path: Path) -> None:
    """A load behind another starts none: that took longer than all else in it."""
    reader = GraphReader(linger_seconds=60.0)
    reader.in_turn = True
    children = set()
    for _ in range(3):
        reader.start()
        reader.ask(path)
        assert reader.answer().random.startswith("Random")
        children.add(reader.process_id)
        reader.rest()
    reader.close()

    assert len(children) == 1


def test_a_child_that_rests_is_replaced_by_one_as_nice_as_who_asks() -> None:
    """One that was started by a thread of another niceness would disturb clients."""
    reader = GraphReader(linger_seconds=60.0)
    reader.in_turn = True
    reader.start()
    first = reader.process_id
    reader.rest()

    def ask_nicely() -> None:
        os.setpriority(os.PRIO_PROCESS, get_native_id(), 5)
        reader.start()

    thread = Thread(target=ask_nicely)
    thread.start()
    thread.join()
    second = reader.process_id
    assert second is not None
    niceness = os.getpriority(os.PRIO_PROCESS, second)
    reader.close()

    assert first != second
    assert niceness == 5


def test_a_child_ends_with_its_server() -> None:
    """However that ends: nobody is left to ask it."""
    script = (
        "import os; from ml_pipeline.engine.graph.process import GraphReader; "
        "reader = GraphReader(); reader.start(); print(reader.process_id, flush=True); os._exit(1)"
    )

    told = run_python(script).stdout.strip()
    child = Path("/proc", told, "cmdline")

    assert told.isdigit()
    wait_until(lambda: not child.exists() or not child.read_bytes())  # gone, or not yet buried


def test_a_child_that_died_is_replaced(reader: GraphReader, path: Path) -> None:
    """The report is the new one's."""
    reader.ask(path)
    reader.answer()
    assert reader.process_id is not None
    os.kill(reader.process_id, 9)

    reader.ask(path)

    assert reader.answer().random.startswith("Random")


def test_a_child_does_not_outlast_a_start(path: Path) -> None:
    """What follows a start is no other load, and memory is counted then."""
    reader = GraphReader(linger_seconds=60.0)
    reader.ask(path)
    reader.answer()

    reader.rest()

    assert reader.process_id is None
