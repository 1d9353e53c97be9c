//! Policies as operators see and choose them: between the policy library and the API.

use crate::clock::Clock;
use crate::config::{LimitSettings, PoliciesSection, SlotBinding};
use pointsman_policy::{
    Binding, Digest, GenerationStatus, LibrarySettings, LibraryStatus, Limits, LimitsByKind,
    Metering, Origin, PolicyLibrary, SlotStatus, StandardPolicy,
};
use pointsman_protocol::api::{AvailablePolicy, PoliciesView, PolicyView, RefusedPolicy};
use pointsman_protocol::problem::Problem;
use pointsman_protocol::timestamp::Timestamp;
use pointsman_scheduler::explain::{Explanation, Verdict};
use pointsman_scheduler::{Slot, Time, WorkerId};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[derive(Clone)]
pub struct PolicyDesk {
    library: PolicyLibrary,
    clock: Clock,
}

/// How long a request waits for a candidate to be admitted or refused.
const PATIENCE: Duration = Duration::from_secs(30);

impl PolicyDesk {
    pub fn new(library: PolicyLibrary, clock: Clock) -> PolicyDesk {
        PolicyDesk { library, clock }
    }

    /// Binds all slots as configured; unchanged ones stay as they are.
    pub fn bind_all(&self, section: &PoliciesSection) {
        for slot in Slot::ALL {
            self.library.bind(slot, Some(binding(section.binding(slot))));
        }
    }

    /// Looks at the folder again and waits until everything is decided.
    pub async fn rescan(&self) {
        self.library.rescan();
        self.settle().await;
    }

    /// Does not wait.
    pub fn look_again(&self) {
        self.library.rescan();
    }

    async fn settle(&self) {
        let library = self.library.clone();
        // A panic there has been told by its own thread.
        let _ = tokio::task::spawn_blocking(move || library.settle(PATIENCE)).await;
    }

    /// Puts a policy in force by hand.
    ///
    /// # Errors
    /// 404 for an unknown name, 422 with the reason if it was refused.
    pub async fn choose(&self, slot: Slot, component: String) -> Result<(), Problem> {
        self.library.use_policy(slot, &component, None).map_err(|error| {
            let known = available(&self.library.status());
            let known: Vec<String> =
                known.into_iter().filter(|it| it.slot == slot.into()).map(|it| it.name).collect();
            Problem::new(404, "unknown_policy", error.to_string())
                .with_field("component")
                .with_remedy(format!("policies for this slot: {}", known.join(", ")))
        })?;
        self.settle().await;
        let status = self.library.status();
        let refused =
            status.slots.iter().find(|it| it.slot == slot).and_then(|it| it.refused.as_ref());
        match refused.filter(|refused| refused.component == component) {
            Some(refused) => {
                let detail = format!("{component} was refused: {}", refused.reason);
                Err(Problem::new(422, "policy_refused", detail)
                    .with_field("component")
                    .with_remedy("the policy that served goes on serving"))
            }
            None => Ok(()),
        }
    }

    /// Back to the generation before.
    ///
    /// # Errors
    /// 409 if there is none.
    pub async fn roll_back(&self, slot: Slot) -> Result<(), Problem> {
        let rolled = self.library.rollback(slot);
        rolled.map_err(|error| Problem::new(409, "no_earlier_policy", error.to_string()))?;
        self.settle().await;
        Ok(())
    }

    /// The terms of each fitting worker's score.
    pub fn terms(&self, explanation: &Explanation) -> BTreeMap<WorkerId, Vec<(String, f64)>> {
        let mut terms = BTreeMap::new();
        for verdict in &explanation.workers {
            let Verdict::Fits { task_columns, worker_columns, .. } = &verdict.verdict else {
                continue;
            };
            let columns: Vec<Vec<f64>> = worker_columns.iter().map(|value| vec![*value]).collect();
            let stamp = explanation.scoring_policy;
            if let Ok(of_worker) = self.library.explain(stamp, task_columns, &columns, 0) {
                terms.insert(verdict.worker, of_worker);
            }
        }
        terms
    }

    pub fn view(&self) -> PoliciesView {
        let status = self.library.status();
        let available = available(&status);
        let refused = status.slots.iter().filter_map(|slot| {
            let refused = slot.refused.as_ref()?;
            Some(RefusedPolicy {
                file: refused.component.clone(),
                stage: refused.stage.code().to_owned(),
                digest: refused.digest.map(|digest| digest.to_string()).unwrap_or_default(),
                reason: refused.reason.clone(),
                at: timestamp(refused.at),
            })
        });
        let refused_files = status.files.iter().filter_map(|file| {
            let refusal = file.verdict.as_ref().err()?;
            Some(RefusedPolicy {
                file: file.path.display().to_string(),
                stage: refusal.stage.code().to_owned(),
                digest: file.digest.map(|digest| digest.to_string()).unwrap_or_default(),
                reason: refusal.to_string(),
                at: Timestamp(self.clock.now()),
            })
        });
        PoliciesView {
            slots: status.slots.iter().map(|slot| self.slot_view(slot)).collect(),
            refused: refused.chain(refused_files).collect(),
            available,
        }
    }

    fn slot_view(&self, slot: &SlotStatus) -> PolicyView {
        let serving = &slot.serving;
        let micros = |span: Duration| span.as_secs_f64() * 1e6;
        PolicyView {
            slot: slot.slot.into(),
            name: serving.name.clone(),
            version: serving.version.clone(),
            generation: serving.stamp.generation,
            digest: serving.digest.map_or_else(|| "native".to_owned(), |it| it.to_string()),
            state: slot.state.code().to_owned(),
            calls: serving.calls,
            failures: serving.failures,
            p50_us: serving.p50.map(micros),
            p99_us: serving.p99.map(micros),
            since: serving.since.map_or_else(|| Timestamp(self.clock.now()), timestamp),
            source: source(serving),
            message: slot
                .refused
                .as_ref()
                .map(|refused| format!("{} was refused: {}", refused.component, refused.reason))
                .or_else(|| slot.last_failure.clone()),
        }
    }
}

fn source(generation: &GenerationStatus) -> String {
    match &generation.origin {
        Origin::File(path) => path.display().to_string(),
        Origin::Standard => "standard".to_owned(),
        Origin::Kept => "kept from an earlier start".to_owned(),
        Origin::Native => "native".to_owned(),
        Origin::Given => "given".to_owned(),
    }
}

fn available(status: &LibraryStatus) -> Vec<AvailablePolicy> {
    let files = status.files.iter().filter_map(|file| {
        let (slot, _, version) = file.verdict.as_ref().ok()?;
        Some(AvailablePolicy {
            name: file.component.clone(),
            version: version.clone(),
            slot: (*slot).into(),
            digest: file.digest.map(|digest| digest.to_string()).unwrap_or_default(),
            source: file.path.display().to_string(),
        })
    });
    let standard = status.standard.iter().map(|(slot, name)| AvailablePolicy {
        name: name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        slot: (*slot).into(),
        digest: pointsman_bundle::find(name)
            .map(|policy| Digest::of(policy.bytes).to_string())
            .unwrap_or_default(),
        source: "standard".to_owned(),
    });
    files.chain(standard).collect()
}

fn timestamp(at: SystemTime) -> Timestamp {
    let since_epoch = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(Time(pointsman_scheduler::time::nanos(since_epoch)))
}

fn binding(slot: &SlotBinding) -> Binding {
    Binding {
        config: slot.config.to_string(),
        on_failure: slot.on_failure,
        sha256: slot.sha256.as_deref().and_then(Digest::parse),
        ..Binding::to(slot.component.clone())
    }
}

/// What the library needs to know at the start.
pub fn library_settings(section: &PoliciesSection, data_dir: Option<&Path>) -> LibrarySettings {
    let standard = pointsman_bundle::POLICIES.iter().filter_map(|policy| {
        Some(StandardPolicy {
            name: policy.name.to_owned(),
            slot: Slot::find(policy.slot)?,
            bytes: Cow::Borrowed(policy.bytes),
        })
    });
    let [compiled, interpreted] = section.limits;
    LibrarySettings {
        directory: Some(section.directory.clone()),
        data_dir: data_dir.map(Path::to_owned),
        standard: standard.collect(),
        limits: LimitsByKind {
            compiled: limited(Limits::compiled(), compiled),
            interpreted: limited(Limits::interpreted(), interpreted),
        },
    }
}

fn limited(limits: Limits, settings: LimitSettings) -> Limits {
    let metering = match limits.metering {
        Metering::CpuTime { configure, .. } => {
            Metering::CpuTime { call: settings.cpu_per_call, configure }
        }
        fuel @ Metering::Fuel { .. } => fuel,
    };
    let memory = usize::try_from(settings.memory).unwrap_or(usize::MAX);
    Limits { metering, memory, ..limits }
}
