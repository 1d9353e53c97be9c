//! The native defaults beside the standard policies of their names.

use pointsman_policy::{
    FixedPolicies, Limits, NativePolicies, NativeQueue, NativeScoring, OnFailure, PolicyHost,
    Source,
};
use pointsman_scheduler::policies::Policies;
use std::sync::Arc;

fn standard(name: &str) -> Source {
    let policy = pointsman_bundle::find(name).unwrap();
    let bytes = Arc::from(policy.bytes);
    Source::Wasm { name: name.to_owned(), bytes, config: "{}".to_owned() }
}

#[test]
fn the_native_default_never_decides_otherwise_than_the_standard_policy_of_its_name() {
    let mut guest = PolicyHost::fixed(FixedPolicies {
        scoring: standard("weighted-score"),
        queue: standard("priority-ageing"),
        rescheduling: None,
        limits: Limits::fuel(),
        on_failure: OnFailure::LastGood,
    })
    .unwrap();
    let mut native = NativePolicies::new(NativeScoring::WeightedScore, NativeQueue::PriorityAgeing);
    let value = |row: usize, column: usize| match (row * 7 + column * 3) % 11 {
        10 => f64::NAN,
        step => step as f64 / 9.0,
    };
    let columns = |n: usize, scale: f64| -> Vec<Vec<f64>> {
        (0..n).map(|column| (0..200).map(|row| scale * value(row, column)).collect()).collect()
    };
    guest.begin_round();
    let (ours, theirs) = (native.scoring(), guest.scoring());
    assert_eq!(ours.needs_worker, theirs.needs_worker);
    assert_eq!((ours.node_local, ours.banded), (theirs.node_local, theirs.banded));
    let (mut expected, mut scores) = (Vec::new(), Vec::new());
    let workers = columns(4, 1.0);
    native.score(&[], &workers, 200, &mut expected).unwrap();
    guest.score(&[], &workers, 200, &mut scores).unwrap();
    for (row, (a, b)) in expected.iter().zip(&scores).enumerate() {
        assert!((a - b).abs() < 1e-12, "row {row}: {a} against {b}");
    }
    assert_eq!(native.queue().needs_task, guest.queue().needs_task);
    let mut tasks = columns(3, 1000.0);
    for column in &mut tasks {
        for value in column.iter_mut().filter(|value| value.is_nan()) {
            *value = 5.0;
        }
    }
    native.rank(0.0, &tasks, 200, &mut expected).unwrap();
    guest.rank(0.0, &tasks, 200, &mut scores).unwrap();
    for (row, (a, b)) in expected.iter().zip(&scores).enumerate() {
        assert!((a - b).abs() < 1e-6, "row {row}: {a} against {b}");
    }
}
