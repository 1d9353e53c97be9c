//! What every standard policy has to do, whatever it decides: one suite over all that the binary
//! carries, so that a new one is held to it by being listed.

use pointsman_bundle::{POLICIES, Policy};
use pointsman_policy::{
    Binding, Checked, FixedPolicies, LibrarySettings, Limits, LimitsByKind, Metering, OnFailure,
    PolicyHost, PolicyLibrary, PredictedColumns, Refusal, SlotState, Source, Stage, StandardPolicy,
};
use pointsman_scheduler::Slot;
use pointsman_scheduler::columns::WorkerColumn;
use pointsman_scheduler::policies::{Action, NO_WORKER, Policies, Proposal};
use std::sync::Arc;
use std::time::Duration;

const MIB: usize = 1 << 20;
const NOW_MS: f64 = 1.7e12;
const ROWS: [usize; 4] = [0, 1, 1_000, 10_000];

/// Configurations beside `{}` that make it decide otherwise.
fn variants(policy: &str) -> &'static [&'static str] {
    match policy {
        "weighted-score" => {
            &[r#"{"cpu":1,"memory":0,"rtt":0,"iops":0}"#, r#"{"predicted":["memory","cpu"]}"#]
        }
        "least-connections" => &[r#"{"count_connections":true}"#],
        "best-fit" => &[r#"{"by":"memory"}"#, r#"{"by":"mean"}"#],
        "spread" => &[r#"{"by":"cpu"}"#, r#"{"by":"memory"}"#],
        "fifo" => &[r#"{"by":"submitted"}"#],
        "priority-ageing" => &[r#"{"ageing_s":0.5}"#],
        "fair-share" => &[r#"{"weights":{"research":2}}"#],
        "threshold" => &[r#"{"raise_priority_to":5,"min_elapsed_s":0,"over_expected":1}"#],
        "lstm-rescheduling" => &[r#"{"resources":["memory","cpu"],"min_elapsed_s":0}"#],
        "trend" => &[r#"{"certainty":0,"min_elapsed_s":0,"limit":0.1}"#],
        _ => &[],
    }
}

fn for_each(mut check: impl FnMut(&Policy, &str)) {
    // Forecasters have a suite of their own.
    for policy in POLICIES.iter().filter(|it| it.slot != "forecasting") {
        for config in ["{}"].iter().chain(variants(policy.name)) {
            println!("{} {config}", policy.name);
            check(policy, config);
        }
    }
}

fn slot_of(policy: &Policy) -> Slot {
    Slot::find(policy.slot).expect("listed for a slot")
}

fn library(limits: LimitsByKind) -> PolicyLibrary {
    let settings = LibrarySettings { limits, ..LibrarySettings::default() };
    PolicyHost::start(settings).unwrap().1
}

fn check(library: &PolicyLibrary, policy: &Policy, config: &str) -> Result<Checked, Refusal> {
    library.check(policy.bytes, None, config)
}

fn all_predicted() -> PredictedColumns {
    PredictedColumns { fit: WorkerColumn::PREDICTED.to_vec(), unfit: Vec::new() }
}

/// A host in which the policy serves its slot.
fn host(policy: &Policy, config: &str, limits: Limits) -> PolicyHost {
    let native = |name: &str| Source::Native(name.to_owned());
    let source = Source::Wasm {
        name: policy.name.to_owned(),
        bytes: Arc::from(policy.bytes),
        config: config.to_owned(),
    };
    let mut policies = FixedPolicies {
        scoring: native("weighted-score"),
        queue: native("fifo"),
        rescheduling: None,
        limits,
        on_failure: OnFailure::Hold,
    };
    match slot_of(policy) {
        Slot::Scoring => policies.scoring = source,
        Slot::Queue => policies.queue = source,
        Slot::Rescheduling => policies.rescheduling = Some(source),
        Slot::Forecasting => unreachable!("asked for elsewhere"),
    }
    let mut host = PolicyHost::fixed_with(policies, all_predicted()).unwrap();
    host.begin_round();
    host
}

type Value = fn(row: usize, column: usize) -> f64;

/// Spreads what the row and column pick over `n` choices, so that columns do not go in step.
fn pick(row: usize, column: usize, n: usize) -> usize {
    let mixed = ((row * 31 + column + 1) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 33) as usize % n
}

fn ordinary(row: usize, column: usize) -> f64 {
    pick(row, column, 1_001) as f64 / 250.0
}

fn missing(row: usize, column: usize) -> f64 {
    if row == 0 || pick(row, column, 3) == 0 { f64::NAN } else { ordinary(row, column) }
}

/// Nothing, no sign, the largest and smallest that a host could send, and what no host sends.
fn extreme(row: usize, column: usize) -> f64 {
    const VALUES: [f64; 12] = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.5,
        f64::MIN_POSITIVE,
        4e12,
        (1_u64 << 60) as f64,
        9_007_199_254_740_991.0,
        -2_147_483_648.0,
        1e300,
        -1e300,
    ];
    VALUES[pick(row, column, VALUES.len())]
}

const BATCHES: [(&str, Value); 3] =
    [("ordinary", ordinary), ("missing", missing), ("extreme", extreme)];

fn columns(n_columns: usize, rows: &[usize], value: Value) -> Vec<Vec<f64>> {
    (0..n_columns).map(|column| rows.iter().map(|row| value(*row, column)).collect()).collect()
}

/// An answer that is compared bit by bit.
#[derive(Debug, PartialEq)]
enum Answer {
    Numbers(Vec<u64>),
    Proposals(Vec<Proposal>),
}

/// Asks about these rows of the batch; checks what holds for every answer.
fn ask(host: &mut PolicyHost, slot: Slot, rows: &[usize], value: Value) -> Answer {
    let n_rows = rows.len();
    let mut numbers = Vec::new();
    host.begin_round();
    let answer = match slot {
        Slot::Scoring => {
            let profile = host.scoring();
            let task: Vec<f64> =
                (0..profile.needs_task.len()).map(|column| value(3, column)).collect();
            let workers = columns(profile.needs_worker.len(), rows, value);
            host.score(&task, &workers, n_rows, &mut numbers).expect("a score");
            assert!(numbers.iter().all(|score| (0.0..=1.0).contains(score)));
            None
        }
        Slot::Queue => {
            let tasks = columns(host.queue().needs_task.len(), rows, value);
            host.rank(NOW_MS, &tasks, n_rows, &mut numbers).expect("ranks");
            assert!(numbers.iter().all(|rank| rank.is_finite()));
            None
        }
        Slot::Rescheduling => {
            let profile = host.rescheduling().expect("bound");
            let tasks = columns(profile.needs_task.len(), rows, value);
            let workers = columns(profile.needs_worker.len(), rows, value);
            let on_worker: Vec<u32> =
                (0..n_rows as u32).map(|row| if row % 5 == 4 { NO_WORKER } else { row }).collect();
            let proposals = host.review(NOW_MS, &tasks, &on_worker, &workers).expect("a review");
            proposals.iter().for_each(|proposal| check_proposal(proposal, &on_worker));
            assert!(proposals.is_sorted_by(|a, b| a.row < b.row), "two for one row");
            Some(Answer::Proposals(proposals))
        }
        Slot::Forecasting => unreachable!("asked for elsewhere"),
    };
    assert_eq!(host.take_incidents().len(), 0, "it failed");
    answer.unwrap_or_else(|| {
        assert_eq!(numbers.len(), n_rows);
        Answer::Numbers(numbers.into_iter().map(f64::to_bits).collect())
    })
}

fn check_proposal(proposal: &Proposal, on_worker: &[u32]) {
    let n_chars = proposal.reason.chars().count();
    assert!((1..=200).contains(&n_chars), "{proposal:?}");
    let is_running = on_worker[proposal.row] != NO_WORKER;
    match proposal.action {
        Action::Migrate | Action::Requeue => assert!(is_running, "{proposal:?}"),
        Action::Cancel | Action::RaisePriority(_) => {}
    }
}

/// A ranking is never asked for without rows.
fn rows_for(slot: Slot) -> impl Iterator<Item = Vec<usize>> {
    let least = usize::from(slot == Slot::Queue);
    ROWS.into_iter().filter(move |n_rows| *n_rows >= least).map(|n_rows| (0..n_rows).collect())
}

#[test]
fn every_standard_policy_is_admitted_and_says_who_it_is() {
    let library = library(LimitsByKind::default());
    for_each(|policy, config| {
        let checked = check(&library, policy, config).unwrap_or_else(|it| panic!("it is {it}"));
        assert_eq!((checked.slot, checked.name.as_str()), (slot_of(policy), policy.name));
        assert!(!checked.version.is_empty() && !checked.description.is_empty());
        // Another instance, another time: the same manifest.
        let again = check(&library, policy, config).unwrap();
        assert_eq!(
            (again.version, again.description, again.needs_worker, again.needs_task),
            (checked.version, checked.description, checked.needs_worker, checked.needs_task)
        );
    });
}

#[test]
fn no_standard_policy_takes_a_key_that_it_does_not_know() {
    let library = library(LimitsByKind::default());
    for policy in POLICIES.iter().filter(|it| it.slot != "forecasting") {
        let refuse = |config: &str| {
            let refusal = check(&library, policy, config).expect_err("not its configuration");
            assert_eq!(refusal.stage, Stage::Start, "{}: {refusal}", policy.name);
            refusal.reason
        };
        let reason = refuse(r#"{"no_such_key":1}"#);
        assert!(reason.contains("no_such_key"), "{}: {reason}", policy.name);
        for config in variants(policy.name) {
            let known: serde_json::Map<_, _> = serde_json::from_str(config).unwrap();
            for key in known.keys() {
                // Nothing is configured by a list of lists.
                let reason = refuse(&format!(r#"{{"{key}":[[]]}}"#));
                assert!(reason.contains(key), "{}: {reason}", policy.name);
            }
        }
        refuse("7");
    }
}

#[test]
fn every_standard_policy_answers_any_number_of_rows_and_any_values() {
    for_each(|policy, config| {
        let slot = slot_of(policy);
        let mut host = host(policy, config, Limits::fuel());
        for (what, value) in BATCHES {
            for rows in rows_for(slot) {
                println!("  {what}, {} rows", rows.len());
                ask(&mut host, slot, &rows, value);
            }
        }
    });
}

#[test]
fn no_standard_policy_answers_by_what_it_was_asked_before() {
    for_each(|policy, config| {
        let slot = slot_of(policy);
        let [mut forth, mut back] = [(); 2].map(|()| host(policy, config, Limits::fuel()));
        let batches: Vec<(Value, Vec<usize>)> = BATCHES
            .into_iter()
            .flat_map(|(_, value)| [(value, vec![0]), (value, (0..1_000).collect())])
            .collect();
        let ask_all =
            |host: &mut PolicyHost, batch: &(Value, Vec<usize>)| ask(host, slot, &batch.1, batch.0);
        let expected: Vec<Answer> = batches.iter().map(|it| ask_all(&mut forth, it)).collect();
        let mut answers: Vec<Answer> =
            batches.iter().rev().map(|it| ask_all(&mut back, it)).collect();
        answers.reverse();
        assert!(answers == expected, "{} {config}", policy.name);
    });
}

/// The host asks about those rows alone that changed or are new.
#[test]
fn no_node_local_score_and_no_rank_depends_on_the_other_rows() {
    for_each(|policy, config| {
        let slot = slot_of(policy);
        let mut host = host(policy, config, Limits::fuel());
        let depends = match slot {
            Slot::Scoring => !host.scoring().node_local,
            Slot::Queue => false,
            // Who is on which worker is part of the question.
            Slot::Rescheduling => true,
            Slot::Forecasting => unreachable!("asked for elsewhere"),
        };
        if depends {
            return;
        }
        for (_, value) in BATCHES {
            let rows: Vec<usize> = (0..100).collect();
            let Answer::Numbers(all) = ask(&mut host, slot, &rows, value) else { unreachable!() };
            for row in rows {
                let alone = ask(&mut host, slot, &[row], value);
                assert_eq!(alone, Answer::Numbers(vec![all[row]]), "row {row}");
            }
        }
    });
}

#[test]
fn every_score_is_the_sum_of_the_terms_it_is_explained_by() {
    let standard = POLICIES.iter().map(|policy| StandardPolicy {
        name: policy.name.to_owned(),
        slot: slot_of(policy),
        bytes: policy.bytes.into(),
    });
    let settings = LibrarySettings { standard: standard.collect(), ..LibrarySettings::default() };
    let (mut host, library) = PolicyHost::start(settings).unwrap();
    library.set_predicted(all_predicted());
    for_each(|policy, config| {
        if slot_of(policy) != Slot::Scoring {
            return;
        }
        let binding = Binding { config: config.to_owned(), ..Binding::to(policy.name) };
        library.bind(Slot::Scoring, Some(binding));
        assert!(library.settle(Duration::from_secs(60)));
        host.begin_round();
        let slots = library.status().slots;
        assert!(slots.iter().any(|it| it.slot == Slot::Scoring && it.state == SlotState::Serving));
        let profile = host.scoring();
        assert_eq!(profile.name, policy.name);
        let rows: Vec<usize> = (0..20).collect();
        for (what, value) in BATCHES {
            let task: Vec<f64> =
                (0..profile.needs_task.len()).map(|column| value(3, column)).collect();
            let workers = columns(profile.needs_worker.len(), &rows, value);
            let mut scores = Vec::new();
            host.score(&task, &workers, rows.len(), &mut scores).unwrap();
            for (row, score) in scores.iter().enumerate() {
                let terms = library.explain(profile.stamp, &task, &workers, row).unwrap();
                assert!(!terms.is_empty() && terms.iter().all(|(name, _)| !name.is_empty()));
                let sum: f64 = terms.iter().map(|(_, term)| term).sum();
                assert!((sum - score).abs() < 1e-9, "{what}, row {row}: {sum}, not {score}");
            }
        }
    });
}

/// Time is the machine's; instructions are not.
#[test]
fn no_standard_policy_needs_more_than_a_part_of_what_it_may_use() {
    let fuel = LimitsByKind { compiled: Limits::fuel(), interpreted: Limits::fuel() };
    let library = library(fuel);
    for_each(|policy, config| {
        let sizes = [10_000, 1_000, 100, 10_000, 10_000];
        let trials = library.bench(policy.bytes, None, config, &sizes).unwrap();
        let fuel: Vec<u64> = trials.iter().map(|it| it.fuel.expect("metered by fuel")).collect();
        let per_row = (fuel[0] - fuel[1]) / 9_000;
        println!("  fuel {fuel:?}, {per_row} a row; memory {} KiB", trials[4].memory / 1024);
        // A guest runs some 10^9 instructions a second: this is a few ms at 10,000 rows.
        assert!(per_row < 500, "{per_row} instructions a row");
        assert!(fuel[0] < 11 * fuel[1] && fuel[1] < 11 * fuel[2], "more than linear");
        assert_eq!(fuel[3], fuel[4], "the same call, more work");
        assert!(trials[4].memory < Limits::compiled().memory / 4);
        assert_eq!(trials[3].memory, trials[4].memory, "memory grows");
    });
}

#[test]
fn every_standard_policy_works_at_the_limits_that_are_declared_and_below() {
    let declared = Limits::compiled();
    let tight =
        Limits { memory: 4 * MIB, table_elements: 1_000, instance_calls: 3, ..Limits::fuel() };
    for_each(|policy, config| {
        let slot = slot_of(policy);
        let rows: Vec<usize> = (0..10_000).collect();
        let mut answers = Vec::new();
        for limits in [declared, tight] {
            let mut host = host(policy, config, limits);
            // With the tight ones instances are replaced all the time.
            for _ in 0..7 {
                answers.push(ask(&mut host, slot, &rows, ordinary));
            }
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{}", policy.name);
    });
}

/// A value by which every reviewing policy wants to move the task.
fn alarming(column: &str) -> f64 {
    match column {
        "elapsed-ms" => 1e6,
        "expected-ms" => 1e3,
        "running" | "hot-samples" => 9.0,
        "cpu-used" | "cpu-fitted" | "memory-used" | "memory-fitted" => 0.8,
        "predicted:cpu-used" | "predicted:memory-used" => 0.9,
        "cpu-slope" | "memory-slope" => 0.005,
        "cpu-slope-error" | "memory-slope-error" => 0.001,
        "attempt" => 1.0,
        _ => 0.0,
    }
}

/// If load rises everywhere at once, all tasks are to be moved, and the host picks a few.
#[test]
fn no_reviewing_policy_fails_because_it_has_much_to_say() {
    const N_ROWS: u32 = 10_000;
    // The 5 ms that are declared are some 25 million instructions.
    let metering = Metering::Fuel { call: 20_000_000, configure: 20_000_000 };
    let limits = Limits { metering, ..Limits::compiled() };
    for policy in POLICIES.iter().filter(|it| slot_of(it) == Slot::Rescheduling) {
        let mut host = host(policy, "{}", limits);
        let profile = host.rescheduling().expect("bound");
        let column = |name: &str| vec![alarming(name); N_ROWS as usize];
        let tasks: Vec<_> = profile.needs_task.iter().map(|it| column(it.info().name)).collect();
        let workers: Vec<_> =
            profile.needs_worker.iter().map(|it| column(it.info().name)).collect();
        let on_worker: Vec<u32> = (0..N_ROWS).collect();
        for _ in 0..7 {
            host.begin_round();
            let proposals = host.review(NOW_MS, &tasks, &on_worker, &workers);
            let incidents = host.take_incidents();
            let proposals = proposals.unwrap_or_else(|it| panic!("{it:?}: {incidents:?}"));
            assert_eq!(proposals.len(), on_worker.len(), "{}", policy.name);
            proposals.iter().for_each(|proposal| check_proposal(proposal, &on_worker));
        }
    }
}
