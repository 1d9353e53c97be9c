//! Workers fall silent: suspect, then lost, unless so many fall silent at once that the fault is more
//! likely between them and the host.

use crate::effect::{Effect, Notice};
use crate::ids::TaskId;
use crate::record::{Failure, WorkerState};
use crate::scheduler::Scheduler;
use crate::spec::OnDisconnect;
use crate::time::Time;
use crate::timers::Timer;
use crate::worker::WorkerIdx;
use std::time::Duration;

/// Between TERM and KILL, as agents do it.
pub const KILL_GRACE: Duration = Duration::from_secs(10);

/// Fewer silent workers than this are no mass.
const MASS: usize = 3;

/// More than half of the workers fell silent within one window: nobody is given up before `until`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hold {
    pub until: Time,
}

impl Scheduler {
    pub(crate) fn arm_check(&mut self, idx: WorkerIdx) {
        let at = self.workers.get(idx).last_seen.after(self.settings.heartbeat.suspect_after);
        self.arm_check_at(idx, at);
    }

    fn arm_check_at(&mut self, idx: WorkerIdx, at: Time) {
        self.workers.get_mut(idx).check_at = at;
        self.timers.arm(at, Timer::WorkerCheck(idx));
    }

    /// The timer of a worker fired: it may have been silent for too long.
    pub(crate) fn check_worker(
        &mut self,
        armed_for: Time,
        idx: WorkerIdx,
        effects: &mut Vec<Effect>,
    ) {
        let heartbeat = &self.settings.heartbeat;
        let (suspect_after, lost_after) = (heartbeat.suspect_after, heartbeat.lost_after);
        let worker = self.workers.get(idx);
        let seen = worker.last_seen;
        if worker.state == WorkerState::Lost || worker.check_at != armed_for {
            return;
        }
        if seen.after(lost_after) <= self.now {
            match self.hold_losses(effects) {
                Some(until) => self.arm_check_at(idx, until),
                None => self.lose_worker(idx, effects),
            }
        } else if seen.after(suspect_after) <= self.now {
            if worker.state == WorkerState::Live {
                self.set_worker_state(idx, WorkerState::Suspect, effects);
            }
            self.arm_check_at(idx, seen.after(lost_after));
        } else {
            self.arm_check_at(idx, seen.after(suspect_after));
        }
    }

    /// A worker would be lost now. Some: not before that time, since more than half of all, and at
    /// least three, would be lost within one window.
    fn hold_losses(&mut self, effects: &mut Vec<Effect>) -> Option<Time> {
        let window = self.settings.heartbeat.lost_after;
        if let Some(Hold { until }) = self.hold {
            if self.now < until {
                return Some(until);
            }
            // Given up as they are; the next hold begins a window later at the earliest.
            if self.now < until.after(window) {
                return None;
            }
        }
        let (n_silent, n_all) = self.count_silent();
        if n_silent < MASS || n_silent * 2 <= n_all {
            return None;
        }
        let until = self.now.after(window);
        self.hold = Some(Hold { until });
        let (n_silent, n_workers) = (n_silent as u32, n_all as u32);
        effects.push(Effect::Publish(Notice::LossesHeld { n_silent, n_workers, until }));
        Some(until)
    }

    /// Workers that are silent for too long or were lost within the last window, and all of them.
    fn count_silent(&self) -> (usize, usize) {
        let heartbeat = &self.settings.heartbeat;
        let (mut n_silent, mut n_all) = (0, 0);
        for (_, worker) in self.workers.iter() {
            let seen = worker.last_seen;
            if worker.state == WorkerState::Lost {
                let was_just_lost =
                    seen.after(heartbeat.lost_after).after(heartbeat.lost_after) > self.now;
                n_silent += usize::from(was_just_lost);
                n_all += usize::from(was_just_lost);
            } else {
                n_silent += usize::from(seen.after(heartbeat.suspect_after) <= self.now);
                n_all += 1;
            }
        }
        (n_silent, n_all)
    }

    fn lose_worker(&mut self, idx: WorkerIdx, effects: &mut Vec<Effect>) {
        self.set_worker_state(idx, WorkerState::Lost, effects);
        self.workers.change(idx).life = None;
        for id in self.workers.get(idx).holds.clone() {
            self.wait_for_its_end_there(id);
            self.end_attempt(id, Some(Failure::WorkerLost), effects);
        }
        self.reopen_waiting();
    }

    /// A lost worker may still run the script. One that must not overlap with its next attempt is
    /// stopped there when the lease ends, counted from the last sync that the worker sent: it is over
    /// by then, plus what it takes to end it and one interval for clocks and messages.
    fn wait_for_its_end_there(&mut self, id: TaskId) {
        let until = self.now.after(KILL_GRACE).after(self.settings.heartbeat.interval);
        let task = self.task_mut(id);
        if task.spec.on_disconnect == OnDisconnect::Stop {
            task.status.not_before = Some(until);
        }
    }

    /// The host itself was away (paused, asleep, starved): nobody's silence counts.
    pub(crate) fn grant_new_windows(&mut self) {
        let now = self.now;
        for slot in 0..self.workers.iter().count() {
            self.workers.get_mut(WorkerIdx(slot as u32)).last_seen = now;
        }
    }
}
