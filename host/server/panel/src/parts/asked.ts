// What a view asks of the host: kept up to date while it is shown, and asked anew after each snapshot.

import { useEffect, useRef, useState } from "preact/hooks";
import { RequestFailed, get } from "../api";
import { epoch } from "../live";

export interface Asked<T> {
  value?: T;
  error?: string;
  /** The host has no such thing. */
  isMissing: boolean;
  isLoading: boolean;
  /** Soon, and not more often than the gap allows. */
  refresh(): void;
}

interface Pace {
  /** Milliseconds between two requests at least. */
  gap: number;
  /** Asked again by itself. */
  every?: number;
}

interface State<T> { path?: string; value?: T; error?: string; isMissing: boolean }

export function useAsked<T>(path: string | undefined, pace: Pace): Asked<T> {
  const [state, setState] = useState<State<T>>({ isMissing: false });
  const current = epoch.value;
  const asker = useRef<Asker | undefined>(undefined);

  useEffect(() => {
    if (path === undefined) return;
    const started = new Asker(pace, async (signal) => {
      try {
        const value = await get<T>(path, signal);
        if (!signal.aborted) setState({ path, value, isMissing: false });
      } catch (error) {
        if (!signal.aborted) setState((before) => failed(before, path, error as Error));
      }
    });
    asker.current = started;
    return () => started.stop();
  }, [path, current, pace.gap, pace.every]);

  const isOfPath = state.path === path;
  return {
    value: isOfPath ? state.value : undefined,
    error: isOfPath ? state.error : undefined,
    isMissing: isOfPath && state.isMissing,
    isLoading: path !== undefined && !isOfPath,
    refresh: () => asker.current?.refresh(),
  };
}

/** What was known stays on view if the host could not be asked, and goes if it said otherwise. */
function failed<T>(before: State<T>, path: string, error: Error): State<T> {
  const status = error instanceof RequestFailed ? error.status : 0;
  const isKept = before.path === path && (status === 0 || status >= 500);
  const value = isKept ? before.value : undefined;
  return { path, value, error: error.message, isMissing: status === 404 };
}

/** One request at a time, with a gap between two. */
class Asker {
  private readonly abort = new AbortController();
  private timer = 0;
  private isAsking = false;
  private isDue = false;
  private askedAt = -Infinity;

  constructor(private readonly pace: Pace, private readonly ask: (signal: AbortSignal) => Promise<void>) {
    void this.askNow();
  }

  refresh(): void {
    this.isDue = true;
    if (!this.isAsking) this.schedule(this.askedAt + this.pace.gap - Date.now());
  }

  stop(): void {
    this.abort.abort();
    clearTimeout(this.timer);
  }

  private schedule(ms: number): void {
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => void this.askNow(), Math.max(0, ms));
  }

  private async askNow(): Promise<void> {
    if (this.abort.signal.aborted) return;
    this.isAsking = true;
    this.isDue = false;
    this.askedAt = Date.now();
    await this.ask(this.abort.signal);
    this.isAsking = false;
    if (this.abort.signal.aborted) return;
    if (this.isDue) this.refresh();
    else if (this.pace.every !== undefined) this.schedule(this.pace.every);
  }
}
