//! Bugs planted on purpose are found, and said to be what they are: each thing that must hold has one
//! at least that breaks it.

use crate::{MAX_STEPS, lasting};
use pointsman_simulator::faults::plan::TaskPlan;
use pointsman_simulator::faults::{
    FaultKind, FaultOptions, Invariant, Plan, Sabotage, Violation, run, run_twice,
};
use std::collections::BTreeMap;

/// A bug that so many worlds do not show is not found.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=60;

fn plan(seed: u64, sabotage: Sabotage) -> Plan {
    match sabotage {
        // Few worlds hide a worker for long enough while there is room elsewhere.
        Sabotage::LeaseIsIgnored => {
            let task = TaskPlan { stops_on_disconnect: true, ..lasting(100) };
            // The other one is there only when the first has begun.
            let plan = Plan::quiet("hidden", &[1, 1]).job(20_000, vec![task]);
            let plan = plan.fault(0, FaultKind::WorkerCrash, &[1], 29_000);
            Plan { seed, ..plan.fault(30_000, FaultKind::Partition, &[0], 60_000) }
        }
        _ => Plan::draw(seed, &sabotage.profile()),
    }
}

fn play(seed: u64, sabotage: Sabotage) -> Option<Box<Violation>> {
    let plan = plan(seed, sabotage);
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
