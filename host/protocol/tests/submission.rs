//! Submissions, good and bad: what is refused names its field, what is taken is exact.

use pointsman_protocol::submission::{self, Submission};
use pointsman_scheduler::resources::Request;
use pointsman_scheduler::spec::{JobSpec, OnDisconnect, TaskSpec};
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;

fn task(json: &str) -> TaskSpec {
    match Submission::from_json(json.as_bytes()) {
        Ok(Submission::Task(task)) => Arc::unwrap_or_clone(task),
        other => panic!("{json}: {other:?}"),
    }
}

fn job(json: &str) -> JobSpec {
    match Submission::from_json(json.as_bytes()) {
        Ok(Submission::Job(job)) => job,
        other => panic!("{json}: {other:?}"),
    }
}

/// A task with these further keys is taken, or refused with an error that starts like this.
#[track_caller]
fn check(keys: &str, expect: Result<(), &str>) {
    let json = format!(r#"{{"task_name":"a","script":"true",{keys}}}"#);
    check_whole(&json, expect);
}

#[track_caller]
fn check_whole(json: &str, expect: Result<(), &str>) {
    let shown: String = json.chars().take(200).collect();
    match (Submission::from_json(json.as_bytes()), expect) {
        (Ok(_), Ok(())) => {}
        (Err(error), Err(expected)) => {
            let error = error.to_string();
            assert!(error.starts_with(expected), "{shown}:\n got {error}\nwant {expected}");
            assert!(error.len() < 500, "{error}");
        }
        (Ok(_), Err(expected)) => panic!("{shown} was taken, expected {expected}"),
        (Err(error), Ok(())) => panic!("{shown}: {error}"),
    }
}

#[test]
fn the_example_of_the_documentation_is_read_whole() {
    let spec = task(
        r#"{ "task_name": "data_preprocess", "script": "python preprocess.py",
            "resources": {"cpu": 1, "gpu": 1, "memory": "8GB"}, "dependencies": ["clean_data"],
            "timeout": "30m", "priority": 0, "max_retries": 3 }"#,
    );
    let mut expected = TaskSpec::new("data_preprocess", "python preprocess.py");
    expected.request = Request { cpu_milli: 1000, memory: 8_000_000_000, gpu_milli: 1000 };
    expected.resources_text = r#"{"cpu":1,"gpu":1,"memory":"8GB"}"#.into();
    expected.dependencies = vec!["clean_data".to_owned()];
    expected.timeout = Some(Duration::from_secs(1800));
    expected.max_retries = Some(3);
    assert_eq!(spec, expected);
}

#[test]
fn every_other_key_is_read_too() {
    let spec = task(
        r#"{"task_name":"e\u0301","script":"x","queue":"q","tenant":"t","priority":-2147483648,
            "timeout":90,"max_worker_losses":0,"expected":"1h30m","labels":{"a":""},
            "requires":{"zone":"b"},"env":{"A_1":"x"},"workdir":"/tmp","on_disconnect":"stop",
            "job":"default","resources":{"cpu":0.25,"memory":1e9}}"#,
    );
    assert_eq!(spec.name, "é");
    assert_eq!((&*spec.queue, &*spec.tenant), ("q", "t"));
    assert_eq!(spec.priority, i32::MIN);
    assert_eq!(spec.timeout, Some(Duration::from_secs(90)));
    assert_eq!(spec.max_worker_losses, Some(0));
    assert_eq!(spec.expected, Some(Duration::from_secs(5400)));
    assert_eq!(spec.labels["a"], "");
    assert_eq!(spec.requires["zone"], "b");
    assert_eq!(spec.env["A_1"], "x");
    assert_eq!(spec.workdir.as_deref(), Some("/tmp"));
    assert_eq!(spec.on_disconnect, OnDisconnect::Stop);
    assert_eq!(spec.request, Request { cpu_milli: 250, memory: 1_000_000_000, gpu_milli: 0 });
    assert_eq!(&*spec.resources_text, r#"{"cpu":0.25,"memory":1e9}"#);
}

#[test]
fn left_out_fields_take_their_defaults() {
    assert_eq!(task(r#"{"task_name":"a","script":"x"}"#), TaskSpec::new("a", "x"));
    let spec = task(r#"{"task_name":"a","script":"x","resources":{"cpu":2}}"#);
    assert_eq!(spec.request, Request { cpu_milli: 2000, memory: 100_000_000, gpu_milli: 0 });
}

#[test]
fn amounts_are_exact_or_refused() {
    check(r#""resources":{"cpu":0.1}"#, Ok(()));
    check(r#""resources":{"cpu":0,"memory":"1GB"}"#, Ok(()));
    check(r#""resources":{"cpu":-1}"#, Err("resources.cpu: -1 is negative; write a number"));
    check(r#""resources":{"cpu":-0.5}"#, Err("resources.cpu: -0.5 is negative"));
    check(r#""resources":{"cpu":1e308}"#, Err("resources.cpu: 1e308 is too large"));
    check(r#""resources":{"cpu":1e999999}"#, Err("resources.cpu: 1e999999 is too large"));
    check(r#""resources":{"cpu":0.1111}"#, Err("resources.cpu: 0.1111 is finer than 0.001"));
    check(
        r#""resources":{"cpu":"4"}"#,
        Err("resources.cpu: is the text \"4\"; write the number without quotes: 4"),
    );
    check(
        r#""resources":{"cpu":"four"}"#,
        Err("resources.cpu: is the text \"four\"; write a number"),
    );
    check(r#""resources":{"cpu":null}"#, Err("resources.cpu: is null"));
    check(r#""resources":{"cpu":true}"#, Err("resources.cpu: is true; write a number of cores"));
    check(r#""resources":{"cpu":NaN}"#, Err("body: has a number that is not finite"));
    check(r#""resources":{"gpu":-1}"#, Err("resources.gpu: -1 is negative"));
    check(r#""resources":{"gpu":1.5}"#, Err("resources.gpu: 1.5 is neither whole nor a share"));
    check(r#""resources":{"memory":"-8GB"}"#, Err("resources.memory: \"-8GB\" is negative"));
    check(
        r#""resources":{"memory":"99999999999EB"}"#,
        Err("resources.memory: 99999999999EB is too large; give at most 1PiB"),
    );
    check(
        r#""resources":{"memory":"8GBs"}"#,
        Err("resources.memory: \"8GBs\" is not an amount of memory; write it like \"8GB\""),
    );
    check(r#""resources":{"memory":[]}"#, Err("resources.memory: is a list"));
    check(r#""resources":{"cpu":0,"gpu":0,"memory":0}"#, Err("resources: asks for nothing at all"));
    check(r#""resources":{"cpu":0,"memory":"0GB"}"#, Err("resources: asks for nothing at all"));
    check(r#""resources":[1]"#, Err("resources: is a list; write an object"));
    check(r#""timeout":-1"#, Err("timeout: \"-1\" is negative"));
    check(r#""timeout":1e18"#, Err("timeout: \"1e18\" is too long"));
    check(r#""timeout":"soon""#, Err("timeout: \"soon\" is not a duration; write it like"));
    check(r#""timeout":0"#, Err("timeout: \"0\" is zero"));
    check(r#""timeout":null"#, Err("timeout: is null; write a duration"));
    check(r#""priority":2147483647"#, Ok(()));
    check(r#""priority":2147483648"#, Err("priority: \"2147483648\" is not a priority"));
    check(r#""priority":9223372036854775808"#, Err("priority: \"9223372036854775808\" is not"));
    check(r#""priority":1.5"#, Err("priority: \"1.5\" is not a priority"));
    check(r#""priority":"high""#, Err("priority: is the text \"high\"; write a whole number"));
    check(r#""max_retries":100"#, Ok(()));
    check(r#""max_retries":101"#, Err("max_retries: \"101\" is out of range"));
    check(r#""max_retries":-1"#, Err("max_retries: \"-1\" is out of range"));
}

#[test]
fn a_mistyped_key_is_never_ignored() {
    check(r#""timout":"5s""#, Err("timout: there is no key \"timout\"; did you mean \"timeout\"?"));
    check(
        r#""max-retires":1"#,
        Err("max-retires: there is no key \"max-retires\"; did you mean \"max_retries\"?"),
    );
    check(
        r#""depends_on":[]"#,
        Err("depends_on: there is no key \"depends_on\"; did you mean \"dependencies\"?"),
    );
    check(
        r#""colour":"red""#,
        Err("colour: there is no key \"colour\"; the keys here are task_name, "),
    );
    check(
        r#""resources":{"mem":"1GB"}"#,
        Err("resources.mem: there is no key \"mem\"; did you mean \"memory\"?"),
    );
    check(r#""script":"again""#, Err("script: is given twice"));
    check_whole(r#"{"name":"j","task":[]}"#, Err("task: there is no key \"task\""));
    check_whole(
        r#"{"name":"x","script":"y"}"#,
        Err("body: has neither \"tasks\" nor \"task_name\""),
    );
    check_whole(
        r#"{"tasks":[{"name":"a","script":"x"}]}"#,
        Err("tasks[0].name: there is no key \"name\"; did you mean \"task_name\"?"),
    );
    let long = format!(r#""{}":1"#, "k".repeat(1_000_000));
    check(&long, Err("\"kkkk"));
}

#[test]
fn names_scripts_and_environment_are_bounded() {
    check_whole(r#"{"task_name":"","script":"x"}"#, Err("task_name: is empty"));
    check_whole(
        r#"{"task_name":"a\u0000b","script":"x"}"#,
        Err("task_name: \"a\\0b\" contains U+0000"),
    );
    check_whole(
        r#"{"task_name":7,"script":"x"}"#,
        Err("task_name: is the number 7; write a text: \"7\""),
    );
    check_whole(r#"{"task_name":"a"}"#, Err("body: has no \"script\""));
    check_whole(r#"{"task_name":"a","script":""}"#, Err("script: is empty"));
    check_whole(r#"{"task_name":"a","script":"x\u0000"}"#, Err("script: contains U+0000"));
    let script = |n| format!(r#"{{"task_name":"a","script":"{}"}}"#, "x".repeat(n));
    check_whole(&script(submission::SCRIPT_BYTES_MAX), Ok(()));
    check_whole(&script(submission::SCRIPT_BYTES_MAX + 1), Err("script: has 1048577 bytes"));
    check(r#""env":{"1A":"x"}"#, Err("env.1A: \"1A\" is not a name of a variable"));
    check(r#""env":{"":"x"}"#, Err("env.\"\": \"\" is not a name of a variable"));
    check(r#""env":{"A=B":"x"}"#, Err("env.\"A=B\": \"A=B\" is not a name of a variable"));
    check(r#""env":{"POINTSMAN_TERM":"x"}"#, Err("env.POINTSMAN_TERM: names starting with"));
    check(r#""env":{"A":4}"#, Err("env.A: is the number 4; write a text: \"4\""));
    check(r#""env":{"A":"\u0000"}"#, Err("env.A: its value contains U+0000"));
    check(r#""labels":{"a":"\n"}"#, Err("labels.a: \"a\" = \"\\n\" contains a control character"));
    check(r#""workdir":"tmp""#, Err("workdir: \"tmp\" is not an absolute path"));
    check(r#""on_disconnect":"kill""#, Err("on_disconnect: is the text \"kill\"; write \"keep\""));
    check(r#""job":"nightly""#, Err("job: is the text \"nightly\"; only \"default\""));
}

#[test]
fn dependencies_count_once_in_the_order_written() {
    let spec = task(r#"{"task_name":"a","script":"x","dependencies":["b","e\u0301","b","é","c"]}"#);
    assert_eq!(spec.dependencies, ["b", "é", "c"]);
    check(r#""dependencies":"b""#, Err("dependencies: is the text \"b\"; write a list"));
    check(r#""dependencies":["b",1]"#, Err("dependencies[1]: is the number 1; write the name"));
    check(r#""dependencies":["../x"]"#, Err("dependencies[0]: \"../x\" contains '/'"));
    let many = |n| format!(r#""dependencies":[{}]"#, vec!["\"b\""; n].join(","));
    check(&many(10_000), Ok(()));
    check(&many(10_001), Err("dependencies: has 10001 entries"));
    let one = format!(r#"{{"task_name":"a","script":"x",{}}}"#, many(10_000));
    let tasks = |n| format!(r#"{{"tasks":[{}]}}"#, vec![one.as_str(); n].join(","));
    check_whole(&tasks(100), Ok(()));
    check_whole(&tasks(101), Err("tasks: has more than 1000000 dependencies altogether"));
}

#[test]
fn a_job_is_an_object_or_a_bare_list() {
    let object = job(r#"{"name":"nightly","tasks":[{"task_name":"a","script":"x"}]}"#);
    assert_eq!((object.name.as_str(), object.tasks.len()), ("nightly", 1));
    let list = job(r#"[{"task_name":"a","script":"x"},{"task_name":"b","script":"y"}]"#);
    assert_eq!((list.name.as_str(), list.tasks.len()), ("a", 2));
    check_whole("[]", Err("body: is empty; give the job at least one task"));
    check_whole(r#"{"tasks":[]}"#, Err("tasks: is empty"));
    check_whole(r#"{"tasks":{}}"#, Err("tasks: is an object; write a list"));
    check_whole(r#"{"tasks":[7]}"#, Err("tasks[0]: is the number 7; write a task"));
    check_whole(r#"{"tasks":[{"task_name":"a"}]}"#, Err("tasks[0]: has no \"script\""));
    check_whole(r#"{"name":"a/b","tasks":[]}"#, Err("name: \"a/b\" contains '/'"));
    check_whole(
        r#"[{"task_name":"a","script":"x"},{"task_name":"b","script":"x","resources":{"memory":"x"}}]"#,
        Err("[1].resources.memory: \"x\" is not an amount of memory"),
    );
    check_whole("7", Err("body: is the number 7; write a job"));
    check_whole("{}", Err("body: has neither \"tasks\" nor \"task_name\""));
}

#[test]
fn a_job_of_the_largest_size_is_read_and_one_more_task_is_refused() {
    let tasks = |n: usize| {
        let tasks: Vec<String> = (0..n)
            .map(|n| format!(r#"{{"task_name":"t{n}","script":"true","resources":{{"cpu":0.1,"memory":"10MB"}},"dependencies":["t0"],"priority":{n}}}"#))
            .collect();
        format!(r#"{{"name":"large","tasks":[{}]}}"#, tasks.join(","))
    };
    let large = tasks(submission::TASKS_MAX);
    assert_eq!(job(&large).tasks.len(), submission::TASKS_MAX);
    check_whole(&tasks(submission::TASKS_MAX + 1), Err("tasks: has 100001 tasks"));
}

#[test]
fn toml_says_the_same_as_json() {
    let toml = r#"
        name = "nightly"
        [[tasks]]
        task_name = "a"
        script = """
        echo hi
        """
        resources = { cpu = 0.5, gpu = +1, memory = "1GiB" }
        [[tasks]]
        task_name = "b"
        script = "true"
        dependencies = ["a"]
        priority = 1_000
        max_retries = 0x0a
    "#;
    let json = r#"{"name":"nightly","tasks":[
        {"task_name":"a","script":"        echo hi\n        ","resources":{"cpu":0.5,"gpu":1,"memory":"1GiB"}},
        {"task_name":"b","script":"true","dependencies":["a"],"priority":1000,"max_retries":10}]}"#;
    assert_eq!(Submission::from_toml(toml).unwrap(), Submission::Job(job(json)));
    let check = |toml: &str, expect: &str| {
        let error = Submission::from_toml(toml).unwrap_err().to_string();
        assert!(error.starts_with(expect), "{error}");
    };
    check("name = ", "body: is not valid TOML: ");
    check("task_name = 'a'\ntask_name = 'b'", "body: is not valid TOML: duplicate key (line 2");
    check("task_name = 'a'\nscript = 'x'\ntimeout = 1979-05-27", "timeout: is the date 1979-05-27");
    check(
        "task_name = 'a'\nscript = 'x'\n[resources]\ncpu = nan",
        "resources.cpu: nan is not a number",
    );
    check(
        "task_name = 'a'\nscript = 'x'\n[resources]\ncpu = inf",
        "resources.cpu: inf is not a number",
    );
    check(
        "[[tasks]]\ntask_name='a'\nscript='x'\nresources.cpus=1",
        "tasks[0].resources.cpus: there is no key",
    );
}

proptest! {
    #[test]
    fn no_input_makes_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Submission::from_json(&bytes);
        let _ = Submission::from_toml(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn no_value_of_any_key_makes_the_parser_panic(
        key in prop::sample::select(&submission::TASK_KEYS[..]),
        inner in prop::sample::select(&submission::RESOURCE_KEYS[..]),
        value in "(-?[0-9]{0,25}(\\.[0-9]{1,25})?([eE][+-]?[0-9]{1,12})?|\"\\PC{0,20}\"|\\[\\]|null|\\{\\})",
    ) {
        let _ = Submission::from_json(format!(r#"{{"task_name":"a","{key}":{value}}}"#).as_bytes());
        let resources = format!(r#"[{{"task_name":"a","resources":{{"{inner}":{value}}}}}]"#);
        let _ = Submission::from_json(resources.as_bytes());
    }
}
