//! What a fault of the plan does when it begins, and when it is over.

use super::agenda::{Cut, What};
use super::kind::FaultKind;
use super::plan::{Fault, Rates};
use super::worker::Around;
use super::world::World;
use std::time::Duration;

/// Faults by their place in the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disaster {
    Begin(usize),
    End(usize),
    /// All of it is over.
    Heal,
}

impl World {
    pub(super) fn strike(&mut self, disaster: Disaster) {
        match disaster {
            Disaster::Heal => self.heal(),
            Disaster::Begin(_) | Disaster::End(_) if self.is_healed => {}
            Disaster::Begin(index) => {
                let fault = self.plan.faults[index].clone();
                if self.begin(index, &fault) {
                    self.agenda.strikes.add(fault.kind);
                    let wait = Duration::from_millis(fault.lasts_ms);
                    self.agenda.after(wait, What::Disaster(Disaster::End(index)));
                }
            }
            Disaster::End(index) => {
                let fault = self.plan.faults[index].clone();
                self.end(&fault);
            }
        }
    }

    /// False: there was nothing to strike.
    fn begin(&mut self, index: usize, fault: &Fault) -> bool {
        let is_up = !self.host.is_down();
        match fault.kind {
            FaultKind::Partition => self.cut(fault, true, true),
            FaultKind::HostDeaf => self.cut(fault, true, false),
            FaultKind::WorkersDeaf => self.cut(fault, false, true),
            FaultKind::HostCrash if is_up => self.host.crash(),
            FaultKind::HostPause if is_up => self.host.is_paused = true,
            FaultKind::HostFailover if is_up => {
                self.host.depose();
                self.start_host();
            }
            FaultKind::CrashBeforeAck if is_up => {
                let lasts = Duration::from_millis(fault.lasts_ms);
                self.host.crash_after_commit = Some((index, lasts));
                // It counts, and ends, when it comes to it.
                return false;
            }
            FaultKind::HostCrash
            | FaultKind::HostPause
            | FaultKind::HostFailover
            | FaultKind::CrashBeforeAck => return false,
            FaultKind::HostClockStep => self.host.step_clock(fault.step_ms),
            FaultKind::DiskFull => self.host.store.fail_next(u32::MAX),
            FaultKind::SlowDisk => self.host.has_slow_disk = true,
            FaultKind::WorkerCrash | FaultKind::MassLoss => {
                for worker in &fault.workers {
                    self.workers[*worker].crash(self.agenda.now, &mut self.checker);
                }
            }
            FaultKind::WorkerPause => self.freeze(fault, true),
            FaultKind::WorkerSleep => self.freeze(fault, false),
            FaultKind::WorkerClockStep => {
                for worker in &fault.workers {
                    self.workers[*worker].step_clock(self.agenda.now, fault.step_ms);
                }
            }
            FaultKind::BrokenWorker => {
                fault.workers.iter().for_each(|it| self.workers[*it].is_broken = true);
            }
            FaultKind::PolicyHold => self.host.moods.holds = true,
            FaultKind::SlowPolicy => self.host.moods.is_slow = true,
            FaultKind::SenselessPolicy => self.host.moods.is_senseless = true,
            FaultKind::PolicySwap => {
                let World { agenda, checker, host, sabotage, .. } = self;
                host.swap_policies(&mut Around { agenda, checker, sabotage: *sabotage });
            }
            FaultKind::Loss
            | FaultKind::Duplication
            | FaultKind::Delay
            | FaultKind::PolicyFailure => return false,
        }
        true
    }

    fn end(&mut self, fault: &Fault) {
        match fault.kind {
            FaultKind::Partition | FaultKind::HostDeaf | FaultKind::WorkersDeaf => {
                fault.workers.iter().for_each(|worker| {
                    self.agenda.cuts.remove(worker);
                });
            }
            FaultKind::HostCrash | FaultKind::CrashBeforeAck => self.start_host(),
            FaultKind::HostPause => self.resume_host(),
            FaultKind::HostFailover => {
                let World { agenda, checker, host, sabotage, .. } = self;
                host.wake_deposed(&mut Around { agenda, checker, sabotage: *sabotage });
            }
            FaultKind::DiskFull => self.host.store.fail_next(0),
            FaultKind::SlowDisk => self.host.has_slow_disk = false,
            FaultKind::WorkerCrash | FaultKind::MassLoss => {
                for worker in &fault.workers {
                    self.workers[*worker].start(&mut self.agenda);
                }
            }
            FaultKind::WorkerPause | FaultKind::WorkerSleep => {
                fault.workers.iter().for_each(|worker| self.resume_worker(*worker));
            }
            FaultKind::BrokenWorker => {
                fault.workers.iter().for_each(|it| self.workers[*it].is_broken = false);
            }
            FaultKind::PolicyHold => {
                self.host.moods.holds = false;
                let World { agenda, checker, host, sabotage, .. } = self;
                host.nudge(&mut Around { agenda, checker, sabotage: *sabotage });
            }
            FaultKind::SlowPolicy => self.host.moods.is_slow = false,
            FaultKind::SenselessPolicy => self.host.moods.is_senseless = false,
            FaultKind::HostClockStep
            | FaultKind::WorkerClockStep
            | FaultKind::PolicySwap
            | FaultKind::Loss
            | FaultKind::Duplication
            | FaultKind::Delay
            | FaultKind::PolicyFailure => {}
        }
    }

    fn cut(&mut self, fault: &Fault, to_host: bool, to_worker: bool) {
        for worker in &fault.workers {
            self.agenda.cuts.insert(*worker, Cut { to_host, to_worker });
        }
    }

    fn freeze(&mut self, fault: &Fault, clock_goes_on: bool) {
        for worker in &fault.workers {
            self.workers[*worker].pause(self.agenda.now, clock_goes_on, &mut self.checker);
        }
    }

    /// From now on everything works.
    fn heal(&mut self) {
        self.is_healed = true;
        self.agenda.rates = Rates::default();
        self.agenda.cuts.clear();
        self.host.heal();
        if self.host.is_down() {
            self.start_host();
        }
        self.resume_host();
        for worker in 0..self.workers.len() {
            self.workers[worker].is_broken = false;
            if self.workers[worker].is_down() {
                self.workers[worker].start(&mut self.agenda);
            }
            self.resume_worker(worker);
        }
        self.client.heal(&mut self.agenda);
    }
}
