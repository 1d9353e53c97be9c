//! Bugs planted between the scheduler and what is around it. Without one, everything passes as it is.

use super::life::{Item, Up};
use crate::faults::policies::unstamped;
use crate::faults::sabotage::Sabotage;
use crate::faults::worker::Around;
use pointsman_scheduler::event::{FinishedAttempt, SyncReport};
use pointsman_scheduler::record::{Failure, JobState, Outcome, TaskState};
use pointsman_scheduler::spec::JobSpec;
use pointsman_scheduler::{Answer, Event, Notice, Record, RequestId, Start, WorkerId};
use std::sync::Arc;
use std::time::Duration;

/// Nobody waits for its answer.
const NO_REQUEST: RequestId = RequestId(0);
const LEAP: Duration = Duration::from_secs(4);

impl Up {
    /// What the scheduler is told instead of the event.
    pub(super) fn alter_event(&mut self, around: &mut Around<'_>, event: Event) -> Vec<Event> {
        let Some(sabotage) = around.sabotage else { return vec![event] };
        match (sabotage, event) {
            (Sabotage::DependenciesAreForgotten, Event::SubmitJob { request, key, job }) => {
                vec![Event::SubmitJob { request, key, job: without_dependencies(&job) }]
            }
            (Sabotage::KeysAreIgnored, Event::SubmitJob { request, job, .. }) => {
                vec![Event::SubmitJob { request, key: None, job }]
            }
            (Sabotage::DrainsAreIgnored, Event::DrainWorker { request, draining: true, .. }) => {
                self.answer_without(request, Answer::WorkerDraining)
            }
            (Sabotage::PausesAreIgnored, Event::PauseQueue { request, paused: true, .. }) => {
                self.answer_without(request, Answer::QueuePaused)
            }
            (Sabotage::CancelsAreIgnored, Event::CancelTask { request, .. }) => {
                let answer = Answer::Cancelled { state: TaskState::Cancelled, stopping: false };
                self.answer_without(request, answer)
            }
            (Sabotage::CapacityIsDoubled, Event::Register { request, mut registration }) => {
                registration.capacity.cpu_milli *= 2;
                vec![Event::Register { request, registration }]
            }
            (Sabotage::CapacityLeaks, Event::Register { request, mut registration }) => {
                if registration.n > 1 {
                    registration.capacity.cpu_milli -= 100;
                }
                vec![Event::Register { request, registration }]
            }
            (Sabotage::SyncsAreSwallowed, Event::Sync { request, report })
                if report.worker == WorkerId(1) =>
            {
                around.checker.note_heard(report.worker);
                self.answer_without(request, Answer::Synced { stale: Vec::new() })
            }
            (Sabotage::FencesAreIgnored, Event::Sync { request, report }) => {
                let others = self.misattributed(around, &report);
                std::iter::once(Event::Sync { request, report }).chain(others).collect()
            }
            (_, event) => vec![event],
        }
    }

    /// Answers, and tells the scheduler nothing.
    fn answer_without(&mut self, request: RequestId, answer: Answer) -> Vec<Event> {
        if let Some(reply) = self.replies.remove(&request) {
            self.items.push(Item::Answer(reply, answer));
        }
        Vec::new()
    }

    /// Results of older attempts, as if they were those of the current ones.
    fn misattributed(&self, around: &Around<'_>, report: &SyncReport) -> Vec<Event> {
        let mut events = Vec::new();
        for finished in &report.finished {
            let Some((worker, attempt)) = around.checker.current_attempt(finished.attempt.task)
            else {
                continue;
            };
            let Some(life) = self.outboxes.life(worker) else { continue };
            if attempt != finished.attempt {
                let finished = vec![FinishedAttempt { attempt, ..finished.clone() }];
                let report = SyncReport {
                    worker,
                    life,
                    measurements: None,
                    started: Vec::new(),
                    finished,
                    feedback: Vec::new(),
                };
                events.push(Event::Sync { request: NO_REQUEST, report });
            }
        }
        events
    }

    /// What is written instead of the record.
    pub(super) fn alter_record(&self, around: &mut Around<'_>, record: Record) -> Option<Record> {
        let Some(sabotage) = around.sabotage else { return Some(record) };
        let (id, mut status) = match (sabotage, record) {
            (Sabotage::JobStatesAreGuessed, Record::Job(mut job)) if job.ended.is_some() => {
                job.state = JobState::Succeeded;
                return Some(Record::Job(job));
            }
            (_, Record::Task(id, status)) => (id, status),
            (_, other) => return Some(other),
        };
        let last = status.attempts.last_mut();
        match sabotage {
            Sabotage::CancelIsForgotten if status.state == TaskState::Cancelled => return None,
            Sabotage::DependentsAreForgotten if status.state == TaskState::Skipped => return None,
            Sabotage::EndsLoseTheirReason => status.end_reason = None,
            Sabotage::RetriesAreForgotten => status.retries_used = 0,
            Sabotage::MigrationsAreCharged => {
                let moved = Some(Outcome::Failed(Failure::Migrated));
                if last.is_some_and(|it| it.outcome == moved) {
                    status.retries_used += 1;
                }
            }
            Sabotage::StampsAreLost => {
                if let Some(attempt) = last {
                    attempt.decision.scoring = unstamped();
                }
            }
            Sabotage::AttemptsAreNumberedAnew if around.agenda.chance(0.2) => {
                status.next_attempt = status.next_attempt.saturating_sub(1).max(1);
            }
            Sabotage::StartsAreAnticipated if status.state == TaskState::Assigned => {
                status.state = TaskState::Running;
            }
            Sabotage::LossesCountAsSuccess => {
                let lost = Some(Outcome::Failed(Failure::WorkerLost));
                if let Some(attempt) = last.filter(|it| it.outcome == lost) {
                    attempt.outcome = Some(Outcome::Succeeded);
                }
            }
            _ => {}
        }
        Some(Record::Task(id, status))
    }

    pub(super) fn alter_start(&self, around: &mut Around<'_>, mut start: Start) -> Option<Start> {
        if around.sabotages(Sabotage::StartsAreDropped, 0.05) {
            return None;
        }
        if around.sabotages(Sabotage::StartsGoAstray, 0.05) {
            start.worker = WorkerId(start.worker.0 % 2 + 1);
        }
        Some(start)
    }

    /// Ends each quarantine as soon as it began, which nobody asked for.
    pub(super) fn abuse_notice(&mut self, around: &mut Around<'_>, notice: &Notice) {
        if let Notice::WorkerQuarantined { worker, until: Some(_), .. } = notice
            && around.sabotage == Some(Sabotage::QuarantinesAreIgnored)
        {
            let (request, worker) = (NO_REQUEST, *worker);
            self.handle(around, Event::DrainWorker { request, worker, draining: false });
        }
    }

    /// Time leaps ahead now and then, so that every backoff seems to be over.
    pub(super) fn alter_clock(&mut self, around: &mut Around<'_>) {
        if around.sabotages(Sabotage::BackoffIsCutShort, 0.05) {
            self.ahead += LEAP;
        }
    }
}

fn without_dependencies(job: &JobSpec) -> JobSpec {
    let mut job = job.clone();
    for task in &mut job.tasks {
        Arc::make_mut(task).dependencies.clear();
    }
    job
}
