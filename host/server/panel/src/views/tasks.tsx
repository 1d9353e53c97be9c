// All tasks that are kept, newest first, as a table of which only the rows in sight exist.

import { get } from "../api";
import { count, plural } from "../core/format";
import { isFiltered, readFilter, writeFilter, type TaskFilter } from "../core/filter";
import { link } from "../core/route";
import { TASKS_MAX, key, total } from "../core/store";
import { TASK_STATES, type Page, type Task, type TaskState } from "../core/wire";
import {
  announce, linkState, problemOfOlder, queuesTick, replaceHash, store, tasksTick, workersTick,
} from "../live";
import { useFiltered } from "../parts/filtered";
import { Glyph, word } from "../parts/marks";
import { Empty } from "../parts/notes";
import { TaskTable } from "./task_table";

export function TasksView({ query }: { query: URLSearchParams }) {
  const filter = readFilter(query);
  const address = writeFilter(filter).toString();
  const [list, tick] = useFiltered(filter, address);
  const change = (part: Partial<TaskFilter>) =>
    replaceHash(link("tasks", undefined, writeFilter({ ...filter, ...part })));
  return (
    <div class="view tasks-view" data-testid="view-tasks">
      <h1 class="hidden">Tasks</h1>
      <StateFilter filter={filter} onChange={change} />
      <FilterBar filter={filter} onChange={change} nShown={list.ids.length} />
      {list.ids.length === 0
        ? <NoTasks filter={filter} onClear={() => replaceHash(link("tasks"))} />
        : <TaskTable ids={list.ids} tick={tick} onSeen={askReasons} place={`tasks?${address}`} />}
    </div>
  );
}

interface FilterProps { filter: TaskFilter; onChange: (part: Partial<TaskFilter>) => void }

/** Counts by state, each of them a switch. */
function StateFilter({ filter, onChange }: FilterProps) {
  void tasksTick.value;
  const counts = store.counts();
  const toggle = (state: TaskState) => {
    const states = filter.states.includes(state)
      ? filter.states.filter((it) => it !== state)
      : [...filter.states, state];
    onChange({ states });
  };
  return (
    <div class="states" role="group" aria-label="Tasks by state">
      <button type="button" aria-pressed={filter.states.length === 0} onClick={() => onChange({ states: [] })}>
        <span>all</span> <b class="num">{count(total(counts))}</b>
      </button>
      {TASK_STATES.map((state) => (
        <button
          key={state} type="button" aria-pressed={filter.states.includes(state)} onClick={() => toggle(state)}
          data-testid={`filter-${state}`}
        >
          <Glyph state={state} /> <span>{word(state)}</span> <b class="num">{count(counts[key(state)])}</b>
        </button>
      ))}
    </div>
  );
}

function FilterBar({ filter, onChange, nShown }: FilterProps & { nShown: number }) {
  void queuesTick.value;
  void workersTick.value;
  const queues = [...store.queues.keys()].sort();
  const workers = [...store.workers.values()];
  return (
    <div class="filters" role="search" aria-label="Filter tasks">
      <label class="grow">
        <span class="hidden">Name or id</span>
        <input
          type="search" placeholder="Name or id" value={filter.text} data-testid="filter-text"
          onInput={(event) => onChange({ text: event.currentTarget.value })}
        />
      </label>
      <Choice
        label="Queue" value={filter.queue} onChange={(queue) => onChange({ queue })}
        options={queues.map((name) => [name, name])}
      />
      <Choice
        label="Worker" value={filter.worker} onChange={(worker) => onChange({ worker })}
        options={workers.map((worker) => [worker.id, `${worker.name} (${worker.id})`])}
      />
      <label>
        <span class="hidden">Job</span>
        <input
          class="short" placeholder="Job, like j2" value={filter.job} data-testid="filter-job"
          onInput={(event) => onChange({ job: event.currentTarget.value })}
        />
      </label>
      {isFiltered(filter) && (
        <button type="button" onClick={() => replaceHash(link("tasks"))}>Clear</button>
      )}
      <Shown nShown={nShown} filter={filter} />
    </div>
  );
}

interface ChoiceProps {
  label: string;
  value: string;
  options: [value: string, text: string][];
  onChange: (value: string) => void;
}

function Choice({ label, value, options, onChange }: ChoiceProps) {
  const isUnknown = value !== "" && !options.some(([it]) => it === value);
  return (
    <label>
      <span class="hidden">{label}</span>
      <select value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        <option value="">{label}: any</option>
        {isUnknown && <option value={value}>{value}</option>}
        {options.map(([it, text]) => <option key={it} value={it}>{text}</option>)}
      </select>
    </label>
  );
}

function Shown({ nShown, filter }: { nShown: number; filter: TaskFilter }) {
  void tasksTick.value;
  const nKept = store.ids.length;
  const nAll = total(store.counts());
  const parts = [isFiltered(filter) ? `${count(nShown)} of ${plural(nKept, "task", "tasks")}` : plural(nKept, "task", "tasks")];
  if (store.isCapped) {
    parts.push(`the newest ${count(TASKS_MAX)} of ${count(nAll)}; older ones: pointsman status`);
  } else if (problemOfOlder.value !== "") parts.push(`older ones could not be loaded: ${problemOfOlder.value}`);
  else if (!store.isComplete) parts.push(`loading ${count(Math.max(0, nAll - nKept))} more…`);
  return <span class="faint shown" data-testid="shown">{parts.join("; ")}</span>;
}

function NoTasks({ filter, onClear }: { filter: TaskFilter; onClear: () => void }) {
  if (isFiltered(filter) && store.ids.length > 0) {
    return (
      <Empty>
        <p>No task passes this filter.</p>
        <button type="button" onClick={onClear}>Show all tasks</button>
      </Empty>
    );
  }
  return (
    <Empty>
      <p>No tasks yet. Run one:</p>
      <pre>pointsman run 'echo hello'</pre>
      <p>or submit a job of several: <code>pointsman submit job.json</code></p>
    </Empty>
  );
}

/** Why waiting tasks wait is not in events: asked for the rows in sight, now and then. */
const REASONS_MAX = 100;
let isAsking = false;

async function askReasons(rows: readonly Task[]): Promise<void> {
  const waiting = rows.filter((task) => task.state === "PENDING");
  if (isAsking || waiting.length === 0 || linkState.value.state !== "live") return;
  isAsking = true;
  // Rows come newest first; the list is in ascending order.
  const before = Number(waiting[waiting.length - 1].id.slice(1)) - 1;
  try {
    const page = await get<Page<Task>>(`/v1/tasks?state=PENDING&limit=${REASONS_MAX}&cursor=t${before}`);
    announce(store.addReasons(page.items));
  } catch {
    // The column stays empty; the connection's state tells more.
  } finally {
    isAsking = false;
  }
}
