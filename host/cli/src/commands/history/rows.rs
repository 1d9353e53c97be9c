//! Rows as they are written to files: the names and their order are a format that others read.

use pointsman_protocol::api::{FeedbackRow, MeasurementRow};
use pointsman_protocol::timestamp::Timestamp;
use serde::Serialize;

/// The fields of [`Measurement`].
pub const MEASUREMENTS: [&str; 7] =
    ["at_ms", "worker", "cpu_used", "memory_used", "iops_used", "rtt_ms", "connections"];

/// The fields of [`Feedback`].
pub const FEEDBACK: [&str; 10] = [
    "at_ms",
    "task",
    "task_name",
    "attempt",
    "worker",
    "phase",
    "progress",
    "duration_ms",
    "cpu_usage",
    "memory_mb",
];

#[derive(Debug, Serialize)]
pub struct Measurement<'a> {
    /// Milliseconds since the Unix epoch.
    at_ms: u64,
    /// Its name.
    worker: &'a str,
    cpu_used: Option<f64>,
    memory_used: Option<f64>,
    iops_used: Option<f64>,
    rtt_ms: Option<f64>,
    connections: Option<u32>,
}

#[derive(Debug, Serialize)]
pub struct Feedback<'a> {
    /// Milliseconds since the Unix epoch.
    at_ms: u64,
    /// Like `t12`.
    task: String,
    task_name: &'a str,
    attempt: u32,
    /// Its name.
    worker: Option<&'a str>,
    phase: Option<&'a str>,
    progress: Option<f64>,
    duration_ms: u64,
    cpu_usage: Option<f64>,
    memory_mb: Option<f64>,
}

impl<'a> Measurement<'a> {
    pub fn of(row: &'a MeasurementRow) -> Measurement<'a> {
        let it = &row.measurements;
        Measurement {
            at_ms: ms(row.at),
            worker: &row.worker_name,
            cpu_used: it.cpu_used,
            memory_used: it.memory_used,
            iops_used: it.iops_used,
            rtt_ms: it.rtt_ms,
            connections: it.connections,
        }
    }
}

impl<'a> Feedback<'a> {
    pub fn of(row: &'a FeedbackRow) -> Feedback<'a> {
        let it = &row.feedback;
        Feedback {
            at_ms: ms(row.at),
            task: row.task.to_string(),
            task_name: &row.task_name,
            attempt: row.attempt,
            worker: row.worker_name.as_deref(),
            phase: it.phase.as_deref(),
            progress: it.progress,
            duration_ms: it.duration_ms,
            cpu_usage: it.cpu_usage,
            memory_mb: it.memory_mb,
        }
    }
}

/// Milliseconds since the Unix epoch.
fn ms(at: Timestamp) -> u64 {
    at.0.0 / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn the_line_of_names_is_that_of_the_fields() {
        let names =
            |row: &Value| -> Vec<String> { row.as_object().unwrap().keys().cloned().collect() };
        let sorted = |names: &[&str]| {
            let mut names: Vec<String> = names.iter().map(|it| (*it).to_owned()).collect();
            names.sort();
            names
        };
        let measured: MeasurementRow =
            serde_json::from_str(r#"{"at": "2026-10-25T01:30:00.007Z", "worker_name": "w"}"#)
                .unwrap();
        let written = serde_json::to_value(Measurement::of(&measured)).unwrap();
        assert_eq!(written["at_ms"], 1_792_891_800_007_u64);
        assert!(written["cpu_used"].is_null());
        assert_eq!(names(&written), sorted(&MEASUREMENTS));
        let fed: FeedbackRow = serde_json::from_str(
            r#"{"at": "2026-10-25T01:30:00Z", "task": "t1", "task_name": "a", "attempt": 1,
                "feedback": {"duration_ms": 5}}"#,
        )
        .unwrap();
        let written = serde_json::to_value(Feedback::of(&fed)).unwrap();
        assert_eq!((&written["task"], &written["duration_ms"]), (&"t1".into(), &5.into()));
        assert_eq!(names(&written), sorted(&FEEDBACK));
    }
}
