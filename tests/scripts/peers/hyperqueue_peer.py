"""HyperQueue as its wheel brings it: server and worker as threads of one process (its LocalCluster), a
client in this one. The wheel has no program `hq`, so there is no journal, no array of tasks and no zero
worker. Nor can it be told where to listen: two ports of all addresses, behind keys that are in the folder."""

import os
import subprocess
import sys
import time

from hyperqueue import Client, Job, LocalCluster
from hyperqueue.cluster import WorkerConfig
from hyperqueue.ffi import get_version
from peer import Stamps, end, serve, until

# What the server takes at once; more come as several jobs.
TASKS_PER_JOB = 10_000


class Looked(Exception):
    """Ends the client's own waiting, which looks once a second, after the first look."""


class HyperQueue:
    def __init__(self, folder):
        self.folder = folder
        self.version = f"hyperqueue {get_version()}, LocalCluster of the wheel"
        with open(os.path.join(folder, "server.log"), "w") as log:
            argv = [sys.executable, __file__, "--cluster", folder]
            pipe = subprocess.PIPE
            self.server = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=log, text=True)
        self.server_id = self.server.pid
        try:
            self.heard("serves")
            self.client = Client(folder)
        except BaseException:
            end(self.server)
            raise

    def heard(self, word):
        for line in self.server.stdout:
            if line.strip() == word:
                return
        raise RuntimeError(f"the server ended before it said {word!r}")

    def hire(self, slots, noop):
        if noop:
            return {"cannot": "its zero worker is an option of its build, and the wheel is built without"}
        print(slots, file=self.server.stdin, flush=True)
        self.heard("works")
        return {}

    def job(self, n, argv):
        job = Job(max_fails=None)
        for _ in range(n):
            job.program(argv, stdout=None, stderr=None)
        return job

    def look(self, submitted):
        seen = {}

        def note(jobs):
            seen.update(jobs)
            raise Looked

        try:
            self.client.connection.wait_for_jobs([submitted.id], note)
        except Looked:
            pass
        return seen[submitted.id]

    def is_done(self, submitted):
        return self.look(submitted)["completed"]

    def processes(self, n, argv):
        job = self.job(n, argv)
        began = time.perf_counter()
        submitted = self.client.submit(job)
        until(lambda: self.is_done(submitted), "all tasks end", self.server)
        seconds = time.perf_counter() - began
        n_failed = self.look(submitted)["failed"]
        return {"failed": f"{n_failed} tasks failed"} if n_failed else {"seconds": seconds}

    def latency(self, n, argv, file, pause_ms):
        stamps = Stamps(file, pause_ms)
        for _ in range(n):
            job = self.job(1, argv)
            submitted = stamps.take(lambda: self.client.submit(job))
            until(lambda: self.is_done(submitted), "a task ends", self.server)
        return {"ms": stamps.ms}

    def fill(self, n):
        for _ in range(0, n, TASKS_PER_JOB):
            submitted = self.client.submit(self.job(TASKS_PER_JOB, ["/bin/true"]))
        # Answered after all that was submitted before.
        self.look(submitted)
        return {}

    def stop(self):
        end(self.server)


def cluster(folder):
    """The server's process: a line with a number of cores on its input adds a worker. It writes a table of
    its own to standard output first, then these words."""
    served = LocalCluster(folder)
    print("serves", flush=True)
    for line in sys.stdin:
        served.start_worker(WorkerConfig(cores=int(line)))
        print("works", flush=True)
    # Its input has ended, so its owner has; threads of the library would hold the process.
    os._exit(0)


if __name__ == "__main__":
    if sys.argv[1] == "--cluster":
        cluster(sys.argv[2])
    else:
        serve(HyperQueue)
