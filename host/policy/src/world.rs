//! The worlds of the contract: what a policy can be made for. Three of them fill a slot of the
//! scheduler; forecasters are checked and measured, and serve nowhere yet.

use pointsman_scheduler::Slot;

/// What a policy is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum World {
    Scoring,
    Queue,
    Rescheduling,
    Forecasting,
}

impl World {
    pub const ALL: [World; 4] =
        [World::Scoring, World::Queue, World::Rescheduling, World::Forecasting];

    /// The name of its interface, by which people name it, too.
    pub fn name(self) -> &'static str {
        match self {
            World::Scoring => "scoring",
            World::Queue => "queue",
            World::Rescheduling => "rescheduling",
            World::Forecasting => "forecasting",
        }
    }

    /// The world named so in the contract.
    pub(crate) fn wit_name(self) -> &'static str {
        match self {
            World::Scoring => "scoring-policy",
            World::Queue => "queue-policy",
            World::Rescheduling => "rescheduling-policy",
            World::Forecasting => "forecasting-policy",
        }
    }

    /// The world named `name`.
    pub fn find(name: &str) -> Option<World> {
        World::ALL.into_iter().find(|world| world.name() == name)
    }

    /// The slot that such a policy can be bound to; None: this host serves none by it.
    pub fn slot(self) -> Option<Slot> {
        match self {
            World::Scoring => Some(Slot::Scoring),
            World::Queue => Some(Slot::Queue),
            World::Rescheduling => Some(Slot::Rescheduling),
            World::Forecasting => None,
        }
    }
}

impl From<Slot> for World {
    fn from(slot: Slot) -> World {
        match slot {
            Slot::Scoring => World::Scoring,
            Slot::Queue => World::Queue,
            Slot::Rescheduling => World::Rescheduling,
        }
    }
}

/// Why a forecasting policy is bound to nothing.
pub const NO_HISTORY: &str = "forecasting policies cannot serve yet: this host keeps no history of \
     measurements for them to go by; `pointsman policy check` and `bench` do take them";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_slot_is_without_a_world_of_its_name() {
        for slot in Slot::ALL {
            assert_eq!(World::from(slot).name(), slot.name());
            assert_eq!(World::from(slot).slot(), Some(slot));
        }
        for world in World::ALL {
            assert_eq!(World::find(world.name()), Some(world));
        }
    }
}
