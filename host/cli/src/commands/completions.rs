//! `pointsman completions`: what a shell needs to complete commands and options.

use crate::exit::{Exit, Failure};
use clap_complete::Shell;

/// Print what a shell needs to complete commands and options
///
/// For example: pointsman completions bash > ~/.local/share/bash-completion/completions/pointsman
#[derive(Debug, clap::Args)]
pub struct Args {
    shell: Shell,
}

pub fn completions(args: &Args, mut command: clap::Command) -> Result<Exit, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut command, "pointsman", &mut text);
    match std::io::Write::write_all(&mut std::io::stdout(), &text) {
        // A pager that was closed has seen enough.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::from(error).into())
        }
        Ok(()) | Err(_) => Ok(Exit::Ok),
    }
}
