//! `[policies]`: which component serves each slot, and what it may use up.

use super::section::Section;
use pointsman_policy::OnFailure;
use pointsman_scheduler::Slot;
use std::path::PathBuf;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

#[derive(Debug, Clone, PartialEq)]
pub struct PoliciesSection {
    /// The drop-in folder.
    pub directory: PathBuf,
    /// It is looked at this often, besides when the file system tells of a change.
    pub poll: Duration,
    pub scoring: SlotBinding,
    pub queue: SlotBinding,
    pub rescheduling: SlotBinding,
    pub forecasting: SlotBinding,
    pub limits: [LimitSettings; 2],
}

/// What serves a slot.
#[derive(Debug, Clone, PartialEq)]
pub struct SlotBinding {
    /// `<directory>/<component>.wasm`, else the standard policy of that name.
    pub component: String,
    pub on_failure: OnFailure,
    /// Only a component with this SHA-256 is accepted.
    pub sha256: Option<String>,
    /// What becomes of a component that imports more than the host offers.
    pub wasi: Wasi,
    /// Handed to the policy's `configure`.
    pub config: serde_json::Value,
}

/// What becomes of a component that imports a clock, files or a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wasi {
    Refuse,
    /// It serves; a call of such an import fails.
    Trap,
}

/// For compiled guests, then for interpreted ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LimitSettings {
    pub cpu_per_call: Duration,
    pub memory: u64,
}

impl PoliciesSection {
    pub fn binding(&self, slot: Slot) -> &SlotBinding {
        match slot {
            Slot::Scoring => &self.scoring,
            Slot::Queue => &self.queue,
            Slot::Rescheduling => &self.rescheduling,
            Slot::Forecasting => &self.forecasting,
        }
    }
}

pub(super) fn read(section: &mut Section) -> PoliciesSection {
    PoliciesSection {
        directory: section.path("directory", "policies"),
        poll: section.duration("poll", MS * 100..=MS * 3_600_000, MS * 2000),
        scoring: section.with("scoring", |it| read_slot(it, "weighted-score")),
        queue: section.with("queue", |it| read_slot(it, "priority-ageing")),
        rescheduling: section.with("rescheduling", |it| read_slot(it, "threshold")),
        forecasting: section.with("forecasting", |it| read_slot(it, "none")),
        limits: section.with("limits", read_limits),
    }
}

fn read_slot(section: &mut Section, component: &str) -> SlotBinding {
    let choices = [
        ("last_good", OnFailure::LastGood),
        ("builtin", OnFailure::Builtin),
        ("hold", OnFailure::Hold),
    ];
    let default = component;
    let component = section.text("component", default);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if component.is_empty() || component.starts_with('.') || !component.chars().all(is_plain) {
        let remedy = "use the file's name without folder and .wasm: letters, digits, '-', '_', '.'";
        section.refuse("component", format!("{component:?} is no component name"), remedy);
    }
    let sha256 = section.optional_text("sha256");
    let is_digest = |text: &str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    if sha256.as_deref().is_some_and(|text| !is_digest(text)) {
        let remedy = "write the 64 hexadecimal digits that `sha256sum` prints for the file";
        section.refuse("sha256", "is no SHA-256", remedy);
    }
    SlotBinding {
        component,
        on_failure: section.choice("on_failure", &choices).unwrap_or(OnFailure::LastGood),
        wasi: section
            .choice("wasi", &[("refuse", Wasi::Refuse), ("trap", Wasi::Trap)])
            .unwrap_or(Wasi::Refuse),
        sha256: sha256.map(|text| text.to_lowercase()),
        config: section.json("config"),
    }
}

fn read_limits(section: &mut Section) -> [LimitSettings; 2] {
    let defaults = [("compiled", 5, 16 << 20), ("interpreted", 50, 128 << 20)];
    defaults.map(|(kind, ms, memory)| {
        let mut section = section.section(kind);
        LimitSettings {
            cpu_per_call: section.duration("cpu_per_call", MS..=MS * 10_000, MS * ms),
            memory: section.memory("memory", 1 << 20..=4 << 30, memory),
        }
    })
}
