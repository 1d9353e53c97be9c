//! Many small worlds in which things go wrong: nothing is lost, doubled or forgotten in any of them.

use crate::MAX_STEPS;
use pointsman_simulator::faults::{
    FaultKind, FaultOptions, FaultReport, Plan, Profile, Strikes, run, run_twice,
};

const SEEDS: std::ops::RangeInclusive<u64> = 1..=4;

fn options(seed: u64, profile: &Profile) -> FaultOptions {
    FaultOptions { max_steps: MAX_STEPS, ..FaultOptions::new(Plan::draw(seed, profile)) }
}

fn play(seed: u64, profile: &Profile) -> FaultReport {
    run(&options(seed, profile)).unwrap_or_else(|violation| panic!("{violation}"))
}

#[test]
fn nothing_is_lost_or_doubled_whatever_goes_wrong() {
    for profile in Profile::EACH {
        let mut strikes = Strikes::default();
        for seed in SEEDS {
            let report = play(seed, &profile);
            assert!(report.n_steps < MAX_STEPS, "{} {seed} did not end", profile.name);
            assert!(report.n_attempts > 50, "{} {seed} hardly ran anything", profile.name);
            strikes.merge(&report.strikes);
        }
        println!("{}: {strikes}", profile.name);
        if profile == Profile::all() {
            let missing = FaultKind::ALL.into_iter().filter(|kind| strikes.of(*kind) == 0);
            let missing: Vec<FaultKind> = missing.collect();
            assert!(missing.is_empty(), "no seed has {missing:?}");
        }
    }
}

#[test]
fn equal_seeds_never_play_differently() {
    let again = |seed| {
        run_twice(&options(seed, &Profile::all())).unwrap_or_else(|violation| panic!("{violation}"))
    };
    assert_ne!(again(7).fingerprint, again(8).fingerprint);
}

#[test]
fn a_kind_of_fault_is_never_left_out_of_the_default_profile() {
    let all = Profile::all();
    let rates = all.rates;
    for kind in FaultKind::ALL {
        let is_on = match kind {
            FaultKind::Loss => rates.loss > 0.0,
            FaultKind::Duplication => rates.duplication > 0.0,
            FaultKind::Delay => rates.delay > 0.0,
            FaultKind::PolicyFailure => rates.policy_failures > 0.0,
            kind => all.faults.iter().any(|(it, _)| *it == kind),
        };
        assert!(is_on, "{} is off", kind.name());
    }
}
