//! In place of a host, where there is none: in tests.

use super::Level;
use std::cell::RefCell;

/// What a policy told the host, in order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Recorded {
    pub lines: Vec<(Level, String)>,
    pub gauges: Vec<(String, f64)>,
}

thread_local! {
    static ASSETS: RefCell<Vec<(String, Vec<u8>)>> = const { RefCell::new(Vec::new()) };
    static RECORDED: RefCell<Option<Recorded>> = const { RefCell::new(None) };
}

/// Runs `f` and keeps what it logs and gauges on this thread.
///
/// ```
/// use pointsman_policy_sdk::{host, testing};
///
/// let ((), recorded) = testing::recorded(|| {
///     host::log(host::Level::Warn, "no limit is set");
///     host::gauge("limit", 0.0);
/// });
/// assert_eq!(recorded.lines, [(host::Level::Warn, "no limit is set".to_owned())]);
/// assert_eq!(recorded.gauges, [("limit".to_owned(), 0.0)]);
/// ```
pub fn recorded<R>(f: impl FnOnce() -> R) -> (R, Recorded) {
    let before = RECORDED.replace(Some(Recorded::default()));
    let answer = f();
    let recorded = RECORDED.replace(before).unwrap_or_default();
    (answer, recorded)
}

/// Runs `f` with these files beside the policy, for [`host::asset`](crate::host::asset) on this thread.
///
/// ```
/// use pointsman_policy_sdk::{host, testing};
///
/// let weights = testing::with_assets(&[("weights", b"1 2")], || host::asset("weights"));
/// assert_eq!(weights, Ok(b"1 2".to_vec()));
/// ```
pub fn with_assets<R>(files: &[(&str, &[u8])], f: impl FnOnce() -> R) -> R {
    let files = files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect();
    let before = ASSETS.replace(files);
    let answer = f();
    ASSETS.set(before);
    answer
}

pub(super) fn asset(name: &str) -> Result<Vec<u8>, String> {
    ASSETS.with_borrow(|files| {
        let file = files.iter().find(|(it, _)| it == name);
        file.map(|(_, bytes)| bytes.clone())
            .ok_or_else(|| format!("there is no file {name:?} beside the policy"))
    })
}

pub(super) fn log(level: Level, message: &str) {
    RECORDED.with_borrow_mut(|recorded| match recorded {
        Some(recorded) => recorded.lines.push((level, message.to_owned())),
        None => eprintln!("{level:?}: {message}"),
    });
}

pub(super) fn gauge(name: &str, value: f64) {
    RECORDED.with_borrow_mut(|recorded| {
        if let Some(recorded) = recorded {
            recorded.gauges.push((name.to_owned(), value));
        }
    });
}

/// As the host numbers names: FNV-1a in the 53 bits of an f64.
pub(super) fn number(value: &str) -> f64 {
    let mix = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    (value.bytes().fold(0xcbf2_9ce4_8422_2325, mix) >> 11) as f64
}
