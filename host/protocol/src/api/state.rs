//! The core's closed enums as fixed words.

use pointsman_scheduler::policies::Slot;
use pointsman_scheduler::record::{JobState, TaskState, WorkerState};
use pointsman_scheduler::settings::Discipline;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A word that is none of the allowed ones.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not one of {}", allowed.join(", "))]
pub struct UnknownValue {
    pub found: String,
    pub allowed: &'static [&'static str],
}

macro_rules! words {
    ($(#[$doc:meta])* $wire:ident for $core:ident { $($variant:ident $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
        pub enum $wire {
            $(#[serde(rename = $word)] $variant,)*
        }

        impl $wire {
            pub const WORDS: &[&str] = &[$($word,)*];

            pub fn word(self) -> &'static str {
                match self {
                    $($wire::$variant => $word,)*
                }
            }
        }

        impl From<$core> for $wire {
            fn from(it: $core) -> $wire {
                match it {
                    $($core::$variant => $wire::$variant,)*
                }
            }
        }

        impl From<$wire> for $core {
            fn from(it: $wire) -> $core {
                match it {
                    $($wire::$variant => $core::$variant,)*
                }
            }
        }

        impl fmt::Display for $wire {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.word())
            }
        }

        impl std::str::FromStr for $wire {
            type Err = UnknownValue;

            /// Reads the words in any case, as parameters and command lines have them.
            fn from_str(text: &str) -> Result<$wire, UnknownValue> {
                $(if text.eq_ignore_ascii_case($word) {
                    return Ok($wire::$variant);
                })*
                let found = text.chars().take(60).collect();
                Err(UnknownValue { found, allowed: $wire::WORDS })
            }
        }
    };
}

words! {
    /// The state of a task.
    WireTaskState for TaskState {
        Pending "PENDING",
        Assigned "ASSIGNED",
        Running "RUNNING",
        Succeeded "SUCCEEDED",
        Failed "FAILED",
        Skipped "SKIPPED",
        Cancelled "CANCELLED",
    }
}

words! {
    /// The state of a job.
    WireJobState for JobState {
        Running "RUNNING",
        Succeeded "SUCCEEDED",
        Failed "FAILED",
        Cancelled "CANCELLED",
    }
}

words! {
    /// The state of a worker.
    WireWorkerState for WorkerState {
        Live "live",
        Suspect "suspect",
        Draining "draining",
        Lost "lost",
    }
}

words! {
    /// A place that a policy can be bound to.
    WireSlot for Slot {
        Scoring "scoring",
        Queue "queue",
        Rescheduling "rescheduling",
        Forecasting "forecasting",
    }
}

words! {
    /// How a queue treats tasks that do not fit now.
    WireDiscipline for Discipline {
        Greedy "greedy",
        Strict "strict",
        Backfill "backfill",
    }
}

impl WireTaskState {
    pub fn is_terminal(self) -> bool {
        TaskState::from(self).is_terminal()
    }
}
