// What the page makes of another host at the same address, and of one that wants a token.

import assert from "node:assert/strict";
import { appendFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Browser, at } from "./browser.mjs";
import { Site, until } from "./site.mjs";

let site, browser, page;

before(async () => {
  site = await Site.start();
  browser = await Browser.start();
  page = await browser.open(site.base);
});

after(async () => {
  await browser?.stop();
  await site?.stop();
});

const connection = () => at(page, "connection").getAttribute("data-state");

test("nothing of another host's past stays", async () => {
  await site.submit({ name: "old", tasks: [{ task_name: "of the old host", script: "true" }] });
  await until("the row", async () => (await at(page, "task-row").count()) === 1);
  await at(page, "task-row").click();
  await until("the task", async () => (await page.locator("h1").innerText()).includes("of the old host"));
  await site.kill("host");
  await until("it is told", async () => (await connection()) === "lost");
  rmSync(join(site.folder, "data"), { recursive: true });
  await site.startHost();
  await until("it is gone", async () => (await page.locator("main").innerText()).includes("There is no task t1"));
  await page.evaluate(() => { location.hash = "#/tasks"; });
  await until("none is left", async () => (await page.locator("main").innerText()).includes("No tasks yet"));
  assert.equal(await at(page, "task-row").count(), 0);
  assert.ok(!(await page.locator("body").innerText()).includes("of the old host"));
  // That the task is not there is what was asked.
  assert.deepEqual(browser.complaints.splice(0).filter((it) => !it.includes("status of 404")), []);
});

test("a host with tokens is asked with the one that is given, and says what it does not allow", async () => {
  const roles = ["read", "admin", "worker"].map((role) => [role, join(site.folder, `${role}.token`)]);
  for (const [role, file] of roles) writeFileSync(file, `0123456789abcdef-${role}`, { mode: 0o600 });
  await site.kill("host");
  appendFileSync(site.config, `[auth]\n${roles.map(([role, file]) => `${role} = ${JSON.stringify(file)}`).join("\n")}\n`);
  await site.startHost();
  await until("it is asked for", () => at(page, "token").isVisible());
  await at(page, "token").fill("0123456789abcdef-wrong");
  await page.keyboard.press("Enter");
  await until("the wrong one is refused", async () => (await page.locator("main").innerText()).includes("not one of this host"));
  await at(page, "token").fill("0123456789abcdef-read");
  await page.keyboard.press("Enter");
  await until("the right one opens", async () => (await connection()) === "live");
  await page.evaluate(() => { location.hash = "#/policies"; });
  await at(page, "use-queue-fifo").click();
  await until("what is not allowed is said", async () => /role/.test(await page.getByRole("alert").first().innerText()));
  assert.equal(await at(page, "serving-queue").innerText(), "priority-ageing");
});
