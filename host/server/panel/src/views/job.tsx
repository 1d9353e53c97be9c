// One job: its graph, when which attempt ran where, the critical path with the slack of each task.

import { useEffect, useRef, useState } from "preact/hooks";
import { RequestFailed, get, send } from "../api";
import { NO_FILTER, writeFilter } from "../core/filter";
import { count, duration, plural } from "../core/format";
import { JobTasks } from "../core/job_tasks";
import { link } from "../core/route";
import { total } from "../core/store";
import type { CriticalPath, Job, Page, Task } from "../core/wire";
import { epoch, followChanges, store } from "../live";
import { Action } from "../parts/action";
import { useAsked } from "../parts/asked";
import { useFiltered } from "../parts/filtered";
import { StateMark } from "../parts/marks";
import { Facts, Failed, NotShown, Section, Waiting } from "../parts/notes";
import { Time, Took, Until } from "../parts/times";
import { Gantt } from "./gantt";
import { JobGraph } from "./graph";
import { CountsBar } from "./jobs";
import { PathTable } from "./path_table";
import { TaskTable } from "./task_table";

/** Larger jobs are shown by path and table only. */
const DRAWN_MAX = 3000;
const PATH_ROWS = 1000;
const REDRAW_MS = 400;
const REDRAW_LARGE_MS = 1000;
const LARGE = 500;

export function JobView({ id }: { id: string }) {
  const job = useAsked<Job>(`/v1/jobs/${encodeURIComponent(id)}`, { gap: 2000 });
  const path = useAsked<CriticalPath>(
    `/v1/jobs/${encodeURIComponent(id)}/critical-path?limit=${PATH_ROWS}`, { gap: 2000 },
  );
  const isDrawn = job.value !== undefined && nTasks(job.value) <= DRAWN_MAX;
  const tasks = useJobTasks(isDrawn ? id : undefined);
  useJobNews(id, () => {
    job.refresh();
    path.refresh();
  });
  if (job.isLoading) return <div class="view" data-testid="view-job"><Waiting what={`job ${id}`} /></div>;
  if (job.value === undefined) {
    return (
      <div class="view" data-testid="view-job">
        <NotShown what="job" id={id} isMissing={job.isMissing} why={job.error} onRetry={job.refresh} />
      </div>
    );
  }
  return (
    <div class="view" data-testid="view-job">
      <Head job={job.value} path={path.value} />
      {path.error !== undefined && <Failed what="No critical path" why={path.error} onRetry={path.refresh} />}
      {isDrawn
        ? <Drawn id={id} tasks={tasks} path={path.value} />
        : <p class="note">{plural(nTasks(job.value), "task", "tasks")} are too many to draw; the path and the table are below.</p>}
      {path.value !== undefined && <PathTable path={path.value} />}
      <JobTable id={id} />
    </div>
  );
}

function nTasks(job: Job): number {
  return Math.max(job.n_tasks, total(job.counts));
}

function Head({ job, path }: { job: Job; path?: CriticalPath }) {
  const { counts, isExact } = store.jobCounts(job);
  const isOpen = job.ended === undefined && counts.pending + counts.assigned + counts.running > 0;
  return (
    <>
      <header class="head">
        <h1><span class="faint">Job {job.id}</span> {job.name}</h1>
        <StateMark state={job.state} />
        {isOpen && (
          <Action
            label="Cancel job" question={`Cancel all tasks of ${job.id} that have not ended?`} testid="cancel-job"
            onDo={() => send("POST", `/v1/jobs/${encodeURIComponent(job.id)}/cancel`)}
          />
        )}
      </header>
      <Facts
        rows={[
          ["Tasks", <CountsBar counts={{ ...(isExact ? counts : job.counts) }} />],
          ["Submitted", <Time at={job.submitted} />],
          [job.ended ? "Took" : "Open for", <Took from={job.submitted} to={job.ended} />],
          ["Ended", job.ended && <Time at={job.ended} />],
          ["Projected finish", path?.projected_finish && isOpen && (
            <span data-testid="projected-finish"><Time at={path.projected_finish} /> (<Until at={path.projected_finish} />)</span>
          )],
          ["Critical path", path && (
            <span>
              {duration(path.length_ms)} over {plural(path.n_on_path, "task", "tasks")}
              {path.left_ms > 0 && `, ${duration(path.left_ms)} left`}
            </span>
          )],
          ["Unknown", path && path.n_unknown > 0 &&
            `${plural(path.n_unknown, "open task has", "open tasks have")} no expected run time; they count 0`],
        ]}
      />
    </>
  );
}

function Drawn({ id, tasks, path }: { id: string; tasks: JobTasksState; path?: CriticalPath }) {
  if (tasks.error !== undefined) return <Failed what="The tasks cannot be shown" why={tasks.error} />;
  if (!tasks.isLoaded) return <Waiting what={`the tasks of ${id}`} />;
  return (
    <>
      <JobGraph tasks={tasks.tasks} tick={tasks.tick} path={path} />
      <Gantt tasks={tasks.tasks} tick={tasks.tick} path={path} />
    </>
  );
}

/** The job's rows among those of the page, in the same table as everywhere. */
function JobTable({ id }: { id: string }) {
  const [list, tick] = useFiltered({ ...NO_FILTER, job: id }, id);
  const query = writeFilter({ ...NO_FILTER, job: id });
  return (
    <Section
      title={`Tasks (${count(list.ids.length)})`}
      aside={<a href={link("tasks", undefined, query)}>filter them</a>}
    >
      {list.ids.length === 0 ? <p class="faint">None of its tasks is among those kept here.</p> : <TaskTable ids={list.ids} tick={tick} isInPage />}
    </Section>
  );
}

interface JobTasksState {
  tasks: ReadonlyMap<string, Task>;
  /** Counted up when something changed, at most every so often. */
  tick: number;
  isLoaded: boolean;
  error?: string;
}

const NONE: ReadonlyMap<string, Task> = new Map();

function useJobTasks(id: string | undefined): JobTasksState {
  const [state, setState] = useState<JobTasksState>({ tasks: NONE, tick: 0, isLoaded: false });
  const current = epoch.value;
  useEffect(() => {
    if (id === undefined) return;
    const known = new JobTasks(id);
    const abort = new AbortController();
    let timer = 0;
    const show = () => {
      timer = 0;
      setState((it) => ({ tasks: known.tasks, tick: it.tick + 1, isLoaded: true }));
    };
    const stop = followChanges((changes) => {
      if (!known.follow(changes.tasks, store.tasks) || timer !== 0) return;
      timer = window.setTimeout(show, known.tasks.size > LARGE ? REDRAW_LARGE_MS : REDRAW_MS);
    });
    fetchAll(id, known, abort.signal).then(show).catch((error: Error) => {
      if (!abort.signal.aborted) setState((it) => ({ ...it, error: error.message }));
    });
    return () => {
      stop();
      abort.abort();
      clearTimeout(timer);
    };
  }, [id, current]);
  return state;
}

async function fetchAll(id: string, known: JobTasks, signal: AbortSignal): Promise<void> {
  let cursor = "";
  do {
    const from = cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const page = await fetchPage(`/v1/tasks?job=${encodeURIComponent(id)}&limit=1000${from}`, signal);
    known.addAsked(page.items);
    cursor = page.next_cursor ?? "";
  } while (cursor !== "");
}

/** A host that does not know `attempts` shows the last attempt of each task. */
async function fetchPage(path: string, signal: AbortSignal): Promise<Page<Task>> {
  try {
    return await get<Page<Task>>(`${path}&attempts=all`, signal);
  } catch (error) {
    if (error instanceof RequestFailed && error.status === 400) return get<Page<Task>>(path, signal);
    throw error;
  }
}

function useJobNews(id: string, onNews: () => void): void {
  const call = useRef(onNews);
  call.current = onNews;
  useEffect(() => followChanges((changes) => {
    if (changes.jobs.has(id)) call.current();
  }), [id]);
}
