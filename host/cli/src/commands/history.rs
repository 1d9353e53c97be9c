//! `pointsman history`: what was measured and reported over time, as files for other tools.

mod rows;
mod sink;

use crate::client::{Client, Connection};
use crate::exit::{Exit, Failure};
use crate::output::Output;
use anyhow::Context;
use clap::ValueEnum;
use pointsman_protocol::api::{FeedbackRow, MeasurementRow, Page};
use pointsman_protocol::timestamp::Timestamp;
use rows::{FEEDBACK, Feedback, MEASUREMENTS, Measurement};
use serde::de::DeserializeOwned;
use sink::Sink;
use std::path::PathBuf;

/// What workers measured and tasks reported over time
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Export(Export),
}

/// Write the rows that the host keeps, oldest first, as CSV or as JSON lines
///
/// Both formats have the same keys. A value that was not measured is empty in CSV and null in JSON lines.
/// Times are whole milliseconds since the Unix epoch. `--json` is the same as `--format jsonl`.
#[derive(Debug, clap::Args)]
struct Export {
    /// Which rows: what workers measured, or what was reported of running tasks
    #[arg(long, value_enum, default_value_t = Kind::Measurements)]
    kind: Kind,
    /// How to write them [default: csv]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Only rows of workers of this name
    #[arg(long, value_name = "NAME")]
    worker: Option<String>,
    /// None from before, like 2026-10-25T01:30:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<Timestamp>,
    /// None from then or later
    #[arg(long, value_name = "TIME", value_parser = time)]
    to: Option<Timestamp>,
    /// Where to write them; the file is there only when it is complete [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Measurements,
    Feedback,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// With a line of names, as RFC 4180 has it
    Csv,
    /// One object a line
    Jsonl,
}

/// The most that the host gives.
const ROWS_PER_PAGE: &str = "10000";

fn time(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|flaw: pointsman_protocol::field::Flaw| flaw.to_string())
}

pub fn history(args: &Args, connection: &Connection, output: Output) -> Result<Exit, Failure> {
    let Action::Export(export) = &args.action;
    let format = match (export.format, output.json) {
        (Some(Format::Csv), true) => {
            return Err(Failure::usage(
                "--format csv: is at odds with --json; leave one of them out",
            ));
        }
        (Some(format), _) => format,
        (None, true) => Format::Jsonl,
        (None, false) => Format::Csv,
    };
    let client = Client::new(connection)?;
    let n_rows = crate::with_runtime(async {
        match export.kind {
            Kind::Measurements => {
                let row = |row: &MeasurementRow, sink: &mut Sink| sink.put(&Measurement::of(row));
                copy(&client, export, "/v1/history/measurements", &MEASUREMENTS, format, row).await
            }
            Kind::Feedback => {
                let row = |row: &FeedbackRow, sink: &mut Sink| sink.put(&Feedback::of(row));
                copy(&client, export, "/v1/history/feedback", &FEEDBACK, format, row).await
            }
        }
    })?;
    if n_rows == 0 && export.worker.is_some() {
        eprintln!("no rows of a worker of this name; names are listed by: pointsman workers");
    } else if let (Some(path), false) = (&export.out, output.json) {
        output.line(format!("{}: {n_rows} rows", path.display()));
    }
    Ok(Exit::Ok)
}

/// Page after page, each written before the next one is asked for. How many rows there were.
async fn copy<T: DeserializeOwned>(
    client: &Client,
    export: &Export,
    path: &str,
    names: &[&str],
    format: Format,
    put: impl Fn(&T, &mut Sink) -> std::io::Result<()>,
) -> Result<u64, Failure> {
    let mut sink = Sink::open(export.out.as_deref(), format == Format::Csv)
        .with_context(|| format!("--out: failed to write beside {}", shown(export)))?;
    let failed = || format!("failed to write {}", shown(export));
    sink.begin(names).with_context(failed)?;
    let [from, to] = [export.from, export.to].map(|it| it.map(|time| time.to_string()));
    let mut query = vec![("limit", ROWS_PER_PAGE)];
    query.extend(export.worker.as_deref().map(|it| ("worker", it)));
    query.extend(from.as_deref().map(|it| ("from", it)));
    query.extend(to.as_deref().map(|it| ("to", it)));
    let mut cursor: Option<String> = None;
    let mut n_rows = 0;
    loop {
        let mut query = query.clone();
        query.extend(cursor.as_deref().map(|it| ("cursor", it)));
        let page: Page<T> = client.read(path, &query).await?;
        for row in &page.items {
            put(row, &mut sink).with_context(failed)?;
        }
        sink.flush().with_context(failed)?;
        n_rows += page.items.len() as u64;
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    sink.finish().with_context(failed)?;
    Ok(n_rows)
}

fn shown(export: &Export) -> String {
    export.out.as_ref().map_or("standard output".to_owned(), |path| path.display().to_string())
}
