//! The versions of the contract that this host speaks: the one of today, and the released one before
//! it through an adapter, so that policies need not be built anew on the day the host is.
//!
//! To speak an older version: bindings of its frozen text, a type that implements [`Adapter`], one
//! that implements [`Calls`] by converting, and a line in [`ADAPTERS`].

use crate::calls::{self, Calls};
use crate::contract::VERSION;
use crate::guest::Guest;
use crate::world::World;
use std::fmt;
use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre, Linker};

/// A version before, and how its policies are called.
pub(crate) trait Adapter: Sync {
    /// As in the names of a component's imports and exports.
    fn version(&self) -> &'static str;

    /// The text of that version: names and contents of its files.
    fn files(&self) -> &'static [(&'static str, &'static str)];

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
        world: World,
        pre: &InstancePre<Guest>,
        instance: &Instance,
        store: &mut Store<Guest>,
    ) -> wasmtime::Result<Box<dyn Calls>>;
}

/// Older versions that this host speaks. None is released yet.
pub(crate) const ADAPTERS: &[&dyn Adapter] = &[];

/// The version that a policy is made for.
#[derive(Clone, Copy)]
pub(crate) enum Spoken {
    /// That of today, or an earlier release that it satisfies.
    Today,
    Before(&'static dyn Adapter),
}

impl Spoken {
    pub fn version(self) -> &'static str {
        match self {
            Spoken::Today => VERSION,
            Spoken::Before(adapter) => adapter.version(),
        }
    }

    /// The functions of `instance`.
    ///
    /// # Errors
    /// One is missing, or of another type.
    pub fn link(
        self,
        world: World,
        pre: &InstancePre<Guest>,
        instance: &Instance,
        store: &mut Store<Guest>,
    ) -> wasmtime::Result<Box<dyn Calls>> {
        match self {
            Spoken::Today => calls::link(world, pre, instance, store),
            Spoken::Before(adapter) => adapter.link(world, pre, instance, store),
        }
    }
}

impl fmt::Debug for Spoken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Spoken").field(&self.version()).finish()
    }
}
