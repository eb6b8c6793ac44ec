"""What the server is made of: the bill of materials, and the audit of it.

`ops/sbom` and `ops/audit` run as they ship, with the tools of ops/supply/requirements.lock; the
audit asks a service on this machine that knows of one vulnerability or of none.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.http_service import HttpService, QuietHandler
from tests.server import ROOT, free_port

LOCKS = ("requirements.lock", "ops/otel/requirements.lock")
LEFT_OUT = {"faker", "polyfactory"}
"""Which the image does not have."""

DAY = 86_400


def locked() -> dict[str, tuple[str, set[str]]]:
    """Version and hashes of each package of the image."""
    text = "\n".join((ROOT / lock).read_text() for lock in LOCKS)
    found = {}
    for block in re.split(r"\n(?=[a-z])", text):
        if match := re.match(r"([\w.-]+)==([\w.]+)", block):
            found[match[1]] = (match[2], set(re.findall(r"sha256:([0-9a-f]{64})", block)))
    return {name: value for name, value in found.items() if name not in LEFT_OUT}


# The bill of materials.


@pytest.fixture(scope="module")
def bills(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Two, one after the other."""
    folder = tmp_path_factory.mktemp("bills")
    environ = {**os.environ, "PYTHON": sys.executable}
    for name in ("one", "other"):
        command = [ROOT / "ops" / "sbom", folder / name]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120)
        assert (done.returncode, done.stderr) == (0, "")
    return [(folder / name).read_bytes() for name in ("one", "other")]


@pytest.fixture(scope="module")
def bill(bills: list[bytes]) -> dict[str, Any]:
    """One of them."""
    decoded: dict[str, Any] = json.loads(bills[0])
    return decoded


def test_it_is_cyclonedx_of_this_project(bill: dict[str, Any]) -> None:
    """The document says what it is, and of what."""
    assert bill["bomFormat"] == "CycloneDX"
    assert bill["metadata"]["component"]["name"] == "ml-pipeline"


def test_it_lists_what_is_locked(bill: dict[str, Any]) -> None:
    """Its components are the packages of the locks, each in its version, and no others."""
    components = {each["name"]: each["version"] for each in bill["components"]}

    assert components == {name: version for name, (version, _) in locked().items()}
    assert len(components) == len(bill["components"])
    assert {each["purl"] for each in bill["components"]} == {
        f"pkg:pypi/{name}@{version}" for name, version in components.items()
    }


def test_it_has_every_hash(bill: dict[str, Any]) -> None:
    """Each component has the hashes by which it is pinned."""
    for each in bill["components"]:
        [reference] = each["externalReferences"]
        hashes = {found["content"] for found in reference["hashes"]}

        assert hashes == locked()[each["name"]][1], each["name"]


def test_it_is_the_same_each_time(bills: list[bytes]) -> None:
    """The same locks give the same bytes: no time of day, no random number."""
    assert bills[0] == bills[1]
    assert "serialNumber" not in json.loads(bills[0])
    assert "timestamp" not in json.loads(bills[0])["metadata"]


def test_it_leaves_out_what_the_image_does() -> None:
    """What the Dockerfile takes out of the image is not in the bill either."""
    [names] = re.findall(r" uninstall --yes \S+ (.*) && ", (ROOT / "ops/Dockerfile").read_text())

    assert set(names.split()) == LEFT_OUT


# The audit.


class Advisories(HttpService):
    """Answers as the OSV database does: that a package is vulnerable, or that none is.

    Attributes:
        url: Of the service.
        asked: Packages that it was asked about.
    """

    def __init__(self, vulnerable: str = "") -> None:
        self.asked: list[str] = []
        advisories = self

        class Handler(QuietHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.read_body())
                name = asked["package"]["name"]
                advisories.asked.append(name)
                found = [advisory(name)] if name == vulnerable else []
                answer = json.dumps({"vulns": found} if found else {}).encode()
                self.reply(200, answer, Content_Type="application/json")

        super().__init__(Handler)
        self.url += "/v1/query"


def advisory(name: str) -> dict[str, Any]:
    """Write that every version below 9999 is vulnerable."""
    events = [{"introduced": "0"}, {"fixed": "9999.0"}]
    return {
        "id": "PYSEC-0000-1",
        "summary": "made up",
        "affected": [
            {
                "package": {"name": name, "ecosystem": "PyPI"},
                "ranges": [{"type": "ECOSYSTEM", "events": events}],
            }
        ],
    }


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the repository whose locks were committed today."""
    for name in ("app", "ops", "requirements.lock", "pyproject.toml", ".venv"):
        (tmp_path / name).symlink_to(ROOT / name)
    commit(tmp_path, days_ago=0)
    return tmp_path


def commit(folder: Path, *, days_ago: int) -> None:
    """Make a history of one commit, so old."""
    at = int(subprocess.check_output(["date", "+%s"])) - days_ago * DAY
    environ = {**os.environ, "GIT_COMMITTER_DATE": f"{at} +0000", "GIT_AUTHOR_DATE": f"{at} +0000"}
    who = ["-c", "user.name=x", "-c", "user.email=x@x.invalid"]
    for arguments in (
        ["init", "--quiet"],
        ["add", "requirements.lock"],
        [*who, "commit", "--quiet", "--message", "Pin"],
    ):
        subprocess.run(["git", *arguments], cwd=folder, env=environ, check=True, timeout=30)


def audit(checkout: Path, url: str) -> subprocess.CompletedProcess[str]:
    """Run the audit to its end, with nothing remembered of the one before."""
    environ = {**os.environ, "PYTHON": sys.executable}
    command: list[str | Path] = [
        checkout / "ops" / "audit",
        "-s",
        "osv",
        "--osv-url",
        url,
        "--timeout",
        "5",
    ]
    command += ["--cache-dir", checkout / "cache"]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120)


@pytest.fixture
def clean() -> Iterator[Advisories]:
    """A service that knows of nothing."""
    with Advisories() as advisories:
        yield advisories


def test_every_package_is_asked_about(checkout: Path, clean: Advisories) -> None:
    """Where nothing is known the status is 0, and each package that runs here was asked about."""
    done = audit(checkout, clean.url)

    assert done.returncode == 0, done.stdout + done.stderr
    elsewhere = {"async-timeout", "colorama", "tzdata"}  # of other systems, or older Pythons
    assert {"supervisor", *locked(), *LEFT_OUT} - set(clean.asked) <= elsewhere


def test_a_vulnerability_is_named(checkout: Path) -> None:
    """Where one is known the status is 1; package, advisory and the version to take are told."""
    with Advisories(vulnerable="msgspec") as advisories:
        done = audit(checkout, advisories.url)

    assert done.returncode == 1
    [line] = [line for line in done.stdout.splitlines() if line.startswith("msgspec")]
    assert "PYSEC-0000-1" in line
    assert "9999.0" in line


def test_who_cannot_be_asked_is_no_yes(checkout: Path) -> None:
    """Where nobody answers the status is 1, not that of a clean audit."""
    done = audit(checkout, f"http://127.0.0.1:{free_port()}/v1/query")

    assert done.returncode == 1
    assert done.stderr


@pytest.mark.parametrize(("days", "status"), [(179, 0), (200, 1)])
def test_old_pins_are_no_yes(
    tmp_path: Path, clean: Advisories, checkout: Path, days: int, status: int
) -> None:
    """Pins that nobody has looked at for half a year are told of, with what to do."""
    subprocess.run(["rm", "-rf", checkout / ".git"], check=True, timeout=30)
    commit(checkout, days_ago=days)

    done = audit(checkout, clean.url)

    assert done.returncode == status
    assert f"changed {days} days ago" in done.stderr
    assert ("ops/lock --upgrade" in done.stderr) == bool(status)


def test_without_a_history_the_age_is_not_known(checkout: Path, clean: Advisories) -> None:
    """A copy without its history, such as CI makes, is told from one that is new."""
    shallow = checkout / "shallow"
    command = ["git", "clone", "--quiet", "--depth", "1", f"file://{checkout}", str(shallow)]
    subprocess.run(command, check=True, timeout=30)
    for name in ("ops", "pyproject.toml", ".venv"):
        (shallow / name).symlink_to(ROOT / name)

    done = audit(shallow, clean.url)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "age is not known" in done.stderr
