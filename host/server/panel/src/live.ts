// The one store and the one connection of the page. What comes in is applied once per frame, and told to
// whoever follows; components read signals that count up.

import { batch, signal, type Signal } from "@preact/signals";
import { get, isRefused, openStream, whenRefused } from "./api";
import { fetchOlder } from "./core/backfill";
import { Connection, type Link } from "./core/connection";
import { readRoute, type Route } from "./core/route";
import { Store, type Changes } from "./core/store";
import type { Counts, Job, Message, Page, Task } from "./core/wire";

export const store = new Store();

export const linkState: Signal<Link> = signal({ state: "connecting" });
/** Counted up with each snapshot: whatever was asked for before is to be asked for again. */
export const epoch = signal(0);
export const isLoaded = signal(false);
export const tasksTick = signal(0);
export const jobsTick = signal(0);
export const workersTick = signal(0);
export const queuesTick = signal(0);
export const policiesTick = signal(0);
/** Once a second, for ages. */
export const secondTick = signal(Date.now());
export const route: Signal<Route> = signal(readRoute(location.hash));
export const problemOfOlder = signal("");

type Follower = (changes: Changes) => void;
const followers = new Set<Follower>();

/** Tells every batch of changes; gives what ends that. */
export function followChanges(follower: Follower): () => void {
  followers.add(follower);
  return () => void followers.delete(follower);
}

/** The local time of what is shown: it stands still while the host is not heard. */
export function shownNow(): number {
  const link = linkState.value;
  return link.state === "lost" ? link.since : Date.now();
}

/** The same by the host's clock, as far as its last snapshot told it. */
let clockOffset = 0;
export function hostNow(): number {
  return shownNow() + clockOffset;
}

let queued: Message[] = [];
let isFrameAsked = false;
/** Frames do not come while the page is hidden. */
const HIDDEN_MS = 250;

function take(messages: Message[]): void {
  queued.push(...messages);
  if (isFrameAsked) return;
  isFrameAsked = true;
  if (document.hidden) setTimeout(applyQueued, HIDDEN_MS);
  else requestAnimationFrame(applyQueued);
}

function applyQueued(): void {
  isFrameAsked = false;
  const messages = queued;
  queued = [];
  const changes = store.apply(messages, Date.now());
  if (changes.replaced) clockOffset = Date.parse(store.at) - Date.now();
  announce(changes);
  if (changes.replaced) startAnew();
}

export function announce(changes: Changes): void {
  const up = (tick: Signal<number>, has: boolean) => {
    if (has) tick.value += 1;
  };
  batch(() => {
    up(tasksTick, changes.replaced || changes.tasks.size > 0);
    up(jobsTick, changes.replaced || changes.jobs.size > 0);
    up(workersTick, changes.replaced || changes.workers.size > 0);
    up(queuesTick, changes.queues);
    up(policiesTick, changes.policies);
    if (changes.replaced) {
      epoch.value += 1;
      isLoaded.value = true;
    }
    followers.forEach((follower) => follower(changes));
  });
}

function startAnew(): void {
  problemOfOlder.value = "";
  if (!store.isComplete) void fillUp(epoch.value);
}

const AGAIN_MS = 5_000;

async function fillUp(current: number): Promise<void> {
  const lists = {
    tasks: (after: number, limit: number) => get<Page<Task>>(`/v1/tasks?limit=${limit}&cursor=t${after}`),
    jobs: (after: number, limit: number) => get<Page<Job>>(`/v1/jobs?limit=${limit}&cursor=j${after}`),
  };
  while (epoch.value === current) {
    try {
      await fetchOlder(store, lists, () => epoch.value === current, announce);
      problemOfOlder.value = "";
      tasksTick.value += 1;
      return;
    } catch (error) {
      if (epoch.value === current) problemOfOlder.value = (error as Error).message;
    }
    await new Promise((done) => setTimeout(done, AGAIN_MS));
  }
}

/** Where not all tasks are here, the host counts them. */
const COUNTS_MS = 5_000;

async function askCounts(): Promise<void> {
  if (store.isComplete || linkState.value.state !== "live" || document.hidden) return;
  const status = await get<{ counts: Counts }>("/v1/status?limit=1");
  store.setCounts(status.counts);
  tasksTick.value += 1;
}

export const connection = new Connection({
  open: openStream,
  isRefused,
  now: () => Date.now(),
  random: () => Math.random(),
  setTimer: (call, ms) => window.setTimeout(call, ms),
  clearTimer: (timer) => window.clearTimeout(timer),
  lastSeen: () => queued.at(-1)?.n ?? store.n,
  onLink: (link) => {
    if (link.state !== "live" || linkState.value.state !== "live") linkState.value = link;
  },
  onMessages: take,
});

export function start(): void {
  whenRefused(() => {
    if (linkState.value.state !== "refused") linkState.value = { state: "refused" };
  });
  connection.connectNow();
  window.addEventListener("online", () => connection.connectNow());
  window.addEventListener("offline", () => connection.noteOffline());
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    connection.connectNow();
    if (queued.length > 0) applyQueued();
  });
  window.addEventListener("hashchange", () => (route.value = readRoute(location.hash)));
  window.setInterval(() => (secondTick.value = Date.now()), 1000);
  // A failure shows in the connection's state; the next one asks again.
  window.setInterval(() => void askCounts().catch(() => undefined), COUNTS_MS);
}

/** Another address for the same view, without a step in the history. */
export function replaceHash(hash: string): void {
  history.replaceState(null, "", hash);
  route.value = readRoute(hash);
}
