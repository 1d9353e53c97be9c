//! A world in which something does not hold is made small, and said in words that play it again.

use crate::MAX_STEPS;
use pointsman_simulator::faults::shrink::shrink;
use pointsman_simulator::faults::{FaultOptions, Plan, Sabotage, run};
use std::time::Duration;

#[test]
fn what_has_nothing_to_do_with_it_never_stays_in_the_script() {
    let sabotage = Sabotage::PausesAreIgnored;
    let options = |plan| FaultOptions {
        max_steps: MAX_STEPS,
        sabotage: Some(sabotage),
        ..FaultOptions::new(plan)
    };
    let failing = (1..20).map(|seed| options(Plan::draw(seed, &sabotage.profile())));
    let (options_of, violation) = failing
        .filter_map(|options| run(&options).err().map(|violation| (options, violation)))
        .find(|(_, violation)| violation.breaks(sabotage.breaks()))
        .expect("some seed shows it");
    let small = shrink(&options_of, &violation, Duration::from_secs(300));
    let plan = &small.violation.plan;
    println!("after {} worlds:\n{plan}", small.n_runs);
    assert!(small.is_minimal);
    // A queue is paused, and at rest each worker is asked for: that is a start already.
    assert_eq!((plan.faults.len(), plan.asks.len(), plan.workers.len()), (0, 1, 1));
    assert_eq!(plan.jobs.len(), 0);
    let again: Plan = plan.to_string().parse().expect("it is a script");
    let again = run(&options(again)).expect_err("the script shows the same");
    assert!(again.breaks(sabotage.breaks()));
}
