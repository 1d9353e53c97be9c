import assert from "node:assert/strict";
import { test } from "node:test";
import { columns, curve, depths, type Node } from "../src/core/columns";
import { bars, extent, lanesByTask, lanesByWorker, ticks } from "../src/core/gantt";
import { JobTasks } from "../src/core/job_tasks";
import { layered } from "../src/core/layered";
import { attempt, task } from "./made";

const SIZE = { width: 100, height: 20, gapX: 40, gapY: 10 };
const DIAMOND: Node[] = [
  { id: "a", before: [] }, { id: "b", before: ["a"] }, { id: "c", before: ["b"] }, { id: "d", before: ["a", "c"] },
];

test("depth is the longest way", () => {
  assert.deepEqual([...depths(DIAMOND)], [["a", 0], ["b", 1], ["c", 2], ["d", 3]]);
});

test("unknown dependencies and circles do no harm", () => {
  const nodes: Node[] = [{ id: "a", before: ["gone", "b"] }, { id: "b", before: ["a"] }, { id: "c", before: [] }];
  assert.equal(depths(nodes).size, 3);
  assert.equal(columns(nodes, SIZE).at.size, 3);
});

for (const [name, layout] of [["columns", columns], ["layered", layered]] as const) {
  test(`${name}: nodes go from left to right and none lies on another`, () => {
    const nodes: Node[] = Array.from({ length: 60 }, (_, i) => ({
      id: `t${i}`, before: i < 6 ? [] : [...new Set([`t${i - 6}`, `t${Math.floor(i / 2)}`])],
    }));
    const { at, edges, width, height } = layout(nodes, SIZE);
    for (const node of nodes) {
      for (const before of node.before) assert.ok((at.get(before)?.x ?? 0) < (at.get(node.id)?.x ?? 0));
    }
    const places = [...at.values()];
    for (const [i, a] of places.entries()) {
      assert.ok(a.x >= 0 && a.x <= width && a.y >= 0 && a.y <= height);
      for (const b of places.slice(i + 1)) {
        assert.ok(Math.abs(a.x - b.x) >= SIZE.width || Math.abs(a.y - b.y) >= SIZE.height);
      }
    }
    assert.equal(edges.length, nodes.reduce((sum, it) => sum + it.before.length, 0));
  });
}

test("three thousand nodes are placed quickly", () => {
  const nodes: Node[] = Array.from({ length: 3000 }, (_, i) => ({ id: `t${i}`, before: i === 0 ? [] : [`t${i - 1}`] }));
  const started = performance.now();
  assert.equal(columns(nodes, SIZE).at.size, 3000);
  assert.ok(performance.now() - started < 1000);
});

test("a curve begins and ends at its points", () => {
  assert.equal(curve([{ x: 0, y: 1 }, { x: 10, y: 5 }]), "M0.0 1.0C5.0 1.0 5.0 5.0 10.0 5.0");
});

const at = (s: number) => new Date(Date.UTC(2026, 0, 1) + s * 1000).toISOString();
const START = Date.UTC(2026, 0, 1);

test("all attempts are bars, lost ones too, and those that never started", () => {
  const tasks = [
    task(1, "RUNNING", { attempts: [
      attempt(1, { assigned: at(0), started: at(1), ended: at(3), outcome: { kind: "worker_lost" } }),
      attempt(2, { assigned: at(5), started: at(6), worker: "w2" }),
    ] }),
    task(2, "FAILED", { attempts: [attempt(1, { assigned: at(2), ended: at(4), outcome: { kind: "start_failed" } })] }),
    task(3),
  ];
  const all = bars(tasks);
  assert.deepEqual(all.map((bar) => bar.kind), ["worker_lost", "start_failed", "running"]);
  assert.deepEqual(lanesByTask(all).map((lane) => lane.bars.length), [2, 1]);
  const now = START + 10_000;
  assert.deepEqual(extent(all, now), { from: START, to: now });
  assert.deepEqual(extent(all, now, START + 20_000)?.to, START + 20_000);
  assert.equal(extent([], now), undefined);
  // The second begins on w1 while the first runs there.
  assert.deepEqual(lanesByWorker(all, now).map((lane) => lane.id), ["w1/0", "w1/1", "w2/0"]);
});

test("the axis has round marks, not too many", () => {
  assert.deepEqual(ticks({ from: 0, to: 20_000 }, 5), [0, 5000, 10_000, 15_000, 20_000]);
  assert.ok(ticks({ from: 0, to: 40 * 86_400_000 }, 6).length <= 7);
});

test("attempts of a job are kept though events bring the last one only", () => {
  const known = new JobTasks("j1");
  known.addAsked([task(1, "RUNNING", { attempts: [attempt(1), attempt(2)] })]);
  const row = task(1, "RUNNING", { attempts: [attempt(3)] });
  assert.ok(known.follow(["t1", "t9"], new Map([["t1", row], ["t9", task(9, "PENDING", { job: "j2" })]])));
  assert.deepEqual(known.tasks.get("t1")?.attempts?.map((it) => it.number), [1, 2, 3]);
  assert.equal(known.tasks.size, 1);
  assert.ok(known.follow(["t1"], new Map()));
  assert.equal(known.tasks.size, 0);
});

test("an answer that is older than an event fills in the attempts only", () => {
  const known = new JobTasks("j1");
  known.follow(["t1"], new Map([["t1", task(1, "SUCCEEDED", { attempts: [attempt(2, { ended: at(9) })] })]]));
  known.addAsked([task(1, "RUNNING", { attempts: [attempt(1), attempt(2)] })]);
  const it = known.tasks.get("t1");
  assert.equal(it?.state, "SUCCEEDED");
  assert.deepEqual(it?.attempts?.map((one) => [one.number, one.ended !== undefined]), [[1, false], [2, true]]);
});
