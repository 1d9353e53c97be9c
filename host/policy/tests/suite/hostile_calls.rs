//! Every fault in every function that a policy exports, as the fixtures' table lists them: it ends as
//! the table says, the round is answered all the same, and the next one by the policy itself.

use pointsman_fixtures::{Ending, FUNCTIONS, Fault, Function, SIGNAL, config, hostile};
use pointsman_policy::{
    Binding, Digest, ForecastHost, Incident, IncidentKind, LibrarySettings, OnFailure, PolicyHost,
    PolicyLibrary, SlotStatus,
};
use pointsman_scheduler::Slot;
use pointsman_scheduler::policies::{CallError, NO_WORKER, Policies};
use pointsman_scheduler::record::PolicyStamp;
use std::fs;
use std::time::Duration;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(120);
/// A priority at which no policy misbehaves.
const CALM: f64 = 5.0;

/// A slot that the hostile policy for it serves, falling back to the host's own.
struct Setup {
    host: PolicyHost,
    forecasts: ForecastHost,
    library: PolicyLibrary,
    slot: Slot,
    _root: TempDir,
}

impl Setup {
    fn new(slot: Slot) -> Setup {
        let root = TempDir::new().unwrap();
        fs::write(root.path().join("hostile.wasm"), hostile(slot.name()).bytes).unwrap();
        let settings = LibrarySettings {
            directory: Some(root.path().to_owned()),
            // Compiles once and not for each configuration.
            data_dir: Some(root.path().join("data")),
            ..LibrarySettings::default()
        };
        let (host, library) = PolicyHost::start(settings).unwrap();
        let forecasts = library.take_forecasts().unwrap();
        Setup { host, forecasts, library, slot, _root: root }
    }

    fn bind(&mut self, config: String) {
        let binding = Binding { config, on_failure: OnFailure::Builtin, ..Binding::to("hostile") };
        self.library.bind(self.slot, Some(binding));
        assert!(self.library.settle(PATIENCE));
        self.begin_round();
        self.take_incidents();
    }

    fn begin_round(&mut self) {
        match self.slot {
            Slot::Forecasting => self.forecasts.begin_round(),
            Slot::Scoring | Slot::Queue | Slot::Rescheduling => self.host.begin_round(),
        }
    }

    fn take_incidents(&mut self) -> Vec<Incident> {
        let mut incidents = self.host.take_incidents();
        incidents.extend(self.forecasts.take_incidents());
        incidents
    }

    fn status(&self) -> SlotStatus {
        self.library.status().slots.into_iter().find(|it| it.slot == self.slot).unwrap()
    }

    /// Who answers a round about a task of this priority.
    fn ask(&mut self, priority: f64) -> PolicyStamp {
        self.begin_round();
        for _ in 0..4 {
            let (stamp, answer) = match self.slot {
                Slot::Scoring => self.score(priority),
                Slot::Queue => self.rank(priority),
                Slot::Rescheduling => self.review(priority),
                Slot::Forecasting => self.forecast(priority),
            };
            match answer {
                Ok(()) => return stamp,
                Err(CallError::NextRung) => {}
                Err(CallError::Held) => panic!("nothing is held here"),
            }
        }
        panic!("no rung answered");
    }

    fn score(&mut self, priority: f64) -> (PolicyStamp, Result<(), CallError>) {
        let profile = self.host.scoring();
        let task = vec![priority; profile.needs_task.len()];
        let workers = vec![vec![0.25, 1.0]; profile.needs_worker.len()];
        let mut scores = Vec::new();
        let answer = self.host.score(&task, &workers, 2, &mut scores);
        if answer.is_ok() {
            assert_eq!(scores.len(), 2);
            let is_plain = |score: &f64| (0.0..=1.0).contains(score) && score.is_sign_positive();
            assert!(scores.iter().all(is_plain), "{scores:?}");
        }
        (profile.stamp, answer)
    }

    fn rank(&mut self, priority: f64) -> (PolicyStamp, Result<(), CallError>) {
        let profile = self.host.queue();
        let tasks = vec![vec![priority, 1.0]; profile.needs_task.len()];
        let mut ranks = Vec::new();
        let answer = self.host.rank(0.0, &tasks, 2, &mut ranks);
        if answer.is_ok() {
            assert_eq!(ranks.len(), 2);
            assert!(ranks.iter().all(|rank| rank.is_finite()), "{ranks:?}");
        }
        (profile.stamp, answer)
    }

    fn review(&mut self, priority: f64) -> (PolicyStamp, Result<(), CallError>) {
        let Some(profile) = self.host.rescheduling() else {
            // The host's own policy is that there is none.
            return (PolicyStamp::default(), Ok(()));
        };
        let tasks = vec![vec![priority; 3]; profile.needs_task.len()];
        let workers = vec![vec![0.5]; profile.needs_worker.len()];
        let answer = self.host.review(0.0, &tasks, &[0, 0, NO_WORKER], &workers);
        (profile.stamp, answer.map(|proposals| assert!(proposals.is_empty())))
    }
}

impl Setup {
    fn forecast(&mut self, priority: f64) -> (PolicyStamp, Result<(), CallError>) {
        let Some((stamp, profile)) = self.forecasts.serving() else {
            // The host's own policy is that there is none.
            return (PolicyStamp::default(), Ok(()));
        };
        let workers = vec![vec![priority, 0.5]; profile.n_lists()];
        let answer = self.forecasts.forecast(&profile, &workers, 2);
        if let Ok(lists) = &answer {
            assert_eq!(lists.len(), profile.provides.len());
            let is_plain = |value: &f64| (0.0..=1.0).contains(value) && value.is_sign_positive();
            assert!(lists.iter().all(|it| it.len() == 2 && it.iter().all(is_plain)), "{lists:?}");
        }
        (stamp, answer.map(|_| ()))
    }
}

fn failed(incidents: &[Incident]) -> Vec<&'static str> {
    let code = |incident: &Incident| match incident.kind {
        IncidentKind::Failed { kind, .. } => Some(kind.code()),
        IncidentKind::Quarantined | IncidentKind::Waiting | IncidentKind::Serving => None,
    };
    incidents.iter().filter_map(code).collect()
}

/// A machine so busy that the backstop comes first is right as well.
fn is_as_expected(kind: &str, expected: &str) -> bool {
    kind == expected || (expected == "cpu_limit" && kind == "wall_limit")
}

fn try_fault(setup: &mut Setup, function: &Function, fault: Fault) {
    let what = format!("{} in {}", fault.name(), function.name);
    let ending = (function.ending)(fault);
    if let Ending::Impossible(_) = ending {
        return;
    }
    let before = setup.status().serving.stamp;
    let is_on_signal = !matches!(ending, Ending::Refused(_));
    let text = config(function.name, fault);
    // What is to be refused shows in the trial.
    let text = if is_on_signal { text } else { text.replace(&format!(r#","on":{SIGNAL}"#), "") };
    setup.bind(text);
    let status = setup.status();
    match ending {
        Ending::Refused(words) => {
            let refused = status.refused.unwrap_or_else(|| panic!("{what} is not refused"));
            assert!(refused.reason.contains(words), "{what}: {}", refused.reason);
            assert_eq!(refused.digest, Some(Digest::of(hostile(setup.slot.name()).bytes)));
            assert_eq!(status.serving.stamp, before, "{what}: who served goes on");
            assert_eq!(setup.ask(CALM), before);
        }
        Ending::Harmless(_) | Ending::Fails(_) => {
            assert!(status.refused.is_none(), "{what}: {:?}", status.refused);
            assert_eq!(status.serving.name, format!("hostile-{}", setup.slot.name()));
        }
        Ending::Impossible(_) => unreachable!("returned above"),
    }
    let stamp = setup.status().serving.stamp;
    match (ending, function.name) {
        (Ending::Fails(kind), "explanation.explain") => {
            let explained = setup.library.explain(stamp, &[CALM], &[vec![0.5]], 0);
            let error = explained.expect_err(&what).to_string();
            assert!(error.contains("explain"), "{what}: {error}, not {kind}");
            assert_eq!(setup.ask(f64::from(SIGNAL)), stamp, "{what} is nobody else's matter");
        }
        (Ending::Harmless(_), "explanation.explain") => {
            let explained = setup.library.explain(stamp, &[CALM], &[vec![0.5]], 0);
            assert!(explained.is_ok(), "{what}: {explained:?}");
        }
        (Ending::Fails(kind), _) => assert_fails(setup, &what, kind, stamp),
        (Ending::Harmless(_), _) => {
            assert_eq!(setup.ask(f64::from(SIGNAL)), stamp, "{what}");
            assert_eq!(failed(&setup.take_incidents()), [""; 0], "{what}");
        }
        (Ending::Refused(_) | Ending::Impossible(_), _) => {}
    }
}

fn assert_fails(setup: &mut Setup, what: &str, kind: &str, stamp: PolicyStamp) {
    let answered_by = setup.ask(f64::from(SIGNAL));
    assert_eq!(answered_by.generation, 0, "{what}: this round is the host's own policy's");
    let incidents = setup.take_incidents();
    let kinds = failed(&incidents);
    assert!(kinds.len() == 1 && is_as_expected(kinds[0], kind), "{what}: {kinds:?}");
    let digest = Digest::of(hostile(setup.slot.name()).bytes);
    let incident = &incidents[0];
    assert_eq!((incident.version.as_str(), incident.digest), ("6.6.6", Some(digest)), "{what}");
    assert_eq!(setup.ask(CALM), stamp, "{what}: a fresh instance serves the next round");
    let status = setup.status();
    let counted: Vec<_> = status.serving.failures.iter().collect();
    assert!(counted.len() == 1 && *counted[0].1 == 1, "{what}: {counted:?}");
    let told = status.last_failure.unwrap();
    assert_eq!((told.digest, told.generation), (Some(digest), stamp.generation), "{what}");
    assert_eq!((told.version.as_str(), told.kind.stage()), ("6.6.6", "call"), "{what}");
    assert!(told.at.is_some());
}

fn try_all(slot: Slot) {
    let mut setup = Setup::new(slot);
    setup.bind(r#"{"fault":"negative-zero","on":-1}"#.to_owned());
    assert_eq!(setup.status().refused.map(|it| it.reason), None);
    for function in FUNCTIONS.iter().filter(|it| it.slots.contains(&slot.name())) {
        for fault in Fault::ALL {
            try_fault(&mut setup, function, *fault);
        }
    }
}

#[test]
fn no_fault_of_a_scoring_policy_ends_otherwise_than_designed() {
    try_all(Slot::Scoring);
}

#[test]
fn no_fault_of_a_queue_policy_ends_otherwise_than_designed() {
    try_all(Slot::Queue);
}

#[test]
fn no_fault_of_a_rescheduling_policy_ends_otherwise_than_designed() {
    try_all(Slot::Rescheduling);
}

#[test]
fn no_flood_fills_the_host() {
    let mut setup = Setup::new(Slot::Scoring);
    for (fault, lines_dropped) in [(Fault::LogFlood, 980), (Fault::GaugeFlood, 0)] {
        setup.bind(config("scoring.score", fault));
        setup.ask(f64::from(SIGNAL));
        let serving = setup.status().serving;
        assert!(serving.lines_dropped >= lines_dropped, "{}", serving.lines_dropped);
        assert!(serving.gauges.len() <= 64, "{}", serving.gauges.len());
    }
    assert_eq!(setup.status().serving.gauges.len(), 64);
    setup.bind(config("scoring.score", Fault::GaugeJunk));
    setup.ask(f64::from(SIGNAL));
    assert!(setup.status().serving.gauges.is_empty());
}

#[test]
fn no_fault_of_a_forecasting_policy_ends_otherwise_than_designed() {
    try_all(Slot::Forecasting);
}
