import assert from "node:assert/strict";
import test from "node:test";
import { configure, score } from "./policy.js";

const scored = (load, rtt_ms) => score({}, { cpu_load: load, memory_load: load, rtt_ms });

test("an idle near worker is best and a full far one worst", () => {
  assert.equal(scored(0, 0), 1);
  assert.equal(scored(1, 1000), 0);
  assert.ok(scored(0.2, 10) > scored(0.8, 10));
});

test("no input breaks it", () => {
  const values = [NaN, 0, -1, 0.5, 1e300];
  for (const load of values) {
    for (const rtt_ms of values) {
      const value = scored(load, rtt_ms);
      assert.ok(value >= 0 && value <= 1, `${load} ${rtt_ms}: ${value}`);
    }
  }
});

test("a bad configuration is refused by key", () => {
  assert.throws(() => configure({ far_ms: 0 }), /^RangeError: far_ms: /);
  assert.throws(() => configure({ fra_ms: 1 }), /fra_ms: unknown key/);
});
