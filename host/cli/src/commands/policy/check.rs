//! `pointsman policy check`: what a host would say to a file, without one.

use super::subject::{SubjectArgs, inspector};
use crate::exit::{Exit, Failure};
use crate::output::{Colour, Output};
use crate::shown;
use pointsman_policy::{Inspected, Limits, Metering};
use pointsman_scheduler::Slot;
use serde_json::{Value, json};

const AFTER_HELP: &str = "\
Exit codes: 0 a host would take it; 2 the file cannot be read, or wrong usage; 3 a host would refuse it,
for the stage and reason shown.";

/// Says whether a host would take a file, and what it learns of it; needs no host
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    #[command(flatten)]
    subject: SubjectArgs,
}

pub fn check(args: &Args, output: Output) -> Result<Exit, Failure> {
    let loaded = args.subject.load()?;
    match inspector()?.check(&loaded.subject()) {
        Ok(inspected) if output.json => {
            output.raw(&to_json(&inspected, &loaded.shown()).to_string());
            Ok(Exit::Ok)
        }
        Ok(inspected) => {
            tell(&inspected, &loaded.shown(), output);
            Ok(Exit::Ok)
        }
        Err(refusal) => Ok(loaded.tell_refusal(&refusal, output)),
    }
}

/// The file's facts, as `bench` shows them, too.
pub fn to_json(inspected: &Inspected, file: &str) -> Value {
    let properties: serde_json::Map<String, Value> =
        inspected.properties.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    let provenance = &inspected.provenance;
    let (cpu_ms, memory_limit) = limits(&inspected.limits);
    json!({
        "verdict": "accepted",
        "file": file,
        "slot": inspected.slot.name(),
        "name": inspected.name,
        "version": inspected.version,
        "digest": inspected.digest.to_string(),
        "size": inspected.size,
        "contract": inspected.contract,
        "guest": guest(inspected),
        "needs_worker": inspected.needs_worker,
        "needs_task": inspected.needs_task,
        "exports": inspected.interfaces,
        "provides": inspected.provides,
        "node_local": inspected.node_local,
        "properties": properties,
        "deterministic": true,
        "compile_us": shown::micros(inspected.compile),
        "start_us": shown::micros(inspected.start),
        "call_us_1000": shown::micros(inspected.trial.took),
        "memory": inspected.memory,
        "limits": { "cpu_ms_per_call": cpu_ms, "memory": memory_limit },
        "source": provenance.source,
        "license": provenance.license,
        "authors": provenance.authors,
        "revision": provenance.revision,
        "made_with": provenance.made_with,
    })
}

fn tell(inspected: &Inspected, file: &str, output: Output) {
    let what = format!("can serve the slot {}", inspected.slot.name());
    output.parts(&[(Colour::Green, "accepted"), (Colour::Plain, &format!(" {file} {what}"))]);
    // The file wrote most of it.
    let fact = |name: &str, value: &str| output.wrapped(&format!("  {name:<13} "), value);
    fact("name", format!("{} {}", inspected.name, inspected.version).trim_end());
    for (key, value) in &inspected.properties {
        fact(key, value);
    }
    fact("digest", &inspected.digest.to_string());
    fact("contract", &inspected.contract);
    fact("exports", &list(&inspected.interfaces));
    if !inspected.provides.is_empty() {
        fact("provides", &list(&inspected.provides));
    }
    fact("needs worker", &list(&inspected.needs_worker));
    fact("needs task", &list(&inspected.needs_task));
    if inspected.slot == Slot::Scoring {
        let yes = "yes: after a change only that worker is scored again";
        let no = "no: every candidate is scored for every task";
        fact("node-local", if inspected.node_local { yes } else { no });
    }
    let (cpu_ms, memory_limit) = limits(&inspected.limits);
    let bounds = format!("{cpu_ms} ms of CPU time a call, {} memory", shown::bytes(memory_limit));
    fact("guest", &format!("{}; limits: {bounds}", guest(inspected)));
    let compiled = shown::duration(inspected.compile);
    fact("size", &format!("{}, compiled in {compiled}", shown::bytes(inspected.size)));
    fact("start", &shown::duration(inspected.start));
    fact("1,000 rows", &shown::duration(inspected.trial.took));
    fact("peak memory", &shown::bytes(inspected.memory));
    fact(
        "deterministic",
        "a fresh and a used instance answer the trial batches with the same bits",
    );
    let provenance = &inspected.provenance;
    let claims = [
        ("source", &provenance.source),
        ("licence", &provenance.license),
        ("authors", &provenance.authors),
        ("revision", &provenance.revision),
    ];
    for (name, claim) in claims {
        if let Some(claim) = claim {
            fact(name, claim);
        }
    }
    if !provenance.made_with.is_empty() {
        fact("made with", &provenance.made_with.join(", "));
    }
}

fn guest(inspected: &Inspected) -> &'static str {
    if inspected.is_interpreted { "interpreted" } else { "compiled" }
}

fn list(names: &[impl AsRef<str>]) -> String {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

/// Milliseconds per call, bytes.
fn limits(limits: &Limits) -> (u128, usize) {
    let ms = match limits.metering {
        Metering::CpuTime { call, .. } => call.as_millis(),
        Metering::Fuel { .. } => unreachable!("a host limits calls by CPU time"),
    };
    (ms, limits.memory)
}
