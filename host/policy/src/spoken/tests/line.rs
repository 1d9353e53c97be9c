//! A line of several releases: one adapter calls what was built for any of them.

use super::{Site, digest, standard};
use crate::bindings::host::{Host as _, Level};
use crate::bindings::types::Manifest;
use crate::calls::{Called, Calls};
use crate::contract::{FILES, PACKAGE, RELEASED, Release, VERSION, is_same_line};
use crate::guest::Guest;
use crate::spoken::{Adapter, Versions, parse};
use pointsman_scheduler::Slot;
use pointsman_scheduler::policies::Policies;
use std::sync::LazyLock;
use wasmtime::component::{Instance, InstancePre, Linker, TypedFunc};
use wasmtime::{Store, StoreContextMut};

/// As long as the version of today, so that it can take its place in a file.
fn made_up(minor: u32) -> String {
    format!("7.{minor}.{}", "1".repeat(VERSION.len() - 4))
}

static NEWEST: LazyLock<String> = LazyLock::new(|| made_up(1));

/// Today's text, released as 7.0 and 7.1.
static RELEASES: LazyLock<Vec<Release>> = LazyLock::new(|| [0, 1].map(release).to_vec());

fn release(minor: u32) -> Release {
    let version = made_up(minor);
    let files: Vec<(&str, &str)> = FILES
        .iter()
        .map(|(name, text)| (*name, &*text.replace(VERSION, &version).leak()))
        .collect();
    Release { version: version.leak(), files: files.leak() }
}

/// A standard policy of today, built for another version.
fn rebuilt(name: &str, version: &str) -> Vec<u8> {
    let (from, to) = (VERSION.as_bytes(), version.as_bytes());
    let mut bytes = standard(name).to_vec();
    let mut n_replaced = 0;
    for at in 0..=bytes.len() - from.len() {
        if bytes[at..].starts_with(from) {
            bytes[at..at + to.len()].copy_from_slice(to);
            n_replaced += 1;
        }
    }
    assert!(n_replaced > 3, "it names the version where it imports and exports");
    bytes
}

/// Knows the newest release only, as bindings do. For queue policies.
struct Line7;

impl Adapter for Line7 {
    fn version(&self) -> &'static str {
        &NEWEST
    }

    fn offer(&self, linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
        type Context<'a> = StoreContextMut<'a, Guest>;
        let mut host = linker.instance(&format!("{PACKAGE}/host@{}", *NEWEST))?;
        host.func_wrap("log", |mut it: Context<'_>, (level, text): (Level, String)| {
            it.data_mut().log(level, text);
            Ok(())
        })?;
        host.func_wrap("gauge", |mut it: Context<'_>, (name, value): (String, f64)| {
            it.data_mut().gauge(name, value);
            Ok(())
        })?;
        host.func_wrap("intern", |mut it: Context<'_>, (table, value): (String, String)| {
            Ok((it.data_mut().intern(table, value),))
        })?;
        host.func_wrap("asset", |mut it: Context<'_>, (name,): (String,)| {
            Ok((it.data_mut().asset(name),))
        })
    }

    fn link(
        &self,
        _world: Slot,
        _pre: &InstancePre<Guest>,
        instance: &Instance,
        store: &mut Store<Guest>,
    ) -> wasmtime::Result<Box<dyn Calls>> {
        let mut find = |interface: &str, function: &str| {
            let name = format!("{PACKAGE}/{interface}@{}", *NEWEST);
            let interface = instance.get_export_index(&mut *store, None, &name)?;
            instance.get_export_index(&mut *store, Some(&interface), function)
        };
        let configure = find("lifecycle", "configure").expect("checked by its text");
        let rank = find("queue", "rank").expect("checked by its text");
        Ok(Box::new(Queue7 {
            configure: instance.get_typed_func(&mut *store, configure)?,
            rank: instance.get_typed_func(&mut *store, rank)?,
        }))
    }
}

type Configure = TypedFunc<(String,), (Result<Manifest, String>,)>;
type Rank = TypedFunc<(f64, Vec<Vec<f64>>), (Result<Vec<f64>, String>,)>;

struct Queue7 {
    configure: Configure,
    rank: Rank,
}

impl Calls for Queue7 {
    fn configure(&self, store: &mut Store<Guest>, config: &str) -> Called<Manifest> {
        Ok(self.configure.call(store, (config.to_owned(),))?.0)
    }

    fn rank(&self, store: &mut Store<Guest>, now_ms: f64, tasks: &[Vec<f64>]) -> Called<Vec<f64>> {
        Ok(self.rank.call(store, (now_ms, tasks.to_vec()))?.0)
    }
}

fn line() -> Versions {
    Versions { released: &RELEASES, adapters: &[&Line7] }
}

#[test]
fn every_release_of_the_line_before_is_served_by_its_one_adapter() {
    let mut site = Site::new(line());
    for minor in [0, 1] {
        let bytes = rebuilt("shortest-first", &made_up(minor));
        site.serve(Slot::Queue, &bytes);
        assert_eq!(site.stamp(Slot::Queue).digest, digest(&bytes));
        let n_columns = site.host.queue().needs_task.len();
        let mut ranks = Vec::new();
        site.host.rank(0.0, &vec![vec![5.0, 3.0]; n_columns], 2, &mut ranks).unwrap();
        assert!(ranks[1] < ranks[0], "{ranks:?}");
    }
    let newer = rebuilt("shortest-first", &made_up(2));
    let refusal = site.library.check(&newer, Some(Slot::Queue), "{}").unwrap_err();
    let spoken = format!("this host speaks {VERSION} and {} and {}", made_up(1), made_up(0));
    assert!(refusal.reason.contains(&spoken), "{refusal}");
}

/// The newest release that policies could still be built for and that nothing calls.
fn unserved(versions: Versions) -> Option<&'static str> {
    let today = parse(VERSION);
    let newest = versions.released.iter().filter(|it| parse(it.version) != today);
    let newest = newest.max_by_key(|it| parse(it.version))?;
    versions.spoken(newest).is_none().then_some(newest.version)
}

#[test]
fn the_release_before_today_is_never_left_without_its_adapter() {
    let version = unserved(Versions::KNOWN);
    assert_eq!(version, None, "write its adapter, see the head of host/policy/src/spoken.rs");
    for adapter in Versions::KNOWN.adapters {
        let is_released = RELEASED.iter().any(|it| it.version == adapter.version());
        assert!(is_released, "{} was never released", adapter.version());
        assert!(!is_same_line(&parse(adapter.version()), &parse(VERSION)));
    }
    assert!(Versions::KNOWN.adapters.len() <= 1, "one line before is kept");
    assert_eq!(unserved(line()), None);
    let forgotten = Versions { adapters: &[], ..line() };
    assert_eq!(unserved(forgotten), Some(RELEASES[1].version));
}
