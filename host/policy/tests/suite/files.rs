//! Files that come, go, are damaged or cannot be read: what is told, how often, and what serves.

use crate::guests::Guest;
use crate::library::{PATIENCE, Setup, constant};
use pointsman_policy::{Binding, Digest, LibrarySettings, PolicyHost, SlotState, Stage};
use pointsman_scheduler::Slot;
use pointsman_scheduler::policies::Policies;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

/// Waits for it.
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::yield_now();
    }
}

/// Counts what is told, by digest.
fn listen(it: &Setup) -> Arc<Mutex<BTreeMap<Option<Digest>, usize>>> {
    let told = Arc::new(Mutex::new(BTreeMap::new()));
    let counts = told.clone();
    it.library.set_listener(move |slot, refused| {
        assert_eq!(slot, Some(Slot::Scoring));
        *counts.lock().unwrap().entry(refused.digest).or_insert(0) += 1;
    });
    told
}

/// The folder may be looked at before its owner listens.
#[test]
fn what_was_refused_before_anybody_listened_is_told_all_the_same() {
    let mut it = Setup::new();
    it.drop_in("p", b"junk");
    it.bind("p");
    it.take();
    assert!(it.slot().refused.is_some());
    let told = listen(&it);
    assert_eq!(*told.lock().unwrap(), [(Some(Digest::of(b"junk")), 1)].into());
    it.drop_in("p", b"other junk");
    it.take();
    assert_eq!(told.lock().unwrap().len(), 2, "and only once");
}

#[test]
fn no_content_is_told_of_twice_however_often_it_comes_back() {
    let mut it = Setup::new();
    let told = listen(&it);
    it.drop_in("p", &constant(0.1));
    it.bind("p");
    let whole = constant(0.2);
    let halves = [&whole[..whole.len() / 3], &whole[..whole.len() / 2], b"", b"junk"];
    for _ in 0..3 {
        for half in halves {
            it.drop_in("p", half);
            it.take();
            let slot = it.slot();
            assert_eq!(slot.refused.unwrap().digest, Some(Digest::of(half)));
            assert_eq!((it.score(), slot.serving.stamp.generation), (0.1, 1));
        }
    }
    let expected: BTreeMap<_, _> = halves.map(|half| (Some(Digest::of(half)), 1)).into();
    assert_eq!(*told.lock().unwrap(), expected);
    assert_eq!(it.slot().n_refused, 4);
    it.drop_in("p", &whole);
    it.take();
    assert_eq!((it.score(), it.slot().state), (0.2, SlotState::Serving));
}

#[test]
fn whatever_lies_in_the_files_place_the_old_policy_serves_and_the_file_counts_when_it_is_back() {
    let mut it = Setup::new();
    it.drop_in("p", &constant(0.1));
    it.bind("p");
    let path = it.path("p");
    let aside = it.root.path().join("aside");
    fs::rename(&path, &aside).unwrap();
    let places: [(&str, &dyn Fn()); 3] = [
        ("a folder", &|| fs::create_dir(&path).unwrap()),
        ("a link to nothing", &|| symlink("nowhere", &path).unwrap()),
        ("a link to itself", &|| symlink(&path, &path).unwrap()),
    ];
    for (what, put) in places {
        put();
        for _ in 0..2 {
            it.take();
            let refused = until(what, || it.slot().refused);
            let slot = it.slot();
            assert_eq!(refused.stage, Stage::Read, "{what}");
            assert_eq!((it.score(), slot.serving.stamp.generation), (0.1, 1), "{what}");
        }
        fs::remove_dir(&path).or_else(|_| fs::remove_file(&path)).unwrap();
    }
    fs::rename(&aside, &path).unwrap();
    it.take();
    let slot = it.slot();
    assert_eq!((slot.state, slot.serving.stamp.generation), (SlotState::Serving, 1));
}

#[test]
fn what_could_not_be_read_is_tried_again_though_no_event_tells_of_it() {
    let mut it = Setup::new();
    symlink(it.root.path().join("later"), it.path("p")).unwrap();
    it.bind("p");
    assert_eq!(it.slot().refused.map(|it| it.reason), None, "links may come before their targets");
    let refused = until("the link is told of", || it.slot().refused);
    assert_eq!((refused.stage, &*refused.reason), (Stage::Read, "it is a link to nothing"));
    fs::write(it.root.path().join("later"), constant(0.4)).unwrap();
    // Nobody asks for it.
    until("it is tried again", || it.host.has_swap().then_some(()));
    it.host.begin_round();
    assert_eq!((it.score(), it.slot().refused.is_none()), (0.4, true));
}

#[test]
fn a_file_that_is_being_written_is_neither_taken_nor_told_of_until_it_is_closed() {
    let mut it = Setup::new();
    let told = listen(&it);
    it.drop_in("p", &constant(0.1));
    it.bind("p");
    // In place, piece by piece, over content of the same length that would pass by halves.
    let whole = constant(0.2);
    assert_eq!(whole.len(), constant(0.1).len());
    let mut writer = fs::OpenOptions::new().write(true).open(it.path("p")).unwrap();
    for piece in whole.chunks(whole.len() / 7) {
        writer.write_all(piece).unwrap();
        it.take();
        let slot = it.slot();
        assert_eq!((it.score(), slot.serving.stamp.generation), (0.1, 1));
        assert_eq!((slot.state, slot.refused.is_none()), (SlotState::Serving, true));
    }
    drop(writer);
    until("it is taken", || it.host.has_swap().then_some(()));
    it.host.begin_round();
    assert_eq!((it.score(), it.slot().serving.stamp.generation), (0.2, 2));
    assert!(told.lock().unwrap().is_empty());
}

#[test]
fn of_many_contents_in_a_row_the_last_one_serves_and_no_other_stays() {
    let mut it = Setup::new();
    it.drop_in("p", &constant(0.0));
    it.bind("p");
    for i in 1..=500 {
        it.drop_in("p", &constant(f64::from(i) / 1000.0));
        it.library.rescan();
        if i % 5 == 0 {
            // Accepted, while the driver is busy with a long round.
            assert!(it.library.settle(PATIENCE));
        }
    }
    it.take();
    let slot = it.slot();
    assert_eq!((it.score(), slot.state), (0.5, SlotState::Serving));
    assert_eq!(slot.last_good.unwrap().digest, Some(Digest::of(&constant(0.0))));
    // In the folder of accepted policies, too.
    let kept = fs::read_dir(it.root.path().join("data/policies")).unwrap().count();
    assert!(kept <= 4, "{kept} files are kept");
    // What served before is there after a restart, though others were accepted in between.
    let mut it = it.restart();
    it.bind("p");
    it.library.rollback(Slot::Scoring).unwrap();
    it.take();
    assert_eq!(it.score(), 0.0);
}

#[test]
fn touching_rewriting_and_new_rights_load_nothing_anew() {
    let mut it = Setup::new();
    it.drop_in("p", &constant(0.1));
    it.bind("p");
    let before = it.slot().serving;
    for i in 0..100 {
        let file = fs::File::options().append(true).open(it.path("p")).unwrap();
        file.set_modified(SystemTime::now() + Duration::from_secs(i)).unwrap();
        drop(file);
        if i % 10 == 0 {
            it.drop_in("p", &constant(0.1));
            let rights = if i % 20 == 0 { 0o600 } else { 0o644 };
            fs::set_permissions(it.path("p"), fs::Permissions::from_mode(rights)).unwrap();
        }
        it.take();
    }
    it.score();
    let after = it.slot().serving;
    assert_eq!((after.stamp, after.since), (before.stamp, before.since));
    assert!(it.host.take_incidents().len() <= 1, "it began to serve once");
}

#[test]
fn a_folder_that_cannot_be_read_keeps_nobody_from_the_standard_policies() {
    let mut it = Setup::new();
    let folder = it.root.path().join("in");
    fs::remove_dir(&folder).unwrap();
    fs::write(&folder, "not a folder").unwrap();
    it.bind("standard");
    assert_eq!(it.score(), 0.5);
    assert!(it.status().folder_error.unwrap().contains("cannot be read"));
    fs::remove_file(&folder).unwrap();
    fs::create_dir(&folder).unwrap();
    it.drop_in("standard", &constant(0.1));
    it.take();
    assert_eq!((it.score(), it.status().folder_error), (0.1, None));
}

#[test]
fn a_folder_that_vanishes_takes_no_policy_with_it() {
    let mut it = Setup::new();
    it.drop_in("p", &constant(0.1));
    it.bind("p");
    fs::remove_dir_all(it.root.path().join("in")).unwrap();
    it.take();
    assert_eq!(it.score(), 0.1);
    assert!(it.slot().warning.unwrap().contains("is gone"));
    fs::create_dir(it.root.path().join("in")).unwrap();
    it.drop_in("p", &constant(0.2));
    it.take();
    assert_eq!((it.score(), it.slot().warning), (0.2, None));
}

#[test]
fn what_an_earlier_life_left_half_written_takes_no_space_for_ever() {
    let mut it = Setup::new();
    it.drop_in("p", &constant(0.1));
    it.bind("p");
    let left = it.root.path().join("data/policies").join(format!("{}.1.tmp", Digest::of(b"x")));
    fs::write(&left, "half").unwrap();
    it.drop_in("p", &constant(0.2));
    it.take();
    assert_eq!((it.score(), left.exists()), (0.2, false));
}

#[test]
fn what_is_kept_belongs_to_this_user_alone() {
    let mut it = Setup::new();
    it.drop_in("p", &constant(0.1));
    it.bind("p");
    for name in ["policies", "policy-cache"] {
        let mode = fs::metadata(it.root.path().join("data").join(name)).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o700, "{name}");
    }
}

#[test]
fn a_damaged_accepted_policy_or_state_is_never_taken() {
    let mut it = Setup::new();
    it.drop_in("p", &constant(0.1));
    it.bind("p");
    fs::remove_file(it.path("p")).unwrap();
    let kept = it.root.path().join("data/policies").join(Digest::of(&constant(0.1)).to_string());
    fs::write(&kept, constant(0.9)).unwrap();
    let mut it = it.restart();
    it.bind("p");
    let slot = it.slot();
    assert_eq!((slot.state, slot.refused.unwrap().stage), (SlotState::Fallback, Stage::Read));
    assert_ne!(it.score(), 0.9);
    fs::write(it.root.path().join("data/policies/library.json"), "{\"generation\": 7, ").unwrap();
    let mut it = it.restart();
    it.drop_in("p", &constant(0.3));
    it.bind("p");
    assert_eq!(it.score(), 0.3);
}

#[test]
fn without_a_data_folder_a_deleted_file_serves_on_all_the_same() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("p.wasm");
    fs::write(&path, constant(0.1)).unwrap();
    let settings =
        LibrarySettings { directory: Some(root.path().to_owned()), ..LibrarySettings::default() };
    let (mut host, library) = PolicyHost::start(settings).unwrap();
    library.bind(Slot::Scoring, Some(Binding::to("p")));
    for round in 0..3 {
        library.rescan();
        assert!(library.settle(PATIENCE));
        host.begin_round();
        assert_eq!(host.scoring().name, "constant", "round {round}");
        let _ = fs::remove_file(&path);
    }
    library.upload(Slot::Scoring, "u", Guest::constant("u", 0.5).build().into(), PATIENCE).unwrap();
    host.begin_round();
    library.rescan();
    assert!(library.settle(PATIENCE));
    host.begin_round();
    assert_eq!(host.scoring().name, "u");
}

#[test]
fn what_a_file_says_of_itself_is_shown() {
    let mut it = Setup::new();
    let mut bytes = Guest::constant("told", 0.1).component();
    for (name, text) in [("licenses", "MIT"), ("source", "https://example.org/told")] {
        let head = [0, (1 + name.len() + text.len()) as u8, name.len() as u8];
        bytes.extend([&head, name.as_bytes(), text.as_bytes()].concat());
    }
    it.drop_in("p", &bytes);
    it.drop_in("other", &bytes);
    it.bind("p");
    let provenance = it.slot().serving.provenance;
    assert_eq!(provenance.license.as_deref(), Some("MIT"));
    assert_eq!(provenance.source.as_deref(), Some("https://example.org/told"));
    assert_eq!(it.status().files[0].verdict.as_ref().unwrap().provenance, provenance);
}

/// Answers how often it was called, as a fraction.
fn counting(label: &str) -> Vec<u8> {
    let guest = Guest {
        extra: "(global $calls (mut f64) (f64.const 0))".to_owned(),
        // Trial calls have other loads than the one that counts.
        on_call: "(if (i32.eq (i32.const 1) (local.get $n_rows)) (then (if (f64.eq \
            (f64.const 0.25) (f64.load (i32.load (local.get $columns)))) (then (global.set $calls \
            (f64.add (global.get $calls) (f64.const 0.015625)))))))"
            .to_owned(),
        value: "(global.get $calls)".to_owned(),
        ..Guest::scoring(label)
    };
    guest.build()
}

#[test]
fn a_policys_own_counter_survives_no_swap() {
    let mut it = Setup::new();
    it.drop_in("p", &counting("a"));
    it.bind("p");
    assert_eq!([it.score(), it.score(), it.score()], [1.0, 2.0, 3.0].map(|n| n / 64.0));
    it.drop_in("p", &counting("b"));
    it.take();
    assert_eq!([it.score(), it.score()], [1.0, 2.0].map(|n| n / 64.0), "anew");
    it.drop_in("p", &counting("a"));
    it.take();
    assert_eq!(it.score(), 1.0 / 64.0, "also in the one that served before");
}
