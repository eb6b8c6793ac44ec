"""`/ui/` over HTTP: the page, its files, and nothing that lies beside them."""

import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest

from tests.server import ROOT, Server, exchange
from tests.web.checkout import server_from, write_ui
from tests.web.problem import assert_problem

UI = ROOT / "ui"
SCRIPT = "/ui/vendor/uPlot.iife.min.js"
STYLE = "/ui/style.css"
PARTS = ["/ui/", STYLE, "/ui/js/main.js", "/ui/icon.svg", SCRIPT, "/ui/vendor/uplot.LICENSE.txt"]
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
CLOSED = [
    *("package.json", "package-lock.json", "tsconfig.json", "requirements.lock", ".npmrc"),
    *("vendor/.installed", "vendor", "vendor/", "js", "js/", "nothing.css", "js/nothing.js"),
    *("../README.md", "%2e%2e/README.md", "..%2fREADME.md", "%2e%2e%2fREADME.md"),
    *("js/../../README.md", "js/..%2f..%2fREADME.md", "js/%2e%2e/%2e%2e/app/web/pages/redoc.js"),
    *("%252e%252e/README.md", "..%5cREADME.md", "js/main.js%00.css", "%00", "%0a", "style.css%0a"),
    *("/etc/passwd", "%2fetc%2fpasswd", "js//../../../etc/passwd", "%ff", "index.html"),
]
"""Paths below `/ui/` that are no part of the page, though some of them are files."""


def loaded(client: httpx.Client) -> set[str]:
    """All that the page makes the browser load, imports of imports too."""
    names = re.findall(r'<(?:script|link)[^>]* (?:src|href)="([^"]+)"', client.get("/ui/").text)
    left = [urljoin("/ui/", name) for name in names if not name.startswith("data:")]
    found: set[str] = set()
    while left:
        path = left.pop()
        if path not in found and path.startswith("/ui/js/"):
            imported = re.findall(r'from "(\.[^"]+)"', client.get(path).text)
            left += [urljoin(path, name) for name in imported]
        found.add(path)
    return found


def test_the_page(client: httpx.Client) -> None:
    """`/ui/` is the page of `ui/`."""
    page = client.get("/ui/")

    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.content == (UI / "index.html").read_bytes()


def test_without_its_slash_the_page_is_found(client: httpx.Client) -> None:
    """`/ui` leads to `ui/`, from where it is, so also behind a prefix."""
    answer = client.get("/ui")

    assert (answer.status_code, answer.headers["location"]) == (307, "ui/")


def test_all_that_the_page_loads_is_there(client: httpx.Client) -> None:
    """Each script and style, imported ones too, is the file of its name and has its type."""
    paths = loaded(client)

    assert {STYLE, SCRIPT} <= paths
    for path in paths:
        answer = client.get(path)
        assert answer.status_code == 200, path
        assert answer.headers["content-type"] == TYPES[Path(path).suffix]
        assert answer.content == (UI / path.removeprefix("/ui/")).read_bytes()


@pytest.mark.parametrize("path", CLOSED)
def test_nothing_else_is_served(server: Server, path: str) -> None:
    """What is no part of the page is a 404 in the shape of all errors, however it is spelt."""
    answer = exchange(server, f"GET /ui/{path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    assert answer.status == 404
    assert answer.json()["code"] == "not_found"


@pytest.mark.parametrize("path", PARTS)
def test_headers_of_every_part(client: httpx.Client, path: str) -> None:
    """The page and its parts have a strict policy, one type, and are asked for each time."""
    headers = client.get(path).headers

    assert headers["content-security-policy"] == (
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    )
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-cache"
    assert "Accept-Encoding" in headers["vary"]


def test_the_policy_is_that_of_nginx(client: httpx.Client) -> None:
    """The page may do the same behind Nginx."""
    policy = client.get("/ui/").headers["content-security-policy"]

    assert f'"{policy}"' in (ROOT / "nginx" / "nginx.conf.template").read_text()


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
@pytest.mark.parametrize("path", PARTS)
def test_what_a_client_has_is_not_sent_again(
    client: httpx.Client, path: str, encoding: str
) -> None:
    """The tag of an answer, sent back, is answered 304 without a body."""
    accepted = {"Accept-Encoding": encoding}
    tag = client.get(path, headers=accepted).headers["etag"]

    again = client.get(path, headers={**accepted, "If-None-Match": f'"other", {tag}'})

    assert re.fullmatch(r'"[\w-]+"', tag)
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == tag
    assert again.headers["cache-control"] == "no-cache"


def test_what_a_client_has_in_another_version_is_sent(client: httpx.Client) -> None:
    """Another tag is answered with the file."""
    assert client.get(SCRIPT, headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize("accepted", ["gzip", "gzip, deflate, br", "br;q=1, GZIP;q=0.5", "*"])
def test_compressed(client: httpx.Client, accepted: str) -> None:
    """A client that takes gzip gets it, and it is the file."""
    with client.stream("GET", SCRIPT, headers={"Accept-Encoding": accepted}) as answer:
        sent = b"".join(answer.iter_raw())

    assert answer.headers["content-encoding"] == "gzip"
    assert gzip.decompress(sent) == (UI / "vendor" / "uPlot.iife.min.js").read_bytes()


@pytest.mark.parametrize("accepted", ["identity", "br", "gzip;q=0", "gzip; q=0.0, *", "x-gzip"])
def test_not_compressed(client: httpx.Client, accepted: str) -> None:
    """A client that does not take gzip gets the file as it is, under another tag."""
    answer = client.get(SCRIPT, headers={"Accept-Encoding": accepted})
    compressed = client.get(SCRIPT, headers={"Accept-Encoding": "gzip"})

    assert "content-encoding" not in answer.headers
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.headers["etag"] != compressed.headers["etag"]


def test_small_files_stay_as_they_are(client: httpx.Client) -> None:
    """What fits into a packet is not compressed."""
    answer = client.get("/ui/icon.svg", headers={"Accept-Encoding": "gzip"})

    assert len(answer.content) < 1000
    assert "content-encoding" not in answer.headers


@pytest.fixture
def edited(tmp_path: Path) -> Iterator[Server]:
    """A server of a dashboard that a test may change."""
    write_ui(tmp_path / "ui")
    with server_from(tmp_path, tmp_path) as running:
        yield running


def test_an_edit_shows_without_a_restart(edited: Server, tmp_path: Path) -> None:
    """A file that was changed is sent anew, also to who has it as it was."""
    script = tmp_path / "ui" / "js" / "main.js"
    before = edited.client.get("/ui/js/main.js")
    script.write_text("3;\n" * 1000)

    tag = {"If-None-Match": before.headers["etag"]}
    after = edited.client.get("/ui/js/main.js", headers=tag)

    assert (after.status_code, after.text) == (200, "3;\n" * 1000)


def test_a_file_that_went_is_gone(edited: Server, tmp_path: Path) -> None:
    """A file that was sent and then removed is a 404."""
    assert edited.client.get("/ui/js/main.js").status_code == 200
    (tmp_path / "ui" / "js" / "main.js").unlink()

    assert_problem(edited.client.get("/ui/js/main.js"), 404, "not_found")


def test_an_image_has_its_files_elsewhere(tmp_path: Path) -> None:
    """Where no `ui/` lies beside `app/`, the page is that below the environment's `share/`."""
    checkout, prefix = tmp_path / "checkout", tmp_path / "prefix"
    checkout.mkdir()
    write_ui(prefix / "share" / "ml-pipeline" / "ui")
    with server_from(checkout, prefix) as running:
        assert "<title>small</title>" in running.client.get("/ui/").text
        assert running.client.get("/ui/vendor/uPlot.iife.min.js").text == "2;\n"


@pytest.mark.parametrize("left", ["nothing", "all but vendor"])
def test_a_page_that_is_not_installed_says_so(tmp_path: Path, left: str) -> None:
    """Without its files, or those of others, `/ui/` tells what to run, with the same policy."""
    if left != "nothing":
        write_ui(tmp_path / "ui")
        (tmp_path / "ui" / "vendor" / "uPlot.iife.min.js").unlink()
    with server_from(tmp_path, tmp_path) as running:
        page, script = running.client.get("/ui/"), running.client.get(SCRIPT)

    assert page.status_code == 200
    assert "./ops/serve" in page.text
    assert "<script" not in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'self';")
    assert_problem(script, 404, "not_found")
