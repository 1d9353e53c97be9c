// What a running task reports or its worker measures of it, since the page was opened.

import { useEffect, useMemo, useState } from "preact/hooks";
import { bytes, cores, duration, percent } from "../core/format";
import { Ring } from "../core/ring";
import type { Feedback, Task } from "../core/wire";
import { epoch, followChanges, hostNow } from "../live";
import { Chart, type Line } from "../parts/chart";
import { Meter } from "../parts/marks";
import { Facts, Section } from "../parts/notes";

const PROGRESS: Line[] = [{ label: "progress", colour: "--line-1", series: 0 }];
const CPU: Line[] = [{ label: "cpu", colour: "--line-1", series: 1 }];
const MEMORY: Line[] = [{ label: "memory", colour: "--line-1", series: 2 }];
const MEGABYTE = 1e6;

export function FeedbackCharts({ task }: { task: Task }) {
  const attempt = task.attempts?.at(-1)?.number ?? 0;
  const ring = useMemo(() => new Ring(3), [task.id, attempt, epoch.value]);
  const [tick, setTick] = useState(0);
  const [last, setLast] = useState<Feedback | undefined>(undefined);
  useEffect(() => {
    setLast(task.feedback);
    if (task.feedback !== undefined && ring.times.length === 0) put(ring, hostNow(), task.feedback);
    return followChanges((changes) => {
      const own = changes.feedback.filter((it) => it.task === task.id);
      if (own.length === 0) return;
      own.forEach((it) => put(ring, it.at, it.feedback));
      setLast(own[own.length - 1].feedback);
      setTick((it) => it + 1);
    });
  }, [ring]);
  if (last === undefined && ring.times.length === 0) return null;
  const has = (series: number) => ring.values[series].some((value) => value !== null);
  return (
    <Section title="Feedback" testid="feedback">
      {last && task.state === "RUNNING" && (
        <Facts
          rows={[
            ["Phase", last.phase],
            ["Progress", last.progress !== undefined && <span class="progress"><Meter part={last.progress} label="progress" /> {percent(last.progress)}</span>],
            ["Since process start", duration(last.duration_ms)],
            ["Cores in use", last.cpu_usage !== undefined && cores(last.cpu_usage)],
            ["Memory", last.memory_mb !== undefined && bytes(last.memory_mb * MEGABYTE)],
          ]}
        />
      )}
      <div class="charts">
        {has(0) && <Chart ring={ring} lines={PROGRESS} height={90} top={1} isFixed format={percent} tick={tick} label="Progress" />}
        {has(1) && <Chart ring={ring} lines={CPU} height={90} top={0.1} format={(it) => cores(it)} tick={tick} label="Cores in use" />}
        {has(2) && <Chart ring={ring} lines={MEMORY} height={90} top={10 * MEGABYTE} format={bytes} tick={tick} label="Memory" />}
      </div>
    </Section>
  );
}

function put(ring: Ring, at: number, it: Feedback): void {
  const memory = it.memory_mb === undefined ? undefined : it.memory_mb * MEGABYTE;
  ring.push(at, [it.progress, it.cpu_usage, memory]);
}
