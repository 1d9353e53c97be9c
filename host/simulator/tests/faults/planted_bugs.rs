//! Bugs planted on purpose are found, and said to be what they are: each thing that must hold has one
//! at least that breaks it.

use crate::MAX_STEPS;
use pointsman_simulator::faults::{
    FaultOptions, Invariant, Plan, Sabotage, Violation, run, run_twice,
};
use std::collections::BTreeMap;

/// A bug that so many worlds do not show is not found.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=60;

fn play(seed: u64, sabotage: Sabotage) -> Option<Box<Violation>> {
    let plan = Plan::draw(seed, &sabotage.profile());
    let options =
        FaultOptions { max_steps: MAX_STEPS, sabotage: Some(sabotage), ..FaultOptions::new(plan) };
    match sabotage.breaks() {
        Invariant::EqualSeedsPlayAlike => run_twice(&options).err(),
        _ => run(&options).err(),
    }
}

#[test]
fn nothing_that_must_hold_goes_without_a_planted_bug() {
    for invariant in Invariant::ALL {
        let breaks = |sabotage: &Sabotage| sabotage.breaks() == invariant;
        assert!(Sabotage::ALL.iter().any(breaks), "nothing shows that {invariant:?} is checked");
    }
}

#[test]
fn no_planted_bug_stays_unseen() {
    let mut unseen = Vec::new();
    for sabotage in Sabotage::ALL {
        let mut others: BTreeMap<Invariant, usize> = BTreeMap::new();
        let mut shows = |seed: &u64| {
            let violation = play(*seed, sabotage);
            let found = violation.iter().flat_map(|it| &it.broken);
            found.for_each(|it| *others.entry(it.invariant).or_default() += 1);
            violation.is_some_and(|it| it.breaks(sabotage.breaks()))
        };
        let first = SEEDS.into_iter().find(&mut shows);
        println!("{sabotage:?} breaks {:?}: seed {first:?}", sabotage.breaks());
        if first.is_none() {
            unseen.push((sabotage, others));
        }
    }
    assert!(unseen.is_empty(), "not found, with what was found in their place: {unseen:#?}");
}
