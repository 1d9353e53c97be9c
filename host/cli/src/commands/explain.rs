//! `pointsman explain`: why a task waits, and what each worker would say to it.

use crate::client::{Client, Connection};
use crate::exit::{Exit, Failure};
use crate::output::{Colour, Output, Table};
use crate::shown;
use pointsman_protocol::api::{ExplanationView, PlacedView, VerdictView};
use pointsman_scheduler::ids::TaskId;

/// Tell why a task waits, or where it could run
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Like t12
    task: TaskId,
}

pub fn explain(args: &Args, connection: &Connection, output: Output) -> Result<Exit, Failure> {
    let client = Client::new(connection)?;
    crate::with_runtime(async {
        let answer = client.get(&format!("/v1/tasks/{}/explain", args.task), &[]).await?;
        if output.json {
            output.raw(&answer.text);
        } else {
            tell(&answer.read()?, output);
        }
        Ok(Exit::Ok)
    })
}

fn tell(explanation: &ExplanationView, output: Output) {
    let name = explanation.name.as_deref().map_or_else(String::new, |name| format!(" ({name})"));
    output.parts(&[
        (Colour::Plain, &format!("{}{name} ", explanation.task)),
        (shown::task_colour(explanation.state), explanation.state.word()),
    ]);
    if let Some(reason) = &explanation.reason {
        output.line(format!("  {} [{}]", reason.text, reason.code));
        output.line(format!("  it starts when {}", reason.starts_when));
    }
    if !explanation.waits_for.is_empty() {
        let waits_for: Vec<String> =
            explanation.waits_for.iter().map(ToString::to_string).collect();
        output.line(format!("  it depends on {}", waits_for.join(", ")));
    }
    if let Some(position) = explanation.queue_position {
        output.line(format!("  place {position} in its queue"));
    }
    if let Some(placed) = &explanation.placed {
        tell_placement(placed, output);
    }
    output.line(format!("  order by queue policy {}", shown::stamp(&explanation.queue_policy)));
    output
        .line(format!("  scores by scoring policy {}", shown::stamp(&explanation.scoring_policy)));
    if explanation.workers.is_empty() {
        output.line("  no worker has registered; start one by: pointsman worker");
        return;
    }
    let mut table = Table::new(&["WORKER", "VERDICT", "SCORE", "WHY"]);
    for verdict in &explanation.workers {
        let name = verdict.worker_name.clone().unwrap_or_else(|| verdict.worker.to_string());
        let colour = if verdict.verdict == "fits" { Colour::Green } else { Colour::Yellow };
        table.row([
            (Colour::Plain, name),
            (colour, verdict.verdict.to_string()),
            (Colour::Plain, shown::or_dash(verdict.score.map(|score| format!("{score:.3}")))),
            (Colour::Plain, why(verdict)),
        ]);
    }
    output.table(&table);
    if let Some(why) = &explanation.terms_missing {
        output.wrapped("  not all scores are taken apart: ", why);
    }
}

fn tell_placement(placed: &PlacedView, output: Output) {
    output.wrapped("  ", &placed.text);
    let second = placed.second.as_ref().map(|it| (&it.worker_name, it.worker, &it.terms));
    let chosen = (&placed.worker_name, placed.worker, &placed.terms);
    for (name, id, of_score) in [Some(chosen), second].into_iter().flatten() {
        if !of_score.is_empty() {
            let name = name.clone().unwrap_or_else(|| id.to_string());
            output.line(format!("    {name}: {}", terms(of_score)));
        }
    }
    if let Some(why) = &placed.terms_missing {
        output.wrapped("    the scores are not taken apart: ", why);
    }
    let (queue, scoring) = (&placed.queue_policy, &placed.scoring_policy);
    let by = format!("    by {} and {}", shown::stamp(queue), shown::stamp(scoring));
    output.line(by);
}

/// The sentence, or what the score is made of.
fn why(verdict: &VerdictView) -> String {
    if verdict.terms.is_empty() {
        return verdict.text.clone();
    }
    terms(&verdict.terms)
}

fn terms(terms: &[(String, f64)]) -> String {
    let terms: Vec<String> =
        terms.iter().map(|(name, value)| format!("{name} {value:.3}")).collect();
    terms.join(", ")
}
