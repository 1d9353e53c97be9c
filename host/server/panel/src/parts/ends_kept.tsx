// A name in a narrow place: those of one family differ at the end, so that is what stays.

const TAIL_CHARS = 16;

export function EndsKept({ text }: { text: string }) {
  const chars = [...text];
  const begin = chars.length <= TAIL_CHARS ? text : chars.slice(0, -TAIL_CHARS).join("");
  return (
    <span class="ends">
      <span class="begin">{begin}</span>
      {chars.length > TAIL_CHARS && <span class="end">{chars.slice(-TAIL_CHARS).join("")}</span>}
    </span>
  );
}
