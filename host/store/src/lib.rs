//! pointsman-store
