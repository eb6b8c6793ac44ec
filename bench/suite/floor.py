"""An Nginx that answers every request by itself: what the generator and the wire cost alone."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from bench.harness import STOP_TIMEOUT_SECONDS, ServerError, free_port
from bench.request import HOST, get
from ops.native.nginx import workers_needed

START_SECONDS = 10.0
CONFIGURATION = """\
daemon off;
{user}
worker_processes {workers};
error_log stderr warn;
pid {folder}/pid;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/unused;
    fastcgi_temp_path {folder}/unused;
    uwsgi_temp_path {folder}/unused;
    scgi_temp_path {folder}/unused;
    keepalive_requests 10000000;
    server {{
        listen {host}:{port};
        default_type application/json;
        location / {{ return 200 '{answer}'; }}
    }}
}}
"""


@contextmanager
def floor(answer: bytes) -> Iterator[str]:
    """Start it for a `with` block; gives its URL.

    Args:
        answer: JSON without quotes that Nginx would take for its own: what it says each time.

    Raises:
        ServerError: It does not start.
    """
    with tempfile.TemporaryDirectory(prefix="bench-floor-") as name:
        port = free_port()
        file = Path(name) / "nginx.conf"
        file.write_text(
            CONFIGURATION.format(
                folder=name,
                host=HOST,
                port=port,
                workers=workers_needed(),  # as many as the stack's has
                answer=answer.decode(),
                user="user root;" if os.geteuid() == 0 else "",
            )
        )
        process = psutil.Popen(["nginx", "-p", name, "-c", str(file)], stdin=subprocess.DEVNULL)
        try:
            _wait(process, port)
            yield f"http://{HOST}:{port}"
        finally:
            process.terminate()
            process.wait(STOP_TIMEOUT_SECONDS)


def _wait(process: psutil.Popen, port: int) -> None:
    limit = time.monotonic() + START_SECONDS
    while time.monotonic() < limit and process.poll() is None:
        try:
            get(port, "/")
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise ServerError("the floor's nginx does not answer")
