"""The recorded load: what of it trains, and what the workers replay. What a worker reports is the recording at
its own place, and the load of the tasks that it runs, which the workers' host says."""

import csv
import json
import os
import random
import threading
import time

from cluster import HERE

# Points of the file that train; workers replay what comes after, each from a place of its own.
TRAINED = 2000
# The load of the file is that of a whole group of machines: so much of it falls on a worker.
SCALE = 0.75
# What one task adds.
SHARE = 0.07
LIMIT = 0.85
# Points of an hour, after which the recording has its peaks.
HOUR = 12
# Where in the recording each worker begins: they have their peaks in turn, and as high ones as there are.
PLACES = (2036, 2146, 2388, 2654, 2824, 3042)
TICK_S = 0.2


def recording():
    with open(HERE / "recording.csv") as file:
        return [float(row["value"]) / 100 * SCALE for row in csv.DictReader(file)]


# Workers that replay the part that trains, each with tasks of its own.
N_TRAINING = 4
# How often what they run changes, in a step, and how much of that is many tasks at once.
CHANGES, LARGE = 0.3, 0.4
RUNNING_MAX = 5


def write_history(path, points, step_s):
    """As `pointsman history export` writes it, with a step instead of five minutes: what workers would have
    measured that run tasks meanwhile. A network that never saw these would take them for peaks."""
    chance = random.Random(1)
    with open(path, "w") as file:
        file.write("at_ms,worker,cpu_used,memory_used,iops_used,rtt_ms,connections\n")
        for worker in range(N_TRAINING):
            n_tasks = 3
            for number, base in enumerate(points, 1):
                if chance.random() < CHANGES:
                    n_tasks = changed(n_tasks, chance)
                used = min(1.0, base + SHARE * n_tasks)
                file.write(f"{number * step_s * 1000},w{worker},{used:.4f},,,,\n")


def changed(n_tasks, chance):
    if chance.random() < LARGE:
        return chance.randint(0, RUNNING_MAX)
    return min(max(n_tasks + chance.choice((-1, 1)), 0), RUNNING_MAX)


def rate(demand):
    """How fast a task gets on: slower above the limit, a quarter at 110 %."""
    return max(0.25, 1 - max(0, demand - LIMIT) * 3)


class Load(threading.Thread):
    """Rewrites what workers measure, and adds up for how long they are overloaded."""

    def __init__(self, cluster, points, step_s):
        super().__init__(daemon=True)
        self.cluster, self.points, self.step_s = cluster, points, step_s
        self.lock = threading.Lock()
        self.first = self.step()
        self.overload_s = 0.0
        self.running = 0
        self.flaw = None
        self.is_ending = threading.Event()

    def step(self):
        """Steps end at whole multiples of their length, as they do for the host."""
        return int(time.time() // self.step_s)

    def rewind(self):
        """To the beginning of the segment, when an hour is full: the rhythm goes on. Nothing is counted yet."""
        while (self.step() - self.first) % HOUR != 0:
            time.sleep(0.02)
        with self.lock:
            self.first = self.step()
            self.overload_s = 0.0

    def counted_s(self):
        with self.lock:
            return self.overload_s

    def run(self):
        try:
            before = time.monotonic()
            while not self.is_ending.is_set():
                running = {it["name"]: it["running"] for it in self.cluster.get("workers")}
                now = time.monotonic()
                with self.lock:
                    self.tell(running, now - before)
                before = now
                # Also right after a step has begun.
                to_next = self.step_s - time.time() % self.step_s + 0.005
                self.is_ending.wait(min(TICK_S, to_next))
        except Exception as error:
            self.flaw = error

    def tell(self, running, since_s):
        self.running = sum(running.values())
        at = self.step() - self.first
        for number, worker in enumerate(self.cluster.workers):
            base = self.points[PLACES[number] + at]
            demand = base + SHARE * running.get(worker, 0)
            home = self.cluster.home(worker)
            put(home / "load.json", json.dumps({"cpu_used": round(min(1.0, demand), 4)}))
            put(home / "rate", str(rate(demand)))
            if demand > LIMIT:
                self.overload_s += since_s

    def end(self):
        self.is_ending.set()
        self.join()


def put(path, text):
    path.parent.mkdir(exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(text)
    os.replace(new, path)
