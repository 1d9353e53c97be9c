// A host with workers, each a process of its own, in a temporary folder.

import { spawn } from "node:child_process";
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const PATIENCE_MS = 60_000;
const BINARY = process.env.POINTSMAN ?? new URL("../../../../target/debug/pointsman", import.meta.url).pathname;
const TIMES = '[heartbeat]\ninterval = "500ms"\nsuspect_after = "2s"\nlost_after = "4s"\n[retry.backoff]\nbase = "50ms"\ncap = "200ms"\n';

export class Site {
  /** With more TOML. */
  static async start(toml = "") {
    const site = new Site();
    site.folder = mkdtempSync(join(tmpdir(), "pointsman-panel-"));
    site.port = await freePort();
    site.base = `http://127.0.0.1:${site.port}`;
    site.processes = new Map();
    mkdirSync(join(site.folder, "policies"));
    const place = (name) => JSON.stringify(join(site.folder, name));
    site.config = join(site.folder, "pointsman.toml");
    writeFileSync(
      site.config,
      `[server]\nlisten = "127.0.0.1:${site.port}"\ndata_dir = ${place("data")}\n[policies]\ndirectory = ${place("policies")}\n${toml}${TIMES}`,
    );
    await site.startHost();
    return site;
  }

  async startHost() {
    this.spawn("host", ["serve", "--config", this.config]);
    await until("the host answers", async () => (await fetch(`${this.base}/readyz`)).ok);
  }

  async startWorker(name, cpu) {
    const data = join(this.folder, name);
    this.spawn(name, ["worker", "--host", this.base, "--name", name, "--cpu", String(cpu), "--memory", "4GB", "--data-dir", data]);
    await until(`${name} is live`, async () => (await this.get("/v1/workers")).some((it) => it.name === name && it.state === "live"));
  }

  spawn(name, args) {
    const child = spawn(BINARY, args, { stdio: ["ignore", "pipe", "pipe"] });
    const log = join(this.folder, `${name}.log`);
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (bytes) => appendFileSync(log, bytes));
    this.processes.set(name, child);
  }

  /** As a machine that loses its power. */
  async kill(name) {
    const child = this.processes.get(name);
    this.processes.delete(name);
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await ended;
  }

  pid(name) {
    return this.processes.get(name).pid;
  }

  log(name) {
    return readFileSync(join(this.folder, `${name}.log`), "utf8");
  }

  async get(path) {
    const answer = await fetch(this.base + path);
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }

  async send(method, path, body) {
    const answer = await fetch(this.base + path, {
      method, body: JSON.stringify(body), headers: { "Content-Type": "application/json" },
    });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }

  submit(job) {
    return this.send("POST", "/v1/jobs", job);
  }

  async stop() {
    for (const name of [...this.processes.keys()]) await this.kill(name);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Asks again until the answer is yes; errors mean no. */
export async function until(what, ask, patience = PATIENCE_MS) {
  const deadline = Date.now() + patience;
  let last;
  while (Date.now() < deadline) {
    try {
      const answer = await ask();
      if (answer) return answer;
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`not in time: ${what}`, { cause: last });
}

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
