//! On what a workload is played: the workers, and what of a task's requests counts there.

use pointsman_scheduler::resources::{Capacity, Request};
use pointsman_scheduler::spec::TaskSpec;
use std::sync::Arc;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// One worker each, in registration order.
    pub workers: Vec<Capacity>,
    pub requests: Requests,
}

/// What a task takes of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requests {
    /// One core and nothing else, whatever it asks for; required labels are ignored.
    OneSlot,
    /// What it asks for.
    AsSubmitted,
}

const ONE_CORE_MILLI: u64 = 1000;
/// Nothing is asked of it in slots; policies divide by it.
const SLOT_MEMORY: u64 = 1 << 30;

impl Cluster {
    /// `n` alike workers that run one task at a time, whatever it asks for.
    pub fn slots(n: usize) -> Cluster {
        let slot = Capacity { cpu_milli: ONE_CORE_MILLI, memory: SLOT_MEMORY, gpus: 0 };
        Cluster { workers: vec![slot; n], requests: Requests::OneSlot }
    }

    /// `n` alike workers that hold whatever fits.
    pub fn machines(n: usize, capacity: Capacity) -> Cluster {
        Cluster { workers: vec![capacity; n], requests: Requests::AsSubmitted }
    }

    /// `n` processors in one pool: no borders between machines, and memory does not count.
    pub fn pool(n: usize) -> Cluster {
        let cpu_milli = (n as u64).saturating_mul(ONE_CORE_MILLI);
        Cluster::machines(1, Capacity { cpu_milli, memory: SLOT_MEMORY, gpus: 0 })
    }

    /// The task as it is submitted here.
    pub(crate) fn adapt(&self, task: &Arc<TaskSpec>) -> Arc<TaskSpec> {
        match self.requests {
            Requests::AsSubmitted => task.clone(),
            Requests::OneSlot => Arc::new(TaskSpec {
                request: Request { cpu_milli: ONE_CORE_MILLI, memory: 0, gpu_milli: 0 },
                requires: Arc::default(),
                ..TaskSpec::clone(task)
            }),
        }
    }

    /// Whether every worker runs exactly one task at a time.
    pub(crate) fn has_slots(&self) -> bool {
        let is_slot =
            |worker: &Capacity| (ONE_CORE_MILLI..2 * ONE_CORE_MILLI).contains(&worker.cpu_milli);
        self.requests == Requests::OneSlot && self.workers.iter().all(is_slot)
    }

    pub(crate) fn cpu_milli(&self) -> u128 {
        self.workers.iter().map(|worker| u128::from(worker.cpu_milli)).sum()
    }
}
