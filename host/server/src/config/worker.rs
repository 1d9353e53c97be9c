//! `[worker]`: read by `pointsman worker`.

use super::section::Section;
use pointsman_protocol::labels::check_labels;
use pointsman_protocol::name::parse_name;
use pointsman_protocol::quantity::{CPU_MAX, GPU_MAX, MEMORY_MAX};
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
    let name = name.and_then(|name| {
        let parsed = parse_name(&name);
        parsed.map_err(|flaw| section.refuse("name", flaw.problem, flaw.remedy)).ok()
    });
    let host = section.text("host", "http://127.0.0.1:7400");
    if !host.starts_with("http://") && !host.starts_with("https://") {
        let remedy = "write an address like \"http://127.0.0.1:7400\"";
        section.refuse("host", format!("{host:?} is no address of a host"), remedy);
    }
    let mut capacity = section.section("capacity");
    let cpu_milli = capacity.optional_cpu("cpu", 1..=CPU_MAX * 1000);
    let memory = capacity.optional_memory("memory", 1..=MEMORY_MAX);
    let gpus = capacity.whole("gpu", 0..=GPU_MAX.into(), 0);
    let gpus = u16::try_from(gpus).expect("the range is checked");
    drop(capacity);
    let labels = section.texts("labels");
    if let Err(error) = check_labels(&labels, "labels") {
        section.refuse("labels", format!("{} {}", error.field, error.problem), error.remedy);
    }
    WorkerSection {
        name,
        host,
        cpu_milli,
        memory,
        gpus,
        labels,
        token_file: section.optional_path("token_file"),
        data_dir: section.path("data_dir", "pointsman-worker"),
    }
}
