"""`/docs` and `/redoc` over HTTP: pages that need nothing from the internet."""

import re
from collections.abc import Iterator
from urllib.parse import urljoin

import httpx
import pytest

from tests.server import Server
from tests.web.checkout import server_from
from tests.web.problem import assert_problem
from tests.web.samples import ROW

PAGES = ("/docs", "/redoc")
ASSETS = {
    "/docs": {"swagger-ui.css", "swagger-ui-bundle.js", "swagger.js"},
    "/redoc": {"redoc.standalone.js", "redoc.js"},
}
OWN = ("/swagger.js", "/redoc.js")


def linked(client: httpx.Client, page: httpx.Response) -> list[str]:
    """What a page makes the browser load, directly or by `import`, as absolute addresses."""
    names = re.findall(r'<(?:script|link|img)[^>]* (?:src|href)="([^"]+)"', page.text)
    links = [urljoin(str(page.url), name) for name in names if not name.startswith("data:")]
    for link in [link for link in links if link.endswith(OWN)]:
        imported = re.findall(r'^import .*"([^"]+)";$', client.get(link).text, re.MULTILINE)
        links += [urljoin(link, name) for name in imported]
    return links


@pytest.mark.parametrize("path", PAGES)
def test_pages_are_html(client: httpx.Client, path: str) -> None:
    """Both pages are HTML and name the document that they draw."""
    page = client.get(path)

    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert 'href="openapi.json"' in page.text


@pytest.mark.parametrize("path", PAGES)
def test_all_that_a_page_loads_is_there(client: httpx.Client, path: str) -> None:
    """Each script and style that a page names answers 200, with its type and its content."""
    links = linked(client, client.get(path))

    assert {link.rsplit("/", 1)[1] for link in links} == ASSETS[path]
    for link in links:
        asset = client.get(link)
        kind = "css" if link.endswith(".css") else "javascript"
        assert asset.status_code == 200
        assert asset.headers["content-type"].startswith(f"text/{kind}")
        assert len(asset.content) > 50


@pytest.mark.parametrize("path", [f"{path}/" for path in PAGES])
def test_a_slash_at_the_end_breaks_nothing(client: httpx.Client, path: str) -> None:
    """With a slash at its end a page leads to the one without, and all that it loads is there."""
    page = client.get(path, follow_redirects=True)
    links = linked(client, page)

    assert page.url.path == path.removesuffix("/")
    assert {link.rsplit("/", 1)[1] for link in links} == ASSETS[page.url.path]
    assert {client.get(link).status_code for link in links} == {200}


@pytest.mark.parametrize("path", PAGES)
def test_pages_load_nothing_from_elsewhere(client: httpx.Client, path: str) -> None:
    """A page, and the scripts that are ours, name no other host."""
    page = client.get(path)
    own = [link for link in linked(client, page) if link.endswith(OWN)]

    assert len(own) == 1
    for text in (page.text, client.get(own[0]).text):
        assert "http://" not in text
        assert "https://" not in text
        assert '="//' not in text


@pytest.mark.parametrize("path", PAGES)
def test_pages_work_under_a_strict_policy(client: httpx.Client, path: str) -> None:
    """A page has no inline script or style, so that `default-src 'self'` lets it work."""
    page = client.get(path).text

    assert not re.search(r"<script(?![^>]* src=)", page)
    assert "<style" not in page
    assert not re.search(r"\son\w+=", page)


def test_assets_may_be_kept_by_browsers(client: httpx.Client) -> None:
    """Assets may be cached for an hour."""
    asset = client.get("/docs/assets/swagger-ui-bundle.js")

    assert asset.headers["cache-control"] == "public, max-age=3600"


@pytest.mark.parametrize(
    "name", ["nothing.js", "%2e%2e%2f%2e%2e%2fdocs.py", "..%2fdocs.py", "swagger.html", "%00"]
)
def test_other_files_are_no_assets(client: httpx.Client, name: str) -> None:
    """Nothing but the named assets can be read, whatever the path."""
    answer = client.get(f"/docs/assets/{name}")

    assert answer.status_code == 404
    assert "import" not in answer.text


def test_an_unknown_asset_is_a_problem(client: httpx.Client) -> None:
    """A name that no asset has is a 404 in the shape of all errors."""
    assert_problem(client.get("/docs/assets/nothing.js"), 404, "not_found")


def test_assets_are_compressed_and_not_sent_again(client: httpx.Client) -> None:
    """An asset comes compressed, and as 304 to who has it."""
    path = "/docs/assets/redoc.standalone.js"
    asset = client.get(path, headers={"Accept-Encoding": "gzip"})

    again = client.get(
        path, headers={"Accept-Encoding": "gzip", "If-None-Match": asset.headers["etag"]}
    )

    assert asset.headers["content-encoding"] == "gzip"
    assert int(asset.headers["content-length"]) < len(asset.content) / 3
    assert again.status_code == 304


@pytest.fixture(scope="module")
def without_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server without the third-party files of the pages."""
    folder = tmp_path_factory.mktemp("checkout")
    with server_from(folder, folder) as running:
        yield running


@pytest.mark.parametrize("path", PAGES)
def test_missing_files_are_told(without_files: Server, path: str) -> None:
    """Where the scripts are not installed the page says so, and what installs them."""
    page = without_files.client.get(path)

    assert page.status_code == 200
    assert "not installed" in page.text
    assert "./ops/serve" in page.text
    assert "<script" not in page.text


def test_assets_that_are_missing_are_told(without_files: Server) -> None:
    """An asset that is not installed is a 404 that says so."""
    answer = without_files.client.get("/docs/assets/swagger-ui-bundle.js")

    assert "installed" in assert_problem(answer, 404, "not_found")["detail"]


def test_missing_files_cost_the_pages_alone(without_files: Server) -> None:
    """Without these files everything else works, the document included."""
    assert without_files.client.get("/openapi.json").status_code == 200
    assert without_files.client.post("/predict", json={"data": [ROW]}).status_code == 200


@pytest.mark.parametrize("path", PAGES)
def test_pages_may_talk_to_this_server_alone(client: httpx.Client, path: str) -> None:
    """The policy of a page names no other host, so that no script of it can call out."""
    policy = client.get(path).headers["content-security-policy"]

    assert policy.startswith("default-src 'self';")
    assert "connect-src" not in policy
    assert "http" not in policy
