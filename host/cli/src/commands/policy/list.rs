//! What a host tells of its policies, for people: who serves, what else there is, what was refused. Names,
//! claims and reasons are written by others, and so are printed as plain text only.

use crate::output::{Colour, Output, Table};
use crate::shown;
use pointsman_protocol::api::{
    AvailablePolicy, ForecastsView, PoliciesView, PolicyView, ProvenanceView, RefusedPolicy,
};
use pointsman_protocol::timestamp::Timestamp;

/// Characters of a name in a table at most; the lines below it have room for all of it.
const NAME_MAX: usize = 30;
const LICENCE_MAX: usize = 24;
const FILE_MAX: usize = 30;

pub fn tell(policies: &PoliciesView, output: Output) {
    if let Some(problem) = &policies.message {
        output.wrapped("warning  ", problem);
    }
    output.table(&serving(policies));
    for policy in &policies.slots {
        tell_slot(policy, output);
    }
    if !policies.available.is_empty() {
        output.line("");
        output.table(&available(&policies.available));
    }
    if let Some(candidate) = &policies.looking_at {
        output.line("");
        let slot = candidate.slot.map_or_else(String::new, |slot| format!(" for {slot}"));
        let since = second(candidate.since);
        let told = format!("{}{slot}: being compiled and tried since {since}", candidate.name);
        output.wrapped("candidate  ", &told);
    }
    for refused in &policies.refused {
        tell_refused(refused, output);
    }
}

fn serving(policies: &PoliciesView) -> Table {
    let mut table =
        Table::new(&["SLOT", "POLICY", "STATE", "GENERATION", "CALLS", "FAILURES", "P50", "P99"]);
    let micros = |us: Option<f64>| shown::or_dash(us.map(|us| format!("{us:.0} µs")));
    for policy in &policies.slots {
        let colour = if policy.state == "serving" { Colour::Green } else { Colour::Yellow };
        table.row([
            (Colour::Plain, policy.slot.to_string()),
            (Colour::Plain, named(&policy.name, &policy.version)),
            (colour, policy.state.clone()),
            (Colour::Plain, policy.generation.to_string()),
            (Colour::Plain, policy.calls.to_string()),
            (Colour::Plain, policy.failures.to_string()),
            (Colour::Plain, micros(policy.p50_us)),
            (Colour::Plain, micros(policy.p99_us)),
        ]);
    }
    table
}

/// Where it comes from, why it and no other serves, and what is wrong.
fn tell_slot(policy: &PolicyView, output: Output) {
    output.line("");
    let name = format!("{} {}", policy.name, policy.version);
    output.wrapped("", &format!("{}: {}", policy.slot, name.trim_end()));
    let fact = |label: &str, text: &str| output.wrapped(&format!("  {label:<9} "), text);
    fact("from", &policy.source);
    if policy.digest != "native" {
        fact("sha256", &policy.digest);
    }
    if let Some(assets) = &policy.assets {
        fact("files", &format!("sha256 {assets}"));
    }
    fact("since", &second(policy.since));
    match (&policy.bound, &policy.chosen) {
        (Some(bound), Some(chosen)) => {
            fact("chosen", &format!("{chosen}, by hand; the configuration binds {bound}"));
        }
        (None, Some(chosen)) => fact("chosen", &format!("{chosen}, by hand")),
        (Some(bound), None) => fact("bound", &format!("{bound}, by the configuration")),
        (None, None) => {}
    }
    if let Some(claims) = policy.provenance.as_deref() {
        tell_claims(claims, &fact);
    }
    if policy.refusals > 0 {
        fact("refusals", &format!("{} since the host was started", policy.refusals));
    }
    if let Some(forecasts) = policy.forecasts.as_deref() {
        tell_forecasts(forecasts, &fact);
    }
    if let Some(message) = &policy.message {
        fact("message", message);
    }
}

fn tell_forecasts(forecasts: &ForecastsView, fact: &impl Fn(&str, &str)) {
    let seconds = |ms: u64| ms as f64 / 1e3;
    let ForecastsView { horizon_ms, interval_ms, workers, .. } = *forecasts;
    let (ahead, every) = (seconds(horizon_ms), seconds(interval_ms));
    fact("foretells", &format!("{ahead} s ahead, every {every} s, for {workers} workers"));
    for it in &forecasts.columns {
        let fit = if it.fit { "fit" } else { "unfit" };
        let told = match (it.ratio, it.seasonal_error) {
            (None, _) => {
                format!("{fit}: {} forecasts compared, 30 are needed to judge", it.compared)
            }
            (Some(ratio), seasonal) => {
                let seasonal =
                    seasonal.map_or_else(String::new, |it| format!(", a day before by {it:.4}"));
                format!(
                    "{fit}: {ratio:.2} times the error of the best plain forecast; off by {:.4}, the \
                     newest value by {:.4}{seasonal}, over {} forecasts",
                    it.error, it.persistence_error, it.compared
                )
            }
        };
        fact(&it.column, &told);
    }
}

fn tell_claims(claims: &ProvenanceView, fact: &impl Fn(&str, &str)) {
    for (label, claim) in [
        ("licence", &claims.license),
        ("source", &claims.source),
        ("revision", &claims.revision),
        ("authors", &claims.authors),
    ] {
        if let Some(claim) = claim {
            fact(label, claim);
        }
    }
    if !claims.made_with.is_empty() {
        fact("made with", &claims.made_with.join(", "));
    }
}

fn available(policies: &[AvailablePolicy]) -> Table {
    let mut table = Table::new(&["AVAILABLE", "SLOT", "LICENCE", "FROM"]);
    for policy in policies {
        let licence = policy.provenance.as_deref().and_then(|claims| claims.license.as_deref());
        table.plain([
            named(&policy.name, &policy.version),
            policy.slot.to_string(),
            shown::or_dash(licence.map(|licence| cut(licence, LICENCE_MAX))),
            end(&policy.source, FILE_MAX),
        ]);
    }
    table
}

fn tell_refused(refused: &RefusedPolicy, output: Output) {
    output.line("");
    let told = format!("  {} at {}", refused.file, refused.stage);
    output.parts(&[(Colour::Red, "refused"), (Colour::Plain, &told)]);
    output.wrapped("  reason    ", &refused.reason);
    if !refused.digest.is_empty() {
        output.wrapped("  sha256    ", &refused.digest);
    }
    output.wrapped("  at        ", &second(refused.at));
}

fn named(name: &str, version: &str) -> String {
    cut(format!("{name} {version}").trim_end(), NAME_MAX)
}

fn cut(text: &str, n_chars: usize) -> String {
    match text.char_indices().nth(n_chars) {
        Some(_) => text.chars().take(n_chars - 1).chain(['…']).collect(),
        None => text.to_owned(),
    }
}

/// Of a path the end says more.
fn end(text: &str, n_chars: usize) -> String {
    let n = text.chars().count();
    if n <= n_chars {
        return text.to_owned();
    }
    std::iter::once('…').chain(text.chars().skip(n + 1 - n_chars)).collect()
}

/// Without the fraction.
fn second(at: Timestamp) -> String {
    let text = at.to_string();
    text.split_once('.').map_or_else(|| text.clone(), |(second, _)| format!("{second}Z"))
}
