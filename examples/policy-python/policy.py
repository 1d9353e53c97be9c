"""In which order ready tasks are considered: by priority, and by how long they have waited."""

from collections import namedtuple

NAME = "python-example"
VERSION = "0.1.0"
PROPERTIES = {"description": "priority and waiting time", "discipline": "greedy"}

# What the host is to tell about each task: `submitted_ms` is the column `submitted-ms`.
Task = namedtuple("Task", ["submitted_ms", "priority"])

# One point of priority is worth so much waiting.
MS_PER_PRIORITY = 60_000.0  # <-- change this line


def configure():
    """The slot's `config` table, one argument per key; none yet."""


def rank(now_ms, task):
    """Lower goes first."""
    return task.submitted_ms - task.priority * MS_PER_PRIORITY
