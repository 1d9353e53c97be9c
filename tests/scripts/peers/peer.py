"""What the drivers of both peers share: requests as lines of JSON on standard input, an answer to each as
a line on standard output, and the end when the input ends. A driver owns the processes that it starts."""

import json
import os
import sys
import time
import traceback

LOOK_EVERY_S = 0.02
PATIENCE_S = 240


def serve(start):
    """`start(folder)` answers a peer: its attributes `version` and `server_id`, its methods `hire`,
    `processes`, `noop`, `latency`, `fill` and `stop`. Each method answers what goes into the answer."""
    # What libraries print must not end up among the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def answer(**what):
        print(json.dumps(what), file=answers)

    os.chdir(sys.argv[1])
    try:
        peer = start(sys.argv[1])
    except BaseException as error:
        answer(failed=told(error))
        raise
    try:
        answer(version=peer.version, server_id=peer.server_id)
        for line in sys.stdin:
            request = json.loads(line)
            try:
                answer(**getattr(peer, request.pop("do"))(**request))
            except Exception as error:
                answer(failed=told(error))
    finally:
        peer.stop()


def told(error):
    traceback.print_exc()
    return f"{type(error).__name__}: {error}"


def until(is_so, what, process=None):
    """Looks until `is_so()` is true; a process that ends meanwhile is an error."""
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        if process is not None and process.poll() is not None:
            raise RuntimeError(f"{process.args} ended with {process.returncode}")
        if time.monotonic() > deadline:
            raise TimeoutError(f"not in time: {what}")
        time.sleep(LOOK_EVERY_S)


def end(process):
    """Asks a child to end, and makes it."""
    process.terminate()
    try:
        process.wait(10)
    except Exception:
        process.kill()
        process.wait()


class Stamps:
    """Milliseconds from submitting a task to the line with the time that it appends to a file. The next
    one is submitted when the last one's end has settled."""

    def __init__(self, file, pause_ms):
        self.file, self.pause_ms = file, pause_ms
        self.ms = []
        open(file, "w").close()

    def take(self, submit):
        before = os.stat(self.file).st_size
        began = time.time_ns()
        kept = submit()
        # A line of digits at once: once it is longer, all of it is there.
        until(lambda: os.stat(self.file).st_size > before, "a task starts")
        with open(self.file) as file:
            stamp = int(file.read().split()[-1])
        self.ms.append((stamp - began) / 1e6)
        time.sleep(self.pause_ms / 1e3)
        return kept
