//! A generation with the instances that run it: the one in use, one prepared for when that is worn, and
//! one that is being made elsewhere because it takes long.

use crate::failure::Failure;
use crate::generation::{Body, Generation};
use crate::health::Health;
use crate::instance::Instance;
use crate::starter::Starting;
use std::sync::Arc;
use std::time::Duration;

/// A generation with the instances that run it.
pub(crate) struct Runner {
    pub generation: Arc<Generation>,
    pub health: Health,
    pub instance: Option<Instance>,
    pub spare: Option<Instance>,
    /// Being made elsewhere, because it takes long.
    pub starting: Option<Starting>,
    /// It was in force for a round. Of several swaps between two rounds only the last one is.
    pub has_served: bool,
}

/// Whether a runner has an instance.
pub(crate) enum Readiness {
    Ready,
    /// One is being made.
    NotYet,
}

impl Runner {
    pub fn new(generation: Arc<Generation>, instance: Option<Instance>) -> Runner {
        Runner {
            generation,
            health: Health::default(),
            instance,
            spare: None,
            starting: None,
            has_served: false,
        }
    }

    pub fn round_limit(&self) -> Option<Duration> {
        match &self.generation.body {
            Body::Native(_) => None,
            Body::Guest { artefact, .. } => artefact.limits.round,
        }
    }

    /// A usable instance; a worn one is replaced.
    #[inline]
    pub fn instance(&mut self) -> Result<(&mut Instance, &Generation), Failure> {
        if self.instance.as_ref().is_none_or(Instance::is_worn) {
            self.replace()?;
        }
        let instance = self.instance.as_mut().expect("who serves has an instance");
        Ok((instance, &self.generation))
    }

    /// At the start of a round: an instance that is there and not too old.
    pub fn refresh(&mut self) -> Result<Readiness, Failure> {
        if self.instance.as_ref().is_none_or(Instance::is_old) {
            self.replace()?;
        }
        Ok(match (&self.generation.body, &self.instance) {
            (Body::Native(_), _) | (Body::Guest { .. }, Some(_)) => Readiness::Ready,
            (Body::Guest { .. }, None) => Readiness::NotYet,
        })
    }

    /// Puts another instance in place. One that takes long to make is made elsewhere, and the worn
    /// one, if there is one, serves until it is there.
    fn replace(&mut self) -> Result<(), Failure> {
        if let Some(spare) = self.spare.take() {
            self.instance = Some(spare);
            return Ok(());
        }
        if !self.generation.starts_slowly() {
            // First, so that the memory of one is enough.
            self.instance = None;
            self.instance = self.start()?;
            return Ok(());
        }
        let starting = self.starting.get_or_insert_with(|| Starting::of(&self.generation));
        if let Some(result) = starting.poll() {
            self.starting = None;
            self.instance = Some(result?);
        }
        Ok(())
    }

    pub fn prepare(&mut self) {
        if self.generation.starts_slowly() {
            return;
        }
        if self.spare.is_none() && self.instance.as_ref().is_some_and(Instance::is_used) {
            // A failure shows, and is counted, when the instance is needed.
            self.spare = self.start().unwrap_or(None);
        }
    }

    /// None for a native policy.
    fn start(&self) -> Result<Option<Instance>, Failure> {
        self.generation.start().transpose()
    }
}
