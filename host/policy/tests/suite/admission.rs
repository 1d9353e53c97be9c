//! What is refused at the door, by which stage and with which words.

use crate::guests::{Guest, column, pairs};
use pointsman_policy::{
    Checked, LibrarySettings, PACKAGE, PolicyHost, PolicyLibrary, Refusal, Stage, VERSION,
};
use pointsman_scheduler::Slot;

fn library() -> PolicyLibrary {
    PolicyHost::start(LibrarySettings::default()).unwrap().1
}

fn check(bytes: &[u8], slot: Slot) -> Result<Checked, Refusal> {
    library().check(bytes, Some(slot), "{}")
}

#[track_caller]
fn assert_refused(guest: &Guest, stage: Stage, reason: &str) {
    let refusal = check(&guest.build(), guest.slot).unwrap_err();
    assert_eq!(refusal.stage, stage, "{refusal}");
    assert!(refusal.reason.contains(reason), "{refusal}");
}

#[test]
fn modules_and_components_of_every_slot_pass() {
    for guest in [Guest::scoring("s"), Guest::queue("q"), Guest::rescheduling("r")] {
        for bytes in [guest.build(), guest.component()] {
            let checked = library().check(&bytes, None, "{}").unwrap();
            assert_eq!((checked.slot, checked.name), (guest.slot, guest.name.clone()));
        }
    }
    let explained = Guest { explains: Some(0.5), ..Guest::scoring("explained") };
    let checked = check(&explained.build(), Slot::Scoring).unwrap();
    assert_eq!(checked.needs_worker, ["cpu-load"]);
    assert_eq!(checked.trial.rows, 1_000);
}

#[test]
fn what_is_not_webassembly_is_refused_by_what_it_is() {
    let random: Vec<u8> =
        (0..5_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let cases: [(&[u8], &str); 7] = [
        (b"", "empty"),
        (&[0xff, 0xd8, 0xff, 0xe0, 0, 16], "JPEG"),
        (&random, "starts with"),
        (b"(module)", "text"),
        (b"\x7fELF\x02\x01", "machine code"),
        (b"\0asm", "header"),
        (b"PK\x03\x04...", "ZIP"),
    ];
    for (bytes, reason) in cases {
        let refusal = check(bytes, Slot::Scoring).unwrap_err();
        assert_eq!(refusal.stage, Stage::Format, "{refusal}");
        assert!(refusal.reason.contains(reason), "{refusal}");
    }
}

#[test]
fn no_beginning_of_a_policy_passes_for_the_whole() {
    let library = library();
    for whole in [Guest::scoring("cut").build(), Guest::scoring("cut").component()] {
        for length in (0..whole.len()).step_by(61) {
            let result = library.check(&whole[..length], Some(Slot::Scoring), "{}");
            let refusal = result.expect_err("half a file");
            assert!(refusal.stage < Stage::Start, "{length} of {}: {refusal}", whole.len());
        }
    }
}

#[test]
fn no_flipped_bit_brings_the_host_down() {
    let library = library();
    let whole = Guest::scoring("flipped").component();
    for at in (0..whole.len()).step_by(41) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        // It may pass: a flipped letter of a name is a name.
        let _ = library.check(&bytes, Some(Slot::Scoring), "{}");
    }
}

#[test]
fn a_file_too_large_is_refused_with_both_numbers() {
    let mut bytes = Guest::scoring("large").component();
    bytes.resize(pointsman_policy::MAX_FILE + 1, 0);
    let refusal = check(&bytes, Slot::Scoring).unwrap_err();
    assert_eq!(refusal.reason, "the file has 33554433 bytes; at most 33554432 are taken");
}

#[test]
fn a_policy_for_another_slot_is_refused_by_name() {
    let refusal = check(&Guest::queue("q").build(), Slot::Scoring).unwrap_err();
    assert_eq!(refusal.stage, Stage::Contract);
    assert_eq!(refusal.reason, "it is a queue policy; the slot is scoring");
}

#[test]
fn a_module_without_a_policys_types_is_told_what_is_missing() {
    let refusal = check(&Guest::scoring("plain").build_plain(), Slot::Scoring).unwrap_err();
    assert_eq!(refusal.stage, Stage::Format);
    assert!(refusal.reason.contains("build it with the SDK"), "{refusal}");
    let refusal = check(&wat::parse_str("(component)").unwrap(), Slot::Scoring).unwrap_err();
    assert_eq!(refusal.reason, "it exports no policy interface, but nothing at all");
}

#[test]
fn another_version_of_the_contract_is_named() {
    let text =
        format!(r#"(component (instance $i) (export "{PACKAGE}/scoring@0.9.0" (instance $i)))"#);
    let refusal = check(&wat::parse_str(text).unwrap(), Slot::Scoring).unwrap_err();
    let expected = format!(
        "it is built for {PACKAGE} 0.9.0, this host speaks {VERSION}; upgrade the host, or \
         build it anew for {VERSION}"
    );
    assert_eq!(refusal.reason, expected);
}

#[test]
fn other_types_under_the_right_names_are_refused() {
    let text = format!(
        r#"(component
  (instance $i)
  (export "{PACKAGE}/lifecycle@{VERSION}" (instance $i))
  (export "{PACKAGE}/scoring@{VERSION}" (instance $i)))"#
    );
    let refusal = check(&wat::parse_str(text).unwrap(), Slot::Scoring).unwrap_err();
    assert_eq!(refusal.stage, Stage::Contract);
    assert_eq!(
        refusal.reason,
        format!(
            "its types differ from the contract: type mismatch for export \
             `{PACKAGE}/lifecycle@{VERSION}`: missing expected export `manifest`"
        )
    );
}

#[test]
fn wasi_is_refused_by_name_in_components_and_modules() {
    let component = format!(
        r#"(component
  (import "wasi:clocks/wall-clock@0.2.0" (instance))
  (instance $i)
  (export "{PACKAGE}/lifecycle@{VERSION}" (instance $i))
  (export "{PACKAGE}/scoring@{VERSION}" (instance $i)))"#
    );
    let refusal = check(&wat::parse_str(component).unwrap(), Slot::Scoring).unwrap_err();
    assert_eq!(refusal.stage, Stage::Contract);
    assert!(refusal.reason.contains("wasi:clocks/wall-clock@0.2.0"), "{refusal}");
    let mut module = Guest::scoring("clock");
    module.extra = "(import \"wasi_snapshot_preview1\" \"clock_time_get\" \
        (func $now (param i32 i64 i32) (result i32)))"
        .to_owned();
    assert_refused(&module, Stage::Format, "wasi_snapshot_preview1");
}

#[test]
fn unknown_columns_and_properties_are_refused_with_the_nearest() {
    let with = |properties: &[(&str, &str)]| Guest {
        properties: pairs(properties),
        ..Guest::scoring("manifest")
    };
    let cases: [(&[(&str, &str)], &str); 7] = [
        (&[("needs-worker", "cpu-laod")], "did you mean \"cpu-load\"?"),
        (&[("needs-worker", "cpu-load"), ("needs-task", "prio")], "unknown task column \"prio\""),
        (&[("needs-workers", "cpu-load")], "did you mean \"needs-worker\"?"),
        (&[("needs-worker", "cpu-load"), ("node-local", "yes")], "write true or false"),
        (&[("needs-worker", "cpu-load"), ("needs-worker", "rtt-ms")], "twice"),
        (&[("needs-worker", "cpu-load"), ("discipline", "strict")], "unknown property"),
        (&[("node-local", "true")], "needs-worker names no column"),
    ];
    for (properties, reason) in cases {
        assert_refused(&with(properties), Stage::Manifest, reason);
    }
    let queue = |properties| Guest { properties: pairs(properties), ..Guest::queue("manifest") };
    let late: &[(&str, &str)] =
        &[("needs-task", "waited-ms"), ("time-dependent", "true"), ("interval-ms", "5")];
    assert_refused(&queue(late), Stage::Manifest, "from 100 to 3600000");
    let odd: &[(&str, &str)] = &[("needs-task", "waited-ms"), ("discipline", "lifo")];
    assert_refused(&queue(odd), Stage::Manifest, "write greedy, strict or backfill");
    let by_queue: &[(&str, &str)] = &[("needs-task", "waited-ms"), ("group-by", "queue")];
    assert_refused(&queue(by_queue), Stage::Manifest, "write tenant or job");
    assert_refused(&Guest::scoring(""), Stage::Manifest, "1 to 100");
}

#[test]
fn a_wrong_answer_to_a_trial_call_is_refused_with_the_batch() {
    let cases = [
        ("(f64.const nan)", "NaN for row 0"),
        ("(f64.const 1.5)", "scores are from 0 to 1"),
        ("(f64.const -0.001)", "scores are from 0 to 1"),
    ];
    for (value, reason) in cases {
        let guest = Guest { value: value.to_owned(), ..Guest::scoring("wrong") };
        assert_refused(&guest, Stage::Probe, reason);
    }
    let long = Guest { length: "(i32.const 3)".to_owned(), ..Guest::constant("long", 0.5) };
    assert_refused(&long, Stage::Probe, "with no rows: score answered 3 values for 0 rows");
    // Hands through what is missing.
    let careless = Guest {
        properties: pairs(&[("needs-worker", "rtt-ms")]),
        value: format!("(f64.div (f64.const 1) (f64.add (f64.const 1) {}))", column(0)),
        ..Guest::scoring("careless")
    };
    assert_refused(&careless, Stage::Probe, "with missing values");
    let failing = Guest { error: Some("not today".to_owned()), ..Guest::scoring("failing") };
    assert_refused(&failing, Stage::Probe, "answered an error: not today");
}

#[test]
fn a_policy_that_keeps_state_is_refused() {
    let mut guest = Guest::scoring("counting");
    guest.extra = "(global $n (mut f64) (f64.const 0))".to_owned();
    guest.on_call = "(global.set $n (f64.add (global.get $n) (f64.const 0.001)))".to_owned();
    guest.value = "(global.get $n)".to_owned();
    assert_refused(&guest, Stage::Probe, "a policy keeps no state");
}

#[test]
fn traps_and_endless_loops_are_cut_off_wherever_they_are() {
    let trap = Guest { on_configure: "unreachable".to_owned(), ..Guest::scoring("trap") };
    assert_refused(&trap, Stage::Start, "configure trapped");
    let in_call = Guest { on_call: "unreachable".to_owned(), ..Guest::scoring("trap") };
    assert_refused(&in_call, Stage::Probe, "score trapped: wasm `unreachable`");
    let endless = "(loop $l (br $l))".to_owned();
    let in_configure = Guest { on_configure: endless.clone(), ..Guest::scoring("endless") };
    assert_refused(&in_configure, Stage::Start, "ran longer than 2000 ms of CPU time");
    let in_call = Guest { on_call: endless, ..Guest::scoring("endless") };
    assert_refused(&in_call, Stage::Probe, "score ran longer than 5 ms of CPU time");
    let deep = Guest {
        extra: "(func $deep (call $deep))".to_owned(),
        on_call: "(call $deep)".to_owned(),
        ..Guest::scoring("deep")
    };
    assert_refused(&deep, Stage::Probe, "call stack exhausted");
    let in_start = Guest {
        extra: "(func $s (loop $l (br $l)))\n(start $s)".to_owned(),
        ..Guest::scoring("start")
    };
    assert_refused(&in_start, Stage::Start, "ran longer than 2000 ms of CPU time");
}

#[test]
fn memory_beyond_the_limit_is_refused_at_the_start_and_when_it_grows() {
    let greedy = Guest { pages: 300, ..Guest::scoring("greedy") };
    assert_refused(&greedy, Stage::Start, "starts with 19660800 bytes");
    let growing = Guest {
        on_call: "(if (i32.eq (i32.const -1) (memory.grow (i32.const 400))) (then unreachable))"
            .to_owned(),
        ..Guest::scoring("growing")
    };
    assert_refused(&growing, Stage::Probe, "more than its limit");
}

#[test]
fn an_answer_larger_than_the_host_takes_is_refused() {
    // One entry of memory, named a million times over.
    let mut guest = Guest::scoring("bomb");
    guest.on_call = "(i32.store8 offset=16 (i32.const 0) (i32.const 0)) \
        (i32.store offset=20 (i32.const 0) (i32.const 0)) \
        (i32.store offset=24 (i32.const 0) (i32.const 1000000)) \
        (drop (memory.grow (i32.const 150))) (return (i32.const 16))"
        .to_owned();
    assert_refused(&guest, Stage::Probe, "more than the host takes");
}

#[test]
fn an_error_of_configure_is_handed_on() {
    let mut guest = Guest::scoring("picky");
    guest.on_configure = "(i32.store8 (i32.const 64) (i32.const 1)) \
        (i32.store (i32.const 68) (i32.const 96)) (i32.store (i32.const 72) (i32.const 4)) \
        (i32.store (i32.const 96) (i32.const 0x6f6f7074)) (return (i32.const 64))"
        .to_owned();
    assert_refused(&guest, Stage::Start, "tpoo");
}
