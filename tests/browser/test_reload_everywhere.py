"""A reload and a burst behind Nginx: what the page tells is what each of the replicas tells."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect
from prometheus_client.parser import text_string_to_metric_families

from tests import models
from tests.browser.conftest import TOKEN, Visit
from tests.browser.visitor import Visitor
from tests.server import settled
from tests.stack.native import Stack
from tests.web.samples import WINE, WINE_ROWS, write_wine

SCRAPED_MS = 15_000.0


@pytest.fixture(scope="module")
def models_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where both replicas look for their models."""
    return tmp_path_factory.mktemp("everywhere") / "models"


@pytest.fixture(scope="module")
def replicas(models_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Two replicas that share a Redis."""
    write_wine(models_folder, "1")
    folder = tmp_path_factory.mktemp("replicas")
    with Stack(folder, MODEL_PATH=str(models_folder), ADMIN_TOKEN=TOKEN) as running:
        yield running


@pytest.fixture
def visitor(visit: Visit, replicas: Stack) -> Visitor:
    """At the view of the models."""
    return visit(f"{replicas.url}/").open("models")


def reload(visitor: Visitor, token: str) -> None:
    """Type a token and press the button."""
    visitor.page.get_by_label("Admin token").fill(token)
    visitor.button("Reload").click()


def digests(stack: Stack) -> set[str]:
    """What the replicas serve, each asked by itself."""
    return {
        stack.ask_replica(name, "/models").json()["models"][0]["digest"]
        for name in stack.state.replicas
    }


def served(stack: Stack) -> float:
    """Predictions that both replicas have counted."""
    texts = [stack.ask_replica(name, "/metrics").text for name in stack.state.replicas]
    families = [family for text in texts for family in text_string_to_metric_families(text)]
    samples = [sample for family in families for sample in family.samples]
    return sum(
        s.value
        for s in samples
        if s.name == "ml_api_requests_total" and s.labels["endpoint"] == "/predict"
    )


def test_a_wrong_token_then_the_right_one(
    visitor: Visitor, replicas: Stack, models_folder: Path
) -> None:
    """Refused first; then the new digest is shown, and both replicas serve it."""
    visitor.expects_status(401)
    before = digests(replicas)
    content = models.sklearn_classifier(num_features=10)
    (models_folder / "wine.onnx").write_bytes(content)
    (models_folder / "wine.json").unlink(missing_ok=True)
    reload(visitor, "wrong")
    expect(visitor.view("models")).to_contain_text("(401)")
    assert digests(replicas) == before
    reload(visitor, TOKEN)
    expect(visitor.view("models").get_by_text("as loaded now")).to_have_count(2, timeout=SCRAPED_MS)

    (digest,) = digests(replicas)
    assert {digest} != before
    expect(visitor.page.get_by_role("region", name="Model wine")).to_contain_text(digest)
    expect(visitor.view("models")).not_to_contain_text("(401)")


def test_a_broken_file_behind_nginx(visitor: Visitor, replicas: Stack, models_folder: Path) -> None:
    """The reason is told, and every replica serves what it did."""
    visitor.expects_status(422)
    before = digests(replicas)
    (models_folder / "wine.onnx").write_bytes(WINE.read_bytes()[:100])
    reload(visitor, TOKEN)

    expect(visitor.view("models")).to_contain_text("(422): wine.onnx: ONNX Runtime")
    assert digests(replicas) == before


def test_a_token_that_no_header_can_carry(visitor: Visitor) -> None:
    """It is told that it is the token, and the server is not asked."""
    reload(visitor, "пароль")

    expect(visitor.view("models")).to_contain_text("Not a token")
    assert not [request for request in visitor.requests if request.method == "POST"]


def test_a_reload_is_seen_in_try(visit: Visit, replicas: Stack, models_folder: Path) -> None:
    """A view that was open before the reload asks the new model, under its new version."""
    write_wine(models_folder, "7")
    visitor = visit(f"{replicas.url}/").open()
    visitor.has_sample()
    visitor.page.get_by_role("link", name="Models").click()
    reload(visitor, TOKEN)
    expect(visitor.view("models")).to_contain_text("Loaded wine 7.")
    # Until the other replica has followed it may be the one that answers, and as what it was.
    expect(visitor.view("models").get_by_text("as loaded now")).to_have_count(2, timeout=SCRAPED_MS)
    visitor.page.get_by_role("link", name="Try it").click()
    choice = visitor.view("try").get_by_label("Model").locator("option")
    expect(choice).to_have_text("wine (version 7)")
    visitor.has_sample()
    visitor.paste(visitor.cell(1, 0), "\t".join(map(str, WINE_ROWS[0])))
    visitor.predict()

    expect(visitor.answer).to_contain_text("wine, version 7")
    expect(visitor.answer.locator(".result")).to_have_text("class_2")


def test_a_burst_is_shared_by_the_replicas(visit: Visit, replicas: Stack) -> None:
    """What the page counts is what both replicas have counted together."""
    visitor = visit(f"{replicas.url}/").open("burst")
    before = served(replicas)
    visitor.page.get_by_label("Requests", exact=True).fill("60")
    visitor.button("Start").click()
    expect(visitor.view("burst")).to_contain_text("60 of 60")

    assert settled(lambda: served(replicas), before + 60) == before + 60
