"""How threads that compute give way to those that answer: the event loop, and services beside it.

Niceness decides who gets more of a contended core; it does not decide how soon. Linux' scheduler
(EEVDF, since 6.6) lets a thread run to the end of its slice, 1 to 3 ms, whoever else has become
ready; since 6.12, unless the other has a shorter one. So threads that compute ask for the longest
there is: what is due to run beside them then runs at once, and they compute as much as before.
"""

import ctypes
import os
import platform
import sys
from contextlib import suppress
from struct import Struct
from threading import get_native_id

LANE_NICENESS = 5
"""How much less of a contended core a lane asks for than others, setpriority(2). At three times of
what two cores can run, half of the refusals took more than 19 and 97 ms without it, 10 and 14 with
it (two rounds by turns of `ops/bench overload`, load generator on the same cores)."""

LOADER_NICENESS = 12
"""The same for a load of a model. At 5 the p99 of another model's lone client beside a load was 2.3
times what it is otherwise, at 12 1.8 times. At 15 or 19, on cores that lanes keep busy, it was 20
to 38 ms at times, not 14: who is that low is kept from its core while it has Python's lock."""

SLICE_NANOSECONDS = 100_000_000
"""The longest that the kernel takes. The p99 of a lone client beside a load went from 2.5 to 1.8
times what it is otherwise, and a heavy model's requests/s at 32 connections rose by 7 % (medians of
six and three rounds by turns, two cores)."""

_sched_setattr = {"x86_64": 314, "aarch64": 274}
"""Number of the system call: glibc has no function for it before 2.41, Python none at all."""

_sched_attr = Struct("IIQiIQQQII")
"""size, policy, flags, nice, priority, runtime, deadline, period, least and most utilisation: of
`linux/sched/types.h`; for an ordinary thread `runtime` is the slice, in ns."""

_KEEP_POLICY = 0x08


def give_way(niceness: int) -> None:
    """Let whoever else wants this thread's core go first; a sandbox may not allow it.

    Args:
        niceness: Added to the process' own.
    """
    if sys.platform == "linux":  # elsewhere this would be the whole process
        with suppress(OSError):
            niceness = min(niceness + os.getpriority(os.PRIO_PROCESS, 0), 19)
            os.setpriority(os.PRIO_PROCESS, get_native_id(), niceness)
            _ask_for_slice(niceness, SLICE_NANOSECONDS)


def _ask_for_slice(niceness: int, nanoseconds: int) -> None:
    """Set this thread's slice; kernels before 6.12 take no notice.

    Source: sched_setattr(2); `__setparam_fair` in `kernel/sched/syscalls.c` of Linux 6.12.
    """
    if (number := _sched_setattr.get(platform.machine())) is not None:
        attributes = _sched_attr.pack(
            _sched_attr.size, 0, _KEEP_POLICY, niceness, 0, nanoseconds, 0, 0, 0, 0
        )
        ctypes.CDLL(None).syscall(number, 0, attributes, 0)
