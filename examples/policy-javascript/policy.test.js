import assert from "node:assert/strict";
import test from "node:test";
import { review } from "./policy.js";

const reviewed = (elapsed_ms, expected_ms = 1000) =>
  review(0, { elapsed_ms, expected_ms, attempt: 1 }, { running: 2 });

test("a late task is moved and one in time is not", () => {
  assert.equal(reviewed(10_000).action, "migrate");
  assert.equal(reviewed(900), null);
});

test("what is not known moves nothing", () => {
  assert.equal(reviewed(1e9, NaN), null);
  assert.equal(review(0, { elapsed_ms: NaN, expected_ms: NaN, attempt: 1 }, null), null);
});
