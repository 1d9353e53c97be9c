//! `pointsman queues`: what waits where, and pausing.

use crate::client::{Client, Connection, segment};
use crate::exit::{Exit, Failure};
use crate::output::{Colour, Output, Table};
use crate::shown;
use pointsman_protocol::api::QueueView;

/// List queues, pause or resume one
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Start nothing of it; what runs goes on
    Pause { name: String },
    /// Start its tasks again
    Resume { name: String },
}

pub fn queues(args: &Args, connection: &Connection, output: Output) -> Result<Exit, Failure> {
    let client = Client::new(connection)?;
    crate::with_runtime(async {
        let (name, word, told) = match &args.action {
            None => return list(&client, output).await,
            Some(Action::Pause { name }) => (name, "pause", "is paused"),
            Some(Action::Resume { name }) => (name, "resume", "goes on"),
        };
        client.post(&format!("/v1/queues/{}/{word}", segment(name))).await?;
        if !output.json {
            output.line(format!("{name} {told}"));
        }
        Ok(Exit::Ok)
    })
}

async fn list(client: &Client, output: Output) -> Result<Exit, Failure> {
    let answer = client.get("/v1/queues", &[]).await?;
    if output.json {
        output.raw(&answer.text);
        return Ok(Exit::Ok);
    }
    let queues: Vec<QueueView> = answer.read()?;
    let mut table = Table::new(&["QUEUE", "STATE", "PENDING", "PLACED", "LIMIT", "DISCIPLINE"]);
    for queue in &queues {
        let (colour, state) =
            if queue.paused { (Colour::Yellow, "paused") } else { (Colour::Green, "open") };
        table.row([
            (Colour::Plain, queue.name.clone()),
            (colour, state.to_owned()),
            (Colour::Plain, queue.pending.to_string()),
            (Colour::Plain, queue.placed.to_string()),
            (Colour::Plain, shown::or_dash(queue.limit)),
            (
                Colour::Plain,
                queue
                    .discipline
                    .map_or_else(|| "as the policy says".to_owned(), |it| it.to_string()),
            ),
        ]);
    }
    output.table(&table);
    Ok(Exit::Ok)
}
