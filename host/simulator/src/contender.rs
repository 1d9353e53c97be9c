//! A set of policies under a name, to be compared with others.

use pointsman_scheduler::Policies;

pub struct Contender {
    /// As the report shows it.
    pub name: String,
    pub policies: Box<dyn Policies>,
}
