//! Many small worlds in which things go wrong: nothing is lost, doubled or forgotten in any of them,
//! and bugs planted on purpose are found.

use pointsman_simulator::faults::{FaultOptions, FaultReport, Profile, Sabotage, run};

const MAX_STEPS: u64 = 2_000_000;

fn play(seed: u64, profile: Profile) -> FaultReport {
    let options = FaultOptions { seed, profile, max_steps: MAX_STEPS, sabotage: None };
    run(&options).unwrap_or_else(|violation| panic!("{violation}"))
}

#[test]
fn nothing_is_lost_or_doubled_whatever_goes_wrong() {
    for profile in Profile::EACH {
        for seed in 1..=4 {
            let report = play(seed, profile.clone());
            assert!(report.n_steps < MAX_STEPS, "{} {seed} did not end", profile.name);
            assert!(report.n_attempts > 50, "{} {seed} hardly ran anything", profile.name);
        }
    }
}

#[test]
fn equal_seeds_never_play_differently() {
    let first = play(7, Profile::all());
    assert_eq!(play(7, Profile::all()), first);
    assert_ne!(play(8, Profile::all()).fingerprint, first.fingerprint);
}

#[test]
fn no_planted_bug_stays_unseen() {
    for sabotage in Sabotage::ALL {
        let profile = match sabotage {
            Sabotage::LeaseIsIgnored => Profile::find("network").expect("it is one of them"),
            Sabotage::ReleasesBeforeDurable
            | Sabotage::StoreForgets
            | Sabotage::AgentRunsTwice
            | Sabotage::CancelIsForgotten => Profile::all(),
        };
        let finds = |seed: u64| {
            let (profile, sabotage) = (profile.clone(), Some(sabotage));
            run(&FaultOptions { seed, profile, max_steps: MAX_STEPS, sabotage }).is_err()
        };
        let first = (1..=100).find(|seed| finds(*seed));
        println!("{sabotage:?} is found with seed {first:?}");
        assert!(first.is_some(), "{sabotage:?} was not found");
    }
}
