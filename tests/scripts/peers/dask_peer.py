"""Dask: its scheduler and its workers as the command line starts them, a client in this process."""

import os
import subprocess
import sys
import time

from distributed import Client, __version__, wait
from peer import Stamps, end, serve, until

# Processes of workers, and threads of each.
THREADS_PER_PROCESS = 2


class Dask:
    def __init__(self, folder):
        self.folder = folder
        self.version = f"distributed {__version__}, Python {sys.version.split()[0]}"
        self.file = os.path.join(folder, "scheduler.json")
        self.workers = None
        self.scheduler = self.start("scheduler", "--port", "0", "--no-jupyter")
        self.server_id = self.scheduler.pid
        try:
            until(lambda: os.path.exists(self.file), "the scheduler listens", self.scheduler)
            self.client = Client(scheduler_file=self.file)
        except BaseException:
            end(self.scheduler)
            raise

    def start(self, role, *options):
        dask = os.path.join(os.path.dirname(sys.executable), "dask")
        common = ["--scheduler-file", self.file, "--host", "127.0.0.1", "--no-dashboard"]
        with open(os.path.join(self.folder, f"{role}.log"), "w") as log:
            return subprocess.Popen([dask, role, *common, *options], stdout=log, stderr=log)

    def hire(self, slots, noop):
        n_processes = max(1, slots // THREADS_PER_PROCESS)
        threads = ["--nworkers", str(n_processes), "--nthreads", str(slots // n_processes)]
        self.workers = self.start("worker", *threads, "--local-directory", self.folder)
        self.client.wait_for_workers(n_processes)
        return {}

    def run(self, function, arguments):
        began = time.perf_counter()
        futures = self.client.map(function, arguments, pure=False)
        wait(futures)
        seconds = time.perf_counter() - began
        n_failed = sum(future.status != "finished" for future in futures)
        return {"failed": f"{n_failed} tasks failed"} if n_failed else {"seconds": seconds}

    def processes(self, n, argv):
        return self.run(subprocess.run, [argv] * n)

    def noop(self, n):
        return self.run(lambda number: number, range(n))

    def latency(self, n, argv, file, pause_ms):
        stamps = Stamps(file, pause_ms)
        for _ in range(n):
            stamps.take(lambda: self.client.submit(subprocess.run, argv, pure=False)).result()
        return {"ms": stamps.ms}

    def fill(self, n):
        self.waiting = self.client.map(lambda number: number, range(n), pure=False)
        known = lambda dask_scheduler: len(dask_scheduler.tasks)
        until(lambda: self.client.run_on_scheduler(known) >= n, "all tasks wait")
        return {}

    def stop(self):
        self.client.close()
        # Workers first: they say goodbye to the scheduler.
        for process in [self.workers, self.scheduler]:
            if process is not None:
                end(process)


if __name__ == "__main__":
    serve(Dask)
