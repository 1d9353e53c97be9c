//! A whole worker against a small host that restarts, forgets and refuses.

#[path = "client/earlier_life.rs"]
mod earlier_life;
#[path = "client/host.rs"]
mod host;

use host::{FakeHost, LEASE, Said, TOKEN};
use pointsman_protocol::worker::{WireFailure, WireOnDisconnect};
use pointsman_worker::{WorkerError, WorkerOptions, run};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

struct Worker {
    stop: Option<oneshot::Sender<()>>,
    ended: JoinHandle<Result<(), WorkerError>>,
}

impl Worker {
    fn start(host: &FakeHost, data_dir: &Path, change: impl FnOnce(&mut WorkerOptions)) -> Worker {
        let mut options = WorkerOptions::new(&host.url(), "w", data_dir.to_owned());
        options.token = Some(TOKEN.to_owned());
        options.kill_grace = Duration::from_millis(200);
        change(&mut options);
        let (stop, stopped) = oneshot::channel();
        let ended = tokio::spawn(run(options, async {
            let _ = stopped.await;
        }));
        Worker { stop: Some(stop), ended }
    }

    async fn ended(mut self) -> Result<(), WorkerError> {
        drop(self.stop.take());
        let ended = tokio::time::timeout(Duration::from_secs(20), self.ended).await;
        ended.expect("it ends in time").expect("it does not panic")
    }
}

async fn pair() -> (FakeHost, Worker, tempfile::TempDir) {
    let host = FakeHost::start().await;
    let dir = tempfile::tempdir().expect("a temporary folder");
    let worker = Worker::start(&host, dir.path(), |_| {});
    host.until("a registration", |said| said.registrations.first().map(|_| ())).await;
    (host, worker, dir)
}

fn output(said: &Said, task: u64, stream: &str) -> Vec<u8> {
    said.logs.get(&(task, stream.to_owned())).cloned().unwrap_or_default()
}

/// Waits until a script has made this file.
async fn until_exists(path: &Path) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !path.exists() {
        assert!(Instant::now() < deadline, "{} is not there in time", path.display());
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn little_output_is_there_before_the_end_is_told() {
    let (host, worker, _dir) = pair().await;
    host.start_task(1, "echo out; echo err >&2; exit 3");
    host.start_task(2, "true");
    assert_eq!(host.result(1).await.failure, Some(WireFailure::ExitCode { code: 3 }));
    assert_eq!(host.result(2).await.failure, None);
    {
        let said = host.said();
        assert_eq!(said.output_at_end[&1], 4);
        assert_eq!(output(&said, 1, "stdout"), b"out\n");
        assert_eq!(output(&said, 1, "stderr"), b"err\n");
        assert!(!said.logs.contains_key(&(2, "stdout".to_owned())), "nothing is sent for nothing");
    }
    worker.ended().await.expect("an orderly end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_takes_no_output_does_not_delay_the_end_and_gets_it_later() {
    let (host, worker, _dir) = pair().await;
    host.said().refuses_output = true;
    host.start_task(1, "echo late");
    assert_eq!(host.result(1).await.failure, None);
    assert_eq!(host.said().output_at_end[&1], 0);
    host.said().refuses_output = false;
    host.until("the output", |said| (output(said, 1, "stdout") == b"late\n").then_some(())).await;
    assert_eq!(host.said().finished.len(), 1, "the result is told once");
    worker.ended().await.expect("an orderly end");
}

#[tokio::test(flavor = "multi_thread")]
async fn much_output_arrives_whole_with_a_mark_where_it_was_cut() {
    let host = FakeHost::start().await;
    let dir = tempfile::tempdir().expect("a temporary folder");
    let worker = Worker::start(&host, dir.path(), |options| options.output_cap = 1 << 20);
    host.until("a registration", |said| said.registrations.first().map(|_| ())).await;
    host.start_task(1, "seq 1 60000");
    host.start_task(2, "seq 1 600000");
    host.result(1).await;
    host.result(2).await;
    let whole: String = (1..=60_000).map(|n| format!("{n}\n")).collect();
    host.until("all of it", |said| (output(said, 1, "stdout") == whole.as_bytes()).then_some(()))
        .await;
    let cut = host
        .until("head and tail", |said| {
            let bytes = output(said, 2, "stdout");
            bytes.ends_with(b"\n599999\n600000\n").then_some(bytes)
        })
        .await;
    let text = String::from_utf8(cut).expect("text");
    assert!(text.starts_with("1\n2\n3\n"));
    assert!(text.contains("bytes left out: truncated]"), "the cut is marked");
    assert_eq!(Vec::from_iter(&host.said().truncated), [&(2, "stdout".to_owned())], "and told");
    assert!(text.len() < (1 << 20) + 100, "{} bytes", text.len());
    worker.ended().await.expect("an orderly end");
}

#[tokio::test(flavor = "multi_thread")]
async fn work_goes_on_over_a_restart_of_the_host_and_nothing_runs_twice() {
    let (mut host, worker, dir) = pair().await;
    let trace = dir.path().join("trace");
    let (go, gone) = (dir.path().join("go"), dir.path().join("gone"));
    // One ends while the host is down, one after that.
    host.start_task(1, &format!("echo 1 >> {}; touch {}", trace.display(), gone.display()));
    let wait = format!("until [ -e {} ]; do sleep 0.01; done", go.display());
    host.start_task(2, &format!("echo 2 >> {}; {wait}; echo done", trace.display()));
    host.start_task(3, &format!("{wait}; touch {}.3", gone.display()));
    host.until("three starts", |said| {
        let started = said.syncs.iter().flat_map(|it| &it.started).count();
        let n_known = started + said.finished.len();
        (n_known >= 3).then_some(())
    })
    .await;
    host.result(1).await;

    host.go_down().await;
    std::fs::write(&go, "").expect("writes");
    until_exists(&dir.path().join("gone.3")).await;
    host.said().finished.clear();
    host.come_back().await;

    assert_eq!(host.result(2).await.failure, None);
    assert_eq!(host.result(3).await.failure, None);
    host.until("the output", |said| (output(said, 2, "stdout") == b"done\n").then_some(())).await;
    let traced = std::fs::read_to_string(&trace).expect("reads");
    assert_eq!(traced.lines().count(), 2, "{traced}");
    worker.ended().await.expect("an orderly end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_forgot_is_told_what_is_held() {
    let (host, worker, _dir) = pair().await;
    host.start_task(1, "sleep 600");
    host.until("the start", |said| said.syncs.iter().flat_map(|it| &it.started).next().copied())
        .await;
    host.said().forgets = true;
    let again = host.until("a registration", |said| said.registrations.get(1).cloned()).await;
    assert_eq!(again.life, host.said().registrations[0].life);
    assert_eq!(again.held.len(), 1);
    assert!(again.held[0].running && again.held[0].attempt.0 == 1);
    host.stop_task(1);
    assert_eq!(host.result(1).await.failure, Some(WireFailure::Cancelled));
    worker.ended().await.expect("an orderly end");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_must_not_run_unseen_ends_with_the_lease() {
    let (mut host, worker, dir) = pair().await;
    let script = |name: &str| {
        let path = dir.path().join(name);
        format!(
            "trap 'touch {0}.ended; exit' TERM; touch {0}; while :; do sleep 0.01; done",
            path.display()
        )
    };
    host.start_with(1, &script("stops"), WireOnDisconnect::Stop);
    host.start_with(2, &script("stays"), WireOnDisconnect::Keep);
    until_exists(&dir.path().join("stops")).await;
    until_exists(&dir.path().join("stays")).await;
    // Only an acknowledged sync renews the lease: it is no older than this.
    let down = Instant::now();
    host.go_down().await;
    until_exists(&dir.path().join("stops.ended")).await;
    assert!(down.elapsed() + host::INTERVAL * 2 >= LEASE, "{:?}", down.elapsed());
    assert!(!dir.path().join("stays.ended").exists());
    host.come_back().await;
    assert_eq!(host.result(1).await.failure, Some(WireFailure::Preempted));
    let again = host.until("a registration", |said| said.registrations.get(1).cloned()).await;
    assert_eq!(again.held.iter().map(|it| it.attempt.0).collect::<Vec<_>>(), [2]);
    worker.ended().await.expect("an orderly end");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ending_worker_stops_its_scripts_and_says_so() {
    let (host, worker, dir) = pair().await;
    let ready = dir.path().join("ready");
    host.start_task(
        1,
        &format!(
            "trap 'echo saved; exit' TERM; touch {}; while :; do sleep 0.01; done",
            ready.display()
        ),
    );
    until_exists(&ready).await;
    worker.ended().await.expect("an orderly end");
    assert_eq!(host.result(1).await.failure, Some(WireFailure::Preempted));
    assert_eq!(output(&host.said(), 1, "stdout"), b"saved\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_worker_on_the_same_folder_is_refused() {
    let (host, worker, dir) = pair().await;
    let second = Worker::start(&host, dir.path(), |_| {});
    let error = second.ended().await.expect_err("the folder is taken");
    assert!(error.to_string().contains("in use by another worker"), "{error}");
    worker.ended().await.expect("an orderly end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_ends_the_worker_with_the_reason() {
    let host = FakeHost::start().await;
    let dir = tempfile::tempdir().expect("a temporary folder");
    let worker = Worker::start(&host, dir.path(), |options| options.token = Some("no".into()));
    let ended = tokio::time::timeout(Duration::from_secs(20), worker.ended).await;
    let error = ended.expect("it ends by itself").expect("no panic").expect_err("it is refused");
    assert!(matches!(error, WorkerError::Refused(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_execution_every_start_succeeds_at_once() {
    let host = FakeHost::start().await;
    let dir = tempfile::tempdir().expect("a temporary folder");
    let worker = Worker::start(&host, dir.path(), |options| options.no_execution = true);
    host.until("a registration", |said| said.registrations.first().map(|_| ())).await;
    (1..=1500).for_each(|task| host.start_task(task, "exit 1"));
    host.until("all ends", |said| (said.finished.len() == 1500).then_some(())).await;
    assert!(host.said().finished.iter().all(|it| it.failure.is_none()));
    worker.ended().await.expect("an orderly end");
}
