//! The catalogue of columns: the named numbers that policies decide by. How a worker column is
//! computed stands in [`crate::worker`], a task column in [`crate::task`].

/// One catalogue entry's text, from which documentation is generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnInfo {
    pub name: &'static str,
    pub unit: &'static str,
    pub meaning: &'static str,
}

macro_rules! catalogue {
    ($(#[$doc:meta])* $enum:ident { $($variant:ident $name:literal $unit:literal $meaning:literal;)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $enum { $(#[doc = $meaning] $variant,)* }

        impl $enum {
            pub const ALL: &[$enum] = &[$($enum::$variant,)*];

            pub fn info(self) -> ColumnInfo {
                match self {
                    $($enum::$variant => ColumnInfo { name: $name, unit: $unit, meaning: $meaning },)*
                }
            }

            /// The column of that name, exactly.
            pub fn find(name: &str) -> Option<$enum> {
                Self::ALL.iter().copied().find(|column| column.info().name == name)
            }
        }
    };
}

catalogue! {
    /// Numbers about one worker. Missing values are NaN.
    WorkerColumn {
        CpuCapacity "cpu-capacity" "cores" "cores the worker offers";
        CpuFree "cpu-free" "cores" "cores not held by current attempts";
        MemoryCapacity "memory-capacity" "bytes" "memory the worker offers";
        MemoryFree "memory-free" "bytes" "memory not held by current attempts";
        GpuCapacity "gpu-capacity" "devices" "devices the worker offers";
        GpuFree "gpu-free" "devices" "device capacity not held by current attempts, summed over devices";
        CpuUsed "cpu-used" "0..1" "measured fraction of the cpu capacity in use";
        MemoryUsed "memory-used" "0..1" "measured fraction of the memory capacity in use";
        IopsUsed "iops-used" "0..1" "measured fraction of the disk operations the worker can do";
        CpuLoad "cpu-load" "0..1" "the larger of the measured and the committed fraction of cpu";
        MemoryLoad "memory-load" "0..1" "the larger of the measured and the committed fraction of memory";
        GpuLoad "gpu-load" "0..1" "committed fraction of the devices; 0 without devices";
        IopsLoad "iops-load" "0..1" "measured fraction of the disk operations";
        RttMs "rtt-ms" "ms" "round-trip time between worker and host";
        Connections "connections" "count" "open TCP connections of the worker's machine";
        Running "running" "count" "current attempts, assigned or running";
        Dispatched "dispatched" "count" "attempts dispatched so far, per unit of weight; a joining worker starts at the live minimum";
        Weight "weight" "number" "the worker's label `weight`, else 1";
        Cost "cost" "number" "the worker's label `cost`, else 0";
        HotSamples "hot-samples" "count" "measurements in a row with cpu or memory above 85 %";
        CpuFitted "cpu-fitted" "0..1" "where the straight line through the last 12 values of `cpu-used` stands now; missing below 8 values";
        CpuSlope "cpu-slope" "1/s" "how fast that line rises; negative if it falls";
        CpuSlopeError "cpu-slope-error" "1/s" "standard error of `cpu-slope`: a slope of several times its error is no chance";
        MemoryFitted "memory-fitted" "0..1" "where the straight line through the last 12 values of `memory-used` stands now; missing below 8 values";
        MemorySlope "memory-slope" "1/s" "how fast that line rises; negative if it falls";
        MemorySlopeError "memory-slope-error" "1/s" "standard error of `memory-slope`";
    }
}

catalogue! {
    /// Numbers about one task. Missing values are NaN.
    TaskColumn {
        Cpu "cpu" "cores" "cores asked for";
        Memory "memory" "bytes" "memory asked for";
        Gpu "gpu" "devices" "devices asked for";
        Priority "priority" "number" "the task's own priority, or as raised by a rescheduling policy; higher is more urgent";
        InheritedPriority "inherited-priority" "number" "the most urgent priority of the task and all that wait for it";
        SubmittedMs "submitted-ms" "ms" "when it was submitted";
        ReadySinceMs "ready-since-ms" "ms" "when it became ready the last time";
        WaitedMs "waited-ms" "ms" "how long it has been ready";
        ExpectedMs "expected-ms" "ms" "expected run time; missing if unknown";
        TailMs "tail-ms" "ms" "longest sum of expected run times from this task's start to the job's end; unknown ones count 0";
        SlackMs "slack-ms" "ms" "the longest tail of a root of its job, less the longest path through this task";
        Attempt "attempt" "count" "number of the current or next attempt";
        Tenant "tenant" "name number" "the tenant";
        TenantShare "tenant-share" "0..1" "largest share of cpu, memory or devices of all workers not lost that the tenant's current attempts hold; 0 where tasks of one group are ordered among themselves";
        Queue "queue" "name number" "the queue";
        Job "job" "number" "the job's id";
        DepsLeft "deps-left" "count" "dependencies not yet succeeded";
        DepsChangedMs "deps-changed-ms" "ms" "when a dependency last ended; missing if none has";
        ElapsedMs "elapsed-ms" "ms" "since the current attempt started; missing if not running";
        Progress "progress" "0..1" "as the script reports it";
        CpuUsage "cpu-usage" "cores" "measured use of the running attempt";
        MemoryMb "memory-mb" "MB" "measured memory of the running attempt";
    }
}

impl WorkerColumn {
    /// Whether the value can change without an event about this worker. None does so far; an index
    /// relies on that.
    pub fn is_time_dependent(self) -> bool {
        false
    }
}

/// The number by which columns name a queue, tenant or label value: the same for the same text in
/// every host and run. 53 bits of FNV-1a, so that an f64 holds it exactly.
pub fn name_number(name: &str) -> f64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in name.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    (hash >> 11) as f64
}
