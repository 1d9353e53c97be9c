//! `pointsman demo`: a real workflow on a host and three workers, while policies change and a worker
//! dies.

use crate::demo;
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// See it work: a host, three workers, a recorded workflow, policies swapped live, a worker killed
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Leave host and workers running, and tell what to try
    #[arg(long)]
    keep: bool,
}

pub fn demo(args: &Args, output: Output) -> Result<Exit, Failure> {
    crate::with_runtime(demo::play(args.keep, output))
}
