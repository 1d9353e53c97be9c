//! Logs of the host itself: lines for people on a terminal, JSON elsewhere if asked for.

use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// Begins logging to standard error, filtered by the variable POINTSMAN_LOG [info]. Once a process;
/// later calls change nothing.
pub fn init(format: LogFormat) {
    let filter =
        EnvFilter::try_from_env("POINTSMAN_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let outcome = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    // Tests start several hosts in one process.
    drop(outcome);
}
