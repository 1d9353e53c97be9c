// What changed and what went wrong, newest first; where work is held up, on top.

import { count } from "../core/format";
import { line, type Line } from "../core/news";
import { link, taskLink, workerLink } from "../core/route";
import type { PublicEvent } from "../core/wire";
import { replaceHash, store } from "../live";
import { askNews, news, newsProblem } from "../news";
import { Empty, Failed, Section } from "../parts/notes";
import { Time } from "../parts/times";
import { BottlenecksSection } from "./bottlenecks";

const KINDS: [kind: string, word: string][] = [
  ["alert", "alerts"], ["policy", "policies"], ["rescheduling", "rescheduling"], ["worker", "workers"],
  ["worker_state", "worker states"], ["worker_quarantined", "quarantine"], ["losses_held", "losses held"],
  ["queue", "queues"], ["config", "configuration"],
];

export function ActivityView({ query }: { query: URLSearchParams }) {
  const chosen = (query.get("kind") ?? "").split(",").filter(Boolean);
  const all = news.value;
  const shown = chosen.length === 0 ? all : all.filter((event) => chosen.includes(event.kind));
  const toggle = (kind: string) => {
    const kinds = chosen.includes(kind) ? chosen.filter((it) => it !== kind) : [...chosen, kind];
    replaceHash(link("activity", undefined, new URLSearchParams(kinds.length > 0 ? { kind: kinds.join(",") } : {})));
  };
  const counts = new Map<string, number>();
  for (const event of all) counts.set(event.kind, (counts.get(event.kind) ?? 0) + 1);
  return (
    <div class="view" data-testid="view-activity">
      <h1>Activity</h1>
      <BottlenecksSection />
      <Section title="What changed">
        <div class="states" role="group" aria-label="Kinds">
          <button type="button" aria-pressed={chosen.length === 0} onClick={() => replaceHash(link("activity"))}>
            <span>all</span> <b class="num">{count(all.length)}</b>
          </button>
          {KINDS.filter(([kind]) => counts.has(kind) || chosen.includes(kind)).map(([kind, word]) => (
            <button key={kind} type="button" aria-pressed={chosen.includes(kind)} onClick={() => toggle(kind)} data-testid={`kind-${kind}`}>
              <span>{word}</span> <b class="num">{count(counts.get(kind) ?? 0)}</b>
            </button>
          ))}
        </div>
        {newsProblem.value !== "" && <Failed what="What was before cannot be asked for" why={newsProblem.value} onRetry={() => void askNews()} />}
        {shown.length === 0
          ? <Empty><p>Nothing yet. Swaps of policies, changes of workers and queues, alerts and what the rescheduling policy does appear here.</p></Empty>
          : <ol class="activity">{shown.map((event) => <Entry key={event.n} event={event} />)}</ol>}
      </Section>
    </div>
  );
}

function Entry({ event }: { event: PublicEvent }) {
  const told = line(event, workerName);
  if (told === undefined) return null;
  const href = subject(told);
  return (
    <li class={told.isBad ? "is-bad" : undefined} data-testid="activity-entry" data-kind={event.kind}>
      <span class="num faint"><Time at={event.at} /></span>
      <span class="tag">{event.kind.replace(/_/g, " ")}</span>
      <span class="activity-text">{told.isBad && <span class="bad" title="needs a look">! </span>}{told.text}</span>
      {href && <a href={href}>{told.task ?? told.worker ?? told.queue ?? "policies"}</a>}
    </li>
  );
}

function workerName(id: string): string {
  const name = store.workers.get(id)?.name;
  return name === undefined ? id : `${name} (${id})`;
}

function subject(told: Line): string | undefined {
  if (told.task !== undefined) return taskLink(told.task);
  if (told.worker !== undefined) return workerLink(told.worker);
  if (told.queue !== undefined) return link("tasks", undefined, new URLSearchParams({ queue: told.queue }));
  return told.isPolicy ? link("policies") : undefined;
}
