"""The commands of ops/stack and ops/scale."""

import argparse
import os
import secrets
import shutil
import signal
import sys
import time
from collections.abc import Callable

from ops.native import nginx, services, watch
from ops.native.probes import is_healthy, kind_of, port_of, wait_until_ready
from ops.native.replicas import Replicas
from ops.native.state import (
    FIRST_INTERNAL_PORT,
    Folder,
    Profile,
    StackError,
    State,
    free_port,
    is_free,
)
from ops.native.supervision import Supervisor, log_file

STOP_SECONDS = 30.0
FIXED = ("redis", "prometheus", "nginx-exporter", "nginx")


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parsed = _parser().parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):  # like Ctrl-C: leave nothing half-done
        signal.signal(number, signal.default_int_handler)
    folder = Folder.chosen()
    try:
        if parsed.changes:
            with folder.one_at_a_time():
                parsed.run(folder, parsed)
        else:
            parsed.run(folder, parsed)
    except (StackError, OSError) as error:
        print(f"ops/stack: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("ops/stack: cut off; ops/scale N sets the replicas right", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ops/stack", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[..., None], text: str, *, changes: bool = True) -> None:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(run=run, changes=changes)
        options[name] = added

    options: dict[str, argparse.ArgumentParser] = {}
    command("up", _up, "start everything, and wait until it answers")
    options["up"].add_argument("--replicas", type=_count, default=1, metavar="N")
    options["up"].add_argument(
        "--profile",
        choices=("default", "bench"),
        default="default",
        help="bench lifts the rate limits",
    )
    command("status", _status, "show what runs and where", changes=False)
    command("down", _down, "stop everything")
    command("logs", _logs, "show the last lines of the logs", changes=False)
    options["logs"].add_argument("service", nargs="?", metavar="SERVICE")
    options["logs"].add_argument("--follow", "-f", action="store_true")
    command("restart", _restart, "start a service anew; api and nginx lose no request")
    options["restart"].add_argument("service", choices=("api", *FIXED), metavar="SERVICE")
    command("scale", _scale, "have N replicas; no request is lost")
    options["scale"].add_argument("replicas", type=_count, metavar="N")
    return parser


def _count(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 64:
        raise argparse.ArgumentTypeError(f"expected a number from 1 to 64, found {text}")
    return int(text)


def _up(folder: Folder, parsed: argparse.Namespace) -> None:
    folder.make()
    supervisor = Supervisor(folder)
    if supervisor.runs:
        raise StackError("it is up already; see ops/stack status, ops/scale N, ops/stack down")
    services.end_orphans(folder)
    watches = watch.seconds_allowed() > 0
    shutil.rmtree(folder.nginx / "cache", ignore_errors=True)  # answers of models that may be gone
    shutil.rmtree(folder.hung, ignore_errors=True)
    state = _choose_ports(parsed.profile)
    state.variables = nginx.chosen_variables()
    _refuse_https_only(state)
    for name in ("MODEL_PATH", "API_KEYS_FILE"):  # replicas start in another folder
        if path := os.environ.get(name):
            os.environ[name] = os.path.abspath(path)
    _make_admin_token(folder)
    for left_over in folder.services.glob("*.ini"):
        left_over.unlink()
    services.write_redis(folder, state)
    Replicas(folder, state, supervisor).declare(parsed.replicas)
    services.write_prometheus(folder, state)
    services.write_nginx(folder)
    if watches:
        services.write_watch(folder)
    nginx.render(folder, state)
    folder.write_state(state)
    supervisor.start()
    try:
        wait_until_ready(["nginx"], state, supervisor)
        services.write_exporter(folder, state)  # it ends at once where there is no Nginx to ask
        supervisor.add("nginx-exporter")
        wait_until_ready([*FIXED, *state.replicas], state, supervisor)
        _status(folder, parsed)
    except BaseException:
        _stop(supervisor)
        raise


def _make_admin_token(folder: Folder) -> None:
    """Make one where none is set: behind Nginx reloads would be closed, the dashboard's too."""
    folder.admin_token.unlink(missing_ok=True)
    if not os.environ.get("ADMIN_TOKEN"):
        os.environ["ADMIN_TOKEN"] = secrets.token_urlsafe(12)
        folder.admin_token.touch(mode=0o600)
        folder.admin_token.write_text(os.environ["ADMIN_TOKEN"])


def _refuse_https_only(state: State) -> None:
    if state.variables.get("HTTPS_ONLY") == "on":
        raise StackError("HTTPS_ONLY=on: expected off, because this stack has no TLS; Compose has")


def _choose_ports(profile: str) -> State:
    """Take the two ports that people know as they are, and free ones for the rest."""
    http, prometheus = _read_port("HTTP_PORT", "8080"), _read_port("PROMETHEUS_PORT", "9090")
    first = _read_port("INTERNAL_PORTS_FROM", str(FIRST_INTERNAL_PORT))
    if http == prometheus:
        raise StackError(f"PROMETHEUS_PORT={prometheus}: expected another than HTTP_PORT")
    for variable, port in (("HTTP_PORT", http), ("PROMETHEUS_PORT", prometheus)):
        if not is_free(port):
            raise StackError(f"port {port} is taken: choose another with {variable}=…")
    status = free_port(first, (http, prometheus))
    exporter = free_port(status + 1, (http, prometheus))
    redis = free_port(exporter + 1, (http, prometheus))
    kind: Profile = "bench" if profile == "bench" else "default"
    return State(http, prometheus, status, exporter, redis, kind, first)


def _read_port(variable: str, usual: str) -> int:
    text = os.environ.get(variable) or usual
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise StackError(f"{variable}={text}: expected a port")
    return int(text)


def _down(folder: Folder, _: argparse.Namespace) -> None:
    supervisor = Supervisor(folder)
    if not supervisor.runs:
        raise StackError("the stack is not up")
    _stop(supervisor)


def _stop(supervisor: Supervisor) -> None:
    supervisor.shut_down()
    give_up = time.monotonic() + STOP_SECONDS
    while supervisor.runs or supervisor.is_there:
        if time.monotonic() > give_up:
            raise StackError(f"it has not ended within {STOP_SECONDS:.0f} s: ops/stack logs")
        time.sleep(0.05)


def _status(folder: Folder, _: argparse.Namespace) -> None:
    supervisor, state = _running(folder)
    print(f"\n  {'service':<15} {'state':<10} {'pid':>7} {'up':>9}  address")
    well = True
    for name, process in supervisor.processes().items():
        healthy = is_healthy(name, state, supervisor)
        well &= healthy
        word = "healthy" if healthy else process["statename"].lower()
        pid = process["pid"] or "-"
        seconds = max(0, process["now"] - process["start"]) if process["pid"] else 0
        print(f"  {name:<15} {word:<10} {pid:>7} {seconds:>7} s  {_url(name, state)}")
    http = f"http://127.0.0.1:{state.http_port}"
    print(
        f"\n  dashboard   {http}/\n  predictions {http}/api/predict\n  docs        {http}/api/docs"
    )
    made = folder.admin_token.exists()
    print(f"  admin token {folder.admin_token.read_text() if made else 'as set by ADMIN_TOKEN'}")
    print(f"  profile     {state.profile}\n")
    if not well:
        raise StackError("not every service answers; see ops/stack logs SERVICE")


def _url(name: str, state: State) -> str:
    if name == "watch":
        return "nobody asks it anything"
    if name == "nginx":
        return f"http://127.0.0.1:{state.http_port}"
    scheme = "redis" if kind_of(name) == "redis" else "http"
    return f"{scheme}://127.0.0.1:{port_of(name, state)}"


def _logs(folder: Folder, parsed: argparse.Namespace) -> None:
    state = folder.read_state()  # also of a stack that has ended: its logs tell why
    names = [*FIXED, "watch", *state.replicas]
    if parsed.service == "api":
        names = list(state.replicas)
    elif parsed.service:
        if parsed.service not in names:
            raise StackError(f"expected one of api, {', '.join(names)}, found {parsed.service}")
        names = [parsed.service]
    files = [str(log_file(folder, name)) for name in names]
    follow = ["-F"] if parsed.follow else []
    tail = shutil.which("tail") or "tail"
    sys.stdout.flush()
    os.execv(tail, [tail, "-n", "100", *follow, *files])


def _restart(folder: Folder, parsed: argparse.Namespace) -> None:
    supervisor, state = _running(folder)
    if parsed.service == "api":
        Replicas(folder, state, supervisor).roll()
    elif parsed.service == "nginx":
        state.variables |= nginx.chosen_variables()
        _refuse_https_only(state)
        nginx.render(folder, state)
        folder.write_state(state)
        if supervisor.state_of("nginx") in ("STARTING", "RUNNING"):
            nginx.reload(folder, supervisor, state)
        else:
            supervisor.restart("nginx")
            wait_until_ready(["nginx"], state, supervisor)
    else:
        supervisor.restart(parsed.service)
        wait_until_ready([parsed.service], state, supervisor)
    _status(folder, parsed)


def _scale(folder: Folder, parsed: argparse.Namespace) -> None:
    supervisor, state = _running(folder)
    Replicas(folder, state, supervisor).scale(parsed.replicas)
    _status(folder, parsed)


def _running(folder: Folder) -> tuple[Supervisor, State]:
    supervisor = Supervisor(folder)
    if not supervisor.runs:
        raise StackError("the stack is not up: ops/stack up")
    return supervisor, folder.read_state()


if __name__ == "__main__":
    sys.exit(main())
