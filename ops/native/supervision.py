"""supervisord: started once, asked over its socket. Source: its XML-RPC API."""

import subprocess
import sys
import time
from http.client import HTTPException
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ServerProxy

from supervisor.xmlrpc import Faults, SupervisorTransport

from ops.native.state import Folder, StackError

START_SECONDS = 10.0
TRIED_AGAIN = (Faults.ALREADY_STARTED, Faults.ABNORMAL_TERMINATION, Faults.SPAWN_ERROR)
"""What supervisord says of a start that it has made, or will make, by itself."""

SETTINGS = """\
[supervisord]
logfile = {logs}/supervisord.log
logfile_maxbytes = 5MB
pidfile = {folder}/supervisord.pid
childlogdir = {logs}
minfds = 1024

[unix_http_server]
file = {socket}
chmod = 0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[include]
files = services/*.ini
"""


class Refused(StackError):
    """supervisord says no.

    Attributes:
        code: One of `supervisor.xmlrpc.Faults`.
    """

    def __init__(self, fault: Fault) -> None:
        super().__init__(f"supervisord: {fault.faultString}")
        self.code = fault.faultCode


class Supervisor:
    """The supervisord of one stack.

    Args:
        folder: Where its configuration, socket and the services' files are.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    @property
    def runs(self) -> bool:
        """Whether it answers."""
        try:
            return bool(self._call("getState")["statecode"] == 1)
        except StackError:  # nobody there, or on its way out
            return False

    @property
    def is_there(self) -> bool:
        """Whether its process is, which goes on for a moment after its socket is closed."""
        return (self._folder.path / "supervisord.pid").exists()

    def start(self) -> None:
        """Start it in the background, and with it every service that has a file."""
        folder = self._folder
        text = SETTINGS.format(
            folder=folder.path,
            logs=folder.logs,
            socket=folder.supervisor_socket,
        )
        folder.supervisor_configuration.write_text(text)
        command = [sys.executable, "-m", "supervisor.supervisord"]
        command += ["--configuration", str(folder.supervisor_configuration)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise StackError(f"supervisord did not start: {done.stdout}{done.stderr}")
        give_up = time.monotonic() + START_SECONDS
        while not self.runs:
            if time.monotonic() > give_up:
                raise StackError(f"supervisord does not answer: {folder.logs}/supervisord.log")
            time.sleep(0.02)

    def shut_down(self) -> None:
        """Stop all services, then itself; returns once it has answered."""
        self._call("shutdown")

    def add(self, name: str) -> None:
        """Start a service whose file is new."""
        self._call("reloadConfig")
        self._call("addProcessGroup", name)

    def remove(self, name: str) -> None:
        """Stop a service, wait for its end, and forget it; its file is the caller's to delete.

        One that it does not know, or that has ended, is no error.
        """
        try:
            self._stop(name)
            self._call("removeProcessGroup", name)
        except Refused as refused:
            if refused.code != Faults.BAD_NAME:
                raise

    def restart(self, name: str) -> None:
        """Stop a service, wait for its end, and start it; whether it is ready then is not said.

        One that had ended may be started meanwhile, since that is what supervisord does with it,
        and one that ends at its start is tried again.
        """
        self._stop(name)
        try:
            self._call("startProcess", name)
        except Refused as refused:
            if refused.code not in TRIED_AGAIN:
                raise

    def signal(self, name: str, signal: str) -> None:
        """Send a signal to a service; Refused if it has ended."""
        self._call("signalProcess", name, signal)

    def state_of(self, name: str) -> str:
        """Give the state of a service: `STARTING`, `RUNNING`, `BACKOFF`, `FATAL`…"""
        return str(self._call("getProcessInfo", name)["statename"])

    def start_of(self, name: str) -> int:
        """Give the second in which a service was last started; 0 if it never was."""
        return int(self._call("getProcessInfo", name)["start"])

    def processes(self) -> dict[str, dict[str, Any]]:
        """Describe every service by name: `statename`, `pid`, `start`, `now`, `description`…"""
        return {process["name"]: process for process in self._call("getAllProcessInfo")}

    def _stop(self, name: str) -> None:
        try:
            self._call("stopProcess", name)
        except Refused as refused:
            if refused.code != Faults.NOT_RUNNING:
                raise

    def _call(self, method: str, *arguments: Any) -> Any:
        """Ask on a connection of its own: a transport that has failed once stays broken."""
        transport = SupervisorTransport(None, None, f"unix://{self._folder.supervisor_socket}")
        try:
            with ServerProxy("http://localhost", transport=transport) as proxy:
                return getattr(proxy.supervisor, method)(*arguments)
        except Fault as fault:
            raise Refused(fault) from None
        except (OSError, HTTPException) as error:
            raise StackError(f"supervisord does not answer: {error}") from None


def log_file(folder: Folder, service: str) -> Path:
    """Give the file that a service writes to."""
    return folder.logs / f"{service}.log"
