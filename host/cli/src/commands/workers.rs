//! `pointsman workers`: who there is, and setting one aside.

use crate::client::{Client, Connection};
use crate::exit::{Exit, Failure};
use crate::output::{Colour, Output, Table};
use crate::shown;
use pointsman_protocol::api::{WireWorkerState, WorkerView};
use pointsman_scheduler::ids::WorkerId;

/// List workers, or set one aside
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Give it no new work; what it runs goes on
    Drain {
        /// Like w2
        id: WorkerId,
    },
    /// Give it work again, also if it is quarantined
    Resume {
        /// Like w2
        id: WorkerId,
    },
}

pub fn workers(args: &Args, connection: &Connection, output: Output) -> Result<Exit, Failure> {
    let client = Client::new(connection)?;
    crate::with_runtime(async {
        let (id, word, told) = match &args.action {
            None => return list(&client, output).await,
            Some(Action::Drain { id }) => (id, "drain", "gets no new work"),
            Some(Action::Resume { id }) => (id, "resume", "gets work when it is there"),
        };
        client.post(&format!("/v1/workers/{id}/{word}")).await?;
        if !output.json {
            output.line(format!("{id} {told}"));
        }
        Ok(Exit::Ok)
    })
}

async fn list(client: &Client, output: Output) -> Result<Exit, Failure> {
    let answer = client.get("/v1/workers", &[]).await?;
    if output.json {
        output.raw(&answer.text);
        return Ok(Exit::Ok);
    }
    let workers: Vec<WorkerView> = answer.read()?;
    if workers.is_empty() {
        output.line("no workers; start one by: pointsman worker");
        return Ok(Exit::Ok);
    }
    let headings = [
        "ID",
        "STATE",
        "RUNNING",
        "CPU FREE",
        "MEMORY FREE",
        "HEARTBEAT",
        "CPU USED",
        "NAME",
        "LIMITS",
    ];
    let mut table = Table::new(&headings);
    for worker in &workers {
        let free = worker.free.unwrap_or(worker.capacity);
        let heartbeat =
            worker.last_heartbeat_ms_ago.map(|ms| format!("{} ago", shown::span_ms(ms)));
        table.row([
            (Colour::Plain, worker.id.to_string()),
            state(worker),
            (Colour::Plain, worker.running.to_string()),
            (Colour::Plain, format!("{} of {}", free.cpu, worker.capacity.cpu)),
            (
                Colour::Plain,
                format!(
                    "{} of {}",
                    shown::memory(free.memory),
                    shown::memory(worker.capacity.memory)
                ),
            ),
            (Colour::Plain, shown::or_dash(heartbeat)),
            (Colour::Plain, shown::percent(worker.measurements.cpu_used)),
            (Colour::Plain, worker.name.clone()),
            (Colour::Plain, shown::or_dash(limits(worker))),
        ]);
    }
    output.table(&table);
    Ok(Exit::Ok)
}

fn limits(worker: &WorkerView) -> Option<String> {
    (!worker.limits.is_empty()).then(|| worker.limits.clone())
}

fn state(worker: &WorkerView) -> (Colour, String) {
    match worker.quarantined_until {
        Some(_) => (Colour::Red, "quarantined".to_owned()),
        None if worker.drained && worker.state == WireWorkerState::Lost => {
            (shown::worker_colour(worker.state), format!("{}, drained", worker.state))
        }
        None => (shown::worker_colour(worker.state), worker.state.to_string()),
    }
}
