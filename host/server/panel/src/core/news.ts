// What happened, in words: one line per event that is news.

import { count, decimal, plural } from "./format";
import type { PublicEvent } from "./wire";

export const NEWS_MAX = 1000;

export interface Line {
  /** For the filter. */
  kind: string;
  isBad: boolean;
  text: string;
  task?: string;
  worker?: string;
  isPolicy?: boolean;
  queue?: string;
}

export type WorkerName = (id: string) => string;

export function line(event: PublicEvent, nameOf: WorkerName): Line | undefined {
  const base = { kind: event.kind, isBad: false };
  switch (event.kind) {
    case "policy":
      return { ...base, isPolicy: true, isBad: event.change !== "swapped", text: policyText(event) };
    case "config":
      return { ...base, isBad: !event.accepted, text: `configuration ${event.accepted ? "taken" : "refused"}${because(event.reason)}` };
    case "worker": {
      const { worker } = event;
      const out = worker.drained === true ? ", drained" : "";
      return { ...base, worker: worker.id, isBad: worker.state === "lost", text: `${worker.name} (${worker.id}) is ${worker.state}${out}` };
    }
    case "worker_state":
      // These come with the worker's row, which is a line of its own.
      if (event.state === "draining" || event.state === "lost") return undefined;
      return { ...base, worker: event.worker, isBad: event.state === "suspect", text: `${nameOf(event.worker)} ${stateText(event.state)}` };
    case "worker_quarantined":
      return {
        ...base, worker: event.worker, isBad: event.until !== undefined,
        text: event.until === undefined
          ? `${nameOf(event.worker)} gets work again`
          : `${nameOf(event.worker)} failed ${plural(event.n_failures, "attempt", "attempts")} one after the other and gets no work for now`,
      };
    case "losses_held":
      return { ...base, isBad: true, text: `${count(event.n_silent)} of ${plural(event.n_workers, "worker", "workers")} fell silent at once; none is given up for now` };
    case "queue":
      return { ...base, queue: event.queue.name, text: `queue ${event.queue.name} is ${event.queue.paused ? "paused" : "open"}` };
    case "rescheduling":
      return { ...base, task: event.task, text: `${event.action} ${event.task}: ${event.reason}; ${event.verdict}` };
    case "alert":
      return {
        ...base, worker: event.worker, isBad: event.raised,
        text: event.text || `${event.alert} ${event.raised ? "above" : "back below"} ${decimal(event.threshold)}: ${decimal(event.value)}`,
      };
    default:
      return undefined;
  }
}

function policyText(event: PublicEvent & { kind: "policy" }): string {
  const slot = event.slot ?? "policies";
  const { policy } = event;
  const name = policy === undefined ? "" : ` ${policy.name} ${policy.version} #${policy.generation}`;
  if (event.change === "swapped") return `${slot}: ${policy === undefined ? "another policy" : name.trim()} serves now${because(event.reason)}`;
  return `${slot}:${name} ${event.change}${because(event.reason)}`;
}

function stateText(state: string): string {
  const words: Record<string, string> = {
    live: "is heard again", suspect: "fell silent",
  };
  return words[state] ?? `is ${state}`;
}

function because(reason: string | undefined): string {
  return reason === undefined || reason === "" ? "" : `: ${reason}`;
}

/** Alerts that were raised and not taken back since; news come newest first. */
export function openAlerts(news: readonly PublicEvent[]): PublicEvent[] {
  const seen = new Set<string>();
  return news.filter((event) => {
    if (event.kind !== "alert") return false;
    const about = `${event.alert} ${event.worker ?? ""}`;
    const isNewest = !seen.has(about);
    seen.add(about);
    return isNewest && event.raised;
  });
}

/** Newest first, each number once, so many at most. */
export function mergeNews(known: readonly PublicEvent[], more: readonly PublicEvent[]): PublicEvent[] {
  const byNumber = new Map([...known, ...more].map((event) => [event.n, event]));
  return [...byNumber.values()].sort((a, b) => b.n - a.n).slice(0, NEWS_MAX);
}
