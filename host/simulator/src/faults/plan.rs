//! A whole world, spelled out: who is there, what is asked of them and what goes wrong, and when. It is
//! drawn from a seed, read from a script, or made smaller; the same plan always plays alike.

mod draw;
mod text;

use super::kind::FaultKind;

/// Times are milliseconds since the beginning.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Of its profile or its story.
    pub name: String,
    /// For what is left to chance: the fate of single messages, how long things take.
    pub seed: u64,
    /// Nothing goes wrong any more from here on, and everything has to come to its end.
    pub active_ms: u64,
    pub rates: Rates,
    pub workers: Vec<WorkerPlan>,
    pub jobs: Vec<JobPlan>,
    pub asks: Vec<Ask>,
    pub faults: Vec<Fault>,
}

/// What goes wrong all the time, as fractions.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rates {
    /// Of messages.
    pub loss: f64,
    pub duplication: f64,
    /// That take seconds.
    pub delay: f64,
    /// Of the calls of policies.
    pub policy_failures: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct WorkerPlan {
    pub cpu_milli: u64,
    pub memory_mb: u64,
    /// By how much its clock is too fast, in millionths.
    pub drift_ppm: i32,
}

#[derive(Debug, Clone, PartialEq)]
pub struct JobPlan {
    pub at_ms: u64,
    pub tasks: Vec<TaskPlan>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct TaskPlan {
    /// About how long its script lasts.
    pub ms: u64,
    /// In how many of a hundred attempts it fails.
    pub fail_percent: u64,
    pub cpu_milli: u64,
    pub memory_mb: u64,
    pub priority: i32,
    pub timeout_ms: Option<u64>,
    pub max_retries: Option<u32>,
    pub max_worker_losses: Option<u32>,
    /// Must not run unseen.
    pub stops_on_disconnect: bool,
    /// Its worker dies of it, which then comes back.
    pub kills_worker: bool,
    /// By their place in the job.
    pub dependencies: Vec<usize>,
}

/// A client's wish, repeated until it is answered. Jobs, tasks and workers by their place in the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    pub at_ms: u64,
    pub wish: Wish,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    CancelTask { job: usize, task: usize },
    CancelJob { job: usize },
    RetryTask { job: usize, task: usize },
    PauseQueue { paused: bool },
    DrainWorker { worker: usize, draining: bool },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub at_ms: u64,
    pub kind: FaultKind,
    /// Whom it strikes, where it strikes workers.
    pub workers: Vec<usize>,
    pub lasts_ms: u64,
    /// Of a step of a clock, either way.
    pub step_ms: i64,
}

impl Default for TaskPlan {
    /// A second of one core.
    fn default() -> TaskPlan {
        TaskPlan {
            ms: 1_000,
            fail_percent: 0,
            cpu_milli: 1_000,
            memory_mb: 100,
            priority: 0,
            timeout_ms: None,
            max_retries: None,
            max_worker_losses: None,
            stops_on_disconnect: false,
            kills_worker: false,
            dependencies: Vec::new(),
        }
    }
}

impl Plan {
    /// A world in which nothing goes wrong: workers with so many cores each.
    pub fn quiet(name: &str, cores: &[u64]) -> Plan {
        let worker =
            |cores: &u64| WorkerPlan { cpu_milli: cores * 1000, memory_mb: 8_000, drift_ppm: 0 };
        Plan {
            name: name.to_owned(),
            seed: 1,
            active_ms: 300_000,
            rates: Rates::default(),
            workers: cores.iter().map(worker).collect(),
            jobs: Vec::new(),
            asks: Vec::new(),
            faults: Vec::new(),
        }
    }

    pub fn job(mut self, at_ms: u64, tasks: Vec<TaskPlan>) -> Plan {
        self.jobs.push(JobPlan { at_ms, tasks });
        self
    }

    pub fn ask(mut self, at_ms: u64, wish: Wish) -> Plan {
        self.asks.push(Ask { at_ms, wish });
        self
    }

    pub fn fault(self, at_ms: u64, kind: FaultKind, workers: &[usize], lasts_ms: u64) -> Plan {
        self.step(at_ms, kind, workers, lasts_ms, 0)
    }

    /// A fault with a step of a clock.
    pub fn step(
        mut self,
        at_ms: u64,
        kind: FaultKind,
        workers: &[usize],
        lasts_ms: u64,
        step_ms: i64,
    ) -> Plan {
        self.faults.push(Fault { at_ms, kind, workers: workers.to_vec(), lasts_ms, step_ms });
        self
    }

    pub fn n_tasks(&self) -> usize {
        self.jobs.iter().map(|job| job.tasks.len()).sum()
    }

    pub(super) fn without_worker(&self, gone: usize) -> Plan {
        let mut plan = self.clone();
        plan.workers.remove(gone);
        let renumber = |worker: usize| match worker {
            it if it == gone => None,
            it => Some(it - usize::from(it > gone)),
        };
        for fault in &mut plan.faults {
            fault.workers = fault.workers.iter().filter_map(|it| renumber(*it)).collect();
        }
        plan.asks.retain_mut(|ask| match &mut ask.wish {
            Wish::DrainWorker { worker, .. } => {
                let renumbered = renumber(*worker);
                *worker = renumbered.unwrap_or(*worker);
                renumbered.is_some()
            }
            _ => true,
        });
        plan
    }

    pub(super) fn without_job(&self, gone: usize) -> Plan {
        let mut plan = self.clone();
        plan.jobs.remove(gone);
        plan.asks.retain_mut(|ask| match &mut ask.wish {
            Wish::CancelTask { job, .. }
            | Wish::CancelJob { job }
            | Wish::RetryTask { job, .. } => {
                let keeps = *job != gone;
                *job -= usize::from(*job > gone);
                keeps
            }
            Wish::PauseQueue { .. } | Wish::DrainWorker { .. } => true,
        });
        plan
    }

    pub(super) fn without_task(&self, of_job: usize, gone: usize) -> Plan {
        let mut plan = self.clone();
        let tasks = &mut plan.jobs[of_job].tasks;
        tasks.remove(gone);
        for task in tasks {
            task.dependencies.retain(|it| *it != gone);
            task.dependencies.iter_mut().for_each(|it| *it -= usize::from(*it > gone));
        }
        plan.asks.retain_mut(|ask| match &mut ask.wish {
            Wish::CancelTask { job, task } | Wish::RetryTask { job, task } if *job == of_job => {
                let keeps = *task != gone;
                *task -= usize::from(*task > gone);
                keeps
            }
            _ => true,
        });
        plan
    }
}
