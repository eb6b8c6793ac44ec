"""Asks a child process what a graph says; the child stays for some seconds after models are loaded.

One line of JSON each way: number and path, number and report. A child that dies, or takes longer
than `PATIENCE_SECONDS`, leaves a report that says so, and the model is served as one of which
nothing is known.
"""

import errno
import os
import subprocess
import sys
from pathlib import Path
from select import poll
from threading import Event, RLock, Timer, current_thread
from time import perf_counter

import msgspec

from ml_pipeline.engine.graph.report import Answer, Batching, GraphReport, Question

PATIENCE_SECONDS = 60.0
"""For one graph: 0.4 s for the largest of 163 models; what takes a minute is a fault of ours."""

LINGER_SECONDS = 3.0
"""That a child stays when it rests, with its 40 MB: a load that comes soon takes half as long."""

PIECE_BYTES = 65_536

_decoder: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)
_app_folder = Path(__file__).parents[3]


class GraphReader:
    """Any thread, one at a time, but for `abandon`.

    Mutable state: the child, and as how nice a one it was started; what it was asked last, the
    answer, and whether it was given up; who ends the child when it has rested for long enough.

    Args:
        lasting: Whether the child stays until `close`, for who loads again and again.
        linger_seconds: That it stays else.

    Attributes:
        in_turn: Whether `ask` waits for the answer, so that who asks does not compute beside the
            child: it is no slower where one core is all that others leave, and they wait for half
            as long (`python -m bench loading`).
    """

    def __init__(self, *, lasting: bool = False, linger_seconds: float = LINGER_SECONDS) -> None:
        self._lasting = lasting
        self._linger_seconds = linger_seconds
        self._niceness = 0
        self._end_of_rest: Timer | None = None
        self._ending = RLock()  # the child, or asking it
        self._child: subprocess.Popen[bytes] | None = None
        self._question: Question = (0, "")
        self._report: GraphReport | None = None
        self.in_turn = False
        self._come = b""  # of what the child has written, not read to the end of a line
        self._abandoned = Event()

    @property
    def process_id(self) -> int | None:
        """Of the child; None where there is none."""
        return None if self._child is None else self._child.pid

    def start(self) -> None:
        """Start the child, which takes 0.2 s until it reads; others can be done meanwhile.

        It is as nice as the calling thread; one that rests and is not is replaced.

        Raises:
            OSError: It cannot be started, or is not wanted any more.
        """
        if self._abandoned.is_set():
            raise OSError(errno.ECANCELED, "it is not wanted any more")
        niceness = os.getpriority(os.PRIO_PROCESS, 0)  # of this thread, in Linux
        with self._ending:
            as_nice = self._end_of_rest is None or niceness == self._niceness
            if self._end_of_rest is not None:
                self._end_of_rest.cancel()
                self._end_of_rest = None
            if as_nice and self._child is not None and self._child.poll() is None:
                return
            self.close()
            self._niceness = niceness
            self._child = self._begin()
        if self._abandoned.is_set():  # meanwhile
            self._child.kill()

    def _begin(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "ml_pipeline.engine.graph"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(_search_path())},
        )

    def ask(self, path: Path) -> None:
        """Begin to read a graph, beside what the caller does until it calls `answer`."""
        self._question = self._question[0] + 1, str(path.absolute())
        try:
            self._send()
        except OSError:  # `answer` tries once more, and tells
            self.close()
        self._report = self._wait() if self.in_turn else None

    def answer(self) -> GraphReport:
        """Wait for what was asked last."""
        return self._report or self._wait()

    def _wait(self) -> GraphReport:
        answer = self._receive()
        if answer is None:  # somebody has ended it: once more, with a new one
            self.close()  # it may still be ending, and would be asked again
            try:
                self._send()
            except OSError as error:
                return _unread(f"its reader cannot be started: {error.strerror}")
            answer = self._receive()
        return answer or _unread("its reader ended")

    def _send(self) -> None:
        self.start()
        assert self._child is not None
        assert self._child.stdin is not None
        self._child.stdin.write(msgspec.json.encode(self._question) + b"\n")
        self._child.stdin.flush()

    def _receive(self) -> GraphReport | None:
        """Read the answer; None if the child has ended. One that takes too long is ended.

        Answers to questions before are left by models that could not be loaded.
        """
        late = perf_counter() + PATIENCE_SECONDS
        while line := self._read_line(late):
            number, report = _decoder.decode(line)
            if number == self._question[0]:
                return report
        if perf_counter() < late:
            return None
        self.close()
        return _unread("its reader took too long")

    def _read_line(self, late: float) -> bytes:
        """Read a line; empty if none has come by then, or the child has ended."""
        if self._child is None:
            return b""
        assert self._child.stdout is not None
        pipe, coming = self._child.stdout.fileno(), poll()
        coming.register(pipe)
        while b"\n" not in self._come:
            if not coming.poll(max(late - perf_counter(), 0.0) * 1000.0):
                return b""
            if not (piece := os.read(pipe, PIECE_BYTES)):
                return b""
            self._come += piece
        line, _, self._come = self._come.partition(b"\n")
        return line

    def rest(self) -> None:
        """End the child: at once, or in some seconds where models are served already; idempotent.

        One load is often followed by another then.
        """
        with self._ending:
            if self._lasting or self._child is None or self._end_of_rest is not None:
                return
            if not self.in_turn:  # what comes after a start would want a nicer one
                self.close()
                return
            self._end_of_rest = Timer(self._linger_seconds, self._end_rest)
            self._end_of_rest.daemon = True
            self._end_of_rest.start()

    def _end_rest(self) -> None:
        """End the child, unless it was started anew when its time was up."""
        with self._ending:
            if self._end_of_rest is current_thread():
                self._end_of_rest = None
                self.close()

    def abandon(self) -> None:
        """End the child for good; any thread, also while another one waits for its answer."""
        self._abandoned.set()
        if (child := self._child) is not None:
            child.kill()

    def close(self) -> None:
        """End the child; idempotent."""
        self._come = b""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            for pipe in (self._child.stdin, self._child.stdout):
                try:
                    if pipe is not None:
                        pipe.close()
                except OSError:  # what could not be sent is lost with the child
                    pass
            self._child = None


def _search_path() -> list[str]:
    """Where the child finds this package, and whatever this process was told to look for."""
    return [str(_app_folder), *filter(None, [os.environ.get("PYTHONPATH")])]


def _unread(reason: str) -> GraphReport:
    return GraphReport(Batching("unknown", "", reason), reason, reason)
