// One task: what it is, how it went, why it waits or was put where it is, and its output.

import { useEffect, useRef, useState } from "preact/hooks";
import { send } from "../api";
import { bytes, cores, decimal, duration } from "../core/format";
import { taskLink } from "../core/route";
import type { Attempt, Explanation, Outcome, Task } from "../core/wire";
import { followChanges } from "../live";
import { Action } from "../parts/action";
import { useAsked } from "../parts/asked";
import { JobLink, TaskLink, WorkerLink } from "../parts/links";
import { StateMark } from "../parts/marks";
import { Facts, Failed, NotShown, Section, Waiting } from "../parts/notes";
import { DecidedBy } from "../parts/terms";
import { Time, Took, Until } from "../parts/times";
import { Explain } from "./explain";
import { FeedbackCharts } from "./feedback";
import { LogTail } from "./log";

const EXPLAIN_MS = 3000;

export function TaskView({ id }: { id: string }) {
  const path = `/v1/tasks/${encodeURIComponent(id)}`;
  const asked = useAsked<Task>(path, { gap: 500 });
  const task = asked.value;
  const explained = useAsked<Explanation>(`${path}/explain`, {
    gap: 1000, every: task?.state === "PENDING" ? EXPLAIN_MS : undefined,
  });
  useTaskNews(id, () => {
    asked.refresh();
    explained.refresh();
  });
  if (asked.isLoading) return <div class="view" data-testid="view-task"><Waiting what={`task ${id}`} /></div>;
  if (task === undefined) {
    return (
      <div class="view" data-testid="view-task">
        <NotShown what="task" id={id} isMissing={asked.isMissing} why={asked.error} onRetry={asked.refresh} />
      </div>
    );
  }
  return (
    <div class="view" data-testid="view-task">
      <TaskHead task={task} />
      {asked.error !== undefined && <Failed what="This is as it was" why={asked.error} onRetry={asked.refresh} />}
      <TaskFacts task={task} />
      <Explain task={task} explained={explained} />
      <Attempts task={task} />
      <FeedbackCharts task={task} />
      <LogTail key={task.id} task={task} />
      <Specification task={task} />
    </div>
  );
}

/** What changes in a row, but for what is measured of it, which comes often. */
function useTaskNews(id: string, onNews: () => void): void {
  const call = useRef(onNews);
  call.current = onNews;
  useEffect(() => followChanges((changes) => {
    const isOnlyFeedback = changes.feedback.some((it) => it.task === id);
    if (changes.tasks.has(id) && !isOnlyFeedback) call.current();
  }), [id]);
}

function TaskHead({ task }: { task: Task }) {
  const path = `/v1/tasks/${encodeURIComponent(task.id)}`;
  const isOpen = ["PENDING", "ASSIGNED", "RUNNING"].includes(task.state);
  const canRetry = task.state === "FAILED" || task.state === "CANCELLED";
  return (
    <header class="head">
      <h1><span class="faint">Task {task.id}</span> {task.name}</h1>
      <StateMark state={task.state} />
      {task.cancel_requested && <span class="warn">told to stop</span>}
      {isOpen && !task.cancel_requested && (
        <Action label="Cancel" question={`Cancel ${task.id}?`} testid="cancel" onDo={() => send("POST", `${path}/cancel`)} />
      )}
      {canRetry && (
        <Action
          label="Retry" question={`Run ${task.id} again, with what was skipped for it?`} testid="retry"
          onDo={() => send("POST", `${path}/retry`)}
        />
      )}
    </header>
  );
}

function TaskFacts({ task }: { task: Task }) {
  const last = task.attempts?.at(-1);
  const amounts = [`${cores(task.amounts.cpu)} cpu`, bytes(task.amounts.memory)];
  if (task.amounts.gpu > 0) amounts.push(`${cores(task.amounts.gpu)} gpu`);
  return (
    <Facts
      rows={[
        ["Job", <JobLink id={task.job} />],
        ["Queue", task.queue],
        ["Tenant", task.tenant],
        ["Priority", task.raised_priority === undefined ? task.priority : `${task.priority}, raised to ${task.raised_priority}`],
        ["Asked", amounts.join(", ")],
        ["Worker", task.worker && <WorkerLink id={task.worker} name={task.worker_name} />],
        ["Submitted", <Time at={task.submitted} />],
        ["Ready since", task.ready_since && <Time at={task.ready_since} />],
        ["Not before", task.state === "PENDING" && task.not_before && <span><Time at={task.not_before} /> (<Until at={task.not_before} />)</span>],
        ["Ran", last?.started && <Took from={last.started} to={last.ended} />],
        ["Ended", task.ended && <Time at={task.ended} />],
        ["Expected", task.expected],
        ["Timeout", task.timeout],
        ["Retries used", task.retries_used > 0 && `${task.retries_used}${task.max_retries === undefined ? "" : ` of ${task.max_retries}`}`],
        ["Workers lost", task.losses_used > 0 && task.losses_used],
        ["Why it ended", task.end_reason && (
          <span class="bad">
            {task.end_reason.text} {task.end_reason.root && <a href={taskLink(task.end_reason.root)}>see {task.end_reason.root}</a>}
          </span>
        )],
      ]}
    />
  );
}

export function outcomeText(outcome: Outcome | undefined): string {
  if (outcome === undefined) return "";
  if (outcome.kind === "exit_code") return `exit code ${outcome.code}`;
  if (outcome.kind === "signal") return `killed by signal ${outcome.code}`;
  if (outcome.kind === "start_failed") return `could not be started: ${outcome.message ?? ""}`;
  return outcome.kind.replace(/_/g, " ");
}

function Attempts({ task }: { task: Task }) {
  const attempts = [...(task.attempts ?? [])].reverse();
  if (attempts.length === 0) return null;
  return (
    <Section title={attempts.length === 1 ? "Attempt" : `Attempts (${attempts.length})`}>
      <table class="plain attempts-table">
        <thead>
          <tr>
            <th class="right">No.</th><th>Outcome</th><th>Worker</th><th>Placed</th><th class="right">Start after</th>
            <th class="right">Ran</th><th class="right">Score</th><th>Decided by</th>
          </tr>
        </thead>
        <tbody>{attempts.map((attempt) => <AttemptRow key={attempt.number} attempt={attempt} />)}</tbody>
      </table>
    </Section>
  );
}

function AttemptRow({ attempt }: { attempt: Attempt }) {
  const { scoring, queue, score, second } = attempt.decision;
  const isGood = attempt.outcome?.kind === "succeeded";
  const waited = attempt.started && duration(Date.parse(attempt.started) - Date.parse(attempt.assigned));
  return (
    <tr data-testid="attempt-row">
      <td class="num right" data-label="No.">{attempt.number}</td>
      <td>
        {attempt.ended === undefined
          ? <StateMark state={attempt.started === undefined ? "ASSIGNED" : "RUNNING"} />
          : <span class={isGood ? "good" : "bad"}>{isGood ? "✓ " : "✕ "}{outcomeText(attempt.outcome)}</span>}
      </td>
      <td>
        <WorkerLink id={attempt.worker} name={attempt.worker_name} />
        {attempt.devices && attempt.devices.length > 0 && <span class="faint"> gpu {attempt.devices.join(", ")}</span>}
      </td>
      <td class="num" data-label="placed"><Time at={attempt.assigned} /></td>
      <td class="num right" data-label="start after">{waited ?? "–"}</td>
      <td class="num right" data-label="ran"><Took from={attempt.started} to={attempt.ended} /></td>
      <td class="num right" data-label="score" title={second && `second: ${second.worker} with ${decimal(second.score)}`}>{decimal(score)}</td>
      <td><span class="faint">scoring</span> <DecidedBy stamp={scoring} /> <span class="faint">queue</span> <DecidedBy stamp={queue} /></td>
    </tr>
  );
}

function Specification({ task }: { task: Task }) {
  const [isOpen, setIsOpen] = useState(true);
  const pairs = (of: Record<string, string> | undefined) =>
    Object.entries(of ?? {}).map(([name, value]) => <div key={name}><code>{name}={value}</code></div>);
  return (
    <Section
      title="As submitted"
      aside={<button type="button" aria-expanded={isOpen} onClick={() => setIsOpen(!isOpen)}>{isOpen ? "Hide" : "Show"}</button>}
    >
      {isOpen && (
        <>
          <Facts
            rows={[
              ["Depends on", task.dependencies?.length
                ? <span class="list">{task.dependencies.map((it) => <span key={it.id}><TaskLink id={it.id} name={it.name} /> {it.state && <StateMark state={it.state} />}</span>)}</span>
                : undefined],
              ["Labels", task.labels && pairs(task.labels)],
              ["Requires", task.requires && pairs(task.requires)],
              ["Environment", task.env && Object.keys(task.env).length > 0 && pairs(task.env)],
              ["Working folder", task.workdir],
              ["On disconnect", task.on_disconnect],
            ]}
          />
          {task.script !== undefined && <pre class="script" tabIndex={0} aria-label="Script">{task.script}</pre>}
        </>
      )}
    </Section>
  );
}
