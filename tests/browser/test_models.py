"""*Models*: what is loaded, and a reload with its outcome on each replica."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests import models
from tests.browser.conftest import TOKEN, Visit
from tests.browser.test_burst import is_drawn
from tests.browser.visitor import Visitor
from tests.faults.replica import write_model
from tests.server import Server
from tests.stack.native import Stack
from tests.verdicts import NODE, REASON, START
from tests.web.samples import METADATA, WINE, write_wine

SCRAPED_MS = 15_000.0


def reload(visitor: Visitor, token: str) -> None:
    """Type a token and press the button."""
    visitor.page.get_by_label("Admin token").fill(token)
    visitor.button("Reload").click()


def test_everything_that_is_known_is_told(visit: Visit, bare: str) -> None:
    """The view tells what `GET /models` tells."""
    visitor = visit(bare).open("models")
    card = visitor.page.get_by_role("region", name="Model wine")
    text = card.inner_text()
    (model,) = visitor.page.request.get(bare.replace("/ui/", "/models")).json()["models"]

    for told in (model["digest"], model["batching"]["reason"], *METADATA["features"]):
        assert told in text
    assert ", ".join(METADATA["class_names"]) in text
    assert re.search(rf"Sessions\s+{model['sessions']}\b", text)
    assert re.search(rf"Rows\s+{model['batching']['verdict']}\b", text)
    assert re.search(r"Mode\s+inline", text)
    assert re.search(r"float_input\s+float32\s+any × 10", text)
    assert re.search(r"probabilities\s+float32\s+any × 3", text)


def test_the_cost_of_a_run_is_drawn(visit: Visit, bare: str) -> None:
    """The curve is there, and in words for who does not see it."""
    visitor = visit(bare).open("models")

    assert is_drawn(visitor, "#view-models .plot canvas")
    label = visitor.page.locator("#view-models .plot").get_attribute("aria-label")
    assert label is not None
    assert re.match(r"1 row: [\d.]+ µs, 2 rows: ", label)


def test_a_model_that_is_not_batched_says_why(visit: Visit, zoo: str) -> None:
    """Where batching is off, the reason stands there."""
    visitor = visit(zoo).open("models")
    card = visitor.page.get_by_role("region", name="Model dice")

    expect(card).to_contain_text("off: ")
    expect(card).to_contain_text("never cached")


@pytest.fixture
def doubtful(tmp_path: Path) -> Iterator[str]:
    """A server of a model whose graph does not tell whether its rows stay apart; they don't."""
    write_model(tmp_path / "models", models.minding_model())
    with Server(tmp_path / "models", command=("-c", START, "unknown")) as running:
        yield f"{running.url}/ui/"


def test_what_the_graph_does_not_tell_is_said(visit: Visit, doubtful: str) -> None:
    """The verdict, the node that it is owed to, and who is given what shared runs answer."""
    card = visit(doubtful).open("models").page.get_by_role("region", name="Model model")

    expect(card).to_contain_text("unknown. Its graph does not tell")
    expect(card).to_contain_text(NODE)
    expect(card).to_contain_text(f"0 of the first 64 rows have been run again: {NODE} {REASON}")
    expect(card).to_contain_text("cached by this replica alone")


def test_a_model_that_was_found_out_is_told(visit: Visit, doubtful: str) -> None:
    """After a check has shown that rows do not stay apart, here and under *Health*."""
    visitor = visit(doubtful).open("models")
    members = [{"data": [[value, 1.0, 1.0]]} for value in (2 * models.HUGE, 1.0)]
    visitor.page.request.post(
        doubtful.replace("/ui/", "/predict/batch"), data={"requests": members}
    )
    found = "output y: rows run together differ from rows run apart"

    visitor.page.reload()
    expect(visitor.page.get_by_role("region", name="Model model")).to_contain_text(
        f"off: found in service: {found}"
    )
    visitor.page.get_by_role("link", name="Health").click()
    expect(visitor.view("health")).to_contain_text(f"model/1: {found} ({NODE} {REASON})")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the models are."""
    path = tmp_path / "models"
    write_wine(path, "1")
    return path


@pytest.fixture
def reloadable(folder: Path) -> Iterator[str]:
    """A server alone whose model can be replaced."""
    with Server(folder) as running:
        yield f"{running.url}/ui/"


def test_a_reload_of_a_server_alone(visit: Visit, reloadable: str, folder: Path) -> None:
    """Without a token it takes reloads from its own machine, and the view shows the new version."""
    visitor = visit(reloadable).open("models")
    expect(visitor.view("models")).to_contain_text("version 1")
    write_wine(folder, "2")
    visitor.button("Reload").click()

    expect(visitor.view("models")).to_contain_text("Loaded wine 2.")
    expect(visitor.page.get_by_role("region", name="Model wine")).to_contain_text("version 2")
    expect(visitor.view("models")).to_contain_text("serves 1 model as loaded now")


def test_a_reload_by_somebody_else(visit: Visit, reloadable: str, folder: Path) -> None:
    """An open page shows what is loaded after a reload that it did not ask for."""
    visitor = visit(reloadable).open("models")
    expect(visitor.view("models")).to_contain_text("version 1")
    (folder / "wine.onnx").write_bytes(models.sklearn_classifier(num_features=10))
    (folder / "wine.json").unlink()
    visitor.page.request.post(reloadable.replace("/ui/", "/models/reload"))

    expect(visitor.page.get_by_role("region", name="Model wine")).to_contain_text("no names")


def test_typed_rows_survive_a_reload(visit: Visit, reloadable: str, folder: Path) -> None:
    """A new version that takes the same leaves the rows in *Try it* alone."""
    visitor = visit(reloadable).open()
    visitor.has_sample()
    visitor.cell(1, 0).fill("77")
    write_wine(folder, "2")
    visitor.page.get_by_role("link", name="Models").click()
    visitor.button("Reload").click()
    expect(visitor.view("models")).to_contain_text("Loaded wine 2.")
    visitor.page.get_by_role("link", name="Try it").click()

    expect(visitor.view("try")).to_contain_text("wine (version 2)")
    expect(visitor.cell(1, 0)).to_have_value("77")


def test_a_broken_file_changes_nothing(visit: Visit, reloadable: str, folder: Path) -> None:
    """The reason is told, and the old model goes on."""
    visitor = visit(reloadable).open("models")
    visitor.expects_status(422)
    (folder / "wine.onnx").write_bytes(WINE.read_bytes()[:100])
    visitor.button("Reload").click()

    expect(visitor.view("models")).to_contain_text("(422): wine.onnx: ONNX Runtime")
    expect(visitor.page.get_by_role("region", name="Model wine")).to_contain_text("version 1")


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, Path]]:
    """Two replicas that share a Redis, and the folder of their models."""
    folder = tmp_path_factory.mktemp("replicas")
    write_wine(folder / "models", "1")
    environ = {"MODEL_PATH": str(folder / "models"), "ADMIN_TOKEN": TOKEN}
    with Stack(folder / "s", settings=environ) as running:
        yield running, folder / "models"


def test_another_token_is_refused(visit: Visit, replicas: tuple[Stack, Path]) -> None:
    """The server's words are shown, and nothing is reloaded."""
    visitor = visit(f"{replicas[0].url}/").open("models")
    visitor.expects_status(401)
    reload(visitor, "another")

    expect(visitor.view("models")).to_contain_text("(401): authorization: expected Bearer")


def test_a_reload_reaches_each_replica(visit: Visit, replicas: tuple[Stack, Path]) -> None:
    """Both replicas are shown to serve the new model, one of which only heard of it."""
    stack, folder = replicas
    visitor = visit(f"{stack.url}/").open("models")
    (folder / "wine.onnx").write_bytes(models.sklearn_classifier(num_features=10))
    (folder / "wine.json").unlink()
    reload(visitor, TOKEN)

    expect(visitor.view("models")).to_contain_text("Loaded wine 1.")
    served = visitor.page.get_by_text("serves 1 model as loaded now")
    expect(served).to_have_count(2, timeout=SCRAPED_MS)


def test_the_token_stays_in_memory(visit: Visit, stack: Stack) -> None:
    """After a reload it is in no storage, no cookie and no address."""
    visitor = visit(f"{stack.url}/").open("models")
    reload(visitor, TOKEN)
    expect(visitor.view("models")).to_contain_text("Loaded wine 1.")

    kept = visitor.page.evaluate(
        "JSON.stringify([{ ...localStorage, ...sessionStorage }, document.cookie, location.href])"
    )
    assert TOKEN not in kept
    assert TOKEN not in "".join(request.url for request in visitor.requests)
