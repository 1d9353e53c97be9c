//! `[worker]`: read by `pointsman worker`.

use super::section::Section;
use pointsman_protocol::quantity::{parse_cpu, parse_memory};
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Debug, Clone, PartialEq)]
pub struct WorkerSection {
    /// None: the machine's name.
    pub name: Option<String>,
    pub host: String,
    /// None: what the machine has.
    pub cpu_milli: Option<u64>,
    /// Bytes; None: what the machine has.
    pub memory: Option<u64>,
    pub gpus: u16,
    pub labels: BTreeMap<String, String>,
    pub token_file: Option<PathBuf>,
    pub data_dir: PathBuf,
}

pub(super) fn read(section: &mut Section) -> WorkerSection {
    let name = section.optional_text("name");
    if let Some(Err(flaw)) = name.as_deref().map(pointsman_protocol::name::parse_name) {
        section.refuse("name", flaw.problem, flaw.remedy);
    }
    let host = section.text("host", "http://127.0.0.1:7400");
    if !host.starts_with("http://") && !host.starts_with("https://") {
        let remedy = "write an address like \"http://127.0.0.1:7400\"";
        section.refuse("host", format!("{host:?} is no address of a host"), remedy);
    }
    let mut capacity = section.section("capacity");
    let cpu_milli = capacity.optional_text("cpu").and_then(|text| {
        let parsed = parse_cpu(&text);
        parsed.map_err(|flaw| capacity.refuse("cpu", flaw.problem, flaw.remedy)).ok()
    });
    let memory = capacity.optional_text("memory").and_then(|text| {
        let parsed = parse_memory(&text);
        parsed.map_err(|flaw| capacity.refuse("memory", flaw.problem, flaw.remedy)).ok()
    });
    let gpus = capacity.whole("gpu", 0..=1024, 0) as u16;
    drop(capacity);
    WorkerSection {
        name,
        host,
        cpu_milli,
        memory,
        gpus,
        labels: section.texts("labels"),
        token_file: section.optional_text("token_file").map(PathBuf::from),
        data_dir: PathBuf::from(section.text("data_dir", "pointsman-worker")),
    }
}
