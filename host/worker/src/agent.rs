//! The agent's pure core: the attempts in its hands, what of them the host does not know yet, what
//! its commands lead to, and the lease. It reads no clock and does no input or output.

use crate::attempt::{AttemptKey, End, Outcome, StopReason};
use crate::executor::{Execution, Feedback};
use pointsman_protocol::worker::{
    Command, CommandAction, StartCommand, StopCommand, SyncRequest, WireAttempt, WireFailure,
    WireFeedback, WireFinished, WireHeld, WireMeasurements, WireOnDisconnect, WireStopReason,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// What the agent wants done.
#[derive(Debug)]
pub enum Action {
    Run(Box<Execution>),
    Stop(AttemptKey, StopReason),
}

#[derive(Debug)]
pub struct Agent {
    life: u64,
    /// Commands of lower terms are refused.
    highest_term: u64,
    /// The last command that was taken.
    last_command: u64,
    next_seq: u64,
    n_registrations: u64,
    held: BTreeMap<AttemptKey, Held>,
    /// Started, and not yet acknowledged as such; since when.
    started: BTreeMap<AttemptKey, Instant>,
    /// Ended, and not yet acknowledged as such.
    finished: BTreeMap<AttemptKey, WireFinished>,
    /// What is stopped because the host does not count it: its end is told to nobody.
    disowned: BTreeSet<AttemptKey>,
    feedback: BTreeMap<AttemptKey, Feedback>,
    /// What the sync or registration that is on its way says.
    in_flight: Option<InFlight>,
    /// When what the host acknowledged last was sent, and for how long that holds.
    lease: Option<(Instant, Duration)>,
}

#[derive(Debug)]
struct Held {
    is_running: bool,
    /// Has to end with the lease. Cleared once that was said.
    stops_on_disconnect: bool,
}

#[derive(Debug)]
struct InFlight {
    sent: Instant,
    started: Vec<AttemptKey>,
    finished: Vec<AttemptKey>,
}

/// A host in a lower term than one seen before: an older leader, or one whose data was reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "its term {term} is below {highest}, seen before: it is not the leader any more, or its data was \
     reset; in that case restart this worker"
)]
pub struct OlderHost {
    term: u64,
    highest: u64,
}

/// Reports in one sync at most.
const MAX_REPORTS: usize = 5000;

/// A start is told after this long: a shorter script is reported once, by its end.
const START_TOLD_AFTER: Duration = Duration::from_millis(20);

impl Agent {
    pub fn new(life: u64) -> Agent {
        Agent {
            life,
            highest_term: 0,
            last_command: 0,
            next_seq: 1,
            n_registrations: 0,
            held: BTreeMap::new(),
            started: BTreeMap::new(),
            finished: BTreeMap::new(),
            disowned: BTreeSet::new(),
            feedback: BTreeMap::new(),
            in_flight: None,
            lease: None,
        }
    }

    pub fn last_command(&self) -> u64 {
        self.last_command
    }

    /// Takes commands of a host in `term`. Repeated ones do nothing. What may have waited for long,
    /// while this process was frozen, does not start what must not run unseen: the host may have
    /// given it to another worker since.
    ///
    /// # Errors
    /// Nothing is taken from an older host.
    pub fn handle_commands(
        &mut self,
        now: Instant,
        term: u64,
        commands: Vec<Command>,
    ) -> Result<Vec<Action>, OlderHost> {
        self.check_term(term)?;
        let mut actions = Vec::new();
        for command in commands {
            if command.n <= self.last_command {
                continue;
            }
            self.last_command = command.n;
            match command.action {
                CommandAction::Start(start) => actions.extend(self.start(now, *start)),
                CommandAction::Stop(stop) => actions.extend(self.stop(stop)),
            }
        }
        Ok(actions)
    }

    fn check_term(&mut self, term: u64) -> Result<(), OlderHost> {
        if term < self.highest_term {
            return Err(OlderHost { term, highest: self.highest_term });
        }
        self.highest_term = term;
        Ok(())
    }

    fn start(&mut self, now: Instant, start: StartCommand) -> Option<Action> {
        let key = AttemptKey::from(start.attempt);
        if self.held.contains_key(&key) || self.finished.contains_key(&key) {
            return None;
        }
        let stops_on_disconnect = start.on_disconnect == WireOnDisconnect::Stop;
        if stops_on_disconnect && self.has_lease_ended(now) {
            self.finish_unstarted(key, StopReason::LeaseEnded);
            return None;
        }
        self.held.insert(key, Held { is_running: false, stops_on_disconnect });
        Some(Action::Run(Box::new(Execution {
            key,
            task_name: start.name,
            job: start.job.to_string(),
            script: start.script,
            env: start.env,
            workdir: start.workdir,
            timeout: start.timeout_ms.map(Duration::from_millis),
            cpu_milli: start.cpu_milli,
            memory: start.memory,
            devices: start.devices,
            traceparent: start.traceparent,
        })))
    }

    fn stop(&mut self, stop: StopCommand) -> Option<Action> {
        let key = AttemptKey::from(stop.attempt);
        let reason = StopReason::from(stop.why);
        if self.held.contains_key(&key) {
            if reason == StopReason::Stale {
                self.disown(key);
            }
            return Some(Action::Stop(key, reason));
        }
        // Its start never came: the host waits for an end all the same.
        if reason != StopReason::Stale {
            self.finish_unstarted(key, reason);
        }
        None
    }

    /// Tells the host that an attempt ended before it began.
    fn finish_unstarted(&mut self, key: AttemptKey, reason: StopReason) {
        let failure = failure_of(&Outcome::Stopped(reason));
        let finished = WireFinished { attempt: key.into(), failure, ran_ms: None };
        self.finished.entry(key).or_insert(finished);
    }

    /// Forgets everything but that it has to be ended.
    fn disown(&mut self, key: AttemptKey) {
        self.disowned.insert(key);
        self.started.remove(&key);
        self.feedback.remove(&key);
    }

    pub fn handle_started(&mut self, now: Instant, key: AttemptKey) {
        if let Some(held) = self.held.get_mut(&key) {
            held.is_running = true;
            if !self.disowned.contains(&key) {
                self.started.insert(key, now);
            }
        }
    }

    pub fn handle_ended(&mut self, key: AttemptKey, end: &End) {
        self.held.remove(&key);
        self.feedback.remove(&key);
        if self.disowned.remove(&key) {
            return;
        }
        let ran_ms = end.ran.map(|ran| u64::try_from(ran.as_millis()).unwrap_or(u64::MAX));
        let failure = failure_of(&end.outcome);
        self.finished.insert(key, WireFinished { attempt: key.into(), failure, ran_ms });
    }

    pub fn handle_feedback(&mut self, feedback: Vec<(AttemptKey, Feedback)>) {
        let counts = |(key, _): &(AttemptKey, Feedback)| {
            self.held.contains_key(key) && !self.disowned.contains(key)
        };
        let counting: Vec<_> = feedback.into_iter().filter(counts).collect();
        self.feedback.extend(counting);
    }

    /// When the host should hear something; a time in the past: now. None: nothing happened.
    pub fn news_due(&self) -> Option<Instant> {
        if !self.finished.is_empty() {
            return self.lease.map(|(leased_from, _)| leased_from);
        }
        self.started.values().min().map(|started| *started + START_TOLD_AFTER)
    }

    /// Whether nothing runs here.
    pub fn is_idle(&self) -> bool {
        self.held.is_empty()
    }

    /// Whether the host has taken every result.
    pub fn is_told(&self) -> bool {
        self.finished.is_empty()
    }

    /// The next sync, sent `now`. One at a time: [`Agent::handle_synced`] or
    /// [`Agent::handle_call_failed`] comes before another.
    pub fn next_sync(
        &mut self,
        now: Instant,
        measurements: Option<WireMeasurements>,
    ) -> SyncRequest {
        assert!(self.in_flight.is_none(), "one call to the host at a time");
        let seq = self.next_seq;
        self.next_seq += 1;
        let finished: Vec<AttemptKey> = self.finished.keys().copied().take(MAX_REPORTS).collect();
        // The end says that it has started.
        let is_running = |key: &AttemptKey| !self.finished.contains_key(key);
        let started: Vec<AttemptKey> =
            self.started.keys().copied().filter(is_running).take(MAX_REPORTS).collect();
        let feedback = std::mem::take(&mut self.feedback);
        let request = SyncRequest {
            seq,
            life: self.life,
            acked_command: self.last_command,
            measurements,
            limits: None,
            started: started.iter().map(|key| WireAttempt::from(*key)).collect(),
            finished: finished.iter().map(|key| self.finished[key].clone()).collect(),
            feedback: feedback.into_iter().map(|(key, it)| wire_feedback(key, it)).collect(),
        };
        self.in_flight = Some(InFlight { sent: now, started, finished });
        request
    }

    /// The host has taken the sync, which renews the lease; `stale` attempts do not count any more.
    ///
    /// # Errors
    /// What an older host takes is not taken.
    pub fn handle_synced(
        &mut self,
        term: u64,
        lease: Duration,
        stale: &[WireAttempt],
    ) -> Result<Vec<Action>, OlderHost> {
        let sent = self.in_flight.take().expect("only what was sent is answered");
        self.check_term(term)?;
        self.lease = Some((sent.sent, lease));
        for key in sent.started {
            self.started.remove(&key);
        }
        for key in sent.finished {
            self.started.remove(&key);
            self.finished.remove(&key);
        }
        Ok(self.handle_stale(stale))
    }

    /// The sync or registration may or may not have arrived: all of it is said again.
    pub fn handle_call_failed(&mut self) {
        self.in_flight = None;
    }

    fn handle_stale(&mut self, stale: &[WireAttempt]) -> Vec<Action> {
        let mut actions = Vec::new();
        for key in stale.iter().map(|attempt| AttemptKey::from(*attempt)) {
            self.finished.remove(&key);
            if self.held.contains_key(&key) {
                self.disown(key);
                actions.push(Action::Stop(key, StopReason::Stale));
            }
        }
        actions
    }

    /// A registration's number and what it lists, sent `now`: held attempts and results not yet
    /// acknowledged.
    pub fn next_registration(&mut self, now: Instant) -> (u64, Vec<WireHeld>, Vec<WireFinished>) {
        assert!(self.in_flight.is_none(), "one call to the host at a time");
        self.n_registrations += 1;
        let counting = self.held.iter().filter(|(key, _)| !self.disowned.contains(key));
        let held = counting
            .map(|(key, held)| WireHeld { attempt: (*key).into(), running: held.is_running });
        self.in_flight = Some(InFlight {
            sent: now,
            started: self.started.keys().copied().collect(),
            finished: self.finished.keys().copied().collect(),
        });
        (self.n_registrations, held.collect(), self.finished.values().cloned().collect())
    }

    /// The host has taken the registration and all that it listed.
    ///
    /// # Errors
    /// What an older host takes is not taken.
    pub fn handle_registered(
        &mut self,
        term: u64,
        lease: Duration,
        stale: &[WireAttempt],
    ) -> Result<Vec<Action>, OlderHost> {
        self.handle_synced(term, lease, stale)
    }

    /// When something has to be stopped unless the host acknowledges a sync before.
    pub fn lease_ends(&self) -> Option<Instant> {
        let (leased_from, lease) = self.lease?;
        self.held.values().any(|held| held.stops_on_disconnect).then_some(leased_from + lease)
    }

    fn has_lease_ended(&self, now: Instant) -> bool {
        self.lease.is_none_or(|(leased_from, lease)| now >= leased_from + lease)
    }

    /// Stops what must not run unseen, if the lease has ended.
    pub fn handle_time(&mut self, now: Instant) -> Vec<Action> {
        if self.lease_ends().is_none_or(|end| now < end) {
            return Vec::new();
        }
        let stops = self.held.iter_mut().filter(|(_, held)| held.stops_on_disconnect);
        let stop = |(key, held): (&AttemptKey, &mut Held)| {
            held.stops_on_disconnect = false;
            Action::Stop(*key, StopReason::LeaseEnded)
        };
        stops.map(stop).collect()
    }

    /// The agent itself ends.
    pub fn handle_shutdown(&self) -> Vec<Action> {
        self.held.keys().map(|key| Action::Stop(*key, StopReason::Shutdown)).collect()
    }
}

impl From<WireAttempt> for AttemptKey {
    fn from(WireAttempt(task, number, term): WireAttempt) -> AttemptKey {
        AttemptKey { task, number, term }
    }
}

impl From<AttemptKey> for WireAttempt {
    fn from(key: AttemptKey) -> WireAttempt {
        WireAttempt(key.task, key.number, key.term)
    }
}

impl From<WireStopReason> for StopReason {
    fn from(reason: WireStopReason) -> StopReason {
        match reason {
            WireStopReason::Cancelled => StopReason::Cancelled,
            WireStopReason::Migrated => StopReason::Migrated,
            WireStopReason::Preempted => StopReason::Preempted,
            WireStopReason::Stale => StopReason::Stale,
        }
    }
}

/// None: it succeeded.
fn failure_of(outcome: &Outcome) -> Option<WireFailure> {
    Some(match outcome {
        Outcome::ExitCode(0) => return None,
        Outcome::ExitCode(code) => WireFailure::ExitCode { code: *code },
        Outcome::Signal(code) => WireFailure::Signal { code: *code },
        Outcome::Timeout => WireFailure::Timeout,
        Outcome::OutOfMemory => WireFailure::OutOfMemory,
        Outcome::StartFailed(message) => WireFailure::StartFailed { message: message.clone() },
        Outcome::Stopped(reason) => match reason {
            StopReason::Cancelled | StopReason::Stale => WireFailure::Cancelled,
            StopReason::Migrated => WireFailure::Migrated,
            StopReason::Preempted | StopReason::LeaseEnded | StopReason::Shutdown => {
                WireFailure::Preempted
            }
        },
    })
}

fn wire_feedback(key: AttemptKey, feedback: Feedback) -> WireFeedback {
    WireFeedback {
        attempt: key.into(),
        phase: feedback.phase,
        progress: feedback.progress,
        duration_ms: u64::try_from(feedback.duration.as_millis()).unwrap_or(u64::MAX),
        cpu_usage: feedback.cpu_usage,
        memory_mb: feedback.memory_mb,
    }
}

#[cfg(test)]
mod tests;
