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
    /// What is said elsewhere of the machine's load.
    pub measurements: Option<PathBuf>,
    pub limits: LimitsSection,
}

/// `[worker.limits]`: what of a task's request is enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitsSection {
    pub memory: bool,
    pub cpu: CpuLimit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CpuLimit {
    Weight,
    Quota,
    Off,
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
        measurements: section.optional_path("measurements"),
        limits: section.with("limits", read_limits),
    }
}

fn read_limits(section: &mut Section) -> LimitsSection {
    let memory = section.choice("memory", &[("hard", true), ("off", false)]);
    let ways = CpuLimit::ALL.map(|it| (it.name(), it));
    LimitsSection {
        memory: memory.unwrap_or(true),
        cpu: section.choice("cpu", &ways).unwrap_or(CpuLimit::Weight),
    }
}

impl LimitsSection {
    pub(super) fn memory_name(self) -> &'static str {
        if self.memory { "hard" } else { "off" }
    }
}

impl CpuLimit {
    const ALL: [CpuLimit; 3] = [CpuLimit::Weight, CpuLimit::Quota, CpuLimit::Off];

    pub(super) fn name(self) -> &'static str {
        match self {
            CpuLimit::Weight => "weight",
            CpuLimit::Quota => "quota",
            CpuLimit::Off => "off",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CpuLimit, LimitsSection};
    use crate::config::Config;

    #[test]
    fn limits_are_on_unless_turned_off() {
        let check = |text: &str, memory: bool, cpu: CpuLimit| {
            let config = Config::parse("p.toml", text).expect("good");
            assert_eq!(config.worker.limits, LimitsSection { memory, cpu }, "{text}");
            let again = Config::parse("p.toml", &config.effective_toml()).expect("good");
            assert_eq!(again.worker, config.worker, "what is shown can be read");
        };
        check("", true, CpuLimit::Weight);
        check("[worker.limits]\nmemory = \"off\"", false, CpuLimit::Weight);
        check("[worker.limits]\ncpu = \"quota\"", true, CpuLimit::Quota);
        check("[worker]\nlimits = { memory = \"off\", cpu = \"off\" }", false, CpuLimit::Off);
        let refused = Config::parse("p.toml", "[worker.limits]\nmemory = \"soft\"");
        let told = refused.expect_err("no such way")[0].to_string();
        assert!(told.contains("worker.limits.memory") && told.contains("\"hard\""), "{told}");
    }
}
