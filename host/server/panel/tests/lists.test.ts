import assert from "node:assert/strict";
import { test } from "node:test";
import { NO_FILTER, matcher, readFilter, writeFilter } from "../src/core/filter";
import { line, mergeNews, openAlerts } from "../src/core/news";
import { fetchLastHour } from "../src/core/last_hour";
import { POINTS_MAX, Ring } from "../src/core/ring";
import { link, readRoute, taskLink } from "../src/core/route";
import { SortedIds } from "../src/core/sorted";
import { attempt, event, task } from "./made";

test("ids stay sorted, in small changes and large ones", () => {
  const sorted = new SortedIds();
  sorted.change([5, 1, 3, 3], []);
  assert.deepEqual([0, 1, 2].map((i) => sorted.fromTop(i)), [5, 3, 1]);
  sorted.change(Array.from({ length: 100 }, (_, i) => i + 1), []);
  assert.equal(sorted.length, 100);
  sorted.change([], Array.from({ length: 90 }, (_, i) => i + 1));
  assert.equal(sorted.fromTop(9), 91);
  sorted.change([], [91, 7]);
  assert.equal(sorted.length, 9);
  assert.ok(sorted.has(95));
  assert.ok(!sorted.has(91));
  assert.equal(sorted.nAbove(95), 5);
});

test("a filter goes through the address and back", () => {
  const filter = { ...NO_FILTER, states: ["FAILED", "RUNNING"] as const, queue: "a&b=c", text: "ü #1" };
  const query = new URLSearchParams(writeFilter({ ...filter, states: [...filter.states] }).toString());
  const read = readFilter(query);
  assert.equal(read.queue, "a&b=c");
  assert.equal(read.text, "ü #1");
  assert.deepEqual(read.states, ["RUNNING", "FAILED"]);
  assert.deepEqual(readFilter(new URLSearchParams("state=nonsense")).states, []);
});

test("filters", () => {
  const row = task(12, "RUNNING", { name: "Train-Model", worker: "w3" });
  const check = (part: Partial<typeof NO_FILTER>, expected: boolean) =>
    assert.equal(matcher({ ...NO_FILTER, ...part })(row), expected, JSON.stringify(part));
  check({}, true);
  check({ text: "train" }, true);
  check({ text: "t12" }, true);
  check({ text: "t1" }, false);
  check({ job: "1" }, true);
  check({ job: "j2" }, false);
  check({ worker: "w3" }, true);
  check({ states: ["FAILED"] }, false);
  const ended = task(13, "SUCCEEDED", { attempts: [attempt(1, { worker: "w7" })] });
  assert.ok(matcher({ ...NO_FILTER, worker: "w7" })(ended));
});

test("addresses name ids with or without their letter, and nothing breaks out of them", () => {
  assert.deepEqual([readRoute("#/tasks/5").view, readRoute("#/tasks/5").id], ["tasks", "t5"]);
  assert.equal(readRoute("#/jobs/j1").id, "j1");
  assert.equal(readRoute("").view, "tasks");
  assert.equal(readRoute("#/nonsense").view, "tasks");
  assert.equal(readRoute("#/tasks?state=FAILED").query.get("state"), "FAILED");
  assert.equal(readRoute("#/tasks/%E0%A4%A").id, "%E0%A4%A");
  assert.equal(taskLink('"><script>'), "#/tasks/%22%3E%3Cscript%3E");
  assert.equal(readRoute(taskLink("a/b?c#d")).id, "a/b?c#d");
  assert.equal(link("workers"), "#/workers");
});

test("rings hold so many points, in the order of time", () => {
  const ring = new Ring(2);
  for (let i = 0; i < POINTS_MAX + 50; i++) ring.push(i * 1000, [i, undefined]);
  ring.push(5, [0, 0]);
  assert.equal(ring.times.length, POINTS_MAX);
  assert.equal(ring.times[0], 50);
  assert.equal(ring.values[0].length, POINTS_MAX);
  assert.equal(ring.values[1][0], null);
});

test("what was measured before is put in front, thinned out to the room there is", () => {
  const ring = new Ring(1);
  for (let i = 0; i < 100; i++) ring.push(1e6 + i, [i]);
  const older = Array.from({ length: 5000 }, (_, i) => ({ atMs: 900_000 + i * 10, values: [-i] }));
  ring.prepend([...older, { atMs: 1e6 + 5, values: [0.5] }]);
  assert.ok(ring.times.length > POINTS_MAX / 2 && ring.times.length <= POINTS_MAX, `${ring.times.length} points`);
  assert.ok(ring.times.every((at, i) => i === 0 || at > ring.times[i - 1]));
  const nOlder = ring.times.length - 100;
  assert.deepEqual(ring.values[0].slice(nOlder), Array.from({ length: 100 }, (_, i) => i));
  assert.equal(ring.values[0][nOlder - 1], -4999);
  assert.equal(ring.values[0].length, ring.times.length);
  const before = ring.times.length;
  ring.prepend([{ atMs: 2e6, values: [1] }]);
  assert.equal(ring.times.length, before);
});

test("the last hour of a worker is asked for page by page, and no longer than somebody looks", async () => {
  const row = (n: number) => ({ at: new Date(n).toISOString(), worker_name: "a&b", measurements: { cpu_used: n } });
  const paths: string[] = [];
  const get = (path: string) => {
    paths.push(path);
    return Promise.resolve({ items: [row(paths.length)], next_cursor: paths.length % 3 === 0 ? undefined : `${paths.length}-0` });
  };
  const rows = await fetchLastHour("a&b", Date.parse("2026-10-25T02:00:00Z"), get, () => true);
  assert.deepEqual(rows.map((it) => it.measurements.cpu_used), [1, 2, 3]);
  const first = "/v1/history/measurements?worker=a%26b&from=2026-10-25T01:00:00.000Z&limit=10000";
  assert.deepEqual(paths, [first, `${first}&cursor=1-0`, `${first}&cursor=2-0`]);
  await fetchLastHour("a&b", 4e6, get, () => paths.length < 4);
  assert.equal(paths.length, 4);
  const endless = () => Promise.resolve({ items: [row(1)], next_cursor: "1-0" });
  assert.equal((await fetchLastHour("a", 4e6, endless, () => true)).length, 4);
});

test("an alert is open until it is taken back", () => {
  const alert = (n: number, raised: boolean, worker?: string) =>
    event(n, { kind: "alert", alert: worker ? "worker_cpu" : "run", raised, worker, value: 1, threshold: 0.9, text: "" });
  const news = mergeNews([], [alert(1, true, "w1"), alert(2, true, "w2"), alert(3, false, "w1"), alert(4, true), alert(5, true, "w2")]);
  assert.deepEqual(openAlerts(news).map((it) => it.n), [5, 4]);
});

test("news come newest first, each once", () => {
  const paused = event(3, { kind: "queue", queue: { name: "q", paused: true, pending: 0, placed: 0 } });
  const config = event(9, { kind: "config", accepted: false, reason: "no such key" });
  const merged = mergeNews([paused], [config, paused]);
  assert.deepEqual(merged.map((it) => it.n), [9, 3]);
  const told = line(config, String);
  assert.equal(told?.text, "configuration refused: no such key");
  assert.ok(told?.isBad);
  assert.equal(line(paused, String)?.text, "queue q is paused");
});
