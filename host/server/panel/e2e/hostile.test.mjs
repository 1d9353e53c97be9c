// Whatever comes from outside is text: names, labels, reasons, messages of policies, output.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { at, Browser, shoot } from "./browser.mjs";
import { Site, until } from "./site.mjs";

const ATTACKS = [
  "<img src=x onerror=alert(1)>",
  '"><svg onload=alert(2)>',
  "javascript:alert(3)",
  "<script>alert(4)</script>",
  "';alert(5)//",
  "</textarea><iframe srcdoc='<script>alert(6)</script>'>",
  "{{constructor.constructor('alert(7)')()}}",
];
// Names have no slashes.
const NAMES = ATTACKS.map((text) => text.replaceAll("/", "\u2215"));
const WORKER = "<img src=x onerror=alert(8)>";
const KEY = "<img src=x onerror=alert(15)>";
let site, browser, page, job;

before(async () => {
  // The policy says that it does not know this key.
  site = await Site.start(`[policies.scoring.config]\n${JSON.stringify(KEY)} = 1\n`);
  browser = await Browser.start();
});

after(async () => {
  await browser?.stop();
  await site?.stop();
});

/** Something of what was sent has become more than text. */
const foundAlive = () => page.evaluate(() => {
  const made = document.querySelectorAll("img, iframe, object, embed, script, [onerror], [onload], [srcdoc], [src], [action], body [href]");
  const isOwn = (it) => it.matches('script[src="panel.js"]') || it.getAttribute("href")?.startsWith("#");
  return [...made].filter((it) => !isOwn(it)).map((it) => it.outerHTML.slice(0, 200));
});

async function look(hash, texts) {
  await page.evaluate((hash) => { location.hash = hash; }, hash);
  for (const text of texts) {
    await until(`${text} on ${hash}`, () => page.evaluate((text) => {
      const tooltips = [...document.querySelectorAll("[title]")].map((it) => it.getAttribute("title"));
      return document.body.textContent.includes(text) || tooltips.some((it) => it.includes(text));
    }, text));
  }
  assert.deepEqual(await foundAlive(), [], hash);
  assert.ok(!/^\s*$/.test(await page.title()));
}

test("scripts in names, labels, reasons, messages and output are shown and never run", async () => {
  await site.startWorker(WORKER, 4);
  const tasks = ATTACKS.map((text, index) => ({
    task_name: NAMES[index],
    script: `printf '%s\\n' "$TEXT"; printf '%s\\n' "$TEXT" >&2; echo "phase=$TEXT" >> "$POINTSMAN_FEEDBACK"; sleep 3; exit ${index % 2}`,
    env: { TEXT: text }, max_retries: 0, resources: { cpu: 0.1, memory: "1MB" },
  }));
  tasks.push({ task_name: "waits", script: "true", dependencies: [NAMES[0]], requires: { zone: ATTACKS[1] }, labels: { label: ATTACKS[2] } });
  job = await site.submit({ name: NAMES[3], tasks });
  writeFileSync(join(site.folder, "policies", "scoring.wasm"), `\0asm ${ATTACKS[0]}`);
  writeFileSync(join(site.folder, "policies", "<img src=x onerror=alert(9)>.wasm"), "<script>alert(10)</script>");
  await site.send("POST", "/v1/policies/reload", {});
  page = await browser.open(site.base);
  await look("#/tasks", NAMES);
  await look(`#/jobs/${job.job}`, [NAMES[3], NAMES[0]]);
  await look("#/workers", [WORKER]);
  await look("#/policies", [KEY, "<img src=x onerror=alert(9)>.wasm"]);
  await look("#/activity", [WORKER]);
  for (const [index, text] of ATTACKS.entries()) await look(`#/tasks/${job.tasks[index].id}`, [text, WORKER]);
  await shoot(page, "hostile-task");
  await until("all have ended", async () => (await site.get(`/v1/tasks?job=${job.job}`)).items.every((task) => task.ended || task.name === "waits"));
  for (const [index, text] of ATTACKS.entries()) await look(`#/tasks/${job.tasks[index].id}`, [text]);
  await until("its output", async () => (await at(page, "log").innerText()).includes(ATTACKS.at(-1)));
  await look(`#/tasks/${job.tasks.at(-1).id}`, [ATTACKS[1], ATTACKS[0]]);
  await look(`#/tasks?text=${encodeURIComponent(ATTACKS[0])}`, [ATTACKS[0]]);
  await shoot(page, "hostile-tasks");
  browser.checkQuiet();
});

test("a hostile address shows a view and runs nothing", async () => {
  for (const hash of ['#/tasks?text="><img src=x onerror=alert(11)>', "#/tasks/<img src=x onerror=alert(12)>", "#/jobs/javascript:alert(13)", "#javascript:alert(14)", "#/%00%ff", "#/tasks?state=<b>"]) {
    page = await browser.open(`${site.base}/${hash}`);
    await page.waitForSelector("[data-testid=connection][data-state=live]");
    assert.deepEqual(await foundAlive(), [], hash);
    await page.close();
  }
  // That there is no such task is an answer, not a fault of the page.
  browser.complaints = browser.complaints.filter((it) => !/status of 4(00|04)/.test(it));
  browser.checkQuiet();
});

test("the page may do nothing but what it needs", async () => {
  const answer = await fetch(site.base);
  const policy = answer.headers.get("content-security-policy");
  assert.match(policy, /default-src 'none'/);
  assert.doesNotMatch(policy, /unsafe|\*|https?:/);
  page = await browser.open(site.base);
  const ran = await page.evaluate(async () => {
    const script = document.createElement("script");
    script.textContent = "window.ran = true";
    document.body.append(script);
    const fetched = await fetch("http://127.0.0.1:9/").then(() => "fetched", () => "refused");
    return [window.ran === true, fetched];
  });
  assert.deepEqual(ran, [false, "refused"]);
  browser.complaints = [];
  const framed = await browser.context.newPage();
  await framed.setContent(`<iframe src="${site.base}"></iframe>`);
  const inside = framed.frames()[1];
  assert.equal(await inside?.locator("[data-testid=connection]").count().catch(() => 0), 0);
});
