//! Each way in which a policy can be wrong is found by its fuzzer, which shows the simplest input.

use pointsman_policy_sdk::prelude::*;
use pointsman_policy_sdk::testing::{fuzz_queue, fuzz_rescheduling, fuzz_scoring};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

#[derive(Columns)]
struct Worker {
    cpu_load: f64,
    rtt_ms: Option<f64>,
}

#[derive(Columns)]
struct Task {
    attempt: f64,
}

/// A policy whose answers are given by functions.
struct Scorer {
    about: fn(About) -> About,
    score: fn(&Worker) -> f64,
    score_all: Option<fn(Rows<'_, Worker>) -> Vec<f64>>,
    terms: fn(f64) -> Vec<(&'static str, f64)>,
}

impl Default for Scorer {
    fn default() -> Scorer {
        Scorer {
            about: About::node_local,
            score: |_| 0.5,
            score_all: None,
            terms: |score| vec![("all", score)],
        }
    }
}

impl Scoring for Scorer {
    type Config = NoConfig;
    type Task = NoColumns;
    type Worker = Worker;

    fn new(_: NoConfig) -> Result<Scorer, String> {
        Ok(Scorer::default())
    }

    fn about(&self) -> About {
        (self.about)(About::new("scorer", "1"))
    }

    fn score(&self, _: &NoColumns, worker: &Worker) -> f64 {
        (self.score)(worker)
    }

    fn score_all(&self, task: &NoColumns, workers: Rows<'_, Worker>) -> Vec<f64> {
        match self.score_all {
            Some(score_all) => score_all(workers),
            None => workers.iter().map(|worker| self.score(task, &worker)).collect(),
        }
    }

    fn explain(
        &self,
        task: &NoColumns,
        workers: Rows<'_, Worker>,
        index: usize,
    ) -> Vec<(&'static str, f64)> {
        (self.terms)(self.score_all(task, workers)[index])
    }
}

/// What a fuzzer says, without the time of the call.
fn fault(fuzz: impl FnOnce()) -> Option<String> {
    let payload = catch_unwind(AssertUnwindSafe(fuzz)).err()?;
    let text = payload.downcast_ref::<String>().expect("the message is text");
    let lines = text.lines().filter(|line| !line.starts_with("  now_ms"));
    Some(lines.collect::<Vec<_>>().join("\n"))
}

fn check_scoring(scorer: Scorer, expected: &str) {
    assert_eq!(fault(|| fuzz_scoring(&scorer)).as_deref(), Some(expected));
}

#[test]
fn a_right_policy_has_no_fault() {
    assert_eq!(fault(|| fuzz_scoring(&Scorer::default())), None);
    // The best of all gets 1: no promise is broken, since none is given.
    let relative = |workers: Rows<'_, Worker>| {
        let best = workers.iter().map(|it| it.cpu_load).fold(f64::INFINITY, f64::min);
        workers.iter().map(|it| if it.cpu_load == best { 1.0 } else { 0.0 }).collect()
    };
    let scorer = Scorer { about: |about| about, score_all: Some(relative), ..Scorer::default() };
    assert_eq!(fault(|| fuzz_scoring(&scorer)), None);
}

#[test]
fn no_terms_that_add_up_to_something_else_are_overlooked() {
    check_scoring(
        Scorer { terms: |score| vec![("half", score / 2.0)], ..Scorer::default() },
        "terms of worker 0 add up to 0.25, and its score is 0.5\n  \
         worker 0: cpu-load = 0.0, rtt-ms = 0.0\n  found with POINTSMAN_FUZZ_SEED=1",
    );
    let nameless = Scorer { terms: |score| vec![("", score)], ..Scorer::default() };
    let expected = "a term of worker 0 has no name\n  worker 0: cpu-load = 0.0, rtt-ms = 0.0\n  \
                    found with POINTSMAN_FUZZ_SEED=1";
    check_scoring(nameless, expected);
}

#[test]
fn no_score_out_of_range_is_overlooked() {
    check_scoring(
        Scorer { score: |worker| 1.0 - worker.cpu_load.clamp(0.0, 1.0), ..Scorer::default() },
        "the score of worker 0 is NaN, and not from 0 to 1\n  \
         worker 0: cpu-load missing, rtt-ms = 0.0\n  found with POINTSMAN_FUZZ_SEED=1",
    );
    let short = Scorer { score_all: Some(|_| vec![0.5]), ..Scorer::default() };
    check_scoring(short, "score answers 1 values for 0 rows\n  found with POINTSMAN_FUZZ_SEED=1");
}

#[test]
fn a_panic_is_shown_with_what_led_to_it() {
    check_scoring(
        Scorer {
            score: |worker| match worker.rtt_ms {
                Some(rtt_ms) if rtt_ms < 0.0 => panic!("a negative time"),
                Some(_) | None => 0.5,
            },
            ..Scorer::default()
        },
        "the policy panicked: a negative time\n  \
         worker 0: cpu-load = 0.0, rtt-ms = -1.0\n  found with POINTSMAN_FUZZ_SEED=1",
    );
}

#[test]
fn no_broken_promise_of_node_locality_is_overlooked() {
    check_scoring(
        Scorer {
            score_all: Some(|workers| vec![1.0 / workers.len() as f64; workers.len()]),
            ..Scorer::default()
        },
        "the score of worker 0 is 0.5, then 1.0; about() says node_local, and the other candidates \
         matter\n  worker 0: cpu-load = 0.0, rtt-ms = 0.0\n  worker 1: cpu-load = 0.0, rtt-ms = 0.0\n  \
         found with POINTSMAN_FUZZ_SEED=1",
    );
}

#[test]
fn no_policy_with_a_memory_passes() {
    thread_local! {
        static N_CALLS: Cell<u32> = const { Cell::new(0) };
    }
    let scorer = Scorer {
        score: |_| {
            N_CALLS.set(N_CALLS.get() + 1);
            1.0 / f64::from(N_CALLS.get())
        },
        ..Scorer::default()
    };
    let fault = fault(|| fuzz_scoring(&scorer)).expect("it counts");
    let expected = "equal calls must get equal answers, and a policy keeps nothing between them";
    assert!(fault.contains(expected), "{fault}");
}

#[test]
fn no_manifest_that_the_host_refuses_passes() {
    let scorer = Scorer { about: |about| about.interval_ms(1000), ..Scorer::default() };
    let fault = fault(|| fuzz_scoring(&scorer)).expect("intervals are not for scoring");
    assert!(
        fault.starts_with("about() has \"interval-ms\", which no scoring policy has"),
        "{fault}"
    );
}

struct Ranker(fn(f64, &Task) -> f64, fn(About) -> About);

impl Queue for Ranker {
    type Config = NoConfig;
    type Task = Task;

    fn new(_: NoConfig) -> Result<Ranker, String> {
        Ok(Ranker(|_, _| 0.0, |about| about))
    }

    fn about(&self) -> About {
        (self.1)(About::new("ranker", "1"))
    }

    fn rank(&self, now_ms: f64, task: &Task) -> f64 {
        (self.0)(now_ms, task)
    }
}

#[test]
fn no_rank_that_cannot_be_sorted_or_grows_old_is_overlooked() {
    let unsortable = Ranker(|_, task| 1.0 / task.attempt, |about| about);
    let expected = "the rank of task 0 is inf, and not finite\n  task 0: attempt = 0.0\n  found with POINTSMAN_FUZZ_SEED=1";
    assert_eq!(fault(|| fuzz_queue(&unsortable)).as_deref(), Some(expected));
    let by_time: fn(f64, &Task) -> f64 = |now_ms, _| now_ms;
    let found = fault(|| fuzz_queue(&Ranker(by_time, |about| about))).expect("it changes");
    assert!(
        found.contains("ranks that change with time need about().time_dependent(…)"),
        "{found}"
    );
    assert_eq!(fault(|| fuzz_queue(&Ranker(by_time, |about| about.time_dependent(500)))), None);
}

struct Reviewer(fn(Option<&Worker>) -> Option<Proposal>);

impl Rescheduling for Reviewer {
    type Config = NoConfig;
    type Task = NoColumns;
    type Worker = Worker;

    fn new(_: NoConfig) -> Result<Reviewer, String> {
        Ok(Reviewer(|_| None))
    }

    fn about(&self) -> About {
        About::new("reviewer", "1")
    }

    fn review(&self, _: f64, _: &NoColumns, worker: Option<&Worker>) -> Option<Proposal> {
        (self.0)(worker)
    }
}

#[test]
fn no_proposal_that_the_host_would_drop_is_overlooked() {
    let moves_all =
        Reviewer(|_| Some(Proposal { action: Action::Migrate, reason: "away".to_owned() }));
    let found = fault(|| fuzz_rescheduling(&moves_all)).expect("waiting tasks cannot be moved");
    let expected = "the proposal for task 0 is Migrate, and the task is waiting";
    assert!(found.starts_with(expected), "{found}");
    let says_nothing =
        Reviewer(|_| Some(Proposal { action: Action::Cancel, reason: String::new() }));
    let found = fault(|| fuzz_rescheduling(&says_nothing)).expect("a reason is missing");
    assert!(found.starts_with("the proposal for task 0 has a reason of 0 characters"), "{found}");
    let moves_running = Reviewer(|worker| {
        worker?.rtt_ms?;
        Some(Proposal { action: Action::Requeue, reason: "far".to_owned() })
    });
    assert_eq!(fault(|| fuzz_rescheduling(&moves_running)), None);
}

#[derive(Columns)]
struct Misspelt {
    #[expect(dead_code, reason = "its name alone matters")]
    cpu_laod: f64,
}

#[test]
fn no_misspelt_column_passes() {
    let found = fault(pointsman_policy_sdk::testing::assert_columns_known::<NoColumns, Misspelt>);
    let expected = "no worker has a column `cpu-laod`; did you mean `cpu-load`?";
    assert_eq!(found.as_deref(), Some(expected));
}
