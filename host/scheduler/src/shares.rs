//! What tenants hold of the cluster: dominant shares (Ghodsi et al., NSDI 2011), kept up with every
//! start, end and change of a worker.

use crate::record::WorkerState;
use crate::resources::Request;
use crate::worker::{Worker, WorkerIdx, Workers};
use std::collections::BTreeMap;

/// Milli-cpu, bytes, milli-gpu.
type Amounts = [u64; 3];

#[derive(Debug, Default)]
pub(crate) struct Shares {
    /// What the current attempts of each tenant hold; tenants that hold nothing are left out.
    held: BTreeMap<String, [u128; 3]>,
    /// What each worker counts in `total`.
    counted: Vec<Amounts>,
    total: [u128; 3],
    /// The number of the first change of a worker that `total` does not know yet.
    next_change: u64,
}

/// What a worker adds to the cluster. Whether it takes work now makes no difference: shares would
/// jump when one falls silent, and its attempts still hold what they hold.
fn amounts(worker: &Worker) -> Amounts {
    if worker.state == WorkerState::Lost {
        return [0; 3];
    }
    let capacity = &worker.record.capacity;
    [capacity.cpu_milli, capacity.memory, u64::from(capacity.gpus) * 1000]
}

fn requested(request: &Request) -> [u128; 3] {
    [request.cpu_milli.into(), request.memory.into(), request.gpu_milli.into()]
}

impl Shares {
    /// An attempt of the tenant became current.
    pub fn take(&mut self, tenant: &str, request: &Request) {
        let held = match self.held.get_mut(tenant) {
            Some(held) => held,
            None => self.held.entry(tenant.to_owned()).or_default(),
        };
        for (held, amount) in held.iter_mut().zip(requested(request)) {
            *held += amount;
        }
    }

    /// An attempt of the tenant ended.
    pub fn give_back(&mut self, tenant: &str, request: &Request) {
        let held = self.held.get_mut(tenant).expect("what ends has been taken before");
        for (held, amount) in held.iter_mut().zip(requested(request)) {
            *held -= amount;
        }
        if *held == [0; 3] {
            self.held.remove(tenant);
        }
    }

    /// Takes up what changed about workers. True: the total is another, and so is every share.
    pub fn follow(&mut self, workers: &Workers) -> bool {
        let before = self.total;
        let changed: Vec<WorkerIdx> = match workers.changes_since(self.next_change) {
            Some(changes) => changes.collect(),
            None => workers.iter().map(|(idx, _)| idx).collect(),
        };
        self.next_change = workers.log_end();
        for idx in changed {
            if self.counted.len() <= idx.slot() {
                self.counted.resize(idx.slot() + 1, [0; 3]);
            }
            let now = amounts(workers.get(idx));
            let counted = std::mem::replace(&mut self.counted[idx.slot()], now);
            for ((total, counted), now) in self.total.iter_mut().zip(counted).zip(now) {
                *total = *total - u128::from(counted) + u128::from(now);
            }
        }
        self.total != before
    }

    /// The largest share of any resource that the tenant's attempts hold, in [0, 1] while no worker
    /// holds more than it has.
    pub fn dominant(&self, tenant: &str) -> f64 {
        let Some(held) = self.held.get(tenant) else { return 0.0 };
        let share = |(held, total): (&u128, &u128)| {
            if *total == 0 { 0.0 } else { *held as f64 / *total as f64 }
        };
        held.iter().zip(&self.total).map(share).fold(0.0, f64::max)
    }

    /// What is kept against what the tenants' attempts hold, in words.
    pub fn violations<'a>(
        &self,
        current: impl Iterator<Item = (&'a str, &'a Request)>,
    ) -> Vec<String> {
        let mut derived = Shares::default();
        for (tenant, request) in current {
            derived.take(tenant, request);
        }
        let nothing = [0; 3];
        derived.held.retain(|_, held| *held != nothing);
        if derived.held == self.held {
            return Vec::new();
        }
        vec![format!("tenants hold {:?}, counted {:?}", derived.held, self.held)]
    }
}
