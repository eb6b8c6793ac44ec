"""The child that reads graphs: it answers, ends by itself, and is replaced when it has died."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.engine.graph.process import GraphReader
from tests import models


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A model that draws at random."""
    path = tmp_path / "model.onnx"
    path.write_bytes(models.random_model())
    return path


@pytest.fixture
def reader() -> Iterator[GraphReader]:
    """One that stays for as long as the test needs it."""
    reader = GraphReader(60.0)
    yield reader
    reader.close()


def test_a_report_comes_back(reader: GraphReader, path: Path) -> None:
    """Of the model that was asked for."""
    reader.ask(path)

    assert reader.answer().random.startswith("Random")


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
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__init__.py").touch()
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


def test_a_child_that_is_not_asked_ends(path: Path) -> None:
    """And the next one is asked instead."""
    reader = GraphReader(0.2)
    reader.ask(path)
    reader.answer()
    first = reader.process_id
    assert first is not None
    os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)  # it ends, and nobody ended it

    reader.ask(path)

    assert reader.answer().random.startswith("Random")
    assert reader.process_id != first
    reader.close()


def test_a_child_that_died_is_replaced(reader: GraphReader, path: Path) -> None:
    """The report is the new one's."""
    reader.ask(path)
    reader.answer()
    assert reader.process_id is not None
    os.kill(reader.process_id, 9)

    reader.ask(path)

    assert reader.answer().random.startswith("Random")
