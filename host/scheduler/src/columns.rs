//! The catalogue of columns: the named numbers that policies decide by. How a worker column is
//! computed stands in [`crate::worker`], a task column in [`crate::task`].

/// What is known of one column. Documentation, the SDK's list and the trial calls of candidates are
/// made from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnInfo {
    pub name: &'static str,
    pub unit: &'static str,
    pub range: Range,
    pub presence: Presence,
    pub meaning: &'static str,
}

/// What values a column can have, besides a missing one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Range {
    /// From 0 to 1.
    Fraction,
    /// 0 or more.
    NotNegative,
    /// More than 0.
    Positive,
    /// A whole number from 1 on.
    Counted,
    /// A whole number, negative ones included, of 32 bits.
    Signed,
    /// A whole number from 0 to 2^53 - 1 without order.
    Name,
    /// Any finite number.
    Any,
}

impl Range {
    /// As documentation says it.
    pub fn text(self) -> &'static str {
        match self {
            Range::Fraction => "0 to 1",
            Range::NotNegative => "0 or more",
            Range::Positive => "more than 0",
            Range::Counted => "1 or more",
            Range::Signed => "-2147483648 to 2147483647",
            Range::Name => "0 to 2^53 - 1, compared for equality only",
            Range::Any => "any",
        }
    }

    /// The nearest value in it.
    pub fn clamp(self, value: f64) -> f64 {
        match self {
            Range::Fraction => value.clamp(0.0, 1.0),
            Range::NotNegative => value.max(0.0),
            Range::Positive => value.max(f64::MIN_POSITIVE),
            Range::Counted => value.max(1.0),
            Range::Signed => value.clamp(f64::from(i32::MIN), f64::from(i32::MAX)),
            Range::Name | Range::Any => value,
        }
    }
}

/// Which rows have a value; the others have NaN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Presence {
    Always,
    /// It may be missing in any row.
    Sometimes,
    /// All but those of tasks that are not ready yet, which only a rescheduling policy sees.
    OnceReady,
}

impl Presence {
    /// As documentation says when it is missing.
    pub fn text(self) -> &'static str {
        match self {
            Presence::Always => "never",
            Presence::Sometimes => "yes",
            Presence::OnceReady => "before it is ready",
        }
    }
}

macro_rules! catalogue {
    ($(#[$doc:meta])* $enum:ident {
        $($variant:ident $name:literal $unit:literal $range:ident $presence:ident $meaning:literal;)*
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $enum { $(#[doc = $meaning] $variant,)* }

        impl $enum {
            pub const ALL: &[$enum] = &[$($enum::$variant,)*];

            pub fn info(self) -> ColumnInfo {
                match self {
                    $($enum::$variant => ColumnInfo {
                        name: $name,
                        unit: $unit,
                        range: Range::$range,
                        presence: Presence::$presence,
                        meaning: $meaning,
                    },)*
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
        CpuCapacity "cpu-capacity" "cores" NotNegative Always "cores the worker offers";
        CpuFree "cpu-free" "cores" NotNegative Always "cores not held by current attempts";
        MemoryCapacity "memory-capacity" "bytes" NotNegative Always "memory the worker offers";
        MemoryFree "memory-free" "bytes" NotNegative Always "memory not held by current attempts";
        GpuCapacity "gpu-capacity" "devices" NotNegative Always "devices the worker offers";
        GpuFree "gpu-free" "devices" NotNegative Always "device capacity not held by current attempts, summed over devices";
        CpuUsed "cpu-used" "0..1" Fraction Sometimes "measured fraction of the cpu capacity in use";
        MemoryUsed "memory-used" "0..1" Fraction Sometimes "measured fraction of the memory capacity in use";
        IopsUsed "iops-used" "0..1" Fraction Sometimes "measured fraction of the disk operations the worker can do";
        CpuLoad "cpu-load" "0..1" Fraction Always "the larger of the measured and the committed fraction of cpu";
        MemoryLoad "memory-load" "0..1" Fraction Always "the larger of the measured and the committed fraction of memory";
        GpuLoad "gpu-load" "0..1" Fraction Always "committed fraction of the devices; 0 without devices";
        IopsLoad "iops-load" "0..1" Fraction Sometimes "measured fraction of the disk operations";
        RttMs "rtt-ms" "ms" NotNegative Sometimes "round-trip time between worker and host";
        Connections "connections" "count" NotNegative Sometimes "open TCP connections of the worker's machine";
        Running "running" "count" NotNegative Always "current attempts, assigned or running";
        Dispatched "dispatched" "count" NotNegative Always "attempts dispatched so far, per unit of weight; a joining worker starts at the live minimum";
        Weight "weight" "number" Positive Always "the worker's label `weight`, else 1";
        Cost "cost" "number" Any Always "the worker's label `cost`, else 0";
        HotSamples "hot-samples" "count" NotNegative Always "measurements in a row with cpu or memory above 85 %";
        CpuFitted "cpu-fitted" "0..1" Fraction Sometimes "where the straight line through the last 12 values of `cpu-used` stands now; missing below 8 values";
        CpuSlope "cpu-slope" "1/s" Any Sometimes "how fast that line rises; negative if it falls";
        CpuSlopeError "cpu-slope-error" "1/s" NotNegative Sometimes "standard error of `cpu-slope`: a slope of several times its error is no chance";
        MemoryFitted "memory-fitted" "0..1" Fraction Sometimes "where the straight line through the last 12 values of `memory-used` stands now; missing below 8 values";
        MemorySlope "memory-slope" "1/s" Any Sometimes "how fast that line rises; negative if it falls";
        MemorySlopeError "memory-slope-error" "1/s" NotNegative Sometimes "standard error of `memory-slope`";
        PredictedCpuUsed "predicted:cpu-used" "0..1" Fraction Sometimes "what `cpu-used` will be, `predicted-ms` after the newest measurement, as the forecasting policy says";
        PredictedMemoryUsed "predicted:memory-used" "0..1" Fraction Sometimes "the same of `memory-used`";
        PredictedIopsUsed "predicted:iops-used" "0..1" Fraction Sometimes "the same of `iops-used`";
        PredictedRttMs "predicted:rtt-ms" "ms" NotNegative Sometimes "the same of `rtt-ms`";
        PredictedConnections "predicted:connections" "count" NotNegative Sometimes "the same of `connections`";
        PredictedMs "predicted-ms" "ms" NotNegative Sometimes "how far ahead the forecasting policy looks";
    }
}

catalogue! {
    /// Numbers about one task. Missing values are NaN.
    TaskColumn {
        Cpu "cpu" "cores" NotNegative Always "cores asked for";
        Memory "memory" "bytes" NotNegative Always "memory asked for";
        Gpu "gpu" "devices" NotNegative Always "devices asked for";
        Priority "priority" "number" Signed Always "the task's own priority, or as raised by a rescheduling policy; higher is more urgent";
        InheritedPriority "inherited-priority" "number" Signed Always "the most urgent priority of the task and all that wait for it";
        SubmittedMs "submitted-ms" "ms" NotNegative Always "when it was submitted";
        ReadySinceMs "ready-since-ms" "ms" NotNegative OnceReady "when it became ready the last time";
        WaitedMs "waited-ms" "ms" NotNegative OnceReady "how long it has been ready";
        ExpectedMs "expected-ms" "ms" NotNegative Sometimes "expected run time; missing if unknown";
        TailMs "tail-ms" "ms" NotNegative Always "longest sum of expected run times from this task's start to the job's end; unknown ones count 0";
        SlackMs "slack-ms" "ms" NotNegative Always "the longest tail of a root of its job, less the longest path through this task";
        Attempt "attempt" "count" Counted Always "number of the current or next attempt";
        Tenant "tenant" "name number" Name Always "the tenant";
        TenantShare "tenant-share" "0..1" Fraction Always "largest share of cpu, memory or devices of all workers not lost that the tenant's current attempts hold; 0 where tasks of one group are ordered among themselves";
        Queue "queue" "name number" Name Always "the queue";
        Job "job" "number" NotNegative Always "the job's id";
        DepsLeft "deps-left" "count" NotNegative Always "dependencies not yet succeeded";
        DepsChangedMs "deps-changed-ms" "ms" NotNegative Sometimes "when a dependency last ended; missing if none has";
        ElapsedMs "elapsed-ms" "ms" NotNegative Sometimes "since the current attempt started; missing if not running";
        Progress "progress" "0..1" Fraction Sometimes "as the script reports it";
        CpuUsage "cpu-usage" "cores" NotNegative Sometimes "measured use of the running attempt";
        MemoryMb "memory-mb" "MB" NotNegative Sometimes "measured memory of the running attempt";
    }
}

impl WorkerColumn {
    /// What is measured of workers, so that there is a past to look at and a future to foretell.
    pub const MEASURED: [WorkerColumn; 5] = [
        WorkerColumn::CpuUsed,
        WorkerColumn::MemoryUsed,
        WorkerColumn::IopsUsed,
        WorkerColumn::RttMs,
        WorkerColumn::Connections,
    ];

    /// In the order of [`Self::MEASURED`].
    pub const PREDICTED: [WorkerColumn; 5] = [
        WorkerColumn::PredictedCpuUsed,
        WorkerColumn::PredictedMemoryUsed,
        WorkerColumn::PredictedIopsUsed,
        WorkerColumn::PredictedRttMs,
        WorkerColumn::PredictedConnections,
    ];

    /// The place of a measured column in [`Self::MEASURED`].
    pub fn place_measured(self) -> Option<usize> {
        WorkerColumn::MEASURED.iter().position(|it| *it == self)
    }

    /// The place of a predicted column in [`Self::PREDICTED`].
    pub fn place_predicted(self) -> Option<usize> {
        WorkerColumn::PREDICTED.iter().position(|it| *it == self)
    }

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
