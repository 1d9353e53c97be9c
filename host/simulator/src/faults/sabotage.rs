//! Bugs planted on purpose, each of which a run has to find: a check that cannot fail is none.

/// One planted bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// Commands and answers leave before their records are durable.
    ReleasesBeforeDurable,
    /// The store says that it wrote and did not.
    StoreForgets,
    /// The agent starts what it runs already.
    AgentRunsTwice,
    /// What must not run unseen runs on when the lease ends.
    LeaseIsIgnored,
    /// A client is told that its task is cancelled, and nobody writes it down.
    CancelIsForgotten,
}

impl Sabotage {
    pub const ALL: [Sabotage; 5] = [
        Sabotage::ReleasesBeforeDurable,
        Sabotage::StoreForgets,
        Sabotage::AgentRunsTwice,
        Sabotage::LeaseIsIgnored,
        Sabotage::CancelIsForgotten,
    ];
}
