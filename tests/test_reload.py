"""A reload reaches every replica: who is told, who follows, and who says that it cannot.

Replicas are `Reloader`s on real repositories in folders of their own, joined by a bus that hands
each message to all of them at once; over a real Redis they are in `tests/faults/`.
"""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from time import time

import msgspec
import pytest

from app.engine.graph.process import GraphReader
from app.engine.model import EngineOptions
from app.engine.repository import Repository
from app.errors import ModelLoadError
from app.reload import Followed, Reloaded, Reloader
from tests.models import scale_model

Start = Callable[..., Awaitable["Replica"]]


class Bus:
    """Delivers what is published to everybody, as Redis does; keeps what is to be kept."""

    def __init__(self) -> None:
        self.listeners: list[Reloader] = []
        self.messages: list[bytes] = []
        self.kept: bytes | None = None
        self.down = False

    async def publish(self, message: bytes, topics: Sequence[str]) -> None:
        if self.down:
            raise ConnectionError("the bus is down")
        self.messages.append(message)
        if topics:
            self.kept = message
        for listener in list(self.listeners):
            await listener.on_message(message, False)

    def followed(self) -> list[Followed]:
        """What replicas reported, in order."""
        decode = msgspec.json.Decoder(Reloaded | Followed).decode
        return [news for news in map(decode, self.messages) if isinstance(news, Followed)]


class Replica:
    """A repository in a folder of its own, and its reloader."""

    def __init__(
        self, name: str, folder: Path, options: EngineOptions, graphs: GraphReader
    ) -> None:
        self.folder = folder
        self.repository = Repository(folder, options, lambda *_: None, graphs)
        self.reloader = Reloader(self.repository, name)

    def write(self, factor: float, name: str = "model") -> None:
        (self.folder / f"{name}.onnx").write_bytes(scale_model(factor))

    @property
    def digests(self) -> dict[str, str]:
        return {model.name: model.digest for model in self.repository.models}


@pytest.fixture
def bus() -> Bus:
    return Bus()


@pytest.fixture
async def start(
    bus: Bus, tmp_path: Path, options: EngineOptions, graphs: GraphReader
) -> AsyncIterator[Start]:
    """Start a replica with models of these factors by name."""
    replicas: list[Replica] = []

    async def start(name: str, *, listens: bool = True, **factors: float) -> Replica:
        (tmp_path / name).mkdir()
        replica = Replica(name, tmp_path / name, options, graphs)
        replicas.append(replica)
        for model, factor in (factors or {"model": 2.0}).items():
            replica.write(factor, model)
        await replica.reloader.reload_here()
        replica.reloader.publisher = bus
        if listens:
            bus.listeners.append(replica.reloader)
        return replica

    yield start
    for replica in replicas:
        await replica.repository.aclose()


async def test_the_others_follow(bus: Bus, start: Start) -> None:
    """A reload on one replica is made on all that have the new file."""
    one, two, three = await start("one"), await start("two"), await start("three")
    for replica in (one, two, three):
        replica.write(3.0)

    await one.reloader.reload()

    assert one.digests == two.digests == three.digests
    assert [(news.replica, news.behind) for news in bus.followed()] == [("two", ""), ("three", "")]


async def test_what_nobody_announced_is_not_followed(bus: Bus, start: Start) -> None:
    """A replica that is started, or reloads on its own, tells nobody."""
    one = await start("one")
    one.write(3.0)

    await one.reloader.reload_here()

    assert bus.messages == []


async def test_a_replica_with_the_old_file_is_behind(start: Start) -> None:
    """It goes on with the old model and says what was expected and found."""
    one, two = await start("one"), await start("two")
    before = two.digests
    one.write(3.0)

    await one.reloader.reload()

    assert two.digests == before
    expected, found = one.digests["model"][:12], before["model"][:12]
    assert two.reloader.behind == f"model: expected digest {expected}, found {found}"


async def test_a_replica_with_a_broken_file_says_why(start: Start) -> None:
    """The reason of the failed load is told with the difference, and the old model stays."""
    one, two = await start("one"), await start("two")
    before = two.digests
    one.write(3.0)
    (two.folder / "model.onnx").write_bytes(b"no model")

    await one.reloader.reload()

    assert two.digests == before
    assert "expected digest" in two.reloader.behind
    assert "ONNX Runtime" in two.reloader.behind


async def test_a_replica_without_its_folder_goes_on(start: Start) -> None:
    """A volume that is gone leaves the old model serving."""
    one, two = await start("one"), await start("two")
    before = two.digests
    one.write(3.0)
    shutil.rmtree(two.folder)

    await one.reloader.reload()

    assert two.digests == before
    assert "MODEL_PATH" in two.reloader.behind


async def test_the_next_announcement_mends_it(start: Start) -> None:
    """Once the file is there, another reload anywhere brings the replica up."""
    one, two = await start("one"), await start("two")
    one.write(3.0)
    await one.reloader.reload()
    two.write(3.0)

    await one.reloader.reload()

    assert two.digests == one.digests
    assert two.reloader.behind == ""


async def test_a_reload_of_its_own_mends_it(start: Start) -> None:
    """Who is asked to reload, and can, is behind nobody any more."""
    one, two = await start("one"), await start("two")
    one.write(3.0)
    await one.reloader.reload()
    two.write(3.0)

    await two.reloader.reload()

    assert two.reloader.behind == ""


async def test_who_has_it_already_does_not_reload(start: Start) -> None:
    """A replica that serves what was announced keeps its models as they are."""
    one, two = await start("one"), await start("two")
    model = two.repository.get("model")

    await one.reloader.reload()

    assert two.repository.get("model") is model


async def test_a_failed_reload_is_not_announced(bus: Bus, start: Start) -> None:
    """Nobody follows where nothing was loaded."""
    one = await start("one")
    (one.folder / "model.onnx").write_bytes(b"no model")

    with pytest.raises(ModelLoadError):
        await one.reloader.reload()

    assert bus.messages == []


async def test_other_models_on_the_same_redis_are_none_of_its_business(start: Start) -> None:
    """A replica that shares no model with the announcement is not behind it."""
    wine, iris = await start("one", wine=2.0), await start("two", iris=2.0)

    await wine.reloader.reload()

    assert iris.reloader.behind == ""


async def test_a_new_model_is_followed(start: Start) -> None:
    """A model that came with the reload is loaded by the others too."""
    one, two = await start("one"), await start("two")
    for replica in (one, two):
        replica.write(5.0, "added")

    await one.reloader.reload()

    assert set(two.digests) == {"model", "added"}


async def test_a_new_model_that_is_missing_is_told(start: Start) -> None:
    """A replica that does not have the new model is behind."""
    one, two = await start("one"), await start("two")
    one.write(5.0, "added")

    await one.reloader.reload()

    assert two.reloader.behind.startswith("added: expected digest")
    assert two.reloader.behind.endswith("found none")


async def test_a_dropped_model_is_dropped_by_the_others(start: Start) -> None:
    """A model whose file is gone everywhere is served nowhere."""
    one, two = await start("one", a=2.0, b=3.0), await start("two", a=2.0, b=3.0)
    for replica in (one, two):
        (replica.folder / "b.onnx").unlink()

    await one.reloader.reload()

    assert set(two.digests) == {"a"}
    assert two.reloader.behind == ""


async def test_a_kept_announcement_is_followed_by_who_missed_it(bus: Bus, start: Start) -> None:
    """A replica that did not listen learns of it later, and follows."""
    one, two = await start("one"), await start("two", listens=False)
    for replica in (one, two):
        replica.write(3.0)
    await one.reloader.reload()
    assert bus.kept is not None

    await two.reloader.on_message(bus.kept, True)

    assert two.digests == one.digests


async def test_a_kept_announcement_from_before_its_start_is_old_news(start: Start) -> None:
    """What a replica read after the announcement is what its operator wants it to serve."""
    two = await start("two")
    news = Reloaded("one", time() - 60.0, {"model": "0" * 64})

    await two.reloader.on_message(msgspec.json.encode(news), True)

    assert two.reloader.behind == ""


@pytest.mark.parametrize("message", [b"", b"\xff", b"{}", b'{"type":"other"}', b"[1]"])
async def test_what_cannot_be_read_is_passed_over(start: Start, message: bytes) -> None:
    """A stranger's message on the channel changes nothing."""
    one = await start("one")

    await one.reloader.on_message(message, False)

    assert one.reloader.behind == ""


async def test_a_reload_that_cannot_be_told_is_made_all_the_same(bus: Bus, start: Start) -> None:
    """Without Redis a replica reloads itself."""
    one = await start("one")
    before = one.digests
    one.write(3.0)
    bus.down = True

    await one.reloader.reload()

    assert one.digests != before


async def test_a_reload_that_could_not_be_told_is_told_later(bus: Bus, start: Start) -> None:
    """When messages are heard again, the others learn of it."""
    one, two = await start("one"), await start("two")
    for replica in (one, two):
        replica.write(3.0)
    bus.down = True
    await one.reloader.reload()
    bus.down = False

    await one.reloader.on_listening()

    assert two.digests == one.digests


async def test_what_was_told_is_not_told_again(bus: Bus, start: Start) -> None:
    """A replica that begins to listen has nothing to say."""
    one = await start("one")
    await one.reloader.reload()
    told = len(bus.messages)

    await one.reloader.on_listening()

    assert len(bus.messages) == told


async def test_unloading_reaches_the_others(bus: Bus, start: Start) -> None:
    """And they keep the rest as it is."""
    one, two = await start("one", a=2.0, b=3.0), await start("two", a=2.0, b=3.0)
    kept = two.repository.get("b")

    await one.reloader.unload("a")

    assert one.digests.keys() == two.digests.keys() == {"b"}
    assert two.repository.get("b") is kept
    assert [(news.replica, news.behind) for news in bus.followed()] == [("two", "")]


async def test_the_last_model_is_unloaded_everywhere(bus: Bus, start: Start) -> None:
    """Though nothing is left to be served."""
    one, two = await start("one"), await start("two")

    await one.reloader.unload("model")

    assert one.digests == two.digests == {}


async def test_what_was_unloaded_is_loaded_everywhere(bus: Bus, start: Start) -> None:
    """By its name; others are not loaded anew."""
    one, two = await start("one", a=2.0, b=3.0), await start("two", a=2.0, b=3.0)
    await one.reloader.unload("a")
    kept = two.repository.get("b")

    await one.reloader.load("a")

    assert one.digests == two.digests
    assert two.digests.keys() == {"a", "b"}
    assert two.repository.get("b") is kept


async def test_a_replica_that_was_cut_off_learns_what_was_unloaded(bus: Bus, start: Start) -> None:
    """From the announcement that is kept."""
    one = await start("one", a=2.0, b=3.0)
    cut_off = await start("two", listens=False, a=2.0, b=3.0)
    await one.reloader.unload("a")
    assert bus.kept is not None

    await cut_off.reloader.on_message(bus.kept, True)

    assert cut_off.digests.keys() == {"b"}


async def test_a_reload_loads_what_was_unloaded(bus: Bus, start: Start) -> None:
    """Everything under the path is read anew, on every replica."""
    one, two = await start("one", a=2.0, b=3.0), await start("two", a=2.0, b=3.0)
    await one.reloader.unload("a")

    await one.reloader.reload()

    assert one.digests == two.digests
    assert two.digests.keys() == {"a", "b"}


async def test_older_news_do_not_bring_an_unloaded_model_back(bus: Bus, start: Start) -> None:
    """An announcement that is delivered late is of before."""
    one, two = await start("one", a=2.0, b=3.0), await start("two", listens=False, a=2.0, b=3.0)
    one.write(5.0, "a")
    await one.reloader.reload()
    assert bus.kept is not None
    older = bus.kept

    await two.reloader.unload("a")
    await two.reloader.on_message(older, True)

    assert two.digests.keys() == {"b"}


async def test_who_loads_the_missing_file_is_behind_no_more(bus: Bus, start: Start) -> None:
    """Loading by name says so as well as a reload."""
    one, two = await start("one"), await start("two")
    one.write(3.0)
    await one.reloader.reload()
    assert two.reloader.behind
    two.write(3.0)

    await two.reloader.load("model")

    assert two.reloader.behind == ""
