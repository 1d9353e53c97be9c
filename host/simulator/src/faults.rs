//! Faults in virtual time: the production scheduler, agent and store among hosts that crash, workers
//! that freeze, networks that lose and delay, disks that fail and policies without sense, all of it by
//! one seed. What must hold is checked at every step; when the faults end, everything has to come to
//! its end.

mod profile;
mod sabotage;
mod agenda;
mod world;
mod disaster;
mod host;
mod outbox;
mod policies;
mod worker;
mod script;
mod client;
mod checker;

pub use profile::Profile;
pub use sabotage::Sabotage;

use pointsman_scheduler::record::TaskState;
use std::collections::BTreeMap;
use std::fmt;
use world::World;

#[derive(Debug, Clone)]
pub struct FaultOptions {
    pub seed: u64,
    pub profile: Profile,
    /// Ends without a verdict about the end after this many.
    pub max_steps: u64,
    pub sabotage: Option<Sabotage>,
}

/// A run in which everything held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultReport {
    pub n_steps: u64,
    /// Of everything that the scheduler wanted done: equal for equal seeds.
    pub fingerprint: u64,
    pub n_attempts: usize,
    /// Workers given up.
    pub n_lost: u64,
    pub states: BTreeMap<TaskState, usize>,
}

/// A run in which something did not hold.
#[derive(Debug, Clone)]
pub struct Violation {
    pub seed: u64,
    pub profile: &'static str,
    pub step: u64,
    pub violations: Vec<String>,
    /// The last things that happened.
    pub tail: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.tail {
            writeln!(f, "  {line}")?;
        }
        for violation in &self.violations {
            writeln!(f, "VIOLATED: {violation}")?;
        }
        let Violation { seed, profile, step, .. } = self;
        write!(f, "again: --seed {seed} --profile {profile}, at step {step}")
    }
}

/// Plays one world.
///
/// # Errors
/// What did not hold, with what led to it.
pub fn run(options: &FaultOptions) -> Result<FaultReport, Box<Violation>> {
    let mut world = World::new(options.seed, options.profile.clone(), options.sabotage);
    world.play(options.max_steps);
    let World { checker, tail, n_steps, .. } = world;
    if checker.violations.is_empty() {
        return Ok(FaultReport {
            n_steps,
            fingerprint: checker.trace.hash(),
            n_attempts: checker.n_ran(),
            n_lost: checker.n_lost,
            states: checker.counts(),
        });
    }
    Err(Box::new(Violation {
        seed: options.seed,
        profile: options.profile.name,
        step: n_steps,
        violations: checker.violations,
        tail: tail.into(),
    }))
}
