//! `docs/configuration.md`, made of what the reader asks for and of the comments in `default.toml`,
//! so that neither can leave a key out.

use super::reader::{KnownKey, Reader};
use super::{AT_START, Config, DEFAULT_TOML};
use std::fmt::Write;
use std::path::Path;

/// What `default.toml` says about one key or table.
#[derive(Debug)]
struct Entry {
    /// `queues.default`
    table: String,
    /// None: about the table itself.
    key: Option<String>,
    default: Option<String>,
    meaning: String,
    is_restart: bool,
}

fn known_keys() -> Vec<KnownKey> {
    let mut reader = Reader::parse("default.toml", "").expect("nothing is TOML");
    let mut root = reader.root();
    Config::read(&mut root);
    drop(root);
    reader.finish().1
}

/// The text before a comment, and the comment.
fn split_comment(line: &str) -> (&str, &str) {
    let is_outside = |at: usize| line[..at].matches('"').count().is_multiple_of(2);
    let start = line.match_indices(" # ").map(|(at, _)| at).find(|at| is_outside(*at));
    start.map_or((line.trim(), ""), |at| (line[..at].trim(), line[at + 3..].trim()))
}

fn entries() -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut table = (String::new(), false);
    // The file's own heading ends at the first table.
    for line in DEFAULT_TOML.lines().skip_while(|line| !line.starts_with('[')) {
        let (code, comment) = split_comment(line.strip_prefix("# ").unwrap_or(line));
        let is_restart = comment.starts_with("(restart)");
        let meaning = comment.trim_start_matches("(restart)").trim().to_owned();
        if let Some(name) = code.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
            // A table within one that is marked is marked too.
            let is_within = name.starts_with(&format!("{}.", table.0)) && table.1;
            let is_restart = is_restart || is_within;
            table = (name.to_owned(), is_restart);
            let table = name.to_owned();
            entries.push(Entry { table, key: None, default: None, meaning, is_restart });
        } else if let Some((key, value)) = code.split_once('=') {
            // A policy's keys are shown as comments, since another policy would refuse them.
            let is_set = !line.starts_with('#') || table.0.ends_with(".config");
            entries.push(Entry {
                table: table.0.clone(),
                key: Some(key.trim().to_owned()),
                default: is_set.then(|| value.trim().to_owned()),
                meaning,
                is_restart: is_restart || table.1,
            });
        }
    }
    entries
}

fn pattern(table: &str) -> &str {
    if table == "queues.default" { "queues.NAME" } else { table }
}

/// Tables whose keys are not the host's: policies and operators choose them.
fn is_open(table: &str) -> bool {
    table == "worker.labels" || table.ends_with(".config")
}

#[test]
fn no_key_is_left_out_of_the_documented_defaults() {
    let entries = entries();
    let known = known_keys();
    for known in known.iter().filter(|known| !known.takes.is_empty()) {
        let as_table = format!("{}.{}", known.table, known.key);
        let is_it = |entry: &Entry| match &entry.key {
            Some(key) => pattern(&entry.table) == known.table && *key == known.key,
            None => entry.table == as_table,
        };
        let found = entries.iter().find(|entry| is_it(entry));
        let found = found.unwrap_or_else(|| panic!("default.toml lacks {as_table}"));
        assert!(!found.meaning.is_empty(), "default.toml does not explain {as_table}");
    }
    for entry in entries.iter().filter(|entry| !is_open(&entry.table)) {
        let Some(key) = &entry.key else { continue };
        let is_known = known.iter().any(|it| it.table == pattern(&entry.table) && it.key == *key);
        assert!(is_known, "default.toml has {}.{key}, which nobody reads", entry.table);
    }
}

#[test]
fn what_needs_a_restart_is_marked_and_nothing_else() {
    for entry in entries().iter().filter(|entry| entry.key.is_some()) {
        let path = format!("{}.{}", entry.table, entry.key.as_deref().unwrap_or_default());
        let is_read_at_start = AT_START.iter().any(|(read_at_start, _)| {
            path == *read_at_start || path.starts_with(&format!("{read_at_start}."))
        });
        assert_eq!(entry.is_restart, is_read_at_start, "{path}");
    }
}

const HEAD: &str = "# Configuration

<!-- Made from host/server/src/config; `POINTSMAN_BLESS=1 cargo test -p pointsman-server` writes it again. -->

`pointsman serve --config FILE` and `pointsman worker --config FILE` read one TOML file. Every key has
a default, so a file needs only what differs; `pointsman config show --default` prints a whole one.

- **Checked as a whole.** A key that is unknown, of the wrong type, out of range, or at odds with
  another is refused with line, column and remedy, all of them at once, and nothing is applied.
  `pointsman config check FILE` does only that.
- **Applied while the host runs**, all or nothing, within two seconds of a change, however the file
  was replaced: renamed over, written in place, deleted and made again, swapped by a link as Kubernetes
  does. If the new content is refused, the values in force stay, and any later good content applies. The
  log, the event stream, `config` in `GET /v1/status`, `pointsman status` and `pointsman config show
  --effective` say what is wrong, by file, line and key; `pointsman_config_last_reload_successful` in
  `/metrics` is 0 until it is put right. Keys marked *restart* are read only when the host starts; a
  change of them is announced as waiting for that.
- **Read as a whole.** While another process has the file open for writing it is neither taken nor
  complained of, and the status says that it waits. Where the system does not tell who writes (the file
  belongs to another user, or lies on a network), it is read once it has not changed for a second. An
  empty or missing file changes nothing and is told of after two seconds.
- **Durations** are texts with units: `\"500ms\"`, `\"5s\"`, `\"1h30m\"`, `\"1d\"`. **Sizes** are texts like
  `\"16MiB\"` (2^20) or `\"8GB\"` (10^9), or whole bytes. **Paths** are relative to the folder in which the
  process was started.

";

const TAIL: &str = "## Who may do what

Without tokens the host listens on loopback only, and takes requests only if the `Host` header names
loopback and the `Origin` header, if there is one, names the same address: no web page reaches it.
With a token of any role set, every request but `/healthz` and `/readyz` needs
`Authorization: Bearer TOKEN`; the host may then be called by any name, and `Origin` is still checked.

| Role | Allows |
|---|---|
| `read` | all GET requests but those of agents |
| `submit` | the same; submit, cancel, retry |
| `admin` | everything |
| `worker` | register, report, fetch commands and upload output as an agent; nothing else |

A token file holds one token of at least 16 visible ASCII characters, different for each role; white
space around it is ignored. It should be readable by its owner only; otherwise the host warns.
Requests that change something need `Content-Type: application/json`, uploads of output
`application/octet-stream`.

## What bounds a request

| What | Bound | Answer beyond it |
|---|---|---|
| body of a submission | 64 MiB | 413, before it is read if its length is announced |
| body of other requests | 16 MiB | 413, the same |
| piece of output | 256 KiB | 413 |
| silence while a body is sent | 15 s | 408 |
| time to send a body | 5 min | 408 |
| time to send a header, or between two requests | 60 s | the connection is closed |
| connections | 8192 | more wait |

The role is checked before anything of a body is read.

## The host's own log

Goes to standard error. `POINTSMAN_LOG` filters it, like `info` (the default) or
`warn,pointsman_server=debug`; `POINTSMAN_LOG_FORMAT=json` writes one JSON object a line.
";

fn table_row(out: &mut String, entry: &Entry, key: &str, takes: &str) {
    let default = entry.default.as_ref().map_or_else(String::new, |it| format!("`{it}`"));
    let restart = if entry.is_restart { "restart" } else { "" };
    let meaning = &entry.meaning;
    writeln!(out, "| `{key}` | {takes} | {default} | {meaning} | {restart} |")
        .expect("a text can be written to");
}

fn document() -> String {
    let known = known_keys();
    let mut out = HEAD.to_owned();
    for entry in entries() {
        let Some(key) = &entry.key else {
            let title = pattern(&entry.table);
            let meaning = match entry.meaning.as_str() {
                "" => String::new(),
                text => format!("{}{}.\n\n", text[..1].to_uppercase(), &text[1..]),
            };
            out += &format!(
                "## [{title}]\n\n{meaning}| Key | Takes | Default | Meaning | |\n|---|---|---|---|---|\n"
            );
            continue;
        };
        let of_key = known.iter().find(|it| it.table == pattern(&entry.table) && it.key == *key);
        table_row(&mut out, &entry, key, of_key.map_or("", |it| &it.takes));
    }
    let mut spaced = String::new();
    for line in out.lines() {
        if line.starts_with("## ") && spaced.ends_with("|\n") {
            spaced.push('\n');
        }
        spaced += line;
        spaced.push('\n');
    }
    spaced.push('\n');
    spaced + TAIL
}

#[test]
fn the_configuration_guide_says_what_the_reader_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let made = document();
    if std::env::var_os("POINTSMAN_BLESS").is_some() {
        std::fs::write(&path, &made).expect("the guide can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == made, "docs/configuration.md is out of date; run with POINTSMAN_BLESS=1");
}
