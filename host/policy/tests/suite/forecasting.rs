//! Forecasting policies: checked, measured and served like any other.

use crate::guests::{Guest, contract};
use pointsman_forecast_models::{Lstm, Weights};
use pointsman_policy::{
    Assets, Binding, ForecastHost, IncidentKind, Inspected, Inspector, LibrarySettings,
    LimitsByKind, OnFailure, PACKAGE, PolicyHost, PolicyLibrary, PredictedColumns, Refusal,
    SlotState, SlotStatus, Stage, Subject, VERSION,
};
use pointsman_scheduler::Slot;
use pointsman_scheduler::columns::WorkerColumn;
use pointsman_scheduler::policies::Policies;
use std::sync::Arc;
use std::time::Duration;
use wit_component::StringEncoding;

/// Answers the newest sample, or 0.25 where there is none.
pub struct Forecaster {
    name: &'static str,
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
        name: "still",
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
    pub fn named(name: &'static str) -> Forecaster {
        Forecaster { name, ..persistence() }
    }

    fn with(mut self, key: &'static str, value: &'static str) -> Forecaster {
        self.properties.retain(|(it, _)| *it != key);
        self.properties.push((key, value));
        self
    }

    pub fn build(&self) -> Vec<u8> {
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
            [self.name, "1.0.0"].into_iter().chain(texts).map(&mut text).collect();
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

pub fn subject<'a>(bytes: &'a [u8], assets: &'a Assets) -> Subject<'a> {
    Subject { bytes, slot: None, config: "{}", assets, wasi_traps: false }
}

fn check(forecaster: &Forecaster) -> Result<Inspected, Refusal> {
    let inspector = Inspector::new(LimitsByKind::default()).unwrap();
    inspector.check(&subject(&forecaster.build(), &Assets::default()))
}

#[test]
fn a_forecaster_is_checked_and_measured_like_any_policy() {
    let bytes = persistence().build();
    let inspector = Inspector::new(LimitsByKind::default()).unwrap();
    let bench = inspector.bench(&subject(&bytes, &Assets::default()), &[1, 1_000, 10_000]).unwrap();
    let inspected = &bench.inspected;
    assert_eq!(inspected.slot, Slot::Forecasting);
    assert_eq!(inspected.provides, ["predicted:cpu-used"]);
    assert_eq!(inspected.needs_worker, ["cpu-used@-29s..0s/1s"]);
    assert_eq!(inspected.properties, [("horizon-ms".to_owned(), "60000".to_owned())]);
    assert!(bench.rows.iter().all(|row| row.cost.is_ok()), "{:?}", bench.rows);
}

#[test]
fn no_call_is_measured_that_the_host_would_not_make() {
    let wide = persistence().with("needs-worker", "cpu-used@-255s..0s/1s");
    let inspector = Inspector::new(LimitsByKind::default()).unwrap();
    let bench = inspector.bench(&subject(&wide.build(), &Assets::default()), &[10_000]).unwrap();
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

/// A library with a folder, the thread's end that asks for forecasts, and that of the driver.
pub struct Site {
    pub root: tempfile::TempDir,
    pub host: PolicyHost,
    pub forecasts: ForecastHost,
    pub library: PolicyLibrary,
}

impl Site {
    pub fn new() -> Site {
        Site::at(tempfile::tempdir().unwrap())
    }

    fn at(root: tempfile::TempDir) -> Site {
        std::fs::create_dir_all(root.path().join("policies")).unwrap();
        let settings = LibrarySettings {
            directory: Some(root.path().join("policies")),
            data_dir: Some(root.path().join("data")),
            ..LibrarySettings::default()
        };
        let (host, library) = PolicyHost::start(settings).unwrap();
        let forecasts = library.take_forecasts().unwrap();
        Site { root, host, forecasts, library }
    }

    pub fn restarted(self) -> Site {
        Site::at(self.root)
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.root.path().join("policies").join(name), bytes).unwrap();
    }

    pub fn bind(&mut self, slot: Slot, name: &str) {
        self.library.bind(slot, Some(Binding::to(name)));
        self.settle();
    }

    pub fn settle(&mut self) {
        self.library.rescan();
        assert!(self.library.settle(PATIENCE));
        self.host.begin_round();
        self.forecasts.begin_round();
    }

    pub fn status(&self, slot: Slot) -> SlotStatus {
        self.library.status().slots.into_iter().find(|it| it.slot == slot).unwrap()
    }

    pub fn serving(&self, slot: Slot) -> String {
        self.status(slot).serving.name
    }
}

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_forecaster_serves_its_slot_and_is_asked_beside_the_driver() {
    let mut site = Site::new();
    assert_eq!(site.serving(Slot::Forecasting), "none");
    assert!(site.forecasts.serving().is_none());
    site.write("still.wasm", &persistence().build());
    site.bind(Slot::Forecasting, "still");
    assert_eq!(site.serving(Slot::Forecasting), "still");
    let (_, profile) = site.forecasts.serving().unwrap();
    let mut lists = vec![vec![0.5, f64::NAN]; profile.n_lists()];
    lists[29] = vec![0.75, f64::NAN];
    let answer = site.forecasts.forecast(&profile, &lists, 2).unwrap();
    assert_eq!(answer, [[0.75, 0.25]]);
    site.library.bind(Slot::Forecasting, None);
    site.settle();
    assert!(site.forecasts.serving().is_none());
}

fn scoring_by_forecast(name: &str) -> Vec<u8> {
    let mut guest = Guest::scoring(name);
    guest.properties[0].1 = "cpu-load,predicted:cpu-used".to_owned();
    guest.build()
}

#[test]
fn no_policy_serves_without_the_forecasts_that_it_needs_and_it_comes_back_with_them() {
    let column = WorkerColumn::PredictedCpuUsed;
    let mut site = Site::new();
    site.write("plain.wasm", &Guest::scoring("plain").build());
    site.bind(Slot::Scoring, "plain");
    site.write("foreseeing.wasm", &scoring_by_forecast("foreseeing"));
    site.bind(Slot::Scoring, "foreseeing");
    let told = |site: &Site| site.status(Slot::Scoring).warning;
    let needs = |why: &str| Some(format!("foreseeing 1.0.0 needs predicted:cpu-used, which {why}"));
    assert_eq!(site.serving(Slot::Scoring), "plain");
    assert_eq!(
        told(&site),
        needs("no forecasting policy provides; bind one to the slot forecasting")
    );
    let incidents = site.host.take_incidents();
    let n_waiting = incidents.iter().filter(|it| it.kind == IncidentKind::Waiting).count();
    assert_eq!(n_waiting, 1, "{incidents:?}");
    let fit = PredictedColumns { fit: vec![column], unfit: Vec::new() };
    let unfit = PredictedColumns { fit: Vec::new(), unfit: vec![(column, "it is bad".into())] };
    for _ in 0..2 {
        site.library.set_predicted(fit.clone());
        site.host.begin_round();
        assert_eq!(site.serving(Slot::Scoring), "foreseeing");
        assert_eq!((told(&site), site.status(Slot::Scoring).state), (None, SlotState::Serving));
        site.library.set_predicted(unfit.clone());
        site.host.begin_round();
        assert_eq!(site.serving(Slot::Scoring), "plain");
        assert_eq!(told(&site), needs("is unfit: it is bad"));
        assert_eq!(site.status(Slot::Scoring).state, SlotState::Fallback);
    }
    // A policy that needs no forecast serves whatever becomes of them.
    site.bind(Slot::Scoring, "plain");
    assert_eq!((site.serving(Slot::Scoring), told(&site)), ("plain".to_owned(), None));
    assert_eq!(site.host.wake_in(), None, "nothing is waited for");
}

#[test]
fn a_slot_that_holds_waits_for_forecasts_without_being_asked_again_and_again() {
    let mut site = Site::new();
    site.write("foreseeing.wasm", &scoring_by_forecast("foreseeing"));
    let binding = Binding { on_failure: OnFailure::Hold, ..Binding::to("foreseeing") };
    site.library.bind(Slot::Scoring, Some(binding));
    site.settle();
    assert_eq!(site.status(Slot::Scoring).state, SlotState::Held);
    assert_eq!(site.host.wake_in(), None);
    let fit = PredictedColumns { fit: vec![WorkerColumn::PredictedCpuUsed], unfit: Vec::new() };
    site.library.set_predicted(fit);
    assert!(site.host.has_swap());
    site.host.begin_round();
    assert_eq!(site.serving(Slot::Scoring), "foreseeing");
}

/// The standard forecasters, with what they need beside them.
fn standard_forecasters() -> Vec<(&'static str, Assets)> {
    let weights = |column| {
        let bytes = pointsman_fixtures::weights(column, 5_000, 30, 0.25);
        (format!("{column}.safetensors"), Arc::from(bytes))
    };
    let weights = Assets::of([weights("cpu-used"), weights("memory-used")].into());
    let assets = |name| if name == "lstm-forecast" { weights.clone() } else { Assets::default() };
    let standard = pointsman_bundle::POLICIES.iter().filter(|it| it.slot == "forecasting");
    standard.map(|policy| (policy.name, assets(policy.name))).collect()
}

#[test]
fn no_standard_forecaster_is_slow_or_refused_and_none_answers_for_a_row_by_the_others() {
    let inspector = Inspector::new(LimitsByKind::default()).unwrap();
    for (name, assets) in standard_forecasters() {
        let bytes = pointsman_bundle::find(name).unwrap().bytes;
        let bench = inspector.bench(&subject(bytes, &assets), &[1, 1_000]).unwrap();
        assert_eq!(bench.inspected.provides, ["predicted:cpu-used", "predicted:memory-used"]);
        assert!(bench.rows.iter().all(|row| row.cost.is_ok()), "{name}: {:?}", bench.rows);
        let mut site = Site::new();
        site.write(&format!("{name}.wasm"), bytes);
        let folder = site.root.path().join("policies").join(name);
        if name == "lstm-forecast" {
            std::fs::create_dir(&folder).unwrap();
            for column in ["cpu-used", "memory-used"] {
                let weights = pointsman_fixtures::weights(column, 5_000, 30, 0.25);
                std::fs::write(folder.join(format!("{column}.safetensors")), weights).unwrap();
            }
        }
        site.bind(Slot::Forecasting, name);
        let (_, profile) = site.forecasts.serving().unwrap();
        let value = |list: usize, row: usize| match (list * 7 + row * 13) % 11 {
            0 => f64::NAN,
            at => at as f64 / 11.0,
        };
        let lists = |rows: &[usize]| -> Vec<Vec<f64>> {
            let list = |list| rows.iter().map(|row| value(list, *row)).collect();
            (0..profile.n_lists()).map(list).collect()
        };
        let all: Vec<usize> = (0..50).collect();
        let together = site.forecasts.forecast(&profile, &lists(&all), all.len()).unwrap();
        for row in all {
            let alone = site.forecasts.forecast(&profile, &lists(&[row]), 1).unwrap();
            let [cpu, memory] = &together[..] else { panic!("two columns") };
            assert_eq!((alone[0][0], alone[1][0]), (cpu[row], memory[row]), "{name}, row {row}");
        }
    }
}

#[test]
fn a_network_answers_in_the_component_as_it_does_natively() {
    let inspector = Inspector::new(LimitsByKind::default()).unwrap();
    let bytes = pointsman_bundle::find("lstm-forecast").unwrap().bytes;
    for n_layers in [1, 2] {
        let weights = pointsman_fixtures::wild_weights("cpu-used", 5_000, 30, n_layers);
        let native = Lstm::new(&Weights::read(&weights).unwrap());
        let assets = Assets::of([("cpu-used.safetensors".to_owned(), Arc::from(weights))].into());
        let foreteller = inspector.foreteller(&subject(bytes, &assets)).unwrap();
        // Holes, short histories and none at all among them.
        let value = |sample: usize, row: usize| match (sample * 31 + row * 17) % 101 {
            at if at == row % 101 || sample < row % 40 => f64::NAN,
            at => 0.2 + 0.6 * at as f64 / 101.0,
        };
        let list = |sample| (0..1_000).map(|row| value(sample, row)).collect();
        let lists: Vec<Vec<f64>> = (0..30).map(list).collect();
        let expected = native.forecast(&lists);
        let answered = foreteller.forecast(&lists, 1_000).unwrap().remove(0);
        let difference = |(native, guest): (&f64, &f64)| (native.clamp(0.0, 1.0) - guest).abs();
        let most = expected.iter().zip(&answered).map(difference).fold(0.0, f64::max);
        println!("{n_layers} layer(s): at most {most:e} apart");
        assert!(most <= 1e-5, "{most}");
        let is_moved = |value: &f64| *value > 0.0 && *value < 1.0;
        assert!(
            answered.iter().filter(|it| is_moved(it)).count() > 300,
            "most are within the range"
        );
    }
}
