"""A reload reaches every replica: who is told, who follows, and who says that it cannot.

Replicas are `Reloader`s on real repositories in folders of their own, joined by a bus that hands
each message to all of them at once and keeps what is wanted; over a real Redis they are in
`tests/faults/`.
"""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from time import monotonic

import msgspec
import pytest

from ml_pipeline.engine.graph.process import GraphReader
from ml_pipeline.engine.model.repository import Repository
from ml_pipeline.engine.model.source import EngineOptions
from ml_pipeline.errors import ModelLoadError
from ml_pipeline.replicas.announcements import Followed, Reloaded
from ml_pipeline.replicas.reload import Reloader
from ml_pipeline.replicas.wanted import Look
from tests.models import scale_model

Start = Callable[..., Awaitable["Replica"]]


class Bus:
    """Delivers what is published to everybody, as Redis does; keeps what is wanted."""

    def __init__(self) -> None:
        self.listeners: list[Reloader] = []
        self.messages: list[bytes] = []
        self.numbers: dict[str, int] = {}
        self.states: dict[int, bytes] = {}
        self.down = self.full = self.mute = False
        self.told_at: dict[int, float] = {}

    def check(self) -> None:
        if self.down:
            raise ConnectionError("the bus is down")

    def forget(self) -> None:
        """Begin anew, as a Redis does that was killed."""
        self.numbers.clear()
        self.states.clear()

    async def publish(self, message: bytes, topics: Sequence[str]) -> None:
        self.check()
        self.messages.append(message)
        for listener in list(self.listeners):
            await listener.on_message(message, False)

    async def look(self, topics: Sequence[str]) -> Look:
        self.check()
        newest = max((self.numbers.get(topic, 0) for topic in topics), default=0)
        age_seconds = monotonic() - self.told_at.get(newest, 0.0)
        return Look(newest, self.states.get(newest), age_seconds)

    async def want(
        self, message_of: Callable[[int], bytes], topics: Sequence[str], above: int
    ) -> int:
        self.check()
        if self.full:
            raise ConnectionError("the bus is full")
        generation = max([above, *self.states]) + 1
        await self.put_back(generation, message_of(generation), topics, 0.0)
        if self.mute:
            raise ConnectionError("the bus did not answer")
        return generation

    async def put_back(
        self, generation: int, message: bytes, topics: Sequence[str], age_seconds: float
    ) -> None:
        self.check()
        if max((self.numbers.get(topic, 0) for topic in topics), default=0) <= generation:
            self.told_at[generation] = monotonic() - age_seconds
            self.states[generation] = message
            self.numbers |= dict.fromkeys(topics, generation)

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
        replica.reloader.publisher = replica.reloader.board = bus
        await replica.reloader.start()
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

    await one.reloader.start()

    assert (bus.messages, bus.states) == ([], {})


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


async def missed(start: Start) -> tuple[Replica, Replica]:
    """Two replicas with the new file, of which one has reloaded and the other heard nothing."""
    one, two = await start("one"), await start("two", listens=False)
    for replica in (one, two):
        replica.write(3.0)
    await one.reloader.reload()
    return one, two


async def test_who_heard_nothing_follows_by_comparing(start: Start) -> None:
    """A replica that missed the message finds what is wanted, whatever its clock says."""
    one, two = await missed(start)

    await two.reloader.compare()

    assert two.digests == one.digests
    assert two.reloader.behind == ""


async def test_who_compares_and_cannot_follow_is_behind(start: Start) -> None:
    """And says so, as if it had heard the message."""
    one, two = await start("one"), await start("two", listens=False)
    one.write(3.0)
    await one.reloader.reload()

    await two.reloader.compare()

    assert two.reloader.behind.startswith("model: expected digest")


async def test_who_is_behind_tries_again(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file may come later than the announcement, and nobody needs to reload for it."""
    monkeypatch.setattr("ml_pipeline.replicas.reload.FIRST_PAUSE_SECONDS", 0.0)
    one, two = await start("one"), await start("two")
    one.write(3.0)
    await one.reloader.reload()
    assert two.reloader.behind
    two.write(3.0)

    await two.reloader.compare()

    assert (two.digests, two.reloader.behind) == (one.digests, "")


async def test_what_redis_lost_is_put_back_by_who_knows(bus: Bus, start: Start) -> None:
    """After an outage, so that others who missed it find it."""
    one, two = await missed(start)
    bus.forget()

    await one.reloader.compare()
    await two.reloader.compare()

    assert two.digests == one.digests


async def test_after_an_empty_redis_numbers_go_on(bus: Bus, start: Start) -> None:
    """A reload that follows the loss of all numbers is newer than those before."""
    one, two = await start("one"), await start("two", listens=False)
    await one.reloader.reload()
    await two.reloader.compare()
    bus.forget()
    for replica in (one, two):
        replica.write(3.0)

    await one.reloader.reload()
    await two.reloader.compare()

    assert two.digests == one.digests


async def test_what_is_wanted_and_gone_is_told(bus: Bus, start: Start) -> None:
    """A replica that knows of something newer, and cannot read it, is not healthy."""
    one, two = await start("one"), await start("two", listens=False)
    await one.reloader.reload()
    bus.states.clear()

    await two.reloader.compare()

    assert two.reloader.behind == "announcement 1: expected it in Redis, found it gone"


async def test_an_announcement_from_before_its_start_is_old_news(start: Start) -> None:
    """What a replica read after the announcement is what its operator wants it to serve."""
    one = await start("one")
    one.write(3.0)
    await one.reloader.reload()

    two = await start("two")
    await two.reloader.compare()

    assert two.digests != one.digests
    assert two.reloader.behind == ""


async def test_an_announcement_from_before_its_start_stays_old_news(bus: Bus, start: Start) -> None:
    """Also for a replica that could not ask Redis when it started, or found it empty."""
    one = await start("one")
    one.write(3.0)
    await one.reloader.reload()
    bus.forget()
    two = await start("two", listens=False)
    await two.reloader.compare()
    await one.reloader.compare()

    await two.reloader.compare()

    assert bus.states
    assert two.digests != one.digests
    assert two.reloader.reason == ""


async def test_an_announcement_during_its_start_is_followed(bus: Bus, start: Start) -> None:
    """A replica that could not ask Redis then does not take it for old when it can."""
    one, two = await start("one"), await start("two", listens=False)
    two.write(3.0)
    one.write(3.0)
    await one.reloader.reload()
    bus.told_at[1] = monotonic()

    await two.reloader.compare()

    assert two.digests == one.digests


async def test_a_low_number_in_an_emptied_redis_is_followed(bus: Bus, start: Start) -> None:
    """Who only knows of announcements from before its start does not take their numbers for more
    than those of a replica that has never heard of them."""
    one = await start("one")
    for _ in range(3):
        await one.reloader.reload()
    two = await start("two", listens=False)
    await two.reloader.compare()
    bus.forget()
    three = await start("three")
    two.write(3.0)
    three.write(3.0)

    await three.reloader.reload()
    await two.reloader.compare()

    assert list(bus.states) == [1]
    assert two.digests == three.digests


async def test_what_is_put_back_does_not_undo_what_was_announced_since(
    bus: Bus, start: Start
) -> None:
    """Though its number is the higher one, because numbers had begun anew."""
    one = await start("one", listens=False, a=2.0, b=3.0)
    for _ in range(3):
        await one.reloader.reload()
    third = bus.states[3]
    bus.forget()
    two = await start("two", listens=False, a=2.0, b=3.0)
    await two.reloader.unload("b")
    await bus.put_back(3, third, ["a", "b"], 60.0)

    for replica in (two, one):
        await replica.reloader.compare()

    assert one.digests.keys() == two.digests.keys() == {"a"}


async def test_an_old_message_is_of_no_effect(bus: Bus, start: Start) -> None:
    """Somebody who kept a message of another replica's can say it again in vain."""
    one, two = await start("one", a=2.0, b=3.0), await start("two", a=2.0, b=3.0)
    await one.reloader.unload("a")
    old = bus.states[1]
    await one.reloader.load("a")

    await two.reloader.on_message(old, False)

    assert two.digests == one.digests
    assert two.reloader.behind == ""


async def test_a_model_of_another_name_is_followed(start: Start) -> None:
    """A file that is renamed everywhere is one model gone and one come."""
    one, two = await start("one", a=2.0), await start("two", a=2.0)
    for replica in (one, two):
        (replica.folder / "a.onnx").rename(replica.folder / "b.onnx")

    await one.reloader.reload()

    assert two.digests.keys() == {"b"}


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
    """As soon as Redis can be asked; until then health says so."""
    one, two = await start("one"), await start("two")
    for replica in (one, two):
        replica.write(3.0)
    bus.down = True
    await one.reloader.reload()
    reason = one.reloader.reason
    bus.down = False

    await one.reloader.compare()

    assert "the bus is down" in reason
    assert one.reloader.reason == ""
    assert two.digests == one.digests


async def test_what_could_not_be_told_yields_to_what_came_later(bus: Bus, start: Start) -> None:
    """A change from an outage does not undo one that another replica made after it."""
    one, two = [await start(name, listens=False, a=2.0, b=3.0) for name in ("one", "two")]
    bus.down = True
    await two.reloader.unload("a")
    bus.down = False
    await one.reloader.unload("b")

    await two.reloader.compare()

    assert two.digests.keys() == one.digests.keys() == {"a"}
    assert two.reloader.reason == ""


async def test_what_could_not_be_told_replaces_what_came_before(bus: Bus, start: Start) -> None:
    """Also where this replica had not heard of that."""
    one, two = [await start(name, listens=False, a=2.0, b=3.0) for name in ("one", "two")]
    await one.reloader.unload("b")
    bus.down = True
    await two.reloader.unload("a")
    bus.down = False

    await two.reloader.compare()
    await one.reloader.compare()

    assert two.digests.keys() == one.digests.keys() == {"b"}


async def test_who_cannot_compare_says_so(bus: Bus, start: Start) -> None:
    """A replica that may not read what is wanted could be behind."""
    one = await start("one")
    bus.down = True
    await one.reloader.compare()
    reason = one.reloader.reason
    bus.down = False
    await one.reloader.compare()

    assert reason == "what is wanted cannot be read: the bus is down"
    assert one.reloader.reason == ""


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


async def test_an_older_state_does_not_undo_what_could_not_be_told(bus: Bus, start: Start) -> None:
    """An admin's last word stands until all others can be told of it."""
    one, two = await start("one"), await start("two")
    await one.reloader.reload()
    bus.full = True
    await one.reloader.unload("model")

    await one.reloader.compare()
    assert (one.digests, one.reloader.reason != "") == ({}, True)

    bus.full = False
    await one.reloader.compare()
    assert (one.digests, two.digests, one.reloader.reason) == ({}, {}, "")


async def test_a_word_that_is_kept_without_an_answer_is_told(bus: Bus, start: Start) -> None:
    """Who looks finds it to be its own; the others follow it."""
    one, two = await start("one"), await start("two")
    bus.mute = True
    await one.reloader.unload("model")
    bus.mute = False
    assert one.reloader.reason

    for replica in (two, one):
        await replica.reloader.compare()

    assert (one.digests, two.digests, one.reloader.reason) == ({}, {}, "")


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
    """By comparing."""
    one = await start("one", a=2.0, b=3.0)
    cut_off = await start("two", listens=False, a=2.0, b=3.0)
    await one.reloader.unload("a")

    await cut_off.reloader.compare()

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
    older = bus.states[1]

    await two.reloader.unload("a")
    await two.reloader.on_message(older, False)

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
