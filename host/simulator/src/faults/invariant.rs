//! What must hold, whatever goes wrong. Each has a planted bug that breaks it (`sabotage.rs`).

/// A closed set: one more needs a planted bug that breaks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// Equal seeds play alike.
    EqualSeedsPlayAlike,
    /// Nothing is seen by a worker or a client before it is durable.
    DurableBeforeVisible,
    /// What a client was told about is kept as it was submitted, once.
    SubmissionsAreKept,
    /// An attempt is started once, by the worker that its record names.
    AttemptsRunOnceWhereRecorded,
    /// What must not overlap never does.
    StopOnDisconnectNeverOverlaps,
    /// States change along the table.
    StatesFollowTheTable,
    /// Attempts are numbered upwards and end once.
    AttemptsAreNumbered,
    /// What is recorded of an attempt is what its script did.
    OutcomesAreTrue,
    /// A timeout is counted from the start of the script.
    TimeoutsCountFromTheStart,
    /// Current attempts never take more than their worker has.
    NothingIsOvercommitted,
    /// A task starts after everything that it waits for succeeded.
    DependenciesComeFirst,
    /// A retry waits for the end of its backoff.
    BackoffIsKept,
    /// Retries and losses are charged once, for own failures and losses alone.
    BudgetsAreKept,
    /// What was cancelled does not run.
    CancelledStaysCancelled,
    /// Nothing waits for what will not succeed.
    DependentsEndToo,
    /// What did not succeed says why, and names the root of it.
    EndsHaveReasons,
    /// What waits says for what.
    WaitsHaveReasons,
    /// A worker that is drained, silent or quarantined gets nothing, nor starts a paused queue.
    SetAsideGetsNothing,
    /// A worker is given up only if it was not heard of for long enough.
    LostOnlyWhenSilent,
    /// A job ends with its last task, in the state that follows from theirs.
    JobsAddUp,
    /// An older leader writes nothing.
    OldLeadersAreRefused,
    /// Each decision names the policies that made it.
    DecisionsAreStamped,
    /// The scheduler's own state agrees with itself.
    StateAgrees,
    /// Once nothing goes wrong, everything comes to its end: tasks, workers, clients.
    EverythingEnds,
}

impl Invariant {
    pub const ALL: [Invariant; 24] = [
        Invariant::EqualSeedsPlayAlike,
        Invariant::DurableBeforeVisible,
        Invariant::SubmissionsAreKept,
        Invariant::AttemptsRunOnceWhereRecorded,
        Invariant::StopOnDisconnectNeverOverlaps,
        Invariant::StatesFollowTheTable,
        Invariant::AttemptsAreNumbered,
        Invariant::OutcomesAreTrue,
        Invariant::TimeoutsCountFromTheStart,
        Invariant::NothingIsOvercommitted,
        Invariant::DependenciesComeFirst,
        Invariant::BackoffIsKept,
        Invariant::BudgetsAreKept,
        Invariant::CancelledStaysCancelled,
        Invariant::DependentsEndToo,
        Invariant::EndsHaveReasons,
        Invariant::WaitsHaveReasons,
        Invariant::SetAsideGetsNothing,
        Invariant::LostOnlyWhenSilent,
        Invariant::JobsAddUp,
        Invariant::OldLeadersAreRefused,
        Invariant::DecisionsAreStamped,
        Invariant::StateAgrees,
        Invariant::EverythingEnds,
    ];
}

/// What did not hold, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    pub invariant: Invariant,
    pub text: String,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}: {}", self.invariant, self.text)
    }
}
