//! The forecasting policy in force, as the thread that asks it holds it: beside dispatch, so that a
//! forecast for many workers delays no placement. Falls and recovers as the other slots do.

use crate::forecaster::ForecastingProfile;
use crate::generation::Generation;
use crate::incident::Incident;
use crate::ladder::Ladder;
use crate::manifest::Profile;
use crate::native::Native;
use crate::pace::Pace;
use crate::shared::Handover;
use crate::time::HostTime;
use pointsman_scheduler::record::PolicyStamp;
use pointsman_scheduler::{CallError, Slot};
use std::sync::Arc;
use std::time::Duration;

/// Owned by the one thread that asks for forecasts. Never waits for a compile or a file.
pub struct ForecastHost {
    ladder: Ladder,
    pace: Pace,
    handover: Arc<Handover>,
}

impl ForecastHost {
    pub(crate) fn new(handover: Arc<Handover>) -> ForecastHost {
        let native = Generation::native(Native::NoForecasting, Slot::Forecasting, 0);
        let mut ladder = Ladder::new(native, true);
        handover.publish(&mut ladder, Slot::Forecasting);
        ForecastHost { ladder, pace: Pace::new(HostTime::real()), handover }
    }

    /// Takes in swaps, and lets the best rung serve that can.
    pub fn begin_round(&mut self) {
        let now = self.pace.now();
        for (_, change) in self.handover.take(Slot::Forecasting) {
            self.ladder.apply(change, now);
        }
        self.pace.begin_round();
        self.ladder.begin_round(now);
        self.handover.publish(&mut self.ladder, Slot::Forecasting);
    }

    /// Who serves, and what it needs and provides; None: nobody.
    pub fn serving(&self) -> Option<(PolicyStamp, Arc<ForecastingProfile>)> {
        let generation = self.ladder.serving();
        match &generation.profile {
            Some(Profile::Forecasting(profile)) => Some((generation.stamp, profile.clone())),
            Some(Profile::Scoring(_) | Profile::Queue(_) | Profile::Rescheduling(_)) => {
                unreachable!("generations of the slot forecasting have its profile")
            }
            None => None,
        }
    }

    /// One list per provided column, each with one finite value within the column's range per row.
    /// `workers` holds the lists of [`ForecastingProfile::needs`], of at most
    /// [`ForecastingProfile::max_rows`] rows each.
    ///
    /// # Errors
    /// `NextRung`: it failed, and another generation serves now. `Held`: nobody answers now.
    pub fn forecast(
        &mut self,
        profile: &ForecastingProfile,
        workers: &[Vec<f64>],
        n_rows: usize,
    ) -> Result<Vec<Vec<f64>>, CallError> {
        self.ladder.call(&mut self.pace, |guest| guest.forecast(profile, workers, n_rows))
    }

    /// What happened since the last call; `Incident::event` is what the scheduler is to be told.
    pub fn take_incidents(&mut self) -> Vec<Incident> {
        std::mem::take(&mut self.ladder.incidents)
    }

    /// How long from now to begin a round at the latest, though nothing happened. None: no need.
    pub fn wake_in(&self) -> Option<Duration> {
        let at = self.ladder.wake_at(&self.pace)?;
        Some(at.saturating_sub(self.pace.now()))
    }

    /// Whether a swap waits for the next round. Cheap.
    pub fn has_swap(&self) -> bool {
        self.handover.is_waiting(Slot::Forecasting)
    }
}
