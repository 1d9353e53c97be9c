import assert from "node:assert/strict";
import { test } from "node:test";
import { LogText, KEPT_CHARS } from "../src/core/log_tail";
import { logText, sharedPrefix, shorten, visible } from "../src/core/text";

test("what hides or turns text is shown by number", () => {
  const check = (text: string, expected: string) => assert.equal(visible(text), expected);
  check("plain Ünïcode 日本 🚂", "plain Ünïcode 日本 🚂");
  check("a\u202Eb", "a\\u{202e}b");
  check("\u001B[31mred", "\\u{1b}[31mred");
  check("\u0000\u007F\u0085", "\\u{0}\\u{7f}\\u{85}");
  check("\u2066x\u2069\uFEFF\u200B", "\\u{2066}x\\u{2069}\\u{feff}\\u{200b}");
  check("tab\tand\nline", "tab\tand\nline");
  check("<img src=x onerror=alert(1)>", "<img src=x onerror=alert(1)>");
});

test("names keep both ends", () => {
  assert.equal(shorten("abc", 3), "abc");
  assert.equal(shorten("abcdefghij", 6), "ab…hij");
  assert.equal([...shorten("🚂".repeat(30), 9)].length, 9);
});

test("what names share is found up to a separator", () => {
  assert.equal(sharedPrefix(["A.B.one", "A.B.two"]), "A.B.");
  assert.equal(sharedPrefix(["task-10", "task-11"]), "task-");
  assert.equal(sharedPrefix(["one", "two"]), "");
  assert.equal(sharedPrefix(["alone"]), "");
});

test("logs lose colours and keep lines", () => {
  assert.equal(logText("\u001B[1;31mred\u001B[0m\r\n10 %\r20 %\r\n"), "red\n10 %\n20 %\n");
});

test("a log is decoded across pieces, and its begin goes when it is long", () => {
  const bytes = new TextEncoder().encode("grün");
  const log = new LogText();
  const piece = (from: number, to: number, isComplete: boolean) =>
    ({ bytes: bytes.slice(from, to), offset: to, isComplete, isTruncated: false });
  log.add(piece(0, 3, false));
  log.add(piece(3, 5, true));
  assert.equal(log.shown(), "grün");
  assert.ok(log.isComplete);
  const long = new LogText();
  for (let i = 0; i < 6; i++) {
    long.add({ bytes: new TextEncoder().encode(`${"x".repeat(99)}\n`.repeat(1000)), offset: (i + 1) * 100_000, isComplete: false, isTruncated: false });
  }
  assert.ok(long.text.length <= KEPT_CHARS);
  assert.ok(long.isCut);
  assert.equal(long.offset, 600_000);
});
