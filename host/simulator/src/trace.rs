//! A fingerprint of everything the scheduler wanted done, and when: equal runs have equal ones.
//!
//! What each task's course consists of is taken number by number, since that is most of all effects;
//! the rest is taken as its debug text.

use pointsman_scheduler::record::{Attempt, Decision, PolicyStamp, Record, TaskAdded, TaskStatus};
use pointsman_scheduler::resources::{Devices, Request};
use pointsman_scheduler::spec::TaskSpec;
use pointsman_scheduler::{Answer, AttemptRef, Effect, JobId, Start, TaskId, Time, WorkerId};
use std::fmt::Write;

#[derive(Debug)]
pub(crate) struct Trace {
    hash: u64,
}

/// The multiplier of FxHash.
const MULTIPLIER: u64 = 0xf135_7aea_2e62_a9c5;
/// Not the number of any time that is there.
const NONE: u64 = u64::MAX;

impl Trace {
    pub fn new() -> Trace {
        Trace { hash: 0xcbf2_9ce4_8422_2325 }
    }

    pub fn hash(&self) -> u64 {
        self.hash
    }

    pub fn note(&mut self, now: Time, effect: &Effect) {
        self.number(now.0);
        match effect {
            Effect::Persist(Record::Task(id, status)) => {
                self.numbers([1, id.0]);
                self.status(status);
            }
            Effect::Persist(Record::TaskAdded(added)) => {
                self.number(2);
                self.added(added);
            }
            Effect::Start(start) => {
                self.number(3);
                self.start(start);
            }
            Effect::Answer { request, answer: Answer::Synced { stale } } => {
                self.numbers([4, request.0, stale.len() as u64]);
                stale.iter().for_each(|attempt| self.attempt_ref(attempt));
            }
            Effect::Answer { .. } | Effect::Persist(_) | Effect::Publish(_) | Effect::Stop(_) => {
                self.number(5);
                self.debug(effect);
            }
        }
    }

    fn number(&mut self, number: u64) {
        self.hash = (self.hash.rotate_left(26) ^ number).wrapping_mul(MULTIPLIER);
    }

    fn numbers<const N: usize>(&mut self, numbers: [u64; N]) {
        numbers.into_iter().for_each(|number| self.number(number));
    }

    fn time(&mut self, time: Option<Time>) {
        self.number(time.map_or(NONE, |time| time.0));
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        for chunk in text.as_bytes().chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.number(u64::from_le_bytes(word));
        }
    }

    fn debug(&mut self, value: &impl std::fmt::Debug) {
        write!(self, "{value:?}").expect("hashing does not fail");
    }

    /// Nothing that is there may cost time: most fields are empty most of the time.
    fn debug_unless(&mut self, is_empty: bool, value: &impl std::fmt::Debug) {
        self.number(u64::from(!is_empty));
        if !is_empty {
            self.debug(value);
        }
    }

    fn attempt_ref(&mut self, attempt: &AttemptRef) {
        let AttemptRef { task: TaskId(task), attempt, term } = *attempt;
        self.numbers([task, u64::from(attempt), term.0]);
    }

    fn status(&mut self, status: &TaskStatus) {
        let TaskStatus {
            state,
            cancel_requested,
            attempts,
            next_attempt,
            retries_used,
            losses_used,
            not_before,
            ready_since,
            ended,
            end_reason,
            raised_priority,
        } = status;
        self.numbers([*state as u64, u64::from(*cancel_requested)]);
        self.numbers([next_attempt, retries_used, losses_used].map(|it| u64::from(*it)));
        self.time(*not_before);
        self.time(*ready_since);
        self.time(*ended);
        self.debug_unless(end_reason.is_none(), end_reason);
        self.number(raised_priority.map_or(NONE, |it| u64::from(it.cast_unsigned())));
        self.number(attempts.len() as u64);
        attempts.iter().for_each(|attempt| self.attempt(attempt));
    }

    fn attempt(&mut self, attempt: &Attempt) {
        let Attempt { number, term, worker, devices, assigned, started, ended, outcome, decision } =
            attempt;
        self.numbers([u64::from(*number), term.0, u64::from(worker.0), assigned.0]);
        self.devices(devices);
        self.time(*started);
        self.time(*ended);
        self.debug_unless(outcome.is_none(), outcome);
        let Decision { scoring, queue, score, second } = decision;
        for PolicyStamp { generation, digest } in [scoring, queue] {
            self.numbers([u64::from(*generation), *digest]);
        }
        let (worker, second) = second.unwrap_or((WorkerId(0), f64::NAN));
        self.numbers([score.to_bits(), u64::from(worker.0), second.to_bits()]);
    }

    fn devices(&mut self, devices: &Devices) {
        let Devices { indexes, milli_each } = devices;
        self.numbers([u64::from(*milli_each), indexes.len() as u64]);
        indexes.iter().for_each(|index| self.number(u64::from(*index)));
    }

    fn added(&mut self, added: &TaskAdded) {
        let TaskAdded { id, job: JobId(job), submitted, spec, dependencies } = added;
        self.numbers([id.0, *job, submitted.0, dependencies.len() as u64]);
        dependencies.iter().for_each(|id| self.number(id.0));
        self.spec(spec);
    }

    /// What is started is what was added under the same id.
    fn start(&mut self, start: &Start) {
        let Start { worker, attempt, job, spec, devices } = start;
        self.numbers([u64::from(worker.0), job.0]);
        self.attempt_ref(attempt);
        self.text(&spec.name);
        self.devices(devices);
    }

    fn spec(&mut self, spec: &TaskSpec) {
        let TaskSpec {
            name,
            script,
            request: Request { cpu_milli, memory, gpu_milli },
            resources_text,
            dependencies,
            queue,
            tenant,
            priority,
            timeout,
            max_retries,
            max_worker_losses,
            expected,
            labels,
            requires,
            env,
            workdir,
            on_disconnect,
            trace: _,
        } = spec;
        for text in [&**name, script, resources_text, queue, tenant] {
            self.text(text);
        }
        self.number(dependencies.len() as u64);
        dependencies.iter().for_each(|name| self.text(name));
        self.numbers([*cpu_milli, *memory, u64::from(*gpu_milli)]);
        self.numbers([u64::from(priority.cast_unsigned()), *on_disconnect as u64]);
        for budget in [max_retries, max_worker_losses] {
            self.number(budget.map_or(NONE, u64::from));
        }
        for time in [timeout, expected] {
            self.number(time.map_or(NONE, |time| time.as_nanos() as u64));
        }
        for map in [labels, requires, env] {
            self.debug_unless(map.is_empty(), map);
        }
        self.debug_unless(workdir.is_none(), workdir);
    }
}

impl Write for Trace {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.text(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pointsman_scheduler::Term;
    use pointsman_scheduler::record::{Failure, Outcome, TaskState};

    fn hash(status: &TaskStatus) -> u64 {
        let mut trace = Trace::new();
        trace.note(Time::ZERO, &Effect::Persist(Record::Task(TaskId(1), status.clone())));
        trace.hash()
    }

    fn attempt() -> Attempt {
        Attempt {
            number: 1,
            term: Term(1),
            worker: WorkerId(1),
            devices: Devices::default(),
            assigned: Time::ZERO,
            started: None,
            ended: None,
            outcome: None,
            decision: Decision::default(),
        }
    }

    #[test]
    fn no_field_of_a_course_is_left_out() {
        let plain = TaskStatus { attempts: vec![attempt()], ..TaskStatus::default() };
        let changes: [fn(&mut TaskStatus); 14] = [
            |it| it.state = TaskState::Running,
            |it| it.cancel_requested = true,
            |it| it.next_attempt = 1,
            |it| it.losses_used = 1,
            |it| it.not_before = Some(Time::ZERO),
            |it| it.ready_since = Some(Time::ZERO),
            |it| {
                it.end_reason =
                    Some(Box::new(pointsman_scheduler::record::EndReason::CancelledByRequest))
            },
            |it| it.raised_priority = Some(0),
            |it| it.attempts.clear(),
            |it| it.attempts[0].started = Some(Time::ZERO),
            |it| it.attempts[0].outcome = Some(Outcome::Succeeded),
            |it| it.attempts[0].outcome = Some(Outcome::Failed(Failure::Timeout)),
            |it| it.attempts[0].decision.score = -0.0,
            |it| it.attempts[0].devices.indexes.push(0),
        ];
        let mut seen = vec![hash(&plain)];
        for change in changes {
            let mut status = plain.clone();
            change(&mut status);
            let hash = hash(&status);
            assert!(!seen.contains(&hash), "{status:?}");
            seen.push(hash);
        }
    }
}
