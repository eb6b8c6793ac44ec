"""Files become models by their layout; a reload replaces them without anybody noticing."""

import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from ml_pipeline.engine.files.model_files import find_models
from ml_pipeline.engine.graph.process import GraphReader
from ml_pipeline.engine.model.model import Model
from ml_pipeline.engine.model.repository import Repository
from ml_pipeline.engine.model.source import EngineOptions
from ml_pipeline.errors import InferenceError, ModelLoadError, ModelNotFound
from tests.conftest import Serve, Served, WriteModel, with_batch
from tests.models import (
    externally_weighted_model,
    graph,
    loop_model,
    network_model,
    node,
    save_in_ort_format,
    save_with_external_weights,
    scale_model,
    tensor,
    width_free_model,
)

ROW = [[1.0, 2.0, 3.0]]
OLD, NEW = [[2.0, 4.0, 6.0]], [[3.0, 6.0, 9.0]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder for models."""
    path = tmp_path / "repository"
    path.mkdir()
    return path


def put(path: Path, factor: float = 2.0, **metadata: object) -> None:
    """Write a model, and metadata beside it as its layout wants."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(scale_model(factor))
    if metadata:
        own = "metadata.json" if path.name == "model.onnx" else f"{path.stem}.json"
        (path.parent / own).write_text(json.dumps(metadata))


def found(path: Path) -> list[tuple[str, str, str | None]]:
    """Name, version and metadata file of each model under a path that is to be served."""
    return [
        (file.name, file.version, file.metadata_path.name if file.metadata_path else None)
        for file in find_models(path)
        if file.chosen
    ]


# Layouts.


def test_flat_model_takes_the_metadata_beside_it(folder: Path) -> None:
    """One `.onnx` file in a folder goes with `model_metadata.json`."""
    put(folder / "wine.onnx")
    (folder / "model_metadata.json").write_text("{}")

    assert found(folder) == [("wine", "1", "model_metadata.json")]


def test_own_metadata_stands_before_the_shared(folder: Path) -> None:
    """`NAME.json` is nearer to `NAME.onnx` than `model_metadata.json`."""
    put(folder / "wine.onnx", model_type="regressor")
    (folder / "model_metadata.json").write_text("{}")

    assert found(folder) == [("wine", "1", "wine.json")]


def test_several_flat_models_have_metadata_of_their_own(folder: Path) -> None:
    """Of several `.onnx` files each goes with its `NAME.json`, none with the shared file."""
    put(folder / "b.onnx", model_type="regressor")
    put(folder / "a.onnx")
    (folder / "model_metadata.json").write_text("{}")

    assert found(folder) == [("a", "1", None), ("b", "1", "b.json")]


def test_lone_file_is_a_repository(folder: Path) -> None:
    """A path to one file serves that file, whatever lies beside it."""
    put(folder / "a.onnx")
    put(folder / "b.onnx")
    (folder / "model_metadata.json").write_text("{}")

    assert found(folder / "a.onnx") == [("a", "1", "model_metadata.json")]


def test_highest_version_is_served(folder: Path) -> None:
    """Versions are numbers: 10 is higher than 9."""
    for version in ("1", "9", "10"):
        put(folder / "wine" / version / "model.onnx")

    assert found(folder) == [("wine", "10", None)]


def test_version_takes_the_metadata_in_its_folder(folder: Path) -> None:
    """`metadata.json` beside `model.onnx` belongs to that version."""
    put(folder / "wine" / "1" / "model.onnx", model_type="regressor")
    put(folder / "wine" / "2" / "model.onnx")

    assert found(folder) == [("wine", "2", None)]


def test_version_folders_without_a_model_do_not_count(folder: Path) -> None:
    """What is no number, or holds no `model.onnx`, is no version."""
    put(folder / "wine" / "1" / "model.onnx")
    put(folder / "wine" / "next" / "model.onnx")
    (folder / "wine" / "2").mkdir()
    (folder / "wine" / "3").write_text("")
    (folder / "notes.txt").write_text("")

    assert found(folder) == [("wine", "1", None)]


def test_layouts_may_be_mixed(folder: Path) -> None:
    """A folder may hold flat and versioned models side by side."""
    put(folder / "flat.onnx")
    put(folder / "deep" / "4" / "model.onnx")

    assert found(folder) == [("flat", "1", None), ("deep", "4", None)]


async def test_versions_are_told_on_the_wire(folder: Path, serve: Serve) -> None:
    """A versioned model answers with its folder's name and number."""
    put(folder / "wine" / "9" / "model.onnx", 2.0)
    put(folder / "wine" / "10" / "model.onnx", 3.0)
    served = await serve(folder)

    reply = await served.ask(ROW)

    info = reply.answer["model_info"]
    assert (info["model_name"], info["model_version"]) == ("wine", "10")
    assert reply.predictions.tolist() == NEW


# Which model answers.


async def test_only_model_needs_no_name(folder: Path, serve: Serve) -> None:
    """A request without a model's name goes to the only one."""
    put(folder / "a.onnx")
    served = await serve(folder)

    assert served.repository.get(None) is served.repository.get("a")


async def test_each_model_answers_to_its_name(folder: Path, serve: Serve) -> None:
    """Of several models the one that is asked for answers."""
    put(folder / "a.onnx", 2.0)
    put(folder / "b.onnx", 3.0, model_name="c")
    served = await serve(folder)

    replies = [await served.ask(ROW, model=name) for name in ("a", "c")]

    assert [reply.predictions.tolist() for reply in replies] == [OLD, NEW]


async def test_models_are_listed_by_name(folder: Path, serve: Serve) -> None:
    """`models` is in the order of the names on the wire."""
    put(folder / "a.onnx", model_name="z")
    put(folder / "b.onnx")
    served = await serve(folder)

    assert [model.name for model in served.repository.models] == ["b", "z"]


@pytest.mark.parametrize(
    ("asked", "told"), [(None, "found none"), ("c", "found 'c'"), ("", "found ''")]
)
async def test_unknown_model_is_told_with_the_choices(
    asked: str | None, told: str, folder: Path, serve: Serve
) -> None:
    """No name where there are several models, or a wrong one, is answered with their names."""
    put(folder / "a.onnx")
    put(folder / "b.onnx")
    served = await serve(folder)

    with pytest.raises(ModelNotFound, match=f"^model: expected one of a, b, {told}$"):
        served.repository.get(asked)


async def test_wrong_name_is_not_answered_by_the_only_model(folder: Path, serve: Serve) -> None:
    """A name that is given has to be right, also where there is one model."""
    put(folder / "a.onnx")
    served = await serve(folder)

    with pytest.raises(ModelNotFound, match="expected one of a, found 'b'"):
        served.repository.get("b")


# What cannot be loaded.


def test_missing_path_is_refused(folder: Path) -> None:
    """A MODEL_PATH that is not there is named."""
    with pytest.raises(ModelLoadError, match=r"gone: expected a file or folder, found nothing"):
        find_models(folder / "gone")


def test_empty_folder_is_refused(folder: Path) -> None:
    """A MODEL_PATH without models is told what could lie there."""
    with pytest.raises(ModelLoadError, match=r"expected \*\.onnx or NAME/VERSION/model\.onnx"):
        find_models(folder)


def unknown_operator() -> bytes:
    """A graph with an operator that no library has."""
    x, y = tensor("x", "float32", [None, 3]), tensor("y", "float32", [None, 3])
    return graph([node("NoSuchOperator", ["x"], ["y"])], [x], [y])


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"not a model\n" * 100, id="text"),
        pytest.param(b"\0" * 4096, id="zeros"),
        pytest.param(scale_model()[:-10], id="truncated"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + bytes(range(256)), id="image"),
        pytest.param(unknown_operator(), id="unknown-operator"),
    ],
)
async def test_file_that_is_no_model_is_refused(
    content: bytes, write_model: WriteModel, serve: Serve
) -> None:
    """A file that ONNX Runtime cannot read is a load error in one line that names it."""
    path = write_model(content)

    with pytest.raises(ModelLoadError, match=r"^model\.onnx: [^\n]+$"):
        await serve(path)


async def test_folder_named_like_a_model_is_refused(folder: Path, serve: Serve) -> None:
    """A directory `x.onnx` is no model, and says so."""
    (folder / "x.onnx").mkdir()

    with pytest.raises(ModelLoadError, match=r"x\.onnx: expected an ONNX file"):
        await serve(folder)


async def test_two_models_of_one_name_are_refused(folder: Path, serve: Serve) -> None:
    """Names on the wire are unique."""
    put(folder / "a.onnx")
    put(folder / "b.onnx", model_name="a")

    with pytest.raises(ModelLoadError, match="model_name: expected one 'a', found two"):
        await serve(folder)


# Reload.


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until something holds; some seconds at most."""
    for _ in range(5000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise TimeoutError("what the test waits for did not happen")


def is_busy(model: Model) -> bool:
    """Whether a run is under way in a lane."""
    return "| 0 running]" not in repr(model.batcher)


async def test_reload_serves_the_new_file(write_model: WriteModel, serve: Serve) -> None:
    """After a reload the new file answers."""
    served = await serve(write_model(scale_model(2.0)))
    before = await served.ask(ROW)
    write_model(scale_model(3.0))

    await served.repository.reload()

    assert [before.predictions.tolist(), (await served.ask(ROW)).predictions.tolist()] == [OLD, NEW]


async def test_stale_answer_is_never_served(write_model: WriteModel, serve: Serve) -> None:
    """An answer that was cached for the old file is no hit for the new one."""
    served = await serve(write_model(scale_model(2.0)))
    await served.ask(ROW)
    write_model(scale_model(3.0))

    await served.repository.reload()

    assert (await served.ask(ROW)).timings.cache_state == "miss"


async def test_same_file_keeps_its_cached_answers(write_model: WriteModel, serve: Serve) -> None:
    """A reload of what has not changed costs no cached answer."""
    served = await serve(write_model(scale_model()))
    await served.ask(ROW)

    await served.repository.reload()

    assert (await served.ask(ROW)).timings.cache_state == "l1"


async def test_new_external_weights_are_new_content(folder: Path, serve: Serve) -> None:
    """Weights in a file of their own belong to the model: new ones make cached answers stale."""
    save_with_external_weights(folder / "model.onnx", 2.0)
    served = await serve(folder)
    await served.ask(ROW)
    save_with_external_weights(folder / "model.onnx", 3.0)

    await served.repository.reload()

    assert (await served.ask(ROW)).predictions.tolist() == NEW


async def test_weights_in_a_folder_below_are_content_too(folder: Path, serve: Serve) -> None:
    """Also there a new file is a new model."""
    (folder / "parts").mkdir()
    (folder / "model.onnx").write_bytes(externally_weighted_model("parts/weights.bin"))
    np.full(3, 2, np.float32).tofile(folder / "parts" / "weights.bin")
    served = await serve(folder)
    before = await served.ask(ROW)

    np.full(3, 3, np.float32).tofile(folder / "parts" / "weights.bin")
    await served.repository.reload()

    assert before.predictions.tolist() == OLD
    assert (await served.ask(ROW)).predictions.tolist() == NEW


@pytest.mark.parametrize("location", ["../secret.bin", "parts/../../secret.bin", "link.bin", None])
async def test_weights_outside_of_the_models_folder_are_refused(
    folder: Path, serve: Serve, location: str | None
) -> None:
    """By a path upwards, an absolute one, or a link."""
    secret = folder.parent / "secret.bin"
    np.full(3, 2, np.float32).tofile(secret)
    (folder / "link.bin").symlink_to(secret)
    (folder / "model.onnx").write_bytes(externally_weighted_model(location or str(secret)))

    with pytest.raises(ModelLoadError, match="External data path validation failed"):
        await serve(folder)


async def test_ort_format_is_served(folder: Path, serve: Serve) -> None:
    """Flat, and as a version."""
    (folder / "many" / "3").mkdir(parents=True)
    save_in_ort_format(folder / "flat.ort", scale_model(2.0))
    save_in_ort_format(folder / "many" / "3" / "model.ort", scale_model(3.0))

    served = await serve(folder)

    assert (await served.ask(ROW, model="flat")).predictions.tolist() == OLD
    assert (await served.ask(ROW, model="many")).predictions.tolist() == NEW


async def test_reload_finds_new_models_and_forgets_gone_ones(folder: Path, serve: Serve) -> None:
    """The folder decides which models there are, each time anew."""
    put(folder / "a.onnx")
    served = await serve(folder)
    (folder / "a.onnx").rename(folder / "b.onnx")

    loaded = await served.repository.reload()

    assert [model.name for model in loaded] == ["b"]
    with pytest.raises(ModelNotFound):
        served.repository.get("a")


async def test_reload_serves_a_new_version(folder: Path, serve: Serve) -> None:
    """A higher version that appears is the one that is served."""
    put(folder / "wine" / "1" / "model.onnx", 2.0)
    served = await serve(folder)
    put(folder / "wine" / "2" / "model.onnx", 3.0)

    await served.repository.reload()

    assert (await served.ask(ROW)).predictions.tolist() == NEW


@pytest.mark.parametrize(
    "content", [b"", b"broken", scale_model()[:-10]], ids=["empty", "text", "truncated"]
)
async def test_broken_file_leaves_the_old_model_serving(
    content: bytes, write_model: WriteModel, serve: Serve
) -> None:
    """A reload that fails says so and changes nothing."""
    served = await serve(write_model(scale_model()))
    old = served.repository.get(None)
    write_model(content)

    with pytest.raises(ModelLoadError):
        await served.repository.reload()

    assert served.repository.get(None) is old
    assert (await served.ask(ROW)).predictions.tolist() == OLD


async def test_one_broken_file_replaces_none(folder: Path, serve: Serve) -> None:
    """Where one of several new files is bad, none of the models is replaced."""
    put(folder / "a.onnx", 2.0)
    put(folder / "b.onnx", 2.0)
    served = await serve(folder)
    put(folder / "a.onnx", 3.0)
    (folder / "b.onnx").write_bytes(b"broken")

    with pytest.raises(ModelLoadError, match=r"b\.onnx"):
        await served.repository.reload()

    assert (await served.ask(ROW, model="a")).predictions.tolist() == OLD


async def test_repair_after_a_failed_reload_is_taken(write_model: WriteModel, serve: Serve) -> None:
    """A failed reload does not stand in the way of the next one."""
    served = await serve(write_model(scale_model(2.0)))
    write_model(b"broken")
    with pytest.raises(ModelLoadError):
        await served.repository.reload()
    write_model(scale_model(3.0))

    await served.repository.reload()

    assert (await served.ask(ROW)).predictions.tolist() == NEW


async def test_requests_under_way_finish_on_the_old_model(
    write_model: WriteModel, serve: Serve, pool_mode: EngineOptions
) -> None:
    """A request that was running when the model was replaced gets the old model's answer."""
    served = await serve(write_model(loop_model(2.0)), pool_mode)
    old = served.repository.get(None)
    running = asyncio.create_task(served.ask([[40_000]]))
    await until(lambda: is_busy(old))
    write_model(loop_model(3.0))

    await served.repository.reload()

    assert (await served.ask([[5]])).predictions.tolist() == [15.0]
    assert (await running).predictions.tolist() == [80_000.0]


async def test_requests_in_the_queue_finish_on_the_old_model(
    write_model: WriteModel, serve: Serve, pool_mode: EngineOptions
) -> None:
    """Rows that waited for a lane when the model was replaced are run, by the old model."""
    one_lane = msgspec.structs.replace(pool_mode, num_sessions=1)
    served = await serve(write_model(loop_model(2.0)), one_lane)
    old = served.repository.get(None)
    running = asyncio.create_task(served.ask([[40_000]]))
    await until(lambda: is_busy(old))
    waiting = [asyncio.create_task(served.ask([[value]])) for value in (3, 4)]
    await until(lambda: "[2 requests" in repr(old.batcher))
    write_model(loop_model(3.0))

    await served.repository.reload()

    replies = await asyncio.gather(running, *waiting)
    assert [reply.predictions.tolist() for reply in replies] == [[80_000.0], [6.0], [8.0]]


async def test_old_model_is_open_while_it_is_held(write_model: WriteModel, serve: Serve) -> None:
    """Who holds a model may use it for as long as it takes, through any number of reloads."""
    served = await serve(write_model(scale_model(2.0)))
    write_model(scale_model(3.0))

    with served.repository.get(None) as old:
        for _ in range(2):
            await served.repository.reload()
        rows = {"x": np.array(ROW, np.float32)}
        result = await old.batcher.run(rows, 1, deadline=float("inf"))

    assert result.outputs[0].tolist() == OLD


async def test_reload_does_not_wait_for_the_old_model(
    write_model: WriteModel, serve: Serve
) -> None:
    """The new model answers at once, however long the old one is held."""
    served = await serve(write_model(scale_model(2.0)))
    write_model(scale_model(3.0))

    with served.repository.get(None):
        await asyncio.wait_for(served.repository.reload(), 5)
        reply = await served.ask(ROW)

    assert reply.predictions.tolist() == NEW


@pytest.mark.parametrize("inline", [True, False], ids=["inline", "in-lanes"])
async def test_no_request_fails_across_reloads(
    inline: bool, write_model: WriteModel, serve: Serve, options: EngineOptions
) -> None:
    """Through five reloads every request gets the answer of a file that was there in its time."""
    served = await serve(
        write_model(scale_model(1.0)),
        with_batch(options, inline_budget_seconds=1.0 if inline else 0.0),
    )
    versions = served_until(served, reloaded := asyncio.Event())

    for factor in range(2, 7):
        write_model(scale_model(factor))
        await served.repository.reload()
    reloaded.set()
    factors = await asyncio.wait_for(versions, 10)

    assert all(factor in range(1, 7) for factor in factors)
    assert sorted(factors) == factors, "an old file answered after a new one"
    assert factors[-1] == 6


def served_until(served: Served, end: asyncio.Event) -> asyncio.Future[list[float]]:
    """Ask from 16 sides, cached and not; give the factor of each answer in the order of asking."""
    asked: dict[int, float] = {}

    async def ask_on(side: int) -> None:
        value = float(side + 1)
        while not end.is_set():
            number = len(asked)
            asked[number] = -1.0
            reply = await served.ask([[value] * 3], use_cache=side % 2 == 0)
            asked[number] = reply.predictions[0, 0] / value
            await asyncio.sleep(0.002)  # leaves the interpreter to the thread that loads

    async def all_sides() -> list[float]:
        await asyncio.gather(*(ask_on(side) for side in range(16)))
        last = (await served.ask([[1.0, 1.0, 1.0]])).predictions[0, 0]
        return [*(asked[number] for number in sorted(asked)), last]

    return asyncio.ensure_future(all_sides())


async def test_reloads_at_once_follow_each_other(write_model: WriteModel, serve: Serve) -> None:
    """Several who ask for a reload at once all get one, and the file is served."""
    served = await serve(write_model(scale_model(2.0)))
    write_model(scale_model(3.0))

    loaded = await asyncio.gather(*(served.repository.reload() for _ in range(3)))

    assert served.repository.models == loaded[-1]
    assert (await served.ask(ROW)).predictions.tolist() == NEW


def lanes() -> set[threading.Thread]:
    """The threads of all lanes that are alive."""
    return {thread for thread in threading.enumerate() if thread.name.startswith("session-")}


async def test_threads_of_the_old_model_end(
    write_model: WriteModel, serve: Serve, pool_mode: EngineOptions
) -> None:
    """A replaced model's lanes end when its last request has been answered."""
    before = lanes()
    served = await serve(write_model(loop_model(2.0)), pool_mode)
    old = served.repository.get(None)
    running = asyncio.create_task(served.ask([[20_000]]))
    await until(lambda: is_busy(old))
    of_the_old = lanes() - before
    write_model(loop_model(3.0))

    await served.repository.reload()
    await running

    assert of_the_old
    await until(lambda: not of_the_old & lanes())


async def test_close_drains_and_ends_the_threads(
    write_model: WriteModel, serve: Serve, pool_mode: EngineOptions
) -> None:
    """`aclose` answers what is under way, then nothing of the models runs any more."""
    before = lanes()
    served = await serve(write_model(loop_model(2.0)), pool_mode)
    running = asyncio.create_task(served.ask([[10_000]]))
    await until(lambda: is_busy(served.repository.get(None)))

    await asyncio.wait_for(served.repository.aclose(), 5)

    assert (await running).predictions.tolist() == [20_000.0]
    await until(lambda: not lanes() - before)


async def test_close_waits_for_replaced_models(write_model: WriteModel, serve: Serve) -> None:
    """A model that was replaced and is still held keeps the repository from closing."""
    served = await serve(write_model(scale_model()))
    with served.repository.get(None):
        await served.repository.reload()
        closing = asyncio.create_task(served.repository.aclose())
        await asyncio.sleep(0.01)
        closed_too_early = closing.done()

    await asyncio.wait_for(closing, 5)

    assert not closed_too_early


async def test_closing_again_is_harmless(write_model: WriteModel, serve: Serve) -> None:
    """`aclose` of a closed repository returns."""
    served = await serve(write_model(width_free_model()))
    await served.repository.aclose()

    await asyncio.wait_for(served.repository.aclose(), 5)

    assert [model.num_users for model in served.repository.models] == [0]


async def test_close_during_a_reload_leaves_nothing_open(
    write_model: WriteModel, serve: Serve
) -> None:
    """A server that is stopped while it reloads ends, and no model of it takes rows."""
    served = await serve(write_model(network_model(512)))  # loads in some tenths of a second
    reloading = asyncio.create_task(served.repository.reload())
    await asyncio.sleep(0)

    await asyncio.wait_for(served.repository.aclose(), 5)
    await asyncio.gather(reloading, return_exceptions=True)

    with pytest.raises(InferenceError):
        await served.ask([[0.0] * 16])


async def test_only_model_may_be_called_otherwise(
    folder: Path, options: EngineOptions, graphs: GraphReader
) -> None:
    """Whatever its file and its metadata say, in all of its versions."""
    put(folder / "wine" / "1" / "model.onnx", model_name="claret")
    repository = Repository(folder, options, lambda *_: None, graphs, called="red")

    await repository.reload()

    assert [model.name for model in repository.models] == ["red"]
    assert await repository.load("red")
    assert [entry.name for entry in await repository.index()] == ["red"]
    await repository.aclose()


def test_several_models_cannot_be_called_by_one_name(folder: Path) -> None:
    """Which should it be?"""
    put(folder / "a.onnx")
    put(folder / "b.onnx")

    with pytest.raises(ModelLoadError, match="MODEL_NAME: expected one model, found a, b"):
        find_models(folder, "red")


class Interrupted(GraphReader):
    """Reads graphs; before each, one of `acts` is called, as long as there are any."""

    def __init__(self) -> None:
        super().__init__()
        self.acts: list[Callable[[], object]] = []

    def ask(self, path: Path) -> None:
        """Begin, once somebody has done something."""
        if self.acts:
            self.acts.pop()()
        super().ask(path)


@pytest.mark.parametrize("name", ["red", "pair"])
async def test_metadata_that_changes_meanwhile_is_noticed(
    name: str, folder: Path, options: EngineOptions
) -> None:
    """It says another name, or comes only now: a load of one model never brings another."""
    put(folder / "other.onnx", 3.0)
    for version in ("1", "2"):
        metadata: dict[str, Any] = {"model_name": name} if name == "red" else {}
        put(folder / "pair" / version / "model.onnx", **metadata)
    (folder / "pair" / "metadata.json").write_text('{"versions": 2}')
    reader = Interrupted()
    repository = Repository(folder, options, lambda *_: None, reader)
    await repository.reload()
    own = repository.models
    described = folder / "pair" / "2" / "metadata.json"
    reader.acts = [lambda: described.write_text('{"model_name": "blue"}')]  # before version 1

    with pytest.raises(ModelLoadError, match=r"pair/2/model\.onnx: expected its metadata to stay"):
        await repository.load(name)

    assert repository.models == own
    reader.close()
    await repository.aclose()


@pytest.mark.parametrize("name", ["a/", "/a", "a//b", "/", ".", "a/../b", "./a"])
@pytest.mark.parametrize("field", ["model_name", "model_version"])
async def test_names_that_paths_cannot_hold(
    field: str, name: str, folder: Path, serve: Serve
) -> None:
    """A proxy that merges slashes, or a client that resolves dots, would ask for another model."""
    metadata: dict[str, Any] = {field: name}
    put(folder / "a.onnx", **metadata)

    with pytest.raises(ModelLoadError, match=rf"{field}: expected a name without empty parts"):
        await serve(folder)


async def test_the_name_of_the_only_one_is_one_that_paths_can_hold(
    folder: Path, options: EngineOptions, graphs: GraphReader
) -> None:
    """`MODEL_NAME` is held to the same."""
    put(folder / "a.onnx")
    repository = Repository(folder, options, lambda *_: None, graphs, called="a//b")

    with pytest.raises(ModelLoadError, match="MODEL_NAME: expected a name without empty parts"):
        await repository.reload()
