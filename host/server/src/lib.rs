//! pointsman-server
