import assert from "node:assert/strict";
import test from "node:test";
import { configure, forecast } from "./policy.js";

const soon = (...samples) => forecast(samples)[0];

test("newer samples count more, and gaps not at all", () => {
  assert.ok(Math.abs(soon(2, 2, 2) - 2) < 1e-9);
  assert.ok(soon(0, 0, 1) > soon(1, 0, 0));
  assert.ok(Math.abs(soon(NaN, 3, NaN) - 3) < 1e-9);
});

test("no input breaks it", () => {
  assert.equal(soon(NaN, NaN), 0);
  assert.ok(Number.isFinite(soon(1e300, 1e300, -1e300)));
});

test("a bad configuration is refused by key", () => {
  assert.throws(() => configure({ horizon_ms: 0 }), /^RangeError: horizon_ms: /);
  assert.throws(() => configure({ horizon: 1 }), /horizon: unknown key/);
});
