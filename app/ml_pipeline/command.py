"""`ml-pipeline serve [MODEL]`: settings → application → listener, in this one process.

`ml-pipeline key NAME` makes an API key.
"""

import argparse
import asyncio
import os
import resource
import shlex
import signal
import socket
import sys
from collections.abc import Callable
from urllib.parse import quote

import msgspec
import uvloop

from ml_pipeline import __version__
from ml_pipeline.api_keys import KeysError, make_key
from ml_pipeline.application import Application
from ml_pipeline.build import create_app
from ml_pipeline.engine.graph.process import GraphReader
from ml_pipeline.engine.model.loading import any_left
from ml_pipeline.errors import InferenceError
from ml_pipeline.fronts.http.hosts import choose_hosts
from ml_pipeline.fronts.http.listener import Listener
from ml_pipeline.log import configure, get_logger, log_unhandled, say
from ml_pipeline.settings import Settings, SettingsError, load_settings

BACKLOG, MAX_CONNECTIONS = 1024, 16_384
"""Connections that may wait to be accepted, and that may be open."""

SPARE_DESCRIPTORS = 48
"""That clients never get: for model files, connections to Redis, and what ONNX Runtime opens."""

LAST_WORDS_SECONDS = 0.25
"""Of the end of a drain, for telling who has sent half a body that its end comes too late."""

LINGER_SECONDS = 0.25
"""Time between `Connection: close` on every answer and closing connections.

A request that is on the wire when its connection is closed is lost; in this time the clients close.
"""
LAST_CALL_SECONDS = 0.02
"""The end of it, in which nobody else may connect: who has just done so is let in, and sends."""


def main(arguments: list[str] | None = None, graphs: GraphReader | None = None) -> int:
    """Run the command; returns the exit status. `graphs` may have been started already."""
    parsed = _parser().parse_args(arguments)
    if parsed.command == "key":
        return _make_key(parsed.name)
    try:
        settings = load_settings(os.environ)
        if parsed.model:
            settings = msgspec.structs.replace(settings, model_path=parsed.model)
        configure(settings.log_level, settings.env)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            if not runner.run(_serve(settings, graphs)):
                _leave()
    except (SettingsError, InferenceError, OSError) as error:
        say(f"ml-pipeline: {error}")
        if any_left():
            _leave(1)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ml-pipeline", description="ONNX models behind REST.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    serve = commands.add_parser("serve", help="serve models over HTTP")
    serve.add_argument("model", nargs="?", metavar="MODEL", help="ONNX file or folder of models")
    key = commands.add_parser("key", help="make an API key, and its line for API_KEYS_FILE")
    key.add_argument("name", metavar="NAME", help="whose it is: a-z, 0-9, _ and -")
    return parser


def _make_key(name: str) -> int:
    """Write the line of the file to standard output, for `>>`, and the key beside it."""
    try:
        key, line = make_key(name)
    except KeysError as error:
        print(f"ml-pipeline: NAME: {error}, found {name!r}", file=sys.stderr)
        return 1
    print(line)
    print(
        f"\nThe key of {name}, shown this once and kept nowhere:\n\n  {key}\n",
        file=sys.stderr,
    )
    return 0


async def _serve(settings: Settings, graphs: GraphReader | None) -> bool:
    """Load, listen, wait for a signal, drain; returns whether nothing was left under way."""
    settings = msgspec.structs.replace(settings, host=_claim(settings.host, settings.port))
    asyncio.get_running_loop().set_exception_handler(log_unhandled)
    app = create_app(settings, graphs)

    def leave() -> None:
        app.repository.stop_loading()
        _leave()

    _on_signal(leave)  # while models load nothing has been promised to anybody
    async with app.lifespan():
        listener = await listen(app, settings)
        _announce(app, settings)
        stopping = asyncio.Event()
        _on_signal(stopping.set)
        await stopping.wait()
        answered = await _drain(app, listener, settings.drain_timeout_seconds)
    return answered and not any_left()


def _on_signal(act: Callable[[], object]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, act)


async def _drain(app: Application, listener: Listener, timeout_seconds: float) -> bool:
    """Let clients go, stop listening, wait for what is under way; False if it takes too long.

    A second signal ends the process at once.
    """
    left = app.lifecycle.drain_seconds_left
    app.lifecycle.begin_drain()
    app.repository.stop_loading()
    await asyncio.sleep(LINGER_SECONDS - LAST_CALL_SECONDS)
    listener.turn_away()
    await asyncio.sleep(LAST_CALL_SECONDS)
    _on_signal(_cut)  # only now: what comes right behind the first is the same, sent twice
    listener.stop()
    try:
        if await _ends(listener, left(timeout_seconds - LAST_WORDS_SECONDS)):
            return True
        listener.refuse_half_read()
        return await _ends(listener, max(left(timeout_seconds), LAST_WORDS_SECONDS))
    finally:
        listener.abort()


async def _ends(listener: Listener, timeout_seconds: float) -> bool:
    """Wait for the last connection to close; False if that takes longer."""
    try:
        async with asyncio.timeout(timeout_seconds):
            await listener.wait_closed()
    except TimeoutError:
        return False
    return True


def _cut() -> None:
    """End at once: whoever asks a second time does not want to wait for requests under way."""
    get_logger().warning("drain_cut")
    _leave(1)


def _leave(status: int = 0) -> None:
    """End without the interpreter's clean-up: threads inside ONNX Runtime would make it abort."""
    os._exit(status)  # nothing is buffered: lines are written whole


async def listen(app: Application, settings: Settings) -> Listener:
    """Accept requests from now on."""
    max_connections = _connections_allowed()

    def tell(num_refused: int) -> None:
        get_logger().warning("connections_refused", num=num_refused, most=max_connections)

    listener = Listener(
        app.respond,
        max_body_bytes=settings.max_body_bytes,
        max_connections=max_connections,
        hosts=choose_hosts(settings.allowed_hosts, settings.host),
        on_refused=tell,
    )
    await listener.listen(settings.host, settings.port, backlog=BACKLOG)
    return listener


def _connections_allowed() -> int:
    """Connections that may be open: as many as descriptors allow, after asking for all we may have.

    At the limit itself nothing could be opened any more: no model to reload, no way to Redis.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + SPARE_DESCRIPTORS
    if 0 <= soft < wanted:  # -1 where there is no limit
        soft = wanted if hard < 0 else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return MAX_CONNECTIONS if soft < 0 else max(1, min(MAX_CONNECTIONS, soft - SPARE_DESCRIPTORS))


def _claim(host: str, port: int) -> str:
    """Resolve the host and refuse a port that is taken, before models are loaded."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise OSError(f"HOST={host} PORT={port}: {error.strerror}") from None
    return str(address[0])


def _announce(app: Application, settings: Settings) -> None:
    """Say where everything is, with a request to paste."""
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host
    url = f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"
    get_logger().info("serving", url=url, version=__version__)
    places = {"server": url, "dashboard": f"{url}/ui/", "docs": f"{url}/docs"}
    lines = "\n".join(f"  {name:<9}  {place}" for name, place in places.items())
    say(f"\n{lines}\n")
    if curl := _curl(app, url, needs_key=bool(settings.api_keys_file)):
        say(f"  {curl}\n")


def _curl(app: Application, url: str, *, needs_key: bool) -> str | None:
    """Write a request to paste into a shell, for the first model that `POST /predict` can fill."""
    models = app.repository.models
    for model in models:
        if model.takes_rows and (rows := model.sample_rows) != []:
            query = "" if len(models) == 1 else f"?model={quote(model.name, safe='')}"
            rows = rows[:1] if model.inputs[0].batched else rows
            body = msgspec.json.encode({"data": rows}).decode()
            header = "'Content-Type: application/json'"
            if needs_key:
                header += " -H 'X-API-Key: NAME.SECRET'"
            return (
                f"curl -s {shlex.quote(f'{url}/predict{query}')} -H {header} -d {shlex.quote(body)}"
            )
    return None
