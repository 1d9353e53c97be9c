// The workers: what they have, how they do, how the scoring policy sees them; and the queues.

import { useEffect, useState } from "preact/hooks";
import { get, send } from "../api";
import { bytes, cores, count, decimal, duration, percent, span } from "../core/format";
import { link } from "../core/route";
import { idNumber } from "../core/sorted";
import type { Amounts, Scores, Standing, Worker } from "../core/wire";
import { announce, epoch, linkState, secondTick, shownNow, store, workersTick } from "../live";
import { Action } from "../parts/action";
import { useLastHour } from "../parts/last_hour";
import { useAsked } from "../parts/asked";
import { Chart, type Line } from "../parts/chart";
import { TaskLink } from "../parts/links";
import { Meter, StateMark } from "../parts/marks";
import { Empty, Facts } from "../parts/notes";
import { usePaced } from "../parts/paced";
import { DecidedBy, TermList } from "../parts/terms";
import { Until } from "../parts/times";
import { Queues } from "./queues";

/** So many are shown with their charts from the start. */
const OPEN_MAX = 6;
const REFRESH_MS = 3000;
const SCORES_MS = 5000;
/** Silence that is worth a look, until it is known how often a worker reports: the standard is 5 s. */
const SILENT_MS = 8000;
const SILENT_SHARE = 1.6;

const SHARES: Line[] = [
  { label: "cpu", colour: "--line-1", series: 0 },
  { label: "memory", colour: "--line-2", series: 1, dash: [6, 3] },
  { label: "disk", colour: "--line-3", series: 2, dash: [2, 2] },
];
const ROUND_TRIP: Line[] = [{ label: "round trip", colour: "--line-1", series: 3 }];

export function WorkersView({ query }: { query: URLSearchParams }) {
  usePaced([workersTick], 250);
  useFreshWorkers();
  const scores = useAsked<Scores>("/v1/scores", { gap: 1000, every: SCORES_MS });
  const workers = [...store.workers.values()].sort((a, b) => idNumber(a.id) - idNumber(b.id));
  const asked = query.get("worker") ?? "";
  const byWorker = new Map(scores.value?.workers.map((it) => [it.worker, it]));
  return (
    <div class="view" data-testid="view-workers">
      <h1>Workers</h1>
      {workers.length === 0 && (
        <Empty>
          <p>No workers yet. Start one on this machine or another:</p>
          <pre>pointsman worker --host {location.origin}</pre>
        </Empty>
      )}
      {scores.value && (
        <p class="faint">
          Scores by <DecidedBy stamp={scores.value.policy} />
          {scores.value.task && <>, for a task like <TaskLink id={scores.value.task} />, which was placed last</>}
        </p>
      )}
      <div class="workers">
        {workers.map((worker) => (
          <WorkerCard
            key={worker.id} worker={worker} score={byWorker.get(worker.id)} isBanded={scores.value?.banded ?? false}
            isAsked={worker.id === asked} isOpenFirst={workers.length <= OPEN_MAX}
          />
        ))}
      </div>
      <Queues />
    </div>
  );
}

/** What is free and how many tasks run is summed up from tasks: the host is asked for it. */
function useFreshWorkers(): void {
  const current = epoch.value;
  useEffect(() => {
    const ask = async () => {
      if (linkState.value.state !== "live" || document.hidden) return;
      announce(store.refreshWorkers(await get<Worker[]>("/v1/workers"), Date.now()));
    };
    const askQuietly = () => void ask().catch(() => undefined);
    askQuietly();
    const timer = setInterval(askQuietly, REFRESH_MS);
    return () => clearInterval(timer);
  }, [current]);
}

interface CardProps {
  worker: Worker;
  score?: Standing;
  isBanded: boolean;
  isAsked: boolean;
  isOpenFirst: boolean;
}

function WorkerCard({ worker, score, isBanded, isAsked, isOpenFirst }: CardProps) {
  const [isOpen, setIsOpen] = useState(isOpenFirst);
  const path = `/v1/workers/${encodeURIComponent(worker.id)}`;
  const isOut = worker.drained === true || worker.state === "draining";
  useEffect(() => {
    if (!isAsked) return;
    setIsOpen(true);
    document.getElementById(`worker-${worker.id}`)?.scrollIntoView({ block: "start" });
  }, [isAsked]);
  return (
    <section class={isAsked ? "worker is-asked" : "worker"} id={`worker-${worker.id}`} data-testid="worker-row" data-worker={worker.id} aria-label={`Worker ${worker.name}`}>
      <header class="worker-head">
        <button type="button" class="fold" aria-expanded={isOpen} aria-label={`${isOpen ? "Less" : "More"} of ${worker.name}`} onClick={() => setIsOpen(!isOpen)}>
          {isOpen ? "▾" : "▸"}
        </button>
        <h2 title={worker.name}>{worker.name}</h2>
        <span class="faint num">{worker.id}</span>
        <StateMark state={worker.state} />
        <span class="score">{score && <ScoreTag score={score} isBanded={isBanded} />}</span>
        <a href={link("tasks", undefined, new URLSearchParams({ worker: worker.id, state: "ASSIGNED,RUNNING" }))}>{count(worker.running)} running</a>
        <Heartbeat worker={worker} />
        <span class="worker-tags">
          {isOut && worker.state !== "draining" && <span class="tag">drained</span>}
          {worker.quarantined_until && <span class="tag is-warn">quarantined, ends <Until at={worker.quarantined_until} /></span>}
        </span>
        {isOut
          ? <Action label="Resume" describedAs={`Resume ${worker.name}`} onDo={() => send("POST", `${path}/resume`)} />
          : <Action label="Drain" describedAs={`Drain ${worker.name}`} question="Give it no new work? What runs there goes on." onDo={() => send("POST", `${path}/drain`)} />}
      </header>
      {isOpen && <WorkerBody worker={worker} score={score} />}
    </section>
  );
}

function ScoreTag({ score, isBanded }: { score: Standing; isBanded: boolean }) {
  if (score.score === undefined) return null;
  return (
    <>
      <span class="faint">score</span> <b class="num">{decimal(score.score)}</b>
      <Meter part={score.score} label={`score ${decimal(score.score)}`} />
      {isBanded && score.band && <span class={score.band === "restricted" ? "tag is-warn" : "tag"}>{score.band}</span>}
    </>
  );
}

/** Ticks; the colour warns before the host does, and the words say the same. */
function Heartbeat({ worker }: { worker: Worker }) {
  void secondTick.value;
  const heard = store.heard.get(worker.id);
  if (heard === undefined) return <span class="faint">not heard of since the host started</span>;
  const silent = Math.max(0, shownNow() - heard);
  const isSilent = worker.state === "suspect" || worker.state === "lost" || silent > usualSilence(worker.id);
  const words = silent < 1500 ? "heard just now" : `heard ${span(silent)} ago`;
  return <span class={isSilent ? "heartbeat warn" : "heartbeat faint"}>{isSilent ? "! " : ""}{words}</span>;
}

function usualSilence(worker: string): number {
  const [before, last] = store.measured.get(worker)?.times.slice(-2) ?? [];
  return last === undefined ? SILENT_MS : Math.max(2000, (last - before) * 1000 * SILENT_SHARE);
}

function WorkerBody({ worker, score }: { worker: Worker; score?: Standing }) {
  useLastHour(worker.id, worker.name);
  const ring = store.measured.get(worker.id);
  const tick = workersTick.value;
  return (
    <div class="worker-body">
      <div class="worker-amounts">
        <Share name="cpu" free={worker.free?.cpu} capacity={worker.capacity.cpu} format={cores} />
        <Share name="memory" free={worker.free?.memory} capacity={worker.capacity.memory} format={bytes} />
        {worker.capacity.gpu > 0 && <Share name="gpu" free={worker.free?.gpu} capacity={worker.capacity.gpu} format={cores} />}
        <Facts
          rows={[
            ["Limits", worker.limits],
            ["Lives", worker.incarnation > 1 && worker.incarnation],
            ["Connections", worker.measurements.connections],
            ...foretold(worker),
            ["Labels", worker.labels && Object.keys(worker.labels).length > 0 &&
              <span class="list">{Object.entries(worker.labels).map(([name, value]) => <code key={name}>{name}={value}</code>)}</span>],
            ["Gets no work", score !== undefined && score.verdict !== "fits" && score.text],
          ]}
        />
        {score?.terms && score.terms.length > 0 && <div class="worker-terms"><span class="faint">The score is made of</span><TermList terms={score.terms} /></div>}
      </div>
      <div class="charts">
        {ring === undefined
          ? <Measured worker={worker} />
          : (
            <>
              <Chart ring={ring} lines={SHARES} height={116} top={1} isFixed format={percent} tick={tick} label="Use" />
              <Chart ring={ring} lines={ROUND_TRIP} height={116} top={5} format={(it) => duration(it)} tick={tick} label="Round trip" />
            </>
          )}
      </div>
    </div>
  );
}

/** What the forecasting policy says of it. */
function foretold({ predicted }: Worker): [string, string][] {
  if (predicted === undefined) return [];
  const ahead = `in ${duration(predicted.horizon_ms)}`;
  const rows: [string, string | undefined][] = [
    [`cpu ${ahead}`, predicted.cpu_used === undefined ? undefined : percent(predicted.cpu_used)],
    [`memory ${ahead}`, predicted.memory_used === undefined ? undefined : percent(predicted.memory_used)],
    [`disk ${ahead}`, predicted.iops_used === undefined ? undefined : percent(predicted.iops_used)],
    [`round trip ${ahead}`, predicted.rtt_ms === undefined ? undefined : duration(predicted.rtt_ms)],
    [`connections ${ahead}`, predicted.connections?.toFixed(0)],
  ];
  return rows.filter((row): row is [string, string] => row[1] !== undefined);
}

/** Before anything came in by events: the last numbers alone. */
function Measured({ worker }: { worker: Worker }) {
  const it = worker.measurements;
  return (
    <p class="faint">
      cpu {percent(it.cpu_used)}, memory {percent(it.memory_used)}, disk {percent(it.iops_used)}, round trip {duration(it.rtt_ms)};
      charts begin with the next measurement.
    </p>
  );
}

interface ShareProps { name: keyof Amounts; free: number | undefined; capacity: number; format: (value: number) => string }

function Share({ name, free, capacity, format }: ShareProps) {
  const used = free === undefined ? undefined : Math.max(0, capacity - free);
  const text = used === undefined ? `${format(capacity)}` : `${format(used)} of ${format(capacity)} taken`;
  return (
    <div class="share">
      <span class="share-name">{name}</span>
      <Meter part={used === undefined || capacity === 0 ? 0 : used / capacity} label={`${name}: ${text}`} />
      <span class="num">{text}</span>
    </div>
  );
}

