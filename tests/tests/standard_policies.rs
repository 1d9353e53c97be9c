//! The standard policies as the binary carries them: the host admits each, and each answers in
//! WebAssembly what the same code answers natively, to the bit.

use pointsman_policy::{FixedPolicies, Limits, NativeScoring, OnFailure, PolicyHost, Source};
use pointsman_policy_sdk::testing::configured;
use pointsman_policy_sdk::{Action, Columns, Queue, Rescheduling, Scoring};
use pointsman_scheduler::policies::{Action as HostAction, NO_WORKER, Policies};
use std::sync::Arc;

const NOW_MS: f64 = 1.7e12;
const N_ROWS: usize = 500;

fn carried(name: &str, config: &str) -> Source {
    let policy = pointsman_bundle::find(name).expect("a standard policy");
    let bytes = Arc::from(policy.bytes);
    Source::Wasm { name: name.to_owned(), bytes, config: config.to_owned() }
}

fn native(name: &str) -> Source {
    Source::Native(name.to_owned())
}

fn host(scoring: Source, queue: Source, rescheduling: Option<Source>) -> PolicyHost {
    let on_failure = OnFailure::LastGood;
    let limits = Limits::fuel();
    let policies = FixedPolicies { scoring, queue, rescheduling, limits, on_failure };
    let mut host = PolicyHost::fixed(policies).expect("the host admits its own policies");
    host.begin_round();
    host
}

/// Columns with missing values, nothing, fractions, counts and times.
fn batch(n_columns: usize) -> Vec<Vec<f64>> {
    const VALUES: [f64; 11] =
        [0.0, f64::NAN, 0.25, 1.0, 0.875, 3.0, 2.0, 47.5, 20_000.0, 30_000.0, 1e12];
    let value = |row: usize, column: usize| {
        // Multiples of an odd constant, so that columns do not go in step.
        let mixed = ((row * 7 + column + 1) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        VALUES[(mixed >> 33) as usize % VALUES.len()]
    };
    (0..n_columns).map(|column| (0..N_ROWS).map(|row| value(row, column)).collect()).collect()
}

fn read<C: Columns>(columns: &[Vec<f64>], row: usize) -> C {
    C::read(|column| columns[column][row])
}

fn check_scoring<P: Scoring>(name: &str, config: &str) {
    let policy = configured(config, P::new).expect("a good configuration");
    let mut host = host(carried(name, config), native("fifo"), None);
    assert_eq!(host.scoring().name, name);
    let (task, workers) = (batch(P::Task::NAMES.len()), batch(P::Worker::NAMES.len()));
    let task: Vec<f64> = task.iter().map(|column| column[0]).collect();
    let mut scores = Vec::new();
    host.score(&task, &workers, N_ROWS, &mut scores).expect("a score");
    let task = P::Task::read(|column| task[column]);
    for (row, score) in scores.iter().enumerate() {
        // The host takes −0 for 0.
        let expected = policy.score(&task, &read(&workers, row)) + 0.0;
        assert_eq!(score.to_bits(), expected.to_bits(), "{name}, row {row}");
    }
    assert_eq!((scores.len(), host.take_incidents().len()), (N_ROWS, 0), "{name}");
}

fn check_queue<P: Queue>(name: &str, config: &str) {
    let policy = configured(config, P::new).expect("a good configuration");
    let mut host = host(native("weighted-score"), carried(name, config), None);
    assert_eq!(host.queue().name, name);
    let tasks = batch(P::Task::NAMES.len());
    let mut ranks = Vec::new();
    host.rank(NOW_MS, &tasks, N_ROWS, &mut ranks).expect("a rank");
    for (row, rank) in ranks.iter().enumerate() {
        // The host takes −0 for 0.
        let expected = policy.rank(NOW_MS, &read(&tasks, row)) + 0.0;
        assert_eq!(rank.to_bits(), expected.to_bits(), "{name}, row {row}");
    }
    assert_eq!((ranks.len(), host.take_incidents().len()), (N_ROWS, 0), "{name}");
}

#[test]
fn no_scoring_policy_answers_differently_in_webassembly() {
    check_scoring::<weighted_score::WeightedScore>("weighted-score", "{}");
    check_scoring::<weighted_score::WeightedScore>("weighted-score", r#"{"cpu":1,"rtt":0}"#);
    check_scoring::<least_connections::LeastConnections>("least-connections", "{}");
    let config = r#"{"count_connections":true}"#;
    check_scoring::<least_connections::LeastConnections>("least-connections", config);
    check_scoring::<weighted_round_robin::WeightedRoundRobin>("weighted-round-robin", "{}");
    for config in ["{}", r#"{"by":"memory"}"#, r#"{"by":"mean"}"#] {
        check_scoring::<best_fit::BestFit>("best-fit", config);
    }
    for config in ["{}", r#"{"by":"memory"}"#, r#"{"by":"cpu"}"#] {
        check_scoring::<spread::Spread>("spread", config);
    }
}

#[test]
fn no_queue_policy_answers_differently_in_webassembly() {
    check_queue::<fifo::Fifo>("fifo", "{}");
    check_queue::<fifo::Fifo>("fifo", r#"{"by":"submitted"}"#);
    check_queue::<priority_ageing::PriorityAgeing>("priority-ageing", r#"{"ageing_s":0.5}"#);
    check_queue::<critical_path::CriticalPath>("critical-path", "{}");
    check_queue::<shortest_first::ShortestFirst>("shortest-first", "{}");
    check_queue::<fair_share::FairShare>("fair-share", "{}");
    check_queue::<fair_share::FairShare>("fair-share", r#"{"weights":{"research":2}}"#);
}

/// Answers what was proposed.
fn check_rescheduling<P: Rescheduling>(name: &str, config: &str) -> Vec<HostAction> {
    let policy = configured(config, P::new).expect("a good configuration");
    let rescheduling = Some(carried(name, config));
    let mut host = host(native("weighted-score"), native("fifo"), rescheduling);
    let (tasks, workers) = (batch(P::Task::NAMES.len()), batch(P::Worker::NAMES.len()));
    let on_worker: Vec<u32> =
        (0..N_ROWS as u32).map(|row| if row % 3 == 2 { NO_WORKER } else { row }).collect();
    let proposals = host.review(NOW_MS, &tasks, &on_worker, &workers).expect("a review");
    let expected = on_worker.iter().enumerate().filter_map(|(row, worker)| {
        let worker = (*worker != NO_WORKER).then(|| read(&workers, *worker as usize));
        let proposal = policy.review(NOW_MS, &read(&tasks, row), worker.as_ref())?;
        let action = match proposal.action {
            Action::Migrate => HostAction::Migrate,
            Action::Requeue => HostAction::Requeue,
            Action::Cancel => HostAction::Cancel,
            Action::RaisePriority(to) => HostAction::RaisePriority(to),
        };
        Some((row, action, proposal.reason))
    });
    let expected: Vec<_> = expected.collect();
    let proposals = proposals.into_iter().map(|it| (it.row, it.action, it.reason));
    assert_eq!(proposals.collect::<Vec<_>>(), expected, "{name}");
    expected.into_iter().map(|(_, action, _)| action).collect()
}

#[test]
fn no_rescheduling_policy_answers_differently_in_webassembly() {
    let config = r#"{"raise_priority_to":5}"#;
    let actions = check_rescheduling::<threshold::Threshold>("threshold", config);
    let is_telling =
        [HostAction::Migrate, HostAction::RaisePriority(5)].iter().all(|it| actions.contains(it));
    assert!(is_telling, "the batch says little");
    let config = r#"{"certainty":0}"#;
    let actions = check_rescheduling::<trend::Trend>("trend", config);
    assert!(actions.contains(&HostAction::Migrate), "the batch says little");
}

#[test]
fn the_last_rung_does_not_score_differently_from_the_standard_policy() {
    let workers = batch(4);
    let mut wasm = host(carried("weighted-score", "{}"), native("fifo"), None);
    let (mut by_wasm, mut by_rust) = (Vec::new(), Vec::new());
    wasm.score(&[], &workers, N_ROWS, &mut by_wasm).expect("a score");
    NativeScoring::WeightedScore.score(&workers, N_ROWS, &mut by_rust);
    assert_eq!(by_wasm, by_rust);
}
