//! Policies built for 0.0.9, in WebAssembly text.

use crate::contract::PACKAGE;
use pointsman_scheduler::Slot;
use wit_component::StringEncoding;
use wit_parser::{Resolve, SourceMap};

/// Calls of the host about a worker of this load trap in [`scoring`]; no trial call has it.
pub const SIGNAL: f64 = 0.123_456;

/// The text of the version: names and contents.
pub const FILES: &[(&str, &str)] = &[
    ("queue.wit", include_str!("0.0.9/queue.wit")),
    ("rescheduling.wit", include_str!("0.0.9/rescheduling.wit")),
    ("scoring.wit", include_str!("0.0.9/scoring.wit")),
    ("types.wit", include_str!("0.0.9/types.wit")),
];

/// Costs 100 × cpu-load.
pub fn scoring() -> Vec<u8> {
    let call = format!(
        r#"(func (export "{PACKAGE}/scoring@0.0.9#cost")
    (param i32 i32) (param $columns i32) (param $n_columns i32) (result i32)
    (call $map (local.get $columns) (f64.const 100))
    (if (global.get $n) (then
      (if (f64.eq (f64.const {SIGNAL}) (f64.load (i32.load (local.get $columns))))
        (then unreachable))))
    (i32.store offset=16 (i32.const 0) (global.get $out))
    (i32.store offset=20 (i32.const 0) (global.get $n))
    (i32.const 16))"#
    );
    build(Slot::Scoring, "frugal", &[("needs-worker", "cpu-load")], &call)
}

/// Ranks by priority: higher goes first, as 0.0.9 has it.
pub fn queue() -> Vec<u8> {
    let call = format!(
        r#"(func (export "{PACKAGE}/queue@0.0.9#rank")
    (param $now i64) (param $columns i32) (param $n_columns i32) (result i32)
    (call $map (local.get $columns) (f64.const 1))
    (i32.store8 offset=16 (i32.const 0) (i32.const 0))
    (i32.store offset=20 (i32.const 0) (global.get $out))
    (i32.store offset=24 (i32.const 0) (global.get $n))
    (i32.const 16))"#
    );
    build(Slot::Queue, "urgent", &[("needs-task", "priority")], &call)
}

/// Cancels the first row.
pub fn rescheduling() -> Vec<u8> {
    let call = format!(
        r#"(func (export "{PACKAGE}/rescheduling@0.0.9#review")
    (param $now i64) (param i32 i32) (param $on i32) (param $n_on i32) (param i32 i32) (result i32)
    (i32.store offset=32 (i32.const 0) (i32.const 0))
    (i32.store8 offset=36 (i32.const 0) (i32.const 1))
    (i32.store offset=16 (i32.const 0) (i32.const 32))
    (i32.store offset=20 (i32.const 0) (i32.gt_u (local.get $n_on) (i32.const 0)))
    (i32.const 16))"#
    );
    let needs = [("needs-task", "elapsed-ms"), ("needs-worker", "cpu-load")];
    build(Slot::Rescheduling, "strict", &needs, &call)
}

/// A core module with the types of its world.
fn build(world: Slot, name: &str, properties: &[(&str, &str)], call: &str) -> Vec<u8> {
    let text = module(name, properties, call);
    let mut bytes = wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let mut map = SourceMap::new();
    FILES.iter().for_each(|(name, text)| map.push_str(name, *text));
    let mut resolve = Resolve::default();
    let group = map.parse().map_err(|(_, error)| error).unwrap();
    let package = resolve.push_group(group).unwrap();
    let world = resolve.select_world(&[package], Some(&crate::contract::wit_name(world))).unwrap();
    let encoding = StringEncoding::UTF8;
    wit_component::embed_component_metadata(&mut bytes, &resolve, world, encoding).unwrap();
    bytes
}

fn module(name: &str, properties: &[(&str, &str)], call: &str) -> String {
    const TEXTS: usize = 4_096;
    let mut texts = String::new();
    let mut place = |text: &str| {
        let at = TEXTS + texts.len();
        texts.push_str(text);
        [at, text.len()]
    };
    let [name_at, n_name] = place(name);
    let pairs: Vec<usize> =
        properties.iter().flat_map(|(key, value)| [place(key), place(value)]).flatten().collect();
    // The manifest stands at 1024, its properties at 1040.
    let words = [&[name_at, n_name, 1_040, properties.len()], pairs.as_slice()].concat();
    let stores: String = (1_024..)
        .step_by(4)
        .zip(words)
        .map(|(at, word)| format!("(i32.store (i32.const {at}) (i32.const {word}))\n    "))
        .collect();
    format!(
        r#"(module
  (import "{PACKAGE}/host@0.0.9" "log" (func $log (param i32 i32)))
  (memory (export "memory") 16)
  (data (i32.const {TEXTS}) "{texts}")
  (global $next (mut i32) (i32.const 32768))
  (global $out (mut i32) (i32.const 0))
  (global $n (mut i32) (i32.const 0))
  (func $alloc (export "cabi_realloc") (param i32 i32 i32) (param $size i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $next) (i32.const 15)) (i32.const -16)))
    (global.set $next (i32.add (local.get $at) (local.get $size)))
    (local.get $at))
  ;; $out and $n: the first column, multiplied.
  (func $map (param $columns i32) (param $factor f64)
    (local $row i32)
    (global.set $n (i32.load offset=4 (local.get $columns)))
    (global.set $out (call $alloc (i32.const 0) (i32.const 0) (i32.const 8)
      (i32.mul (global.get $n) (i32.const 8))))
    (block $done (loop $next_row
      (br_if $done (i32.ge_u (local.get $row) (global.get $n)))
      (f64.store (i32.add (global.get $out) (i32.mul (local.get $row) (i32.const 8)))
        (f64.mul (local.get $factor) (f64.load (i32.add (i32.load (local.get $columns))
          (i32.mul (local.get $row) (i32.const 8))))))
      (local.set $row (i32.add (local.get $row) (i32.const 1)))
      (br $next_row)))
    ;; The next call finds the memory as this one did.
    (global.set $next (i32.const 32768)))
  (func (export "{PACKAGE}/lifecycle@0.0.9#configure") (param i32 i32) (result i32)
    {stores}
    (call $log (i32.const {name_at}) (i32.const {n_name}))
    (i32.const 1024))
  {call})"#
    )
}
