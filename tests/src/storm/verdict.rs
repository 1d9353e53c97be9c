//! What has to hold once a storm is over, whatever happened in it.

use super::cluster::{Cluster, PATIENCE};
use super::processes;
use super::work::{Fate, Ledger, MAX_RETRIES};
use pointsman_protocol::api::{
    AttemptView, StatusView, TaskView, WireTaskState, WireWorkerState, WorkerView,
};
use pointsman_scheduler::ids::TaskId;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    pub n_tasks: usize,
    pub n_attempts: usize,
    /// Attempts that ended with their worker.
    pub n_worker_lost: usize,
    /// Tasks with more lines than attempts that ended by themselves: a lost attempt had run.
    pub n_run_again: usize,
    /// Tasks that were acknowledged and did not end as they had to.
    pub n_lost: usize,
    /// Attempts that ran twice, and tasks of which more than one end counted.
    pub n_doubled: usize,
    /// Attempts that began while an earlier one of the same task still ran.
    pub n_overlaps: usize,
    /// Processes that are left of attempts.
    pub n_orphans: usize,
    /// Workers whose free capacity is not all they have.
    pub n_leaks: usize,
}

#[derive(Debug, Default)]
pub struct Verdict {
    pub figures: Figures,
    /// The first of each kind, in words.
    pub complaints: Vec<String>,
}

/// How often each attempt said that it runs.
type Lines = BTreeMap<(TaskId, u32), usize>;

const N_COMPLAINTS: usize = 20;
/// Scripts that are to be stopped get so long to end by themselves, and then a little more.
const ENDED_WITHIN: Duration = Duration::from_secs(20);

/// Waits until everything acknowledged has ended, then looks at all of it.
pub async fn judge(cluster: &Cluster, ledger: &Ledger) -> Verdict {
    let mut verdict = Verdict::default();
    let lines = read_lines(cluster, "trace");
    let n_open = until_ended(cluster).await;
    if n_open > 0 {
        verdict.complain(format!("{n_open} tasks do not end"));
    }
    // Those of the last tasks too.
    let lines = if n_open == 0 { read_lines(cluster, "trace") } else { lines };
    verdict.figures.n_tasks = ledger.fates.len();
    let status: StatusView = cluster.api.wait_for("/v1/status").await;
    if status.counts.total() != ledger.fates.len() as u64 {
        let n_kept = status.counts.total();
        verdict.complain(format!("{} were submitted, {n_kept} are there", ledger.fates.len()));
        verdict.figures.n_lost += 1;
    }
    for (id, fate) in &ledger.fates {
        match cluster.api.get::<TaskView>(&format!("/v1/tasks/{id}")).await {
            Some(task) => verdict.judge_task(&task, *fate, &lines),
            None => {
                verdict.figures.n_lost += 1;
                verdict.complain(format!("{id} was acknowledged and is not there"));
            }
        }
    }
    for ((task, number), n) in &lines {
        let is_known = ledger.fates.contains_key(task);
        if *n > 1 || !is_known {
            verdict.figures.n_doubled += 1;
            verdict.complain(format!("{task} ran attempt {number} {n} times"));
        }
    }
    verdict.figures.n_overlaps = read_lines(cluster, "overlaps").len();
    verdict.look_for_orphans(cluster).await;
    verdict.look_for_leaks(cluster).await;
    verdict
}

/// How many tasks have not ended when nothing changes any more.
async fn until_ended(cluster: &Cluster) -> u64 {
    let mut last_change = Instant::now();
    let mut last = 0;
    loop {
        let status: StatusView = cluster.api.wait_for("/v1/status").await;
        let counts = status.counts;
        let n_open = counts.pending + counts.assigned + counts.running;
        if n_open == 0 {
            return 0;
        }
        if n_open != last {
            (last, last_change) = (n_open, Instant::now());
        }
        if last_change.elapsed() > PATIENCE {
            return n_open;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Lines of a task and an attempt number each; none if the file was never begun.
fn read_lines(cluster: &Cluster, name: &str) -> Lines {
    let text = std::fs::read_to_string(cluster.path(name)).unwrap_or_default();
    let mut lines = Lines::new();
    for line in text.lines() {
        let (task, number) = line.split_once(' ').expect("a task and an attempt");
        let task = task.parse().expect("a task's id");
        *lines.entry((task, number.parse().expect("an attempt's number"))).or_default() += 1;
    }
    lines
}

fn kind(attempt: &AttemptView) -> &str {
    attempt.outcome.as_ref().map_or("none", |outcome| outcome.kind.as_ref())
}

impl Verdict {
    fn complain(&mut self, complaint: String) {
        if self.complaints.len() < N_COMPLAINTS {
            self.complaints.push(complaint);
        }
    }

    fn judge_task(&mut self, task: &TaskView, fate: Fate, lines: &Lines) {
        self.figures.n_attempts += task.attempts.len();
        let count = |wanted: &str| task.attempts.iter().filter(|it| kind(it) == wanted).count();
        let (n_good, n_failures) = (count("succeeded"), count("exit_code"));
        self.figures.n_worker_lost += count("worker_lost");
        let own_failures = MAX_RETRIES as usize + 1;
        let is_as_it_has_to_be = match fate {
            Fate::Succeeds => task.state == WireTaskState::Succeeded && n_failures == 0,
            Fate::Fails => task.state == WireTaskState::Failed && n_failures == own_failures,
            Fate::Skipped => task.state == WireTaskState::Skipped && task.attempts.is_empty(),
        };
        if !is_as_it_has_to_be {
            self.figures.n_lost += 1;
            self.complain(format!("{} should be one that {fate:?}: {task:?}", task.id));
        }
        let is_open = |it: &&AttemptView| it.ended.is_none() || it.outcome.is_none();
        let n_open = task.attempts.iter().filter(is_open).count();
        let numbers: Vec<u32> = task.attempts.iter().map(|it| it.number).collect();
        let is_ascending = numbers.windows(2).all(|pair| pair[0] < pair[1]);
        let n_expected = usize::from(fate == Fate::Succeeds);
        if n_open > 0 || n_good > n_expected || !is_ascending {
            self.figures.n_doubled += 1;
            self.complain(format!("{}: attempts without one end each: {task:?}", task.id));
        }
        self.judge_lines(task, lines);
    }

    /// What ended by itself has run, once; what has run is on record.
    fn judge_lines(&mut self, task: &TaskView, lines: &Lines) {
        let of_task = lines.range((task.id, 0)..=(task.id, u32::MAX));
        let ran: Vec<u32> = of_task.map(|((_, number), _)| *number).collect();
        let ended_itself = |it: &&AttemptView| matches!(kind(it), "succeeded" | "exit_code");
        for attempt in task.attempts.iter().filter(ended_itself) {
            if !ran.contains(&attempt.number) {
                self.figures.n_lost += 1;
                self.complain(format!("{}: attempt {} never ran", task.id, attempt.number));
            }
        }
        // Of very many attempts the host keeps the last ones.
        let first_kept = task.attempts.first().map_or(0, |it| it.number);
        for number in ran.iter().filter(|number| **number >= first_kept) {
            if !task.attempts.iter().any(|it| it.number == *number) {
                self.figures.n_doubled += 1;
                self.complain(format!("{}: attempt {number} ran, unknown to the host", task.id));
            }
        }
        let n_own = task.attempts.iter().filter(ended_itself).count();
        let n_kept = ran.iter().filter(|number| **number >= first_kept).count();
        self.figures.n_run_again += usize::from(n_kept > n_own);
    }

    async fn look_for_orphans(&mut self, cluster: &Cluster) {
        let deadline = Instant::now() + ENDED_WITHIN;
        let left = loop {
            let left = processes::with_environment(&[cluster.mark()]);
            if left.is_empty() || Instant::now() > deadline {
                break left;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        self.figures.n_orphans = left.len();
        if !left.is_empty() {
            self.complain(format!("processes are left: {left:?}"));
        }
    }

    async fn look_for_leaks(&mut self, cluster: &Cluster) {
        let is_whole = |worker: &WorkerView| {
            worker.state == WireWorkerState::Live
                && worker.running == 0
                && worker.free.is_some_and(|free| free == worker.capacity)
        };
        let deadline = Instant::now() + ENDED_WITHIN;
        let workers = loop {
            let workers: Vec<WorkerView> = cluster.api.wait_for("/v1/workers").await;
            if workers.iter().all(is_whole) || Instant::now() > deadline {
                break workers;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let n_missing = cluster.n_workers().saturating_sub(workers.len());
        let leaking: Vec<&WorkerView> = workers.iter().filter(|it| !is_whole(it)).collect();
        self.figures.n_leaks = leaking.len() + n_missing;
        if self.figures.n_leaks > 0 {
            self.complain(format!("{n_missing} workers are missing; not at rest: {leaking:?}"));
        }
    }
}
