//! The agent's pure core: the attempts in its hands, what of them the host does not know yet, and
//! what its commands lead to. It reads no clock and does no input or output.

use crate::attempt::{AttemptKey, End, Outcome, StopReason};
use crate::executor::{Execution, Feedback};
use pointsman_protocol::worker::{
    Command, CommandAction, StartCommand, StopCommand, SyncRequest, WireAttempt, WireFailure,
    WireFeedback, WireFinished, WireHeld, WireMeasurements, WireOnDisconnect, WireStopReason,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What the agent wants done.
#[derive(Debug)]
pub(crate) enum Action {
    Run(Box<Execution>),
    Stop(AttemptKey, StopReason),
}

#[derive(Debug)]
pub(crate) struct Agent {
    life: u64,
    /// Commands of lower terms are refused.
    highest_term: u64,
    /// The last command that was taken.
    last_command: u64,
    next_seq: u64,
    held: BTreeMap<AttemptKey, Held>,
    /// Started, and not yet acknowledged as such.
    started: BTreeSet<AttemptKey>,
    /// Ended, and not yet acknowledged as such.
    finished: BTreeMap<AttemptKey, WireFinished>,
    /// What is stopped because the host does not count it: its end is told to nobody.
    disowned: BTreeSet<AttemptKey>,
    feedback: BTreeMap<AttemptKey, Feedback>,
    /// What the sync that is on its way says.
    in_flight: Option<InFlight>,
}

#[derive(Debug)]
struct Held {
    is_running: bool,
    stops_on_disconnect: bool,
}

#[derive(Debug)]
struct InFlight {
    seq: u64,
    started: Vec<AttemptKey>,
    finished: Vec<AttemptKey>,
}

/// Reports in one sync at most.
const MAX_REPORTS: usize = 5000;

impl Agent {
    pub fn new(life: u64) -> Agent {
        Agent {
            life,
            highest_term: 0,
            last_command: 0,
            next_seq: 1,
            held: BTreeMap::new(),
            started: BTreeSet::new(),
            finished: BTreeMap::new(),
            disowned: BTreeSet::new(),
            feedback: BTreeMap::new(),
            in_flight: None,
        }
    }

    pub fn last_command(&self) -> u64 {
        self.last_command
    }

    /// Takes commands of a host in `term`. Those of an older host, and repeated ones, do nothing.
    pub fn handle_commands(&mut self, term: u64, commands: Vec<Command>) -> Vec<Action> {
        if term < self.highest_term {
            return Vec::new();
        }
        self.highest_term = term;
        let mut actions = Vec::new();
        for command in commands {
            if command.n <= self.last_command {
                continue;
            }
            self.last_command = command.n;
            match command.action {
                CommandAction::Start(start) => actions.extend(self.start(*start)),
                CommandAction::Stop(stop) => actions.extend(self.stop(stop)),
            }
        }
        actions
    }

    fn start(&mut self, start: StartCommand) -> Option<Action> {
        let key = AttemptKey::from(start.attempt);
        if self.held.contains_key(&key) || self.finished.contains_key(&key) {
            return None;
        }
        let stops_on_disconnect = start.on_disconnect == WireOnDisconnect::Stop;
        self.held.insert(key, Held { is_running: false, stops_on_disconnect });
        Some(Action::Run(Box::new(Execution {
            key,
            task_name: start.name,
            job: start.job.to_string(),
            script: start.script,
            env: start.env,
            workdir: start.workdir,
            timeout: start.timeout_ms.map(Duration::from_millis),
            devices: start.devices,
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
            let failure = failure_of(&Outcome::Stopped(reason));
            let finished = WireFinished { attempt: key.into(), failure, ran_ms: None };
            self.finished.entry(key).or_insert(finished);
        }
        None
    }

    /// Forgets everything but that it has to be ended.
    fn disown(&mut self, key: AttemptKey) {
        self.disowned.insert(key);
        self.started.remove(&key);
        self.feedback.remove(&key);
    }

    pub fn handle_started(&mut self, key: AttemptKey) {
        if let Some(held) = self.held.get_mut(&key) {
            held.is_running = true;
            if !self.disowned.contains(&key) {
                self.started.insert(key);
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

    /// Whether the host should hear something now.
    pub fn has_news(&self) -> bool {
        !self.started.is_empty() || !self.finished.is_empty()
    }

    pub fn is_idle(&self) -> bool {
        self.held.is_empty()
    }

    /// The next sync. One at a time: `handle_synced` or `handle_sync_failed` comes before another.
    pub fn next_sync(&mut self, measurements: Option<WireMeasurements>) -> SyncRequest {
        let seq = self.next_seq;
        self.next_seq += 1;
        let finished: Vec<AttemptKey> = self.finished.keys().copied().take(MAX_REPORTS).collect();
        // The end says that it has started.
        let is_over = |key: &AttemptKey| self.finished.contains_key(key);
        let started: Vec<AttemptKey> =
            self.started.iter().copied().filter(|key| !is_over(key)).take(MAX_REPORTS).collect();
        let feedback = std::mem::take(&mut self.feedback);
        let request = SyncRequest {
            seq,
            life: self.life,
            acked_command: self.last_command,
            measurements,
            started: started.iter().map(|key| WireAttempt::from(*key)).collect(),
            finished: finished.iter().map(|key| self.finished[key].clone()).collect(),
            feedback: feedback.into_iter().map(|(key, it)| wire_feedback(key, it)).collect(),
        };
        self.in_flight = Some(InFlight { seq, started, finished });
        request
    }

    /// The host has taken the sync; `stale` attempts do not count any more.
    pub fn handle_synced(&mut self, seq: u64, term: u64, stale: &[WireAttempt]) -> Vec<Action> {
        self.highest_term = self.highest_term.max(term);
        if let Some(sent) = self.in_flight.take()
            && sent.seq == seq
        {
            for key in sent.started {
                self.started.remove(&key);
            }
            for key in sent.finished {
                self.started.remove(&key);
                self.finished.remove(&key);
            }
        }
        self.handle_stale(stale)
    }

    pub fn handle_sync_failed(&mut self) {
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

    /// What a registration lists: held attempts and results not yet acknowledged.
    pub fn in_hand(&self) -> (Vec<WireHeld>, Vec<WireFinished>) {
        let counting = self.held.iter().filter(|(key, _)| !self.disowned.contains(key));
        let held = counting
            .map(|(key, held)| WireHeld { attempt: (*key).into(), running: held.is_running });
        (held.collect(), self.finished.values().cloned().collect())
    }

    /// The host has taken the registration and all that it listed.
    pub fn handle_registered(&mut self, term: u64, stale: &[WireAttempt]) -> Vec<Action> {
        self.highest_term = self.highest_term.max(term);
        self.in_flight = None;
        self.finished.clear();
        self.started.clear();
        self.handle_stale(stale)
    }

    /// The lease has ended: what must not run unseen is stopped.
    pub fn handle_lease_ended(&self) -> Vec<Action> {
        let stops = self.held.iter().filter(|(_, held)| held.stops_on_disconnect);
        stops.map(|(key, _)| Action::Stop(*key, StopReason::LeaseEnded)).collect()
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
mod tests {
    use super::*;

    fn start(n: u64, task: u64, on_disconnect: WireOnDisconnect) -> Command {
        let start = StartCommand {
            attempt: WireAttempt(task, 1, 1),
            job: "j1".parse().unwrap(),
            name: "a".into(),
            script: "true".into(),
            env: BTreeMap::new(),
            workdir: None,
            timeout_ms: None,
            on_disconnect,
            devices: vec![],
            cpu_milli: 1000,
            memory: 1,
        };
        Command { n, action: CommandAction::Start(Box::new(start)) }
    }

    fn stop(n: u64, task: u64, why: WireStopReason) -> Command {
        let stop = StopCommand { attempt: WireAttempt(task, 1, 1), why };
        Command { n, action: CommandAction::Stop(stop) }
    }

    fn key(task: u64) -> AttemptKey {
        AttemptKey { task, number: 1, term: 1 }
    }

    fn ended(outcome: Outcome) -> End {
        End { outcome, ran: Some(Duration::from_millis(5)) }
    }

    const KEEP: WireOnDisconnect = WireOnDisconnect::Keep;

    #[test]
    fn a_repeated_start_runs_once() {
        let mut agent = Agent::new(1);
        assert_eq!(agent.handle_commands(1, vec![start(1, 7, KEEP), start(2, 8, KEEP)]).len(), 2);
        assert!(agent.handle_commands(1, vec![start(1, 7, KEEP), start(2, 8, KEEP)]).is_empty());
        agent.handle_ended(key(7), &ended(Outcome::ExitCode(0)));
        assert!(agent.handle_commands(1, vec![start(3, 7, KEEP)]).is_empty(), "it ended already");
    }

    #[test]
    fn commands_of_an_older_host_are_refused() {
        let mut agent = Agent::new(1);
        agent.handle_registered(2, &[]);
        assert!(agent.handle_commands(1, vec![start(1, 7, KEEP)]).is_empty());
        assert_eq!(agent.handle_commands(2, vec![start(1, 7, KEEP)]).len(), 1);
    }

    #[test]
    fn a_result_is_kept_until_it_was_taken() {
        let mut agent = Agent::new(1);
        agent.handle_commands(1, vec![start(1, 7, KEEP)]);
        agent.handle_started(key(7));
        let first = agent.next_sync(None);
        assert_eq!((first.started.len(), first.acked_command), (1, 1));
        agent.handle_ended(key(7), &ended(Outcome::Signal(9)));
        agent.handle_sync_failed();
        let second = agent.next_sync(None);
        assert!(second.started.is_empty(), "the end says it all");
        assert_eq!(second.finished[0].failure, Some(WireFailure::Signal { code: 9 }));
        let (held, finished) = agent.in_hand();
        assert_eq!((held.len(), finished.len()), (0, 1));
        agent.handle_synced(second.seq, 1, &[]);
        assert!(!agent.has_news());
    }

    #[test]
    fn what_ended_while_a_sync_was_on_its_way_is_not_lost() {
        let mut agent = Agent::new(1);
        agent.handle_commands(1, vec![start(1, 7, KEEP), start(2, 8, KEEP)]);
        agent.handle_ended(key(7), &ended(Outcome::ExitCode(0)));
        let sync = agent.next_sync(None);
        agent.handle_ended(key(8), &ended(Outcome::ExitCode(0)));
        agent.handle_synced(sync.seq, 1, &[]);
        assert_eq!(agent.next_sync(None).finished.len(), 1);
    }

    #[test]
    fn a_stale_attempt_is_killed_and_not_reported() {
        let mut agent = Agent::new(1);
        agent.handle_commands(1, vec![start(1, 7, KEEP)]);
        agent.handle_started(key(7));
        let sync = agent.next_sync(None);
        let actions = agent.handle_synced(sync.seq, 1, &[WireAttempt(7, 1, 1)]);
        assert!(matches!(actions.as_slice(), [Action::Stop(_, StopReason::Stale)]));
        agent.handle_ended(key(7), &ended(Outcome::Stopped(StopReason::Stale)));
        assert!(!agent.has_news() && agent.is_idle());
    }

    #[test]
    fn a_stop_of_what_never_came_is_answered() {
        let mut agent = Agent::new(1);
        assert!(agent.handle_commands(1, vec![stop(1, 7, WireStopReason::Cancelled)]).is_empty());
        assert_eq!(agent.next_sync(None).finished[0].failure, Some(WireFailure::Cancelled));
    }

    #[test]
    fn only_what_asked_for_it_stops_with_the_lease() {
        let mut agent = Agent::new(1);
        agent.handle_commands(1, vec![start(1, 7, KEEP), start(2, 8, WireOnDisconnect::Stop)]);
        let actions = agent.handle_lease_ended();
        assert!(matches!(actions.as_slice(), [Action::Stop(it, _)] if *it == key(8)));
    }
}
