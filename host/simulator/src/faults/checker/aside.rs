//! What the host is told and decides, in its own order: who is set aside, who was heard of, and which
//! waits have to be kept.

use super::Checker;
use crate::faults::invariant::Invariant;
use pointsman_scheduler::record::{Snapshot, TaskState, TaskStatus, WorkerState};
use pointsman_scheduler::{
    Answer, Effect, Event, Notice, Record, RequestId, Settings, TaskId, Term, Time, WorkerId,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// Of this life of the host.
#[derive(Default)]
pub(super) struct Aside {
    /// As the host holds them, durable or not.
    pub states: BTreeMap<TaskId, TaskState>,
    workers: BTreeMap<WorkerId, Standing>,
    pub is_paused: bool,
    began: Time,
    /// Whose words the answers belong to.
    asked: BTreeMap<RequestId, WorkerId>,
    /// The true end of each backoff, as long as this life counts the same time.
    backoffs: BTreeMap<TaskId, Time>,
}

#[derive(Debug)]
struct Standing {
    state: WorkerState,
    is_drained: bool,
    quarantined_until: Option<Time>,
    /// What the host is told now may end a quarantine early.
    may_be_cleared: bool,
    heard: Option<Time>,
}

/// Clocks are compared with this much patience.
const SLACK: Duration = Duration::from_millis(2);

impl Standing {
    fn new(state: WorkerState, is_drained: bool) -> Standing {
        let (quarantined_until, heard) = (None, None);
        Standing { state, is_drained, quarantined_until, may_be_cleared: false, heard }
    }
}

impl Aside {
    fn worker(&mut self, id: WorkerId) -> &mut Standing {
        self.workers.entry(id).or_insert_with(|| Standing::new(WorkerState::Live, false))
    }
}

impl Checker {
    /// A host begins with what it reads.
    pub fn note_start(&mut self, term: Term, snapshot: &Snapshot) {
        self.newest_term = term;
        self.aside = Aside {
            states: snapshot.tasks.iter().map(|(it, status)| (it.id, status.state)).collect(),
            workers: snapshot
                .workers
                .iter()
                .map(|it| (it.id, Standing::new(it.state, it.is_drained)))
                .collect(),
            is_paused: snapshot.queues.iter().any(|queue| queue.paused),
            began: self.now,
            ..Aside::default()
        };
    }

    /// The host is told.
    pub fn note_event(&mut self, event: &Event) {
        let aside = &mut self.aside;
        aside.workers.values_mut().for_each(|it| it.may_be_cleared = false);
        match event {
            Event::PauseQueue { paused, .. } => aside.is_paused = *paused,
            Event::DrainWorker { worker, draining, .. } => {
                let Some(standing) = aside.workers.get_mut(worker) else { return };
                standing.is_drained = *draining;
                standing.may_be_cleared |= !*draining;
            }
            Event::Sync { request, report } => {
                aside.asked.insert(*request, report.worker);
                let succeeds = report.finished.iter().any(|it| it.failure.is_none());
                aside.worker(report.worker).may_be_cleared |= succeeds;
            }
            Event::Register { .. } => {
                // Which worker it is shows with the answer.
                aside.workers.values_mut().for_each(|it| it.may_be_cleared = true);
            }
            _ => {}
        }
    }

    /// The host says that it heard of the worker.
    pub fn note_heard(&mut self, worker: WorkerId) {
        self.aside.worker(worker).heard = Some(self.now);
    }

    /// The scheduler wants something done at this time of the host.
    pub fn note_effect(&mut self, host_now: Time, effect: &Effect) {
        match effect {
            Effect::Persist(Record::Task(id, status)) => self.note_wish(*id, status, host_now),
            Effect::Persist(Record::TaskAdded(added)) => {
                self.aside.states.insert(added.id, TaskState::Pending);
            }
            Effect::Persist(Record::Worker(record)) => {
                self.aside.worker(record.id).state = record.state;
            }
            Effect::Publish(notice) => self.note_notice(notice, host_now),
            Effect::Start(start) => self.check_start(start.worker, start.attempt.task),
            Effect::Answer { request, answer: Answer::Synced { .. } } => {
                if let Some(worker) = self.aside.asked.remove(request) {
                    self.note_heard(worker);
                }
            }
            Effect::Answer { answer: Answer::Registered { worker, .. }, .. } => {
                self.note_heard(*worker);
                let (at, name) = (self.ms(), self.name_of(*worker));
                self.history.registrations.push((at, name));
            }
            Effect::Answer { .. } | Effect::Persist(_) | Effect::Stop(_) => {}
        }
    }

    fn name_of(&self, worker: WorkerId) -> String {
        self.workers.get(&worker).map_or_else(|| worker.to_string(), |it| it.name.clone())
    }

    fn note_notice(&mut self, notice: &Notice, host_now: Time) {
        let at = self.ms();
        match notice {
            Notice::WorkerState { worker, state } => {
                let began = self.aside.began;
                let standing = self.aside.worker(*worker);
                standing.state = *state;
                if *state == WorkerState::Lost {
                    let heard = standing.heard.unwrap_or(began);
                    self.history.losses.push((at, self.name_of(*worker)));
                    self.check_loss(*worker, heard);
                }
            }
            Notice::WorkerQuarantined { worker, until, .. } => {
                let standing = self.aside.worker(*worker);
                match (until, standing.quarantined_until) {
                    (Some(until), _) => {
                        standing.quarantined_until = Some(*until);
                        self.history.quarantines.push((at, self.name_of(*worker)));
                    }
                    (None, Some(until)) if host_now < until && !standing.may_be_cleared => {}
                    (None, _) => standing.quarantined_until = None,
                }
            }
            _ => {}
        }
    }

    fn check_loss(&mut self, worker: WorkerId, heard: Time) {
        self.n_lost += 1;
        let silent = self.now.since(heard);
        if silent + SLACK < Settings::default().heartbeat.lost_after {
            let text = format!("{worker} was given up {silent:?} after it was heard of");
            self.complain(Invariant::LostOnlyWhenSilent, text);
        }
    }

    fn check_start(&mut self, worker: WorkerId, task: TaskId) {
        let is_paused = self.aside.is_paused;
        let standing = self.aside.worker(worker);
        let is_well = standing.state == WorkerState::Live
            && !standing.is_drained
            && standing.quarantined_until.is_none();
        if is_paused || !is_well {
            let text = format!("{task} starts; queue paused: {is_paused}, {worker}: {standing:?}");
            self.complain(Invariant::SetAsideGetsNothing, text);
        }
    }

    fn note_wish(&mut self, id: TaskId, status: &TaskStatus, host_now: Time) {
        self.aside.states.insert(id, status.state);
        match status.state {
            TaskState::Pending => {
                let wait = status.not_before.filter(|until| *until > host_now);
                if let Some(until) = wait {
                    let until = self.now.after(until.since(host_now));
                    self.aside.backoffs.insert(id, until);
                }
            }
            TaskState::Assigned => {
                let until = self.aside.backoffs.remove(&id);
                if let Some(until) = until.filter(|until| self.now.after(SLACK) < *until) {
                    let early = until.since(self.now);
                    let text = format!("{id} is tried again {early:?} before its backoff ends");
                    self.complain(Invariant::BackoffIsKept, text);
                }
            }
            TaskState::Running
            | TaskState::Succeeded
            | TaskState::Failed
            | TaskState::Skipped
            | TaskState::Cancelled => {
                self.aside.backoffs.remove(&id);
            }
        }
    }
}
