// Why a task waits, with the numbers and per worker; or why it was put where it is.

import { decimal } from "../core/format";
import { taskLink } from "../core/route";
import type { Explanation, Placed, Task, Verdict } from "../core/wire";
import type { Asked } from "../parts/asked";
import { TaskLink, WorkerLink } from "../parts/links";
import { Meter } from "../parts/marks";
import { Facts, Failed, Section, Waiting } from "../parts/notes";
import { DecidedBy, TermList } from "../parts/terms";
import { Time } from "../parts/times";

export function Explain({ task, explained }: { task: Task; explained: Asked<Explanation> }) {
  const it = explained.value;
  const isWaiting = task.state === "PENDING";
  const title = isWaiting ? "Why it waits" : "Why it was placed there";
  if (it === undefined) {
    if (explained.isMissing) return null;
    return (
      <Section title={title} testid="explain">
        {explained.isLoading
          ? <Waiting what="the explanation" />
          : <Failed what="No explanation" why={explained.error ?? ""} onRetry={explained.refresh} />}
      </Section>
    );
  }
  if (!isWaiting && it.placed === undefined) return null;
  return (
    <Section title={title} testid="explain">
      {isWaiting && <WhyItWaits it={it} />}
      {it.placed !== undefined && <WhyThere placed={it.placed} wasBefore={isWaiting} />}
    </Section>
  );
}

function WhyItWaits({ it }: { it: Explanation }) {
  const { reason } = it;
  return (
    <>
      {reason && (
        <p class="reason" data-testid="reason">
          {reason.text} {reason.task && <a href={taskLink(reason.task)}>see {reason.task}</a>} <code class="faint">{reason.code}</code>
        </p>
      )}
      <Facts
        rows={[
          ["Starts when", reason?.starts_when],
          ["Place in queue", it.queue_position],
          ["Waits for", it.waits_for && it.waits_for.length > 0 && (
            <span class="list">{it.waits_for.map((id) => <TaskLink key={id} id={id} />)}</span>
          )],
          ["Queue policy", <DecidedBy stamp={it.queue_policy} />],
          ["Scoring policy", <DecidedBy stamp={it.scoring_policy} />],
        ]}
      />
      {it.workers.length > 0 && <Verdicts verdicts={it.workers} missing={it.terms_missing} />}
    </>
  );
}

/** Workers that fit first, the best on top. */
function Verdicts({ verdicts, missing }: { verdicts: Verdict[]; missing?: string }) {
  const ordered = [...verdicts].sort((a, b) => (b.score ?? -1) - (a.score ?? -1));
  const hasTerms = verdicts.some((it) => it.terms !== undefined && it.terms.length > 0);
  return (
    <>
      <table class="plain verdicts">
        <thead><tr><th>Worker</th><th class="right">Score</th><th>Verdict</th>{hasTerms && <th>Made of</th>}</tr></thead>
        <tbody>
          {ordered.map((it) => (
            <tr key={it.worker}>
              <td><WorkerLink id={it.worker} name={it.worker_name} /></td>
              <td class="num right" data-label="score">{it.score === undefined ? "–" : decimal(it.score)}</td>
              <td><span class={it.verdict === "fits" ? "good" : "muted"}>{it.verdict === "fits" ? "✓ " : "✕ "}{it.text}</span></td>
              {hasTerms && <td><TermList terms={it.terms} /></td>}
            </tr>
          ))}
        </tbody>
      </table>
      {missing && <p class="faint">{missing}</p>}
    </>
  );
}

function WhyThere({ placed, wasBefore }: { placed: Placed; wasBefore: boolean }) {
  const { second } = placed;
  return (
    <div class="placed" data-testid="placed">
      {wasBefore && <h3>The attempt before</h3>}
      {placed.text && <p class="reason">{placed.text}</p>}
      <div class="choices">
        <Choice
          title="Chosen" worker={placed.worker} name={placed.worker_name} score={placed.score} terms={placed.terms}
        />
        {second && (
          <Choice title="Second" worker={second.worker} name={second.worker_name} score={second.score} terms={second.terms} />
        )}
      </div>
      {placed.terms_missing && <p class="faint">{placed.terms_missing}</p>}
      <Facts
        rows={[
          ["Attempt", placed.attempt],
          ["Placed", <Time at={placed.at} />],
          ["Ahead of the second by", second && decimal(placed.score - second.score)],
          ["Scoring policy", <DecidedBy stamp={placed.scoring_policy} />],
          ["Queue policy", <DecidedBy stamp={placed.queue_policy} />],
        ]}
      />
    </div>
  );
}

interface ChoiceProps { title: string; worker: string; name?: string; score: number; terms?: [string, number][] }

function Choice({ title, worker, name, score, terms }: ChoiceProps) {
  return (
    <div class="choice">
      <div class="choice-head">
        <span class="faint">{title}</span> <WorkerLink id={worker} name={name} />
        <b class="num">{decimal(score)}</b> <Meter part={score} label={`score ${decimal(score)}`} />
      </div>
      <TermList terms={terms} />
    </div>
  );
}
