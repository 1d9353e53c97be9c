use pointsman_policy_sdk::prelude::*;

#[derive(Debug, Columns)]
pub struct Task {
    memory: f64,
}

#[derive(Debug, Columns)]
pub struct Worker {
    memory_free: f64,
    memory_capacity: f64,
    cost: f64,
    rtt_ms: Option<f64>,
}
