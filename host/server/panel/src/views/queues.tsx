// The queues, with what waits in each; pausing and resuming.

import { useEffect } from "preact/hooks";
import { get, send } from "../api";
import { count } from "../core/format";
import { link } from "../core/route";
import type { Queue } from "../core/wire";
import { announce, epoch, linkState, queuesTick, store } from "../live";
import { Action } from "../parts/action";
import { Section } from "../parts/notes";

const REFRESH_MS = 3000;

export function Queues() {
  void queuesTick.value;
  const current = epoch.value;
  useEffect(() => {
    const ask = async () => {
      if (linkState.value.state !== "live" || document.hidden) return;
      announce(store.refreshQueues(await get<Queue[]>("/v1/queues")));
    };
    const timer = setInterval(() => void ask().catch(() => undefined), REFRESH_MS);
    void ask().catch(() => undefined);
    return () => clearInterval(timer);
  }, [current]);
  const queues = [...store.queues.values()].sort((a, b) => a.name.localeCompare(b.name));
  return (
    <Section title="Queues">
      <table class="plain queues-table">
        <thead><tr><th>Queue</th><th class="right">Waiting</th><th class="right">Placed</th><th class="right">Limit</th><th>Order</th><th>State</th><th><span class="hidden">Action</span></th></tr></thead>
        <tbody>{queues.map((queue) => <QueueRow key={queue.name} queue={queue} />)}</tbody>
      </table>
    </Section>
  );
}

function QueueRow({ queue }: { queue: Queue }) {
  const path = `/v1/queues/${encodeURIComponent(queue.name)}`;
  const tasks = link("tasks", undefined, new URLSearchParams({ queue: queue.name }));
  return (
    <tr data-testid="queue-row">
      <td class="cell-name"><a href={tasks}>{queue.name}</a></td>
      <td class="num right" data-label="waiting">{count(queue.pending)}</td>
      <td class="num right" data-label="placed">{count(queue.placed)}</td>
      <td class="num right" data-label="limit">{queue.limit === undefined ? "–" : count(queue.limit)}</td>
      <td data-label="order">{queue.discipline ?? "as the policy says"}</td>
      <td>{queue.paused ? <span class="tag is-warn">paused</span> : "open"}</td>
      <td class="right">
        {queue.paused
          ? <Action label="Resume" describedAs={`Resume ${queue.name}`} onDo={() => send("POST", `${path}/resume`)} />
          : <Action label="Pause" describedAs={`Pause ${queue.name}`} question="Start nothing from it?" onDo={() => send("POST", `${path}/pause`)} />}
      </td>
    </tr>
  );
}
