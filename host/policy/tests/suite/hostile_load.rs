//! Modules that are at fault before they run: each text of the fixtures says at which stage it is
//! refused and with which words; and what the world's bytes look like when they are no policy at all.

use crate::guests::{Guest, contract};
use pointsman_fixtures::{LOAD_FAULTS, LoadFault};
use pointsman_policy::{CONTRACT_FILES, LibrarySettings, PACKAGE, PolicyHost, VERSION};
use pointsman_scheduler::Slot;
use wit_component::StringEncoding;
use wit_parser::{Resolve, SourceMap};

fn build(fault: &LoadFault) -> Vec<u8> {
    let text = fault.text.replace("{v}", VERSION);
    let mut bytes = wat::parse_str(&text).unwrap_or_else(|error| panic!("{}: {error}", fault.name));
    if let Some(world) = fault.says("types") {
        let (resolve, package) = contract();
        let world = resolve.select_world(&[package], Some(world)).unwrap();
        let encoding = StringEncoding::UTF8;
        wit_component::embed_component_metadata(&mut bytes, &resolve, world, encoding).unwrap();
    }
    bytes
}

#[test]
fn no_module_at_fault_is_refused_without_its_reason() {
    let (_host, library) = PolicyHost::start(LibrarySettings::default()).unwrap();
    assert!(LOAD_FAULTS.len() > 10);
    for fault in LOAD_FAULTS {
        let says = |key| fault.says(key).unwrap_or_else(|| panic!("{} lacks {key}", fault.name));
        let slot = Slot::find(says("slot")).unwrap();
        let refusal = library.check(&build(fault), Some(slot), "{}").expect_err(fault.name);
        let because = says("because").replace("{v}", VERSION);
        assert_eq!(refusal.stage.code(), says("refused at"), "{}: {refusal}", fault.name);
        assert!(refusal.reason.contains(&because), "{}: {refusal}", fault.name);
    }
}

/// `guest` made for a contract that `alter` makes of ours.
fn altered(guest: &Guest, alter: impl Fn(&str) -> String) -> Vec<u8> {
    let mut map = SourceMap::new();
    let mut n_changed = 0;
    for (name, text) in CONTRACT_FILES {
        let other = alter(text);
        n_changed += usize::from(other != text);
        map.push_str(name, other);
    }
    assert!(n_changed > 0, "the contract is altered");
    let mut resolve = Resolve::default();
    let group = map.parse().map_err(|(_, error)| error).unwrap();
    let package = resolve.push_group(group).unwrap();
    let world = format!("{}-policy", guest.slot.name());
    let world = resolve.select_world(&[package], Some(&world)).unwrap();
    let mut bytes = guest.build_plain();
    let encoding = StringEncoding::UTF8;
    wit_component::embed_component_metadata(&mut bytes, &resolve, world, encoding).unwrap();
    bytes
}

fn logging(guest: Guest) -> Guest {
    let import =
        format!("(import \"{PACKAGE}/host@{VERSION}\" \"log\" (func $log (param i32 i32 i32)))");
    Guest { extra: import, ..guest }
}

#[test]
fn no_policy_for_a_slightly_different_contract_is_refused_without_saying_where() {
    let (_host, library) = PolicyHost::start(LibrarySettings::default()).unwrap();
    type Alter = fn(&str) -> String;
    let cases: [(Guest, Alter, &[&str]); 4] = [
        (
            logging(Guest::scoring("fewer-cases")),
            |text| {
                text.replace(
                    "enum level { debug, info, warn, error }",
                    "enum level { debug, info, warn }",
                )
            },
            &[
                "policy/host@",
                "`enum level { debug, info, warn, error }`, found `enum level { debug, info, warn }`",
            ],
        ),
        (
            Guest::scoring("narrower"),
            |text| text.replace("score: func(task: list<f64>", "score: func(task: list<f32>"),
            &[
                "policy/scoring@",
                "expected `score: func(task: list<f64>, workers: list<list<f64>>)",
                "found `score: func(task: list<f32>, workers: list<list<f64>>)",
            ],
        ),
        (
            Guest::queue("renamed"),
            |text| text.replace("rank: func(now-ms: f64", "rank: func(now: f64"),
            &["policy/queue@", "expected `rank: func(now-ms: f64", "found `rank: func(now: f64"],
        ),
        (
            Guest::rescheduling("fewer-actions"),
            |text| text.replace("        requeue,\n", "").replace("        cancel,\n", ""),
            &[
                "`variant action { migrate, requeue, cancel, raise-priority(s32) }`, found `variant action { migrate, raise-priority(s32) }`",
            ],
        ),
    ];
    for (guest, alter, words) in cases {
        let bytes = altered(&guest, alter);
        let refusal = library.check(&bytes, Some(guest.slot), "{}").expect_err(&guest.name);
        assert_eq!(refusal.stage.code(), "contract", "{}: {refusal}", guest.name);
        for word in words {
            assert!(refusal.reason.contains(word), "{}: {word} is not in {refusal}", guest.name);
        }
    }
}

#[test]
fn no_bytes_of_another_kind_pass_for_a_policy() {
    let (_host, library) = PolicyHost::start(LibrarySettings::default()).unwrap();
    let mut state = 7_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    let noise: Vec<u8> = (0..100_000).map(|_| random()).collect();
    // Noise behind each header that leads further in.
    for header in [&b"\0asm\x01\0\0\0"[..], b"\0asm\x0d\0\x01\0", b"\xff\xd8\xff\xe0", b""] {
        let bytes = [header, &noise].concat();
        let refusal = library.check(&bytes, Some(Slot::Scoring), "{}").unwrap_err();
        assert_eq!(refusal.stage.code(), "format", "{refusal}");
    }
}

#[test]
fn no_bulk_of_memories_tables_or_instances_is_set_up() {
    let many = |line: &str, n: usize| vec![line; n].join("\n");
    let cases = [
        // Within the limit each, beyond it together.
        (many("(memory 200)", 3), "memory"),
        (many("(table 60000 funcref)", 2), "table elements"),
    ];
    for (extra, because) in cases {
        let guest = Guest { extra, ..Guest::scoring("bulk") };
        let (_host, library) = PolicyHost::start(LibrarySettings::default()).unwrap();
        let refusal = library.check(&guest.build(), Some(Slot::Scoring), "{}").unwrap_err();
        assert_eq!(refusal.stage.code(), "start", "{refusal}");
        assert!(refusal.reason.contains(because), "{refusal}");
    }
}
