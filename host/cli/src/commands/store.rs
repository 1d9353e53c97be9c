//! `pointsman store`: looking at a host's store, copying it, and getting out of a damaged one what
//! can be read. Works on files; no host is asked.

use crate::exit::{Exit, Failure};
use crate::output::Output;
use pointsman_store::{Checked, SetAside, StoreError, backup, check, salvage};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Check, copy or salvage the file a host keeps its tasks in
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Say what is in a store and all that is wrong with it; exit with 1 if something is
    Check {
        /// The file, or the data folder
        path: PathBuf,
    },
    /// Copy a store whole, as of one moment, also while its host runs
    Backup {
        /// The file, or the data folder
        path: PathBuf,
        /// The new file; put it in the place of store.sqlite to go on from it
        out: PathBuf,
    },
    /// Put all that can be read of a damaged store into a new one, and say what was lost
    Salvage {
        /// The file, or the data folder; it is not changed
        path: PathBuf,
        /// The new file; put it in the place of store.sqlite to go on from it
        out: PathBuf,
    },
}

/// Name of the file in a data folder.
const FILE: &str = "store.sqlite";
/// Lines of a long list that are shown to people.
const LINES_SHOWN: usize = 50;

pub fn store(args: &Args, output: Output) -> Result<Exit, Failure> {
    match &args.action {
        Action::Check { path } => show_check(&file(path), output),
        Action::Backup { path, out } => make_backup(&file(path), out, output),
        Action::Salvage { path, out } => make_salvage(&file(path), out, output),
    }
}

fn file(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(FILE) } else { path.to_owned() }
}

fn failed(error: StoreError) -> Failure {
    Failure::from(anyhow::Error::from(error))
}

fn show_check(path: &Path, output: Output) -> Result<Exit, Failure> {
    let checked = check(path).map_err(failed)?;
    let exit = if checked.problems.is_empty() { Exit::Ok } else { Exit::NotSucceeded };
    if output.json {
        output.raw(&check_json(path, &checked).to_string());
        return Ok(exit);
    }
    output.line(format!(
        "{}: format {}, {} bytes, term {}; {} jobs, {} tasks ({} ended), {} workers",
        path.display(),
        checked.format,
        checked.bytes,
        checked.term,
        checked.n_jobs,
        checked.n_tasks,
        checked.n_finished,
        checked.n_workers
    ));
    checked.notes.iter().for_each(|note| output.wrapped("note: ", note));
    for it in &checked.set_aside {
        let text = format!("{} {}, at {}: {}; {}", it.kind, it.key, it.at, it.problem, it.outcome);
        output.wrapped("set aside: ", &text);
    }
    show_list("problem: ", &checked.problems, output);
    match checked.problems.is_empty() {
        true => output.line("nothing is wrong"),
        false => output.line(
            "a host sets aside single records that cannot be read; for more than that restore a \
             backup, or see \"pointsman store salvage\"",
        ),
    }
    Ok(exit)
}

fn check_json(path: &Path, checked: &Checked) -> Value {
    json!({
        "path": path.display().to_string(),
        "format": checked.format,
        "bytes": checked.bytes,
        "term": checked.term,
        "jobs": checked.n_jobs,
        "tasks": checked.n_tasks,
        "finished": checked.n_finished,
        "workers": checked.n_workers,
        "notes": checked.notes,
        "set_aside": checked.set_aside.iter().map(set_aside_json).collect::<Vec<_>>(),
        "problems": checked.problems,
    })
}

fn set_aside_json(it: &SetAside) -> Value {
    json!({
        "at": it.at, "kind": it.kind, "key": it.key, "problem": it.problem, "outcome": it.outcome,
    })
}

fn make_backup(path: &Path, out: &Path, output: Output) -> Result<Exit, Failure> {
    let made = backup(path, out).map_err(failed)?;
    if output.json {
        let shown = json!({
            "path": path.display().to_string(),
            "out": out.display().to_string(),
            "bytes": made.bytes,
            "jobs": made.n_jobs,
            "tasks": made.n_tasks,
            "problems": made.problems,
        });
        output.raw(&shown.to_string());
    } else {
        let (n_jobs, n_tasks, bytes) = (made.n_jobs, made.n_tasks, made.bytes);
        let out = out.display();
        output.line(format!("{out}: {n_jobs} jobs, {n_tasks} tasks, {bytes} bytes"));
        show_list("problem: ", &made.problems, output);
    }
    Ok(if made.problems.is_empty() { Exit::Ok } else { Exit::NotSucceeded })
}

fn make_salvage(path: &Path, out: &Path, output: Output) -> Result<Exit, Failure> {
    let salvaged = salvage(path, out).map_err(failed)?;
    if output.json {
        let shown = json!({
            "path": path.display().to_string(),
            "out": out.display().to_string(),
            "jobs": salvaged.n_jobs,
            "tasks": salvaged.n_tasks,
            "mended": salvaged.n_tasks_mended,
            "workers": salvaged.n_workers,
            "lost": salvaged.lost,
        });
        output.raw(&shown.to_string());
        return Ok(Exit::Ok);
    }
    show_list("lost: ", &salvaged.lost, output);
    output.line(format!(
        "{}: {} jobs, {} tasks ({} of them not as they were), {} workers",
        out.display(),
        salvaged.n_jobs,
        salvaged.n_tasks,
        salvaged.n_tasks_mended,
        salvaged.n_workers
    ));
    Ok(Exit::Ok)
}

fn show_list(label: &str, lines: &[String], output: Output) {
    for line in lines.iter().take(LINES_SHOWN) {
        output.wrapped(label, line);
    }
    if lines.len() > LINES_SHOWN {
        output.line(format!("… and {} more; --json shows them", lines.len() - LINES_SHOWN));
    }
}
