// Every view against a real host that runs a real workflow; a policy swapped from the panel; a host that is
// killed and comes back.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { at, Browser, checkWidth, NARROW, shoot, WIDE } from "./browser.mjs";
import { Site, until } from "./site.mjs";

const WORKFLOW = new URL("../../../../examples/workflow/airrflow.json", import.meta.url);
const VIEWS = ["tasks", "jobs", "workers", "policies", "activity"];
let site, browser, page, workflow, talker;

before(async () => {
  site = await Site.start();
  browser = await Browser.start();
  page = await browser.open(site.base);
});

after(async () => {
  await browser?.stop();
  await site?.stop();
});

const isLive = () => page.waitForSelector('[data-testid=connection][data-state=live]');
const go = async (hash) => {
  await page.evaluate((hash) => { location.hash = hash; }, hash);
};

test("an empty host says what to do next", async () => {
  await isLive();
  const text = await at(page, "view-tasks").innerText();
  assert.match(text, /pointsman run/);
  await shoot(page, "tasks-empty");
});

test("tasks appear, can be filtered, and are reached by keyboard", async () => {
  for (const name of ["w1", "w2", "w3"]) await site.startWorker(name, 2);
  workflow = await site.submit(JSON.parse(readFileSync(WORKFLOW, "utf8")));
  const script = 'for i in 1 2 3 4 5 6 7 8 9 10; do echo "line $i"; echo "progress=0.$i" >> "$POINTSMAN_FEEDBACK"; sleep 1; done; exec sleep 600';
  talker = await site.submit({ name: "talks", tasks: [{ task_name: "talker", script, priority: 100 }, { task_name: "after the talker", script: "true", dependencies: ["talker"] }, { task_name: "too large", script: "true", resources: { cpu: 64, memory: "1MB" } }, { task_name: "fails once", script: 'test $POINTSMAN_ATTEMPT = 2', priority: 100 }] });
  await go("#/tasks");
  await until("rows", async () => (await at(page, "task-row").count()) > 10);
  await until("some run", async () => /[1-9]/.test(await at(page, "filter-RUNNING").innerText()));
  await shoot(page, "tasks");
  await at(page, "filter-text").fill("talker");
  await until("two are left", async () => (await at(page, "task-row").count()) === 2);
  assert.match(page.url(), /talker/, "a link keeps the filter");
  await at(page, "task-row").first().focus();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await at(page, "view-task").waitFor();
  await page.goBack();
  await until("the filter is still there", async () => (await at(page, "filter-text").inputValue()) === "talker");
  await at(page, "filter-text").fill("");
  browser.checkQuiet();
});

test("a job shows its graph, its critical path and its attempts over time", async () => {
  await go(`#/jobs/${workflow.job}`);
  await at(page, "graph").waitFor();
  await at(page, "gantt").waitFor();
  await until("attempts", async () => (await at(page, "gantt").innerText()).length > 0);
  await at(page, "projected-finish").waitFor();
  const path = await site.get(`/v1/jobs/${workflow.job}/critical-path?limit=1000`);
  const first = path.tasks.find((task) => task.is_on_path).name;
  await until("the path", async () => (await at(page, "path").innerText()).includes(first.slice(0, 20)));
  await shoot(page, "job");
  browser.checkQuiet();
});

test("a task tells what it does, says and why it is where it is", async () => {
  const running = await until("the talker runs", async () => {
    const task = await site.get(`/v1/tasks/${talker.tasks[0].id}`);
    return task.state === "RUNNING" && task;
  });
  await go(`#/tasks/${running.id}`);
  await until("its output", async () => (await at(page, "log").innerText()).includes("line 3"));
  const placed = await until("why there", async () => {
    const text = await at(page, "placed").innerText();
    return text.includes(running.worker_name) && text;
  });
  const explained = await site.get(`/v1/tasks/${running.id}/explain`);
  assert.ok(placed.includes(explained.placed.score.toFixed(3)), placed);
  await shoot(page, "task-running");
  await go(`#/tasks/${talker.tasks[2].id}`);
  await until("why it waits", async () => (await at(page, "reason").innerText()).includes("no_worker_can_ever_fit"));
  await shoot(page, "task-waiting");
  await go(`#/tasks/${talker.tasks[3].id}`);
  await until("both attempts", async () => (await at(page, "attempt-row").count()) === 2);
  browser.checkQuiet();
});

test("charts of workers begin before the page was opened", async () => {
  const answered = browser.context.waitForEvent("response", {
    predicate: (it) => it.url().includes("/v1/history/measurements?worker=w1&"),
  });
  const fresh = await browser.open(`${site.base}/#/workers`);
  const { items } = await (await answered).json();
  assert.ok(items.length > 0 && items.every((it) => it.worker_name === "w1"), JSON.stringify(items.slice(0, 3)));
  await fresh.locator(".chart canvas").first().waitFor();
  await fresh.close();
  browser.checkQuiet();
});

test("workers show what they have, how they score, and can be drained", async () => {
  await go("#/workers");
  await until("three", async () => (await at(page, "worker-row").count()) === 3);
  const scores = await site.get("/v1/scores");
  assert.equal(scores.workers.length, 3);
  await until("a band", async () => /preferred|normal|restricted/.test(await at(page, "worker-row").first().innerText()));
  await shoot(page, "workers");
  const row = at(page, "worker-row").filter({ hasText: "w3" });
  await row.getByRole("button", { name: /drain/i }).click();
  const confirm = row.getByRole("button", { name: /yes/i });
  await confirm.click();
  await until("w3 drains", async () => (await site.get("/v1/workers")).some((it) => it.name === "w3" && it.drained));
  await until("it shows", async () => /drain/i.test(await row.innerText()));
  await row.getByRole("button", { name: /resume/i }).click();
  await until("w3 is back", async () => (await site.get("/v1/workers")).every((it) => !it.drained));
  browser.checkQuiet();
});

test("a policy is swapped and rolled back from the panel", async () => {
  await go("#/policies");
  await until("what serves", async () => (await at(page, "serving-queue").innerText()) === "priority-ageing");
  await at(page, "use-queue-fifo").click();
  const confirm = at(page, "use-queue-fifo-confirm");
  if (await confirm.isVisible()) await confirm.click();
  await until("fifo serves", async () => (await at(page, "serving-queue").innerText()) === "fifo");
  const serving = (await site.get("/v1/policies")).slots.find((it) => it.slot === "queue");
  assert.deepEqual([serving.name, serving.chosen], ["fifo", "fifo"]);
  await shoot(page, "policies");
  await at(page, "rollback-queue").click();
  await at(page, "rollback-queue-confirm").click();
  await until("the one before serves", async () => (await at(page, "serving-queue").innerText()) === "priority-ageing");
  await go("#/activity");
  await until("both are told", async () => (await at(page, "activity-entry").filter({ hasText: "queue" }).count()) >= 2);
  await shoot(page, "activity");
  browser.checkQuiet();
});

test("a lost worker is told, and its tasks move", async () => {
  await site.kill("w2");
  await go("#/workers");
  const row = at(page, "worker-row").filter({ hasText: "w2" });
  await until("it is lost", async () => /lost/i.test(await row.innerText()));
  await go("#/activity");
  await until("it is told", async () => (await at(page, "activity-entry").filter({ hasText: /w2.*lost|lost.*w2/i }).count()) >= 1);
  browser.checkQuiet();
});

test("a killed host shows at once, and everything is right when it is back", async () => {
  await go("#/tasks");
  await site.kill("host");
  await page.waitForSelector("[data-testid=connection][data-state=lost]", { timeout: 3000 });
  assert.match(await at(page, "connection").innerText(), /Disconnected/);
  await shoot(page, "disconnected");
  await site.startHost();
  await page.waitForSelector("[data-testid=connection][data-state=live]", { timeout: 15_000 });
  const ended = await until("the workflow ends", async () => {
    const job = await site.get(`/v1/jobs/${workflow.job}`);
    return job.ended && job;
  });
  assert.equal(ended.state, "SUCCEEDED");
  await go(`#/tasks?job=${workflow.job}`);
  await at(page, "filter-SUCCEEDED").click();
  await until("all are shown as ended", async () => /^212\b/.test(await at(page, "shown").innerText()));
  const counts = (await site.get("/v1/status")).counts;
  await go("#/tasks");
  await until("the counts are the host's", async () => {
    const text = async (state) => Number((await at(page, `filter-${state}`).innerText()).replace(/\D/g, ""));
    return (await text("SUCCEEDED")) === counts.succeeded && (await text("PENDING")) === counts.pending;
  });
  browser.checkQuiet();
});

test("a host that stands still shows as well, and what it missed is caught up with", async () => {
  await go("#/tasks");
  process.kill(site.pid("host"), "SIGSTOP");
  try {
    // As after a sleep: nothing is closed, and nothing comes.
    await page.waitForSelector("[data-testid=connection][data-state=lost]", { timeout: 20_000 });
    assert.match(await at(page, "connection").innerText(), /Disconnected/);
  } finally {
    process.kill(site.pid("host"), "SIGCONT");
  }
  await page.waitForSelector("[data-testid=connection][data-state=live]", { timeout: 30_000 });
  const { tasks } = await site.submit({ name: "later", tasks: [{ task_name: "after the sleep", script: "true" }] });
  await until("it ends", async () => (await site.get(`/v1/tasks/${tasks[0].id}`)).state === "SUCCEEDED");
  await at(page, "filter-text").fill("after the sleep");
  await until("it shows", async () => /succeeded/i.test(await at(page, "task-row").first().innerText()));
  assert.equal(await at(page, "task-row").count(), 1);
  browser.checkQuiet();
});

test("every view is whole on a narrow screen and in the dark", async () => {
  const hashes = [...VIEWS.map((view) => [view, `#/${view}`]), ["job", `#/jobs/${workflow.job}`], ["task", `#/tasks/${talker.tasks[0].id}`]];
  for (const [scheme, size, suffix] of [["dark", WIDE, "dark"], ["light", NARROW, "narrow"]]) {
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
    await page.setViewportSize(size);
    for (const [name, hash] of hashes) {
      await go(hash);
      await at(page, `view-${name}`).waitFor();
      await page.waitForLoadState("networkidle");
      await checkWidth(page, `${name} (${suffix})`);
      await shoot(page, `${name}-${suffix}`);
    }
  }
  browser.checkQuiet();
});
