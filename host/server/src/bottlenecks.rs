//! Where work is held up now, and alerts when that begins and ends.

use crate::http::App;
use crate::read_model::ReadModel;
use crate::stages::Passage;
use pointsman_protocol::api::{
    AlertKind, BottlenecksView, BusyWorkerView, Lookup, NamedTask, SlowTaskView, SlowWorkerView,
    Stage, StageView,
};
use pointsman_protocol::events::EventBody;
use pointsman_protocol::timestamp::Timestamp;
use pointsman_scheduler::record::{TaskState, WorkerState};
use pointsman_scheduler::{TaskId, Time, WorkerId};
use std::collections::BTreeMap;
use std::time::Duration;

/// How far back the stages look.
const WINDOW: Duration = Duration::from_secs(60);
/// Of a worker's processors.
const CPU_THRESHOLD: f64 = 0.85;
/// For the 99th percentile of each stage.
const STAGE_THRESHOLD: Duration = Duration::from_secs(1);
/// Between two looks for alerts.
const INTERVAL: Duration = Duration::from_secs(5);
/// Waiting tasks that are looked at: the oldest.
const MAX_WAITING: usize = 1000;
const MAX_TASKS: usize = 20;
const MAX_SLOW: usize = 10;

/// A way through a stage, ended or not.
#[derive(Debug, Clone, Copy)]
struct Span {
    took: Duration,
    task: TaskId,
    worker: Option<WorkerId>,
}

pub fn look(model: &ReadModel, now: Time) -> BottlenecksView {
    let stages = [Stage::QueueWait, Stage::Dispatch, Stage::Run];
    BottlenecksView {
        at: Timestamp(now),
        window_ms: WINDOW.as_millis() as u64,
        workers: busy_workers(model),
        stages: stages.map(|stage| look_at_stage(model, stage, now)).into(),
    }
}

fn busy_workers(model: &ReadModel) -> Vec<BusyWorkerView> {
    let busy = model.workers.iter().filter_map(|(id, worker)| {
        let cpu = worker.measurements.as_ref()?.cpu_used?;
        let named = worker
            .holds
            .iter()
            .take(MAX_TASKS)
            .map(|id| NamedTask { id: *id, name: model.task_name(*id).unwrap_or_default() });
        (worker.state == WorkerState::Live && cpu > CPU_THRESHOLD).then(|| BusyWorkerView {
            worker: *id,
            worker_name: worker.record.name.clone(),
            cpu,
            threshold: CPU_THRESHOLD,
            tasks: named.collect(),
        })
    });
    let mut busy: Vec<BusyWorkerView> = busy.collect();
    busy.sort_by(|a, b| b.cpu.total_cmp(&a.cpu));
    busy
}

fn look_at_stage(model: &ReadModel, stage: Stage, now: Time) -> StageView {
    let is_recent = |passage: &&Passage| now.since(passage.at) <= WINDOW;
    let passed = model.stages.of(stage).take_while(is_recent);
    let of_passed = |it: &Passage| Span { took: it.took, task: it.task, worker: Some(it.worker) };
    let mut spans: Vec<Span> = passed.map(of_passed).collect();
    if stage == Stage::QueueWait {
        spans.extend(still_waiting(model, now));
    }
    spans.sort_unstable_by_key(|span| span.took);
    let p99 = percentile(&spans, 99);
    let exceeded = p99.is_some_and(|took| took > STAGE_THRESHOLD);
    let slow = spans.iter().rev().take_while(|span| exceeded && span.took > STAGE_THRESHOLD);
    StageView {
        stage,
        n: spans.len() as u64,
        p50_ms: percentile(&spans, 50).map(millis),
        p99_ms: p99.map(millis),
        threshold_ms: millis(STAGE_THRESHOLD),
        exceeded,
        tasks: slow.clone().take(MAX_SLOW).map(|span| slow_task(model, span)).collect(),
        workers: slow_workers(model, slow.filter_map(|span| span.worker)),
    }
}

/// Ready, and not placed yet.
fn still_waiting(model: &ReadModel, now: Time) -> impl Iterator<Item = Span> {
    let pending = model.in_state[TaskState::Pending as usize].range(TaskId(0));
    let waiting = pending.filter_map(move |(id, ())| {
        let status = &model.tasks.get(&id)?.status;
        let is_backing_off = status.not_before.is_some_and(|until| until > now);
        let since = status.ready_since.filter(|_| !is_backing_off)?;
        Some(Span { took: now.since(since), task: id, worker: None })
    });
    waiting.take(MAX_WAITING)
}

/// Nearest rank, of spans in order.
fn percentile(spans: &[Span], percent: usize) -> Option<Duration> {
    let rank = (spans.len() * percent).div_ceil(100);
    spans.get(rank.checked_sub(1)?).map(|span| span.took)
}

fn slow_task(model: &ReadModel, span: &Span) -> SlowTaskView {
    SlowTaskView {
        id: span.task,
        name: model.task_name(span.task).unwrap_or_default(),
        ms: millis(span.took),
        worker: span.worker,
        worker_name: span.worker.and_then(|worker| model.worker_name(worker)),
    }
}

fn slow_workers(model: &ReadModel, workers: impl Iterator<Item = WorkerId>) -> Vec<SlowWorkerView> {
    let mut counts: BTreeMap<WorkerId, u64> = BTreeMap::new();
    workers.for_each(|worker| *counts.entry(worker).or_default() += 1);
    let mut counted: Vec<(WorkerId, u64)> = counts.into_iter().collect();
    counted.sort_by_key(|(worker, n)| (std::cmp::Reverse(*n), *worker));
    let view = |(worker, n)| SlowWorkerView {
        worker,
        worker_name: model.worker_name(worker).unwrap_or_default(),
        n,
    };
    counted.into_iter().take(MAX_SLOW).map(view).collect()
}

fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

/// What is above its threshold.
type Raised = BTreeMap<(AlertKind, Option<WorkerId>), (f64, f64)>;

fn raised(view: &BottlenecksView) -> Raised {
    let workers = view.workers.iter();
    let workers =
        workers.map(|it| ((AlertKind::WorkerCpu, Some(it.worker)), (it.cpu, it.threshold)));
    let exceeded = view.stages.iter().filter(|stage| stage.exceeded);
    let stages = exceeded.map(|stage| {
        let value = stage.p99_ms.unwrap_or_default();
        ((AlertKind::from(stage.stage), None), (value, stage.threshold_ms))
    });
    workers.chain(stages).collect()
}

/// Tells readers of the event stream when something rises above its threshold, and when it is below
/// again.
pub async fn watch(app: App) {
    let mut before = Raised::new();
    loop {
        tokio::time::sleep(INTERVAL).await;
        let now = app.clock.now();
        let (view, names) = {
            let model = app.model.read();
            let name = |(id, worker): (&WorkerId, &crate::read_model::Worker)| {
                (*id, worker.record.name.clone())
            };
            let names: BTreeMap<WorkerId, String> = model.workers.iter().map(name).collect();
            (look(&model, now), names)
        };
        let after = raised(&view);
        let risen = after.iter().filter(|(key, _)| !before.contains_key(key));
        let fallen = before.iter().filter(|(key, _)| !after.contains_key(key));
        let changes = risen.map(|it| (true, it)).chain(fallen.map(|it| (false, it)));
        for (raised, ((alert, worker), (value, threshold))) in changes {
            let worker_name = worker.and_then(|worker| names.get(&worker).cloned());
            let text = text(*alert, worker_name.as_deref(), raised, (*value, *threshold));
            let (value, threshold) = (*value, *threshold);
            let (alert, worker) = (*alert, *worker);
            let body =
                EventBody::Alert { alert, raised, worker, worker_name, value, threshold, text };
            app.events.publish(now, body);
        }
        before = after;
    }
}

fn text(
    alert: AlertKind,
    worker: Option<&str>,
    raised: bool,
    (value, threshold): (f64, f64),
) -> String {
    let is_above = if raised { "is above" } else { "is no longer above" };
    let of_stage = |what: &str| {
        let now = if raised { format!(": {value:.0} ms") } else { String::new() };
        format!("the 99th percentile {what} {is_above} {threshold:.0} ms{now}")
    };
    match alert {
        AlertKind::WorkerCpu => {
            let worker = worker.unwrap_or("a worker");
            let now = if raised { format!(": {:.0} %", value * 100.0) } else { String::new() };
            format!("the CPU of {worker} {is_above} {:.0} %{now}", threshold * 100.0)
        }
        AlertKind::QueueWait => of_stage("of waiting in queues"),
        AlertKind::Dispatch => of_stage("from placed to started"),
        AlertKind::Run => of_stage("of run times"),
    }
}
