//! What a guest may ask of the host, and what it gets.

use crate::guests::Guest;
use pointsman_policy::{
    Binding, LibrarySettings, PACKAGE, PolicyHost, PolicyLibrary, Stage, VERSION,
};
use pointsman_scheduler::Slot;
use pointsman_scheduler::columns::name_number;
use pointsman_scheduler::policies::{CallError, Policies};
use std::fs;
use std::time::Duration;
use tempfile::TempDir;

fn import(function: &str, local: &str, signature: &str) -> String {
    format!("(import \"{PACKAGE}/host@{VERSION}\" \"{function}\" (func ${local} {signature}))")
}

/// Serves `bytes` as the scoring policy, whatever they import if `wasi_traps`.
fn serve(bytes: &[u8], wasi_traps: bool) -> (PolicyHost, PolicyLibrary, TempDir) {
    let root = TempDir::new().unwrap();
    fs::write(root.path().join("p.wasm"), bytes).unwrap();
    let directory = Some(root.path().to_owned());
    let settings = LibrarySettings { directory, ..LibrarySettings::default() };
    let (mut host, library) = PolicyHost::start(settings).unwrap();
    library.bind(Slot::Scoring, Some(Binding { wasi_traps, ..Binding::to("p") }));
    assert!(library.settle(Duration::from_secs(60)));
    host.begin_round();
    (host, library, root)
}

fn score(host: &mut PolicyHost, load: f64) -> f64 {
    let mut scores = Vec::new();
    let columns = vec![vec![load]; host.scoring().needs_worker.len()];
    host.score(&[], &columns, 1, &mut scores).unwrap();
    scores[0]
}

#[test]
fn what_a_guest_logs_before_it_traps_says_why() {
    let text = "index 7 out of range";
    let bytes: String = text.bytes().map(|byte| format!("\\{byte:02x}")).collect();
    let mut guest = Guest::scoring("panicking");
    guest.extra = import("log", "log", "(param i32 i32 i32)")
        + &format!("\n(data (i32.const 640) \"{bytes}\")");
    guest.on_call =
        format!("(call $log (i32.const 3) (i32.const 640) (i32.const {})) unreachable", text.len());
    let (_host, library) = PolicyHost::start(LibrarySettings::default()).unwrap();
    let refusal = library.check(&guest.build(), Some(Slot::Scoring), "{}").unwrap_err();
    assert_eq!(refusal.stage, Stage::Probe);
    assert_eq!(refusal.reason, "with no rows: score trapped: index 7 out of range");
}

#[test]
fn a_gauge_is_shown_and_what_is_not_finite_is_not() {
    let mut guest = Guest::scoring("gauging");
    guest.extra =
        import("gauge", "gauge", "(param i32 i32 f64)") + "\n(data (i32.const 640) \"goodbad\")";
    guest.on_call = "(call $gauge (i32.const 640) (i32.const 4) (f64.const 2.5)) \
        (call $gauge (i32.const 644) (i32.const 3) (f64.const nan))"
        .to_owned();
    let (mut host, library, _root) = serve(&guest.build(), false);
    score(&mut host, 0.5);
    let gauges = library.status().slots[0].serving.gauges.clone();
    assert_eq!(gauges, [("good".to_owned(), 2.5)].into());
}

#[test]
fn names_have_their_numbers_while_configuring_and_not_later() {
    let mut guest = Guest::scoring("interning");
    guest.extra = import("intern", "intern", "(param i32 i32 i32 i32) (result f64)")
        + "\n(data (i32.const 640) \"queueteamnone\")\n(global $n (mut f64) (f64.const 0))";
    let intern = |table: (u32, u32)| {
        format!(
            "(call $intern (i32.const {}) (i32.const {}) (i32.const 645) (i32.const 4))",
            table.0, table.1
        )
    };
    guest.on_configure = format!(
        "(if (f64.ne (f64.const -1) {}) (then unreachable)) (global.set $n {})",
        intern((649, 4)),
        intern((640, 5))
    );
    guest.on_call = format!("(if (f64.ne (f64.const -1) {}) (then unreachable))", intern((640, 5)));
    // The number of "team", scaled into the range of scores.
    guest.value = "(f64.div (global.get $n) (f64.const 9007199254740992))".to_owned();
    let (mut host, _library, _root) = serve(&guest.build(), false);
    assert_eq!(host.scoring().name, "interning");
    assert_eq!(score(&mut host, 0.5), name_number("team") / 9_007_199_254_740_992.0);
}

#[test]
fn imports_that_the_host_lacks_trap_where_the_slot_says_so() {
    let mut guest = Guest { has_clock: true, ..Guest::scoring("clocked") };
    // Asks for the time only for a load that no trial call has.
    guest.on_call = "(if (local.get $n_rows) (then (if (f64.eq (f64.const 0.123456) (f64.load \
        (i32.load (local.get $columns)))) (then (drop (call $clock))))))"
        .to_owned();
    let bytes = guest.build();
    let (_host, library, _root) = serve(&bytes, false);
    let refused = library.status().slots[0].refused.clone().unwrap();
    assert!(refused.reason.contains("wasi:clocks/wall-clock@0.2.0"), "{refused:?}");
    let (mut host, library, _root) = serve(&bytes, true);
    let refused = library.status().slots[0].refused.clone();
    assert!(refused.is_none(), "{refused:?}");
    assert_eq!(score(&mut host, 0.25), 0.75);
    let mut scores = Vec::new();
    let asked = host.score(&[], &[vec![0.123_456]], 1, &mut scores);
    assert_eq!(asked, Err(CallError::NextRung));
    host.begin_round();
    let failure = library.status().slots[0].last_failure.clone().unwrap();
    assert!(failure.message.contains("wasi:clocks/wall-clock@0.2.0"), "{failure:?}");
}
