import assert from "node:assert/strict";
import test from "node:test";
import { rank } from "./policy.js";

const ranked = (submitted_ms, priority) => rank(1e6, { submitted_ms, priority });

test("the more urgent and the earlier go first", () => {
  assert.ok(ranked(1000, 0) < ranked(2000, 0));
  assert.ok(ranked(2000, 1) < ranked(1000, 0));
});
