"""What every task of the example does: work that is slower while its worker is overloaded. How far it is
stands in a file by its name, so that a move costs the restart and nothing that was done."""

import os
import time

TICK_S = 0.2


def read(path, otherwise):
    try:
        with open(path) as file:
            return float(file.read())
    except (OSError, ValueError):
        return otherwise


def write(path, value):
    """Put in place whole: it may be killed at any moment."""
    with open(path + ".new", "w") as file:
        file.write(str(value))
    os.replace(path + ".new", path)


def main():
    name, folder = os.environ["POINTSMAN_TASK_NAME"], os.environ["PROGRESS_FOLDER"]
    work_s = float(os.environ["WORK_S"])
    progress = os.path.join(folder, name)
    # Of the worker, whose HOME its scripts have.
    rate = os.path.join(os.environ["HOME"], "rate")
    done_s = read(progress, 0.0)
    before = time.monotonic()
    while done_s < work_s:
        time.sleep(TICK_S)
        now = time.monotonic()
        done_s += (now - before) * read(rate, 1.0)
        before = now
        write(progress, done_s)
    # One line for each time that it came to its end: there has to be one.
    with open(os.path.join(folder, "ends"), "a") as ends:
        ends.write(name + "\n")


main()
