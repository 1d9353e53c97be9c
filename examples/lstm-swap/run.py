"""Swaps forecasting and rescheduling policies while work runs, and compares them on a recorded load.
README.md says what is seen; `--quick` shows the same in less time, and has no comparison worth the name."""

import argparse
import calendar
import json
import shutil
import struct
import sys
import time

# Nothing is written into the folder of the example.
sys.dont_write_bytecode = True

from cluster import HERE, Broken, Cluster
from load import HOUR, LIMIT, TRAINED, Load, recording, write_history

WEIGHTS = "cpu-used.safetensors"
WORKERS = [f"w{number}" for number in range(1, 7)]
CORES = 5
# A host needs about so long until it listens.
STARTS_S = 1.0
# A column has to be found unfit within so many intervals of the policy.
INTERVALS_MAX = 10


class Pace:
    """How fast the recording is replayed, and how much there is to do: chains of two tasks, of which the second one waits for
    the first."""

    def __init__(self, is_quick):
        self.step_s = 1 if is_quick else 5
        self.heartbeat_ms = 200 if is_quick else 500
        self.horizon = 3 if is_quick else 2
        self.window = 25
        self.hidden = 12 if is_quick else 24
        self.n_chains = 18
        self.chain_s = 16 if is_quick else 90

    def n_tasks(self):
        return 2 * self.n_chains


def say(text):
    print(time.strftime("%H:%M:%S"), text, flush=True)


def until(what, patience_s, ask):
    """What `ask` answers once it answers something."""
    deadline = time.monotonic() + patience_s
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise Broken(f"not within {patience_s:.0f} s: {what}")
        time.sleep(0.2)


class Example:
    def __init__(self, cluster, load, pace, weights):
        self.cluster, self.load, self.pace, self.weights = cluster, load, pace, weights
        self.rows = []

    def submit(self, name, chain_s):
        script = f"exec '{sys.executable}' '{HERE / 'task.py'}'"
        folder = str(self.cluster.folder / "progress")
        tasks = []
        for chain in range(1, self.pace.n_chains + 1):
            # They do not all end together.
            first_s = chain_s * (0.25 + 0.5 * chain / self.pace.n_chains)
            for link, work_s in enumerate((first_s, chain_s - first_s), 1):
                env = {"PROGRESS_FOLDER": folder, "WORK_S": str(work_s)}
                task = {"task_name": f"{name} {chain}.{link}", "script": script, "env": env}
                if link == 2:
                    task["dependencies"] = [f"{name} {chain}.1"]
                tasks.append(task)
        return self.cluster.submit({"name": name, "tasks": tasks})["job"]

    def job(self, job):
        if self.load.flaw:
            raise Broken(f"the load is not replayed any more: {self.load.flaw!r}")
        return self.cluster.get(f"jobs/{job}")

    def phase(self, name, swap):
        """The workload over the segment from its beginning, with a swap soon after."""
        self.load.rewind()
        job = self.submit(name, self.pace.chain_s)
        say(f"phase {name}: {self.pace.n_tasks()} tasks")
        until("tasks run", 60, lambda: self.load.running >= self.pace.n_chains // 2)
        swap()
        if self.job(job)["counts"]["running"] == 0:
            raise Broken("nothing ran when the policies were swapped")
        ended = until("the job ends", 300, lambda: self.ended(job))
        overload_s = self.load.counted_s()
        n_migrations = self.check_tasks(name, job)
        serving = self.cluster.policy("rescheduling")["name"]
        makespan_s = seconds(ended["ended"]) - seconds(ended["submitted"])
        self.rows.append((name, serving, ended["n_tasks"], n_migrations, overload_s, makespan_s))
        say(f"  all {ended['n_tasks']} succeeded, once each; {n_migrations} moves; "
            f"{overload_s:.1f} worker-seconds above {LIMIT:.0%}; {makespan_s:.1f} s")

    def ended(self, job):
        view = self.job(job)
        return view if view.get("ended") else None

    def check_tasks(self, name, job):
        """None is lost, none came to its end twice. Returns how often tasks were moved."""
        tasks = self.cluster.get(f"tasks?job={job}&attempts=all&limit=1000")["items"]
        outcomes = [attempt["outcome"]["kind"] for task in tasks for attempt in task["attempts"]]
        n_wanted = self.pace.n_tasks()
        n_succeeded = sum(task["state"] == "SUCCEEDED" for task in tasks)
        if n_succeeded != n_wanted or outcomes.count("succeeded") != n_wanted:
            raise Broken(f"{n_wanted} tasks were submitted, {n_succeeded} succeeded: {outcomes}")
        others = set(outcomes) - {"succeeded", "migrated"}
        if others:
            raise Broken(f"attempts ended otherwise: {others}")
        ends = (self.cluster.folder / "progress" / "ends").read_text().splitlines()
        ends = [it for it in ends if it.startswith(name + " ")]
        if sorted(ends) != sorted(task["name"] for task in tasks):
            raise Broken("a task came to its end twice, or never")
        return outcomes.count("migrated")

    def use(self, slot, name):
        self.cluster.run("policy", "use", slot, name)
        policy = self.cluster.policy(slot)
        if policy["name"] != name:
            raise Broken(f"{slot}: {name} does not serve: {policy}")
        say(f"  {self.load.running} tasks run; {slot}: {name} serves, generation {policy['generation']}")

    def use_lstm(self):
        self.cluster.drop(self.weights, WEIGHTS)
        say("  the weights are in the policy folder")
        self.use("forecasting", "lstm-forecast")
        self.use("rescheduling", "lstm-rescheduling")
        self.score('predicted = ["cpu"]')

    def use_threshold(self):
        self.use("rescheduling", "threshold")
        self.score("")

    def score(self, config):
        """Tasks, moved ones too, go to workers by the larger of load and forecast, or by load alone."""
        before = self.cluster.policy("scoring")["generation"]
        self.cluster.configure(config)
        until("the new weights of scoring are in force", 30,
              lambda: self.cluster.policy("scoring")["generation"] > before)
        say(f"  scoring: weighted-score serves with {config or 'its defaults'}")

    def column(self):
        """What the host thinks of the forecasts, as long as it has them."""
        forecasts = self.cluster.policy("forecasting").get("forecasts")
        return forecasts["columns"][0] if forecasts else None

    def forecasting_generation(self):
        policy = self.cluster.policy("forecasting")
        return policy["generation"] if policy["name"] == "lstm-forecast" else 0

    def is_judged_fit(self):
        column = self.column()
        return column if column and column["fit"] and "ratio" in column else None

    def drop_and_see(self, weights):
        """Until the forecasting policy serves with them, as a new generation."""
        before = self.forecasting_generation()
        self.cluster.drop(weights, WEIGHTS)
        until("the new weights serve", 60, lambda: self.forecasting_generation() > before)
        return time.monotonic()

    def bad_model(self):
        job = self.submit("bad model", self.pace.chain_s * 0.7)
        say("a bad model, while work runs")
        until("tasks run", 60, lambda: self.load.running >= self.pace.n_chains // 2)
        self.use("rescheduling", "lstm-rescheduling")
        good = until("the good one is judged", 40 * self.pace.step_s, self.is_judged_fit)
        say(f"  good weights: {told(good)}")
        serving_since = self.drop_and_see(worse(self.weights))
        say("  worse weights serve")
        is_unfit = lambda: (it := self.column()) and not it["fit"] and it
        bad = until("the gate closes", (INTERVALS_MAX + 5) * self.pace.step_s, is_unfit)
        n_intervals = (time.monotonic() - serving_since) / self.pace.step_s
        say(f"  unfit after {n_intervals:.1f} intervals: {told(bad)}")
        if n_intervals > INTERVALS_MAX:
            raise Broken(f"that is more than {INTERVALS_MAX} intervals")
        is_back = lambda: (it := self.cluster.policy("rescheduling"))["name"] == "threshold" and it
        fallen = until("the rung before serves", 2 * self.pace.step_s + 10, is_back)
        if "unfit" not in fallen.get("message", "") and "off by" not in fallen.get("message", ""):
            raise Broken(f"the reason is not told: {fallen}")
        say(f"  rescheduling: threshold serves ({fallen['state']})")
        print(self.cluster.run("policy", "list"), flush=True)
        self.drop_and_see(self.weights)
        say("  the good weights are back")
        serves = lambda: self.cluster.policy("rescheduling")["name"] == "lstm-rescheduling"
        until("lstm-rescheduling serves again", 30 + 2 * self.pace.step_s, serves)
        again = until("they are judged", 40 * self.pace.step_s, self.is_judged_fit)
        if not serves():
            raise Broken("lstm-rescheduling serves no more")
        say(f"  rescheduling: lstm-rescheduling serves again; {told(again)}")
        until("the job ends", 300, lambda: self.ended(job))
        say(f"  all of its tasks succeeded, once each; {self.check_tasks('bad model', job)} moves")

    def table(self):
        head = ("PHASE", "POLICY", "TASKS", "MIGRATIONS", "OVERLOAD (worker-s)", "MAKESPAN (s)")
        rows = [(*row[:4], f"{row[4]:.1f}", f"{row[5]:.1f}") for row in self.rows]
        widths = [max(len(str(row[at])) for row in [head, *rows]) for at in range(len(head))]
        for row in [head, *rows]:
            print("  ".join(str(cell).ljust(width) for cell, width in zip(row, widths)).rstrip())


def told(column):
    return (f"{column['column']} is off by {column['error']:.3f}, the newest value by "
            f"{column['persistence_error']:.3f} (ratio {column['ratio']:.2f}, {column['compared']} forecasts)")


def seconds(timestamp):
    whole, _, rest = timestamp.rstrip("Z").partition(".")
    at = time.strptime(whole, "%Y-%m-%dT%H:%M:%S")
    return calendar.timegm(at) + float("0." + (rest or "0"))


def worse(weights):
    """The same network, which says half the machine more than it thinks."""
    n_header = struct.unpack("<Q", weights[:8])[0]
    header = json.loads(weights[8:8 + n_header])
    at = 8 + n_header + header["head.bias"]["data_offsets"][0]
    scale = float(header["__metadata__"]["scale"])
    bias = struct.unpack("<f", weights[at:at + 4])[0] + 0.5 / scale
    return weights[:at] + struct.pack("<f", bias) + weights[at + 4:]


def train(cluster, pace, points):
    """On what lies before the part that is replayed."""
    history = cluster.folder / "history.csv"
    write_history(history, points[:TRAINED], pace.step_s)
    out = cluster.folder / WEIGHTS
    say(f"training on {TRAINED} points of the recording, {pace.horizon} steps of {pace.step_s} s ahead")
    options = {"step": f"{pace.step_s}s", "window": pace.window, "horizon": pace.horizon,
               "hidden": pace.hidden, "seed": 1, "column": "cpu-used", "out": out}
    args = [text for key, value in options.items() for text in (f"--{key}", str(value))]
    print(cluster.run("forecast", "train", str(history), *args), flush=True)
    return out.read_bytes()


def play(cluster, pace):
    points = recording()
    weights = train(cluster, pace, points)
    # Reviews are counted from the start of the host: in the middle of a step they favour neither policy.
    time.sleep((pace.step_s / 2 - STARTS_S - time.time()) % pace.step_s)
    cluster.start(CORES)
    load = Load(cluster, points, pace.step_s)
    load.start()
    try:
        everyone = lambda: sum(it["state"] == "live" for it in cluster.get("workers"))
        until("workers register", 60, lambda: everyone() == len(WORKERS))
        say(f"{len(WORKERS)} workers; an hour of the recording takes {HOUR * pace.step_s} s")
        example = Example(cluster, load, pace, weights)
        example.phase("first", lambda: None)
        example.phase("second", example.use_lstm)
        example.phase("third", example.use_threshold)
        example.bad_model()
        print()
        example.table()
    finally:
        load.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="about a minute and a half")
    parser.add_argument("--keep", action="store_true", help="the folder with logs is not removed")
    args = parser.parse_args()
    pace = Pace(args.quick)
    try:
        cluster = Cluster(WORKERS, pace.heartbeat_ms)
    except Broken as broken:
        sys.exit(str(broken))
    try:
        play(cluster, pace)
        is_good = True
    except (Broken, KeyboardInterrupt, OSError) as flaw:
        print(f"it did not come to its end: {flaw!r}", file=sys.stderr)
        is_good = False
    finally:
        cluster.end()
    if is_good and not args.keep:
        shutil.rmtree(cluster.folder)
    else:
        print(f"logs are in {cluster.folder}", file=sys.stderr)
    sys.exit(0 if is_good else 1)


main()
