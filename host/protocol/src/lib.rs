//! pointsman-protocol
