// Numbers, amounts and times for people.

const pad = (value: number, width = 2) => String(value).padStart(width, "0");

/** Like `1 min 3 s`, `340 ms`, `2 h 5 min`: two units at most. */
export function duration(ms: number | undefined): string {
  if (ms === undefined || !Number.isFinite(ms)) return "–";
  if (ms < 0) return `−${duration(-ms)}`;
  if (ms < 1) return ms === 0 ? "0 s" : "< 1 ms";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 9950) return `${(ms / 1000).toFixed(1)} s`;
  const s = Math.round(ms / 1000);
  if (s < 60) return `${s} s`;
  if (s < 3600) return two(Math.floor(s / 60), "min", s % 60, "s");
  if (s < 86_400) return two(Math.floor(s / 3600), "h", Math.floor((s % 3600) / 60), "min");
  return two(Math.floor(s / 86_400), "d", Math.floor((s % 86_400) / 3600), "h");
}

function two(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large} ${largeUnit}` : `${large} ${largeUnit} ${small} ${smallUnit}`;
}

/** Whole seconds and up, for what ticks. */
export function span(ms: number): string {
  if (!Number.isFinite(ms)) return "–";
  const s = Math.max(0, Math.floor(ms / 1000));
  return s < 60 ? `${s} s` : duration(s * 1000);
}

export function micros(us: number | undefined): string {
  if (us === undefined) return "–";
  if (us < 10) return `${us.toFixed(1)} µs`;
  return us < 1000 ? `${Math.round(us)} µs` : duration(us / 1000);
}

/** Memory in units of 1000, as the host writes it. */
export function bytes(n: number): string {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let unit = 0;
  while (n >= 999.5 && unit < units.length - 1) {
    n /= 1000;
    unit += 1;
  }
  return `${n < 10 && unit > 0 ? trim(n.toFixed(1)) : Math.round(n)} ${units[unit]}`;
}

export function cores(n: number): string {
  return trim(n.toFixed(2));
}

function trim(text: string): string {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

export function count(n: number): string {
  return String(Math.round(n)).replace(/\B(?=(\d{3})+$)/g, "\u202F");
}

export function percent(fraction: number | undefined): string {
  return fraction === undefined ? "–" : `${Math.round(fraction * 100)} %`;
}

/** Three significant places, without `e`, for scores and terms. */
export function decimal(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size >= 1e6 || (size > 0 && size < 1e-3)) return value.toPrecision(3);
  return (size >= 100 ? trim(value.toFixed(1)) : value.toFixed(3)).replace("-", "−");
}

export function plural(n: number, one: string, many: string): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}

/** Local time of day, with the date unless it is that of `now`. */
export function clock(at: Date, now: Date): string {
  const time = `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
  return at.toDateString() === now.toDateString() ? time : `${date(at)} ${time}`;
}

/** Local time in full with its offset, and UTC as on the wire. */
export function clockInFull(at: Date): string {
  if (Number.isNaN(at.getTime())) return "unknown";
  const minutes = -at.getTimezoneOffset();
  const size = Math.abs(minutes);
  const offset = `UTC${minutes < 0 ? "−" : "+"}${pad(Math.floor(size / 60))}:${pad(size % 60)}`;
  const time = `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
  return `${date(at)} ${time}.${pad(at.getMilliseconds(), 3)} ${offset} (${at.toISOString()})`;
}

function date(at: Date): string {
  return `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}`;
}
