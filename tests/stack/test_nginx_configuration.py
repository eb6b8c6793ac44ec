"""The rendered configuration, as Nginx and gixy read it."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ops.native import nginx
from tests.server import NO_SETTINGS, ROOT, free_port
from tests.stack.nginx import Gateway, Https

SEVERE = {"MEDIUM", "HIGH"}
KINDS = ["plain", "tls", "every variable"]


@pytest.fixture(params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Files of an Nginx with two replicas."""
    ports = (free_port(), free_port())
    every = {"RATE_LIMIT_EXEMPT": "10.0.0.0/8 ::1", "TRUSTED_PROXIES": "10.0.0.1 fd00::/8"}
    every |= {"RATE_LIMIT_KEYS": "alice=6000 bob=1"}
    every |= {"HTTPS_ONLY": "on", "MAX_BODY_SIZE": "16m", "WORKER_PROCESSES": "2"}
    if request.param == "tls":
        gateway: Gateway = Https(tmp_path, *ports)
    else:
        gateway = Gateway(
            tmp_path, *ports, settings=every if request.param == "every variable" else NO_SETTINGS
        )
    gateway.render()
    return gateway.folder.nginx


def test_nginx_takes_it_without_a_warning(folder: Path) -> None:
    """`nginx -t` says that it is well, and nothing else."""
    command = ["nginx", "-t", "-p", f"{folder}/", "-c", "nginx.conf"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)

    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if "[" in line]
    assert lines == []


def test_gixy_finds_nothing_severe(folder: Path) -> None:
    """Nothing of medium or high severity."""
    gixy = Path(sys.executable).with_name("gixy")
    command = [str(gixy), "--format", "json", str(folder / "nginx.conf")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)

    found = [issue for issue in json.loads(done.stdout) if issue["severity"].upper() in SEVERE]
    assert found == []


def test_gixy_looks(tmp_path: Path) -> None:
    """The tool finds a fault that is put there, so that its silence means something."""
    path = tmp_path / "nginx.conf"
    path.write_text("http { server { location ~ /a(.*) { add_header X $uri; } } }")
    gixy = Path(sys.executable).with_name("gixy")
    command = [str(gixy), "--format", "json", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert {issue["severity"].upper() for issue in json.loads(done.stdout)} & SEVERE


def test_every_variable_has_a_value(folder: Path) -> None:
    """Nothing in the rendered files still waits for one."""
    files = list(folder.rglob("*.conf"))

    assert len(files) >= 2
    assert [file.name for file in files if "${" in file.read_text()] == []


def test_what_the_shell_reads_is_what_sh_reads() -> None:
    """The variables are read by any POSIX shell: the image has BusyBox', this machine dash."""
    shells = [shell for shell in ("dash", "bash", "busybox") if shutil.which(shell)]
    script = f'set -e; . "{ROOT}/nginx/variables.envsh"; echo $API_SECONDS $REAL_IP_FROM'
    found = {
        subprocess.run(
            [shell, *(["sh"] if shell == "busybox" else []), "-c", script],
            capture_output=True,
            text=True,
            env={"TRUSTED_PROXIES": "10.0.0.1 ::1"},
            timeout=20,
        ).stdout
        for shell in shells
    }

    assert found == {"2 set_real_ip_from 10.0.0.1; set_real_ip_from ::1;\n"}


def test_upstreams_name_each_replica_once(tmp_path: Path) -> None:
    """Each native list has a line a replica, with the bounds of the template, and no look-up."""
    gateway = Gateway(tmp_path, 1111, 2222, 3333)
    gateway.folder.make()
    nginx.write_upstreams(gateway.folder, gateway.state)

    text = (gateway.folder.nginx / "upstreams.conf").read_text()
    ports = re.findall(r"(\d{4}) max_fails=3", text)[:3]
    for port in (1111, 2222, 3333):
        assert len(re.findall(rf"^ *server 127\.0\.0\.1:{port} .*max_fails=3", text, re.M)) == 2
        assert len(re.findall(rf"^ *server 127\.0\.0\.1:{port} .*max_fails=0", text, re.M)) == 4
        (others,) = re.findall(rf"^upstream other_than_{port} {{([^}}]*)}}", text, re.M)
        assert re.findall(r":(\d+) ", others) == [p for p in ports if p != str(port)]
    assert re.findall(r"^[^#]*resolve", text, re.M) == []
