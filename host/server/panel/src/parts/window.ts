// Which rows of equal height are in sight of a scrolling box.

import { useEffect, useLayoutEffect, useState } from "preact/hooks";

export const OVERSCAN = 8;

export interface Rows { first: number; end: number }

export function useWindow(box: { current: HTMLElement | null }, nRows: number, rowHeight: number): Rows {
  const [seen, setSeen] = useState({ top: 0, height: 800 });

  useLayoutEffect(() => {
    const element = box.current;
    if (element === null) return;
    const look = () => {
      const top = Math.floor(element.scrollTop / rowHeight);
      const height = element.clientHeight;
      setSeen((it) => (it.top === top && it.height === height ? it : { top, height }));
    };
    const observer = new ResizeObserver(look);
    observer.observe(element);
    element.addEventListener("scroll", look, { passive: true });
    look();
    return () => {
      observer.disconnect();
      element.removeEventListener("scroll", look);
    };
  }, [rowHeight]);

  const nSeen = Math.ceil(seen.height / rowHeight) + 1;
  const first = Math.max(0, Math.min(seen.top, nRows - nSeen) - OVERSCAN);
  return { first, end: Math.min(nRows, first + nSeen + 2 * OVERSCAN) };
}

export function useMedia(query: string): boolean {
  const [matches, setMatches] = useState(() => window.matchMedia(query).matches);
  useEffect(() => {
    const list = window.matchMedia(query);
    const look = () => setMatches(list.matches);
    look();
    list.addEventListener("change", look);
    return () => list.removeEventListener("change", look);
  }, [query]);
  return matches;
}

export const NARROW = "(max-width: 720px)";
