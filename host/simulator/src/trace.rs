//! A fingerprint of everything the scheduler wanted done, and when: equal runs have equal ones.

use pointsman_scheduler::{Effect, Time};
use std::fmt::Write;

/// FNV-1a over the debug text of the effects: every field counts, and no text is kept.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: u64,
}

impl Trace {
    pub fn new() -> Trace {
        Trace { hash: 0xcbf2_9ce4_8422_2325 }
    }

    pub fn note(&mut self, now: Time, effect: &Effect) {
        writeln!(self, "{} {effect:?}", now.0).expect("hashing does not fail");
    }

    pub fn hash(&self) -> u64 {
        self.hash
    }
}

impl Write for Trace {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for byte in text.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Ok(())
    }
}
