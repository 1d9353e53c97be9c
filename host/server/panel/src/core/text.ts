// Text from outside is shown as text, and characters that would hide or reorder it are shown by number.

// C0 but tab and line feed, C1, soft hyphen, and whatever is invisible or turns the direction of writing.
const HIDDEN =
  /[\u0000-\u0008\u000B-\u001F\u007F-\u009F\u00AD\u061C\u180E\u200B\u200E\u200F\u2028-\u202E\u2060-\u2064\u2066-\u206F\uFEFF\uFFF9-\uFFFB]/g;

/** Like `a\u{202e}b` for a name with a direction override; anything else stays as it is. */
export function visible(text: string): string {
  return text.replace(HIDDEN, (it) => `\\u{${it.charCodeAt(0).toString(16)}}`);
}

/** Keeps both ends, since names of one family differ at the end. */
export function shorten(text: string, nChars: number): string {
  const chars = [...text];
  if (chars.length <= nChars) return text;
  const tail = Math.ceil((nChars - 1) * 0.6);
  const head = nChars - 1 - tail;
  return `${chars.slice(0, head).join("")}…${chars.slice(chars.length - tail).join("")}`;
}

/** The part up to the last separator that all names begin with, to be left out where room is short. */
export function sharedPrefix(names: readonly string[]): string {
  if (names.length < 2) return "";
  let prefix = names[0];
  for (const name of names) {
    while (!name.startsWith(prefix)) prefix = prefix.slice(0, -1);
    if (prefix === "") return "";
  }
  const end = Math.max(...[".", "-", "_", ":"].map((it) => prefix.lastIndexOf(it)));
  return prefix.slice(0, end + 1);
}

// Colours of terminals say nothing here; all other escapes stay visible.
const COLOURS = /\u001B\[[0-9;]*m/g;

/** Output of a script, for a `<pre>`: a lone carriage return begins a line. */
export function logText(text: string): string {
  return text.replace(COLOURS, "").replace(/\r\n/g, "\n").replace(/\r/g, "\n");
}
