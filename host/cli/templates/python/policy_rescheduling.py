"""When running work is moved: a task that takes much longer than expected gets another worker."""

from collections import namedtuple

NAME = "{{name}}"
VERSION = "0.1.0"
PROPERTIES = {"description": "moves what takes too long", "interval-ms": "5000"}

# What the host is to tell about each task and worker: `elapsed_ms` is the column `elapsed-ms`. What is
# not known is NaN.
Task = namedtuple("Task", ["elapsed_ms", "expected_ms", "attempt"])
Worker = namedtuple("Worker", ["running"])

# A task is moved that runs longer than so many times what was expected.
TIMES_EXPECTED = 2.0  # <-- change this line


def configure():
    """The slot's `config` table, one argument per key; none yet."""


def review(now_ms, task, worker):
    """None, or an action with its reason: ("migrate", …), ("requeue", …), ("cancel", …) or
    ("raise-priority", …, to). The host checks it and may refuse. Waiting tasks have no worker."""
    if worker is None or worker.running <= 1 or task.attempt >= 3:
        return None
    # No comparison with NaN is true.
    if task.elapsed_ms > TIMES_EXPECTED * task.expected_ms:
        return "migrate", f"takes more than {TIMES_EXPECTED} times what was expected"
    return None
