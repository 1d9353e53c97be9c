//! Policies as operators see and choose them: between the policy library and the API.

mod terms;

pub use terms::Terms;

use crate::clock::Clock;
use crate::config::{LimitSettings, PoliciesSection, SlotBinding, Wasi};
use crate::forecasts::ForecastDesk;
use bytes::Bytes;
use pointsman_policy::{
    Binding, Digest, GenerationStatus, LibrarySettings, LibraryStatus, Limits, LimitsByKind,
    Metering, Origin, PolicyLibrary, Provenance, RefusedStatus, SlotStatus, StandardPolicy,
    UploadError,
};
use pointsman_protocol::api::{
    AvailablePolicy, FailedPolicy, LookedAtPolicy, PoliciesView, PolicyView, ProvenanceView,
    RefusedPolicy, SwapView,
};
use pointsman_protocol::problem::Problem;
use pointsman_protocol::timestamp::Timestamp;
use pointsman_scheduler::{Slot, Time};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[derive(Clone)]
pub struct PolicyDesk {
    library: PolicyLibrary,
    forecasts: ForecastDesk,
    clock: Clock,
    /// Oldest first.
    history: Arc<Mutex<VecDeque<SwapView>>>,
}

/// Swaps that are told of.
const HISTORY_KEPT: usize = 100;

/// How long a request waits for a candidate to be admitted or refused.
const PATIENCE: Duration = Duration::from_secs(30);

impl PolicyDesk {
    pub fn new(library: PolicyLibrary, forecasts: ForecastDesk, clock: Clock) -> PolicyDesk {
        PolicyDesk { library, forecasts, clock, history: Arc::default() }
    }

    /// Binds all slots as configured; unchanged ones stay as they are.
    pub async fn bind_all(&self, section: &PoliciesSection) {
        let bindings = Slot::ALL.map(|slot| (slot, binding(section.binding(slot))));
        let bound = self.order(move |library| {
            for (slot, binding) in bindings {
                library.bind(slot, Some(binding));
            }
        });
        // A panic there has been told by its own thread.
        let _ = bound.await;
    }

    /// On a thread that may block: an order waits for the disk, or for another that does.
    async fn order<T: Send + 'static>(
        &self,
        give: impl FnOnce(&PolicyLibrary) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let library = self.library.clone();
        let given = tokio::task::spawn_blocking(move || give(&library)).await;
        given.map_err(|_| Problem::new(500, "defect", "the order failed; please report this"))
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

    /// Whether everything is decided.
    async fn settle(&self) -> bool {
        let library = self.library.clone();
        // A panic there has been told by its own thread.
        tokio::task::spawn_blocking(move || library.settle(PATIENCE)).await.unwrap_or(false)
    }

    /// Tells `told` of every candidate that is refused.
    pub fn on_refusal(&self, told: impl Fn(Option<Slot>, &RefusedStatus) + Send + Sync + 'static) {
        self.library.set_listener(told);
    }

    /// Puts a policy in force by hand.
    ///
    /// # Errors
    /// 404 for an unknown name, 422 with the reason if it was refused.
    pub async fn choose(&self, slot: Slot, component: String) -> Result<(), Problem> {
        let name = component.clone();
        let used = self.order(move |library| library.use_policy(slot, &name, None)).await?;
        used.map_err(|error| {
            let known = available(&self.library.status());
            let known: Vec<String> =
                known.into_iter().filter(|it| it.slot == slot.into()).map(|it| it.name).collect();
            Problem::new(404, "unknown_policy", error.to_string())
                .with_field("component")
                .with_remedy(format!("policies for this slot: {}", known.join(", ")))
        })?;
        if !self.settle().await {
            return Err(undecided());
        }
        let status = self.library.status();
        let refused =
            status.slots.iter().find(|it| it.slot == slot).and_then(|it| it.refused.as_ref());
        match refused.filter(|refused| refused.component == component) {
            Some(refused) => Err(refused_problem(&component, &refused.reason)),
            None => Ok(()),
        }
    }

    /// Puts a policy in force that is handed over.
    ///
    /// # Errors
    /// 422 with the reason if it was refused, 413 if it is too large, 503 if it is not decided in
    /// time.
    pub async fn upload(&self, slot: Slot, name: String, bytes: Bytes) -> Result<(), Problem> {
        let (library, component) = (self.library.clone(), name.clone());
        let uploading = tokio::task::spawn_blocking(move || {
            library.upload(slot, &component, Arc::from(&bytes[..]), PATIENCE)
        });
        let defect = |_| Problem::new(500, "defect", "taking the policy in failed");
        uploading.await.map_err(defect)?.map_err(|error| match error {
            UploadError::Refused(refusal) => refused_problem(&name, &refusal.reason),
            UploadError::Unbound(_) => Problem::new(409, "unbound", error.to_string()),
            UploadError::Undecided => undecided(),
        })
    }

    /// Back to the generation before.
    ///
    /// # Errors
    /// 409 if there is none.
    pub async fn roll_back(&self, slot: Slot) -> Result<(), Problem> {
        let rolled = self.order(move |library| library.rollback(slot)).await?;
        rolled.map_err(|error| Problem::new(409, "no_earlier_policy", error.to_string()))?;
        self.settle().await;
        Ok(())
    }

    /// Other policies serve these slots since then; what serves each slot now.
    pub fn note_swaps(&self, swaps: &[(Time, Slot)]) -> Vec<PolicyView> {
        let status = self.library.status();
        let slots: Vec<PolicyView> = status.slots.iter().map(|it| self.slot_view(it)).collect();
        let mut history = self.history.lock().expect("nobody panics while holding the history");
        for (at, slot) in swaps {
            let Some(serving) = slots.iter().find(|it| it.slot == (*slot).into()) else { continue };
            if history.len() == HISTORY_KEPT {
                history.pop_front();
            }
            history.push_back(swap_view(serving, *at));
        }
        slots
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
                reason: refusal.reason.clone(),
                at: timestamp(file.at),
            })
        });
        PoliciesView {
            message: status.folder_error.clone(),
            looking_at: status.looking_at.as_ref().map(|it| LookedAtPolicy {
                name: it.component.clone(),
                slot: it.slot.map(Into::into),
                since: timestamp(it.since),
            }),
            slots: status.slots.iter().map(|slot| self.slot_view(slot)).collect(),
            refused: refused.chain(refused_files).collect(),
            history: {
                let history = self.history.lock().expect("nobody panics while holding the history");
                history.iter().rev().cloned().collect()
            },
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
            digest: digest_text(serving.digest),
            assets: serving.assets.map(|digest| digest.to_string()),
            state: slot.state.code().to_owned(),
            calls: serving.calls,
            failures: serving.failures.values().sum(),
            failures_by_kind: serving
                .failures
                .iter()
                .map(|(kind, n)| (kind.code().to_owned(), *n))
                .collect(),
            lines_dropped: serving.lines_dropped,
            gauges: serving.gauges.clone(),
            p50_us: serving.p50.map(micros),
            p99_us: serving.p99.map(micros),
            since: serving.since.map_or_else(|| Timestamp(self.clock.now()), timestamp),
            source: source(serving),
            bound: slot.bound.clone(),
            chosen: slot.chosen.clone(),
            refusals: slot.n_refused,
            provenance: provenance(&serving.provenance),
            message: slot
                .refused
                .as_ref()
                .map(|refused| format!("{} was refused: {}", refused.component, refused.reason))
                .or_else(|| slot.warning.clone())
                .or_else(|| slot.last_failure.as_ref().map(|failed| failed.message.clone())),
            forecasts: (slot.slot == Slot::Forecasting)
                .then(|| self.forecasts.status())
                .flatten()
                .filter(|status| status.policy == serving.stamp)
                .map(|status| Box::new(status.view())),
            last_failure: slot.last_failure.as_ref().map(|failed| FailedPolicy {
                name: failed.name.clone(),
                version: failed.version.clone(),
                generation: failed.generation,
                digest: digest_text(failed.digest),
                stage: failed.kind.stage().to_owned(),
                kind: failed.kind.code().to_owned(),
                message: failed.message.clone(),
                at: failed.at.map(timestamp),
            }),
        }
    }
}

fn swap_view(serving: &PolicyView, at: Time) -> SwapView {
    let cause = match (serving.state.as_str(), &serving.chosen) {
        ("fallback", _) => "fallback",
        (_, Some(_)) => "chosen",
        (_, None) => "configured",
    };
    SwapView {
        slot: serving.slot,
        at: Timestamp(at),
        name: serving.name.clone(),
        version: serving.version.clone(),
        generation: serving.generation,
        digest: serving.digest.clone(),
        source: serving.source.clone(),
        cause: cause.to_owned(),
    }
}

fn refused_problem(component: &str, reason: &str) -> Problem {
    Problem::new(422, "policy_refused", format!("{component} was refused: {reason}"))
        .with_field("component")
        .with_remedy("the policy that served goes on serving")
}

fn undecided() -> Problem {
    Problem::new(503, "undecided", "the policy is still being looked at")
        .with_remedy("see /v1/policies for what became of it")
}

fn provenance(claims: &Provenance) -> Option<Box<ProvenanceView>> {
    if claims.is_empty() {
        return None;
    }
    let claims = claims.clone();
    Some(Box::new(ProvenanceView {
        version: claims.version,
        description: claims.description,
        authors: claims.authors,
        license: claims.license,
        source: claims.source,
        homepage: claims.homepage,
        revision: claims.revision,
        made_with: claims.made_with,
    }))
}

fn source(generation: &GenerationStatus) -> String {
    match &generation.origin {
        Origin::File(path) => path.display().to_string(),
        Origin::Standard => "standard".to_owned(),
        Origin::Kept => "kept from an earlier start".to_owned(),
        Origin::Uploaded => "uploaded".to_owned(),
        Origin::Native => "native".to_owned(),
        Origin::Given => "given".to_owned(),
    }
}

fn available(status: &LibraryStatus) -> Vec<AvailablePolicy> {
    let files = status.files.iter().filter_map(|file| {
        let useful = file.verdict.as_ref().ok()?;
        Some(AvailablePolicy {
            name: file.component.clone(),
            version: useful.version.clone(),
            slot: useful.slot.into(),
            digest: file.digest.map(|digest| digest.to_string()).unwrap_or_default(),
            source: file.path.display().to_string(),
            provenance: provenance(&useful.provenance),
        })
    });
    let standard = status.standard.iter().map(|standard| AvailablePolicy {
        name: standard.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        slot: standard.slot.into(),
        digest: standard.digest.to_string(),
        source: "standard".to_owned(),
        provenance: provenance(&standard.provenance),
    });
    files.chain(standard).collect()
}

fn digest_text(digest: Option<Digest>) -> String {
    digest.map_or_else(|| "native".to_owned(), |it| it.to_string())
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
        wasi_traps: slot.wasi == Wasi::Trap,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use pointsman_policy::PolicyHost;
    use std::sync::Mutex;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use tokio::sync::Notify;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// A desk whose library stands still in the first order, with its lock held, until it is freed.
    struct Scene {
        desk: PolicyDesk,
        _host: PolicyHost,
        stands: Arc<Notify>,
        free: Sender<()>,
        /// Whether it was freed in time.
        told: Receiver<bool>,
    }

    fn scene() -> Scene {
        let settings = library_settings(&Config::default().policies, None);
        let settings = LibrarySettings { directory: None, ..settings };
        let (host, library) = PolicyHost::start(settings).expect("an engine");
        let (free, freed) = channel();
        let (tell, told) = channel();
        let freed = Mutex::new(Some(freed));
        let stands = Arc::new(Notify::new());
        let begun = stands.clone();
        library.set_waker(move || {
            // The admission thread wakes it too, later on.
            let Some(freed) = freed.lock().expect("nobody panics with it").take() else { return };
            begun.notify_one();
            let is_freed = freed.recv_timeout(PATIENCE).is_ok();
            // Nobody asks any more if the test has failed.
            let _ = tell.send(is_freed);
        });
        let desk =
            PolicyDesk::new(library, ForecastDesk::default(), Clock::starting_after(Time::ZERO));
        Scene { desk, _host: host, stands, free, told }
    }

    /// The one thread of the runtime has to be free for whoever frees the library.
    #[tokio::test]
    async fn no_order_holds_up_the_thread_of_requests() {
        let section = Config::default().policies;
        for order in ["bind", "choose", "roll back"] {
            let scene = scene();
            let (desk, first) = (scene.desk.clone(), scene.desk.clone());
            let section = section.clone();
            let binding = tokio::spawn(async move { first.bind_all(&section).await });
            scene.stands.notified().await;
            let ordered = tokio::spawn(async move {
                match order {
                    "choose" => {
                        desk.choose(Slot::Queue, "no such policy".to_owned()).await.is_err()
                    }
                    "roll back" => desk.roll_back(Slot::Queue).await.is_err(),
                    _ => true,
                }
            });
            // It begins, and waits.
            tokio::task::yield_now().await;
            scene.free.send(()).expect("the library waits for it");
            binding.await.expect("bound");
            assert!(ordered.await.expect("answered"), "{order}");
            assert!(
                scene.told.recv().expect("it stood still"),
                "{order} held up the runtime's thread"
            );
        }
    }
}
