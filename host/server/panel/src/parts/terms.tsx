// What a score is made of, part by part.

import { decimal } from "../core/format";
import type { Stamp, Terms } from "../core/wire";
import { store } from "../live";

export function TermList({ terms }: { terms: Terms | undefined }) {
  if (terms === undefined || terms.length === 0) return null;
  const largest = Math.max(...terms.map(([, value]) => Math.abs(value)), 1e-9);
  return (
    <ul class="terms">
      {terms.map(([name, value], index) => (
        <li key={index}>
          <span class="term-name">{name}</span>
          <span class="term-bar" aria-hidden="true">
            <span
              class={value < 0 ? "is-negative" : ""}
              style={{ width: `${(Math.abs(value) / largest) * 100}%` }}
            />
          </span>
          <span class="num">{decimal(value)}</span>
        </li>
      ))}
    </ul>
  );
}

/** Which loading of a policy: generation and the begin of its digest. */
export function Generation({ generation, digest }: Stamp) {
  return (
    <span class="stamp" title={`generation ${generation}, digest ${digest}`}>
      #{generation} <code>{digest.slice(0, 12)}</code>
    </span>
  );
}

/** With the policy's name, which is known of those that serve. */
export function DecidedBy({ stamp }: { stamp: Stamp }) {
  const { generation, digest } = stamp;
  const serving = store.policies.slots.find((it) => it.generation === generation && it.digest.startsWith(digest));
  return <span>{serving?.name} <Generation {...stamp} /></span>;
}
