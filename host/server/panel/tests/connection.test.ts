import assert from "node:assert/strict";
import { test } from "node:test";
import { Connection, type Link, type Socket } from "../src/core/connection";
import type { Message } from "../src/core/wire";
import { changed, snapshot, task } from "./made";

class FakeSocket implements Socket {
  onopen: Socket["onopen"] = null;
  onmessage: Socket["onmessage"] = null;
  onclose: Socket["onclose"] = null;
  onerror: Socket["onerror"] = null;
  isClosed = false;

  constructor(readonly after: number) {}

  say(messages: unknown): void {
    const data = typeof messages === "string" ? messages : JSON.stringify(messages);
    this.onmessage?.({ data } as MessageEvent);
  }

  end(code: number, reason = ""): void {
    this.onclose?.({ code, reason } as CloseEvent);
  }

  close(): void {
    this.isClosed = true;
  }
}

/** A world whose time is moved by hand. */
class World {
  now = 0;
  lastSeen = 0;
  isRefused = false;
  readonly sockets: FakeSocket[] = [];
  readonly links: Link[] = [];
  readonly received: Message[] = [];
  private timers = new Map<number, { at: number; call: () => void }>();
  private nTimers = 0;
  readonly connection = new Connection({
    open: (after) => {
      this.sockets.push(new FakeSocket(after));
      return this.socket;
    },
    isRefused: async () => this.isRefused,
    now: () => this.now,
    random: () => 1,
    setTimer: (call, ms) => {
      this.timers.set(++this.nTimers, { at: this.now + ms, call });
      return this.nTimers;
    },
    clearTimer: (timer) => void this.timers.delete(timer),
    lastSeen: () => this.lastSeen,
    onLink: (link) => this.links.push(link),
    onMessages: (messages) => {
      this.received.push(...messages);
      this.lastSeen = messages[messages.length - 1].n;
    },
  });

  get socket(): FakeSocket {
    return this.sockets[this.sockets.length - 1];
  }

  get link(): Link {
    return this.links[this.links.length - 1];
  }

  pass(ms: number): void {
    const until = this.now + ms;
    for (;;) {
      const due = [...this.timers].filter(([, it]) => it.at <= until).sort(([, a], [, b]) => a.at - b.at)[0];
      if (due === undefined) break;
      this.timers.delete(due[0]);
      this.now = due[1].at;
      due[1].call();
    }
    this.now = until;
  }

  begin(): void {
    this.connection.connectNow();
    this.socket.say([snapshot(5)]);
  }
}

test("it is live with the first frame, an empty one too", () => {
  const world = new World();
  world.connection.connectNow();
  assert.equal(world.link.state, "connecting");
  world.socket.say([]);
  assert.equal(world.link.state, "live");
});

test("silence is a loss, a frame in time is not", () => {
  const world = new World();
  world.begin();
  world.pass(11_000);
  world.socket.say([]);
  world.pass(11_000);
  assert.equal(world.link.state, "live");
  world.pass(1_100);
  assert.equal(world.link.state, "lost");
  assert.ok(world.sockets[0].isClosed);
});

test("a close is a loss at once, and the next connection resumes by number", () => {
  const world = new World();
  world.begin();
  world.socket.say([changed(6, task(1)), changed(9, task(1))]);
  world.socket.end(1006);
  assert.equal(world.link.state, "lost");
  world.pass(500);
  assert.equal(world.sockets.length, 2);
  assert.equal(world.socket.after, 9);
});

test("waits grow to ten seconds and begin anew after a success", () => {
  const world = new World();
  world.begin();
  const waits: number[] = [];
  for (let i = 0; i < 7; i++) {
    world.socket.end(1006);
    const link = world.link;
    assert.ok(link.state === "lost");
    waits.push(link.retryAt - world.now);
    world.pass(link.retryAt - world.now);
  }
  assert.deepEqual(waits, [500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
  world.socket.say([]);
  world.socket.end(1006);
  const link = world.link;
  assert.ok(link.state === "lost" && link.retryAt - world.now === 500);
});

test("since when it is lost does not move with each attempt", () => {
  const world = new World();
  world.begin();
  world.pass(1000);
  world.socket.end(1006);
  world.pass(600);
  world.socket.end(1006);
  const link = world.link;
  assert.ok(link.state === "lost" && link.since === 1000);
});

test("what an earlier socket still says changes nothing", () => {
  const world = new World();
  world.begin();
  const first = world.socket;
  const say = first.onmessage;
  first.end(1006);
  world.pass(500);
  say?.({ data: JSON.stringify([changed(99, task(1))]) } as MessageEvent);
  assert.equal(world.received.length, 1);
});

test("a refused token ends the attempts until there is another one", async () => {
  const world = new World();
  world.connection.connectNow();
  world.socket.end(1008);
  assert.equal(world.link.state, "refused");
  world.pass(60_000);
  assert.equal(world.sockets.length, 1);
  world.connection.reconnect();
  world.socket.say([snapshot(1)]);
  assert.equal(world.link.state, "live");
});

test("a handshake that fails for its token is found out by asking", async () => {
  const world = new World();
  world.isRefused = true;
  world.connection.connectNow();
  world.socket.end(1006);
  await Promise.resolve();
  await Promise.resolve();
  assert.equal(world.link.state, "refused");
});

test("the network's return does not wait for the timer", () => {
  const world = new World();
  world.begin();
  world.connection.noteOffline();
  assert.equal(world.link.state, "lost");
  world.connection.connectNow();
  assert.equal(world.sockets.length, 2);
  world.socket.say([]);
  world.pass(11_000);
  assert.equal(world.sockets.length, 2);
});

test("frames that are no JSON are a loss", () => {
  const world = new World();
  world.begin();
  world.socket.say("{");
  assert.equal(world.link.state, "lost");
});
