//! The document that the host gives of its API is true: what a real host answers is as described.

use jsonschema::Validator;
use pointsman_protocol::submission::{Submission, TASK_KEYS};
use pointsman_tests::site::{Crew, Site};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A client that looks up every answer in the document.
struct Reader {
    site: Site,
    document: Value,
    http: reqwest::Client,
    seen: BTreeSet<(String, u16)>,
}

impl Reader {
    async fn start() -> Reader {
        let site = Site::start_with("[retry]\nmax_retries = 0\n[queues.other]\n").await;
        let page = reqwest::get(site.url("/v1/openapi.json")).await.expect("the host answers");
        let mut document: Value = page.json().await.expect("a document");
        // Keys that are not described are not overlooked.
        close(&mut document["components"]["schemas"]);
        Reader { site, document, http: reqwest::Client::new(), seen: BTreeSet::new() }
    }

    /// Sends a request for the operation of this name, and compares the answer.
    async fn ask(&mut self, id: &str, path: &str, body: Option<Value>) -> Value {
        let (template, method, operation) = self.operation(id);
        let method = reqwest::Method::from_bytes(method.to_uppercase().as_bytes()).expect("known");
        assert!(is_of(path, &template), "{path} is not of {template}");
        let request = self.http.request(method, self.site.url(path));
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let response = request.send().await.expect("the host answers");
        let status = response.status().as_u16();
        let described = &operation["responses"][status.to_string()];
        assert!(described.is_object(), "{id} answers {status}, which is not described");
        let media =
            response.headers().get("content-type").map(|it| it.to_str().unwrap().to_owned());
        let bytes = response.bytes().await.expect("a body");
        self.seen.insert((id.to_owned(), status));
        let Some(media) = media else {
            assert!(bytes.is_empty() && described.get("content").is_none(), "{id} {status}");
            return Value::Null;
        };
        let schema = &described["content"][&media]["schema"];
        assert!(schema.is_object(), "{id} {status} is {media}, which is not described");
        if !media.ends_with("json") {
            return Value::Null;
        }
        let answer: Value = serde_json::from_slice(&bytes).expect("JSON");
        self.compare(schema, &answer, id);
        answer
    }

    fn operation(&self, id: &str) -> (String, String, Value) {
        let paths = self.document["paths"].as_object().expect("paths");
        let operations = paths.iter().flat_map(|(path, operations)| {
            let operations = operations.as_object().expect("operations");
            operations.iter().map(move |(method, it)| (path.clone(), method.clone(), it.clone()))
        });
        let mut operations = operations;
        operations.find(|(_, _, it)| it["operationId"] == id).unwrap_or_else(|| panic!("no {id}"))
    }

    #[track_caller]
    fn compare(&self, schema: &Value, value: &Value, what: &str) {
        let errors = self.errors(schema, value);
        assert!(errors.is_empty(), "{what}: {errors:#?}\n{value:#}");
    }

    fn errors(&self, schema: &Value, value: &Value) -> Vec<String> {
        let whole = json!({ "allOf": [schema], "components": self.document["components"] });
        let validator: Validator = jsonschema::options()
            .with_draft(jsonschema::Draft::Draft202012)
            .should_validate_formats(true)
            .build(&whole)
            .expect("a good schema");
        let shown =
            |error: jsonschema::ValidationError<'_>| format!("{}: {error}", error.instance_path());
        validator.iter_errors(value).map(shown).collect()
    }
}

fn is_of(path: &str, template: &str) -> bool {
    let path = path.split('?').next().unwrap_or(path);
    let fits = |(part, wanted): (&str, &str)| part == wanted || wanted.starts_with('{');
    path.split('/').count() == template.split('/').count()
        && path.split('/').zip(template.split('/')).all(fits)
}

/// Objects with properties have no others. Of what is composed, this holds for the parts together.
fn close(schema: &mut Value) {
    let Some(keys) = schema.as_object_mut() else {
        schema.as_array_mut().into_iter().flatten().for_each(close);
        return;
    };
    for (name, value) in keys.iter_mut() {
        match (name.as_str(), value) {
            ("oneOf" | "allOf" | "anyOf", Value::Array(parts)) => {
                let parts = parts.iter_mut().filter_map(Value::as_object_mut);
                parts.flat_map(|part| part.values_mut()).for_each(close);
            }
            (_, value) => close(value),
        }
    }
    if keys.get("type").is_some_and(|it| it == "object")
        && keys.contains_key("properties")
        && !keys.contains_key("additionalProperties")
    {
        keys.insert("unevaluatedProperties".to_owned(), json!(false));
    }
}

/// A task for each way to end or to wait.
fn work() -> Value {
    json!({ "name": "all kinds", "tasks": [
        { "task_name": "good", "script": "echo out; echo err >&2", "labels": {"a": "b"},
          "timeout": "1h30m", "expected": 5, "env": {"A": "1"},
          "resources": {"cpu": 0.5, "memory": "10MB"} },
        { "task_name": "bad", "script": "exit 3", "on_disconnect": "stop" },
        { "task_name": "skipped", "script": "true", "dependencies": ["bad"] },
        { "task_name": "after", "script": "true", "dependencies": ["good"], "priority": -3 },
        { "task_name": "huge", "script": "true", "resources": {"cpu": 1000, "memory": "1TB"} },
        { "task_name": "choosy", "script": "true", "requires": {"zone": "moon"}, "queue": "other" },
    ]})
}

async fn read_everything(reader: &mut Reader, job: &str, tasks: &[String]) {
    reader.ask("listJobs", "/v1/jobs?limit=1", None).await;
    reader.ask("showJob", &format!("/v1/jobs/{job}"), None).await;
    reader.ask("showCriticalPath", &format!("/v1/jobs/{job}/critical-path"), None).await;
    for task in tasks {
        reader.ask("showTask", &format!("/v1/tasks/{task}"), None).await;
        reader.ask("explainTask", &format!("/v1/tasks/{task}/explain"), None).await;
        reader.ask("readLog", &format!("/v1/tasks/{task}/log"), None).await;
    }
    for (id, path) in [
        ("listTasks", "/v1/tasks"),
        ("listWorkers", "/v1/workers"),
        ("listQueues", "/v1/queues"),
        ("listPolicies", "/v1/policies"),
        ("showStatus", "/v1/status"),
        ("showScores", "/v1/scores"),
        ("showActivity", "/v1/activity"),
        ("showBottlenecks", "/v1/bottlenecks"),
        ("showPanel", "/"),
        ("listTasks", "/v1/tasks?attempts=all"),
        ("listMeasurements", "/v1/history/measurements?limit=1"),
        ("listFeedback", "/v1/history/feedback"),
        ("showConfig", "/v1/config"),
        ("showOpenApi", "/v1/openapi.json"),
        ("showMetrics", "/metrics"),
        ("isAlive", "/healthz"),
        ("isReady", "/readyz"),
    ] {
        reader.ask(id, path, None).await;
    }
}

async fn refuse_everything(reader: &mut Reader) {
    let order = || Some(json!({}));
    reader.ask("showJob", "/v1/jobs/j999", None).await;
    reader.ask("showJob", "/v1/jobs/first", None).await;
    reader.ask("listTasks", "/v1/tasks?limit=0", None).await;
    reader.ask("listMeasurements", "/v1/history/measurements?cursor=t1", None).await;
    reader.ask("listFeedback", "/v1/history/feedback?task=1", None).await;
    let span = "from=2026-10-25T01:30:00Z&to=2026-10-25T01:29:00Z";
    reader.ask("listFeedback", &format!("/v1/history/feedback?{span}"), None).await;
    reader.ask("showTask", "/v1/tasks/t999", None).await;
    reader.ask("explainTask", "/v1/tasks/t999/explain", None).await;
    reader.ask("cancelTask", "/v1/tasks/t999/cancel", order()).await;
    reader.ask("cancelTask", "/v1/tasks/t999/cancel", Some(json!({"why": "so"}))).await;
    reader.ask("cancelTask", "/v1/tasks/t999/cancel", None).await;
    reader.ask("retryTask", "/v1/tasks/t1/retry", order()).await;
    reader.ask("drainWorker", "/v1/workers/w999/drain", order()).await;
    reader.ask("pauseQueue", "/v1/queues/none/pause", order()).await;
    reader.ask("rollBackPolicy", "/v1/policies/scoring/rollback", order()).await;
    reader.ask("bindPolicy", "/v1/policies/none", Some(json!({"component": "spread"}))).await;
    reader.ask("bindPolicy", "/v1/policies/scoring", Some(json!({"component": "none"}))).await;
    reader.ask("submitTask", "/v1/tasks", Some(json!({"task_name": "x"}))).await;
    reader.ask("registerWorker", "/v1/workers", Some(json!({"protocol": 1}))).await;
    reader.ask("syncWorker", "/v1/workers/w999/sync", Some(json!({"seq": 1, "life": 1}))).await;
    reader.ask("pollCommands", "/v1/workers/w999/commands", None).await;
    reader.ask("pollCommands", "/v1/workers/w999/commands?life=1", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_differs_from_its_description() {
    let mut reader = Reader::start().await;
    reader.site.hire(Crew { n_workers: 2, cpus: 4, no_execution: false }).await;
    let submitted = reader.ask("submitJob", "/v1/jobs", Some(work())).await;
    let job = submitted["job"].as_str().expect("an id").to_owned();
    let tasks = submitted["tasks"].as_array().expect("tasks").iter();
    let tasks: Vec<String> = tasks.map(|it| it["id"].as_str().expect("an id").to_owned()).collect();
    read_everything(&mut reader, &job, &tasks).await;
    let is_over = |counts: &pointsman_protocol::api::Counts| {
        (counts.succeeded, counts.failed, counts.skipped) == (2, 1, 1)
    };
    while !is_over(&reader.site.status().await.counts) {
        tokio::task::yield_now().await;
    }
    read_everything(&mut reader, &job, &tasks).await;

    let order = || Some(json!({}));
    reader.ask("retryTask", &format!("/v1/tasks/{}/retry", tasks[1]), order()).await;
    reader.ask("cancelTask", &format!("/v1/tasks/{}/cancel", tasks[4]), order()).await;
    reader.ask("cancelJob", &format!("/v1/jobs/{job}/cancel"), order()).await;
    reader.ask("pauseQueue", "/v1/queues/other/pause", order()).await;
    reader.ask("resumeQueue", "/v1/queues/other/resume", order()).await;
    reader.ask("drainWorker", "/v1/workers/w1/drain", order()).await;
    reader.ask("resumeWorker", "/v1/workers/w1/resume", order()).await;
    reader.ask("reloadPolicies", "/v1/policies/reload", order()).await;
    let spread = Some(json!({"component": "spread"}));
    reader.ask("bindPolicy", "/v1/policies/scoring", spread).await;
    reader.ask("rollBackPolicy", "/v1/policies/scoring/rollback", order()).await;
    let worker = json!({
        "protocol": 1, "name": "by hand", "token": "00", "life": 7, "n": 1,
        "capacity": { "cpu_milli": 1000, "memory": 1_000_000 },
    });
    let registered = reader.ask("registerWorker", "/v1/workers", Some(worker)).await;
    let worker = registered["worker"].as_str().expect("an id").to_owned();
    let sync = json!({ "seq": 1, "life": 7, "measurements": { "cpu_used": 0.5 } });
    reader.ask("syncWorker", &format!("/v1/workers/{worker}/sync"), Some(sync)).await;
    reader.ask("pollCommands", &format!("/v1/workers/{worker}/commands?life=7"), None).await;
    read_everything(&mut reader, &job, &tasks).await;
    refuse_everything(&mut reader).await;

    // These two are not JSON to JSON.
    let others = BTreeSet::from(["followEvents", "writeLog"]);
    let asked: BTreeSet<&str> = reader.seen.iter().map(|(id, _)| id.as_str()).collect();
    let paths = reader.document["paths"].as_object().expect("paths");
    for operation in paths.values().flat_map(|it| it.as_object().expect("operations").values()) {
        let id = operation["operationId"].as_str().expect("a name");
        let is_tried = asked.contains(id) || others.contains(id) || id == "submitTask";
        assert!(is_tried, "nobody asked {id}");
    }
    reader.site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_is_as_described() {
    use futures_util::StreamExt;
    let reader = Reader::start().await;
    let (_, _, operation) = reader.operation("followEvents");
    let schema = &operation["responses"]["200"]["content"]["text/event-stream"]["schema"];
    let response = reqwest::get(reader.site.url("/v1/events")).await.expect("the host answers");
    let mut stream = response.bytes_stream();
    reader.site.hire(Crew { n_workers: 1, cpus: 4, no_execution: false }).await;
    reader.site.submit(&work()).await;
    let mut text = String::new();
    let mut kinds = BTreeSet::new();
    while !["job", "measured", "queue", "task", "worker"].iter().all(|it| kinds.contains(*it)) {
        if !kinds.contains("queue") {
            let pause = reader.http.post(reader.site.url("/v1/queues/other/pause"));
            pause.json(&json!({})).send().await.expect("the host answers");
        }
        let piece = stream.next().await.expect("it goes on").expect("it holds");
        text.push_str(std::str::from_utf8(&piece).expect("events are text"));
        while let Some((event, rest)) = text.split_once("\n\n") {
            let field =
                |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            if let Some(data) = field("data:") {
                let mut event = json!({ "data": data, "id": field("id:") });
                if let Some(name) = field("event:") {
                    event["event"] = name.into();
                }
                reader.compare(schema, &event, "an event");
                let data: Value = serde_json::from_str(data).expect("JSON");
                let part = schema["oneOf"].as_array().expect("two kinds").iter().find(|it| {
                    it["properties"]["event"]["const"]
                        == event["event"].as_str().unwrap_or("message")
                });
                let schema = &part.expect("a kind")["properties"]["data"]["contentSchema"];
                reader.compare(schema, &data, "an event");
                kinds.insert(data["kind"].as_str().unwrap_or("snapshot").to_owned());
            }
            text = rest.to_owned();
        }
    }
    reader.site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_whole_and_each_of_its_schemas_is_one() {
    let reader = Reader::start().await;
    let document = &reader.document;
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["info"]["title"].is_string() && document["info"]["version"].is_string());
    for (name, schema) in document["components"]["schemas"].as_object().expect("schemas") {
        jsonschema::meta::validate(schema).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    for (path, operations) in document["paths"].as_object().expect("paths") {
        // Were it not routed, this would be 404.
        let path = path.replace(['{', '}'], "");
        let request = reader.http.delete(reader.site.url(&path)).send();
        assert_eq!(request.await.expect("the host answers").status(), 405, "{path}");
        for operation in operations.as_object().expect("operations").values() {
            for parameter in operation["parameters"].as_array().expect("parameters") {
                let schema = &parameter["schema"];
                jsonschema::meta::validate(schema)
                    .unwrap_or_else(|error| panic!("{path}: {error}"));
            }
        }
    }
    reader.site.stop().await;
}

/// Both readers, that of the schema and that of the host, say the same of what is submitted.
#[tokio::test(flavor = "multi_thread")]
async fn a_submission_is_taken_exactly_if_its_schema_takes_it() {
    let reader = Reader::start().await;
    let keys = &reader.document["components"]["schemas"]["TaskSubmission"]["properties"];
    let keys: BTreeSet<&str> = keys.as_object().expect("keys").keys().map(String::as_str).collect();
    assert_eq!(keys, TASK_KEYS.into());
    let schema = json!({ "$ref": "#/components/schemas/Submission" });
    let check = |body: Value, is_good: bool| {
        let read = Submission::from_json(body.to_string().as_bytes());
        assert_eq!(read.is_ok(), is_good, "{body}: {read:?}");
        let errors = reader.errors(&schema, &body);
        assert_eq!(errors.is_empty(), is_good, "{body}: {errors:?}");
    };
    let with = |key: &str, value: Value| {
        let mut task = json!({ "task_name": "a", "script": "true" });
        task[key] = value;
        task
    };
    check(work(), true);
    check(json!([with("priority", json!(1))]), true);
    check(json!({ "tasks": [] }), false);
    check(json!({ "tasks": [with("priority", json!(1))], "owner": "me" }), false);
    check(json!("true"), false);
    check(json!({ "task_name": "a" }), false);
    for (key, good, bad) in [
        ("task_name", json!("µ-日本語"), json!("a/b")),
        ("task_name", json!("a".repeat(200)), json!("a".repeat(201))),
        ("task_name", json!("..."), json!("..")),
        ("task_name", json!(" "), json!("a\n")),
        ("script", json!("\n"), json!("")),
        ("script", json!("é"), json!("a\0")),
        ("timeout", json!("1h30m"), json!("30m1h")),
        ("timeout", json!(315_360_000), json!(315_360_001)),
        ("timeout", json!("500ms"), json!("1.5h")),
        ("timeout", json!("3d"), json!("")),
        ("expected", json!(1), json!(0)),
        ("max_retries", json!(100), json!(101)),
        ("max_worker_losses", json!(0), json!(-1)),
        ("priority", json!(i32::MIN), json!(i64::from(i32::MAX) + 1)),
        ("labels", json!({"a": ""}), json!({"": "a"})),
        ("requires", json!({"a b": "c"}), json!({"a": 1})),
        ("env", json!({"_A1": "x\ny"}), json!({"1A": "x"})),
        ("env", json!({"POINTSMAN": ""}), json!({"POINTSMAN_TASK": ""})),
        ("workdir", json!("/"), json!("tmp")),
        ("on_disconnect", json!("stop"), json!("Stop")),
        ("job", json!("default"), json!("mine")),
        ("dependencies", json!([]), json!([""])),
        ("queue", json!("x"), json!(null)),
        ("resources", json!({}), json!({"cpus": 1})),
        ("resources", json!({"cpu": 0.001}), json!({"cpu": 0.0001})),
        ("resources", json!({"cpu": 1_000_000}), json!({"cpu": 1_000_001})),
        ("resources", json!({"cpu": 0, "memory": 1}), json!({"cpu": 0, "memory": "0 kB"})),
        ("resources", json!({"cpu": 0}), json!({"cpu": "1"})),
        ("resources", json!({"gpu": 0.25}), json!({"gpu": 1.5})),
        ("resources", json!({"gpu": 1024}), json!({"gpu": 1025})),
        ("resources", json!({"memory": "1 PiB"}), json!({"memory": "2PiB"})),
        ("resources", json!({"memory": "1.5gib"}), json!({"memory": "8GBs"})),
        ("resources", json!({"memory": 0}), json!({"memory": -1})),
    ] {
        check(with(key, good), true);
        check(with(key, bad), false);
    }
    reader.site.stop().await;
}
