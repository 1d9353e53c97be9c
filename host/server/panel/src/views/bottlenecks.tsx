// Where work is held up now: busy workers, and the stages that take longer than they may.

import { duration, percent, plural } from "../core/format";
import { taskLink } from "../core/route";
import type { Bottlenecks } from "../core/wire";
import { useAsked } from "../parts/asked";
import { EndsKept } from "../parts/ends_kept";
import { TaskLink, WorkerLink } from "../parts/links";
import { Failed, Section } from "../parts/notes";

const REFRESH_MS = 5000;
const NAMED_MAX = 3;
const STAGES: Record<string, string> = {
  queue_wait: "waiting in queue", dispatch: "from placing to start", run: "running",
};

export function BottlenecksSection() {
  const asked = useAsked<Bottlenecks>("/v1/bottlenecks", { gap: 1000, every: REFRESH_MS });
  const it = asked.value;
  if (asked.isMissing || asked.isLoading) return null;
  if (it === undefined) return <Section title="Bottlenecks"><Failed what="They cannot be asked for" why={asked.error ?? ""} onRetry={asked.refresh} /></Section>;
  const isCalm = it.workers.length === 0 && it.stages.every((stage) => !stage.exceeded);
  return (
    <Section title={`Bottlenecks in the last ${duration(it.window_ms)}`} testid="bottlenecks">
      {isCalm && <p class="faint">None: no worker is at its limit, and no stage takes longer than it may.</p>}
      {it.workers.length > 0 && (
        <ul class="busy">
          {it.workers.map((worker) => (
            <li key={worker.worker} class="list">
              <WorkerLink id={worker.worker} name={worker.worker_name} />
              <span class="bad">! cpu at {percent(worker.cpu)}, above {percent(worker.threshold)}</span>
              {worker.tasks.length > 0 && <span class="list"><span>with</span> {worker.tasks.slice(0, NAMED_MAX).map((task) => <TaskLink key={task.id} id={task.id} name={task.name} />)}</span>}
            </li>
          ))}
        </ul>
      )}
      <table class="plain stages-table">
        <thead><tr><th>Stage</th><th class="right">Tasks</th><th class="right">p50</th><th class="right">p99</th><th class="right">May take</th><th>Longest</th><th>Where</th></tr></thead>
        <tbody>{it.stages.map((stage) => <StageRow key={stage.stage} stage={stage} />)}</tbody>
      </table>
    </Section>
  );
}

function StageRow({ stage }: { stage: Bottlenecks["stages"][number] }) {
  return (
    <tr class={stage.exceeded ? "is-exceeded" : undefined}>
      <td class="num">{STAGES[stage.stage] ?? stage.stage}</td>
      <td class="num right" data-label="tasks">{stage.n}</td>
      <td class="num right" data-label="p50">{stage.n === 0 ? "–" : duration(stage.p50_ms)}</td>
      <td class="num right" data-label="p99">{stage.exceeded && <span class="bad">! </span>}{stage.n === 0 ? "–" : duration(stage.p99_ms)}</td>
      <td class="num right" data-label="may take">{duration(stage.threshold_ms)}</td>
      <td class="cell-slow">
        {stage.tasks.slice(0, NAMED_MAX).map((task) => (
          <div key={task.id} class="slow">
            <a href={taskLink(task.id)} title={task.name}><EndsKept text={`${task.id} ${task.name}`} /></a>
            <span class="num">{duration(task.ms)}</span>
          </div>
        ))}
      </td>
      <td>
        <span class="list">
          {stage.workers.slice(0, NAMED_MAX).map((it) => (
            <span key={it.worker}><WorkerLink id={it.worker} name={it.worker_name} /> <span class="num">{plural(it.n, "task", "tasks")} above</span></span>
          ))}
        </span>
      </td>
    </tr>
  );
}
