"""A host and its workers, as real processes in a folder of their own, and what is asked of them."""

import json
import os
import pathlib
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent

CONFIG = """\
[server]
listen = "127.0.0.1:0"
data_dir = "{folder}/data"

[heartbeat]
interval = "{heartbeat_ms}ms"
suspect_after = "10s"
lost_after = "20s"

[policies]
directory = "{folder}/policies"
poll = "1s"

# Whether tasks go to workers by forecasts too is changed while the host runs.
[policies.scoring.config]
{scoring}

# Keys that threshold and lstm-rescheduling both have; both go by 85 %.
[policies.rescheduling.config]
min_elapsed_s = 2
max_attempt = 20

[rescheduling]
cool_down = "5s"
rate_per_minute = 600
per_worker = 3
"""


class Broken(Exception):
    """Something that was to be seen was not."""


def find_pointsman():
    built = [HERE.parents[1] / "target" / profile / "pointsman" for profile in ("release", "debug")]
    places = [os.environ.get("POINTSMAN"), shutil.which("pointsman"), *built]
    for place in places:
        if place and os.access(place, os.X_OK):
            return str(pathlib.Path(place).resolve())
    raise Broken("there is no pointsman: build it, or say where it is in $POINTSMAN")


class Cluster:
    def __init__(self, workers, heartbeat_ms):
        self.binary = find_pointsman()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lstm-swap-"))
        self.workers = workers
        self.processes = []
        self.address = None
        (self.folder / "policies").mkdir()
        (self.folder / "progress").mkdir()
        self.heartbeat_ms = heartbeat_ms
        self.configure("")

    def configure(self, scoring):
        """A host that runs takes the file once it is there as a whole."""
        text = CONFIG.format(folder=self.folder, heartbeat_ms=self.heartbeat_ms, scoring=scoring)
        new = self.folder / "pointsman.toml.new"
        new.write_text(text)
        new.replace(self.folder / "pointsman.toml")

    def home(self, worker):
        """Of a worker, for its scripts; also where the file of its load is."""
        return self.folder / worker

    def start(self, cores):
        host = self.spawn("host", ["serve", "--config", str(self.folder / "pointsman.toml")])
        self.address = first_line(host, 60).removeprefix("listening on ")
        for worker in self.workers:
            home = self.home(worker)
            data, load = str(home / "data"), str(home / "load.json")
            capacity = ["--cpu", str(cores), "--memory", "4GiB"]
            options = ["--name", worker, "--data-dir", data, "--measurements", load]
            self.spawn(worker, ["worker", "--host", self.address, *capacity, *options], HOME=str(home))

    def spawn(self, name, args, **env):
        log = open(self.folder / f"{name}.log", "wb")
        env = without_pointsman(os.environ) | env
        # Of its own group: Ctrl-C is for this script, which ends them in their order.
        process = subprocess.Popen(
            [self.binary, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, env=env,
            start_new_session=True,
        )
        log.close()
        self.processes.append(process)
        return process

    def run(self, *args):
        """Of the command line, as an operator would."""
        command = [self.binary, *args]
        env = without_pointsman(os.environ)
        if self.address:
            env["POINTSMAN_HOST"] = self.address
        ended = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, env=env
        )
        if ended.returncode != 0:
            shown = " ".join(args)
            raise Broken(f"pointsman {shown}: exit code {ended.returncode}\n{ended.stderr}")
        return ended.stdout

    def get(self, path):
        with urllib.request.urlopen(f"{self.address}/v1/{path}", timeout=30) as answer:
            return json.load(answer)

    def submit(self, job):
        request = urllib.request.Request(
            f"{self.address}/v1/jobs", json.dumps(job).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def policy(self, slot):
        return next(it for it in self.get("policies")["slots"] if it["slot"] == slot)

    def drop(self, weights, name):
        """Into the policy folder, whole."""
        folder = self.folder / "policies" / "lstm-forecast"
        folder.mkdir(exist_ok=True)
        new = self.folder / "new-weights"
        new.write_bytes(weights)
        new.replace(folder / name)

    def end(self):
        """Workers first, then the host; only what was started here."""
        for process in reversed(self.processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()


def without_pointsman(env):
    return {key: value for key, value in env.items() if not key.startswith("POINTSMAN")}


def first_line(process, patience_s):
    """Read aside, so that a process that says nothing is not waited for for ever."""
    lines = queue.Queue()
    threading.Thread(target=lambda: lines.put(process.stdout.readline()), daemon=True).start()
    try:
        line = lines.get(timeout=patience_s)
    except queue.Empty:
        line = b""
    if not line:
        raise Broken("the host does not listen")
    return line.decode().strip()
