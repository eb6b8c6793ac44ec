"""More replicas, fewer, or new ones in place of old: no client notices.

A replica takes requests only between two reloads of Nginx: it is ready before the first, and is
stopped after the second.
"""

import msgspec

from ops.native import nginx
from ops.native.probes import wait_until_ready
from ops.native.services import write_replica, write_targets
from ops.native.state import Folder, State, free_port
from ops.native.supervision import Supervisor


class Replicas:
    """The replicas of one stack.

    Args:
        folder: Its files.
        state: What runs; kept up to date, here and on disk.
        supervisor: Runs them.
    """

    def __init__(self, folder: Folder, state: State, supervisor: Supervisor) -> None:
        self._folder = folder
        self._state = state
        self._supervisor = supervisor

    def declare(self, count: int) -> list[str]:
        """Name `count` more and write their files; they start with supervisord, or by `_start`."""
        return [self._declare_one() for _ in range(count)]

    def scale(self, count: int) -> None:
        """Have `count` replicas; the youngest go first.

        Sets right what a command that was cut off has left, also where the number stays.
        """
        self._forget(set(self._state.replicas) - self._supervisor.processes().keys())
        if (missing := count - len(self._state.replicas)) > 0:
            self._start(self.declare(missing))
        names = list(self._state.replicas)
        self._route_to(names[:count])
        self._stop(names[count:])

    def roll(self) -> None:
        """Put a new replica in place of each, one after the other."""
        for old in list(self._state.replicas):
            new = self.declare(1)
            self._start(new)
            self._route_to([name for name in self._state.replicas if name != old])
            self._stop([old])

    def _declare_one(self) -> str:
        replicas = self._state.replicas
        number = next(n for n in range(1, len(replicas) + 2) if f"api-{n}" not in replicas)
        name = f"api-{number}"
        replicas[name] = free_port(self._state.first_port, self._state.ports)
        write_replica(self._folder, self._state, name)
        self._folder.write_state(self._state)
        return name

    def _start(self, names: list[str]) -> None:
        for name in names:
            self._supervisor.add(name)
        try:
            wait_until_ready(names, self._state, self._supervisor)
        except BaseException:
            self._stop(names)  # nobody was sent there yet
            raise

    def _route_to(self, names: list[str]) -> None:
        """Let Nginx and Prometheus know these and no others."""
        routed = {name: self._state.replicas[name] for name in names}
        state = msgspec.structs.replace(self._state, replicas=routed)
        write_targets(self._folder, state)
        nginx.write_upstreams(self._folder, state)
        nginx.reload(self._folder, self._supervisor, state)

    def _stop(self, names: list[str]) -> None:
        for name in names:
            self._supervisor.remove(name)
            self._forget({name})

    def _forget(self, names: set[str]) -> None:
        for name in names:
            (self._folder.services / f"{name}.ini").unlink(missing_ok=True)
            del self._state.replicas[name]
        self._folder.write_state(self._state)
