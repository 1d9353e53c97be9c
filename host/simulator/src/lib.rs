//! pointsman-simulator
