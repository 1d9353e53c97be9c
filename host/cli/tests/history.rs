//! `pointsman history export`: what a real worker measured, read back from both formats.

#[expect(dead_code, reason = "shared with tests that use more of it")]
mod site;

use pointsman_protocol::timestamp::Timestamp;
use serde_json::Value;
use site::{Ended, Site};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const HEADER: &str = "at_ms,worker,cpu_used,memory_used,iops_used,rtt_ms,connections";
const OFTEN: &str =
    "[heartbeat]\ninterval = \"100ms\"\nsuspect_after = \"20s\"\nlost_after = \"30s\"\n";

/// Asks until there are as many rows.
fn until_rows(site: &Site, n_rows: usize, args: &[&str]) -> Ended {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let ended = site.run(&[&["history", "export", "--format", "jsonl"], args].concat());
        assert_eq!(ended.code, 0, "{}", ended.err);
        if ended.out.lines().count() >= n_rows {
            return ended;
        }
        assert!(Instant::now() < deadline, "not in time: {args:?}");
    }
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Each row by its names; what is empty is null, as in JSON lines.
fn read_csv(text: &str) -> Vec<Value> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let names = reader.headers().expect("names").clone();
    let row = |row: csv::StringRecord| {
        let value = |(name, text): (&str, &str)| {
            let is_text = ["worker", "task", "task_name", "phase"].contains(&name);
            let value = match text {
                "" => Value::Null,
                text if is_text => Value::from(text),
                number => serde_json::from_str(number).expect("a number"),
            };
            (name.to_owned(), value)
        };
        names.iter().zip(row.iter()).map(value).collect()
    };
    reader.records().map(|it| row(it.expect("a row"))).collect()
}

fn timestamp(ms: u64) -> String {
    Timestamp(pointsman_scheduler::Time(ms * 1_000_000)).to_string()
}

#[test]
fn both_formats_read_back_as_the_same_measurements() {
    let site = Site::with(OFTEN);
    let rows = lines(&until_rows(&site, 5, &[]).out);
    let times: Vec<u64> = rows.iter().map(|it| it["at_ms"].as_u64().expect("a time")).collect();
    assert!(times.is_sorted(), "{times:?}");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    assert!(times.iter().all(|at| now - at < 600_000), "{times:?} are not near {now}");
    assert!(rows.iter().any(|it| it["memory_used"].is_f64()), "{rows:#?}");

    // A span that is over has the same rows each time.
    let (from, to) = (timestamp(times[1]), timestamp(times[4]));
    let span = ["--from", &from, "--to", &to];
    let within: Vec<&Value> = rows
        .iter()
        .filter(|it| (times[1]..times[4]).contains(&it["at_ms"].as_u64().unwrap()))
        .collect();
    assert!(!within.is_empty());
    let csv = site.run(&[&["history", "export"], &span[..]].concat());
    assert_eq!((csv.code, csv.out.lines().next()), (0, Some(HEADER)), "{}", csv.err);
    assert_eq!(read_csv(&csv.out).iter().collect::<Vec<_>>(), within);
    let json = site.run(&[&["--json", "history", "export"], &span[..]].concat());
    assert_eq!(lines(&json.out).iter().collect::<Vec<_>>(), within);

    let name = rows[0]["worker"].as_str().expect("a name");
    let out = site.path("out.csv");
    let to_file =
        site.run(&[&["history", "export", "--worker", name, "--out", &out], &span[..]].concat());
    assert_eq!(to_file.code, 0, "{}", to_file.err);
    assert!(to_file.out.ends_with(&format!("{} rows\n", within.len())), "{}", to_file.out);
    assert_eq!(std::fs::read_to_string(&out).unwrap(), csv.out);
    let left: Vec<String> = std::fs::read_dir(site.path(""))
        .unwrap()
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with('.'))
        .collect();
    assert_eq!(left, [] as [String; 0], "nothing unfinished is left");
}

#[test]
fn feedback_is_exported_with_its_task() {
    let site = Site::with(OFTEN);
    let end = site.path("end");
    let script = format!(
        "printf 'phase=a, \"b\"\\nprogress=0.5\\n' > \"$POINTSMAN_FEEDBACK\"\n\
         until [ -e '{end}' ]; do sleep 0.02; done"
    );
    let running = site.spawn(&["run", &script]);
    let deadline = Instant::now() + Duration::from_secs(60);
    let row = loop {
        let rows = lines(&until_rows(&site, 1, &["--kind", "feedback"]).out);
        if let Some(row) = rows.into_iter().find(|it| !it["phase"].is_null()) {
            break row;
        }
        assert!(Instant::now() < deadline, "not in time");
    };
    assert_eq!((&row["phase"], &row["progress"]), (&"a, \"b\"".into(), &0.5.into()));
    assert_eq!((&row["task"], &row["attempt"]), (&"t1".into(), &1.into()));
    let csv = site.run(&["history", "export", "--kind", "feedback"]);
    let names =
        "at_ms,task,task_name,attempt,worker,phase,progress,duration_ms,cpu_usage,memory_mb";
    assert_eq!(csv.out.lines().next(), Some(names));
    assert!(read_csv(&csv.out).contains(&row), "{row} is not in {}", csv.out);
    site.file("end", "");
    assert_eq!(running.wait().code, 0);
}

#[test]
fn bad_input_is_refused_and_no_file_is_begun() {
    let site = Site::new();
    let out = site.path("none.csv");
    let check = |args: &[&str], code: i32, told: &[&str]| {
        let ended = site.run(&[&["history", "export", "--out", &out], args].concat());
        assert_eq!(ended.code, code, "{args:?}: {}", ended.err);
        for told in told {
            assert!(ended.err.contains(told), "{args:?}: {}", ended.err);
        }
        assert!(!std::path::Path::new(&out).exists(), "{args:?}");
    };
    check(&["--from", "yesterday"], 2, &["--from", "is not a time", "write it like"]);
    check(&["--from", "2026-10-25T01:30:00"], 2, &["--from", "no offset"]);
    check(&["--format", "xml"], 2, &["--format", "csv", "jsonl"]);
    check(&["--format", "csv", "--json"], 2, &["--format csv", "--json"]);
    let (from, to) = ("2026-10-25T01:30:00Z", "2026-10-25T01:00:00Z");
    check(&["--from", from, "--to", to], 3, &["to", "is before from"]);
    let nowhere = site.run(&["history", "export", "--out", &site.path("no/such/folder.csv")]);
    assert_eq!(nowhere.code, 1, "{}", nowhere.err);
    assert!(nowhere.err.contains("--out"), "{}", nowhere.err);
    // No rows of this name: the names of the columns alone.
    let nobody = site.run(&["history", "export", "--worker", "nobody"]);
    assert_eq!((nobody.code, nobody.out), (0, format!("{HEADER}\n")));
    assert!(nobody.err.contains("pointsman workers"), "{}", nobody.err);
}
