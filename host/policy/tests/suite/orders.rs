//! Choices, uploads, pins and roll-backs, over restarts and deletions.

use crate::guests::Guest;
use crate::library::{PATIENCE, Setup, constant};
use pointsman_policy::{
    Binding, Digest, Origin, RollbackError, SlotState, Stage, UploadError, UseError,
};
use pointsman_scheduler::Slot;
use pointsman_scheduler::policies::Policies;
use std::fs;
use std::time::Instant;

fn pinned(name: &str, content: &[u8]) -> Option<Binding> {
    Some(Binding { sha256: Some(Digest::of(content)), ..Binding::to(name) })
}

impl Setup {
    fn upload(&mut self, name: &str, bytes: &[u8]) -> Result<(), UploadError> {
        let result = self.library.upload(Slot::Scoring, name, bytes.into(), PATIENCE);
        self.host.begin_round();
        result
    }

    fn choose(&mut self, name: &str) {
        self.library.use_policy(Slot::Scoring, name, None).unwrap();
        self.take();
    }

    fn roll_back(&mut self) {
        self.library.rollback(Slot::Scoring).unwrap();
        self.take();
    }
}

#[test]
fn no_other_content_than_the_pinned_serves_until_the_pin_changes() {
    let mut it = Setup::new();
    let (first, second) = (constant(0.1), constant(0.2));
    it.drop_in("p", &first);
    it.library.bind(Slot::Scoring, pinned("p", &first));
    it.take();
    assert_eq!((it.score(), it.slot().state), (0.1, SlotState::Serving));
    it.drop_in("p", &second);
    for _ in 0..3 {
        it.take();
        let slot = it.slot();
        let refused = slot.refused.expect("it stays refused");
        assert_eq!((refused.stage, refused.digest), (Stage::Pin, Some(Digest::of(&second))));
        for digest in [&first, &second].map(|bytes| Digest::of(bytes).to_string()) {
            assert!(refused.reason.contains(&digest), "{}", refused.reason);
        }
        assert_eq!((it.score(), slot.n_refused), (0.1, 1), "and is told once");
    }
    it.library.bind(Slot::Scoring, pinned("p", &second));
    it.take();
    assert_eq!((it.score(), it.slot().state), (0.2, SlotState::Serving));
    let generation = it.slot().serving.stamp.generation;
    it.library.bind(Slot::Scoring, Some(Binding::to("p")));
    it.take();
    let slot = it.slot();
    assert_eq!(slot.serving.stamp.generation, generation, "without a pin nothing is loaded anew");
    // What serves is not what is pinned: it is told, and serves on.
    it.library.bind(Slot::Scoring, pinned("p", &first));
    for _ in 0..2 {
        it.take();
        assert_eq!(it.slot().refused.expect("told").stage, Stage::Pin);
    }
    assert_eq!(it.score(), 0.2);
}

#[test]
fn a_pin_holds_for_every_way_to_the_bound_name_and_for_no_other_name() {
    let mut it = Setup::new();
    it.drop_in("other", &constant(0.7));
    it.drop_in("p", &constant(0.2));
    it.library.bind(Slot::Scoring, pinned("p", &constant(0.1)));
    it.take();
    it.choose("p");
    assert_eq!(it.slot().refused.unwrap().stage, Stage::Pin, "chosen by hand");
    let Err(UploadError::Refused(refusal)) = it.upload("p", &constant(0.3)) else {
        panic!("handed over");
    };
    assert_eq!(refusal.stage, Stage::Pin);
    it.choose("other");
    assert_eq!((it.score(), it.slot().chosen.as_deref()), (0.7, Some("other")));
    it.upload("p", &constant(0.1)).unwrap();
    assert_eq!(it.score(), 0.1, "the pinned content itself");
    fs::remove_file(it.path("p")).unwrap();
    it.library.bind(Slot::Scoring, pinned("standard", &constant(0.1)));
    it.take();
    let refused = it.slot().refused.unwrap();
    assert_eq!((refused.component.as_str(), refused.stage), ("standard", Stage::Pin));
}

#[test]
fn an_upload_serves_over_restarts_until_the_binding_changes() {
    let mut it = Setup::new();
    assert_eq!(it.upload("u", &constant(0.9)), Err(UploadError::Unbound("scoring")));
    it.bind("standard");
    it.upload("u", &constant(0.9)).unwrap();
    let slot = it.slot();
    assert_eq!((it.score(), slot.serving.origin), (0.9, Origin::Uploaded));
    assert_eq!((slot.bound.as_deref(), slot.chosen.as_deref()), (Some("standard"), Some("u")));
    it.take();
    assert_eq!(it.slot().serving.stamp, slot.serving.stamp, "looked at again, it stays");
    let mut it = it.restart();
    it.bind("standard");
    assert_eq!((it.score(), it.slot().chosen.as_deref()), (0.9, Some("u")));
    assert!(!it.path("u").exists(), "the folder is the operator's alone");
    it.drop_in("u", &constant(0.3));
    it.take();
    assert_eq!(it.score(), 0.9, "a file of the same name is another policy");
    let config = r#"{"changed":1}"#.to_owned();
    it.library.bind(Slot::Scoring, Some(Binding { config, ..Binding::to("standard") }));
    it.take();
    assert_eq!((it.score(), it.slot().chosen), (0.5, None));
}

#[test]
fn a_refused_upload_changes_nothing() {
    let mut it = Setup::new();
    it.bind("standard");
    it.upload("u", &constant(0.9)).unwrap();
    let before = it.slot().serving.stamp;
    for (bytes, stage) in [
        (b"junk".to_vec(), Stage::Format),
        (Guest::queue("q").build(), Stage::Contract),
        (constant(7.0), Stage::Probe),
        (vec![0; (32 << 20) + 1], Stage::Format),
    ] {
        let Err(UploadError::Refused(refusal)) = it.upload("u", &bytes) else {
            panic!("{stage:?} is let through");
        };
        assert_eq!(refusal.stage, stage);
        it.take();
        let slot = it.slot();
        assert_eq!((slot.state, slot.serving.stamp), (SlotState::Serving, before));
    }
    let mut it = it.restart();
    it.bind("standard");
    assert_eq!(it.score(), 0.9);
}

#[test]
fn choosing_what_is_bound_overrides_nothing() {
    let mut it = Setup::new();
    it.drop_in("p", &constant(0.1));
    it.drop_in("q", &constant(0.2));
    it.bind("p");
    it.choose("q");
    assert_eq!(it.slot().chosen.as_deref(), Some("q"));
    it.choose("p");
    assert_eq!((it.score(), it.slot().chosen), (0.1, None));
    it.library.use_bound(Slot::Scoring);
    it.take();
    assert_eq!(it.score(), 0.1);
}

#[test]
fn rolling_back_a_choice_ends_it_and_rolling_back_to_one_is_one() {
    let mut it = Setup::new();
    it.drop_in("p", &constant(0.1));
    it.drop_in("q", &constant(0.2));
    it.bind("p");
    it.choose("q");
    it.roll_back();
    assert_eq!((it.score(), it.slot().chosen), (0.1, None));
    assert_eq!(it.slot().state, SlotState::Serving);
    it.choose("q");
    it.choose("p");
    it.roll_back();
    assert_eq!((it.score(), it.slot().chosen.as_deref()), (0.2, Some("q")));
    let mut it = it.restart();
    it.bind("p");
    assert_eq!(it.score(), 0.2, "over a restart");
}

#[test]
fn what_served_before_a_restart_can_be_rolled_back_to_after_it() {
    let mut it = Setup::new();
    it.drop_in("p", &constant(0.1));
    it.bind("p");
    it.drop_in("p", &constant(0.2));
    it.take();
    let mut it = it.restart();
    it.bind("p");
    assert_eq!(it.score(), 0.2);
    it.roll_back();
    assert_eq!(it.score(), 0.1);
    it.take();
    assert_eq!(it.score(), 0.1, "and stays");
    assert!(it.slot().warning.unwrap().contains("was rolled back"));
    let mut it = it.restart();
    it.bind("p");
    assert_eq!(it.score(), 0.1, "over a restart");
    it.drop_in("p", &constant(0.3));
    it.take();
    assert_eq!(it.score(), 0.3, "until the content changes");
    let fresh = Setup::new();
    fresh.library.bind(Slot::Scoring, Some(Binding::to("standard")));
    let nothing = RollbackError::NothingLoaded("scoring");
    assert_eq!(fresh.library.rollback(Slot::Scoring), Err(nothing));
}

#[test]
fn a_deleted_file_serves_on_over_a_restart_though_a_standard_policy_has_its_name() {
    let mut it = Setup::new();
    it.drop_in("standard", &constant(0.1));
    it.bind("standard");
    fs::remove_file(it.path("standard")).unwrap();
    it.take();
    let warning = it.slot().warning.expect("it is told");
    assert!(warning.contains("policy use scoring standard"), "{warning}");
    let mut it = it.restart();
    it.bind("standard");
    assert_eq!((it.score(), it.slot().serving.origin), (0.1, Origin::Kept));
    it.take();
    let mut it = it.restart();
    it.bind("standard");
    assert_eq!(it.score(), 0.1, "over a second one");
    it.choose("standard");
    let slot = it.slot();
    assert_eq!((it.score(), slot.serving.origin, slot.warning), (0.5, Origin::Standard, None));
    let mut it = it.restart();
    it.bind("standard");
    assert_eq!(it.score(), 0.5, "as asked");
    it.drop_in("standard", &constant(0.3));
    it.take();
    assert_eq!(it.score(), 0.3, "a new file counts again");
}

#[test]
fn an_unknown_name_is_no_choice() {
    let mut it = Setup::new();
    it.bind("standard");
    let error = it.library.use_policy(Slot::Scoring, "standart", None).unwrap_err();
    assert!(matches!(error, UseError::Unknown { .. }), "{error}");
    assert_eq!(it.slot().chosen, None);
}

#[test]
fn no_candidate_is_out_of_sight_while_nothing_is_decided_of_it() {
    let mut it = Setup::new();
    it.bind("weighted-score");
    let slow = Guest {
        extra: "(global $n (mut i32) (i32.const 0))".to_owned(),
        on_configure: "(loop $l (global.set $n (i32.add (global.get $n) (i32.const 1))) \
            (br_if $l (i32.lt_u (global.get $n) (i32.const 200000000))))"
            .to_owned(),
        ..Guest::scoring("slow")
    };
    it.drop_in("slow", &slow.build());
    it.library.use_policy(Slot::Scoring, "slow", None).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let seen = loop {
        if let Some(seen) = it.library.status().looking_at {
            break seen;
        }
        assert!(Instant::now() < deadline, "it is decided without ever being seen");
        std::thread::yield_now();
    };
    assert_eq!((seen.component.as_str(), seen.slot), ("slow", Some(Slot::Scoring)));
    it.take();
    assert!(it.library.status().looking_at.is_none());
}
