// The end of what an attempt wrote, followed while it runs.

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { request } from "../api";
import { LogText, type Piece } from "../core/log_tail";
import type { Task } from "../core/wire";
import { epoch } from "../live";
import { Failed, Section } from "../parts/notes";

const STREAMS = ["stdout", "stderr"] as const;
type Stream = (typeof STREAMS)[number];
const RETRY_MS = 2000;
/** After an answer without news; the host holds a request for longer than that. */
const PAUSE_MS = 250;

export function LogTail({ task }: { task: Task }) {
  const attempts = (task.attempts ?? []).map((it) => it.number);
  const [chosen, setChosen] = useState<number | undefined>(undefined);
  const attempt = chosen ?? attempts.at(-1);
  const [stream, setStream] = useState<Stream>("stdout");
  if (attempt === undefined) return null;
  return (
    <Section
      title="Output"
      testid="log"
      aside={
        <span class="tools">
          {attempts.length > 1 && (
            <label>
              <span class="hidden">Attempt</span>
              <select value={attempt} onChange={(event) => setChosen(Number(event.currentTarget.value))}>
                {attempts.map((number) => <option key={number} value={number}>attempt {number}</option>)}
              </select>
            </label>
          )}
          <span class="switch" role="group" aria-label="Stream">
            {STREAMS.map((name) => (
              <button key={name} type="button" aria-pressed={stream === name} onClick={() => setStream(name)} data-testid={`log-${name}`}>
                {name}
              </button>
            ))}
          </span>
        </span>
      }
    >
      <Tail key={`${attempt}/${stream}`} task={task.id} attempt={attempt} stream={stream} />
    </Section>
  );
}

interface TailProps { task: string; attempt: number; stream: Stream }

function Tail({ task, attempt, stream }: TailProps) {
  const [shown, setShown] = useState<LogText>(new LogText());
  const [, setTick] = useState(0);
  const [error, setError] = useState("");
  const [isFollowed, setIsFollowed] = useState(true);
  const box = useRef<HTMLPreElement>(null);
  const current = epoch.value;
  useEffect(() => {
    const abort = new AbortController();
    const log = new LogText();
    setShown(log);
    void follow(log, { task, attempt, stream }, abort.signal, (problem) => {
      setError(problem);
      setTick((it) => it + 1);
    });
    return () => abort.abort();
  }, [task, attempt, stream, current]);
  const text = shown.shown();
  useLayoutEffect(() => {
    if (isFollowed && box.current !== null) box.current.scrollTop = box.current.scrollHeight;
  }, [text, isFollowed]);
  const onScroll = () => {
    const element = box.current;
    if (element !== null) setIsFollowed(element.scrollTop + element.clientHeight >= element.scrollHeight - 4);
  };
  const notes = [
    shown.isCut && "the begin is left out",
    shown.isTruncated && "the script wrote more than was kept",
    shown.isComplete ? "complete" : isFollowed ? "following" : "scroll to the end to follow",
  ].filter(Boolean);
  return (
    <>
      {error !== "" && <Failed what="The output cannot be read" why={error} />}
      <pre class="log" ref={box} tabIndex={0} aria-label={`${stream} of attempt ${attempt}`} onScroll={onScroll}>
        {text === "" ? <span class="faint">{shown.isComplete ? "It wrote nothing." : "Nothing yet."}</span> : text}
      </pre>
      <p class="faint">{notes.join("; ")}</p>
    </>
  );
}

async function follow(log: LogText, of: TailProps, signal: AbortSignal, onNews: (problem: string) => void): Promise<void> {
  const path = `/v1/tasks/${encodeURIComponent(of.task)}/log?attempt=${of.attempt}&stream=${of.stream}&follow=true`;
  while (!signal.aborted && !log.isComplete) {
    try {
      const piece = await read(`${path}&offset=${log.offset}`, signal);
      if (signal.aborted) return;
      const hasNews = piece.bytes.length > 0 || piece.isComplete;
      log.add(piece);
      onNews("");
      if (!hasNews) await pause(PAUSE_MS, signal);
    } catch (error) {
      if (signal.aborted) return;
      onNews((error as Error).message);
      await pause(RETRY_MS, signal);
    }
  }
}

async function read(path: string, signal: AbortSignal): Promise<Piece> {
  const response = await request("GET", path, { signal });
  return {
    bytes: new Uint8Array(await response.arrayBuffer()),
    offset: Number(response.headers.get("pointsman-log-offset")),
    isComplete: response.headers.get("pointsman-log-complete") === "true",
    isTruncated: response.headers.get("pointsman-log-truncated") === "true",
  };
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      done();
    }, { once: true });
  });
}
