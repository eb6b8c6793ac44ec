"""How each process is started: the files that supervisord, Redis and Prometheus read."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from ops.native.state import ROOT, Folder, StackError, State, replace
from ops.native.supervision import log_file

SERVICE = """\
[program:{name}]
command = {command}
directory = {directory}
environment = {environment}
stopsignal = {stop_signal}
stopwaitsecs = {stop_seconds}
autorestart = true
startsecs = {start_seconds}
startretries = {start_retries}
redirect_stderr = true
stdout_logfile = {log}
stdout_logfile_maxbytes = 20MB
stdout_logfile_backups = 2
"""

START_RETRIES = 10_000
"""Starts that may fail in a row, each a second later than the one before: about a year and a half.

With few of them a replica whose model was gone for some seconds stayed down when it was back, and
one that was killed right after each of three starts too.
"""


def write_service(
    folder: Folder,
    name: str,
    command: list[str],
    environment: dict[str, str] | None = None,
    *,
    stop_signal: str = "TERM",
    stop_seconds: int = 10,
    start_seconds: int = 1,
) -> None:
    """Write a service's file; supervisord restarts what ends unasked.

    What supervisord leaves behind when it is killed ends too, by setpriv(1): nobody would watch it,
    and it would keep the ports.
    """
    command = ["setpriv", "--pdeathsig", "TERM", *command]
    pairs = ",".join(f'{key}="{value}"' for key, value in (environment or {}).items())
    text = SERVICE.format(
        name=name,
        command=_escape(" ".join(f'"{part}"' for part in command)),
        directory=_escape(str(ROOT)),
        environment=_escape(pairs),
        stop_signal=stop_signal,
        stop_seconds=stop_seconds,
        start_seconds=start_seconds,
        start_retries=START_RETRIES,
        log=_escape(str(log_file(folder, name))),
    )
    replace(folder.services / f"{name}.ini", text)


def write_redis(folder: Folder, state: State) -> None:
    """Let Redis listen on a port of 127.0.0.1, with a bound on its memory."""
    command = ["redis-server", str(ROOT / "ops" / "redis.conf"), "--bind", "127.0.0.1"]
    command += ["--port", str(state.redis_port), "--dir", str(folder.redis)]
    command += ["--maxmemory", os.environ.get("REDIS_MAXMEMORY") or "256mb"]
    command += ["--maxmemory-policy", os.environ.get("REDIS_POLICY") or "allkeys-lru"]
    write_service(folder, "redis", command)


def write_replica(folder: Folder, state: State, name: str) -> None:
    """Let a replica listen on its port; all other settings are those of supervisord's start."""
    environment = {
        "HOST": "127.0.0.1",
        "PORT": str(state.replicas[name]),
        "REDIS_URL": f"redis://127.0.0.1:{state.redis_port}",
        "HANG_SECONDS": "0",  # `watch` looks after all of them
    }
    if hosts := os.environ.get("ALLOWED_HOSTS"):
        environment["ALLOWED_HOSTS"] = f"{hosts},127.0.0.1"  # as probes and Prometheus call it
    drain_seconds = os.environ.get("DRAIN_TIMEOUT_SECONDS") or "10"
    if not drain_seconds.isdigit():
        raise StackError(f"DRAIN_TIMEOUT_SECONDS={drain_seconds}: expected a number")
    command = [sys.executable, "-m", "ml_pipeline", "serve"]
    write_service(folder, name, command, environment, stop_seconds=int(drain_seconds) + 5)


def write_watch(folder: Folder) -> None:
    """End replicas that hang."""
    environment = {"STACK_FOLDER": str(folder.path)}
    write_service(folder, "watch", [sys.executable, "-m", "ops.native.watch"], environment)


def write_nginx(folder: Folder) -> None:
    """Run Nginx on the files that `nginx.py` renders."""
    options = "daemon off;"
    if os.geteuid() == 0:
        options += " user root;"  # else its workers become nobody, who may not read these folders
    command = ["nginx", "-p", f"{folder.nginx}/", "-c", "nginx.conf", "-g", options]
    # Workers go on, and keep the port, when their master is killed. They are in the process group
    # that it led, whose number nginx.pid still has.
    pid = shlex.quote(f"{folder.nginx}/nginx.pid")
    script = f"[ ! -s {pid} ] || pkill -KILL -x -g $(cat {pid}) nginx; exec {shlex.join(command)}"
    replace(folder.nginx / "start", script + "\n")
    # Nginx tries for 2.5 s to listen before it gives up.
    command = ["sh", str(folder.nginx / "start")]
    write_service(folder, "nginx", command, stop_signal="QUIT", start_seconds=3)


def end_orphans(folder: Folder) -> None:
    """End workers of an Nginx that was killed together with supervisord: they keep its port."""
    pid, boot = folder.nginx / "nginx.pid", folder.nginx / "boot"
    this_boot = Path("/proc/sys/kernel/random/boot_id").read_text()
    if pid.exists() and boot.exists() and boot.read_text() == this_boot:
        subprocess.run(
            ["pkill", "-KILL", "-x", "-g", pid.read_text().strip(), "nginx"], check=False
        )
    pid.unlink(missing_ok=True)  # else, after a reboot, of a stranger
    boot.write_text(this_boot)


def write_exporter(folder: Folder, state: State) -> None:
    """Turn Nginx's stub_status into metrics."""
    command = [
        "prometheus-nginx-exporter",
        f"--web.listen-address=127.0.0.1:{state.exporter_port}",
        f"--nginx.scrape-uri=http://127.0.0.1:{state.status_port}/stub_status",
    ]
    write_service(folder, "nginx-exporter", command)


def write_prometheus(folder: Folder, state: State) -> None:
    """Run Prometheus on the shipped rules; what it scrapes stands in files that it watches."""
    source = ROOT / "ops" / "prometheus"
    for name in ("recording.yml", "alerts.yml"):
        shutil.copyfile(source / name, folder.prometheus / name)
    shutil.copyfile(source / "native.yml", folder.prometheus / "prometheus.yml")
    command = [
        "prometheus",
        f"--config.file={folder.prometheus}/prometheus.yml",
        f"--storage.tsdb.path={folder.prometheus}/data",
        f"--web.listen-address=127.0.0.1:{state.prometheus_port}",
        "--storage.tsdb.retention.time=7d",
        "--query.timeout=10s",  # the dashboard's queries come from outside
        "--query.max-samples=5000000",  # 16 bytes each, for one query; default 50,000,000
        "--log.level=warn",
    ]
    write_service(folder, "prometheus", command)
    write_targets(folder, state)


def write_targets(folder: Folder, state: State) -> None:
    """Tell Prometheus what to scrape."""
    ports = {
        "api": list(state.replicas.values()),
        "nginx": [state.exporter_port],
        "prometheus": [state.prometheus_port],
    }
    for job, listening in ports.items():
        targets = [{"targets": [f"127.0.0.1:{port}" for port in listening]}]
        replace(folder.prometheus / "targets" / f"{job}.json", json.dumps(targets))


def _escape(value: str) -> str:
    """Keep supervisord from reading a % as one of its own."""
    return value.replace("%", "%%")
