"""Time in tests: what never ends is told from what a busy machine delays, and work is counted."""

import gc
import sys
import time

#: Seconds after which something counts as hanging. The longest that is waited for takes 10 s on
#: an idle machine; one that is shared, or emulated, may need twenty times as long.
HANGS = 300.0


def until(condition, process=None):
    """Wait for what another thread or process does."""
    end = time.monotonic() + HANGS
    while not condition():
        assert process is None or process.poll() is None, "it ended before"
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


def lines(function):
    """How many lines of Python a call goes through: of work, on any machine, and not of time."""
    count = 0

    def trace(frame, event, argument):
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    collecting = gc.isenabled()
    gc.disable()  # hypothesis has a line of Python at every collection
    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(before)
        if collecting:
            gc.enable()
    return count
