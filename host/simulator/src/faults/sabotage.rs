//! Bugs planted on purpose, each of which a run has to find: a check that cannot fail is none. All of
//! them are beside the production code: between scheduler, store, network and agent.

use super::invariant::Invariant;
use super::profile::Profile;

/// One planted bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// The order of a hash table that differs from run to run decides.
    ChanceDecides,
    /// Commands and answers leave before their records are durable.
    ReleasesBeforeDurable,
    /// The store says that it wrote and did not.
    StoreForgets,
    /// A submission said twice is taken twice.
    KeysAreIgnored,
    /// The agent starts what it runs already.
    AgentRunsTwice,
    /// A start is told to another worker.
    StartsGoAstray,
    /// A start is told to nobody.
    StartsAreDropped,
    /// What must not run unseen runs on when the lease ends.
    LeaseIsIgnored,
    /// Records of one batch are written in the wrong order.
    RecordsAreReordered,
    /// What is told to start is written down as running.
    StartsAreAnticipated,
    /// A record forgets the newest attempt's number.
    AttemptsAreNumberedAnew,
    /// The result of an older attempt is taken for the current one's.
    FencesAreIgnored,
    LossesCountAsSuccess,
    TimeoutCountsTheWait,
    /// A worker is taken for twice as large as it is.
    CapacityIsDoubled,
    /// With each registration a little of a worker is gone for good.
    CapacityLeaks,
    DependenciesAreForgotten,
    BackoffIsCutShort,
    /// A record forgets how many retries there were.
    RetriesAreForgotten,
    MigrationsAreCharged,
    /// A client is told that its task is cancelled, and nobody writes it down.
    CancelIsForgotten,
    /// A client is told that its task is cancelled, and it runs.
    CancelsAreIgnored,
    /// What waited for a failed task is skipped, and nobody writes it down.
    DependentsAreForgotten,
    EndsLoseTheirReason,
    WaitsLoseTheirReason,
    DrainsAreIgnored,
    PausesAreIgnored,
    QuarantinesAreIgnored,
    /// A worker's reports are answered and not looked at.
    SyncsAreSwallowed,
    /// A job that has ended begins anew with the host.
    JobEndsAreNotRead,
    JobStatesAreGuessed,
    TermsAreIgnored,
    StampsAreLost,
    /// A policy that fails once is asked again for ever.
    PolicyStopsTheHost,
}

impl Sabotage {
    pub const ALL: [Sabotage; 34] = [
        Sabotage::ChanceDecides,
        Sabotage::ReleasesBeforeDurable,
        Sabotage::StoreForgets,
        Sabotage::KeysAreIgnored,
        Sabotage::AgentRunsTwice,
        Sabotage::StartsGoAstray,
        Sabotage::StartsAreDropped,
        Sabotage::LeaseIsIgnored,
        Sabotage::RecordsAreReordered,
        Sabotage::StartsAreAnticipated,
        Sabotage::AttemptsAreNumberedAnew,
        Sabotage::FencesAreIgnored,
        Sabotage::LossesCountAsSuccess,
        Sabotage::TimeoutCountsTheWait,
        Sabotage::CapacityIsDoubled,
        Sabotage::CapacityLeaks,
        Sabotage::DependenciesAreForgotten,
        Sabotage::BackoffIsCutShort,
        Sabotage::RetriesAreForgotten,
        Sabotage::MigrationsAreCharged,
        Sabotage::CancelIsForgotten,
        Sabotage::CancelsAreIgnored,
        Sabotage::DependentsAreForgotten,
        Sabotage::EndsLoseTheirReason,
        Sabotage::WaitsLoseTheirReason,
        Sabotage::DrainsAreIgnored,
        Sabotage::PausesAreIgnored,
        Sabotage::QuarantinesAreIgnored,
        Sabotage::SyncsAreSwallowed,
        Sabotage::JobEndsAreNotRead,
        Sabotage::JobStatesAreGuessed,
        Sabotage::TermsAreIgnored,
        Sabotage::StampsAreLost,
        Sabotage::PolicyStopsTheHost,
    ];

    /// What it breaks, and what has to be said of it.
    pub fn breaks(self) -> Invariant {
        match self {
            Sabotage::ChanceDecides => Invariant::EqualSeedsPlayAlike,
            Sabotage::ReleasesBeforeDurable | Sabotage::StoreForgets => {
                Invariant::DurableBeforeVisible
            }
            Sabotage::KeysAreIgnored | Sabotage::RecordsAreReordered => {
                Invariant::SubmissionsAreKept
            }
            Sabotage::AgentRunsTwice | Sabotage::StartsGoAstray => {
                Invariant::AttemptsRunOnceWhereRecorded
            }
            Sabotage::LeaseIsIgnored => Invariant::StopOnDisconnectNeverOverlaps,
            Sabotage::StartsAreAnticipated => Invariant::StatesFollowTheTable,
            Sabotage::AttemptsAreNumberedAnew => Invariant::AttemptsAreNumbered,
            Sabotage::FencesAreIgnored | Sabotage::LossesCountAsSuccess => {
                Invariant::OutcomesAreTrue
            }
            Sabotage::TimeoutCountsTheWait => Invariant::TimeoutsCountFromTheStart,
            Sabotage::CapacityIsDoubled => Invariant::NothingIsOvercommitted,
            Sabotage::DependenciesAreForgotten => Invariant::DependenciesComeFirst,
            Sabotage::BackoffIsCutShort => Invariant::BackoffIsKept,
            Sabotage::RetriesAreForgotten | Sabotage::MigrationsAreCharged => {
                Invariant::BudgetsAreKept
            }
            Sabotage::CancelIsForgotten | Sabotage::CancelsAreIgnored => {
                Invariant::CancelledStaysCancelled
            }
            Sabotage::DependentsAreForgotten => Invariant::DependentsEndToo,
            Sabotage::EndsLoseTheirReason => Invariant::EndsHaveReasons,
            Sabotage::WaitsLoseTheirReason => Invariant::WaitsHaveReasons,
            Sabotage::DrainsAreIgnored
            | Sabotage::PausesAreIgnored
            | Sabotage::QuarantinesAreIgnored => Invariant::SetAsideGetsNothing,
            Sabotage::SyncsAreSwallowed => Invariant::LostOnlyWhenSilent,
            Sabotage::JobEndsAreNotRead => Invariant::StateAgrees,
            Sabotage::JobStatesAreGuessed => Invariant::JobsAddUp,
            Sabotage::TermsAreIgnored => Invariant::OldLeadersAreRefused,
            Sabotage::StampsAreLost => Invariant::DecisionsAreStamped,
            Sabotage::StartsAreDropped | Sabotage::CapacityLeaks | Sabotage::PolicyStopsTheHost => {
                Invariant::EverythingEnds
            }
        }
    }

    /// Where it shows.
    pub fn profile(self) -> Profile {
        let name = match self {
            Sabotage::JobEndsAreNotRead => "crashes",
            Sabotage::QuarantinesAreIgnored
            | Sabotage::PolicyStopsTheHost
            | Sabotage::BackoffIsCutShort => "policies",
            _ => "all",
        };
        Profile::find(name).expect("it is one of them")
    }
}
