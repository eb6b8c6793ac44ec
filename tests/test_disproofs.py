"""A model whose rows do not stay apart is run alone on every replica: who is told, and when.

Replicas are `Disproofs` on real repositories, joined by a board that hands each message to all of
them at once; over a real Redis they are in `tests/faults/`.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from ml_pipeline.engine.model.model import Model
from ml_pipeline.engine.model.repository import Repository
from ml_pipeline.engine.model.source import EngineOptions
from ml_pipeline.replicas.disproofs import Disproofs, Disproved
from tests.fakes import turns
from tests.models import scale_model
from tests.verdicts import NODE, Judge
from tests.verdicts import REASON as NODE_REASON

REASON = "output y: rows run together differ from rows run apart"

Start = Callable[..., Awaitable["Replica"]]


class Board:
    """Delivers what is published to everybody, and keeps it under its topics, as Redis does."""

    def __init__(self) -> None:
        self.listeners: list[Disproofs] = []
        self.messages: list[bytes] = []
        self.by_topic: dict[str, bytes] = {}
        self.down = False

    async def publish(self, message: bytes, topics: Sequence[str]) -> None:
        if self.down:
            raise ConnectionError("the board is down")
        self.messages.append(message)
        self.by_topic |= dict.fromkeys(topics, message)
        for listener in list(self.listeners):
            await listener.on_message(message, False)

    async def kept(self, topics: Sequence[str]) -> list[bytes]:
        if self.down:
            raise ConnectionError("the board is down")
        return [self.by_topic[topic] for topic in topics if topic in self.by_topic]


class Replica:
    """A repository in a folder of its own, and who tells of it."""

    def __init__(self, name: str, folder: Path, options: EngineOptions, judge: Judge) -> None:
        self.folder = folder
        self.repository = Repository(folder, options, lambda *_: None, judge)
        self.disproofs = Disproofs(self.repository, name)

    @property
    def model(self) -> Model:
        return self.repository.get("model")

    async def disprove(self) -> None:
        """Find, as a check in service does, that rows do not stay apart."""
        self.model.batcher.disprove(REASON)
        await turns()


@pytest.fixture
def board() -> Board:
    return Board()


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    """What tells nothing of any graph."""
    judge = Judge("unknown")
    yield judge
    judge.close()


@pytest.fixture
async def start(
    board: Board, tmp_path: Path, options: EngineOptions, judge: Judge
) -> AsyncIterator[Start]:
    """Start a replica with a model."""
    replicas: list[Replica] = []

    async def start(name: str, *, listens: bool = True, factor: float = 2.0) -> Replica:
        (tmp_path / name).mkdir()
        replica = Replica(name, tmp_path / name, options, judge)
        replicas.append(replica)
        (replica.folder / "model.onnx").write_bytes(scale_model(factor))
        replica.disproofs.board = board
        await replica.repository.reload()
        if listens:
            board.listeners.append(replica.disproofs)
        return replica

    yield start
    for replica in replicas:
        await replica.disproofs.aclose()
        await replica.repository.aclose()


async def test_the_others_run_it_alone_too(start: Start) -> None:
    """With the same reason, and the same new identity, so that they go on sharing answers."""
    one, two = await start("one"), await start("two")
    before = two.model.identity

    await one.disprove()

    assert one.model.identity == two.model.identity != before
    assert one.model.disproof == two.model.disproof == REASON
    assert one.model.batching_reason == two.model.batching_reason == f"found in service: {REASON}"


async def test_health_names_the_output_and_the_node(start: Start) -> None:
    """Wherever it was found."""
    one, two = await start("one"), await start("two")
    assert one.disproofs.reason == ""

    await one.disprove()

    said = f"model/1: {REASON} ({NODE} {NODE_REASON})"
    assert (one.disproofs.reason, two.disproofs.reason) == (said, said)


async def test_another_model_is_not_concerned(start: Start) -> None:
    """What is told is of the files and not of the name."""
    one, other = await start("one"), await start("other", factor=3.0)

    await one.disprove()

    assert other.model.disproof == ""


async def test_it_is_told_once(board: Board, start: Start) -> None:
    """Who hears of it has nothing to add."""
    one, _ = await start("one"), await start("two")

    await one.disprove()
    await one.disprove()

    assert len(board.messages) == 1


async def test_who_starts_later_knows_before_it_answers(board: Board, start: Start) -> None:
    """It is kept, and looked up when a model is loaded."""
    await (await start("one")).disprove()

    later = await start("later", listens=False)

    assert later.model.disproof == REASON


async def test_who_could_not_ask_learns_when_it_listens(board: Board, start: Start) -> None:
    """A replica that loads its models while Redis is away is told what was kept later."""
    one = await start("one")
    await one.disprove()
    board.down = True
    later = await start("later")
    assert later.model.disproof == ""
    board.down = False

    (kept,) = await board.kept(later.disproofs.topics())
    await later.disproofs.on_message(kept, True)

    assert later.model.disproof == REASON


async def test_what_could_not_be_told_is_told_later(board: Board, start: Start) -> None:
    """When messages are heard again."""
    one, two = await start("one"), await start("two")
    board.down = True
    await one.disprove()
    assert two.model.disproof == ""
    board.down = False

    await one.disproofs.on_listening()

    assert two.model.disproof == REASON


async def test_what_redis_lost_is_put_back(board: Board, start: Start) -> None:
    """By any replica that knows, so that those which come later will."""
    one, two = await start("one"), await start("two")
    await one.disprove()
    board.by_topic.clear()

    await two.disproofs.on_listening()

    assert (await start("later", listens=False)).model.disproof == REASON


async def test_a_reload_remembers_without_redis(board: Board, start: Start) -> None:
    """What this process knows it need not ask for."""
    one = await start("one")
    await one.disprove()
    board.down = True

    await one.repository.load("model")

    assert one.model.disproof == REASON


async def test_a_changed_file_is_another_model(start: Start) -> None:
    """It is batched again, and health has nothing to say."""
    one = await start("one")
    await one.disprove()
    (one.folder / "model.onnx").write_bytes(scale_model(5.0))

    await one.repository.reload()

    assert (one.model.disproof, one.model.batching_reason, one.disproofs.reason) == ("", None, "")


@pytest.mark.parametrize(
    "message", [b"", b"\xff", b"{}", b"[1]", msgspec.json.encode(Disproved("x", "m", "zz", "r"))]
)
async def test_what_cannot_be_read_is_passed_over(start: Start, message: bytes) -> None:
    """A stranger's message on the channel changes nothing."""
    one = await start("one")

    await one.disproofs.on_message(message, False)

    assert one.model.disproof == ""
