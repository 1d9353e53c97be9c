//! Explanations, worked out from the state that decides.

use crate::explain::{Explanation, Placed, Standings, Verdict, WorkerVerdict};
use crate::ids::TaskId;
use crate::policies::{CallError, Policies, ScoringProfile};
use crate::record::{Attempt, WorkerState};
use crate::resources::Free;
use crate::scheduler::Scheduler;
use crate::scores::fill_worker_columns;
use crate::task::Place;
use crate::worker::{Worker, WorkerIdx};

const MAX_WORKERS: usize = 1000;
const MAX_WAITS_FOR: usize = 100;
const MAX_POSITION: usize = 10_000;

impl Scheduler {
    pub(crate) fn explain_task(
        &mut self,
        id: TaskId,
        policies: &mut dyn Policies,
    ) -> Option<Explanation> {
        self.follow_workers();
        let reason = self.pending_reason(id);
        let task = self.tasks.get(&id)?;
        let is_left = |id: &&TaskId| {
            self.tasks
                .get(id)
                .is_some_and(|it| it.status.state != crate::record::TaskState::Succeeded)
        };
        let waits_for = task.dependencies.iter().filter(is_left).take(MAX_WAITS_FOR).copied();
        let waits_for = waits_for.collect();
        let (state, ranked) = (task.status.state, task.ranked);
        let placed = task.status.attempts.last().map(|attempt| self.placed(id, attempt));
        let workers = self.verdicts(id, policies);
        Some(Explanation {
            task: id,
            state,
            reason,
            queue_position: self.queue_position(id),
            queue_policy: ranked.map_or(policies.queue().stamp, |ranked| ranked.stamp),
            scoring_policy: policies.scoring().stamp,
            workers,
            waits_for,
            placed,
        })
    }

    pub(crate) fn placed(&self, id: TaskId, attempt: &Attempt) -> Placed {
        // Attempts of another term were placed by another host.
        let basis = self.bases.of(id, attempt.number).filter(|_| attempt.term == self.term);
        Placed { attempt: attempt.clone(), basis: basis.cloned() }
    }

    /// How many tasks come before it, plus one: of its queue, or of its group if the policy groups,
    /// since how groups alternate is decided with each start.
    fn queue_position(&self, id: TaskId) -> Option<u32> {
        let task = self.task(id);
        if task.place != Place::Queued {
            return None;
        }
        let ranked = task.ranked?;
        let key = ranked.key;
        let group = self.queues.class(ranked.class).key.group;
        let classes = self.queues.get(task.queue).classes.iter();
        let of_group = classes.filter(|class| self.queues.class(**class).key.group == group);
        let n_before: usize = of_group
            .map(|class| self.queues.class(*class).tasks.range(..key).take(MAX_POSITION).count())
            .sum();
        Some((n_before + 1).min(MAX_POSITION) as u32)
    }

    fn verdicts(&self, id: TaskId, policies: &mut dyn Policies) -> Vec<WorkerVerdict> {
        let looked_at: Vec<(WorkerIdx, &Worker)> = self.workers.iter().take(MAX_WORKERS).collect();
        let mut verdicts: Vec<(WorkerIdx, Option<Verdict>)> =
            looked_at.iter().map(|(idx, worker)| (*idx, self.obstacle(id, worker))).collect();
        let fitting: Vec<WorkerIdx> =
            verdicts.iter().filter(|(_, it)| it.is_none()).map(|(idx, _)| *idx).collect();
        let mut scored = self.score_for(id, &fitting, policies).into_iter();
        for (_, verdict) in verdicts.iter_mut().filter(|(_, verdict)| verdict.is_none()) {
            *verdict = scored.next();
        }
        verdicts
            .into_iter()
            .filter_map(|(idx, verdict)| {
                let worker = self.workers.get(idx).record.id;
                verdict.map(|verdict| WorkerVerdict { worker, verdict })
            })
            .collect()
    }

    /// Why the worker cannot take the task now; None if it can.
    fn obstacle(&self, id: TaskId, worker: &Worker) -> Option<Verdict> {
        let spec = &self.task(id).spec;
        let capacity = &worker.record.capacity;
        let missing: Vec<(String, String)> = spec
            .requires
            .iter()
            .filter(|(name, value)| worker.record.labels.get(*name) != Some(*value))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        if let Some(verdict) = absence(worker) {
            Some(verdict)
        } else if !missing.is_empty() {
            Some(Verdict::MissingLabels { missing })
        } else if !capacity.could_ever_fit(&spec.request) {
            Some(Verdict::TooSmall { capacity: Free::all_of(capacity).bound() })
        } else if !worker.free.fits(&spec.request) {
            Some(Verdict::NoCapacityNow { free: worker.free.bound() })
        } else {
            None
        }
    }

    fn score_for(
        &self,
        id: TaskId,
        fitting: &[WorkerIdx],
        policies: &mut dyn Policies,
    ) -> Vec<Verdict> {
        self.scored(fitting, policies, |profile| {
            let context = self.context(id, true);
            let task = self.task(id);
            profile.needs_task.iter().map(|it| task.column(*it, &context)).collect()
        })
    }

    /// Scores them for a task with the columns that `task` gives; nothing if no policy answers.
    fn scored(
        &self,
        rows: &[WorkerIdx],
        policies: &mut dyn Policies,
        task: impl Fn(&ScoringProfile) -> Vec<f64>,
    ) -> Vec<Verdict> {
        for _ in 0..crate::placement::MAX_RUNGS {
            let profile = policies.scoring();
            let task_columns = task(&profile);
            let mut columns = Vec::new();
            fill_worker_columns(&self.workers, &profile.needs_worker, rows, &mut columns);
            let mut scores = Vec::new();
            match policies.score(&task_columns, &columns, rows.len(), &mut scores) {
                Ok(()) => {
                    let row = |(row, score): (usize, &f64)| Verdict::Fits {
                        score: *score,
                        task_columns: task_columns.clone(),
                        worker_columns: columns.iter().map(|values| values[row]).collect(),
                    };
                    return scores.iter().enumerate().map(row).collect();
                }
                Err(CallError::NextRung) => {}
                Err(CallError::Held) => return Vec::new(),
            }
        }
        Vec::new()
    }

    pub(crate) fn all_standings(&mut self, policies: &mut dyn Policies) -> Standings {
        let looked_at: Vec<(WorkerIdx, &Worker)> = self.workers.iter().take(MAX_WORKERS).collect();
        let here = looked_at.iter().filter(|(_, worker)| absence(worker).is_none());
        let here: Vec<WorkerIdx> = here.map(|(idx, _)| *idx).collect();
        let newest = self.bases.newest();
        let scored = self.scored(&here, policies, |profile| {
            let shown = newest.filter(|(_, basis)| basis.policy == profile.stamp);
            shown
                .map(|(_, basis)| basis.task.clone())
                .unwrap_or_else(|| vec![f64::NAN; profile.needs_task.len()])
        });
        let profile = policies.scoring();
        let mut scored = scored.into_iter();
        let verdicts = looked_at.iter().filter_map(|(_, worker)| {
            let verdict = absence(worker).or_else(|| scored.next())?;
            Some(WorkerVerdict { worker: worker.record.id, verdict })
        });
        Standings {
            policy: profile.stamp,
            is_banded: profile.banded,
            task: newest.filter(|(_, basis)| basis.policy == profile.stamp).map(|(task, _)| task),
            workers: verdicts.collect(),
        }
    }
}

/// Why a worker takes no task at all now.
fn absence(worker: &Worker) -> Option<Verdict> {
    if worker.state == WorkerState::Draining {
        Some(Verdict::Draining)
    } else if let Some(until) = worker.quarantined_until {
        Some(Verdict::Quarantined { until })
    } else if !worker.is_placeable() {
        Some(Verdict::NotLive)
    } else {
        None
    }
}
