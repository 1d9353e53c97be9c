//! What `pointsman policy list` and `use` tell people, with a host in front of them that says what the test
//! wants it to.

#[expect(dead_code, reason = "shared with tests that use more of it")]
mod site;
mod fake_host;

use fake_host::Host;
use serde_json::{Value, json};
use site::Ended;

fn slot(name: &str) -> Value {
    json!({
        "slot": name, "name": "fifo", "version": "", "generation": 1, "digest": "native",
        "state": "serving", "calls": 0, "failures": 0, "since": "2026-11-26T10:00:00.250Z",
        "source": "native"
    })
}

fn list(view: Value) -> (Ended, Vec<String>) {
    Host::that_answers(vec![(200, view)]).run(&["policy", "list"])
}

const DIGEST: &str = "3fa9c0aa11bb22cc33dd44ee55ff66aa77bb88cc99dd00ee11ff22aa33bb44cc";

#[test]
fn a_policy_is_not_listed_without_where_it_comes_from_and_why_it_serves() {
    let mut scoring = slot("scoring");
    let said = json!({
        "name": "thrifty", "version": "0.3.0", "generation": 7, "digest": DIGEST, "calls": 1204,
        "failures": 2, "p50_us": 4.2, "p99_us": 9.0, "source": "/srv/policies/thrifty.wasm",
        "state": "fallback", "bound": "weighted-score", "chosen": "thrifty", "refusals": 1,
        "message": "dearer was refused: room: 2 is not from 0 to 1",
        "provenance": {
            "license": "Apache-2.0 OR MIT", "source": "https://example.org/thrifty",
            "revision": "4f1c2d", "authors": "A. Author", "made_with": ["Rust", "rustc 1.95.0"]
        }
    });
    scoring.as_object_mut().unwrap().extend(said.as_object().unwrap().clone());
    let view = json!({
        "slots": [scoring, slot("queue")],
        "available": [
            { "name": "best-fit", "version": "0.1.0", "slot": "scoring", "digest": DIGEST,
              "source": "standard", "provenance": { "license": "MIT" } },
            { "name": "mine", "version": "2", "slot": "queue", "digest": DIGEST,
              "source": "/a/folder/that/lies/deep/in/others/policies/mine.wasm" }
        ],
        "refused": [{
            "file": "dearer", "stage": "start", "digest": DIGEST,
            "reason": "room: 2 is not from 0 to 1, and neither is anything else that is written in \
                       the table of this slot in the host's configuration",
            "at": "2026-11-26T10:05:00.000Z"
        }],
        "looking_at": { "name": "snake", "slot": "queue", "since": "2026-11-26T10:06:07.000Z" }
    });
    let (ended, asked) = list(view);
    assert_eq!(asked, ["GET /v1/policies HTTP/1.1"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let expected = format!(
        "\
SLOT     POLICY         STATE     GENERATION  CALLS  FAILURES  P50   P99
scoring  thrifty 0.3.0  fallback  7           1204   2         4 µs  9 µs
queue    fifo           serving   1           0      0         -     -

scoring: thrifty 0.3.0
  from      /srv/policies/thrifty.wasm
  sha256    {DIGEST}
  since     2026-11-26T10:00:00Z
  chosen    thrifty, by hand; the configuration binds weighted-score
  licence   Apache-2.0 OR MIT
  source    https://example.org/thrifty
  revision  4f1c2d
  authors   A. Author
  made with Rust, rustc 1.95.0
  refusals  1 since the host was started
  message   dearer was refused: room: 2 is not from 0 to 1

queue: fifo
  from      native
  since     2026-11-26T10:00:00Z

AVAILABLE       SLOT     LICENCE  FROM
best-fit 0.1.0  scoring  MIT      standard
mine 2          queue    -        …/in/others/policies/mine.wasm

candidate  snake for queue: being compiled and tried since 2026-11-26T10:06:07Z

refused  dearer at start
  reason    room: 2 is not from 0 to 1, and neither is anything else that is written in the table of
            this slot in the host's configuration
  sha256    {DIGEST}
  at        2026-11-26T10:05:00Z
"
    );
    assert_eq!(ended.out, expected, "{}", ended.out);
    assert!(ended.out.lines().all(|line| line.chars().count() <= 100));
}

#[test]
fn a_hostile_policy_writes_nothing_to_the_terminal_but_text() {
    let hostile = "\x1b]0;owned\x07\x1b[2J\r\nqueue  trusted \u{9b}31m\u{202e}\u{200b}end";
    let long = "x".repeat(400);
    let mut scoring = slot("scoring");
    let said = json!({
        "name": format!("{hostile}{long}"), "version": hostile, "source": hostile, "state": hostile,
        "bound": hostile, "chosen": hostile, "message": hostile,
        "provenance": { "license": hostile, "source": hostile, "made_with": [hostile, long] }
    });
    scoring.as_object_mut().unwrap().extend(said.as_object().unwrap().clone());
    let refused = json!({
        "file": hostile, "stage": hostile, "digest": hostile, "reason": format!("{hostile} {long}"),
        "at": "2026-11-26T10:05:00.000Z"
    });
    let view = json!({
        "slots": [scoring], "refused": [refused], "message": hostile,
        "available": [{ "name": hostile, "version": long, "slot": "scoring", "digest": "",
                        "source": hostile, "provenance": { "license": long } }],
        "looking_at": { "name": hostile, "since": "2026-11-26T10:06:07.000Z" }
    });
    let (ended, _) = list(view.clone());
    assert_eq!(ended.code, 0, "{ended:?}");
    let is_plain = |c: char| !c.is_control() && !matches!(c, '\u{200b}' | '\u{202e}');
    for line in ended.out.lines() {
        assert!(line.chars().all(is_plain), "{line:?}");
        assert!(!line.starts_with("queue"), "{line:?}");
    }
    // What is said in a table is cut, and its columns stay beside each other.
    let widest = ended.out.lines().map(|line| line.chars().count()).max().unwrap();
    assert!(widest <= 160, "{widest}");

    let json = Host::that_answers(vec![(200, view.clone())]).run(&["--json", "policy", "list"]).0;
    assert!(json.out.trim_end().chars().all(is_plain), "{:?}", json.out);
    assert_eq!(serde_json::from_str::<Value>(&json.out).unwrap(), view, "nothing is lost");
}

#[test]
fn a_slow_policy_is_waited_for_and_people_are_told_so() {
    let undecided = json!({
        "type": "about:blank", "title": "Service Unavailable", "status": 503, "code": "undecided",
        "detail": "the policy is still being looked at"
    });
    let view = json!({ "slots": [slot("queue")], "available": [], "refused": [] });
    let answers = vec![(503, undecided.clone()), (503, undecided.clone()), (200, view)];
    let (ended, asked) = Host::that_answers(answers).run(&["policy", "use", "queue", "snake"]);
    assert_eq!(asked, [r#"PUT /v1/policies/queue HTTP/1.1 {"component":"snake"}"#; 3]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(ended.err.matches("snake is still being looked at").count(), 1, "{}", ended.err);
    assert!(ended.err.contains("pointsman policy list"), "{}", ended.err);
    assert!(ended.out.contains("queue"), "{}", ended.out);

    let (ended, _) =
        Host::that_answers(vec![(503, undecided); 10]).run(&["policy", "use", "queue", "snake"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    let told = "error: snake is chosen and still being looked at; see \"pointsman policy list\"";
    assert!(ended.err.contains(told), "{}", ended.err);

    let refused = json!({
        "type": "about:blank", "title": "Unprocessable", "status": 422, "code": "policy_refused",
        "detail": "snake was refused: \u{1b}[2Jit fails"
    });
    let (ended, _) =
        Host::that_answers(vec![(422, refused)]).run(&["policy", "use", "queue", "snake"]);
    assert_eq!(ended.code, 3, "{ended:?}");
    assert!(ended.err.contains("snake was refused: \u{fffd}[2Jit fails"), "{:?}", ended.err);
}
