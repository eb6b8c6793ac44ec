"""The admin token of `ops/stack`: made where none is set, as Nginx closes reloads without one."""

import re
import stat
from pathlib import Path

from tests.stack.native import Stack


def reload(stack: Stack, token: str) -> int:
    """Ask for a reload through Nginx, and give the status."""
    headers = {"Authorization": f"Bearer {token}"}
    return stack.client.post("/api/models/reload", headers=headers).status_code


def test_up_makes_an_admin_token(tmp_path: Path) -> None:
    """Where none is set it prints one of its own, and that one reloads through Nginx, no other."""
    with Stack(tmp_path / "s", replicas=1) as stack:
        (token,) = re.findall(r"^  admin token (\S+)$", stack.up.stdout, re.M)

        assert [reload(stack, sent) for sent in (token, f"{token}x")] == [200, 401]


def test_an_admin_token_that_was_set_is_not_shown(tmp_path: Path) -> None:
    """What the environment gives is used and not printed."""
    with Stack(tmp_path / "s", replicas=1, ADMIN_TOKEN="from-outside") as stack:
        assert reload(stack, "from-outside") == 200
        assert "from-outside" not in stack.up.stdout


def test_other_names_are_answered_to_where_they_are_chosen(tmp_path: Path) -> None:
    """Behind a proxy with a name of its own the stack runs, and its probes go on reaching it."""
    with Stack(tmp_path / "s", replicas=1, ALLOWED_HOSTS="api.example") as stack:
        statuses = [
            stack.client.get("/api/models", headers={"Host": host}).status_code
            for host in ("api.example", "127.0.0.1", "evil.example")
        ]

        assert statuses == [200, 200, 421]
        assert stack.run("status").returncode == 0


def test_only_the_owner_reads_the_token(tmp_path: Path) -> None:
    """The file that it is kept in is closed to others."""
    with Stack(tmp_path / "s", replicas=1) as stack:
        file = tmp_path / "s" / "admin_token"
        mode = stat.S_IMODE(file.stat().st_mode)
        token = file.read_text()

        assert (mode, reload(stack, token)) == (0o600, 200)
