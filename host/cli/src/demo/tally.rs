//! What came of it: per worker and per policy generation, and whether all of it happened.

use super::scenes::{Act, Acts};
use crate::client::Client;
use crate::exit::Failure;
use crate::output::{Colour, Output, Table};
use crate::shown;
use anyhow::Context;
use pointsman_protocol::api::{
    AttemptView, JobView, Page, TaskView, WireJobState, WireSlot, WorkerView,
};
use pointsman_protocol::submission::Submission;
use pointsman_simulator::analysis::Shape;
use pointsman_simulator::workload::WorkJob;
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Debug, Serialize)]
pub struct Tally {
    job: JobView,
    workers: Vec<WorkerTally>,
    generations: Vec<GenerationTally>,
    /// Tasks whose worker was lost under them and that ran again elsewhere.
    n_moved: usize,
    makespan_ms: u64,
    /// The longest chain of run times.
    critical_path_ms: u64,
    is_policy_swapped: bool,
    are_weights_changed: bool,
    killed_worker: Option<String>,
    is_loss_noticed: bool,
}

#[derive(Debug, Serialize)]
struct WorkerTally {
    name: String,
    state: String,
    n_succeeded: usize,
    n_lost: usize,
    n_failed: usize,
    busy_ms: u64,
}

/// One generation of one slot's policy.
#[derive(Debug, Serialize)]
struct GenerationTally {
    slot: WireSlot,
    generation: u32,
    policy: String,
    /// Attempts that it decided.
    n_attempts: usize,
    /// Those that were a repeat.
    n_repeats: usize,
}

impl Tally {
    pub async fn count(
        client: &Client,
        job: &JobView,
        acts: Acts,
        workflow: &str,
    ) -> Result<Tally, Failure> {
        let tasks = whole_tasks(client, &job.id.to_string()).await?;
        let mut workers: Vec<WorkerView> = client.read("/v1/workers", &[]).await?;
        workers.sort_by(|one, other| one.name.cmp(&other.name));
        let attempts = || tasks.iter().flat_map(|task| &task.attempts);
        let is_lost = |attempt: &&AttemptView| kind(attempt) == Some("worker_lost");
        let n_moved = tasks
            .iter()
            .filter(|task| task.attempts.len() > 1 && task.attempts.iter().any(|it| is_lost(&it)))
            .count();
        let ended = job.ended.unwrap_or(job.submitted);
        Ok(Tally {
            job: job.clone(),
            workers: workers.iter().map(|worker| WorkerTally::of(worker, attempts())).collect(),
            generations: generations(&acts, attempts()),
            n_moved,
            makespan_ms: ended.0.0.saturating_sub(job.submitted.0.0) / 1_000_000,
            critical_path_ms: critical_path_ms(workflow)?,
            is_policy_swapped: acts.swap == Act::Seen,
            are_weights_changed: acts.weights == Act::Seen,
            is_loss_noticed: acts.kill == Act::Seen,
            killed_worker: acts.killed,
        })
    }

    /// Whether every task succeeded and everything that was to be shown happened.
    pub fn is_complete(&self) -> bool {
        self.checks().iter().all(|(is_good, _)| *is_good)
    }

    fn checks(&self) -> Vec<(bool, String)> {
        let counts = self.job.counts;
        let all = self.job.state == WireJobState::Succeeded
            && counts.succeeded == u64::from(self.job.n_tasks);
        let killed = self.killed_worker.as_deref().unwrap_or("no worker");
        vec![
            (all, format!("{} of {} tasks SUCCEEDED", counts.succeeded, self.job.n_tasks)),
            (
                self.is_policy_swapped && self.has_decided_twice(WireSlot::Queue),
                "the queue policy was swapped live, and old and new both ordered tasks".to_owned(),
            ),
            (
                self.are_weights_changed && self.has_decided_twice(WireSlot::Scoring),
                "the scoring weights were changed live, and old and new both placed tasks"
                    .to_owned(),
            ),
            (
                self.is_loss_noticed && self.n_moved > 0,
                format!("{killed} was lost, and {} of its tasks ran elsewhere", self.n_moved),
            ),
        ]
    }

    fn has_decided_twice(&self, slot: WireSlot) -> bool {
        let of_slot = self.generations.iter().filter(|it| it.slot == slot && it.n_attempts > 0);
        of_slot.count() > 1
    }

    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("maps have text keys")
    }

    pub fn tell(&self, output: Output) {
        output.line("");
        let mut table = Table::new(&["WORKER", "STATE", "SUCCEEDED", "LOST", "FAILED", "BUSY"]);
        for worker in &self.workers {
            table.plain([
                worker.name.clone(),
                worker.state.clone(),
                worker.n_succeeded.to_string(),
                worker.n_lost.to_string(),
                worker.n_failed.to_string(),
                shown::span_ms(worker.busy_ms),
            ]);
        }
        output.table(&table);
        output.line("");
        let mut table = Table::new(&["SLOT", "GENERATION", "TASKS DECIDED", "RETRIES", "POLICY"]);
        for it in &self.generations {
            table.plain([
                it.slot.to_string(),
                it.generation.to_string(),
                it.n_attempts.to_string(),
                it.n_repeats.to_string(),
                it.policy.clone(),
            ]);
        }
        output.table(&table);
        output.line("");
        output.line(format!(
            "makespan {}, critical path {} ({:.2} ×)",
            shown::span_ms(self.makespan_ms),
            shown::span_ms(self.critical_path_ms),
            self.makespan_ms as f64 / self.critical_path_ms.max(1) as f64
        ));
        for (is_good, text) in self.checks() {
            let mark = if is_good { (Colour::Green, "yes") } else { (Colour::Red, "NO ") };
            output.parts(&[mark, (Colour::Plain, &format!("  {text}"))]);
        }
    }
}

impl WorkerTally {
    fn of<'a>(worker: &WorkerView, attempts: impl Iterator<Item = &'a AttemptView>) -> WorkerTally {
        let own: Vec<&AttemptView> = attempts.filter(|it| it.worker == worker.id).collect();
        let n_of = |wanted: &str| own.iter().filter(|it| kind(it) == Some(wanted)).count();
        let (n_succeeded, n_lost) = (n_of("succeeded"), n_of("worker_lost"));
        let ran = |attempt: &&&AttemptView| {
            let (started, ended) = attempt.started.zip(attempt.ended)?;
            Some(ended.0.0.saturating_sub(started.0.0) / 1_000_000)
        };
        WorkerTally {
            name: worker.name.clone(),
            state: worker.state.to_string(),
            n_succeeded,
            n_lost,
            n_failed: own.iter().filter(|it| it.outcome.is_some()).count() - n_succeeded - n_lost,
            busy_ms: own.iter().filter_map(|it| ran(&it)).sum(),
        }
    }
}

fn kind(attempt: &AttemptView) -> Option<&str> {
    attempt.outcome.as_ref().map(|outcome| outcome.kind.as_ref())
}

fn generations<'a>(
    acts: &Acts,
    attempts: impl Iterator<Item = &'a AttemptView>,
) -> Vec<GenerationTally> {
    let mut n_by_generation: BTreeMap<(WireSlot, u32), (usize, usize)> = BTreeMap::new();
    for attempt in attempts {
        let decision = &attempt.decision;
        for (slot, stamp) in
            [(WireSlot::Queue, &decision.queue), (WireSlot::Scoring, &decision.scoring)]
        {
            let (n, n_repeats) = n_by_generation.entry((slot, stamp.generation)).or_default();
            *n += 1;
            *n_repeats += usize::from(attempt.number > 1);
        }
    }
    let name = |key| acts.generations.get(key).cloned().unwrap_or_else(|| "native".to_owned());
    n_by_generation
        .iter()
        .map(|(key, (n_attempts, n_repeats))| GenerationTally {
            slot: key.0,
            generation: key.1,
            policy: name(key),
            n_attempts: *n_attempts,
            n_repeats: *n_repeats,
        })
        .collect()
}

/// The tasks of a job with all their attempts: lists show the last one only.
async fn whole_tasks(client: &Client, job: &str) -> Result<Vec<TaskView>, Failure> {
    let query = [("job", job), ("limit", "1000")];
    let page: Page<TaskView> = client.read("/v1/tasks", &query).await?;
    let mut tasks = page.items;
    for task in &mut tasks {
        if task.attempts.iter().any(|attempt| attempt.number > 1) {
            *task = client.read(&format!("/v1/tasks/{}", task.id), &[]).await?;
        }
    }
    Ok(tasks)
}

fn critical_path_ms(workflow: &str) -> Result<u64, Failure> {
    let submission = Submission::from_json(workflow.as_bytes()).context("the workflow is bad")?;
    let Submission::Job(job) = submission else {
        return Err(anyhow::anyhow!("the workflow is a single task").into());
    };
    let job = WorkJob::as_expected(job).context("the workflow lacks run times")?;
    let shape = Shape::of(&job).context("the workflow cannot be run")?;
    Ok(u64::try_from(shape.critical_path / 1_000_000).unwrap_or(u64::MAX))
}
