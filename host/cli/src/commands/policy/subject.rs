//! The file that `check` and `bench` look at, and how a refusal is told.

use crate::exit::{BadInput, Exit, Failure};
use crate::output::{Colour, Output};
use anyhow::{Context, anyhow};
use pointsman_policy::{Assets, Digest, Inspector, LimitsByKind, MAX_FILE, Refusal, Subject};
use pointsman_scheduler::Slot;
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub struct SubjectArgs {
    /// A component, or a core module as cargo builds it
    file: PathBuf,
    /// scoring, queue, rescheduling or forecasting [default: the one that it is made for]
    #[arg(long, value_name = "SLOT", value_parser = parse_slot)]
    slot: Option<Slot>,
    /// What `configure` is handed: JSON like {"far_ms":50}, TOML like "far_ms = 50", or a file that
    /// ends in .json or .toml [default: nothing]
    #[arg(long, value_name = "CONFIG")]
    config: Option<String>,
    /// The folder of the files that the policy reads, such as weights [default: FILE without .wasm, if
    /// there is such a folder]
    #[arg(long, value_name = "DIR")]
    assets: Option<PathBuf>,
    /// Imports that the host does not offer trap when called, as with wasi = "trap" in the slot
    #[arg(long)]
    wasi_trap: bool,
}

/// The file's content with what goes with it.
#[derive(Debug)]
pub struct Loaded {
    path: PathBuf,
    bytes: Vec<u8>,
    config: String,
    slot: Option<Slot>,
    assets: Assets,
    wasi_traps: bool,
}

pub fn parse_slot(text: &str) -> Result<Slot, String> {
    let names = || Slot::ALL.map(Slot::name).join(", ");
    Slot::find(text).ok_or_else(|| format!("there is no slot {text:?}; there are {}", names()))
}

impl SubjectArgs {
    /// # Errors
    /// Bad input: the file cannot be read, or the configuration is neither JSON nor TOML.
    pub fn load(&self) -> Result<Loaded, Failure> {
        let path = self.file.clone();
        let cannot = || format!("{} cannot be read", path.display());
        let size = std::fs::metadata(&path).with_context(cannot).bad_input()?.len();
        // A file that the host would refuse unread need not be read whole here either.
        let bytes = if size > MAX_FILE as u64 {
            vec![0; MAX_FILE + 1]
        } else {
            std::fs::read(&path).with_context(cannot).bad_input()?
        };
        let config = self.config.as_deref().map_or_else(|| Ok("{}".to_owned()), config_json)?;
        let folder = match &self.assets {
            Some(folder) if !folder.is_dir() => {
                let told = anyhow!("--assets: {} is no folder", folder.display());
                return Err(told).bad_input();
            }
            Some(folder) => folder.clone(),
            None => path.with_extension(""),
        };
        let assets = Assets::read(&folder).map_err(anyhow::Error::msg).bad_input()?;
        Ok(Loaded { path, bytes, config, assets, slot: self.slot, wasi_traps: self.wasi_trap })
    }
}

impl Loaded {
    pub fn subject(&self) -> Subject<'_> {
        let Loaded { bytes, config, assets, slot, wasi_traps, .. } = self;
        Subject { bytes, slot: *slot, config, assets, wasi_traps: *wasi_traps }
    }

    pub fn shown(&self) -> String {
        self.path.display().to_string()
    }

    /// Tells what the host would say, and ends as if it had.
    pub fn tell_refusal(&self, refusal: &Refusal, output: Output) -> Exit {
        let digest = Digest::of(&self.bytes).to_string();
        if output.json {
            let refusal = json!({
                "verdict": "refused",
                "file": self.shown(),
                "digest": digest,
                "size": self.bytes.len(),
                "stage": refusal.stage.code(),
                "reason": refusal.reason,
            });
            output.raw(&refusal.to_string());
        } else {
            let (stage, reason) = (refusal.stage.code(), &refusal.reason);
            let told = format!(" {} at {stage}: {reason}", self.shown());
            output.parts(&[(Colour::Red, "refused"), (Colour::Plain, &told)]);
            output.line(format!("digest  {digest}"));
        }
        Exit::Refused
    }
}

/// With the limits that a host has unless it is configured otherwise.
///
/// # Errors
/// The engine does not start.
pub fn inspector() -> Result<Inspector, Failure> {
    Ok(Inspector::new(LimitsByKind::default()).map_err(anyhow::Error::from)?)
}

fn config_json(text: &str) -> Result<String, Failure> {
    let path = Path::new(text);
    let extension = path.extension().and_then(|it| it.to_str());
    match extension {
        Some("json" | "toml") => {
            let read = std::fs::read_to_string(path);
            let content = read.with_context(|| format!("--config: {text} cannot be read"));
            parse_config(&content.bad_input()?, extension == Some("json"))
        }
        Some(_) | None => parse_config(text, text.trim_start().starts_with('{')),
    }
}

fn parse_config(text: &str, is_json: bool) -> Result<String, Failure> {
    let table: serde_json::Map<String, serde_json::Value> = if is_json {
        serde_json::from_str(text).context("--config is no JSON object").bad_input()?
    } else {
        const EXPECTED: &str = "--config is neither JSON like {\"a\":1} nor TOML like \"a = 1\"";
        let told = |error: toml::de::Error| anyhow!(error.message().to_owned()).context(EXPECTED);
        toml::from_str(text).map_err(told).bad_input()?
    };
    Ok(serde_json::Value::Object(table).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_may_be_json_or_toml_or_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        std::fs::write(&file, "a = 1\n[b]\nc = \"x\"\n").unwrap();
        let file = file.display().to_string();
        let expected = r#"{"a":1,"b":{"c":"x"}}"#;
        for given in [r#"{"b":{"c":"x"},"a":1}"#, "a = 1\nb.c = 'x'", &file] {
            assert_eq!(config_json(given).unwrap(), expected, "{given}");
        }
        for given in ["{", "[1", "a", "no-such-file.json"] {
            assert_eq!(config_json(given).unwrap_err().exit, Exit::Usage, "{given}");
        }
    }
}
