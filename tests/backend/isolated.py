"""Calls a function on many things in processes of their own, because some of them end theirs."""

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

Thing = TypeVar("Thing")
Told = TypeVar("Told")

ENDS = "ends the process"
HANGS = "hangs"
PATIENCE_SECONDS = 60.0
"""For one thing; an ordinary one takes 5 ms."""

_context = multiprocessing.get_context("spawn")  # a fork would take pytest's threads' locks along


class Isolated(Generic[Thing, Told]):
    """A child process that answers one question at a time, and is started anew when it has ended.

    Args:
        function: At the top level of a module; what it takes and gives can be pickled.
    """

    def __init__(self, function: Callable[[Thing], Told]) -> None:
        self._function = function
        self._start()

    def _start(self) -> None:
        self._pipe, theirs = _context.Pipe()
        self._child = _context.Process(target=_serve, args=(theirs, self._function), daemon=True)
        self._child.start()
        theirs.close()

    def __call__(self, thing: Thing) -> Told | str:
        """Give what the function gives, or why there is nothing: `ENDS` or `HANGS`.

        Raises:
            Exception: The function's own.
        """
        self._pipe.send(thing)
        try:
            if not wait([self._pipe], PATIENCE_SECONDS):
                self.close()
                self._start()
                return HANGS
            told = self._pipe.recv()
        except EOFError:
            self.close()
            self._start()
            return ENDS
        if isinstance(told, Exception):
            raise told
        return told  # type: ignore[no-any-return]

    def close(self) -> None:
        """End the child."""
        self._child.kill()
        self._child.join()
        self._pipe.close()


def ask_all(
    function: Callable[[Thing], Told], things: Iterable[Thing]
) -> Iterator[tuple[Thing, Told | str]]:
    """Call the function on each thing, in order; errors as `Isolated` tells them."""
    child = Isolated(function)
    try:
        for thing in things:
            yield thing, child(thing)
    finally:
        child.close()


def _serve(pipe: Connection, function: Callable[[Any], Any]) -> None:
    while True:
        try:
            thing = pipe.recv()
        except EOFError:
            return
        try:
            told = function(thing)
        except Exception as error:
            told = error
        pipe.send(told)
