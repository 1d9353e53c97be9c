//! Workers come, report, drain and return.

use crate::effect::{Answer, Effect, Notice, Refusal, Stop, StopReason};
use crate::event::{Registration, SyncReport};
use crate::history::History;
use crate::ids::{AttemptRef, RequestId, TaskId, WorkerId};
use crate::record::{Failure, Record, WorkerRecord, WorkerState};
use crate::scheduler::Scheduler;
use crate::worker::{Predicted, Worker, WorkerIdx};
use rustc_hash::FxHashSet;

impl Scheduler {
    pub(crate) fn handle_register(
        &mut self,
        request: RequestId,
        registration: Registration,
        effects: &mut Vec<Effect>,
    ) {
        let answer = match self.register(registration, effects) {
            Ok(answer) => answer,
            Err(refusal) => Answer::Refused(refusal),
        };
        effects.push(Effect::Answer { request, answer });
    }

    fn register(
        &mut self,
        registration: Registration,
        effects: &mut Vec<Effect>,
    ) -> Result<Answer, Refusal> {
        let known = self.workers.find_token(&registration.token_hash);
        let is_taken = |(idx, worker): (WorkerIdx, &Worker)| {
            worker.record.name == registration.name
                && worker.state != WorkerState::Lost
                && Some(idx) != known
        };
        if self.workers.iter().any(is_taken) {
            return Err(Refusal::WorkerNameTaken { name: registration.name });
        }
        let is_old = |idx: WorkerIdx| {
            let last = self.workers.get(idx).registered;
            last.is_some_and(|(life, n)| life == registration.life && n >= registration.n)
        };
        if known.is_some_and(is_old) {
            return Err(Refusal::OldRegistration);
        }
        let idx = match known {
            Some(idx) => {
                self.take_back(idx, &registration, effects);
                idx
            }
            None => self.add_worker(&registration),
        };
        let least_dispatched = self.workers.least_dispatched();
        let now = self.now;
        let worker = self.workers.change(idx);
        worker.life = Some(registration.life);
        worker.registered = Some((registration.life, registration.n));
        // Whatever was measured before, there is a gap now.
        worker.history = History::default();
        worker.predicted = Predicted::default();
        worker.last_seen = now;
        worker.dispatched = worker.dispatched.max(least_dispatched);
        let state = match worker.record.is_drained {
            true => WorkerState::Draining,
            false => WorkerState::Live,
        };
        (worker.state, worker.record.state) = (state, state);
        let (id, record) = (worker.record.id, worker.record.clone());
        effects.push(Effect::Persist(Record::Worker(record)));
        self.workers.touched.insert(idx);
        // Whether a request can ever fit may have changed for every class.
        self.reopen_waiting();
        self.arm_check(idx);
        let stale = self.adopt(idx, &registration, effects);
        Ok(Answer::Registered { worker: id, stale })
    }

    fn add_worker(&mut self, registration: &Registration) -> WorkerIdx {
        let record = WorkerRecord {
            id: WorkerId(self.workers.last_id + 1),
            name: registration.name.clone(),
            token_hash: registration.token_hash,
            incarnation: 1,
            capacity: registration.capacity,
            labels: registration.labels.clone(),
            state: WorkerState::Live,
            is_drained: false,
        };
        self.workers.add(Worker::new(record, self.now))
    }

    /// A worker that is known shows its token again. What it does not hold any more has ended with
    /// its earlier life, or never reached it.
    fn take_back(
        &mut self,
        idx: WorkerIdx,
        registration: &Registration,
        effects: &mut Vec<Effect>,
    ) {
        let in_hand: FxHashSet<AttemptRef> = registration
            .held
            .iter()
            .map(|held| held.attempt)
            .chain(registration.finished.iter().map(|finished| finished.attempt))
            .collect();
        for id in self.workers.get(idx).holds.clone() {
            let attempt = self.task(id).status.current().expect("held attempts are current");
            let attempt = attempt.reference(id);
            if !in_hand.contains(&attempt) {
                let worker = self.workers.get(idx).record.id;
                // Should the start still be on its way, this comes right behind it.
                effects.push(Effect::Stop(Stop { worker, attempt, why: StopReason::Stale }));
                self.end_attempt(id, Some(Failure::WorkerLost), effects);
            }
        }
        let is_new_life = self.workers.get(idx).life.is_some_and(|it| it != registration.life);
        if is_new_life {
            self.clear_quarantine(idx, effects);
        }
        let capacity_changed = self.workers.get(idx).record.capacity != registration.capacity;
        let worker = self.workers.change(idx);
        let old = worker.record.clone();
        let record = WorkerRecord {
            incarnation: old.incarnation + u32::from(is_new_life),
            name: registration.name.clone(),
            capacity: registration.capacity,
            labels: registration.labels.clone(),
            ..old
        };
        if !capacity_changed {
            worker.record = record;
            return;
        }
        let holds = std::mem::take(&mut worker.holds);
        let mut renewed = Worker::new(record, self.now);
        renewed.version = worker.version;
        renewed.dispatched = worker.dispatched;
        *worker = renewed;
        self.hold_again(idx, holds, effects);
    }

    /// Reserves what the attempts hold on a worker whose capacity was set anew. Those for which it
    /// is too small now are sent back.
    fn hold_again(
        &mut self,
        idx: WorkerIdx,
        holds: std::collections::BTreeSet<TaskId>,
        effects: &mut Vec<Effect>,
    ) {
        for id in holds {
            let task = self.task(id);
            let attempt = task.status.current().expect("held attempts are current");
            let (request, devices) = (task.spec.request, attempt.devices.clone());
            let reference = attempt.reference(id);
            let worker = self.workers.change(idx);
            if worker.free.take_exactly(&request, &devices) {
                worker.holds.insert(id);
                continue;
            }
            let stop =
                Stop { worker: worker.record.id, attempt: reference, why: StopReason::Preempted };
            effects.push(Effect::Stop(stop));
            self.end_attempt(id, Some(Failure::Preempted), effects);
        }
    }

    /// Takes over what the worker holds and matches the records; answers what does not.
    fn adopt(
        &mut self,
        idx: WorkerIdx,
        registration: &Registration,
        effects: &mut Vec<Effect>,
    ) -> Vec<AttemptRef> {
        let worker = self.workers.get(idx).record.id;
        let mut stale = Vec::new();
        for held in &registration.held {
            if !self.is_held_by(held.attempt, worker) {
                stale.push(held.attempt);
            } else if held.running {
                self.note_started(held.attempt.task, effects);
            }
        }
        for finished in &registration.finished {
            if self.is_held_by(finished.attempt, worker) {
                self.note_finished(finished, effects);
            } else {
                stale.push(finished.attempt);
            }
        }
        self.tell_stops_again(idx, effects);
        stale
    }

    /// Stop commands may have been lost with an earlier life of host or worker.
    fn tell_stops_again(&mut self, idx: WorkerIdx, effects: &mut Vec<Effect>) {
        for id in self.workers.get(idx).holds.clone() {
            if self.task(id).status.cancel_requested {
                self.stop(id, StopReason::Cancelled, effects);
            }
        }
    }

    fn is_held_by(&self, attempt: AttemptRef, worker: WorkerId) -> bool {
        self.is_current(attempt)
            && self.task(attempt.task).status.current().is_some_and(|it| it.worker == worker)
    }

    pub(crate) fn handle_sync(
        &mut self,
        request: RequestId,
        report: SyncReport,
        effects: &mut Vec<Effect>,
    ) {
        let answer = match self.sync(report, effects) {
            Ok(answer) => answer,
            Err(refusal) => Answer::Refused(refusal),
        };
        effects.push(Effect::Answer { request, answer });
    }

    fn sync(&mut self, report: SyncReport, effects: &mut Vec<Effect>) -> Result<Answer, Refusal> {
        let unknown = Refusal::UnknownWorker(report.worker);
        let Some(idx) = self.workers.find(report.worker) else { return Err(unknown) };
        let worker = self.workers.get(idx);
        match worker.life {
            // After a start of the host, or once lost, it has to say what it holds.
            None => return Err(unknown),
            Some(_) if worker.state == WorkerState::Lost => return Err(unknown),
            Some(life) if life != report.life => return Err(Refusal::OldLife),
            Some(_) => {}
        }
        self.note_seen(idx, effects);
        if let Some(measurements) = report.measurements {
            let now = self.now;
            self.workers.change(idx).measure(now, measurements);
            let worker = report.worker;
            effects.push(Effect::Publish(Notice::WorkerMeasured { worker, measurements }));
        }
        let mut stale = Vec::new();
        for attempt in report.started {
            if self.is_held_by(attempt, report.worker) {
                self.note_started(attempt.task, effects);
            } else {
                self.note_stale(report.worker, attempt, &mut stale, effects);
            }
        }
        for (attempt, feedback) in report.feedback {
            if self.is_held_by(attempt, report.worker) {
                self.task_mut(attempt.task).feedback = Some(Box::new(feedback.clone()));
                effects.push(Effect::Publish(Notice::Feedback { attempt, feedback }));
            } else {
                self.note_stale(report.worker, attempt, &mut stale, effects);
            }
        }
        for finished in &report.finished {
            if self.is_held_by(finished.attempt, report.worker) {
                self.note_finished(finished, effects);
            } else {
                self.note_stale(report.worker, finished.attempt, &mut stale, effects);
            }
        }
        Ok(Answer::Synced { stale })
    }

    fn note_stale(
        &self,
        worker: WorkerId,
        attempt: AttemptRef,
        stale: &mut Vec<AttemptRef>,
        effects: &mut Vec<Effect>,
    ) {
        stale.push(attempt);
        effects.push(Effect::Publish(Notice::StaleReport { worker, attempt }));
    }

    fn note_seen(&mut self, idx: WorkerIdx, effects: &mut Vec<Effect>) {
        let now = self.now;
        let worker = self.workers.get_mut(idx);
        worker.last_seen = now;
        if worker.state == WorkerState::Suspect {
            self.set_worker_state(idx, WorkerState::Live, effects);
        }
    }

    pub(crate) fn set_worker_state(
        &mut self,
        idx: WorkerIdx,
        state: WorkerState,
        effects: &mut Vec<Effect>,
    ) {
        let worker = self.workers.change(idx);
        worker.state = state;
        let id = worker.record.id;
        // "Suspect" is volatile: a restarted host judges by itself.
        if state != WorkerState::Suspect && worker.record.state != state {
            worker.record.state = state;
            let record = worker.record.clone();
            effects.push(Effect::Persist(Record::Worker(record)));
        }
        self.workers.touched.insert(idx);
        effects.push(Effect::Publish(Notice::WorkerState { worker: id, state }));
    }

    /// Holds beyond the worker's loss and return: who takes a machine out of service restarts it, too.
    fn set_drained(&mut self, idx: WorkerIdx, is_drained: bool, effects: &mut Vec<Effect>) {
        let worker = self.workers.change(idx);
        if worker.record.is_drained == is_drained {
            return;
        }
        worker.record.is_drained = is_drained;
        let state = match (worker.state, is_drained) {
            (WorkerState::Lost, _) => WorkerState::Lost,
            (WorkerState::Live | WorkerState::Suspect | WorkerState::Draining, true) => {
                WorkerState::Draining
            }
            (WorkerState::Live | WorkerState::Suspect | WorkerState::Draining, false) => {
                WorkerState::Live
            }
        };
        worker.record.state = state;
        effects.push(Effect::Persist(Record::Worker(worker.record.clone())));
        if worker.state != state {
            self.set_worker_state(idx, state, effects);
        }
    }

    pub(crate) fn handle_drain(
        &mut self,
        request: RequestId,
        id: WorkerId,
        draining: bool,
        effects: &mut Vec<Effect>,
    ) {
        let answer = match self.workers.find(id) {
            None => Answer::Refused(Refusal::UnknownWorker(id)),
            Some(idx) => {
                self.set_drained(idx, draining, effects);
                if !draining {
                    self.clear_quarantine(idx, effects);
                }
                Answer::WorkerDraining
            }
        };
        effects.push(Effect::Answer { request, answer });
    }
}
