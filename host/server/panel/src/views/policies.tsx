// What decides: the policy in each slot, what could serve instead, what was refused, and what served before.

import { useEffect } from "preact/hooks";
import { send } from "../api";
import { count, decimal, duration, micros, plural } from "../core/format";
import type { AvailablePolicy, FailedPolicy, Forecasts, Policies, Policy, PolicySwap, RefusedPolicy, Slot } from "../core/wire";
import { followChanges } from "../live";
import { Action } from "../parts/action";
import { useAsked } from "../parts/asked";
import { Facts, Failed, Section, Waiting } from "../parts/notes";
import { Generation } from "../parts/terms";
import { Since, Time } from "../parts/times";

const SLOTS: readonly Slot[] = ["scoring", "queue", "rescheduling", "forecasting"];
const WHAT: Record<Slot, string> = {
  scoring: "which worker gets a task", queue: "which task comes next", rescheduling: "what running work is moved",
  forecasting: "what workers will measure",
};
const REFRESH_MS = 3000;

export function PoliciesView() {
  const asked = useAsked<Policies>("/v1/policies", { gap: 300, every: REFRESH_MS });
  useEffect(() => followChanges((changes) => {
    if (changes.policies) asked.refresh();
  }), []);
  const change = async (method: "POST" | "PUT", path: string, body?: unknown) => {
    try {
      await send(method, path, body);
    } finally {
      asked.refresh();
    }
  };
  const it = asked.value;
  return (
    <div class="view" data-testid="view-policies">
      <header class="head">
        <h1>Policies</h1>
        <Action label="Look again" describedAs="Look at the policies folder again" testid="reload" onDo={() => change("POST", "/v1/policies/reload")} />
        {it?.looking_at && (
          <span class="warn" role="status">looking at {it.looking_at.name}{it.looking_at.slot ? ` for ${it.looking_at.slot}` : ""} for <Since at={it.looking_at.since} /></span>
        )}
      </header>
      {asked.error !== undefined && <Failed what="The policies cannot be asked for" why={asked.error} onRetry={asked.refresh} />}
      {it === undefined && asked.error === undefined && <Waiting what="the policies" />}
      {it?.message && <p class="note is-bad" role="alert">{it.message}</p>}
      {it !== undefined && SLOTS.map((slot) => (
        <SlotSection
          key={slot} slot={slot} policy={it.slots.find((policy) => policy.slot === slot)}
          available={it.available.filter((policy) => policy.slot === slot)} change={change}
        />
      ))}
      {it !== undefined && <Refused refused={it.refused} />}
      {it?.history !== undefined && <History swaps={it.history} />}
    </div>
  );
}

type Change = (method: "POST" | "PUT", path: string, body?: unknown) => Promise<void>;

interface SlotProps { slot: Slot; policy?: Policy; available: AvailablePolicy[]; change: Change }

function SlotSection({ slot, policy, available, change }: SlotProps) {
  return (
    <Section
      title={`${slot[0].toUpperCase()}${slot.slice(1)}: ${WHAT[slot]}`}
      testid={`slot-${slot}`}
      aside={policy && (
        <Action
          label="Roll back" describedAs={`Roll back ${slot}`} question={`Go back to what served ${slot} before?`} testid={`rollback-${slot}`}
          onDo={() => change("POST", `/v1/policies/${slot}/rollback`)}
        />
      )}
    >
      {policy === undefined ? <p class="faint">Nothing serves this slot.</p> : <Serving policy={policy} />}
      <Available slot={slot} serving={policy} available={available} change={change} />
    </Section>
  );
}

function Serving({ policy }: { policy: Policy }) {
  const kinds = Object.entries(policy.failures_by_kind ?? {}).map(([kind, n]) => `${n} ${kind}`);
  const isWell = policy.state === "serving";
  return (
    <>
      <p class="serving">
        <b data-testid={`serving-${policy.slot}`}>{policy.name}</b> {policy.version} <Generation generation={policy.generation} digest={policy.digest} />{" "}
        <span class={isWell ? "tag" : "tag is-warn"}>{isWell ? "✓ " : "! "}{policy.state}</span>
        {policy.provenance?.description && <span class="muted"> {policy.provenance.description}</span>}
      </p>
      {policy.message && <p class="bad">{policy.message}</p>}
      <Facts
        rows={[
          ["Calls", count(policy.calls)],
          ["p50", micros(policy.p50_us)],
          ["p99", micros(policy.p99_us)],
          ["Failures", policy.failures === 0 ? "none" : <span class="bad">{count(policy.failures)}: {kinds.join(", ")}</span>],
          ["Since", <Time at={policy.since} />],
          ["Source", policy.source],
          ["Bound", policy.bound !== policy.name && policy.bound],
          ["Chosen by hand", policy.chosen],
          ["Refused contents", policy.refusals > 0 && count(policy.refusals)],
          ["Log lines dropped", policy.lines_dropped > 0 && count(policy.lines_dropped)],
          ["Digest", <code class="digest">{policy.digest}</code>],
          ["Digest of its files", policy.assets && <code class="digest">{policy.assets}</code>],
          ["Made with", policy.provenance?.made_with?.join(", ")],
          ["Authors", policy.provenance?.authors],
          ...Object.entries(policy.gauges ?? {}).map(([name, value]): [string, string] => [`gauge ${name}`, decimal(value)]),
        ]}
      />
      {policy.forecasts && <Foretold forecasts={policy.forecasts} />}
      {policy.last_failure && <LastFailure failure={policy.last_failure} />}
    </>
  );
}

function Foretold({ forecasts }: { forecasts: Forecasts }) {
  return (
    <>
      <p class="muted">
        {plural(forecasts.workers, "worker is", "workers are")} foretold every {duration(forecasts.interval_ms)},{" "}
        {duration(forecasts.horizon_ms)} ahead; the last time took {micros(forecasts.took_us)}.
      </p>
      <table class="plain" data-testid="forecasts">
        <thead><tr><th>Column</th><th>Forecasts</th><th>Off by</th><th>Newest value</th><th>A day before</th><th>Ratio</th><th>Compared</th></tr></thead>
        <tbody>
          {forecasts.columns.map((it) => (
            <tr key={it.column}>
              <td class="cell-name">{it.column}</td>
              <td><span class={it.fit ? "tag" : "tag is-warn"}>{it.fit ? "✓ fit" : "! unfit"}</span></td>
              <td class="num">{decimal(it.error)}</td>
              <td class="num">{decimal(it.persistence_error)}</td>
              <td class="num">{it.seasonal_error === undefined ? "–" : decimal(it.seasonal_error)}</td>
              <td class="num">{it.ratio === undefined ? "–" : decimal(it.ratio)}</td>
              <td class="num">{count(it.compared)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}

function LastFailure({ failure }: { failure: FailedPolicy }) {
  return (
    <p class="bad">
      Last failure{failure.at && <> at <Time at={failure.at} /></>}: {failure.name} {failure.version}{" "}
      <Generation generation={failure.generation} digest={failure.digest} /> in {failure.stage}, {failure.kind}: {failure.message}
    </p>
  );
}

function Available({ slot, serving, available, change }: { slot: Slot; serving?: Policy; available: AvailablePolicy[]; change: Change }) {
  if (available.length === 0) return null;
  return (
    <table class="plain available">
      <thead><tr><th>Available</th><th>Version</th><th>Digest</th><th>Source</th><th>What it does</th><th><span class="hidden">Action</span></th></tr></thead>
      <tbody>
        {available.map((policy) => {
          const isServing = serving?.name === policy.name && serving.digest === policy.digest;
          return (
            <tr key={`${policy.name} ${policy.digest}`}>
              <td class="cell-name">{policy.name}</td>
              <td>{policy.version}</td>
              <td><code title={policy.digest}>{policy.digest.slice(0, 12)}</code></td>
              <td>{policy.source}</td>
              <td class="muted">{policy.provenance?.description}</td>
              <td class="right">
                {isServing
                  ? <span class="faint">serves</span>
                  : <Action label="Use" describedAs={`Use ${policy.name} for ${slot}`} testid={`use-${slot}-${policy.name}`} onDo={() => change("PUT", `/v1/policies/${slot}`, { component: policy.name })} />}
              </td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

function Refused({ refused }: { refused: RefusedPolicy[] }) {
  if (refused.length === 0) return null;
  return (
    <Section title={`Refused (${refused.length})`} testid="refused">
      <table class="plain">
        <thead><tr><th>File</th><th>Stage</th><th>Why</th><th>Digest</th><th>At</th></tr></thead>
        <tbody>
          {refused.map((it, index) => (
            <tr key={index}>
              <td class="cell-name">{it.file}</td>
              <td>{it.stage}</td>
              <td class="bad wrap">{it.reason}</td>
              <td><code title={it.digest}>{it.digest.slice(0, 12)}</code></td>
              <td class="num"><Time at={it.at} /></td>
            </tr>
          ))}
        </tbody>
      </table>
    </Section>
  );
}

const CAUSES: Record<string, string> = {
  configured: "as configured", chosen: "chosen by hand", fallback: "the one before failed",
};

function History({ swaps }: { swaps: PolicySwap[] }) {
  if (swaps.length === 0) return null;
  return (
    <Section title={`History: ${plural(swaps.length, "swap", "swaps")}`} testid="history">
      <table class="plain">
        <thead><tr><th>At</th><th>Slot</th><th>Policy</th><th>Generation</th><th>Source</th><th>Why</th></tr></thead>
        <tbody>
          {swaps.map((it, index) => (
            <tr key={index} data-testid="swap-row">
              <td class="num"><Time at={it.at} /></td>
              <td>{it.slot}</td>
              <td class="cell-name">{it.name} {it.version}</td>
              <td><Generation generation={it.generation} digest={it.digest} /></td>
              <td>{it.source}</td>
              <td class="wrap">{CAUSES[it.cause] ?? it.cause}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Section>
  );
}
