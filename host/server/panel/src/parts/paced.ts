// Signals that count up with every frame, taken at most so often as a costly view can follow.

import { effect, type Signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";

export function usePaced(ticks: readonly Signal<number>[], ms: number): number {
  const [seen, setSeen] = useState(0);
  useEffect(() => {
    let timer = 0;
    let at = 0;
    const stop = effect(() => {
      ticks.forEach((tick) => void tick.value);
      if (timer !== 0) return;
      timer = window.setTimeout(() => {
        timer = 0;
        at = Date.now();
        setSeen((it) => it + 1);
      }, Math.max(0, at + ms - Date.now()));
    });
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, []);
  return seen;
}
