//! How a command ends: the documented exit codes, and failures that carry theirs.

use std::fmt::Display;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Ok = 0,
    /// The job or task did not succeed, or the command itself did not.
    NotSucceeded = 1,
    /// Wrong usage or bad input; nothing was changed.
    Usage = 2,
    /// The host said no.
    Refused = 3,
    Unreachable = 4,
}

/// Why a command failed. It is told once, by `main`.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    pub error: anyhow::Error,
}

impl Failure {
    pub fn usage(error: impl Display) -> Failure {
        Failure { exit: Exit::Usage, error: anyhow::Error::msg(error.to_string()) }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Failure {
        Failure { exit: Exit::NotSucceeded, error }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        Failure::from(anyhow::Error::from(error))
    }
}

/// Marks an error as bad input.
pub trait BadInput<T> {
    fn bad_input(self) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> BadInput<T> for Result<T, E> {
    fn bad_input(self) -> Result<T, Failure> {
        self.map_err(|error| Failure { exit: Exit::Usage, error: error.into() })
    }
}
