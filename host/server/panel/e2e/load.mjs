// A page that looks at 20,000 tasks while 200 rows change each second: how soon it paints, how long an input waits,
// whether its memory stays.  node e2e/load.mjs [minutes]

import assert from "node:assert/strict";
import { at, Browser, shoot } from "./browser.mjs";
import { Site, until } from "./site.mjs";

const MINUTES = Number(process.argv[2] ?? 10);
const N_TASKS = 20_000;
/** Jobs are forgotten whole. */
const N_KEPT = N_TASKS + 500;
/** Each is placed, starts and ends, and another is forgotten. */
const TASKS_PER_S = 100;
const UPDATES_PER_S_MIN = 200;
const FIRST_PAINT_MAX_MS = 2000;
const INPUT_DELAY_MAX_MS = 200;
const HEAP_GROWTH_MAX = 1.1;

const site = await Site.start(`[retention]\nfinished = ${N_KEPT}\n`);
const browser = await Browser.start();
const task = (name, script) => ({ task_name: name, script, resources: { cpu: 0.01, memory: "1MB" } });
const made = (n, prefix, script) => Array.from({ length: n }, (_, index) => task(`${prefix}.${index}`, script));

/** In the page: what each input cost, and the longest that it was busy. */
function observe() {
  window.inputs = [];
  window.longTasks = [];
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      if (entry.interactionId || entry.name === "keydown") window.inputs.push([entry.processingStart - entry.startTime, entry.duration]);
    }
  }).observe({ type: "event", durationThreshold: 16, buffered: true });
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) window.longTasks.push(entry.duration);
  }).observe({ type: "longtask", buffered: true });
}

async function heap(page) {
  const session = await page.context().newCDPSession(page);
  await session.send("HeapProfiler.collectGarbage");
  const { usedSize } = await session.send("Runtime.getHeapUsage");
  await session.detach();
  return usedSize;
}

const worst = (values) => values.reduce((most, value) => Math.max(most, value), 0);
const ms = (value) => `${value.toFixed(0)} ms`;
const mib = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

let feeding;
try {
  await site.startWorker("w1", 4);
  for (let n = 0; n < N_KEPT; n += 250) await site.submit({ name: `old ${n}`, tasks: made(250, `old.${n}`, "true") });
  await until("there are as many finished tasks as are kept", async () => {
    const { counts } = await site.get("/v1/status");
    return counts.pending + counts.assigned + counts.running === 0;
  }, 600_000);
  let batch = 0;
  feeding = setInterval(() => site.submit({ name: "new", tasks: made(TASKS_PER_S / 10, `new.${batch++}`, "sleep 0.3") }), 100);

  const page = await browser.context.newPage();
  await page.addInitScript(observe);
  let nUpdates = 0;
  page.on("websocket", (socket) => socket.on("framereceived", ({ payload }) => {
    for (const it of JSON.parse(payload)) if (it.kind.startsWith("task")) nUpdates++;
  }));
  const begun = Date.now();
  await page.goto(site.base);
  await at(page, "task-row").first().waitFor();
  const rowsAfter = Date.now() - begun;
  const painted = await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime);
  await until("all are there", async () => Number((await at(page, "shown").innerText()).split(/[a-z;]/)[0].replace(/\D/g, "")) >= N_TASKS);
  const allAfter = Date.now() - begun;
  console.log(`first paint after ${ms(painted)}, first rows after ${ms(rowsAfter)}, all ${N_TASKS} known after ${ms(allAfter)}`);

  const heaps = [];
  const from = Date.now();
  nUpdates = 0;
  for (let minute = 1; minute <= MINUTES; minute++) {
    while (Date.now() - from < minute * 60_000) {
      await at(page, "filter-text").click();
      await page.keyboard.type("new.1", { delay: 120 });
      for (let n = 0; n < 5; n++) await page.keyboard.press("Backspace", { delay: 60 });
      await page.mouse.move(600, 600);
      for (let n = 0; n < 20; n++) await page.mouse.wheel(0, n % 2 ? -900 : 2500);
      await at(page, "filter-RUNNING").click();
      await at(page, "filter-RUNNING").click();
      await page.waitForTimeout(500);
    }
    heaps.push(await heap(page));
    const [inputs, busy] = await page.evaluate(() => [window.inputs.splice(0), window.longTasks.splice(0)]);
    const delays = inputs.map(([delay]) => delay);
    console.log(`minute ${minute}: heap ${mib(heaps.at(-1))}, ${inputs.length} slow inputs, longest delay ${ms(worst(delays))}, to the next paint ${ms(worst(inputs.map((it) => it[1])))}, busy at most ${ms(worst(busy))} at once`);
    heaps.worstDelay = Math.max(heaps.worstDelay ?? 0, worst(delays));
  }
  const rate = nUpdates / ((Date.now() - from) / 1000);
  console.log(`${rate.toFixed(0)} updates/s`);
  await shoot(page, "load");
  const growth = heaps.at(-1) / heaps[Math.min(1, heaps.length - 1)];
  console.log(`heap ${mib(heaps[0])} to ${mib(heaps.at(-1))}: ${growth.toFixed(3)} × from the second minute on`);
  const metrics = await (await fetch(`${site.base}/metrics`)).text();
  console.log(`/metrics has ${metrics.length} bytes`);
  assert.ok(rate >= UPDATES_PER_S_MIN, "too few updates to tell anything");
  assert.ok(painted < FIRST_PAINT_MAX_MS && rowsAfter < FIRST_PAINT_MAX_MS, "the first paint comes late");
  assert.ok(heaps.worstDelay < INPUT_DELAY_MAX_MS, "inputs wait");
  assert.ok(growth < HEAP_GROWTH_MAX, "the page's memory grows");
  browser.checkQuiet();
} finally {
  clearInterval(feeding);
  await browser.stop();
  await site.stop();
}
