//! Submissions: a job whole, or one task into the open job.

use crate::effect::{Answer, Effect, Refusal};
use crate::event::Key;
use crate::graph::{Graph, edit_distance};
use crate::ids::{JobId, RequestId, TaskId};
use crate::queue::{ClassKey, QueueIdx};
use crate::record::{
    EndReason, JobRecord, JobState, KEY_LIFE, KeyRecord, Record, TaskAdded, TaskState, TaskStatus,
};
use crate::scheduler::Scheduler;
use crate::spec::{DEFAULT, JobSpec, TaskSpec};
use crate::state::Job;
use crate::task::{Place, Task};
use crate::time::nanos;
use crate::timers::Timer;
use std::sync::Arc;

impl Scheduler {
    pub(crate) fn handle_submit_job(
        &mut self,
        request: RequestId,
        key: Option<Key>,
        job: JobSpec,
        effects: &mut Vec<Effect>,
    ) {
        let answer = self
            .repeated_answer(key.as_ref())
            .and_then(|repeated| match repeated {
                Some(answer) => Ok(answer),
                None => self.submit_job(key, job, effects),
            })
            .unwrap_or_else(Answer::Refused);
        effects.push(Effect::Answer { request, answer });
    }

    pub(crate) fn handle_submit_task(
        &mut self,
        request: RequestId,
        key: Option<Key>,
        task: Arc<TaskSpec>,
        effects: &mut Vec<Effect>,
    ) {
        let answer = self
            .repeated_answer(key.as_ref())
            .and_then(|repeated| match repeated {
                Some(answer) => Ok(answer),
                None => self.submit_task(key, task, effects),
            })
            .unwrap_or_else(Answer::Refused);
        effects.push(Effect::Answer { request, answer });
    }

    /// The answer that this idempotency key got before, if it was used.
    fn repeated_answer(&self, key: Option<&Key>) -> Result<Option<Answer>, Refusal> {
        let Some((key, record)) = key.and_then(|key| Some((key, self.keys.get(&key.key)?))) else {
            return Ok(None);
        };
        if record.body_hash != key.body_hash {
            return Err(Refusal::KeyReused { key: key.key.clone() });
        }
        let tasks = match (record.task, self.jobs.get(&record.job)) {
            (Some(task), _) => vec![task],
            (None, Some(job)) => job.tasks.clone(),
            (None, None) => Vec::new(),
        };
        Ok(Some(Answer::Submitted { job: record.job, tasks, repeated: true }))
    }

    fn submit_job(
        &mut self,
        key: Option<Key>,
        spec: JobSpec,
        effects: &mut Vec<Effect>,
    ) -> Result<Answer, Refusal> {
        let graph = Graph::check(&spec.tasks)?;
        let queues = self.check_queues(&spec.tasks)?;
        let job_id = JobId(self.last_job + 1);
        self.last_job = job_id.0;
        let record = JobRecord {
            id: job_id,
            name: spec.name,
            submitted: self.now,
            n_tasks: spec.tasks.len() as u32,
            state: JobState::Running,
            ended: None,
        };
        effects.push(Effect::Persist(Record::Job(record.clone())));
        let first = self.last_task + 1;
        let id_at = |position: u32| TaskId(first + u64::from(position));
        let ids: Vec<TaskId> = (0..spec.tasks.len() as u32).map(id_at).collect();
        self.last_task += spec.tasks.len() as u64;
        self.jobs.insert(
            job_id,
            Job {
                record,
                tasks: ids.clone(),
                n_in_state: Default::default(),
                length: 0,
                is_open: false,
            },
        );
        for (position, spec) in spec.tasks.into_iter().enumerate() {
            let dependencies = graph.dependencies[position].iter().map(|it| id_at(*it)).collect();
            let dependents = graph.dependents[position].iter().map(|it| id_at(*it)).collect();
            self.add_task(
                TaskAdded {
                    id: ids[position],
                    job: job_id,
                    submitted: self.now,
                    spec,
                    dependencies,
                },
                dependents,
                queues[position],
                effects,
            );
        }
        let order: Vec<TaskId> = graph.order.iter().map(|position| id_at(*position)).collect();
        self.measure_paths(job_id, &order);
        self.remember_key(key, job_id, None, effects);
        for &id in &ids {
            if self.task(id).n_deps_left == 0 {
                self.make_ready(id);
            }
            self.persist_task(id, effects);
        }
        Ok(Answer::Submitted { job: job_id, tasks: ids, repeated: false })
    }

    fn submit_task(
        &mut self,
        key: Option<Key>,
        spec: Arc<TaskSpec>,
        effects: &mut Vec<Effect>,
    ) -> Result<Answer, Refusal> {
        let queues = self.check_queues(std::slice::from_ref(&spec))?;
        if let Some(live) = self.latest_by_name.get(&spec.name)
            && !self.task(*live).status.state.is_terminal()
        {
            return Err(Refusal::NameInUse { name: spec.name.clone(), task: *live });
        }
        let dependencies = self.resolve_in_open_job(&spec)?;
        let job_id = self.open_job(effects);
        let id = TaskId(self.last_task + 1);
        self.last_task = id.0;
        self.job_mut(job_id).record.n_tasks += 1;
        self.latest_by_name.insert(spec.name.clone(), id);
        let added = TaskAdded { id, job: job_id, submitted: self.now, spec, dependencies };
        let dependencies = added.dependencies.clone();
        self.add_task(added, Vec::new(), queues[0], effects);
        for &dependency in &dependencies {
            self.task_mut(dependency).dependents.push(id);
        }
        self.measure_paths(job_id, &[id]);
        let priority = self.task(id).spec.priority;
        self.raise_inherited(&dependencies, priority);
        self.remember_key(key, job_id, Some(id), effects);
        self.admit_into_open_job(id, &dependencies, effects);
        Ok(Answer::Submitted { job: job_id, tasks: vec![id], repeated: false })
    }

    /// Unfinished dependencies are waited for; one that ended badly makes the task SKIPPED at once.
    fn admit_into_open_job(
        &mut self,
        id: TaskId,
        dependencies: &[TaskId],
        effects: &mut Vec<Effect>,
    ) {
        let state = |it: &TaskId| self.task(*it).status.state;
        let failed = |it: &&TaskId| state(it).is_terminal() && state(it) != TaskState::Succeeded;
        let root = dependencies.iter().find(failed).copied();
        if let Some(root) = root {
            let root_name = self.task(root).spec.name.clone();
            self.task_mut(id).status.end_reason =
                Some(Box::new(EndReason::Upstream { root, root_name }));
            self.set_state(id, TaskState::Skipped, effects);
        } else if self.task(id).n_deps_left == 0 {
            self.make_ready(id);
        }
        self.persist_task(id, effects);
    }

    fn resolve_in_open_job(&self, spec: &TaskSpec) -> Result<Vec<TaskId>, Refusal> {
        let resolve = |name: &String| {
            self.latest_by_name.get(name).copied().ok_or_else(|| {
                let close = |known: &&String| edit_distance(name, known) <= 2;
                let nearest = self.latest_by_name.keys().take(2000).filter(close).min().cloned();
                Refusal::Graph(crate::graph::GraphError::UnknownDependency {
                    position: 0,
                    name: spec.name.clone(),
                    missing: name.clone(),
                    nearest,
                })
            })
        };
        if spec.dependencies.contains(&spec.name) {
            let names = vec![spec.name.clone()];
            return Err(Refusal::Graph(crate::graph::GraphError::Cycle { names }));
        }
        spec.dependencies.iter().map(resolve).collect()
    }

    /// The job `default`, made when the first task needs it.
    fn open_job(&mut self, effects: &mut Vec<Effect>) -> JobId {
        if let Some(id) = self.open_job {
            return id;
        }
        let id = JobId(self.last_job + 1);
        self.last_job = id.0;
        self.open_job = Some(id);
        let record = JobRecord {
            id,
            name: DEFAULT.to_owned(),
            submitted: self.now,
            n_tasks: 0,
            state: JobState::Running,
            ended: None,
        };
        effects.push(Effect::Persist(Record::Job(record.clone())));
        let n_in_state = Default::default();
        let job = Job { record, tasks: Vec::new(), n_in_state, length: 0, is_open: true };
        self.jobs.insert(id, job);
        id
    }

    /// Each task's queue; refuses unknown and full ones.
    fn check_queues(&self, tasks: &[Arc<TaskSpec>]) -> Result<Vec<QueueIdx>, Refusal> {
        let mut n_new = vec![0u64; self.queues.all.len()];
        let mut found = Vec::with_capacity(tasks.len());
        for task in tasks {
            let idx = self
                .queues
                .find(&task.queue)
                .filter(|_| self.settings.queues.contains_key(&*task.queue))
                .ok_or_else(|| Refusal::UnknownQueue(task.queue.to_string()))?;
            n_new[idx.0 as usize] += 1;
            found.push(idx);
        }
        for (queue, n_new) in self.queues.all.iter().zip(n_new) {
            if let Some(limit) = queue.settings.limit
                && n_new > 0
                && queue.n_open + n_new > limit
            {
                return Err(Refusal::QueueFull { queue: queue.name.clone(), limit });
            }
        }
        Ok(found)
    }

    /// Puts a new PENDING task into the tables. Not yet ready, its paths not yet measured.
    fn add_task(
        &mut self,
        added: TaskAdded,
        dependents: Vec<TaskId>,
        queue: QueueIdx,
        effects: &mut Vec<Effect>,
    ) {
        let status = TaskStatus { next_attempt: 1, ..TaskStatus::default() };
        let task = self.make_task(&added, status, queue);
        let job = self.job_mut(added.job);
        job.n_in_state[TaskState::Pending as usize] += 1;
        self.queues.get_mut(queue).n_open += 1;
        self.tasks.insert(added.id, Task { dependents, ..task });
        effects.push(Effect::Persist(Record::TaskAdded(added)));
    }

    /// A task's runtime part. Dependencies that are not kept any more have succeeded.
    pub(crate) fn make_task(
        &mut self,
        added: &TaskAdded,
        status: TaskStatus,
        queue: QueueIdx,
    ) -> Task {
        let spec = &added.spec;
        let class = self.queues.class_of(ClassKey::new(queue, &spec.request, &spec.requires));
        let is_left = |id: &&TaskId| match self.tasks.get(id) {
            Some(task) => task.status.state != TaskState::Succeeded,
            // Tasks of the same submission may come later.
            None => !self.jobs[&added.job].is_open,
        };
        Task {
            id: added.id,
            job: added.job,
            submitted: added.submitted,
            n_deps_left: added.dependencies.iter().filter(is_left).count() as u32,
            spec: spec.clone(),
            dependencies: added.dependencies.clone(),
            dependents: Vec::new(),
            deps_changed: None,
            status,
            queue,
            class,
            inherited_priority: spec.priority,
            tail: 0,
            head: 0,
            expected: spec.expected.or_else(|| self.run_times.median(&spec.name)),
            place: Place::Nowhere,
            ranked: None,
            feedback: None,
            rescheduled: None,
        }
    }

    /// Computes tails, heads, inherited priorities of tasks given in dependency order.
    pub(crate) fn measure_paths(&mut self, job: JobId, order: &[TaskId]) {
        let own = |task: &Task| task.expected.map_or(0, nanos);
        for &id in order.iter().rev() {
            let task = self.task(id);
            let below = task.dependents.iter().filter_map(|it| self.tasks.get(it));
            let (mut tail, mut priority) = (0, task.spec.priority);
            for dependent in below {
                tail = tail.max(dependent.tail);
                priority = priority.max(dependent.inherited_priority);
            }
            let tail = own(task).saturating_add(tail);
            let task = self.task_mut(id);
            (task.tail, task.inherited_priority) = (tail, priority);
        }
        let mut length = self.jobs[&job].length;
        for &id in order {
            let task = self.task(id);
            let above = task.dependencies.iter().filter_map(|it| self.tasks.get(it));
            let head = above.map(|it| it.head.saturating_add(own(it))).max().unwrap_or(0);
            length = length.max(head.saturating_add(task.tail));
            self.task_mut(id).head = head;
        }
        self.job_mut(job).length = length;
    }

    /// Tells everything that these wait for how urgent what waits for them is.
    pub(crate) fn raise_inherited(&mut self, from: &[TaskId], priority: i32) {
        let mut waiting = from.to_vec();
        while let Some(id) = waiting.pop() {
            let Some(task) = self.tasks.get_mut(&id) else { continue };
            if task.status.state.is_terminal() || task.inherited_priority >= priority {
                continue;
            }
            task.inherited_priority = priority;
            waiting.extend(task.dependencies.iter().copied());
            if task.place == Place::Queued {
                self.to_rank.push_back(id);
            }
        }
    }

    fn remember_key(
        &mut self,
        key: Option<Key>,
        job: JobId,
        task: Option<TaskId>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(Key { key, body_hash }) = key else { return };
        let record = KeyRecord { key: key.clone(), body_hash, created: self.now, job, task };
        effects.push(Effect::Persist(Record::Key(record.clone())));
        if self.keys.is_empty() {
            self.timers.arm(self.now.after(KEY_LIFE), Timer::ExpireKeys);
        }
        self.keys.insert(key, record);
    }

    pub(crate) fn expire_keys(&mut self, effects: &mut Vec<Effect>) {
        let now = self.now;
        let is_old = |record: &KeyRecord| record.created.after(KEY_LIFE) <= now;
        let old: Vec<String> =
            self.keys.values().filter(|it| is_old(it)).map(|it| it.key.clone()).collect();
        for key in old {
            self.keys.remove(&key);
            effects.push(Effect::Persist(Record::KeyForgotten(key)));
        }
        if let Some(oldest) = self.keys.values().map(|record| record.created).min() {
            self.timers.arm(oldest.after(KEY_LIFE), Timer::ExpireKeys);
        }
    }
}
