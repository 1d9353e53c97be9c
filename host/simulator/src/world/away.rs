//! Machines that fail and come back, as the event loop plays them.

use super::{Running, World};
use crate::outage::Turn;
use pointsman_scheduler::{AttemptRef, WorkerId};

impl World<'_> {
    /// Machines go down and come back; those that are up say so from time to time.
    pub(super) fn turn_machines(&mut self) {
        while let Some((turn, position)) = self.machines.pop_due(self.now) {
            match turn {
                Turn::Down => self.interrupt(position),
                Turn::Up => self.register(position),
            }
        }
        if self.machines.is_beat_due(self.now) {
            let workers: Vec<(WorkerId, usize)> =
                self.workers.iter().map(|(id, position)| (*id, *position)).collect();
            for (worker, position) in workers {
                if !self.machines.is_down(position) {
                    self.sync(worker, Vec::new(), Vec::new());
                }
            }
        }
    }

    /// What runs there is gone, and nobody is told.
    fn interrupt(&mut self, position: usize) {
        let is_there = |running: &Running| self.workers[&running.worker] == position;
        let gone: Vec<(AttemptRef, Running)> = self
            .running
            .iter()
            .filter(|(_, running)| is_there(running))
            .map(|(attempt, running)| (*attempt, *running))
            .collect();
        for (attempt, running) in gone {
            self.running.remove(&attempt);
            let (job, position) = self.places[&attempt.task];
            self.runs[job][position].busy += self.now.since(running.since).as_nanos();
            self.machines.n_interrupted += 1;
        }
    }
}
