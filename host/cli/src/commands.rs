//! One file per command.

pub mod serve;
pub mod worker;
pub mod submit;
pub mod run;
pub mod status;
pub mod explain;
pub mod logs;
pub mod cancel;
pub mod retry;
pub mod workers;
pub mod queues;
pub mod policy;
pub mod simulate;
pub mod import;
pub mod forecast;
pub mod config;
pub mod store;
pub mod history;
pub mod demo;
pub mod completions;

/// `NAME=VALUE` on the command line.
fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
