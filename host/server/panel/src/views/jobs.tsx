// All jobs that are kept, newest first.

import { useEffect } from "preact/hooks";
import { get } from "../api";
import { count } from "../core/format";
import { jobLink } from "../core/route";
import { idNumber } from "../core/sorted";
import { key, total } from "../core/store";
import { TASK_STATES, type Counts, type Job } from "../core/wire";
import { announce, epoch, jobsTick, linkState, store, tasksTick } from "../live";
import { StateMark, word } from "../parts/marks";
import { Empty } from "../parts/notes";
import { usePaced } from "../parts/paced";
import { Time, Took } from "../parts/times";

/** More would be a long page; older jobs are reached by their tasks. */
const SHOWN_MAX = 300;
const REFRESH_MS = 5_000;
const REDRAW_MS = 200;

export function JobsView() {
  usePaced([jobsTick, tasksTick], REDRAW_MS);
  const jobs = [...store.jobs.values()].sort((a, b) => idNumber(b.id) - idNumber(a.id));
  useFreshCounts(jobs);
  if (jobs.length === 0) {
    return (
      <div class="view" data-testid="view-jobs">
        <h1>Jobs</h1>
        <Empty>
          <p>No jobs yet. Submit one:</p>
          <pre>pointsman submit job.json --wait</pre>
        </Empty>
      </div>
    );
  }
  return (
    <div class="view" data-testid="view-jobs">
      <h1>Jobs</h1>
      <table class="plain jobs-table">
        <thead>
          <tr><th>State</th><th>Id</th><th>Name</th><th>Tasks</th><th>Progress</th><th>Submitted</th><th>Took</th></tr>
        </thead>
        <tbody>
          {jobs.slice(0, SHOWN_MAX).map((job) => <JobRow key={job.id} job={job} counts={{ ...store.jobCounts(job).counts }} />)}
        </tbody>
      </table>
      {jobs.length > SHOWN_MAX && <p class="faint">The newest {count(SHOWN_MAX)} of {count(jobs.length)} jobs.</p>}
    </div>
  );
}

function JobRow({ job, counts }: { job: Job; counts: Counts }) {
  const isIdle = counts.pending + counts.assigned + counts.running === 0;
  return (
    <tr data-testid="job-row">
      <td><StateMark state={job.state} /></td>
      <td class="num">{job.id}</td>
      <td class="cell-name"><a href={jobLink(job.id)} title={job.name}>{job.name}</a></td>
      <td class="num" data-label="tasks">{count(Math.max(job.n_tasks, total(counts)))}</td>
      <td class="cell-progress"><CountsBar counts={counts} /></td>
      <td class="num" data-label="submitted"><Time at={job.submitted} /></td>
      <td class="num" data-label="took">
        {job.ended === undefined && isIdle ? <span class="faint">open</span> : <Took from={job.submitted} to={job.ended} />}
      </td>
    </tr>
  );
}

/** How many tasks are in each state: as a bar, and in words. */
export function CountsBar({ counts }: { counts: Counts }) {
  const all = Math.max(1, total(counts));
  const parts = TASK_STATES.filter((state) => counts[key(state)] > 0);
  const words = parts.map((state) => `${count(counts[key(state)])} ${word(state)}`).join(", ");
  const order = ["SUCCEEDED", "FAILED", "SKIPPED", "CANCELLED", "RUNNING", "ASSIGNED", "PENDING"] as const;
  return (
    <span class="counts-bar">
      <span class="bar" aria-hidden="true">
        {order.filter((state) => counts[key(state)] > 0).map((state) => (
          <span key={state} class={`fill-${state}`} style={{ width: `${(counts[key(state)] / all) * 100}%` }} />
        ))}
      </span>
      <span class="counts-words" title={words}>{words}</span>
    </span>
  );
}

/** Counts of jobs whose rows are not all here are asked for, a few at a time. */
function useFreshCounts(jobs: readonly Job[]): void {
  const current = epoch.value;
  const inexact = jobs.filter((job) => job.state === "RUNNING" && !store.jobCounts(job).isExact).slice(0, 5);
  const wanted = inexact.map((job) => job.id).join(",");
  useEffect(() => {
    if (wanted === "") return;
    const ask = async () => {
      if (linkState.value.state !== "live") return;
      for (const id of wanted.split(",")) announce(store.refreshJob(await get<Job>(`/v1/jobs/${encodeURIComponent(id)}`)));
    };
    const timer = setInterval(() => void ask().catch(() => undefined), REFRESH_MS);
    return () => clearInterval(timer);
  }, [wanted, current]);
}
