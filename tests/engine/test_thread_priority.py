"""Threads that compute ask the kernel for less of a core, in longer slices."""

import ctypes
import os
import platform
import re
from concurrent.futures import ThreadPoolExecutor
from struct import Struct
from threading import get_native_id

from ml_pipeline.engine.sessions.thread_priority import LANE_NICENESS, SLICE_NANOSECONDS, give_way

SCHED_GETATTR = {"x86_64": 315, "aarch64": 275}
FIRST_WITH_SLICES = (6, 12)
"""Linux' version from which an ordinary thread has a slice of its own."""

attributes = Struct("IIQiIQQQII")


def slice_here() -> int:
    """Ask the kernel for the slice of this thread, ns; 0 where it knows none."""
    found = ctypes.create_string_buffer(attributes.size)
    number = SCHED_GETATTR[platform.machine()]
    assert ctypes.CDLL(None).syscall(number, 0, found, attributes.size, 0) == 0
    nanoseconds = attributes.unpack(found.raw)[5]
    assert isinstance(nanoseconds, int)
    return nanoseconds


def niceness_here() -> int:
    """Ask the kernel for the niceness of this thread."""
    return os.getpriority(os.PRIO_PROCESS, get_native_id())


def test_a_thread_that_gives_way_has_the_longest_slice() -> None:
    """Whoever is due to run beside it then need not wait for the end of an ordinary one."""
    with ThreadPoolExecutor(1, initializer=give_way, initargs=(LANE_NICENESS,)) as thread:
        found = thread.submit(slice_here).result()
    release = re.match(r"(\d+)\.(\d+)", platform.release())
    assert release is not None
    has_slices = (int(release[1]), int(release[2])) >= FIRST_WITH_SLICES
    assert found == (SLICE_NANOSECONDS if has_slices else 0)


def test_niceness_is_added_to_the_process_own() -> None:
    """A server that was started at some niceness has threads that are nicer still."""
    with ThreadPoolExecutor(1, initializer=give_way, initargs=(LANE_NICENESS,)) as thread:
        found = thread.submit(niceness_here).result()
    assert found == min(niceness_here() + LANE_NICENESS, 19)


def test_the_thread_that_started_it_keeps_its_own() -> None:
    """The event loop's thread is not to give way to anybody."""
    before = slice_here(), niceness_here()
    with ThreadPoolExecutor(1, initializer=give_way, initargs=(LANE_NICENESS,)) as thread:
        thread.submit(niceness_here).result()
    assert (slice_here(), niceness_here()) == before
