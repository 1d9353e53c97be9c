//! From a world in which something does not hold to a small one in which the same does not hold.

use super::invariant::Invariant;
use super::plan::{Plan, Rates};
use super::{FaultOptions, Violation, run};
use std::time::{Duration, Instant};

/// What is left when nothing more can be taken away, or the time was up.
#[derive(Debug, Clone)]
pub struct Shrunk {
    pub violation: Violation,
    pub n_runs: u32,
    pub is_minimal: bool,
}

/// Another plan may need other chances to fail: so many seeds are tried with each.
const SEEDS: u64 = 3;

struct Shrinker {
    options: FaultOptions,
    invariant: Invariant,
    violation: Violation,
    n_runs: u32,
    until: Instant,
}

/// Takes away faults, wishes, jobs, tasks, workers and rates for as long as the first of what was
/// broken stays so.
pub fn shrink(options: &FaultOptions, violation: &Violation, time: Duration) -> Shrunk {
    let invariant = violation.broken.first().expect("a violation says what is broken").invariant;
    let mut shrinker = Shrinker {
        options: options.clone(),
        invariant,
        violation: violation.clone(),
        n_runs: 0,
        until: Instant::now() + time,
    };
    while shrinker.pass() {}
    let Shrinker { violation, n_runs, until, .. } = shrinker;
    Shrunk { violation, n_runs, is_minimal: Instant::now() < until }
}

impl Shrinker {
    /// Tries to take away each thing once. False: nothing went, or the time is up.
    fn pass(&mut self) -> bool {
        let before = self.size();
        // The large things first: what belongs to them goes with them.
        self.drop_each(
            |plan| plan.faults.len(),
            |plan, from, n| {
                let mut plan = plan.clone();
                plan.faults.drain(from..from + n);
                plan
            },
        );
        self.drop_each(
            |plan| plan.jobs.len(),
            |plan, from, n| (0..n).fold(plan.clone(), |plan, _| plan.without_job(from)),
        );
        self.drop_each(
            |plan| plan.asks.len(),
            |plan, from, n| {
                let mut plan = plan.clone();
                plan.asks.drain(from..from + n);
                plan
            },
        );
        self.drop_each(
            |plan| plan.workers.len(),
            |plan, from, n| (0..n).fold(plan.clone(), |plan, _| plan.without_worker(from)),
        );
        self.drop_tasks();
        self.drop_rates();
        self.size() < before && Instant::now() < self.until
    }

    /// Everything that there is to take away.
    fn size(&self) -> usize {
        let plan = &self.options.plan;
        let rates = rates_of(&plan.rates).iter().filter(|rate| **rate > 0.0).count();
        let lists = [plan.faults.len(), plan.asks.len(), plan.workers.len(), plan.jobs.len()];
        lists.iter().sum::<usize>() + plan.n_tasks() + rates
    }

    /// Halves first, then quarters, down to single ones.
    fn drop_each(
        &mut self,
        count: impl Fn(&Plan) -> usize,
        without: impl Fn(&Plan, usize, usize) -> Plan,
    ) {
        let mut n = count(&self.options.plan).div_ceil(2).max(1);
        loop {
            let mut from = 0;
            while from < count(&self.options.plan) {
                let n = n.min(count(&self.options.plan) - from);
                let smaller = without(&self.options.plan, from, n);
                if !self.accept(smaller) {
                    from += n;
                }
            }
            if n == 1 {
                return;
            }
            n = n.div_ceil(2);
        }
    }

    fn drop_tasks(&mut self) {
        for job in 0..self.options.plan.jobs.len() {
            // A job has a task at least.
            let mut task = self.options.plan.jobs[job].tasks.len();
            while task > 0 && self.options.plan.jobs[job].tasks.len() > 1 {
                task -= 1;
                let smaller = self.options.plan.without_task(job, task);
                self.accept(smaller);
            }
        }
    }

    fn drop_rates(&mut self) {
        for index in 0..rates_of(&Rates::default()).len() {
            let mut plan = self.options.plan.clone();
            let Rates { loss, duplication, delay, policy_failures } = &mut plan.rates;
            *[loss, duplication, delay, policy_failures][index] = 0.0;
            if plan != self.options.plan {
                self.accept(plan);
            }
        }
        let mut plan = self.options.plan.clone();
        plan.workers.iter_mut().for_each(|worker| worker.drift_ppm = 0);
        if plan != self.options.plan {
            self.accept(plan);
        }
    }

    /// Takes the plan if the same still does not hold there.
    fn accept(&mut self, plan: Plan) -> bool {
        let first = plan.seed;
        for seed in first..first + SEEDS {
            if Instant::now() >= self.until {
                return false;
            }
            let plan = Plan { seed, ..plan.clone() };
            let options = FaultOptions { plan, ..self.options.clone() };
            self.n_runs += 1;
            if let Err(violation) = run(&options)
                && violation.breaks(self.invariant)
            {
                self.options = options;
                self.violation = *violation;
                return true;
            }
        }
        false
    }
}

fn rates_of(rates: &Rates) -> [f64; 4] {
    [rates.loss, rates.duplication, rates.delay, rates.policy_failures]
}
