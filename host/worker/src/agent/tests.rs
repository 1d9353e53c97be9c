//! What reports, commands and the lease lead to.

use super::*;

const KEEP: WireOnDisconnect = WireOnDisconnect::Keep;
const STOP: WireOnDisconnect = WireOnDisconnect::Stop;
const LEASE: Duration = Duration::from_secs(15);
const NO_ACTIONS: [Shown; 0] = [];

/// An action, comparable.
#[derive(Debug, PartialEq)]
enum Shown {
    Run(u64),
    Stop(u64, StopReason),
}

use Shown::{Run, Stop};

fn shown(actions: Result<Vec<Action>, OlderHost>) -> Vec<Shown> {
    let show = |action| match action {
        Action::Run(execution) => Run(execution.key.task),
        Action::Stop(key, reason) => Stop(key.task, reason),
    };
    actions.expect("the host is no older one").into_iter().map(show).collect()
}

/// A registered agent, and the time.
fn registered() -> (Agent, Instant) {
    let (mut agent, now) = (Agent::new(1), Instant::now());
    agent.next_registration(now);
    assert_eq!(shown(agent.handle_registered(1, LEASE, &[])), NO_ACTIONS);
    (agent, now)
}

fn running(tasks: &[u64]) -> (Agent, Instant) {
    let (mut agent, now) = registered();
    for task in tasks {
        assert_eq!(
            shown(agent.handle_commands(now, 1, vec![start(*task, *task, KEEP)])),
            [Run(*task)]
        );
        agent.handle_started(now, key(*task));
    }
    (agent, now)
}

fn start(n: u64, task: u64, on_disconnect: WireOnDisconnect) -> Command {
    let start = StartCommand {
        attempt: WireAttempt(task, 1, 1),
        job: "j1".parse().expect("an id"),
        name: "a".into(),
        script: "true".into(),
        env: BTreeMap::new(),
        workdir: None,
        timeout_ms: None,
        on_disconnect,
        devices: vec![],
        cpu_milli: 1000,
        memory: 1,
        traceparent: None,
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

fn succeeded() -> End {
    ended(Outcome::ExitCode(0))
}

#[test]
fn a_repeated_start_runs_once() {
    let (mut agent, now) = registered();
    let commands = || vec![start(1, 7, KEEP), start(2, 8, KEEP)];
    assert_eq!(shown(agent.handle_commands(now, 1, commands())), [Run(7), Run(8)]);
    assert_eq!(shown(agent.handle_commands(now, 1, commands())), NO_ACTIONS);
    assert_eq!(
        shown(agent.handle_commands(now, 1, vec![start(3, 8, KEEP)])),
        NO_ACTIONS,
        "it runs"
    );
    agent.handle_ended(key(7), &succeeded());
    assert_eq!(
        shown(agent.handle_commands(now, 1, vec![start(4, 7, KEEP)])),
        NO_ACTIONS,
        "it ended"
    );
}

#[test]
fn nothing_is_taken_from_an_older_host() {
    let (mut agent, now) = running(&[7]);
    agent.next_registration(now);
    agent.handle_registered(2, LEASE, &[]).expect("a newer host");
    assert!(agent.handle_commands(now, 1, vec![start(9, 9, KEEP)]).is_err());
    agent.handle_ended(key(7), &succeeded());
    agent.next_sync(now, None);
    assert!(agent.handle_synced(1, LEASE, &[]).is_err());
    assert_eq!(agent.next_sync(now, None).finished.len(), 1, "the result is kept for the leader");
    agent.handle_call_failed();
    assert_eq!(shown(agent.handle_commands(now, 2, vec![start(9, 9, KEEP)])), [Run(9)]);
}

#[test]
fn a_result_is_kept_until_it_was_taken() {
    let (mut agent, now) = running(&[7]);
    let first = agent.next_sync(now, None);
    assert_eq!((first.started.len(), first.acked_command), (1, 7));
    agent.handle_ended(key(7), &ended(Outcome::Signal(9)));
    agent.handle_call_failed();
    let second = agent.next_sync(now, None);
    assert!(second.started.is_empty(), "the end says it all");
    assert_eq!(second.finished[0].failure, Some(WireFailure::Signal { code: 9 }));
    agent.handle_call_failed();
    let (_, held, finished) = agent.next_registration(now);
    assert_eq!((held.len(), finished.len()), (0, 1));
    agent.handle_call_failed();
    agent.next_sync(now, None);
    assert_eq!(shown(agent.handle_synced(1, LEASE, &[])), NO_ACTIONS);
    assert!(agent.is_told() && agent.news_due().is_none());
}

#[test]
fn what_happens_while_a_call_is_on_its_way_is_not_lost() {
    type Call = fn(&mut Agent, Instant);
    let calls: [Call; 2] = [
        |agent, now| drop(agent.next_sync(now, None)),
        |agent, now| drop(agent.next_registration(now)),
    ];
    for call in calls {
        let (mut agent, now) = running(&[7, 8]);
        agent.handle_ended(key(7), &succeeded());
        call(&mut agent, now);
        agent.handle_ended(key(8), &succeeded());
        shown(agent.handle_commands(now, 1, vec![start(9, 9, KEEP)]));
        agent.handle_started(now, key(9));
        assert_eq!(shown(agent.handle_synced(1, LEASE, &[])), NO_ACTIONS);
        let next = agent.next_sync(now, None);
        assert_eq!(next.finished.iter().map(|it| it.attempt.0).collect::<Vec<_>>(), [8]);
        assert_eq!(next.started, [WireAttempt(9, 1, 1)]);
    }
}

#[test]
fn a_short_script_is_not_reported_twice() {
    let (mut agent, now) = running(&[7]);
    assert_eq!(agent.news_due(), Some(now + START_TOLD_AFTER));
    agent.handle_ended(key(7), &succeeded());
    assert!(agent.news_due().expect("an end") <= now);
    let sync = agent.next_sync(now, None);
    assert_eq!((sync.started.len(), sync.finished.len()), (0, 1));
}

#[test]
fn a_registration_lists_what_is_held() {
    let (mut agent, now) = running(&[7, 8]);
    shown(agent.handle_commands(now, 1, vec![start(9, 9, KEEP)]));
    agent.handle_ended(key(8), &succeeded());
    let (_, held, finished) = agent.next_registration(now);
    let held: Vec<_> = held.iter().map(|it| (it.attempt.0, it.running)).collect();
    assert_eq!(held, [(7, true), (9, false)]);
    assert_eq!(finished[0].attempt, WireAttempt(8, 1, 1));
}

#[test]
fn a_stale_attempt_is_killed_and_not_reported() {
    let (mut agent, now) = running(&[7]);
    agent.next_sync(now, None);
    let actions = agent.handle_synced(1, LEASE, &[WireAttempt(7, 1, 1)]);
    assert_eq!(shown(actions), [Stop(7, StopReason::Stale)]);
    assert_eq!(agent.next_registration(now).1, [], "it is not listed while it ends");
    agent.handle_ended(key(7), &ended(Outcome::Stopped(StopReason::Stale)));
    assert!(agent.news_due().is_none() && agent.is_idle());
}

#[test]
fn each_stop_is_reported_as_what_it_was() {
    let check = |why: WireStopReason, reason: StopReason, failure: Option<WireFailure>| {
        let (mut agent, now) = running(&[7]);
        assert_eq!(shown(agent.handle_commands(now, 1, vec![stop(8, 7, why)])), [Stop(7, reason)]);
        agent.handle_ended(key(7), &ended(Outcome::Stopped(reason)));
        let told = agent.next_sync(now, None).finished.into_iter().next();
        assert_eq!(told.and_then(|it| it.failure), failure, "{why:?}");
    };
    use WireFailure::{Cancelled, Migrated, Preempted};
    check(WireStopReason::Cancelled, StopReason::Cancelled, Some(Cancelled));
    check(WireStopReason::Migrated, StopReason::Migrated, Some(Migrated));
    check(WireStopReason::Preempted, StopReason::Preempted, Some(Preempted));
    check(WireStopReason::Stale, StopReason::Stale, None);
}

#[test]
fn a_stop_of_what_never_came_is_answered() {
    let (mut agent, now) = registered();
    let actions = agent.handle_commands(now, 1, vec![stop(1, 7, WireStopReason::Cancelled)]);
    assert_eq!(shown(actions), NO_ACTIONS);
    assert_eq!(agent.next_sync(now, None).finished[0].failure, Some(WireFailure::Cancelled));
    agent.handle_call_failed();
    let actions = agent.handle_commands(now, 1, vec![start(2, 7, KEEP)]);
    assert_eq!(shown(actions), NO_ACTIONS, "its start comes too late");
}

#[test]
fn a_stop_does_not_undo_a_result() {
    let (mut agent, now) = running(&[7]);
    agent.handle_ended(key(7), &succeeded());
    shown(agent.handle_commands(now, 1, vec![stop(8, 7, WireStopReason::Cancelled)]));
    assert_eq!(agent.next_sync(now, None).finished[0].failure, None);
}

#[test]
fn only_what_asked_for_it_stops_with_the_lease_and_once() {
    let (mut agent, now) = registered();
    shown(agent.handle_commands(now, 1, vec![start(1, 7, KEEP)]));
    assert_eq!(agent.lease_ends(), None);
    shown(agent.handle_commands(now, 1, vec![start(2, 8, STOP)]));
    assert_eq!(agent.lease_ends(), Some(now + LEASE));

    // Counted from sending what was acknowledged, not from the answer.
    let sent = now + Duration::from_secs(4);
    agent.next_sync(sent, None);
    shown(agent.handle_synced(1, LEASE, &[]));
    // What was not acknowledged renews nothing.
    agent.next_sync(sent + Duration::from_secs(5), None);
    agent.handle_call_failed();
    let end = sent + LEASE;
    assert_eq!(agent.lease_ends(), Some(end));
    assert_eq!(shown(Ok(agent.handle_time(end - Duration::from_millis(1)))), NO_ACTIONS);
    assert_eq!(shown(Ok(agent.handle_time(end))), [Stop(8, StopReason::LeaseEnded)]);
    assert_eq!(shown(Ok(agent.handle_time(end))), NO_ACTIONS);
    agent.handle_ended(key(8), &ended(Outcome::Stopped(StopReason::LeaseEnded)));
    assert_eq!(agent.next_sync(end, None).finished[0].failure, Some(WireFailure::Preempted));
}

#[test]
fn feedback_of_what_does_not_run_here_is_not_told() {
    let (mut agent, now) = running(&[7]);
    let feedback = || Feedback { progress: Some(0.5), ..Feedback::default() };
    agent.handle_feedback(vec![(key(7), feedback()), (key(8), feedback())]);
    let told = agent.next_sync(now, None).feedback;
    assert_eq!(told.iter().map(|it| it.attempt.0).collect::<Vec<_>>(), [7]);
}

#[test]
fn a_start_that_waited_longer_than_the_lease_runs_nothing_that_must_not_run_unseen() {
    let (mut agent, sent) = registered();
    let now = sent + LEASE;
    let commands = vec![start(1, 7, STOP), start(2, 8, KEEP)];
    assert_eq!(shown(agent.handle_commands(now, 1, commands)), [Run(8)]);
    let told = agent.next_sync(now, None);
    let finished: Vec<_> = told.finished.iter().map(|it| (it.attempt.0, &it.failure)).collect();
    assert_eq!(finished, [(7, &Some(WireFailure::Preempted))], "the host does not wait for it");
    agent.handle_synced(1, LEASE, &[]).expect("the same host");
    assert_eq!(shown(agent.handle_commands(now, 1, vec![start(3, 9, STOP)])), [Run(9)]);
}
