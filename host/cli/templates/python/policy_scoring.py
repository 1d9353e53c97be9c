"""Which worker suits a task: the one with more free capacity, and the nearer one."""

from collections import namedtuple

NAME = "{{name}}"
VERSION = "0.1.0"
# node-local: a score depends on this worker and this task alone, so the host asks only about workers
# that changed. Remove it if you compare workers with each other.
PROPERTIES = {"description": "free capacity and nearness", "node-local": "true"}

# What the host is to tell about the task and about each worker: `cpu_load` is the column `cpu-load`.
# What was not measured is NaN.
Task = namedtuple("Task", [])
Worker = namedtuple("Worker", ["cpu_load", "memory_load", "rtt_ms"])

# What nearness weighs against free capacity, from 0 to 1.
NEARNESS = 0.4  # <-- change this line

settings = {"far_ms": 100.0}


def configure(far_ms=100.0):
    """The slot's `config` table, one argument per key."""
    if not far_ms > 0:
        raise ValueError(f"far_ms: {far_ms} is not a time in ms above 0")
    settings["far_ms"] = far_ms


def known(value, otherwise):
    """NaN is the only number that differs from itself."""
    return value if value == value else otherwise


def score(task, worker):
    """From 0 to 1, higher is better."""
    load = max(known(worker.cpu_load, 1.0), known(worker.memory_load, 1.0))
    far = known(worker.rtt_ms, 0.0) / settings["far_ms"]
    free, near = 1.0 - min(max(load, 0.0), 1.0), 1.0 - min(max(far, 0.0), 1.0)
    return (1.0 - NEARNESS) * free + NEARNESS * near
