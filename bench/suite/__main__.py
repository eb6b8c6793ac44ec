"""`python -m bench.suite`: gevent goes first, then the command."""

import os
import sys

import gevent.monkey

# Before gevent chooses: epoll rounds a wait up to whole milliseconds, select does not.
os.environ["GEVENT_BACKEND"] = "select"
gevent.monkey.patch_all()

from bench.suite.command import main  # noqa: E402 - what it imports must find a patched world

sys.exit(main())
