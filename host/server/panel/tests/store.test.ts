import assert from "node:assert/strict";
import { test } from "node:test";
import { FilteredTasks, NO_FILTER } from "../src/core/filter";
import { Store, total } from "../src/core/store";
import { changed, event, job, snapshot, task, worker } from "./made";

const ids = (store: Store) => [...store.tasks.keys()];

test("an event replaces the row and the counts follow", () => {
  const store = new Store();
  store.apply([snapshot(10, { tasks: [task(1), task(2)] })], 0);
  store.apply([changed(11, task(1, "RUNNING")), changed(12, task(3))], 0);
  assert.deepEqual(ids(store), ["t1", "t2", "t3"]);
  assert.equal(store.counts().pending, 2);
  assert.equal(store.counts().running, 1);
});

test("a batch that brings a task several times counts it once", () => {
  const store = new Store();
  store.apply([snapshot(1)], 0);
  store.apply([changed(2, task(1)), changed(3, task(1, "RUNNING")), changed(4, task(1, "SUCCEEDED"))], 0);
  assert.equal(total(store.counts()), 1);
  assert.equal(store.counts().succeeded, 1);
  assert.equal(store.ids.length, 1);
});

test("what was seen before a resume is not applied again", () => {
  const store = new Store();
  store.apply([snapshot(10, { tasks: [task(1)] })], 0);
  store.apply([changed(11, task(1, "RUNNING")), changed(12, task(1, "SUCCEEDED"))], 0);
  const changes = store.apply([changed(11, task(1, "RUNNING")), changed(13, task(2))], 0);
  assert.equal(store.tasks.get("t1")?.state, "SUCCEEDED");
  assert.deepEqual([...changes.tasks], ["t2"]);
  assert.equal(store.n, 13);
});

test("a snapshot replaces everything, also with lower numbers", () => {
  const store = new Store();
  const first = snapshot(2 ** 32 + 5, {
    tasks: [task(1), task(2)], jobs: [job(1, 2)], workers: [worker(1)],
    queues: [{ name: "old", paused: false, pending: 2, placed: 0 }],
  });
  store.apply([first], 0);
  const changes = store.apply([snapshot(7, { tasks: [task(9, "FAILED")], workers: [worker(2)], term: 2 })], 0);
  assert.ok(changes.replaced);
  assert.deepEqual(ids(store), ["t9"]);
  assert.deepEqual([...store.workers.keys()], ["w2"]);
  assert.equal(store.jobs.size + store.queues.size, 0);
  assert.equal(store.ids.length, 1);
  assert.equal(total(store.counts()), 1);
  assert.equal(store.term, 2);
  store.apply([changed(8, task(9, "PENDING"))], 0);
  assert.equal(store.tasks.get("t9")?.state, "PENDING");
});

test("a snapshot in the middle of a batch wins over what came before it", () => {
  const store = new Store();
  store.apply([changed(5, task(1)), snapshot(6, { tasks: [task(2)] }), changed(7, task(3))], 0);
  assert.deepEqual(ids(store), ["t2", "t3"]);
});

test("forgotten rows go, and older answers do not bring them back", () => {
  const store = new Store();
  store.apply([snapshot(1, { tasks: [task(5)], truncated: true })], 0);
  store.apply([event(2, { kind: "task_forgotten", task: "t3" }), event(3, { kind: "task_forgotten", task: "t5" })], 0);
  store.addOlder([task(2), task(3)]);
  assert.deepEqual(ids(store), ["t2"]);
});

test("an older answer does not undo what an event told", () => {
  const store = new Store();
  store.apply([snapshot(1, { tasks: [task(5)], truncated: true })], 0);
  store.apply([changed(2, task(2, "SUCCEEDED"))], 0);
  store.addOlder([task(1), task(2, "RUNNING")]);
  assert.equal(store.tasks.get("t2")?.state, "SUCCEEDED");
  assert.equal(store.ids.length, 3);
});

test("counts are those of the host until all rows are here, and of the rows then", () => {
  const store = new Store();
  const told = { ...snapshot(1, { tasks: [task(2)] }), truncated: true };
  told.counts.succeeded = 1;
  store.apply([told], 0);
  assert.equal(total(store.counts()), 2);
  store.apply([changed(2, task(3))], 0);
  assert.equal(store.counts().pending, 2);
  store.addOlder([task(1, "SUCCEEDED")]);
  store.finishOlder();
  assert.ok(store.isComplete);
  assert.equal(total(store.counts()), 3);
});

test("the oldest rows go where there are too many", () => {
  const store = new Store(3);
  store.apply([snapshot(1, { tasks: [task(1), task(2), task(3)] })], 0);
  store.apply([changed(2, task(4)), changed(3, task(5))], 0);
  assert.deepEqual(ids(store), ["t3", "t4", "t5"]);
  assert.ok(store.isCapped);
  assert.equal(total(store.counts()), 5);
});

test("counts of a job follow its rows", () => {
  const store = new Store();
  store.apply([snapshot(1, { jobs: [job(1, 2)], tasks: [task(1), task(2)] })], 0);
  store.apply([changed(2, task(1, "FAILED"))], 0);
  const { counts, isExact } = store.jobCounts(job(1, 2));
  assert.ok(isExact);
  assert.equal(counts.failed, 1);
  assert.equal(counts.pending, 1);
});

test("heartbeats, states and quarantine change a worker's row", () => {
  const store = new Store();
  store.apply([snapshot(1, { workers: [worker(1, { last_heartbeat_ms_ago: 400 })] })], 1000);
  assert.equal(store.heard.get("w1"), 600);
  store.apply([
    event(2, { kind: "measured", worker: "w1", measurements: { cpu_used: 0.5 } }),
    event(3, { kind: "worker_quarantined", worker: "w1", n_failures: 3, until: "2026-01-01T00:10:00Z" }),
  ], 2000);
  assert.equal(store.heard.get("w1"), 2000);
  assert.equal(store.workers.get("w1")?.measurements.cpu_used, 0.5);
  assert.equal(store.measured.get("w1")?.times.length, 1);
  store.apply([event(4, { kind: "worker_state", worker: "w1", state: "suspect" })], 3000);
  assert.equal(store.workers.get("w1")?.state, "suspect");
  assert.equal(store.heard.get("w1"), 2000);
  const changes = store.apply([event(5, { kind: "worker_forgotten", worker: "w1" })], 3000);
  assert.deepEqual([...changes.workers], ["w1"]);
  assert.equal(store.workers.size + store.measured.size, 0);
});

test("kinds of a later version are left alone", () => {
  const store = new Store();
  store.apply([snapshot(1)], 0);
  const unknown = { n: 2, at: "2026-01-01T00:00:00Z", kind: "of_the_future", task: "t1" };
  store.apply([unknown as never], 0);
  assert.equal(store.n, 2);
});

test("a filter is followed by change", () => {
  const store = new Store();
  store.apply([snapshot(1, { tasks: [task(1), task(2, "RUNNING")] })], 0);
  const list = new FilteredTasks({ ...NO_FILTER, states: ["RUNNING"] }, store.tasks);
  assert.equal(list.ids.length, 1);
  const changes = store.apply([changed(2, task(1, "RUNNING")), changed(3, task(2, "SUCCEEDED")), changed(4, task(3, "RUNNING"))], 0);
  list.follow(changes.tasks, store.tasks);
  assert.deepEqual([list.ids.fromTop(0), list.ids.fromTop(1)], [3, 1]);
  assert.equal(list.ids.length, 2);
});

test("a reason stays while the task waits, and goes when it starts", () => {
  const store = new Store();
  const reason = { code: "paused", text: "its queue is paused", starts_when: "" };
  store.apply([snapshot(1, { tasks: [task(1)] })], 0);
  store.addReasons([task(1, "PENDING", { reason })]);
  store.apply([changed(2, task(1, "PENDING", { priority: 5 }))], 0);
  assert.equal(store.tasks.get("t1")?.reason?.code, "paused");
  store.apply([changed(3, task(1, "RUNNING"))], 0);
  assert.equal(store.tasks.get("t1")?.reason, undefined);
});

test("a forecast replaces all that was foretold before, also of workers that it does not name", () => {
  const store = new Store();
  store.apply([snapshot(1, { workers: [worker(1), worker(2)] })], 0);
  const foretell = (n: number, workers: string[]) => event(n, {
    kind: "forecast", workers: workers.map((worker) => ({ worker, predicted: { horizon_ms: 5000, cpu_used: 0.5 } })),
  });
  const foretold = () => [...store.workers.values()].filter((it) => it.predicted !== undefined).map((it) => it.id);
  store.apply([foretell(2, ["w1", "w2"])], 0);
  assert.deepEqual(foretold(), ["w1", "w2"]);
  const changes = store.apply([foretell(3, ["w2", "w9"])], 0);
  assert.deepEqual(foretold(), ["w2"]);
  assert.deepEqual([...changes.workers].sort(), ["w1", "w2"]);
});

test("what a worker measured before stands in front of what events bring, for workers that are known", () => {
  const store = new Store();
  store.apply([snapshot(1, { workers: [worker(1)] })], 0);
  store.apply([event(2, { kind: "measured", worker: "w1", measurements: { cpu_used: 0.5 } })], 0);
  const row = { at: "2026-01-01T00:00:00.000Z", worker_name: "worker-1", measurements: { cpu_used: 0.25 } };
  const changes = store.addMeasured("w1", [row]);
  assert.deepEqual([...changes.workers], ["w1"]);
  assert.deepEqual(store.measured.get("w1")?.values[0], [0.25, 0.5]);
  assert.equal(store.addMeasured("w2", [row]).workers.size, 0);
  assert.equal(store.measured.has("w2"), false);
});
