//! `pointsman policy`: what serves each slot, another choice, and back; and a policy's way there, from a
//! new project to a file that is measured.

mod bench;
mod check;
mod new;
mod project;
mod subject;

use crate::client::{Client, Connection};
use crate::exit::{Exit, Failure};
use crate::output::{Colour, Output, Table};
use crate::shown;
use pointsman_protocol::api::{PoliciesView, WireSlot};
use reqwest::Method;
use serde_json::json;

/// Write, check and measure policies; list them, put another one in force, or go back
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    New(new::Args),
    Check(check::Args),
    Bench(bench::Args),
    #[command(flatten)]
    Host(Order),
}

/// What a running host is asked.
#[derive(Debug, clap::Subcommand)]
enum Order {
    /// What serves each slot, what could, and what was refused
    List,
    /// Put a policy in force, without any pause
    Use {
        /// scoring, queue or rescheduling
        slot: WireSlot,
        /// A standard policy, or a file of the policies folder without .wasm
        name: String,
    },
    /// Back to the policy that served before
    Rollback {
        /// scoring, queue or rescheduling
        slot: WireSlot,
    },
    /// Look at the policies folder now
    Reload,
}

pub fn policy(args: &Args, connection: &Connection, output: Output) -> Result<Exit, Failure> {
    let order = match &args.action {
        Action::New(args) => return new::new(args, output),
        Action::Check(args) => return check::check(args, output),
        Action::Bench(args) => return bench::bench(args, output),
        Action::Host(order) => order,
    };
    let client = Client::new(connection)?;
    crate::with_runtime(async {
        let answer = match order {
            Order::List => client.get("/v1/policies", &[]).await?,
            Order::Use { slot, name } => {
                let body = json!({ "component": name }).to_string();
                client.send_json(Method::PUT, &format!("/v1/policies/{slot}"), body, &[]).await?
            }
            Order::Rollback { slot } => {
                client.post(&format!("/v1/policies/{slot}/rollback")).await?
            }
            Order::Reload => client.post("/v1/policies/reload").await?,
        };
        if output.json {
            output.raw(&answer.text);
        } else {
            tell(&answer.read()?, output);
        }
        Ok(Exit::Ok)
    })
}

fn tell(policies: &PoliciesView, output: Output) {
    let headings =
        ["SLOT", "POLICY", "GENERATION", "STATE", "CALLS", "FAILURES", "P50", "P99", "SOURCE"];
    let mut table = Table::new(&headings);
    let micros = |us: Option<f64>| shown::or_dash(us.map(|us| format!("{us:.0} µs")));
    for policy in &policies.slots {
        let colour = if policy.state == "serving" { Colour::Green } else { Colour::Yellow };
        table.row([
            (Colour::Plain, policy.slot.to_string()),
            (Colour::Plain, format!("{} {}", policy.name, policy.version).trim_end().to_owned()),
            (Colour::Plain, policy.generation.to_string()),
            (colour, policy.state.clone()),
            (Colour::Plain, policy.calls.to_string()),
            (Colour::Plain, policy.failures.to_string()),
            (Colour::Plain, micros(policy.p50_us)),
            (Colour::Plain, micros(policy.p99_us)),
            (Colour::Plain, policy.source.clone()),
        ]);
    }
    output.table(&table);
    for policy in &policies.slots {
        if let Some(message) = &policy.message {
            output.line(format!("{} {}: {message}", policy.slot, policy.name));
        }
    }
    if !policies.available.is_empty() {
        output.line("");
        let mut table = Table::new(&["AVAILABLE", "SLOT", "SOURCE"]);
        for policy in &policies.available {
            let name = format!("{} {}", policy.name, policy.version).trim_end().to_owned();
            table.plain([name, policy.slot.to_string(), policy.source.clone()]);
        }
        output.table(&table);
    }
    for refused in &policies.refused {
        let what = output.paint(Colour::Red, "refused");
        output.line(format!("{what} {} at {}: {}", refused.file, refused.stage, refused.reason));
    }
}
