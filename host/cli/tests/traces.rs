//! Traces, as a receiver gets them: from real processes, of which some are killed.

mod lives;

use axum::body::Bytes;
use axum::extract::State;
use lives::{Lives, Process};
use nix::sys::signal::Signal;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::sync::watch;

const PATIENCE: Duration = Duration::from_secs(120);
const TIMES: &str = "[heartbeat]\ninterval = \"200ms\"\nsuspect_after = \"1s\"\nlost_after = \"3s\"\n\
                     [retry.backoff]\nbase = \"1ms\"\ncap = \"1ms\"\n";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// Takes OTLP over HTTP.
struct Receiver {
    address: String,
    spans: watch::Receiver<Vec<Span>>,
}

impl Receiver {
    async fn start() -> Receiver {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (sender, spans) = watch::channel(Vec::new());
        let take = async |State(sender): State<watch::Sender<Vec<Span>>>, body: Bytes| {
            let request = ExportTraceServiceRequest::decode(body).expect("OTLP");
            let scopes = request.resource_spans.into_iter().flat_map(|it| it.scope_spans);
            sender.send_modify(|spans| spans.extend(scopes.flat_map(|scope| scope.spans)));
        };
        let routes = axum::Router::new().route("/v1/traces", axum::routing::post(take));
        let serving = axum::serve(listener, routes.with_state(sender));
        tokio::spawn(async move { serving.await.expect("it serves") });
        Receiver { address, spans }
    }

    fn telemetry(&self) -> String {
        format!("[telemetry]\ntraces = {:?}\n{TIMES}", self.address)
    }

    /// Waits until there is such a span; all there are.
    async fn until(&mut self, what: impl Fn(&Span) -> bool) -> Vec<Span> {
        let found = self.spans.wait_for(|spans| spans.iter().any(&what));
        tokio::time::timeout(PATIENCE, found).await.expect("in time").unwrap().clone()
    }
}

fn text(span: &Span, name: &str) -> Option<String> {
    let name = format!("pointsman.{name}");
    let value = span.attributes.iter().find(|it| it.key == name)?.value.as_ref()?.value.as_ref()?;
    Some(match value {
        Any::StringValue(text) => text.clone(),
        Any::IntValue(number) => number.to_string(),
        Any::DoubleValue(number) => number.to_string(),
        other => panic!("{name}: {other:?}"),
    })
}

fn is(span: &Span, name: &str, task: &str, attempt: &str) -> bool {
    let of_attempt = text(span, "attempt").unwrap_or_default();
    span.name == name
        && text(span, "task.name").is_some_and(|it| it == task)
        && of_attempt == attempt
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Asks again until there is an answer.
async fn until<T>(site: &Lives, what: &str, ask: impl AsyncFn() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "not in time: {what}\n{}", site.logs());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn submit(site: &Lives, body: &Value, traceparent: Option<&str>) -> Value {
    until(site, "the submission is taken", async || {
        let mut request = site.http.post(format!("{}/v1/jobs", site.base)).json(body);
        if let Some(traceparent) = traceparent {
            request = request.header("traceparent", traceparent);
        }
        let response = request.send().await.ok()?;
        let status = response.status();
        let answer: Value = response.json().await.unwrap();
        assert!(status.is_success(), "{answer}");
        Some(answer)
    })
    .await
}

async fn task(site: &Lives, id: &str) -> Option<Value> {
    let response = site.http.get(format!("{}/v1/tasks/{id}", site.base)).send().await.ok()?;
    response.json().await.ok()
}

async fn until_state(site: &Lives, id: &str, state: &str) -> Value {
    until(site, state, async || task(site, id).await.filter(|task| task["state"] == state)).await
}

fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Tasks a (fails once), b (loses its worker, and its host) and c, one after the other.
fn job(folder: &Path) -> Value {
    let at = |name: &str| folder.join(name).display().to_string();
    let note = |name: &str| format!("echo \"$TRACEPARENT\" >> {}", at(name));
    let a = format!("{}; test -e {1} || {{ touch {1}; exit 3; }}", note("a.trace"), at("tried"));
    let b = format!("{}; test $POINTSMAN_ATTEMPT = 2 || exec sleep 600", note("b.trace"));
    json!({"name": "traced", "tasks": [
        {"task_name": "a", "script": a},
        {"task_name": "b", "script": b, "dependencies": ["a"]},
        {"task_name": "c", "script": note("c.trace"), "dependencies": ["b"]},
    ]})
}

/// Kills the host and, once another runs, the worker that b runs on.
async fn strike(site: &Lives, b: &str, host: &mut Process, workers: &mut BTreeMap<&str, Process>) {
    host.signal(Signal::SIGKILL);
    host.0.wait().unwrap();
    *host = site.host_with(&[("POINTSMAN_LOG_FORMAT", "json")]);
    let running = until_state(site, b, "RUNNING").await;
    let worker = running["worker_name"].as_str().unwrap();
    workers.remove(worker).expect("one of ours").signal(Signal::SIGKILL);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_tree_arrives_though_a_task_fails_a_worker_and_the_host_are_killed() {
    let mut receiver = Receiver::start().await;
    let site = Lives::new(&receiver.telemetry());
    let mut host = site.host_with(&[("POINTSMAN_LOG_FORMAT", "json")]);
    let mut workers: BTreeMap<&str, Process> =
        ["w1", "w2"].map(|name| (name, site.worker(name, "1"))).into();
    let header = format!("00-{TRACE}-{PARENT}-01");
    let submitted = submit(&site, &job(site.folder()), Some(&header)).await;
    let id = |index: usize| submitted["tasks"][index]["id"].as_str().unwrap().to_owned();
    until_state(&site, &id(1), "RUNNING").await;
    // What is not handed over yet goes with the host.
    receiver.until(|span| is(span, "decision", "b", "1")).await;
    receiver.until(|span| is(span, "task", "a", "")).await;
    strike(&site, &id(1), &mut host, &mut workers).await;
    let last = until_state(&site, &id(2), "SUCCEEDED").await;
    assert_eq!(last["trace_id"], TRACE);
    let spans = receiver.until(|span| span.name == "job").await;

    assert!(spans.iter().all(|span| hex(&span.trace_id) == TRACE));
    let ids: BTreeSet<String> = spans.iter().map(|span| hex(&span.span_id)).collect();
    assert_eq!(ids.len(), spans.len(), "each span comes once");
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    spans.iter().for_each(|span| *names.entry(&span.name).or_default() += 1);
    let expected = [("attempt", 5), ("decision", 5), ("job", 1), ("submit", 1), ("task", 3)];
    assert_eq!(names, expected.into());
    check_tree(&spans);
    check_attempts(&spans);
    for (name, n_attempts) in [("a", 2), ("b", 2), ("c", 1)] {
        let seen = lines(&site.folder().join(name).with_extension("trace"));
        let expected = (1..=n_attempts).map(|attempt: usize| {
            let attempt = attempt.to_string();
            let span = spans.iter().find(|span| is(span, "attempt", name, &attempt)).unwrap();
            format!("00-{TRACE}-{}-01", hex(&span.span_id))
        });
        assert_eq!(seen, expected.collect::<Vec<String>>(), "what the scripts of {name} saw");
    }
    check_logs(&site, &spans);
}

/// Each span lies below its parent, also in time.
fn check_tree(spans: &[Span]) {
    let parents = [("job", "submit"), ("task", "job"), ("decision", "task"), ("attempt", "task")];
    for span in spans {
        let parent = hex(&span.parent_span_id);
        let Some((_, expected)) = parents.iter().find(|(name, _)| *name == span.name) else {
            assert_eq!(parent, PARENT, "the submitter's");
            continue;
        };
        let above = spans.iter().find(|it| hex(&it.span_id) == parent).expect("it is there");
        assert_eq!(above.name, *expected);
        if above.name == "submit" {
            continue;
        }
        assert!(above.start_time_unix_nano <= span.start_time_unix_nano, "{}", span.name);
        assert!(span.end_time_unix_nano <= above.end_time_unix_nano, "{}", span.name);
        if above.name == "task" {
            assert_eq!(text(above, "task.name"), text(span, "task.name"));
        }
    }
}

fn check_attempts(spans: &[Span]) {
    let outcomes = [
        ("a", "1", "exit_code"),
        ("a", "2", "succeeded"),
        ("b", "1", "worker_lost"),
        ("b", "2", "succeeded"),
        ("c", "1", "succeeded"),
    ];
    for (task, attempt, outcome) in outcomes {
        let find = |name: &str, attempt: &str| spans.iter().find(|it| is(it, name, task, attempt));
        let span = find("attempt", attempt).expect("the attempt");
        assert_eq!(text(span, "outcome").as_deref(), Some(outcome), "{task} {attempt}");
        let linked: Vec<String> = span.links.iter().map(|link| hex(&link.span_id)).collect();
        let before = find("attempt", "1").filter(|_| attempt == "2");
        let expected: Vec<String> = before.map(|span| hex(&span.span_id)).into_iter().collect();
        assert_eq!(linked, expected, "{task} {attempt}");
        let decision = find("decision", attempt).expect("the decision");
        assert_eq!(decision.end_time_unix_nano, span.start_time_unix_nano);
        assert_eq!(text(decision, "worker.id"), text(span, "worker.id"));
        for name in ["policy.scoring.generation", "policy.queue.digest", "score", "score.cpu"] {
            assert!(text(decision, name).is_some(), "{task} {attempt}: {name} of {decision:?}");
        }
    }
}

/// A search by the trace's id finds what the log tells of it, and where it stands in the tree.
fn check_logs(site: &Lives, spans: &[Span]) {
    let lines = lines(&site.folder().join("host.log"));
    let of_trace = lines.iter().filter(|line| line.contains(TRACE));
    let told = of_trace.map(|line| serde_json::from_str::<Value>(line).expect("a line is JSON"));
    let told: Vec<Value> = told.collect();
    for line in &told {
        assert_eq!(line["trace_id"], TRACE);
        let id = line["span_id"].as_str().unwrap();
        assert!(spans.iter().any(|span| hex(&span.span_id) == id), "{line}");
    }
    let lost = told.iter().find(|line| line["outcome"] == "worker_lost").expect("it is told");
    assert_eq!((&lost["name"], &lost["attempt"]), (&json!("b"), &json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_traces_the_context_still_reaches_the_script_and_a_bad_one_is_ignored() {
    let site = Lives::new(TIMES);
    let _host = site.host();
    let _worker = site.worker("w1", "1");
    let seen = site.folder().join("seen");
    let script = format!("echo \"${{TRACEPARENT-none}}\" >> {}", seen.display());
    let mut expected = Vec::new();
    for (name, header, trace) in [
        ("good", Some(format!("00-{TRACE}-{PARENT}-00")), Some(TRACE)),
        ("bad", Some("00-nonsense".to_owned()), None),
        ("none", None, None),
    ] {
        let body = json!({"task_name": name, "script": script});
        let submitted = submit(&site, &body, header.as_deref()).await;
        let id = submitted["tasks"][0]["id"].as_str().unwrap().to_owned();
        let task = until_state(&site, &id, "SUCCEEDED").await;
        assert_eq!(task["trace_id"].as_str(), trace, "{name}");
        expected.push(trace.map_or("none".to_owned(), |trace| format!("00-{trace}-")));
        let last = lines(&seen).pop().unwrap();
        assert!(last.starts_with(expected.last().unwrap()), "{name}: {last}");
        assert!(trace.is_none() || last.ends_with("-00"), "not sampled: {last}");
    }
    let mut run = tokio::process::Command::new(env!("CARGO_BIN_EXE_pointsman"));
    let run = run.args(["run", "--host", &site.base, "echo $TRACEPARENT"]);
    let output = run.env("TRACEPARENT", format!("00-{TRACE}-{PARENT}-01")).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains(&format!("00-{TRACE}-")), "a command goes on with its own: {output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_task_lies_below_its_own_submission() {
    let mut receiver = Receiver::start().await;
    let site = Lives::new(&receiver.telemetry());
    let _host = site.host();
    let _worker = site.worker("w1", "1");
    for name in ["one", "two"] {
        let body = json!({"task_name": name, "script": "true"});
        submit(&site, &body, Some("bad")).await;
        receiver.until(|span| is(span, "task", name, "")).await;
    }
    let spans = receiver.until(|span| is(span, "attempt", "two", "1")).await;
    let named = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<&Span>>();
    assert!(named("job").is_empty(), "single tasks have none");
    let (tasks, submits) = (named("task"), named("submit"));
    assert_eq!((tasks.len(), submits.len()), (2, 2));
    assert_ne!(tasks[0].trace_id, tasks[1].trace_id, "each begins a trace");
    for task in tasks {
        let above = submits.iter().find(|it| it.span_id == task.parent_span_id);
        let above = above.expect("its own submission");
        assert_eq!(above.trace_id, task.trace_id);
        assert!(above.parent_span_id.is_empty(), "the trace begins there");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_down_costs_nothing_but_its_spans() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let site = Lives::new(&format!("[telemetry]\ntraces = \"http://{closed}\"\n{TIMES}"));
    let _host = site.host();
    let _worker = site.worker("w1", "8");
    let tasks: Vec<Value> = (0..300)
        .map(|index| {
            json!({"task_name": format!("t{index}"), "script": "true",
                            "resources": {"cpu": 0.1, "memory": "1MB"}})
        })
        .collect();
    let submitted = submit(&site, &json!({"name": "many", "tasks": tasks}), None).await;
    let job = submitted["job"].as_str().unwrap();
    let url = format!("{}/v1/jobs/{job}", site.base);
    let ended = until(&site, "the job ends", async || {
        let view: Value = site.http.get(&url).send().await.ok()?.json().await.ok()?;
        view["ended"].is_string().then_some(view)
    });
    assert_eq!(ended.await["counts"]["succeeded"], 300);
    let failed = until(&site, "the failures are counted", async || {
        let page = site.http.get(format!("{}/metrics", site.base)).send().await.ok()?;
        let page = page.text().await.ok()?;
        let count = |outcome: &str| -> Option<u64> {
            let name = format!("pointsman_spans_total{{outcome=\"{outcome}\"}} ");
            page.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok())
        };
        assert_eq!(count("exported"), Some(0));
        // submit, job, and three of each task
        (count("failed")? + count("dropped")? == 902).then_some(count("failed")?)
    });
    assert!(failed.await > 0);
    let log = std::fs::read_to_string(site.folder().join("host.log")).unwrap();
    assert_eq!(log.matches("traces are not taken").count(), 1, "told once");
}
