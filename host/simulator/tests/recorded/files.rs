//! WfCommons files that contradict themselves or are damaged.

use pointsman_simulator::import::wfcommons;
use std::error::Error;

/// A chain of two with one field of its JSON replaced.
fn chain(from: &str, to: &str) -> String {
    let text = r#"{"name":"two","schemaVersion":"1.5","workflow":{
        "specification":{"tasks":[
            {"id":"a","name":"first","parents":[],"children":["b"]},
            {"id":"b","name":"b","parents":["a"],"children":[]}]},
        "execution":{"tasks":[
            {"id":"b","runtimeInSeconds":0.1},
            {"id":"a","runtimeInSeconds":2,"coreCount":1.5,"memoryInBytes":1e6,
             "command":{"program":"rm -rf \"$HOME\"\n"}}]}}}"#;
    assert!(text.contains(from), "{from}");
    text.replace(from, to)
}

#[test]
fn recorded_commands_are_never_run_and_nothing_is_rounded() {
    let job = wfcommons::parse(&chain("", "")).unwrap();
    let [first, second] = &job.spec.tasks[..] else { panic!("two tasks") };
    assert_eq!((&*first.script, &*second.script), ("sleep 2", "sleep 0.1"));
    assert_eq!(job.run_times, [2_000_000_000, 100_000_000]);
    assert_eq!(first.expected.unwrap().as_nanos(), 2_000_000_000);
    assert_eq!((first.request.cpu_milli, first.request.memory), (1500, 1_000_000));
    assert_eq!((second.request.cpu_milli, second.request.memory), (1000, 100_000_000));
    assert_eq!(first.labels["wfcommons.name"], "first");
    assert!(second.labels.is_empty());
    assert_eq!(second.dependencies, ["a"]);
}

#[test]
fn names_that_are_not_valid_here_are_changed_and_kept_in_a_label() {
    let text = chain("\"a\"", "\"x/\\u0007\"");
    let job = wfcommons::parse(&text).unwrap();
    assert_eq!(job.spec.tasks[0].name, "x__");
    assert_eq!(job.spec.tasks[0].labels["wfcommons.id"], "x/_");
    assert_eq!(job.spec.tasks[1].dependencies, ["x__"]);
}

#[test]
fn files_that_contradict_themselves_are_refused_with_the_place() {
    let show = |from: &str, to: &str| {
        let error = wfcommons::parse(&chain(from, to)).expect_err("the file is broken");
        let source = error.source().map(|source| format!(": {source}")).unwrap_or_default();
        format!("{error}{source}")
    };
    let check = |from: &str, to: &str, expected: &str| {
        let shown = show(from, to);
        assert!(shown.contains(expected), "{from} → {to}: {shown}");
    };
    check("\"1.5\"", "\"1.4\"", "schemaVersion is \"1.4\"");
    check("\"schemaVersion\":\"1.5\",", "", "missing field `schemaVersion`");
    check("\"parents\":[\"a\"]", "\"parents\":[\"c\"]", "task \"b\" names \"c\" in parents");
    check("\"children\":[\"b\"]", "\"children\":[\"c\"]", "task \"a\" names \"c\" in children");
    check("\"children\":[\"b\"]", "\"children\":[]", "task \"a\" and task \"b\" disagree");
    check("\"parents\":[\"a\"]", "\"parents\":[]", "\"a\" says that \"b\" waits for \"a\"");
    check(
        "{\"id\":\"b\",\"runtime",
        "{\"id\":\"a\",\"runtime",
        "execution.tasks names the id \"a\" twice",
    );
    check(
        "{\"id\":\"b\",\"name",
        "{\"id\":\"a\",\"name",
        "specification.tasks names the id \"a\" twice",
    );
    check("{\"id\":\"b\",\"runtime", "{\"id\":\"c\",\"runtime", "an entry for \"c\"");
    check("0.1", "-0.1", "runtimeInSeconds of task \"b\" is -0.1, which is negative");
    check("0.1", "\"1\"", "which is not a decimal number");
    check("0.1", "1e300", "which is too large");
    check("\"runtimeInSeconds\":0.1", "\"x\":0.1", "missing field `runtimeInSeconds`");
    check("1.5,", "0,", "coreCount of task \"a\" is 0");
    check(
        "1.5,",
        "1.0005,",
        "coreCount of task \"a\" is 1.0005; give a whole number of thousandths",
    );
    check("1e6", "1.5", "memoryInBytes of task \"a\" is 1.5; give a whole number of bytes");
    check("}]}}}", "", "EOF");
}

#[test]
fn a_cyclic_workflow_is_refused_with_its_cycle() {
    let text = chain("\"parents\":[],", "\"parents\":[\"b\"],");
    let text = text.replace("\"children\":[]", "\"children\":[\"a\"]");
    let error = wfcommons::parse(&text).expect_err("the workflow is cyclic");
    assert_eq!(error.source().unwrap().to_string(), "the dependencies form a cycle: a → b → a");
}

#[test]
fn damaged_files_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let check = |name: &str, bytes: &[u8], expected: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let shown = wfcommons::read(&path).expect_err("the file is damaged").to_string();
        assert!(shown.contains(expected) && shown.contains(name), "{shown}");
    };
    check("cut.json.gz", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab", "damaged or cut off");
    check("latin1.json", b"{\"name\":\"\xe9\"}", "not UTF-8 text (byte 9)");
    let missing = wfcommons::read(&folder.path().join("missing.json")).unwrap_err();
    assert!(missing.to_string().contains("failed to read"));
    assert!(missing.to_string().contains("missing.json"));
}
