//! Files beside a policy: read while it is configured, and part of what makes a generation.

use crate::forecasting::{Site, subject};
use crate::guests::Guest;
use pointsman_policy::{Assets, Inspector, LimitsByKind, PACKAGE, Stage, VERSION};
use pointsman_scheduler::Slot;
use pointsman_scheduler::policies::Policies;
use std::sync::Arc;

/// Scores with the first byte of the file `w` beside it, in hundredths.
fn weighing() -> Vec<u8> {
    let mut guest = Guest::scoring("weighing");
    guest.extra = format!(
        "(import \"{PACKAGE}/host@{VERSION}\" \"asset\" (func $asset (param i32 i32 i32)))\n\
         (data (i32.const 640) \"w\")\n(global $weight (mut f64) (f64.const 0))"
    );
    guest.on_configure = "(call $asset (i32.const 640) (i32.const 1) (i32.const 656)) \
        (if (i32.load8_u (i32.const 656)) (then unreachable)) \
        (global.set $weight (f64.div (f64.convert_i32_u (i32.load8_u (i32.load (i32.const 660)))) \
        (f64.const 100)))"
        .to_owned();
    guest.value = "(global.get $weight)".to_owned();
    guest.build()
}

fn score(site: &mut Site) -> f64 {
    let mut scores = Vec::new();
    let columns = vec![vec![0.5]; site.host.scoring().needs_worker.len()];
    site.host.score(&[], &columns, 1, &mut scores).unwrap();
    scores[0]
}

#[test]
fn a_changed_file_beside_a_policy_is_a_new_generation_of_it() {
    let mut site = Site::new();
    let folder = site.root.path().join("policies/weighing");
    site.write("weighing.wasm", &weighing());
    site.bind(Slot::Scoring, "weighing");
    let refused = site.status(Slot::Scoring).refused.unwrap();
    assert_eq!(refused.stage, Stage::Start, "there is no file for it: {}", refused.reason);
    std::fs::create_dir(&folder).unwrap();
    for weight in [50_u8, 25, 100] {
        std::fs::write(folder.join("w"), [weight]).unwrap();
        site.settle();
        assert_eq!(score(&mut site), f64::from(weight) / 100.0);
    }
    let generation = |site: &Site| site.status(Slot::Scoring).serving.stamp.generation;
    let before = generation(&site);
    site.settle();
    assert_eq!(generation(&site), before, "nothing changed");
    // It falls back to the weights before, not only to the code.
    site.library.rollback(Slot::Scoring).unwrap();
    site.settle();
    assert_eq!(score(&mut site), 0.25);
    let warning = site.status(Slot::Scoring).warning.unwrap();
    assert!(warning.contains("was rolled back"), "{warning}");
    // Another host finds both as they were, though the folder is gone.
    std::fs::remove_dir_all(&folder).unwrap();
    let mut site = site.restarted();
    site.bind(Slot::Scoring, "weighing");
    assert_eq!(score(&mut site), 0.25);
    assert_eq!(site.status(Slot::Scoring).refused.unwrap().stage, Stage::Start);
}

#[test]
fn a_policy_that_is_gone_serves_on_with_the_files_that_went_with_it() {
    let mut site = Site::new();
    let folder = site.root.path().join("policies/weighing");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("w"), [50]).unwrap();
    site.write("weighing.wasm", &weighing());
    site.bind(Slot::Scoring, "weighing");
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::remove_file(folder.with_extension("wasm")).unwrap();
    for _ in 0..2 {
        site.settle();
        assert_eq!(score(&mut site), 0.5);
        let status = site.status(Slot::Scoring);
        assert!(status.refused.is_none(), "{:?}", status.refused);
        assert!(status.warning.unwrap().contains("is gone"));
        site = site.restarted();
        site.bind(Slot::Scoring, "weighing");
    }
}

#[test]
fn no_file_beside_a_policy_is_taken_while_somebody_writes_it_or_when_there_is_too_much() {
    let mut site = Site::new();
    let folder = site.root.path().join("policies/weighing");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("w"), [50]).unwrap();
    site.write("weighing.wasm", &weighing());
    site.bind(Slot::Scoring, "weighing");
    let writing = std::fs::OpenOptions::new().write(true).open(folder.join("w")).unwrap();
    std::io::Write::write_all(&mut &writing, &[75]).unwrap();
    site.settle();
    assert_eq!(score(&mut site), 0.5);
    drop(writing);
    site.settle();
    assert_eq!(score(&mut site), 0.75);
    for i in 0..20 {
        std::fs::write(folder.join(format!("more-{i}")), "").unwrap();
    }
    site.settle();
    let refused = site.status(Slot::Scoring).refused.unwrap();
    assert!(refused.reason.contains("more than 16 files"), "{}", refused.reason);
    assert_eq!(score(&mut site), 0.75);
}

#[test]
fn a_policy_is_checked_with_the_files_beside_it() {
    let inspector = Inspector::new(LimitsByKind::default()).unwrap();
    let bytes = weighing();
    let assets = Assets::of([("w".to_owned(), Arc::from(&[7_u8][..]))].into());
    inspector.check(&subject(&bytes, &assets)).unwrap();
    let none = Assets::default();
    assert_eq!(inspector.check(&subject(&bytes, &none)).unwrap_err().stage, Stage::Start);
}
