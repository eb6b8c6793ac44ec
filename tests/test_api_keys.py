"""API keys: the file, the command that makes one, and reading the file again."""

import json
import os
import re
import subprocess
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from ml_pipeline.api_keys import ApiKeys, KeysError, make_key
from tests.keys import replace, write_keys
from tests.server import ROOT, Server, run_to_end, settled, wait_until

DIGEST = sha256(b"any").hexdigest()
PLANTED = "planted-in-the-file"
BAD_LINES = {
    "a key itself": (f"alice.{PLANTED}0123456789abcdef", "expected NAME SHA256HEX, found 1 fields"),
    "three fields": (f"alice {DIGEST} {PLANTED}", "expected NAME SHA256HEX, found 3 fields"),
    "a colon": (f"{PLANTED}:{DIGEST}", "expected NAME SHA256HEX, found 1 fields"),
    "upper case": (f"Alice {DIGEST}", "expected a name of 1 to 63 of a-z"),
    "a sign first": (f"-alice {DIGEST}", "expected a name of 1 to 63 of a-z"),
    "a long name": (f"{'a' * 64} {DIGEST}", "expected a name of 1 to 63 of a-z"),
    "not ASCII": (f"ä {DIGEST}", "expected a name of 1 to 63 of a-z"),
    "a short hash": (f"alice {DIGEST[:-1]}", "expected 64 hexadecimal digits"),
    "a long hash": (f"alice {DIGEST}0", "expected 64 hexadecimal digits"),
    "no hash": (f"alice {PLANTED}", "expected 64 hexadecimal digits"),
    "a name twice": (f"bob {DIGEST}", "expected a name of its own"),
}


def fault_of(path: Path) -> str:
    """Why a file cannot be used."""
    with pytest.raises(KeysError) as caught:
        ApiKeys(path)
    return str(caught.value)


# The file.


def test_a_key_belongs_to_its_name(tmp_path: Path) -> None:
    """Each key of the file is known as its owner's."""
    keys = write_keys(tmp_path / "keys", "alice", "bob", "a-1_x")

    known = ApiKeys(tmp_path / "keys")
    assert {known.owner(key.encode()) for key in keys.values()} == set(keys)


def test_no_other_key_is_known(tmp_path: Path) -> None:
    """Neither another secret, nor another's name, nor what lacks or adds something."""
    keys = write_keys(tmp_path / "keys", "alice", "bob")
    name, secret = keys["alice"].split(".")
    sent = ["", ".", name, secret, f"{name}.", f".{secret}", f"bob.{secret}", f"carol.{secret}"]
    sent += [keys["alice"][:-1], f"{keys['alice']}x", f" {keys['alice']}", f"{keys['alice']}\n"]
    sent += [keys["alice"].upper(), f"{name}.{sha256(keys['alice'].encode()).hexdigest()}", "é"]

    known = ApiKeys(tmp_path / "keys")
    assert {text: known.owner(text.encode()) for text in sent} == dict.fromkeys(sent)


def test_a_secret_that_is_short_is_none(tmp_path: Path) -> None:
    """A key that somebody has thought up does not work, though its hash is in the file."""
    digest = sha256(b"alice.password").hexdigest()
    (tmp_path / "keys").write_text(f"alice {digest}")

    assert ApiKeys(tmp_path / "keys").owner(b"alice.password") is None


def test_comments_and_blanks(tmp_path: Path) -> None:
    """Comments, blank lines, tabs, line ends of Windows and capital digits do not matter."""
    key, line = make_key("alice")
    name, digest = line.split()
    text = f"# keys\r\n\r\n \t {name}\t{digest.upper()}  # her laptop\r\n   # end"
    (tmp_path / "keys").write_text(text)

    assert ApiKeys(tmp_path / "keys").owner(key.encode()) == "alice"


@pytest.mark.parametrize("kind", BAD_LINES)
def test_a_bad_line(tmp_path: Path, kind: str) -> None:
    """The fault names line, expected and found, and never what stands there."""
    line, told = BAD_LINES[kind]
    (tmp_path / "keys").write_text(f"# keys\nbob {sha256(b'bob').hexdigest()}\n\n{line}\n")

    fault = fault_of(tmp_path / "keys")
    assert fault.startswith(f"line 4: {told}")
    assert ", found " in fault
    assert not any(word in fault for word in (PLANTED, DIGEST[:-1]))


@pytest.mark.parametrize("text", ["", "\n\n", "# alice\n"])
def test_a_file_without_a_key(tmp_path: Path, text: str) -> None:
    """A file that lets in nobody is taken for a slip."""
    (tmp_path / "keys").write_text(text)

    assert fault_of(tmp_path / "keys") == "expected a key at least, found none"


def test_a_file_that_is_too_long() -> None:
    """It is not read to its end, if it has one."""
    assert "expected at most 1048576 bytes" in fault_of(Path("/dev/zero"))


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    """The fault says so in the system's words."""
    assert fault_of(tmp_path / "keys").endswith("found: No such file or directory")


def test_a_bad_file_ends_the_start(tmp_path: Path) -> None:
    """The server does not start, and names variable and line."""
    (tmp_path / "keys").write_text(f"alice {PLANTED}")

    done = run_to_end("serve", API_KEYS_FILE=str(tmp_path / "keys"))
    assert done.returncode == 1
    assert "API_KEYS_FILE: line 1: expected 64 hexadecimal digits" in done.stderr
    assert PLANTED not in done.stdout + done.stderr


# The command.


def test_the_command_makes_a_key(tmp_path: Path) -> None:
    """`ml-pipeline key NAME` writes the file's line for `>>`, and shows the key beside it, once."""
    done = run_to_end("key", "alice")
    (tmp_path / "keys").write_text(done.stdout)
    shown = re.findall(r"\balice\.\S+", done.stdout + done.stderr)

    assert (done.returncode, len(shown)) == (0, 1)
    assert shown[0] in done.stderr
    assert ApiKeys(tmp_path / "keys").owner(shown[0].encode()) == "alice"


def test_keys_are_never_the_same() -> None:
    """A secret has 256 bits of chance in it, as 43 URL-safe characters."""
    secrets = {make_key("alice")[0].split(".")[1] for _ in range(100)}

    assert len(secrets) == 100
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", secret) for secret in secrets)


@pytest.mark.parametrize("name", ["", "Alice", "a.b", "-a", "a b", "a" * 64, "a\n"])
def test_a_name_that_cannot_be(name: str) -> None:
    """No key is made for it."""
    with pytest.raises(KeysError, match="expected 1 to 63 of a-z"):
        make_key(name)


def test_the_command_says_what_a_name_may_be() -> None:
    """It writes nothing to standard output then, and ends with status 1."""
    done = run_to_end("key", "Alice")

    assert (done.returncode, done.stdout) == (1, "")
    assert "NAME: expected 1 to 63 of a-z, 0-9, _ and -" in done.stderr


def test_the_commands_of_the_readme(tmp_path: Path) -> None:
    """What it says makes a key, a server that asks for it, and answers to who sends it."""
    text = (ROOT / "README.md").read_text().split("### API keys")[1]
    make, serve, *curls = re.findall(r"^(?:\.venv|API_KEYS_FILE|curl).*$", text, re.MULTILINE)[:4]
    path = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    made = paste(make.replace(".venv", f"{ROOT}/.venv"), tmp_path, path)
    (key,) = re.findall(r"alice\.\S{43}", made.stderr)
    name, file = serve.removesuffix(" ./ops/serve").split("=")
    with Server(settings={name: str(tmp_path / file)}) as server:
        here = [curl.replace(":8000", f":{server.port}") for curl in curls]
        answers = [paste(curl, tmp_path, {**path, "KEY": key}).stdout for curl in here]
        refused = paste(here[0], tmp_path, {**path, "KEY": f"{key}x"}).stdout

    assert [json.loads(answer).keys() for answer in answers] == [{"data"}, {"models"}]
    assert json.loads(refused)["code"] == "unauthorized"


def paste(command: str, folder: Path, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a line in a shell."""
    shell = ["bash", "-c", command]
    return subprocess.run(
        shell, cwd=folder, env=environ, capture_output=True, text=True, timeout=60, check=True
    )


# While the server runs.


def test_the_request_to_paste_has_a_place_for_a_key(tmp_path: Path) -> None:
    """What the start shows is answered once a key stands there."""
    key = write_keys(tmp_path / "keys", "alice")["alice"]
    with Server(API_KEYS_FILE=str(tmp_path / "keys")) as server:
        wait_until(lambda: "curl" in server.stderr)
        (curl,) = re.findall(r"^ *(curl .*)$", server.stderr, re.MULTILINE)
        pasted = curl.replace("NAME.SECRET", key)
        done = paste(pasted, tmp_path, {"PATH": os.environ["PATH"]})

    assert "predictions" in done.stdout
    assert pasted != curl


def status(server: Server, key: str) -> int:
    """How a request with a key is answered."""
    return server.client.get("/models", headers={"X-API-Key": key}).status_code


def told(server: Server) -> list[tuple[str, int]]:
    """What the log says of the file: events, and the number of keys that hold."""
    lines = [line for line in server.log_lines() if line["event"].startswith("api_keys")]
    return [(line["event"], line["keys"]) for line in lines]


def test_keys_come_and_go_without_a_restart(tmp_path: Path) -> None:
    """A new key works, and one that was taken out does not, as soon as the file was read again."""
    path = tmp_path / "keys"
    old = write_keys(path, "alice")["alice"]
    with Server(API_KEYS_FILE=str(path)) as server:
        before = status(server, old)
        new = write_keys(path, "alice", "bob")
        wait_until(lambda: status(server, old) == 401)

        assert before == 200
        assert [status(server, key) for key in new.values()] == [200, 200]
        assert told(server) == [("api_keys_read", 1), ("api_keys_read", 2)]


def test_a_change_in_place_is_seen(tmp_path: Path) -> None:
    """So is a line that is added to the file that is there."""
    path = tmp_path / "keys"
    write_keys(path, "alice")
    key, line = make_key("bob")
    with Server(API_KEYS_FILE=str(path)) as server:
        before = status(server, key)
        with path.open("a") as file:
            file.write(f"{line}\n")

        wait_until(lambda: status(server, key) == 200)
        assert before == 401


BREAKS: dict[str, Callable[[Path], None]] = {
    "a bad line": lambda path: replace(path, f"alice {PLANTED}"),
    "empty": lambda path: replace(path, ""),
    "missing": Path.unlink,
}


@pytest.mark.parametrize("kind", BREAKS)
def test_a_file_that_breaks_changes_nothing(tmp_path: Path, kind: str) -> None:
    """The keys that were right last hold, an error is logged once, health tells until it is mended.

    Neither tells what stands in the file.
    """
    path = tmp_path / "keys"
    key = write_keys(path, "alice")["alice"]
    mended = path.read_text()
    with Server(API_KEYS_FILE=str(path)) as server:
        BREAKS[kind](path)
        wait_until(lambda: len(told(server)) == 2)
        during, health = status(server, key), server.client.get("/health").json()
        replace(path, mended)
        wait_until(lambda: len(told(server)) == 3)
        after = server.client.get("/health").json()
        log = server.stdout

        assert told(server) == [
            ("api_keys_read", 1),
            ("api_keys_unusable", 1),
            ("api_keys_read", 1),
        ]
    assert (during, health["status"], after["status"]) == (200, "degraded", "healthy")
    (part,) = [part for part in health["dependencies"] if part["name"] == "api_keys"]
    assert "expected" in part["detail"]
    assert PLANTED not in log + str(health)


def test_a_file_that_was_replaced_beneath_a_mount(tmp_path: Path) -> None:
    """Who still sees the old file, as a container does that has it mounted by itself, is told.

    An open descriptor stands for the mount: its file stays the one that it was.
    """
    path = tmp_path / "keys"
    key = write_keys(path, "alice")["alice"]
    script = "import os, sys; os.dup2(os.open(sys.argv.pop(1), os.O_RDONLY), 9); "
    script += "import runpy; runpy.run_module('ml_pipeline', run_name='__main__', alter_sys=True)"
    with Server(command=("-c", script, str(path)), API_KEYS_FILE="/proc/self/fd/9") as server:
        write_keys(path, "bob")
        wait_until(lambda: len(told(server)) == 2)

        assert settled(lambda: told(server)[-1][0], "api_keys_unusable") == "api_keys_unusable"
        assert "another put in its place" in server.stdout
        assert status(server, key) == 200
