//! What goes wrong, when, and for how long.

use super::agenda::{Agenda, Cut, What};
use super::profile::Profile;
use super::world::World;
use pointsman_scheduler::Time;
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disaster {
    HostCrash,
    HostStart,
    HostPause,
    HostResume,
    WorkerCrash(usize),
    WorkerStart(usize),
    WorkerPause(usize),
    WorkerResume(usize),
    Partition,
    Join(usize),
    StoreFault,
    StoreWorks,
    /// All of it is over.
    Heal,
}

const SECOND: Duration = Duration::from_secs(1);

/// Draws the first of each kind; each one draws the next of its kind.
pub(super) fn begin(agenda: &mut Agenda, profile: &Profile) {
    next(agenda, profile.host_crashes, Disaster::HostCrash);
    next(agenda, profile.host_pauses, Disaster::HostPause);
    next(agenda, profile.partitions, Disaster::Partition);
    next(agenda, profile.store_faults, Disaster::StoreFault);
    for worker in 0..profile.n_workers {
        next(agenda, profile.worker_crashes, Disaster::WorkerCrash(worker));
        next(agenda, profile.worker_pauses, Disaster::WorkerPause(worker));
    }
    agenda.at(Time::ZERO.after(profile.active), What::Disaster(Disaster::Heal));
}

fn next(agenda: &mut Agenda, mean: Option<Duration>, disaster: Disaster) {
    if let Some(mean) = mean {
        let wait = agenda.around(mean);
        agenda.after(wait, What::Disaster(disaster));
    }
}

/// Some end at once, some last longer than any limit.
fn length(agenda: &mut Agenda) -> Duration {
    let most = [SECOND, 8 * SECOND, 20 * SECOND, 90 * SECOND][agenda.rng.usize(..4)];
    agenda.between(Duration::ZERO, most)
}

impl World {
    pub(super) fn strike(&mut self, disaster: Disaster) {
        if self.is_healed {
            return;
        }
        let profile = self.profile.clone();
        let agenda = &mut self.agenda;
        match disaster {
            Disaster::HostCrash => {
                self.host.crash();
                let wait = length(agenda);
                agenda.after(wait, What::Disaster(Disaster::HostStart));
            }
            Disaster::HostStart => {
                self.start_host();
                next(&mut self.agenda, profile.host_crashes, Disaster::HostCrash);
            }
            Disaster::HostPause => {
                self.host.is_paused = true;
                let wait = length(agenda);
                agenda.after(wait, What::Disaster(Disaster::HostResume));
            }
            Disaster::HostResume => {
                self.host.is_paused = false;
                self.replay_of_host();
                next(&mut self.agenda, profile.host_pauses, Disaster::HostPause);
            }
            Disaster::WorkerCrash(worker) => {
                self.workers[worker].crash(&mut self.checker);
                let wait = length(agenda);
                agenda.after(wait, What::Disaster(Disaster::WorkerStart(worker)));
            }
            Disaster::WorkerStart(worker) => {
                self.workers[worker].start(agenda);
                next(agenda, profile.worker_crashes, Disaster::WorkerCrash(worker));
            }
            Disaster::WorkerPause(worker) => {
                self.workers[worker].pause(&mut self.checker);
                let wait = length(agenda);
                agenda.after(wait, What::Disaster(Disaster::WorkerResume(worker)));
            }
            Disaster::WorkerResume(worker) => {
                self.resume_worker(worker);
                next(&mut self.agenda, profile.worker_pauses, Disaster::WorkerPause(worker));
            }
            Disaster::Partition => {
                let both = agenda.chance(0.5);
                let to_host = both || agenda.chance(0.5);
                let cut = Cut { to_host, to_worker: both || !to_host };
                let share = agenda.rng.f64();
                let wait = length(agenda);
                for worker in 0..profile.n_workers {
                    if agenda.chance(share) {
                        agenda.cuts.insert(worker, cut);
                        agenda.after(wait, What::Disaster(Disaster::Join(worker)));
                    }
                }
                next(agenda, profile.partitions, Disaster::Partition);
            }
            Disaster::Join(worker) => {
                agenda.cuts.remove(&worker);
            }
            Disaster::StoreFault => {
                self.host.store.fail_next(u32::MAX);
                let wait = length(agenda);
                agenda.after(wait, What::Disaster(Disaster::StoreWorks));
            }
            Disaster::StoreWorks => {
                self.host.store.fail_next(0);
                next(agenda, profile.store_faults, Disaster::StoreFault);
            }
            Disaster::Heal => self.heal(),
        }
    }

    /// From now on everything works.
    fn heal(&mut self) {
        self.is_healed = true;
        self.agenda.loss = 0.0;
        self.agenda.duplication = 0.0;
        self.agenda.cuts.clear();
        self.host.store.fail_next(0);
        self.host.heal();
        if self.host.is_down() {
            self.start_host();
        }
        if std::mem::take(&mut self.host.is_paused) {
            self.replay_of_host();
        }
        for worker in 0..self.workers.len() {
            if self.workers[worker].is_down() {
                self.workers[worker].start(&mut self.agenda);
            }
            self.resume_worker(worker);
        }
        self.client.heal(&mut self.agenda);
    }
}
