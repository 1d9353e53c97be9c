//! Tests of the whole: hosts, workers and policies together. This library is their harness.
