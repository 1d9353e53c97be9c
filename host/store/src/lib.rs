//! Where the scheduler's durable facts are kept. Owns: the trait, its backends, the encoding of
//! records with its versions, and the writer thread with group commit. It does not decide anything.

pub mod store;
pub mod sqlite;
pub mod memory;
pub mod writer;
mod coalesce;
mod encoding;

pub use memory::MemoryStore;
pub use sqlite::SqliteStore;
pub use store::{Store, StoreError};
pub use writer::{Batch, FLUSH_PATIENCE, Health, StoreWriter};
