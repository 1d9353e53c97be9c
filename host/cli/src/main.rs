//! The binary `pointsman`: parses the command line and hands over to one file per command. It holds
//! no logic of scheduling; all it knows of a host comes through the public API.

mod agents;
mod client;
mod commands;
mod demo;
mod exit;
mod output;
mod progress;
mod shown;
mod waiting;

use clap::{CommandFactory, Parser, Subcommand};
use client::Connection;
use output::Output;
use std::process::ExitCode;

const AFTER_HELP: &str = "\
Exit codes: 0 it worked; 1 the job, task or command did not succeed; 2 wrong usage or bad input;
3 refused by the host; 4 the host is not reachable.
Begin with: pointsman serve --workers 1, and in another terminal: pointsman run 'echo hello'";

/// Runs graphs of scripts on many machines, under scheduling policies that are replaced while it runs.
#[derive(Debug, Parser)]
#[command(name = "pointsman", version, after_help = AFTER_HELP)]
struct Cli {
    #[command(flatten)]
    connection: Connection,
    /// Print the API's JSON instead of text for people
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(commands::serve::Args),
    Worker(commands::worker::Args),
    Submit(commands::submit::Args),
    Run(commands::run::Args),
    Status(commands::status::Args),
    Explain(commands::explain::Args),
    Logs(commands::logs::Args),
    Cancel(commands::cancel::Args),
    Retry(commands::retry::Args),
    Workers(commands::workers::Args),
    Queues(commands::queues::Args),
    Policy(commands::policy::Args),
    Simulate(commands::simulate::Args),
    Import(commands::import::Args),
    Forecast(commands::forecast::Args),
    Config(commands::config::Args),
    Store(commands::store::Args),
    History(commands::history::Args),
    Demo(commands::demo::Args),
    Completions(commands::completions::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = Output::new(cli.json);
    let connection = cli.connection;
    let outcome = match cli.command {
        Command::Serve(args) => commands::serve::serve(args),
        Command::Worker(args) => commands::worker::worker(args, &connection),
        Command::Submit(args) => commands::submit::submit(args, &connection, output),
        Command::Run(args) => commands::run::run(args, &connection, output),
        Command::Status(args) => commands::status::status(&args, &connection, output),
        Command::Explain(args) => commands::explain::explain(&args, &connection, output),
        Command::Logs(args) => commands::logs::logs(&args, &connection),
        Command::Cancel(args) => commands::cancel::cancel(&args, &connection, output),
        Command::Retry(args) => commands::retry::retry(&args, &connection, output),
        Command::Workers(args) => commands::workers::workers(&args, &connection, output),
        Command::Queues(args) => commands::queues::queues(&args, &connection, output),
        Command::Policy(args) => commands::policy::policy(&args, &connection, output),
        Command::Simulate(args) => commands::simulate::simulate(&args, output),
        Command::Import(args) => commands::import::import(&args),
        Command::Forecast(args) => commands::forecast::forecast(&args, output),
        Command::Config(args) => commands::config::config(&args, &connection, output),
        Command::Store(args) => commands::store::store(&args, output),
        Command::History(args) => commands::history::history(&args, &connection, output),
        Command::Demo(args) => commands::demo::demo(&args, output),
        Command::Completions(args) => commands::completions::completions(&args, Cli::command()),
    };
    let exit = outcome.unwrap_or_else(|failure| {
        output.tell_failure(&failure);
        failure.exit
    });
    ExitCode::from(exit as u8)
}

/// Runs a command that talks to a host.
fn with_runtime<T>(
    work: impl std::future::Future<Output = Result<T, exit::Failure>>,
) -> Result<T, exit::Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(anyhow::Error::from)?.block_on(work)
}
