//! `pointsman policy new`: a project that builds with the tools of its own language, anywhere.

use super::project::{Language, Project};
use super::subject::parse_slot;
use crate::exit::{BadInput, Exit, Failure};
use crate::output::{Colour, Output};
use anyhow::Context;
use pointsman_scheduler::Slot;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

/// Writes a project for a policy of your own: one function to edit, its test, and how to build it
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Small letters, digits and '-', beginning with a letter; also the name by which it is put in force
    name: String,
    /// scoring, queue, rescheduling or forecasting
    #[arg(long, default_value = "scoring", value_parser = parse_slot)]
    slot: Slot,
    #[arg(long, value_enum, default_value_t = Language::Rust)]
    lang: Language,
    /// Where to write it; must be empty or not exist [default: ./NAME]
    #[arg(long)]
    dir: Option<PathBuf>,
}

const AFTER_HELP: &str = "\
Exit codes: 0 it is written; 1 a file cannot be written; 2 bad name, or the folder is not empty.";

pub fn new(args: &Args, output: Output) -> Result<Exit, Failure> {
    check_name(&args.name)?;
    let folder = args.dir.clone().unwrap_or_else(|| PathBuf::from(&args.name));
    check_free(&folder)?;
    let project = Project::of_its_own(&args.name, args.slot, args.lang);
    let files = project.files();
    for (path, content) in &files {
        write(&folder.join(path), content)?;
    }
    let shown = folder.display().to_string();
    if output.json {
        let paths: Vec<&String> = files.iter().map(|(path, _)| path).collect();
        let value = json!({
            "folder": shown,
            "files": paths,
            "edit": project.file_to_edit(),
            "build": project.commands(),
            "wasm": project.wasm(),
        });
        output.raw(&value.to_string());
    } else {
        tell(&project, &shown, output);
    }
    Ok(Exit::Ok)
}

fn tell(project: &Project, folder: &str, output: Output) {
    let (slot, language) = (project.slot.name(), project.language.name());
    output.line(format!("{folder}: a policy for the slot {slot}, in {language}"));
    let edit = format!("{folder}/{}", project.file_to_edit());
    output.line(format!("  edit   {edit}, the line marked \"{}\"", Project::MARK));
    let mut label = "build";
    for command in std::iter::once(format!("cd {folder}")).chain(project.commands()) {
        output.parts(&[(Colour::Plain, &format!("  {label:<5}  ")), (Colour::Bold, &command)]);
        label = "";
    }
    output.line(format!("  check  pointsman policy check {}", project.wasm()));
    output.line(format!("  serve  cp {} <policies folder>/{}.wasm", project.wasm(), project.name));
    output.line(format!("         pointsman policy use {slot} {}", project.name));
}

const MAX_NAME: usize = 64;
/// Names that Rust or cargo keep for themselves, or that the SDK brings.
const TAKEN: [&str; 60] = [
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "build",
    "const",
    "continue",
    "core",
    "crate",
    "deps",
    "do",
    "dyn",
    "else",
    "enum",
    "examples",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "incremental",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc-macro",
    "pub",
    "ref",
    "return",
    "self",
    "serde",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "use",
    "where",
    "while",
    "yield",
    "policy",
];

fn check_name(name: &str) -> Result<(), Failure> {
    let refuse =
        |why: String| Err(Failure::usage(format!("{name:?} is no name for a policy: {why}")));
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_begun = name.starts_with(|c: char| c.is_ascii_lowercase());
    if !is_begun || !name.chars().all(is_plain) || name.ends_with('-') || name.contains("--") {
        return refuse("use small letters, digits and single '-', like my-policy".to_owned());
    }
    if name.len() > MAX_NAME {
        return refuse(format!("it has {} characters; at most {MAX_NAME} are taken", name.len()));
    }
    if TAKEN.contains(&name) || name.starts_with("pointsman-policy-sdk") {
        return refuse(format!("tools use that word themselves; try my-{name}"));
    }
    Ok(())
}

/// Nothing is overwritten.
fn check_free(folder: &Path) -> Result<(), Failure> {
    let shown = folder.display();
    let mut entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => {
            let cannot = || format!("{shown} is no folder to write to");
            return Err(error).with_context(cannot).bad_input();
        }
    };
    match entries.next() {
        Some(_) => Err(Failure::usage(format!(
            "{shown} is not empty, and nothing is overwritten; choose another --dir"
        ))),
        None => Ok(()),
    }
}

fn write(path: &Path, content: &str) -> Result<(), Failure> {
    let cannot = || format!("{} cannot be written", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(cannot)?;
    }
    Ok(fs::write(path, content).with_context(cannot)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_every_tool_takes_are_taken() {
        for name in ["nearest", "my-policy-2", "a"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        let long = "a".repeat(65);
        for name in ["", "A", "2fast", "-x", "x-", "x--y", "x_y", "../x", "ä", "fn", "test", &long]
        {
            assert_eq!(check_name(name).unwrap_err().exit, Exit::Usage, "{name}");
        }
    }
}
