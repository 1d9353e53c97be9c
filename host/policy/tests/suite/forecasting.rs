//! Forecasting policies: checked and measured like any other, and bound to nothing.

use crate::guests::contract;
use pointsman_policy::{
    Binding, Inspected, Inspector, LibrarySettings, LimitsByKind, NO_HISTORY, PACKAGE, PolicyHost,
    Refusal, Stage, Subject, VERSION, World,
};
use pointsman_scheduler::Slot;
use std::time::Duration;
use wit_component::StringEncoding;

/// Answers the newest sample, or 0.25 where there is none.
struct Forecaster {
    properties: Vec<(&'static str, &'static str)>,
    /// What it takes for the newest sample, to be faulty: an f64.
    value: &'static str,
    /// Lists and values that it answers: i32.
    n_lists: &'static str,
    n_values: &'static str,
}

const NEWEST: &str = "(f64.load (local.get $at))";

fn persistence() -> Forecaster {
    Forecaster {
        properties: vec![
            ("needs-worker", "cpu-used@-29s..0s/1s"),
            ("provides", "predicted:cpu-used"),
            ("horizon-ms", "60000"),
        ],
        value: NEWEST,
        n_lists: "(i32.const 1)",
        n_values: "(local.get $n_rows)",
    }
}

impl Forecaster {
    fn with(mut self, key: &'static str, value: &'static str) -> Forecaster {
        self.properties.retain(|(it, _)| *it != key);
        self.properties.push((key, value));
        self
    }

    fn build(&self) -> Vec<u8> {
        let mut bytes = wat::parse_str(self.text()).unwrap();
        let (resolve, package) = contract();
        let world = resolve.select_world(&[package], Some("forecasting-policy")).unwrap();
        let encoding = StringEncoding::UTF8;
        wit_component::embed_component_metadata(&mut bytes, &resolve, world, encoding).unwrap();
        bytes
    }

    fn text(&self) -> String {
        let mut data = String::new();
        let mut at = 2048;
        let mut text = |text: &str| {
            data.push_str(&format!("(data (i32.const {at}) {text:?})\n"));
            let start = at;
            at += text.len();
            format!("(i32.const {start}) (i32.const {})", text.len())
        };
        let mut stores = String::new();
        let texts = self.properties.iter().flat_map(|(key, value)| [*key, *value]);
        let texts: Vec<String> =
            ["still", "1.0.0"].into_iter().chain(texts).map(&mut text).collect();
        // The manifest stands at 1024, its properties at 1200.
        for (i, text) in texts.iter().enumerate() {
            let target = if i < 2 { 1028 + 8 * i } else { 1200 + 8 * (i - 2) };
            stores.push_str(&format!("(call $pair (i32.const {target}) {text})\n"));
        }
        let n_properties = self.properties.len();
        let Forecaster { value, n_lists, n_values, .. } = self;
        format!(
            r#"(module
  (memory (export "memory") 4)
  (global $next (mut i32) (i32.const 32768))
  (func $pair (param $at i32) (param $a i32) (param $b i32)
    (i32.store (local.get $at) (local.get $a))
    (i32.store offset=4 (local.get $at) (local.get $b)))
  (func (export "cabi_realloc") (param i32 i32 i32) (param $size i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $next) (i32.const 15)) (i32.const -16)))
    (global.set $next (i32.add (local.get $at) (local.get $size)))
    (block $fits
      (br_if $fits (i32.le_u (global.get $next) (i32.mul (memory.size) (i32.const 65536))))
      (br_if $fits (i32.ne (i32.const -1) (memory.grow (i32.add (i32.const 1)
        (i32.div_u (local.get $size) (i32.const 65536))))))
      unreachable)
    (local.get $at))
  (func (export "{PACKAGE}/lifecycle@{VERSION}#configure") (param i32 i32) (result i32)
    {stores}
    (call $pair (i32.const 1044) (i32.const 1200) (i32.const {n_properties}))
    (i32.const 1024))
  (func (export "{PACKAGE}/forecasting@{VERSION}#forecast")
    (param $lists i32) (param $n_lists i32) (result i32)
    (local $newest i32) (local $n_rows i32) (local $row i32) (local $at i32) (local $value f64)
    (local.set $newest (i32.add (local.get $lists)
      (i32.mul (i32.const 8) (i32.sub (local.get $n_lists) (i32.const 1)))))
    (local.set $n_rows (i32.load offset=4 (local.get $newest)))
    (block $done (loop $next_row
      (br_if $done (i32.ge_u (local.get $row) (local.get $n_rows)))
      (local.set $at (i32.add (i32.load (local.get $newest)) (i32.mul (local.get $row) (i32.const 8))))
      (local.set $value {value})
      (if (f64.ne (local.get $value) (local.get $value))
        (then (local.set $value (f64.const 0.25))))
      (f64.store (local.get $at) (local.get $value))
      (local.set $row (i32.add (local.get $row) (i32.const 1)))
      (br $next_row)))
    (call $pair (i32.const 1104) (i32.load (local.get $newest)) {n_values})
    (call $pair (i32.const 1112) (i32.load (local.get $newest)) {n_values})
    (i32.store8 (i32.const 1080) (i32.const 0))
    (call $pair (i32.const 1084) (i32.const 1104) {n_lists})
    (i32.const 1080))
  (func (export "cabi_post_{PACKAGE}/forecasting@{VERSION}#forecast") (param i32)
    (global.set $next (i32.const 32768)))
  {data})"#
        )
    }
}

fn subject(bytes: &[u8], world: Option<World>) -> Subject<'_> {
    Subject { bytes, world, config: "{}", wasi_traps: false }
}

fn check(forecaster: &Forecaster) -> Result<Inspected, Refusal> {
    let inspector = Inspector::new(LimitsByKind::default()).unwrap();
    inspector.check(&subject(&forecaster.build(), None))
}

#[test]
fn a_forecaster_is_checked_and_measured_like_any_policy() {
    let bytes = persistence().build();
    let inspector = Inspector::new(LimitsByKind::default()).unwrap();
    let bench = inspector.bench(&subject(&bytes, None), &[1, 1_000, 10_000]).unwrap();
    let inspected = &bench.inspected;
    assert_eq!(inspected.world, World::Forecasting);
    assert_eq!(inspected.provides, ["predicted:cpu-used"]);
    assert_eq!(inspected.needs_worker, ["cpu-used@-29s..0s/1s"]);
    assert_eq!(inspected.properties, [("horizon-ms".to_owned(), "60000".to_owned())]);
    assert!(bench.rows.iter().all(|row| row.cost.is_ok()), "{:?}", bench.rows);
}

#[test]
fn no_call_is_measured_that_the_host_would_not_make() {
    let wide = persistence().with("needs-worker", "cpu-used@-255s..0s/1s");
    let inspector = Inspector::new(LimitsByKind::default()).unwrap();
    let bench = inspector.bench(&subject(&wide.build(), None), &[10_000]).unwrap();
    let refused = bench.rows[0].cost.clone().unwrap_err();
    assert!(refused.contains("at most 3906 rows of 256 lists"), "{refused}");
}

#[test]
fn no_answer_that_is_not_a_number_for_each_row_and_column_is_taken() {
    let refused = [
        (Forecaster { value: "(f64.const inf)", ..persistence() }, "inf of cpu-used for row 0"),
        (
            Forecaster { n_lists: "(i32.const 2)", ..persistence() },
            "answered 2 lists for 1 provided columns",
        ),
        (
            Forecaster { n_values: "(i32.const 0)", ..persistence() },
            "answered 0 values of cpu-used for 1 rows",
        ),
    ];
    for (forecaster, reason) in refused {
        let refusal = check(&forecaster).unwrap_err();
        assert_eq!(refusal.stage, Stage::Probe);
        assert!(refusal.reason.contains(reason), "{refusal}");
    }
    // Beyond the range is no failure: it is cut.
    check(&Forecaster { value: "(f64.const 1.5)", ..persistence() }).unwrap();
}

#[test]
fn a_forecaster_that_says_too_little_or_too_much_of_itself_is_refused() {
    let refused = [
        (persistence().with("provides", ""), "set provides"),
        (persistence().with("provides", "cpu-used"), "write predicted:<column>"),
        (persistence().with("provides", "predicted:cpu-usde"), "cpu-used"),
        (persistence().with("provides", "predicted:running"), "what is measured can be forecast"),
        (persistence().with("horizon-ms", "0"), "1000 to 86400000"),
        (persistence().with("needs-worker", "cpu-used@-5m"), "<from>..<to>/<step>"),
        (
            persistence().with("needs-worker", "cpu-load@-5m..0s/1m"),
            "windows are of what is measured",
        ),
        (persistence().with("needs-worker", "rtt-ms@-300s..0s/1s"), "301 lists"),
        (persistence().with("needs-worker", ""), "names no column"),
        (persistence().with("needs-task", "cpu"), "unknown property \"needs-task\""),
    ];
    for (forecaster, reason) in refused {
        let refusal = check(&forecaster).unwrap_err();
        assert_eq!(refusal.stage, Stage::Manifest, "{refusal}");
        assert!(refusal.reason.contains(reason), "{refusal}");
    }
    let without_horizon = Forecaster {
        properties: vec![("needs-worker", "cpu-used"), ("provides", "predicted:cpu-used")],
        ..persistence()
    };
    assert!(check(&without_horizon).unwrap_err().reason.contains("set horizon-ms"));
}

#[test]
fn a_forecaster_is_bound_to_no_slot_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("still.wasm"), persistence().build()).unwrap();
    let settings = LibrarySettings {
        directory: Some(folder.path().to_owned()),
        data_dir: None,
        standard: Vec::new(),
        limits: LimitsByKind::default(),
    };
    let (mut host, library) = PolicyHost::start(settings).unwrap();
    library.bind(Slot::Scoring, Some(Binding::to("still")));
    assert!(library.settle(Duration::from_secs(60)));
    pointsman_scheduler::policies::Policies::begin_round(&mut host);
    let status = library.status();
    let slot = status.slots.iter().find(|it| it.slot == Slot::Scoring).unwrap();
    assert_eq!(slot.serving.component, "weighted-score");
    assert_eq!(slot.refused.as_ref().unwrap().reason, NO_HISTORY);
    library.bind(Slot::Scoring, None);
    library.rescan();
    assert!(library.settle(Duration::from_secs(60)));
    let status = library.status();
    assert_eq!(status.files[0].verdict.as_ref().unwrap_err().reason, NO_HISTORY);
}
