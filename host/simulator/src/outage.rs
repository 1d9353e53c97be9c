//! Workers that are away for a while: recorded failures, played as they happened.

use crate::simulate::Options;
use pointsman_scheduler::Time;
use std::cmp::Reverse;
use std::time::Duration;

/// From `from` to `until` the worker's machine is down: what ran there is gone, what it is told is
/// lost, and then its agent starts anew. Outages of one worker do not overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// By position in the cluster.
    pub worker: usize,
    pub from: Time,
    pub until: Time,
}

/// What happens to a worker's machine next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Turn {
    /// Before the other, so that an end and a beginning at one instant come in this order.
    Up,
    Down,
}

/// Which machines are up, and when that changes.
#[derive(Debug)]
pub(crate) struct Machines {
    turns: Turns,
    /// The number of the life of the agent on each machine; None: it is down.
    lives: Vec<Option<u64>>,
    n_lives: u64,
    /// When those that are up say so next; None: silence never counts.
    beat: Option<(Time, Duration)>,
    /// Outages that began.
    pub n_outages: u64,
    /// Attempts that ended with their machine.
    pub n_interrupted: u64,
    /// Starts on a machine that was down.
    pub n_unheard: u64,
}

impl Machines {
    /// All up, in their first life.
    pub fn of(options: &Options) -> Machines {
        let interval = options.settings.heartbeat.interval;
        let n_machines = options.cluster.workers.len();
        Machines {
            turns: Turns::of(&options.outages),
            lives: vec![Some(1); n_machines],
            n_lives: 1,
            beat: (!options.outages.is_empty()).then(|| (Time::ZERO.after(interval), interval)),
            n_outages: 0,
            n_interrupted: 0,
            n_unheard: 0,
        }
    }

    pub fn is_down(&self, position: usize) -> bool {
        self.lives[position].is_none()
    }

    /// Of the agent that is up there.
    pub fn life(&self, position: usize) -> u64 {
        self.lives[position].expect("only an agent that is up says something")
    }

    pub fn next_at(&self) -> Option<Time> {
        let beat = self.beat.map(|(at, _)| at);
        [self.turns.next_at(), beat].into_iter().flatten().min()
    }

    /// The next turn that is due; done.
    pub fn pop_due(&mut self, now: Time) -> Option<(Turn, usize)> {
        let (turn, position) = self.turns.pop_due(now)?;
        self.lives[position] = match turn {
            Turn::Up => {
                self.n_lives += 1;
                Some(self.n_lives)
            }
            Turn::Down => {
                self.n_outages += 1;
                None
            }
        };
        Some((turn, position))
    }

    /// Whether machines that are up say so now; the next time is an interval later.
    pub fn is_beat_due(&mut self, now: Time) -> bool {
        match &mut self.beat {
            Some((at, interval)) if *at <= now => {
                *at = now.after(*interval);
                true
            }
            Some(_) | None => false,
        }
    }
}

/// The turns that are left, the next one last.
#[derive(Debug)]
struct Turns(Vec<Reverse<(Time, Turn, usize)>>);

impl Turns {
    fn of(outages: &[Outage]) -> Turns {
        let both = |outage: &Outage| {
            let down = (outage.from, Turn::Down, outage.worker);
            // Not at the same instant, or it would be up before it was down.
            let up = (outage.until.max(Time(outage.from.0 + 1)), Turn::Up, outage.worker);
            [Reverse(down), Reverse(up)]
        };
        let mut turns: Vec<_> = outages.iter().flat_map(both).collect();
        turns.sort_unstable();
        Turns(turns)
    }

    fn next_at(&self) -> Option<Time> {
        self.0.last().map(|Reverse((at, _, _))| *at)
    }

    /// The next one, if it is due.
    fn pop_due(&mut self, now: Time) -> Option<(Turn, usize)> {
        if self.next_at()? > now {
            return None;
        }
        self.0.pop().map(|Reverse((_, turn, worker))| (turn, worker))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_comes_back_before_having_been_away() {
        let outage = |worker, from, until| Outage { worker, from: Time(from), until: Time(until) };
        let mut turns = Turns::of(&[outage(1, 5, 5), outage(0, 2, 7), outage(2, 7, 9)]);
        let mut seen = Vec::new();
        while let Some(at) = turns.next_at() {
            assert_eq!(turns.pop_due(Time(at.0 - 1)), None);
            let (turn, worker) = turns.pop_due(at).unwrap();
            seen.push((at.0, turn, worker));
        }
        use Turn::{Down, Up};
        let expected =
            [(2, Down, 0), (5, Down, 1), (6, Up, 1), (7, Up, 0), (7, Down, 2), (9, Up, 2)];
        assert_eq!(seen, expected);
    }
}
