//! Drawing a plan from a seed.

use super::{Ask, Fault, JobPlan, Plan, TaskPlan, Wish, WorkerPlan};
use crate::faults::kind::FaultKind;
use crate::faults::profile::Profile;
use std::time::Duration;

/// Clients meddle so often.
const MEDDLE_EVERY: Duration = Duration::from_secs(4);
const HOUR_MS: i64 = 3_600_000;

struct Draw {
    rng: fastrand::Rng,
    active_ms: u64,
    n_workers: usize,
}

impl Plan {
    pub fn draw(seed: u64, profile: &Profile) -> Plan {
        let active_ms = profile.active.as_millis() as u64;
        let n_workers = profile.n_workers;
        let mut draw = Draw { rng: fastrand::Rng::with_seed(seed), active_ms, n_workers };
        let workers = (0..n_workers).map(|_| draw.worker(profile.drift_ppm)).collect();
        let jobs = draw.jobs(profile);
        let asks = draw.asks(&jobs);
        let mut faults = Vec::new();
        for (kind, mean) in profile.faults {
            draw.faults(*kind, *mean, &mut faults);
        }
        faults.sort_by_key(|fault| fault.at_ms);
        let (name, rates) = (profile.name.to_owned(), profile.rates);
        Plan { name, seed, active_ms, rates, workers, jobs, asks, faults }
    }
}

impl Draw {
    /// Exponentially distributed.
    fn around(&mut self, mean: Duration) -> u64 {
        mean.mul_f64(-(1.0 - self.rng.f64()).ln()).as_millis() as u64
    }

    /// Some end at once, some last longer than any limit.
    fn length(&mut self) -> u64 {
        let most = [1_000, 8_000, 20_000, 90_000][self.rng.usize(..4)];
        self.rng.u64(..most)
    }

    fn worker(&mut self, drift_ppm: u32) -> WorkerPlan {
        let most = drift_ppm as i32;
        WorkerPlan {
            cpu_milli: self.rng.u64(2..=4) * 1000,
            memory_mb: 8_000,
            drift_ppm: self.rng.i32(-most..=most),
        }
    }

    fn jobs(&mut self, profile: &Profile) -> Vec<JobPlan> {
        let mean = profile.active.div_f64(1.5 * profile.n_jobs as f64);
        let mut at_ms = 0;
        let mut jobs = Vec::new();
        for _ in 0..profile.n_jobs {
            let n_tasks = self.rng.usize(1..=8);
            jobs.push(JobPlan { at_ms, tasks: (0..n_tasks).map(|it| self.task(it)).collect() });
            at_ms += self.around(mean);
        }
        jobs
    }

    fn task(&mut self, index: usize) -> TaskPlan {
        let rng = &mut self.rng;
        let n_dependencies = rng.usize(..=index.min(2));
        let mut dependencies: Vec<usize> =
            (0..n_dependencies).map(|_| rng.usize(..index)).collect();
        dependencies.sort_unstable();
        dependencies.dedup();
        TaskPlan {
            ms: [50, 1_000, 5_000, 60_000][rng.usize(..4)],
            fail_percent: [0, 0, 0, 10, 50][rng.usize(..5)],
            cpu_milli: rng.u64(1..=20) * 100,
            memory_mb: rng.u64(1..=3_000),
            priority: rng.i32(-5..=5),
            timeout_ms: (rng.u32(..5) == 0).then(|| rng.u64(1..=20) * 1000),
            max_retries: [None, Some(0), Some(10)][rng.usize(..3)],
            max_worker_losses: None,
            stops_on_disconnect: rng.u32(..3) == 0,
            kills_worker: false,
            dependencies,
        }
    }

    fn asks(&mut self, jobs: &[JobPlan]) -> Vec<Ask> {
        let mut asks = Vec::new();
        let mut at_ms = 0;
        loop {
            at_ms += self.around(MEDDLE_EVERY);
            if at_ms >= self.active_ms {
                return asks;
            }
            let n_known = jobs.iter().filter(|job| job.at_ms <= at_ms).count();
            let rng = &mut self.rng;
            let job = rng.usize(..n_known);
            let task = rng.usize(..jobs[job].tasks.len());
            let wish = match rng.u32(..10) {
                0..=2 => Wish::CancelTask { job, task },
                3 => Wish::CancelJob { job },
                4..=6 => Wish::RetryTask { job, task },
                7 => Wish::PauseQueue { paused: rng.bool() },
                _ => {
                    Wish::DrainWorker { worker: rng.usize(..self.n_workers), draining: rng.bool() }
                }
            };
            asks.push(Ask { at_ms, wish });
        }
    }

    fn faults(&mut self, kind: FaultKind, mean: Duration, faults: &mut Vec<Fault>) {
        let mut at_ms = 0;
        loop {
            at_ms += self.around(mean);
            if at_ms >= self.active_ms {
                return;
            }
            let lasts_ms = self.length();
            let (workers, step_ms) = (self.whom(kind), self.step(kind));
            faults.push(Fault { at_ms, kind, workers, lasts_ms, step_ms });
            at_ms += lasts_ms;
        }
    }

    fn whom(&mut self, kind: FaultKind) -> Vec<usize> {
        match kind {
            FaultKind::WorkerCrash
            | FaultKind::WorkerPause
            | FaultKind::WorkerSleep
            | FaultKind::WorkerClockStep
            | FaultKind::BrokenWorker => vec![self.rng.usize(..self.n_workers)],
            FaultKind::Partition | FaultKind::HostDeaf | FaultKind::WorkersDeaf => {
                let share = self.rng.f64();
                (0..self.n_workers).filter(|_| self.rng.f64() < share).collect()
            }
            FaultKind::MassLoss => {
                let spared = self.rng.usize(..=self.n_workers);
                (0..self.n_workers).filter(|it| *it != spared).collect()
            }
            _ => Vec::new(),
        }
    }

    fn step(&mut self, kind: FaultKind) -> i64 {
        match kind {
            FaultKind::HostClockStep => self.rng.i64(-2 * HOUR_MS..=2 * HOUR_MS),
            // A monotonic clock only ever jumps ahead.
            FaultKind::WorkerClockStep => [1_000, 20_000, HOUR_MS][self.rng.usize(..3)],
            _ => 0,
        }
    }
}
