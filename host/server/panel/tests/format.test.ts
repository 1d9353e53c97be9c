import assert from "node:assert/strict";
import { test } from "node:test";
import { bytes, clockInFull, cores, count, decimal, duration, micros, percent, span } from "../src/core/format";

test("durations have two units at most", () => {
  const check = (ms: number | undefined, expected: string) => assert.equal(duration(ms), expected);
  check(undefined, "–");
  check(0, "0 s");
  check(0.3, "< 1 ms");
  check(340, "340 ms");
  check(1500, "1.5 s");
  check(9_949, "9.9 s");
  check(63_000, "1 min 3 s");
  check(60_000, "1 min");
  check(7_500_000, "2 h 5 min");
  check(90_000_000, "1 d 1 h");
  check(-1500, "−1.5 s");
  check(Infinity, "–");
});

test("what ticks has whole seconds", () => {
  assert.equal(span(1999), "1 s");
  assert.equal(span(-5), "0 s");
  assert.equal(span(NaN), "–");
  assert.equal(span(61_000), "1 min 1 s");
});

test("amounts", () => {
  assert.equal(bytes(12_638_255_104), "13 GB");
  assert.equal(bytes(1_500), "1.5 kB");
  assert.equal(bytes(999), "999 B");
  assert.equal(cores(0.5), "0.5");
  assert.equal(cores(2), "2");
  assert.equal(percent(0.256), "26 %");
  assert.equal(percent(undefined), "–");
  assert.equal(count(1_234_567), "1\u202F234\u202F567");
  assert.equal(count(999), "999");
  assert.equal(micros(23.17), "23 µs");
  assert.equal(micros(1048.576), "1 ms");
  assert.equal(decimal(0.64481), "0.645");
  assert.equal(decimal(-0.25), "−0.250");
  assert.equal(decimal(1234.5), "1234.5");
});

test("a time that is none does no harm", () => {
  assert.equal(clockInFull(new Date("never")), "unknown");
  assert.equal(duration(Date.parse("never")), "–");
});

test("the tooltip of a time tells its offset and UTC", () => {
  const text = clockInFull(new Date("2026-05-04T03:02:01.005Z"));
  assert.match(text, /^2026-05-0[34] \d\d:\d\d:01\.005 UTC[+−]\d\d:\d\d \(2026-05-04T03:02:01\.005Z\)$/);
});
