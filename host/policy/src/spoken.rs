//! The versions of the contract that this host speaks: the one of today, those that it satisfies, and
//! the line before through an adapter, so that policies need not be built anew on the day the host is.
//!
//! To speak an older line: one file in `spoken/`, which generates bindings of the newest released text of
//! that line, converts its calls into [`Calls`], and implements [`Adapter`]; and its row in [`ADAPTERS`].

use crate::calls::{self, Calls};
use crate::contract::{RELEASED, Release, VERSION, is_same_line};
use crate::guest::Guest;
use pointsman_scheduler::Slot;
use semver::Version;
use std::fmt;
use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre, Linker};

/// The line before, and how its policies are called. Worlds and interfaces keep their names from line
/// to line; everything in them may differ.
pub(crate) trait Adapter: Sync {
    /// The newest release of the line. What was built for an earlier one is called alike: the engine
    /// finds names of the same line.
    fn version(&self) -> &'static str;

    /// Adds what its policies may import.
    ///
    /// # Errors
    /// The engine does not take a definition.
    fn offer(&self, linker: &mut Linker<Guest>) -> wasmtime::Result<()>;

    /// The functions of an instance, once it is made. Whatever can be decided once is decided here.
    ///
    /// # Errors
    /// One is missing, or of another type.
    fn link(
        &self,
        slot: Slot,
        pre: &InstancePre<Guest>,
        instance: &Instance,
        store: &mut Store<Guest>,
    ) -> wasmtime::Result<Box<dyn Calls>>;
}

/// One row for the line before that of today. There is none before the first.
const ADAPTERS: &[&dyn Adapter] = &[];

/// The versions beside that of today.
#[derive(Clone, Copy)]
pub(crate) struct Versions {
    pub released: &'static [Release],
    pub adapters: &'static [&'static dyn Adapter],
}

impl Versions {
    /// What is released, and what of it this host adapts.
    pub const KNOWN: Versions = Versions { released: RELEASED, adapters: ADAPTERS };

    /// How policies of a released version are called; None: not any more, or it is that of today.
    pub fn spoken(self, release: &Release) -> Option<Spoken> {
        let version = parse(release.version);
        let today = parse(VERSION);
        let spoken = |adapter| Spoken { version: release.version, adapter };
        if is_same_line(&version, &today) {
            return (version < today).then(|| spoken(None));
        }
        let is_of_line = |adapter: &&&dyn Adapter| {
            let newest = parse(adapter.version());
            is_same_line(&version, &newest) && version <= newest
        };
        self.adapters.iter().find(is_of_line).map(|adapter| spoken(Some(*adapter)))
    }
}

fn parse(version: &str) -> Version {
    Version::parse(version).expect("folders of releases and adapters are named by versions")
}

/// The version that a policy is made for.
#[derive(Clone, Copy)]
pub(crate) struct Spoken {
    version: &'static str,
    /// None: that of today, or an earlier release that it satisfies.
    adapter: Option<&'static dyn Adapter>,
}

impl Spoken {
    pub const TODAY: Spoken = Spoken { version: VERSION, adapter: None };

    pub fn version(self) -> &'static str {
        self.version
    }

    /// The functions of `instance`.
    ///
    /// # Errors
    /// One is missing, or of another type.
    pub fn link(
        self,
        slot: Slot,
        pre: &InstancePre<Guest>,
        instance: &Instance,
        store: &mut Store<Guest>,
    ) -> wasmtime::Result<Box<dyn Calls>> {
        match self.adapter {
            None => calls::link(slot, pre, instance, store),
            Some(adapter) => adapter.link(slot, pre, instance, store),
        }
    }
}

impl fmt::Debug for Spoken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Spoken").field(&self.version).finish()
    }
}

#[cfg(test)]
mod tests;
