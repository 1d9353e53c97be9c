//! Where the scheduler's durable facts are kept. Owns: the trait, its backends, the encoding of
//! records with its versions, and the writer thread with group commit; beside it, in a file of its own, the
//! history of what was measured. It does not decide anything.

pub mod store;
pub mod sqlite;
pub mod memory;
pub mod writer;
pub mod history;
mod coalesce;
mod encoding;
mod mending;
mod parts;

pub use history::History;
pub use memory::MemoryStore;
pub use sqlite::{Backup, Checked, Salvaged, SqliteStore, backup, check, salvage};
pub use store::{SetAside, Store, StoreError};
pub use writer::{Batch, FLUSH_PATIENCE, Health, StoreWriter};
