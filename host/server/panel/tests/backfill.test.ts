import assert from "node:assert/strict";
import { test } from "node:test";
import { fetchOlder, type Lists } from "../src/core/backfill";
import { idNumber } from "../src/core/sorted";
import { Store } from "../src/core/store";
import type { Task } from "../src/core/wire";
import { changed, snapshot, task } from "./made";

/** Lists as the host has them: in ascending order, after a cursor. */
function hostOf(tasks: Task[], onAsk: () => void = () => undefined): Lists {
  return {
    tasks: async (after, limit) => {
      onAsk();
      const found = tasks.filter((it) => idNumber(it.id) > after);
      const items = found.slice(0, limit);
      return found.length > limit ? { items, next_cursor: items[items.length - 1].id } : { items };
    },
    jobs: async () => ({ items: [] }),
  };
}

function truncated(tasks: Task[]): Store {
  const store = new Store();
  store.apply([snapshot(1, { tasks: tasks.slice(-1000), truncated: true })], 0);
  return store;
}

test("every older task arrives, the newest first", async () => {
  const all = Array.from({ length: 4500 }, (_, i) => task(i + 1));
  const store = truncated(all);
  const tops: number[] = [];
  await fetchOlder(store, hostOf(all), () => true, (changes) => tops.push(Math.max(0, ...[...changes.tasks].map(idNumber))));
  assert.equal(store.ids.length, 4500);
  assert.ok(store.isComplete);
  assert.deepEqual(tops.filter((it) => it > 0), [3500, 2500, 1500, 500]);
});

test("an event that tells of an old task leaves no gap above it", async () => {
  const all = Array.from({ length: 4500 }, (_, i) => task(i + 1));
  const store = new Store();
  store.apply([snapshot(1, { tasks: all.slice(-1000), truncated: true }), changed(2, task(7, "FAILED"))], 0);
  await fetchOlder(store, hostOf(all), () => true, () => undefined);
  assert.equal(store.ids.length, 4500);
  assert.equal(store.tasks.get("t7")?.state, "FAILED");
});

test("gaps are crossed in growing steps", async () => {
  const all = [task(3), ...Array.from({ length: 1000 }, (_, i) => task(900_000 + i))];
  const store = truncated(all);
  let nAsked = 0;
  await fetchOlder(store, hostOf(all, () => (nAsked += 1)), () => true, () => undefined);
  assert.ok(store.tasks.has("t3"));
  assert.ok(nAsked < 12, `${nAsked} requests`);
});

test("another snapshot ends it", async () => {
  const all = Array.from({ length: 4500 }, (_, i) => task(i + 1));
  const store = truncated(all);
  let nAsked = 0;
  await fetchOlder(store, hostOf(all, () => (nAsked += 1)), () => nAsked < 2, () => undefined);
  assert.equal(nAsked, 2);
  assert.ok(!store.isComplete);
});

test("it ends where there is no room for more", async () => {
  const all = Array.from({ length: 4500 }, (_, i) => task(i + 1));
  const store = new Store(2000);
  store.apply([snapshot(1, { tasks: all.slice(-1000), truncated: true })], 0);
  await fetchOlder(store, hostOf(all), () => true, () => undefined);
  assert.ok(store.isCapped);
  assert.ok(!store.isComplete);
  assert.equal(store.ids.length, 2000);
});
