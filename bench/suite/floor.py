"""An Nginx that answers every request by itself: what the generator and the wire cost alone."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.harness import free_port
from bench.nginx import nginx_running
from bench.request import HOST, get
from ops.native.nginx import workers_needed

CONFIGURATION = """\
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
    """Start it for a `with` block, with as many workers as the stack's; gives its URL.

    Args:
        answer: JSON without quotes that Nginx would take for its own: what it says each time.

    Raises:
        ServerError: It does not start.
    """
    with tempfile.TemporaryDirectory(prefix="bench-floor-") as name:
        port = free_port()
        words = {"folder": name, "host": HOST, "port": port, "answer": answer.decode()}
        text = CONFIGURATION.format(workers=workers_needed(), **words)
        (Path(name) / "nginx.conf").write_text(text)
        with nginx_running(Path(name), lambda: get(port, "/").status == 200):
            yield f"http://{HOST}:{port}"
