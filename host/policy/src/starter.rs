//! Instances that take long to start, because their `configure` does: made on a thread of their own, so
//! that the driver does not wait. Guests that start quickly never come here.

use crate::failure::{Failure, FailureKind};
use crate::generation::Generation;
use crate::instance::Instance;
use crate::limits::Limits;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;

/// Starts that take longer are not made on the driver's thread.
pub(crate) const SLOW_START: Duration = Duration::from_millis(2);
/// An instance lives so many times longer than it took to start, so that starting takes at most a
/// hundredth of a core.
const LIFE_PER_START: u32 = 100;

/// The limits of a guest whose instances took `took` to start: it is replaced by age instead of by its
/// calls, and more seldom.
pub(crate) fn limits_of_slow_start(limits: Limits, took: Duration) -> Limits {
    let age = limits.instance_age.unwrap_or_default().max(took * LIFE_PER_START);
    Limits { instance_calls: u32::MAX, instance_age: Some(age), ..limits }
}

/// An instance that is being made.
pub(crate) struct Starting(Receiver<Result<Instance, Failure>>);

impl Starting {
    /// Begins to start an instance of a guest.
    pub fn of(generation: &Arc<Generation>) -> Starting {
        let (sender, receiver) = channel();
        let generation = generation.clone();
        let thread = std::thread::Builder::new().name("policy-start".to_owned());
        let spawned = thread.spawn(move || {
            if let Some(result) = generation.start() {
                // Whoever wanted it may be served by another generation now.
                let _ = sender.send(result);
            }
        });
        if let Err(error) = spawned {
            tracing::warn!("no thread to start a policy on: {error}");
        }
        Starting(receiver)
    }

    /// The instance, or why there is none; None: not yet.
    pub fn poll(&self) -> Option<Result<Instance, Failure>> {
        match self.0.try_recv() {
            Ok(result) => Some(result),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                Some(Err(Failure::new(FailureKind::Start, "it could not be started")))
            }
        }
    }
}
