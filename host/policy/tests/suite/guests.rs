//! Small guests for tests, written as WebAssembly text against the contract.

use pointsman_policy::{CONTRACT_FILES, PACKAGE, VERSION};
use pointsman_scheduler::Slot;
use std::fmt::Write as _;
use wit_component::StringEncoding;
use wit_parser::{Resolve, SourceMap};

/// A guest to be built. Statements are WebAssembly text; `$row` is the current row.
#[derive(Debug, Clone)]
pub struct Guest {
    pub slot: Slot,
    pub name: String,
    pub version: String,
    pub properties: Vec<(String, String)>,
    /// At the start of `configure`.
    pub on_configure: String,
    /// At the start of each call.
    pub on_call: String,
    /// The value answered for `$row`: an f64.
    pub value: String,
    /// How many values are answered: an i32; `$n_rows` is right.
    pub length: String,
    /// Answer this error instead.
    pub error: Option<String>,
    /// Pages of memory at the start.
    pub pages: u32,
    /// More imports, functions and data.
    pub extra: String,
    /// The answer of `review`: proposals as (row, action number, priority).
    pub proposals: Vec<(u32, u8, i32)>,
    /// Export `explanation`, which answers one term `only` with this value.
    pub explains: Option<f64>,
    /// Import a clock of WASI, as `$clock`.
    pub has_clock: bool,
}

/// `column[i]` in `$row`, as text.
pub fn column(i: u32) -> String {
    format!(
        "(f64.load (i32.add (i32.load offset={} (local.get $columns)) \
         (i32.mul (local.get $row) (i32.const 8))))",
        8 * i
    )
}

impl Guest {
    /// Scores 1 - cpu-load, node-local.
    pub fn scoring(name: &str) -> Guest {
        Guest {
            slot: Slot::Scoring,
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            properties: pairs(&[("needs-worker", "cpu-load"), ("node-local", "true")]),
            on_configure: String::new(),
            on_call: String::new(),
            value: format!("(f64.sub (f64.const 1) {})", column(0)),
            length: "(local.get $n_rows)".to_owned(),
            error: None,
            pages: 2,
            extra: String::new(),
            proposals: Vec::new(),
            explains: None,
            has_clock: false,
        }
    }

    /// Ranks by submitted-ms.
    pub fn queue(name: &str) -> Guest {
        Guest {
            slot: Slot::Queue,
            properties: pairs(&[("needs-task", "submitted-ms")]),
            value: column(0),
            ..Guest::scoring(name)
        }
    }

    /// Proposes nothing.
    pub fn rescheduling(name: &str) -> Guest {
        Guest {
            slot: Slot::Rescheduling,
            properties: pairs(&[("needs-task", "elapsed-ms"), ("needs-worker", "cpu-load")]),
            ..Guest::scoring(name)
        }
    }

    /// Scores every worker with `score`.
    pub fn constant(name: &str, score: f64) -> Guest {
        Guest { value: format!("(f64.const {score})"), ..Guest::scoring(name) }
    }

    /// The core module, with the types of its world embedded.
    pub fn build(&self) -> Vec<u8> {
        let mut bytes = self.build_plain();
        let (mut resolve, mut package) = contract();
        let world = match (self.slot, self.explains) {
            (Slot::Scoring, Some(_)) => "explained-scoring-policy".to_owned(),
            (slot, _) => format!("{}-policy", slot.name()),
        };
        if self.has_clock {
            package = add_clock(&mut resolve, &world);
        }
        let world = resolve.select_world(&[package], Some(&world)).unwrap();
        let encoding = StringEncoding::UTF8;
        wit_component::embed_component_metadata(&mut bytes, &resolve, world, encoding).unwrap();
        bytes
    }

    /// The finished component.
    pub fn component(&self) -> Vec<u8> {
        let encoder = wit_component::ComponentEncoder::default();
        encoder.module(&self.build()).unwrap().validate(true).encode().unwrap()
    }

    /// The core module without types.
    pub fn build_plain(&self) -> Vec<u8> {
        let text = self.text();
        wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    fn text(&self) -> String {
        let mut data = Data::new();
        let manifest = self.manifest(&mut data);
        let call = match (&self.error, self.slot) {
            (Some(error), _) => {
                let (at, length) = data.text(error);
                format!("{} (i32.const 16)", result(1, at, length))
            }
            (None, Slot::Rescheduling) => {
                let at = self.proposals(&mut data);
                format!("{} (i32.const 16)", result(0, at, self.proposals.len() as u32))
            }
            (None, Slot::Scoring | Slot::Queue) => self.numbers(),
            (None, Slot::Forecasting) => unreachable!("see the suite forecasting"),
        };
        let (function, params) = match self.slot {
            Slot::Scoring => (
                "scoring@{v}#score",
                "(param $task i32) (param $n_task i32) (param $columns i32) (param $n_columns i32)",
            ),
            Slot::Queue => {
                ("queue@{v}#rank", "(param $now f64) (param $columns i32) (param $n_columns i32)")
            }
            Slot::Rescheduling => (
                "rescheduling@{v}#review",
                "(param $now f64) (param $columns i32) (param $n_columns i32) (param $on i32) \
                 (param $n_on i32) (param $workers i32) (param $n_workers i32)",
            ),
            Slot::Forecasting => unreachable!("see the suite forecasting"),
        };
        let function = format!("{PACKAGE}/{}", function.replace("{v}", VERSION));
        let explain = self.explain(&mut data);
        format!(
            r#"(module
  {extra_imports}
  (memory (export "memory") {pages})
  (global $next (mut i32) (i32.const 32768))
  (func $alloc (export "cabi_realloc")
    (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $next) (i32.const 15)) (i32.const -16)))
    (global.set $next (i32.add (local.get $at) (local.get $size)))
    (block $fits
      (br_if $fits (i32.le_u (global.get $next) (i32.mul (memory.size) (i32.const 65536))))
      (br_if $fits (i32.ne (i32.const -1) (memory.grow (i32.add (i32.const 1)
        (i32.div_u (local.get $size) (i32.const 65536))))))
      unreachable)
    (local.get $at))
  (func (export "{PACKAGE}/lifecycle@{VERSION}#configure")
    (param $config i32) (param $n_config i32) (result i32)
    {on_configure}
    (i32.const {manifest}))
  (func $call (export "{function}") {params} (result i32)
    (local $row i32) (local $n_rows i32) (local $out i32) (local $n_out i32)
    (if (local.get $n_columns)
      (then (local.set $n_rows (i32.load offset=4 (local.get $columns)))))
    {on_call}
    {call})
  (func (export "cabi_post_{function}") (param i32)
    (global.set $next (i32.const 32768)))
  {explain}
  {extra}
  {data}
)"#,
            extra_imports = self.imports(),
            pages = self.pages,
            on_configure = self.on_configure,
            on_call = self.on_call,
            extra = self.extra_rest(),
            data = data.segment(),
        )
    }

    fn imports(&self) -> String {
        let clock = self.has_clock.then_some(
            "(import \"wasi:clocks/wall-clock@0.2.0\" \"seconds\" (func $clock (result i64)))",
        );
        let extra = self.extra.lines().filter(|it| it.trim().starts_with("(import"));
        extra.chain(clock).collect()
    }

    fn extra_rest(&self) -> String {
        let rest = self.extra.lines().filter(|it| !it.trim().starts_with("(import"));
        rest.collect::<Vec<_>>().join("\n")
    }

    fn numbers(&self) -> String {
        let write = result(0, 0, 0)
            .replace("(i32.store offset=20 (i32.const 0) (i32.const 0))", "")
            .replace("(i32.store offset=24 (i32.const 0) (i32.const 0))", "");
        format!(
            r#"(local.set $n_out {length})
    (local.set $out (call $alloc (i32.const 0) (i32.const 0) (i32.const 8)
      (i32.mul (local.get $n_out) (i32.const 8))))
    (block $done (loop $next_row
      (br_if $done (i32.ge_u (local.get $row) (local.get $n_out)))
      (f64.store (i32.add (local.get $out) (i32.mul (local.get $row) (i32.const 8))) {value})
      (local.set $row (i32.add (local.get $row) (i32.const 1)))
      (br $next_row)))
    {write}
    (i32.store offset=20 (i32.const 0) (local.get $out))
    (i32.store offset=24 (i32.const 0) (local.get $n_out))
    (i32.const 16)"#,
            length = self.length,
            value = self.value,
        )
    }

    fn proposals(&self, data: &mut Data) -> u32 {
        let (reason, n_reason) = data.text("because");
        let mut bytes = Vec::new();
        for (row, action, priority) in &self.proposals {
            bytes.extend(row.to_le_bytes());
            bytes.extend([*action, 0, 0, 0]);
            bytes.extend(priority.to_le_bytes());
            bytes.extend(reason.to_le_bytes());
            bytes.extend(n_reason.to_le_bytes());
        }
        data.bytes(&bytes)
    }

    /// The address of `ok(manifest)`.
    fn manifest(&self, data: &mut Data) -> u32 {
        let name = data.text(&self.name);
        let version = data.text(&self.version);
        let mut list = Vec::new();
        for (key, value) in &self.properties {
            for (at, length) in [data.text(key), data.text(value)] {
                list.extend(at.to_le_bytes());
                list.extend(length.to_le_bytes());
            }
        }
        let properties = data.bytes(&list);
        let fields =
            [0, name.0, name.1, version.0, version.1, properties, self.properties.len() as u32];
        data.bytes(&fields.map(u32::to_le_bytes).concat())
    }

    fn explain(&self, data: &mut Data) -> String {
        let Some(value) = self.explains else {
            return String::new();
        };
        let (at, length) = data.text("only");
        let mut term = [at.to_le_bytes(), length.to_le_bytes()].concat();
        term.extend(value.to_le_bytes());
        let term = data.bytes(&term);
        format!(
            r#"(func (export "{PACKAGE}/explanation@{VERSION}#explain")
    (param i32 i32 i32 i32 i32) (result i32) {} (i32.const 16))"#,
            result(0, term, 1)
        )
    }
}

/// Writes `result<list, string>` at 16.
fn result(tag: u8, at: u32, length: u32) -> String {
    format!(
        "(i32.store8 offset=16 (i32.const 0) (i32.const {tag})) \
         (i32.store offset=20 (i32.const 0) (i32.const {at})) \
         (i32.store offset=24 (i32.const 0) (i32.const {length}))"
    )
}

pub fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

pub fn contract() -> (Resolve, wit_parser::PackageId) {
    let mut map = SourceMap::new();
    for (name, text) in CONTRACT_FILES {
        map.push_str(name, text);
    }
    let mut resolve = Resolve::default();
    let group = map.parse().map_err(|(_, error)| error).unwrap();
    let package = resolve.push_group(group).unwrap();
    (resolve, package)
}

/// Puts a world of the same name beside the contract, which imports a clock too.
fn add_clock(resolve: &mut Resolve, world: &str) -> wit_parser::PackageId {
    let clock = "package wasi:clocks@0.2.0; interface wall-clock { seconds: func() -> u64; }";
    resolve.push_source("clock.wit", clock).unwrap();
    let text = format!(
        "package test:clocked; world {world} {{ include {PACKAGE}/{world}@{VERSION}; \
         import wasi:clocks/wall-clock@0.2.0; }}"
    );
    resolve.push_source("world.wit", &text).unwrap()
}

/// Constant bytes, from 1024 on.
struct Data(Vec<u8>);

impl Data {
    const START: u32 = 1024;

    fn new() -> Data {
        Data(Vec::new())
    }

    fn bytes(&mut self, bytes: &[u8]) -> u32 {
        self.0.resize(self.0.len().next_multiple_of(8), 0);
        let at = Data::START + self.0.len() as u32;
        self.0.extend(bytes);
        at
    }

    fn text(&mut self, text: &str) -> (u32, u32) {
        (self.bytes(text.as_bytes()), text.len() as u32)
    }

    fn segment(&self) -> String {
        let mut text = String::new();
        for byte in &self.0 {
            write!(text, "\\{byte:02x}").unwrap();
        }
        format!("(data (i32.const {}) \"{text}\")", Data::START)
    }
}
