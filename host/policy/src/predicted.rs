//! Which forecasts can be relied on, as the ladders of other slots see it: a policy that needs a column
//! `predicted:…` serves only while there is one.

use crate::generation::Generation;
use crate::manifest::Profile;
use pointsman_scheduler::columns::WorkerColumn;

/// The predicted columns that there are, and why others are not; by default there are none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PredictedColumns {
    /// Provided, and fit as far as is known.
    pub fit: Vec<WorkerColumn>,
    /// Provided and not to be relied on, with the reason for people, without a full stop.
    pub unfit: Vec<(WorkerColumn, String)>,
}

impl PredictedColumns {
    /// The first column that the policy needs and there is not, and why: `predicted:cpu-used, which …`.
    pub(crate) fn missing(&self, generation: &Generation) -> Option<String> {
        let needs = match &generation.profile {
            Some(Profile::Scoring(profile)) => &profile.needs_worker,
            Some(Profile::Rescheduling(profile)) => &profile.needs_worker,
            Some(Profile::Queue(_) | Profile::Forecasting(_)) | None => return None,
        };
        let is_missing =
            |it: &&WorkerColumn| it.place_predicted().is_some() && !self.fit.contains(it);
        let missing = needs.iter().find(is_missing)?;
        let name = missing.info().name;
        let unfit = self.unfit.iter().find(|(column, _)| column == missing);
        Some(match unfit {
            Some((_, reason)) => format!("{name}, which is unfit: {reason}"),
            None => format!(
                "{name}, which no forecasting policy provides; bind one to the slot forecasting"
            ),
        })
    }
}
