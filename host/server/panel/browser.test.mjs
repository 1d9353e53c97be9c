// The panel in a real browser with a real host behind it. Wants the host's program in POINTSMAN and a
// Chromium in CHROMIUM; without them there is nothing to test:
//   POINTSMAN=…/target/debug/pointsman npm run test:browser

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";

const program = process.env.POINTSMAN;
const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const skip = program === undefined || !existsSync(executablePath);
const here = new URL(".", import.meta.url).pathname;
const HOSTILE = '<img src=x onerror="alert(1)">&amp;';

let folder;
let browser;
let host;
let panel;
let page;
const alarms = [];

/** Starts a program and waits until it says where it listens. */
async function listening(command, args) {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "ignore"] });
  const address = await new Promise((found, failed) => {
    let said = "";
    child.on("exit", () => failed(new Error(`${command} ended: ${said}`)));
    child.stdout.on("data", (piece) => {
      said += piece;
      const match = /http:\/\/(127\.0\.0\.1:\d+)/.exec(said);
      if (match) found(match[1]);
    });
  });
  return { child, address };
}

async function startHost(data, more = []) {
  const listen = host?.address ?? "127.0.0.1:0";
  host = await listening(program, ["serve", "--workers", "2", "--listen", listen, "--data-dir", join(folder, data), ...more]);
}

async function stop(started) {
  const ended = new Promise((done) => started.child.once("exit", done));
  started.child.kill("SIGKILL");
  await ended;
}

async function submit(tasks) {
  const response = await fetch(`http://${host.address}/v1/jobs`, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ name: "panel", tasks }),
  });
  assert.equal(response.status, 201);
  return response.json();
}

const at = (testid) => page.locator(`[data-testid="${testid}"]`);
const show = (hash) => page.goto(`http://${panel.address}/${hash}`);
const connectionIs = (state) => page.waitForSelector(`[data-testid=connection][data-state=${state}]`, { timeout: 20_000 });
const rowsAre = (n) =>
  page.waitForFunction((n) => document.querySelectorAll("[data-testid=task-row]").length === n, n, { timeout: 10_000 });

before(async () => {
  if (skip) return;
  folder = await mkdtemp(join(tmpdir(), "panel-"));
  await startHost("first");
  panel = await listening(process.execPath, [join(here, "dev.mjs"), "0", host.address]);
  browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", "--disable-quic"] });
  page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  page.on("dialog", (dialog) => {
    alarms.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on("pageerror", (error) => alarms.push(`error: ${error.message}`));
  page.on("console", (message) => {
    if (/Content Security Policy/i.test(message.text())) alarms.push(message.text());
  });
});

after(async () => {
  if (skip) return;
  await browser?.close();
  for (const started of [panel, host]) if (started) await stop(started);
  await rm(folder, { recursive: true, force: true });
});

test("a task appears, and its page shows what it wrote and why it was put there", { skip }, async () => {
  await show("#/tasks");
  await connectionIs("live");
  await submit([{ task_name: "greet", script: "echo hello; echo trouble >&2" }]);
  await rowsAre(1);
  await at("task-row").click();
  await at("log").getByText("hello").waitFor();
  await at("log-stderr").click();
  await at("log").getByText("trouble").waitFor();
  await at("explain").waitFor();
});

test("what comes from outside stays text", { skip }, async () => {
  const { job, tasks } = await submit([
    { task_name: HOSTILE, script: `printf '${HOSTILE} \\342\\200\\256turned\\n'` },
    { task_name: "never", script: "true", dependencies: [HOSTILE], resources: { cpu: 5000 } },
  ]);
  await show(`#/tasks/${tasks[0].id}`);
  await page.locator("h1").getByText(HOSTILE).waitFor();
  await at("log").getByText(`${HOSTILE} \\u{202e}turned`).waitFor();
  await show(`#/jobs/${job}`);
  await at("graph").waitFor();
  await at("gantt").waitFor();
  await show(`#/tasks/${tasks[1].id}`);
  await at("reason").waitFor();
  await show(`#/tasks?text=${encodeURIComponent(HOSTILE)}`);
  await rowsAre(1);
  assert.equal(await page.locator("img").count(), 0);
  assert.deepEqual(alarms, []);
});

test("another policy is put in force and taken back", { skip }, async () => {
  await show("#/policies");
  await at("use-scoring-spread").click();
  await at("serving-scoring").getByText("spread").waitFor();
  await at("rollback-scoring").click();
  await at("rollback-scoring-confirm").click();
  await at("serving-scoring").getByText("weighted-score").waitFor();
  await show("#/activity");
  await at("activity-entry").getByText("spread").first().waitFor();
});

test("no view is wider than a telephone", { skip }, async () => {
  await page.setViewportSize({ width: 390, height: 800 });
  for (const hash of ["#/tasks", "#/jobs", "#/jobs/j1", "#/tasks/t1", "#/workers", "#/policies", "#/activity"]) {
    await show(hash);
    await page.locator(".view").waitFor();
    const wide = await page.evaluate(() => ["html", "main"].filter((name) => {
      const element = document.querySelector(name);
      return element.scrollWidth > element.clientWidth + 1;
    }));
    assert.deepEqual(wide, [], hash);
  }
  await page.setViewportSize({ width: 1280, height: 800 });
});

test("a lost host is told at once, and the page goes on by itself when it is back", { skip }, async () => {
  await show("#/tasks");
  await connectionIs("live");
  await rowsAre(3);
  await stop(host);
  await connectionIs("lost");
  await startHost("first");
  await connectionIs("live");
  await rowsAre(3);
  await submit([{ task_name: "after", script: "true" }]);
  await rowsAre(4);
});

test("nothing of another host's past stays", { skip }, async () => {
  await show("#/tasks/t1");
  await page.locator("h1").getByText("greet").waitFor();
  await stop(host);
  await startHost("second");
  await page.getByText("There is no task t1").waitFor();
  await show("#/tasks");
  await page.getByText("No tasks yet").waitFor();
  await rowsAre(0);
});

test("a host with tokens is asked with the one that is given", { skip }, async () => {
  const token = "0123456789abcdef-read";
  const files = [["read", token], ["admin", "0123456789abcdef-admin"], ["worker", "0123456789abcdef-worker"]];
  for (const [role, text] of files) {
    await writeFile(join(folder, role), text);
    await chmod(join(folder, role), 0o600);
  }
  const config = files.map(([role]) => `${role} = ${JSON.stringify(join(folder, role))}`).join("\n");
  await writeFile(join(folder, "auth.toml"), `[auth]\n${config}\n`);
  await stop(host);
  await startHost("second", ["--config", join(folder, "auth.toml")]);
  await at("token").fill("0123456789abcdef-wrong");
  await page.keyboard.press("Enter");
  await page.getByText("not one of this host").waitFor();
  await at("token").fill(token);
  await page.keyboard.press("Enter");
  await connectionIs("live");
  await show("#/policies");
  await at("use-queue-fifo").click();
  await page.locator("[role=alert]").waitFor();
  assert.deepEqual(alarms, []);
});
