//! pointsman-bundle
