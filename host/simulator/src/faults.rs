//! Faults in virtual time: the production scheduler, agent and store among hosts that crash, workers
//! that freeze, networks that lose and delay, disks that fail and policies without sense, all of it by
//! one seed. What must hold is checked at every step; when the faults end, everything has to come to
//! its end.

pub mod invariant;
pub mod kind;
pub mod profile;
pub mod plan;
pub mod history;
pub mod shrink;

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

pub use history::History;
pub use invariant::{Broken, Invariant};
pub use kind::{FaultKind, Strikes};
pub use plan::Plan;
pub use profile::Profile;
pub use sabotage::Sabotage;

use pointsman_scheduler::record::TaskState;
use std::collections::BTreeMap;
use std::fmt;
use world::World;

#[derive(Debug, Clone)]
pub struct FaultOptions {
    pub plan: Plan,
    /// Ends without a verdict about the end after this many.
    pub max_steps: u64,
    pub sabotage: Option<Sabotage>,
}

impl FaultOptions {
    pub fn new(plan: Plan) -> FaultOptions {
        FaultOptions { plan, max_steps: 10_000_000, sabotage: None }
    }
}

/// A run in which everything held.
#[derive(Debug, Clone, PartialEq)]
pub struct FaultReport {
    pub n_steps: u64,
    /// Of everything that the scheduler wanted done: equal for equal plans.
    pub fingerprint: u64,
    pub n_attempts: usize,
    /// Workers given up.
    pub n_lost: u64,
    pub states: BTreeMap<TaskState, usize>,
    pub strikes: Strikes,
    pub history: History,
}

/// A run in which something did not hold.
#[derive(Debug, Clone)]
pub struct Violation {
    pub plan: Plan,
    pub step: u64,
    pub broken: Vec<Broken>,
    /// The last things that happened.
    pub tail: Vec<String>,
}

impl Violation {
    pub fn breaks(&self, invariant: Invariant) -> bool {
        self.broken.iter().any(|it| it.invariant == invariant)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.tail {
            writeln!(f, "  {line}")?;
        }
        for broken in &self.broken {
            writeln!(f, "VIOLATED: {broken}")?;
        }
        let Violation { plan: Plan { seed, name, .. }, step, .. } = self;
        write!(f, "at step {step} of the world with seed {seed} of {name}")
    }
}

/// Plays one world.
///
/// # Errors
/// What did not hold, with what led to it.
pub fn run(options: &FaultOptions) -> Result<FaultReport, Box<Violation>> {
    let mut world = World::new(options.plan.clone(), options.sabotage);
    world.play(options.max_steps);
    let World { agenda, checker, tail, n_steps, .. } = world;
    if checker.broken.is_empty() {
        return Ok(FaultReport {
            n_steps,
            fingerprint: checker.trace.hash(),
            n_attempts: checker.n_ran(),
            n_lost: checker.n_lost,
            states: checker.counts(),
            strikes: agenda.strikes,
            history: checker.history,
        });
    }
    Err(Box::new(Violation {
        plan: options.plan.clone(),
        step: n_steps,
        broken: checker.broken,
        tail: tail.into(),
    }))
}

/// Plays one world twice: it has to be the same one.
///
/// # Errors
/// What did not hold, or that the second run differs from the first.
pub fn run_twice(options: &FaultOptions) -> Result<FaultReport, Box<Violation>> {
    let (first, second) = (run(options)?, run(options)?);
    if first == second {
        return Ok(first);
    }
    let text = format!(
        "{} steps with fingerprint {:016x}, then {} steps with fingerprint {:016x}",
        first.n_steps, first.fingerprint, second.n_steps, second.fingerprint
    );
    Err(Box::new(Violation {
        plan: options.plan.clone(),
        step: second.n_steps,
        broken: vec![Broken { invariant: Invariant::EqualSeedsPlayAlike, text }],
        tail: Vec::new(),
    }))
}
