"""The load generator: wrk with one thread and keep-alive connections, a closed loop.

Its percentiles are wrk's own, corrected for coordinated omission: a request that stalls also
stands for those that its connection would have sent meanwhile.
Source: https://github.com/wg/wrk/blob/4.1.0/src/wrk.c (`stats_correct` before `done`).
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.request import HOST, Request

GRACE_SECONDS = 30.0

# Numbering costs the generator a Lua call a request, so only a numbered request pays for it.
NUMBERED_LUA = """
local number = {first_number}
function request()
  number = {next_number}
  return wrk.format(nil, nil, nil, string.format(wrk.body, number))
end
"""
SCRIPT_LUA = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "{content_type}"
{headers}
local file = io.open("{body_path}", "rb")
wrk.body = file:read("*a")
file:close()
{numbered}
function done(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format(
    '\\nRESULT {{"requests": %d, "failed": %d, "statuses": %d, "seconds": %.6f, ' ..
    '"p50_us": %.1f, "p95_us": %.1f, "p99_us": %.1f, "p999_us": %.1f}}\\n',
    summary.requests, failed, errors.status, summary.duration / 1e6,
    latency:percentile(50), latency:percentile(95),
    latency:percentile(99), latency:percentile(99.9)))
end
"""


class LoadError(RuntimeError):
    """The generator failed, or a request did: there is nothing to report."""


@dataclass(frozen=True, slots=True)
class Load:
    """One run of the generator.

    A numbered request counts on from `first_number`, or round and round below `cycle`.
    """

    request: Request
    connections: int
    seconds: int
    first_number: int = 0
    cycle: int = 0


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What the generator saw; every request was answered below 400."""

    requests: int
    seconds: float
    p50_us: float
    p95_us: float
    p99_us: float
    p999_us: float

    @property
    def rps(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


def run_load(port: int, load: Load, *, cores: Sequence[int] = ()) -> LoadResult:
    """Drive `load` at a server on this machine, bound to `cores` where some are given.

    Raises:
        LoadError: wrk failed, or any request did not get an answer below 400.
    """
    with tempfile.TemporaryDirectory(prefix="bench-load-") as folder:
        script = _write_script(Path(folder), load)
        command = [
            *pinned(cores),
            "wrk",
            "--threads=1",
            f"--connections={load.connections}",
            f"--duration={load.seconds}s",
            "--timeout=10s",
            f"--script={script}",
            f"http://{HOST}:{port}{load.request.path}",
        ]
        limit = load.seconds + GRACE_SECONDS
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
    if done.returncode != 0:
        raise LoadError(f"wrk ended with {done.returncode}: {done.stdout}{done.stderr}")
    return _parse(done.stdout)


def pinned(cores: Sequence[int]) -> list[str]:
    """Return the words to put before a command so that it runs on `cores` alone."""
    return ["taskset", "--cpu-list", ",".join(map(str, cores))] if cores else []


def _write_script(folder: Path, load: Load) -> Path:
    body_path = folder / "body"
    body_path.write_bytes(load.request.body)
    following = f"(number + 1) % {load.cycle}" if load.cycle else "number + 1"
    numbered = NUMBERED_LUA.format(first_number=load.first_number, next_number=following)
    script = folder / "load.lua"
    script.write_text(
        SCRIPT_LUA.format(
            content_type=load.request.content_type,
            headers="\n".join(f'wrk.headers["{k}"] = "{v}"' for k, v in load.request.headers),
            body_path=body_path,
            numbered=numbered if load.request.numbered else "",
        )
    )
    return script


def _parse(output: str) -> LoadResult:
    lines = [line for line in output.splitlines() if line.startswith("RESULT ")]
    if not lines:
        raise LoadError(f"wrk printed no result: {output}")
    result = json.loads(lines[-1].removeprefix("RESULT "))
    failed, statuses = result.pop("failed"), result.pop("statuses")
    if failed or not result["requests"]:
        raise LoadError(
            f"{failed} of {result['requests']} requests failed, {statuses} by their status"
        )
    return LoadResult(**result)
