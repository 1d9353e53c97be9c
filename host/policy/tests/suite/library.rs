//! The drop-in folder and the orders of operators, over real files.

use crate::guests::Guest;
use pointsman_policy::{
    Binding, Digest, Incident, IncidentKind, LibrarySettings, LibraryStatus, OnFailure, Origin,
    PolicyHost, PolicyLibrary, RollbackError, SlotState, SlotStatus, Stage, StandardPolicy,
    UseError,
};
use pointsman_scheduler::Slot;
use pointsman_scheduler::policies::{CallError, Policies};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub const PATIENCE: Duration = Duration::from_secs(60);

/// A host with its library, a drop-in folder and a data folder.
pub struct Setup {
    pub host: PolicyHost,
    pub library: PolicyLibrary,
    pub root: TempDir,
}

impl Setup {
    pub fn new() -> Setup {
        Setup::over(TempDir::new().unwrap())
    }

    fn over(root: TempDir) -> Setup {
        fs::create_dir_all(root.path().join("in")).unwrap();
        let standard = StandardPolicy {
            name: "standard".to_owned(),
            slot: Slot::Scoring,
            bytes: Guest::constant("standard", 0.5).component().into(),
        };
        let settings = LibrarySettings {
            directory: Some(root.path().join("in")),
            data_dir: Some(root.path().join("data")),
            standard: vec![standard],
            ..LibrarySettings::default()
        };
        let (host, library) = PolicyHost::start(settings).unwrap();
        Setup { host, library, root }
    }

    /// Ends this life and begins the next over the same folders.
    pub fn restart(self) -> Setup {
        let Setup { host, library, root } = self;
        drop((host, library));
        Setup::over(root)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join("in").join(format!("{name}.wasm"))
    }

    pub fn drop_in(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    /// Lets the library and then the driver take what is there.
    pub fn take(&mut self) {
        self.library.rescan();
        assert!(self.library.settle(PATIENCE));
        self.host.begin_round();
    }

    pub fn bind(&mut self, name: &str) {
        self.library.bind(Slot::Scoring, Some(Binding::to(name)));
        self.take();
    }

    /// What the policy in force scores a worker.
    pub fn score(&mut self) -> f64 {
        let mut scores = Vec::new();
        for _ in 0..4 {
            let columns = vec![vec![0.25]; self.host.scoring().needs_worker.len()];
            match self.host.score(&[], &columns, 1, &mut scores) {
                Ok(()) => return scores[0],
                Err(CallError::NextRung) => {}
                Err(CallError::Held) => panic!("held"),
            }
        }
        panic!("no rung answered");
    }

    pub fn status(&self) -> LibraryStatus {
        self.library.status()
    }

    pub fn slot(&self) -> SlotStatus {
        self.status().slots.into_iter().find(|it| it.slot == Slot::Scoring).unwrap()
    }
}

pub fn constant(score: f64) -> Vec<u8> {
    Guest::constant("constant", score).build()
}

#[test]
fn the_bound_name_is_a_file_then_a_standard_policy_then_a_native_one() {
    let mut it = Setup::new();
    it.bind("weighted-score");
    assert_eq!(it.slot().serving.origin, Origin::Native);
    assert_eq!(it.slot().state, SlotState::Serving);
    it.bind("standard");
    assert_eq!((it.score(), it.slot().serving.origin), (0.5, Origin::Standard));
    it.drop_in("standard", &constant(0.25));
    it.take();
    assert_eq!(it.score(), 0.25);
    assert_eq!(it.slot().serving.origin, Origin::File(it.path("standard")));
    it.library.bind(Slot::Scoring, None);
    it.take();
    assert_eq!(it.slot().state, SlotState::Unbound);
    assert_eq!(it.host.scoring().stamp.generation, 0);
}

#[test]
fn an_unknown_name_is_refused_with_the_nearest_and_the_native_policy_serves() {
    let mut it = Setup::new();
    it.bind("standrad");
    let slot = it.slot();
    assert_eq!(slot.state, SlotState::Fallback);
    let refused = slot.refused.unwrap();
    assert_eq!(refused.stage, Stage::Read);
    assert_eq!(
        refused.reason,
        "there is no policy \"standrad\" for the slot scoring; did you mean \"standard\"?"
    );
    assert_eq!(it.host.scoring().name, "weighted-score");
}

#[test]
fn a_swap_takes_effect_between_rounds_and_not_within_one() {
    let mut it = Setup::new();
    it.drop_in("p", &constant(0.1));
    it.bind("p");
    let before = it.host.scoring().stamp;
    it.drop_in("p", &constant(0.2));
    it.library.rescan();
    assert!(it.library.settle(PATIENCE));
    assert!(it.host.has_swap());
    assert_eq!((it.score(), it.host.scoring().stamp), (0.1, before));
    it.host.begin_round();
    assert_eq!(it.score(), 0.2);
    let after = it.host.scoring().stamp;
    assert_eq!(after.generation, before.generation + 1);
    assert_eq!(after.digest, Digest::of(&constant(0.2)).short());
    assert!(!it.host.has_swap());
}

#[test]
fn two_hundred_swaps_lose_no_call() {
    let mut it = Setup::new();
    it.drop_in("p", &constant(0.0));
    it.bind("p");
    for i in 1..=200u32 {
        let score = f64::from(i) / 256.0;
        it.drop_in("p", &constant(score));
        it.library.rescan();
        while !it.host.has_swap() {
            // The old one serves meanwhile.
            it.host.begin_round();
            it.score();
            it.library.settle(Duration::from_millis(1));
        }
        it.host.begin_round();
        assert_eq!(it.score(), score);
    }
    assert_eq!(it.slot().serving.stamp.generation, 201);
    assert!(it.slot().serving.failures.is_empty());
    let kept = fs::read_dir(it.root.path().join("data/policies")).unwrap();
    let n_kept = kept.flatten().filter(|it| it.file_name().len() == 64).count();
    assert_eq!(n_kept, 3, "the active one, its predecessor, and the one before that");
}

#[test]
fn a_refused_candidate_leaves_the_old_one_serving_and_is_shown() {
    let mut it = Setup::new();
    it.drop_in("p", &constant(0.1));
    it.bind("p");
    for (bytes, stage) in [
        (b"\xff\xd8\xff\xe0".to_vec(), Stage::Format),
        (constant(0.2)[..200].to_vec(), Stage::Format),
        (Guest::queue("q").build(), Stage::Contract),
        (constant(2.0), Stage::Probe),
    ] {
        it.drop_in("p", &bytes);
        it.take();
        let slot = it.slot();
        let refused = slot.refused.unwrap();
        assert_eq!((refused.stage, refused.digest), (stage, Some(Digest::of(&bytes))));
        assert_eq!(slot.state, SlotState::Fallback);
        assert_eq!((it.score(), slot.serving.stamp.generation), (0.1, 1));
    }
    it.drop_in("p", &constant(0.3));
    it.take();
    assert_eq!((it.score(), it.slot().state), (0.3, SlotState::Serving));
    assert!(it.slot().refused.is_none());
}

#[test]
fn a_file_written_bit_by_bit_never_serves_before_it_is_whole() {
    let mut it = Setup::new();
    it.drop_in("p", &constant(0.1));
    it.bind("p");
    let whole = constant(0.9);
    for end in (0..whole.len()).step_by(150) {
        it.drop_in("p", &whole[..end]);
        it.take();
        assert_eq!(it.score(), 0.1, "{end} of {} bytes", whole.len());
    }
    it.drop_in("p", &whole);
    it.take();
    assert_eq!(it.score(), 0.9);
}

#[test]
fn touching_or_rewriting_the_same_content_is_no_swap() {
    let mut it = Setup::new();
    it.drop_in("p", &constant(0.1));
    it.bind("p");
    for _ in 0..3 {
        it.drop_in("p", &constant(0.1));
        it.take();
        assert_eq!(it.slot().serving.stamp.generation, 1);
    }
    it.library
        .bind(Slot::Scoring, Some(Binding { config: "{\"a\":1}".into(), ..Binding::to("p") }));
    it.take();
    assert_eq!(it.slot().serving.stamp.generation, 2, "another configuration is");
}

#[test]
fn renaming_over_and_links_like_those_of_mounted_configuration_work() {
    let mut it = Setup::new();
    let data = it.root.path().join("..data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("v1"), constant(0.1)).unwrap();
    fs::write(data.join("v2"), constant(0.2)).unwrap();
    std::os::unix::fs::symlink(data.join("v1"), data.join("current")).unwrap();
    std::os::unix::fs::symlink(data.join("current"), it.path("p")).unwrap();
    it.bind("p");
    assert_eq!(it.score(), 0.1);
    std::os::unix::fs::symlink(data.join("v2"), data.join("next")).unwrap();
    fs::rename(data.join("next"), data.join("current")).unwrap();
    it.take();
    assert_eq!(it.score(), 0.2);
    fs::write(data.join("v3"), constant(0.3)).unwrap();
    fs::rename(data.join("v3"), it.path("p")).unwrap();
    it.take();
    assert_eq!(it.score(), 0.3);
}

#[test]
fn deleting_the_file_keeps_its_generation_with_a_warning_and_over_a_restart() {
    let mut it = Setup::new();
    it.drop_in("p", &constant(0.1));
    it.bind("p");
    fs::remove_file(it.path("p")).unwrap();
    it.take();
    assert_eq!((it.score(), it.slot().serving.stamp.generation), (0.1, 1));
    assert!(it.slot().warning.unwrap().contains("is gone"));
    let mut it = it.restart();
    it.bind("p");
    assert_eq!((it.score(), it.slot().serving.origin), (0.1, Origin::Kept));
    assert_eq!(it.slot().serving.stamp.generation, 2, "counted on over restarts");
    it.drop_in("p", &constant(0.2));
    it.take();
    assert_eq!((it.score(), it.slot().warning), (0.2, None));
}

#[test]
fn after_a_restart_with_a_bad_file_the_accepted_content_serves() {
    let mut it = Setup::new();
    it.drop_in("p", &constant(0.1));
    it.bind("p");
    it.drop_in("p", b"junk");
    let mut it = it.restart();
    it.bind("p");
    assert_eq!((it.score(), it.slot().state), (0.1, SlotState::Fallback));
    assert_eq!(it.slot().refused.unwrap().digest, Some(Digest::of(b"junk")));
}

#[test]
fn a_roll_back_stays_rolled_back_until_the_content_changes() {
    let mut it = Setup::new();
    assert_eq!(
        it.library.rollback(Slot::Queue),
        Err(RollbackError::NothingLoaded("queue")),
        "before the first round as well"
    );
    it.drop_in("p", &constant(0.1));
    it.bind("p");
    assert_eq!(it.library.rollback(Slot::Scoring), Err(RollbackError::NothingBefore("scoring")));
    it.drop_in("p", &constant(0.2));
    it.take();
    let rolled_back = it.library.rollback(Slot::Scoring).unwrap();
    assert_eq!(rolled_back.to_generation, Some(1));
    it.take();
    assert_eq!((it.score(), it.slot().serving.stamp.generation), (0.1, 1));
    assert!(it.slot().warning.unwrap().contains("was rolled back"));
    let mut it = it.restart();
    it.bind("p");
    assert_eq!(it.score(), 0.1, "over a restart");
    it.library.use_policy(Slot::Scoring, "p", None).unwrap();
    it.take();
    assert_eq!(it.score(), 0.2, "asked for by hand");
    it.library.rollback(Slot::Scoring).unwrap();
    it.take();
    assert_eq!(it.score(), 0.1);
    it.drop_in("p", &constant(0.3));
    it.take();
    assert_eq!(it.score(), 0.3, "new content");
}

#[test]
fn a_choice_by_hand_lasts_until_the_binding_changes() {
    let mut it = Setup::new();
    let unbound = it.library.use_policy(Slot::Scoring, "p", None);
    assert_eq!(unbound, Err(UseError::Unbound("scoring")));
    it.drop_in("other", &constant(0.7));
    it.bind("standard");
    let unknown = it.library.use_policy(Slot::Scoring, "othr", None).unwrap_err();
    assert!(unknown.to_string().ends_with("did you mean \"other\"?"), "{unknown}");
    it.library.use_policy(Slot::Scoring, "other", None).unwrap();
    it.take();
    assert_eq!((it.score(), it.slot().chosen), (0.7, Some("other".to_owned())));
    let mut it = it.restart();
    it.bind("standard");
    assert_eq!(it.score(), 0.7, "over a restart");
    let binding = Binding { on_failure: OnFailure::Builtin, ..Binding::to("standard") };
    it.library.bind(Slot::Scoring, Some(binding));
    it.take();
    assert_eq!((it.score(), it.slot().chosen), (0.5, None));
}

#[test]
fn only_the_pinned_content_is_taken() {
    let mut it = Setup::new();
    let pinned = constant(0.1);
    let binding = Binding { sha256: Some(Digest::of(&pinned)), ..Binding::to("p") };
    it.drop_in("p", &constant(0.2));
    it.library.bind(Slot::Scoring, Some(binding));
    it.take();
    assert_eq!(it.slot().refused.unwrap().stage, Stage::Pin);
    it.drop_in("p", &pinned);
    it.take();
    assert_eq!((it.score(), it.slot().state), (0.1, SlotState::Serving));
}

#[test]
fn files_that_no_slot_asks_for_are_tried_and_listed() {
    let mut it = Setup::new();
    it.drop_in("good", &Guest::queue("good-queue").build());
    it.drop_in("bad", b"junk");
    it.take();
    let status = it.status();
    let listed: Vec<_> =
        status.files.iter().map(|it| (it.component.as_str(), &it.verdict)).collect();
    assert_eq!(listed[0].1.as_ref().unwrap_err().stage, Stage::Format);
    let useful = listed[1].1.as_ref().unwrap();
    let found = (listed[1].0, useful.slot, useful.name.as_str());
    assert_eq!(found, ("good", Slot::Queue, "good-queue"));
}

/// Traps on the load that [`Setup::score`] sends, which no trial call of one row has.
fn failing() -> Vec<u8> {
    let guest = Guest {
        on_call: "(if (i32.eq (i32.const 1) (local.get $n_rows)) (then (if (f64.eq \
            (f64.const 0.25) (f64.load (i32.load (local.get $columns)))) (then unreachable))))"
            .to_owned(),
        ..Guest::scoring("bad")
    };
    guest.build()
}

#[test]
fn content_that_keeps_failing_is_given_up_until_it_changes() {
    let mut it = Setup::new();
    it.drop_in("p", &constant(0.1));
    it.bind("p");
    it.drop_in("p", &failing());
    it.take();
    let deadline = Instant::now() + PATIENCE;
    let mut incidents = Vec::new();
    // The third failure comes after waits of one and two seconds.
    while !incidents.iter().any(|it: &Incident| it.kind == IncidentKind::Quarantined) {
        assert!(Instant::now() < deadline, "{incidents:#?}");
        it.host.begin_round();
        assert_eq!(it.score(), 0.1, "every round is answered");
        incidents.extend(it.host.take_incidents());
        // Between rounds; those waits are real time.
        std::thread::sleep(Duration::from_millis(10));
    }
    let last = incidents.iter().find(|it| it.kind == IncidentKind::Quarantined).unwrap();
    assert!(last.message.ends_with("constant 1.0.0 is restored"), "{}", last.message);
    for _ in 0..3 {
        it.take();
        assert_eq!((it.score(), it.slot().serving.stamp.generation), (0.1, 1));
    }
    assert!(it.slot().warning.unwrap().contains("failed too often"));
    it.drop_in("p", &constant(0.3));
    it.take();
    assert_eq!((it.score(), it.slot().state), (0.3, SlotState::Serving));
}

#[test]
fn a_candidate_that_fails_in_service_is_replaced_by_the_generation_before() {
    let mut it = Setup::new();
    it.drop_in("p", &constant(0.1));
    it.bind("p");
    it.drop_in("p", &failing());
    it.take();
    assert_eq!(it.host.scoring().name, "bad");
    assert_eq!(it.score(), 0.1, "the same round is answered by the one before");
    it.take();
    assert_eq!(it.host.scoring().name, "bad", "one failure does not end it");
    assert_eq!(it.score(), 0.1);
    it.take();
    let slot = it.slot();
    assert_eq!((slot.state, slot.serving.name.as_str()), (SlotState::Fallback, "constant"));
    assert!(slot.last_failure.unwrap().message.starts_with("bad 1.0.0 failed: score trapped"));
    assert_eq!(it.slot().serving.stamp.generation, 1);
}

#[test]
fn what_never_served_never_stands_in_for_what_fails() {
    let mut it = Setup::new();
    it.drop_in("p", &constant(0.1));
    it.bind("p");
    // Both are admitted between two rounds.
    for bytes in [constant(0.7), failing()] {
        it.drop_in("p", &bytes);
        it.library.rescan();
        assert!(it.library.settle(PATIENCE));
    }
    it.host.begin_round();
    assert_eq!(it.host.scoring().name, "bad");
    assert_eq!(it.score(), 0.1, "the one that served stands in");
}

#[test]
fn a_score_is_explained_by_the_generation_that_gave_it() {
    let mut it = Setup::new();
    let explained = Guest { explains: Some(0.75), ..Guest::scoring("explained") };
    it.drop_in("p", &explained.build());
    it.bind("p");
    let stamp = it.host.scoring().stamp;
    let explain = |it: &Setup, stamp, row| it.library.explain(stamp, &[], &[vec![0.25, 0.5]], row);
    assert_eq!(explain(&it, stamp, 0), Ok(vec![("only".to_owned(), 0.75)]));
    assert!(explain(&it, stamp, 2).is_err());
    it.drop_in("p", &constant(0.1));
    it.take();
    let next = it.host.scoring().stamp;
    assert_eq!(explain(&it, next, 1), Ok(vec![("score".to_owned(), 0.1)]));
    assert_eq!(explain(&it, stamp, 0), Ok(vec![("only".to_owned(), 0.75)]), "still loaded");
}

#[test]
fn the_driver_is_woken_for_a_swap() {
    let mut it = Setup::new();
    let (sender, woken) = std::sync::mpsc::channel();
    it.bind("weighted-score");
    it.library.set_waker(move || {
        sender.send(()).expect("the test waits");
    });
    it.drop_in("weighted-score", &constant(0.1));
    it.library.rescan();
    woken.recv_timeout(PATIENCE).unwrap();
    assert!(it.host.has_swap());
}
