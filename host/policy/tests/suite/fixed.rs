//! A fixed host: real guests answer through the scheduler's trait.

use crate::guests::Guest;
use pointsman_policy::{
    FixedError, FixedPolicies, Limits, OnFailure, PolicyHost, PolicyLibrary, Source,
};
use pointsman_scheduler::policies::{Action, Policies, Proposal};
use std::sync::Arc;

/// A host moves to the thread that plans, a library goes everywhere.
const _: () = {
    const fn is_send<T: Send>() {}
    const fn is_shared<T: Clone + Send + Sync>() {}
    is_send::<PolicyHost>();
    is_shared::<PolicyLibrary>();
};

fn native(name: &str) -> Source {
    Source::Native(name.to_owned())
}

fn wasm(guest: &Guest) -> Source {
    let bytes = Arc::from(guest.build());
    Source::Wasm { name: guest.name.clone(), bytes, config: "{}".to_owned() }
}

fn fixed(scoring: Source, limits: Limits) -> Result<PolicyHost, FixedError> {
    PolicyHost::fixed(FixedPolicies {
        scoring,
        queue: native("fifo"),
        rescheduling: None,
        limits,
        on_failure: OnFailure::LastGood,
    })
}

#[test]
fn a_guest_scores_through_the_trait() {
    for limits in [Limits::compiled(), Limits::fuel()] {
        let mut host = fixed(wasm(&Guest::scoring("free-cpu")), limits).unwrap();
        host.begin_round();
        assert_eq!(host.scoring().name, "free-cpu");
        assert!(host.scoring().node_local);
        assert_ne!(host.scoring().stamp.digest, 0);
        let mut scores = vec![9.0];
        host.score(&[], &[vec![0.25, 1.0]], 2, &mut scores).unwrap();
        assert_eq!(scores, [0.75, 0.0]);
    }
}

#[test]
fn a_guest_ranks_and_another_proposes() {
    let mut reviewer = Guest::rescheduling("reviewer");
    reviewer.proposals = vec![(0, 3, 7)];
    // The golden batch without rows knows no row 0.
    reviewer.on_call = "(if (i32.eqz (local.get $n_on)) (then (return (call $none))))".to_owned();
    reviewer.extra = "(func $none (result i32) (i32.store8 offset=16 (i32.const 0) (i32.const 0)) \
        (i32.store offset=24 (i32.const 0) (i32.const 0)) (i32.const 16))"
        .to_owned();
    let mut host = PolicyHost::fixed(FixedPolicies {
        scoring: native("weighted-score"),
        queue: wasm(&Guest::queue("by-submit")),
        rescheduling: Some(wasm(&reviewer)),
        limits: Limits::fuel(),
        on_failure: OnFailure::LastGood,
    })
    .unwrap();
    let mut ranks = Vec::new();
    host.rank(0.0, &[vec![5.0, -3.0]], 2, &mut ranks).unwrap();
    assert_eq!(ranks, [5.0, -3.0]);
    assert_eq!(host.rescheduling().unwrap().name, "reviewer");
    let proposals = host.review(0.0, &[vec![1.0]], &[0], &[vec![0.5]]).unwrap();
    let raised =
        Proposal { row: 0, action: Action::RaisePriority(7), reason: "because".to_owned() };
    assert_eq!(proposals, [raised]);
}

#[test]
fn an_unknown_native_policy_is_named_with_the_nearest() {
    let error = fixed(native("weigthed-score"), Limits::fuel()).err().unwrap();
    assert_eq!(
        error.to_string(),
        "no native scoring policy is named \"weigthed-score\"; did you mean \"weighted-score\"?"
    );
}
