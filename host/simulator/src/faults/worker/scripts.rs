//! What an agent runs: spans of time instead of processes.

use super::{Around, SimWorker, WorkerDue};
use crate::faults::agenda::What;
use crate::faults::sabotage::Sabotage;
use crate::faults::script::Script;
use pointsman_scheduler::{KILL_GRACE, Time};
use pointsman_worker::agent::Action;
use pointsman_worker::{AttemptKey, End, Outcome, StopReason};
use std::time::Duration;

pub(super) struct Running {
    script: Script,
    timeout: Option<Duration>,
    /// When the agent was told to run it.
    taken: Time,
    started: Option<Time>,
    n_ends: u32,
    /// What the end that counts will be.
    outcome: Outcome,
}

/// What watches over a worker starts it again after this long.
const RESTARTS_AFTER: Duration = Duration::from_secs(1);

impl SimWorker {
    pub(super) fn act(&mut self, around: &mut Around<'_>, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Run(execution) => {
                    let key = execution.key;
                    let now = around.agenda.now;
                    let has_just_slept = self.clock.has_just_stood(now);
                    around.checker.note_run(key, &self.name, has_just_slept);
                    if around.sabotages(Sabotage::AgentRunsTwice, 0.02) {
                        around.checker.note_run(key, &self.name, has_just_slept);
                    }
                    let (script, outcome) = match self.is_broken {
                        true => (Script::broken(), Script::broken_outcome()),
                        false => {
                            let script = Script::read(&execution.script, key);
                            (script, script.outcome())
                        }
                    };
                    let (timeout, taken) = (execution.timeout, now);
                    let running =
                        Running { script, timeout, taken, started: None, n_ends: 0, outcome };
                    self.process_mut().scripts.insert(key, running);
                    let wait = around.agenda.around(Duration::from_millis(3));
                    self.later(around.agenda, wait, WorkerDue::ScriptStarts(key));
                }
                Action::Stop(key, reason) => self.stop_script(around, key, reason),
            }
        }
    }

    pub(super) fn script_starts(&mut self, around: &mut Around<'_>, key: AttemptKey) {
        let now = around.agenda.now;
        let instant = self.instant(now);
        let process = self.process_mut();
        let Some(running) = process.scripts.get_mut(&key) else { return };
        running.started = Some(now);
        process.agent.handle_started(instant, key);
        let running = &mut process.scripts.get_mut(&key).expect("looked up just before");
        if running.n_ends > 0 {
            // It is being stopped already.
            return;
        }
        let mut lasts = running.script.lasts();
        let mut timeout = running.timeout;
        if around.sabotage == Some(Sabotage::TimeoutCountsTheWait) {
            let waited = now.since(running.taken).saturating_mul(1000);
            timeout = timeout.map(|it| it.saturating_sub(waited));
        }
        if let Some(timeout) = timeout.filter(|timeout| *timeout < lasts) {
            lasts = timeout;
            running.outcome = Outcome::Timeout;
        }
        running.n_ends += 1;
        let due = WorkerDue::ScriptEnds(key, running.n_ends);
        self.later(around.agenda, lasts, due);
    }

    fn stop_script(&mut self, around: &mut Around<'_>, key: AttemptKey, reason: StopReason) {
        let takes = if around.agenda.chance(0.8) {
            around.agenda.around(Duration::from_millis(5)).min(KILL_GRACE)
        } else {
            KILL_GRACE
        };
        let Some(running) = self.process_mut().scripts.get_mut(&key) else { return };
        if matches!(running.outcome, Outcome::Stopped(_)) {
            return;
        }
        running.outcome = Outcome::Stopped(reason);
        running.n_ends += 1;
        let due = WorkerDue::ScriptEnds(key, running.n_ends);
        self.later(around.agenda, takes, due);
    }

    pub(super) fn script_ends(&mut self, around: &mut Around<'_>, key: AttemptKey, n: u32) {
        let now = around.agenda.now;
        let process = self.process_mut();
        if process.scripts.get(&key).is_none_or(|running| running.n_ends != n) {
            return;
        }
        let running = process.scripts.remove(&key).expect("looked up just before");
        let is_own_end = !matches!(running.outcome, Outcome::Stopped(_));
        if running.script.kills_worker && is_own_end {
            around.checker.note_gone(key);
            self.crash(now, around.checker);
            let due = What::Worker { worker: self.index, life: 0, due: WorkerDue::Restart };
            around.agenda.after(RESTARTS_AFTER, due);
            return;
        }
        let ran = running.started.map(|started| now.since(started));
        around.checker.note_ended(key, &running.outcome, ran, running.timeout);
        let process = self.process_mut();
        process.agent.handle_ended(key, &End { outcome: running.outcome, ran });
    }
}
