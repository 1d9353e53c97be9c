//! Identifiers. All are made by the host, never derived from a name, and never reused.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $inner:ty, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = BadId;

            /// Reads the canonical text form only: no sign, no leading zeros.
            fn from_str(text: &str) -> Result<Self, BadId> {
                let bad = || BadId { expected: concat!($prefix, "<number>") };
                let digits = text.strip_prefix($prefix).ok_or_else(bad)?;
                let id = $name(digits.parse().map_err(|_| bad())?);
                if id.0.to_string() == digits { Ok(id) } else { Err(bad()) }
            }
        }
    };
}

id!(
    /// A job: a named DAG of tasks.
    JobId, u64, "j"
);
id!(
    /// A task. Ids grow in submit order.
    TaskId, u64, "t"
);
id!(
    /// A worker, stable over its restarts as long as it shows its token.
    WorkerId, u32, "w"
);

/// A text that is not an id of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an id of the form {expected}")]
pub struct BadId {
    pub expected: &'static str,
}

/// The leader's term: incremented durably at every host start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Term(pub u64);

/// One dispatch of a task. Reports are fenced by the whole triple.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptRef {
    pub task: TaskId,
    /// Counted from 1 over the task's life.
    pub attempt: u32,
    /// The term in which the attempt was dispatched; kept when a later host adopts it.
    pub term: Term,
}

/// Ties an [`crate::Effect::Answer`] to the request that caused it; chosen by the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);
