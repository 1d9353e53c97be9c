//! Made from the host's list of columns; `cargo xtask bless` writes it again.

use super::{Column, Range};

/// Columns of what is known about a worker.
#[rustfmt::skip]
pub const WORKER: &[Column] = &[
    Column { name: "cpu-capacity", unit: "cores", range: Range::NotNegative, can_be_missing: false, meaning: "cores the worker offers" },
    Column { name: "cpu-free", unit: "cores", range: Range::NotNegative, can_be_missing: false, meaning: "cores not held by current attempts" },
    Column { name: "memory-capacity", unit: "bytes", range: Range::NotNegative, can_be_missing: false, meaning: "memory the worker offers" },
    Column { name: "memory-free", unit: "bytes", range: Range::NotNegative, can_be_missing: false, meaning: "memory not held by current attempts" },
    Column { name: "gpu-capacity", unit: "devices", range: Range::NotNegative, can_be_missing: false, meaning: "devices the worker offers" },
    Column { name: "gpu-free", unit: "devices", range: Range::NotNegative, can_be_missing: false, meaning: "device capacity not held by current attempts, summed over devices" },
    Column { name: "cpu-used", unit: "0..1", range: Range::Fraction, can_be_missing: true, meaning: "measured fraction of the cpu capacity in use" },
    Column { name: "memory-used", unit: "0..1", range: Range::Fraction, can_be_missing: true, meaning: "measured fraction of the memory capacity in use" },
    Column { name: "iops-used", unit: "0..1", range: Range::Fraction, can_be_missing: true, meaning: "measured fraction of the disk operations the worker can do" },
    Column { name: "cpu-load", unit: "0..1", range: Range::Fraction, can_be_missing: false, meaning: "the larger of the measured and the committed fraction of cpu" },
    Column { name: "memory-load", unit: "0..1", range: Range::Fraction, can_be_missing: false, meaning: "the larger of the measured and the committed fraction of memory" },
    Column { name: "gpu-load", unit: "0..1", range: Range::Fraction, can_be_missing: false, meaning: "committed fraction of the devices; 0 without devices" },
    Column { name: "iops-load", unit: "0..1", range: Range::Fraction, can_be_missing: true, meaning: "measured fraction of the disk operations" },
    Column { name: "rtt-ms", unit: "ms", range: Range::NotNegative, can_be_missing: true, meaning: "round-trip time between worker and host" },
    Column { name: "connections", unit: "count", range: Range::NotNegative, can_be_missing: true, meaning: "open TCP connections of the worker's machine" },
    Column { name: "running", unit: "count", range: Range::NotNegative, can_be_missing: false, meaning: "current attempts, assigned or running" },
    Column { name: "dispatched", unit: "count", range: Range::NotNegative, can_be_missing: false, meaning: "attempts dispatched so far, per unit of weight; a joining worker starts at the live minimum" },
    Column { name: "weight", unit: "number", range: Range::Positive, can_be_missing: false, meaning: "the worker's label `weight`, else 1" },
    Column { name: "cost", unit: "number", range: Range::Any, can_be_missing: false, meaning: "the worker's label `cost`, else 0" },
    Column { name: "hot-samples", unit: "count", range: Range::NotNegative, can_be_missing: false, meaning: "measurements in a row with cpu or memory above 85 %" },
    Column { name: "cpu-fitted", unit: "0..1", range: Range::Fraction, can_be_missing: true, meaning: "where the straight line through the last 12 values of `cpu-used` stands now; missing below 8 values" },
    Column { name: "cpu-slope", unit: "1/s", range: Range::Any, can_be_missing: true, meaning: "how fast that line rises; negative if it falls" },
    Column { name: "cpu-slope-error", unit: "1/s", range: Range::NotNegative, can_be_missing: true, meaning: "standard error of `cpu-slope`: a slope of several times its error is no chance" },
    Column { name: "memory-fitted", unit: "0..1", range: Range::Fraction, can_be_missing: true, meaning: "where the straight line through the last 12 values of `memory-used` stands now; missing below 8 values" },
    Column { name: "memory-slope", unit: "1/s", range: Range::Any, can_be_missing: true, meaning: "how fast that line rises; negative if it falls" },
    Column { name: "memory-slope-error", unit: "1/s", range: Range::NotNegative, can_be_missing: true, meaning: "standard error of `memory-slope`" },
    Column { name: "predicted:cpu-used", unit: "0..1", range: Range::Fraction, can_be_missing: true, meaning: "what `cpu-used` will be, `predicted-ms` after the newest measurement, as the forecasting policy says" },
    Column { name: "predicted:memory-used", unit: "0..1", range: Range::Fraction, can_be_missing: true, meaning: "the same of `memory-used`" },
    Column { name: "predicted:iops-used", unit: "0..1", range: Range::Fraction, can_be_missing: true, meaning: "the same of `iops-used`" },
    Column { name: "predicted:rtt-ms", unit: "ms", range: Range::NotNegative, can_be_missing: true, meaning: "the same of `rtt-ms`" },
    Column { name: "predicted:connections", unit: "count", range: Range::NotNegative, can_be_missing: true, meaning: "the same of `connections`" },
    Column { name: "predicted-ms", unit: "ms", range: Range::NotNegative, can_be_missing: true, meaning: "how far ahead the forecasting policy looks" },
];

/// Columns of what is known about a task.
#[rustfmt::skip]
pub const TASK: &[Column] = &[
    Column { name: "cpu", unit: "cores", range: Range::NotNegative, can_be_missing: false, meaning: "cores asked for" },
    Column { name: "memory", unit: "bytes", range: Range::NotNegative, can_be_missing: false, meaning: "memory asked for" },
    Column { name: "gpu", unit: "devices", range: Range::NotNegative, can_be_missing: false, meaning: "devices asked for" },
    Column { name: "priority", unit: "number", range: Range::Signed, can_be_missing: false, meaning: "the task's own priority, or as raised by a rescheduling policy; higher is more urgent" },
    Column { name: "inherited-priority", unit: "number", range: Range::Signed, can_be_missing: false, meaning: "the most urgent priority of the task and all that wait for it" },
    Column { name: "submitted-ms", unit: "ms", range: Range::NotNegative, can_be_missing: false, meaning: "when it was submitted" },
    Column { name: "ready-since-ms", unit: "ms", range: Range::NotNegative, can_be_missing: true, meaning: "when it became ready the last time" },
    Column { name: "waited-ms", unit: "ms", range: Range::NotNegative, can_be_missing: true, meaning: "how long it has been ready" },
    Column { name: "expected-ms", unit: "ms", range: Range::NotNegative, can_be_missing: true, meaning: "expected run time; missing if unknown" },
    Column { name: "tail-ms", unit: "ms", range: Range::NotNegative, can_be_missing: false, meaning: "longest sum of expected run times from this task's start to the job's end; unknown ones count 0" },
    Column { name: "slack-ms", unit: "ms", range: Range::NotNegative, can_be_missing: false, meaning: "the longest tail of a root of its job, less the longest path through this task" },
    Column { name: "attempt", unit: "count", range: Range::Counted, can_be_missing: false, meaning: "number of the current or next attempt" },
    Column { name: "tenant", unit: "name number", range: Range::Name, can_be_missing: false, meaning: "the tenant" },
    Column { name: "tenant-share", unit: "0..1", range: Range::Fraction, can_be_missing: false, meaning: "largest share of cpu, memory or devices of all workers not lost that the tenant's current attempts hold; 0 where tasks of one group are ordered among themselves" },
    Column { name: "queue", unit: "name number", range: Range::Name, can_be_missing: false, meaning: "the queue" },
    Column { name: "job", unit: "number", range: Range::NotNegative, can_be_missing: false, meaning: "the job's id" },
    Column { name: "deps-left", unit: "count", range: Range::NotNegative, can_be_missing: false, meaning: "dependencies not yet succeeded" },
    Column { name: "deps-changed-ms", unit: "ms", range: Range::NotNegative, can_be_missing: true, meaning: "when a dependency last ended; missing if none has" },
    Column { name: "elapsed-ms", unit: "ms", range: Range::NotNegative, can_be_missing: true, meaning: "since the current attempt started; missing if not running" },
    Column { name: "progress", unit: "0..1", range: Range::Fraction, can_be_missing: true, meaning: "as the script reports it" },
    Column { name: "cpu-usage", unit: "cores", range: Range::NotNegative, can_be_missing: true, meaning: "measured use of the running attempt" },
    Column { name: "memory-mb", unit: "MB", range: Range::NotNegative, can_be_missing: true, meaning: "measured memory of the running attempt" },
];
