"""`/docs` and `/redoc` over HTTP: pages that need nothing from the internet."""

import re
from collections.abc import Iterator
from urllib.parse import urljoin

import httpx
import pytest

from tests.server import Server
from tests.web.problem import assert_problem
from tests.web.samples import ROW

PAGES = ("/docs", "/redoc")
ASSETS = {
    "/docs": {"swagger-ui.css", "swagger-ui-bundle.js", "swagger.js"},
    "/redoc": {"redoc.standalone.js", "redoc.js"},
}
OWN = ("/swagger.js", "/redoc.js")
BLOCKED = """
import sys
from importlib.machinery import PathFinder

class WithoutDocs(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name in ("flask_openapi_swagger", "flask_openapi_redoc"):
            return None
        return super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = WithoutDocs
from app.__main__ import main
sys.exit(main())
"""
"""Starts the server as if the packages of the pages were not installed."""


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
    """With a slash at its end a page is not there, or all that it loads still is."""
    page = client.get(path)

    assert page.status_code == 404 or all(
        client.get(link).status_code == 200 for link in linked(client, page)
    )


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


@pytest.fixture(scope="module")
def without_docs() -> Iterator[Server]:
    """A server where the packages of the pages are not installed."""
    with Server(command=("-c", BLOCKED)) as running:
        yield running


@pytest.mark.parametrize("path", PAGES)
def test_missing_packages_are_named(without_docs: Server, path: str) -> None:
    """Where the scripts are not installed the page says which packages they come from."""
    page = without_docs.client.get(path)

    assert page.status_code == 200
    assert "not installed" in page.text
    assert "flask-openapi-swagger" in page.text
    assert "flask-openapi-redoc" in page.text
    assert "requirements.lock" in page.text
    assert "<script" not in page.text


def test_assets_of_missing_packages_are_told(without_docs: Server) -> None:
    """An asset that is not installed is a 404 that says so."""
    answer = without_docs.client.get("/docs/assets/swagger-ui-bundle.js")

    assert "installed" in assert_problem(answer, 404, "not_found")["detail"]


def test_missing_packages_cost_the_pages_alone(without_docs: Server) -> None:
    """Without the packages everything else works, the document included."""
    assert without_docs.client.get("/openapi.json").status_code == 200
    assert without_docs.client.post("/predict", json={"data": [ROW]}).status_code == 200


@pytest.mark.parametrize("path", PAGES)
def test_pages_may_talk_to_this_server_alone(client: httpx.Client, path: str) -> None:
    """The policy of a page names no other host, so that no script of it can call out."""
    policy = client.get(path).headers["content-security-policy"]

    assert policy.startswith("default-src 'self';")
    assert "connect-src" not in policy
    assert "http" not in policy
