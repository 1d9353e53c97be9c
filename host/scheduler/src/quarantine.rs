//! Workers that fail whatever they get are set aside for a growing time: a broken machine fails at
//! once, is therefore always free, and would swallow everything that waits.

use crate::effect::{Effect, Notice};
use crate::event::FinishedAttempt;
use crate::record::{Failure, WorkerState};
use crate::scheduler::Scheduler;
use crate::settings::Quarantine;
use crate::time::Time;
use crate::timers::Timer;
use crate::worker::WorkerIdx;
use std::time::Duration;

/// The `n`-th quarantine (from 1): twice as long each time, at most the cap.
fn length(settings: &Quarantine, n: u32) -> Duration {
    let factor = 2u32.saturating_pow(n.saturating_sub(1));
    settings.base.saturating_mul(factor).min(settings.cap)
}

impl Scheduler {
    /// Learns from the end of an attempt about the worker it ran on. Call it before the attempt is
    /// ended.
    pub(crate) fn judge_worker(&mut self, report: &FinishedAttempt, effects: &mut Vec<Effect>) {
        let status = &self.task(report.attempt.task).status;
        let attempt = status.current().expect("only current attempts are reported");
        let idx = self.workers.find(attempt.worker).expect("an attempt's worker is known");
        let is_asked_for = status.cancel_requested || self.moving.contains(&report.attempt.task);
        match &report.failure {
            None => self.clear_quarantine(idx, effects),
            Some(Failure::WorkerLost | Failure::Migrated | Failure::Preempted)
            | Some(Failure::Cancelled) => {}
            Some(_) if is_asked_for => {}
            Some(
                Failure::ExitCode(_)
                | Failure::Signal(_)
                | Failure::Timeout
                | Failure::OutOfMemory
                | Failure::StartFailed(_),
            ) => {
                let is_quick = report.ran.is_none_or(|ran| ran <= self.settings.quarantine.within);
                let worker = self.workers.get_mut(idx);
                worker.quick_failures = match is_quick {
                    true => worker.quick_failures.saturating_add(1),
                    false => 0,
                };
                self.consider_quarantine(idx, effects);
            }
        }
    }

    /// Where everything fails everywhere the work is to blame: at most half of the live workers are
    /// set aside, so never the only one.
    fn consider_quarantine(&mut self, idx: WorkerIdx, effects: &mut Vec<Effect>) {
        let settings = &self.settings.quarantine;
        let worker = self.workers.get(idx);
        let n_failures = worker.quick_failures;
        if settings.after == 0 || n_failures < settings.after || worker.quarantined_until.is_some()
        {
            return;
        }
        let is_live = |state| matches!(state, WorkerState::Live | WorkerState::Suspect);
        let live = || self.workers.iter().filter(|(_, it)| is_live(it.state) && it.life.is_some());
        let n_quarantined = live().filter(|(_, it)| it.quarantined_until.is_some()).count();
        if (n_quarantined + 1) * 2 > live().count() {
            return;
        }
        let n = worker.n_quarantines + 1;
        let until = self.now.after(length(settings, n));
        let worker = self.workers.change(idx);
        worker.n_quarantines = n;
        worker.quarantined_until = Some(until);
        let id = worker.record.id;
        self.workers.touched.insert(idx);
        self.timers.arm(until, Timer::EndQuarantine(idx));
        let until = Some(until);
        effects.push(Effect::Publish(Notice::WorkerQuarantined { worker: id, n_failures, until }));
    }

    /// Its time is over. The next quick failure sets it aside again, for longer.
    pub(crate) fn end_quarantine_at(
        &mut self,
        idx: WorkerIdx,
        armed_for: Time,
        effects: &mut Vec<Effect>,
    ) {
        if self.workers.get(idx).quarantined_until == Some(armed_for) {
            self.end_quarantine(idx, effects);
        }
    }

    /// It has shown, or somebody says, that it works: nothing is held against it any more.
    pub(crate) fn clear_quarantine(&mut self, idx: WorkerIdx, effects: &mut Vec<Effect>) {
        let worker = self.workers.get_mut(idx);
        (worker.quick_failures, worker.n_quarantines) = (0, 0);
        self.end_quarantine(idx, effects);
    }

    fn end_quarantine(&mut self, idx: WorkerIdx, effects: &mut Vec<Effect>) {
        if self.workers.get(idx).quarantined_until.is_none() {
            return;
        }
        let worker = self.workers.change(idx);
        worker.quarantined_until = None;
        let (id, n_failures) = (worker.record.id, worker.quick_failures);
        self.workers.touched.insert(idx);
        let until = None;
        effects.push(Effect::Publish(Notice::WorkerQuarantined { worker: id, n_failures, until }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    #[test]
    fn a_quarantine_never_grows_beyond_the_cap() {
        let settings = Settings::default().quarantine;
        let minutes = [1, 2, 3, 5, 6, 7, 40, u32::MAX].map(|n| length(&settings, n).as_secs() / 60);
        assert_eq!(minutes, [1, 2, 4, 16, 30, 30, 30, 30]);
    }
}
