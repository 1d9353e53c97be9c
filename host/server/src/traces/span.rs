//! Spans, made of what they tell of. Names of attributes begin with `pointsman.`; ids are as in the API.

use super::{OfAttempt, OfTask, Subject, Submitted};
use crate::policy_desk::Terms;
use crate::read_model::ReadModel;
use opentelemetry::trace::{
    Event, Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use pointsman_protocol::api::{EndReasonView, Lookup, OutcomeView, StampView, WireTaskState};
use pointsman_protocol::traceparent::Span;
use pointsman_scheduler::record::{Attempt, JobRecord, JobState, Outcome, TaskState};
use pointsman_scheduler::spec::TraceContext;
use pointsman_scheduler::{AttemptRef, TaskId, Time, WorkerId};
use std::fmt::Display;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub fn submit(submitted: &Submitted) -> SpanData {
    let trace = &submitted.trace;
    let span = match submitted.job {
        Some(job) => Span::SubmitJob(job),
        None => Span::SubmitTask(submitted.first),
    };
    let mut data = begin("submit", trace, span, (submitted.came, submitted.answered));
    data.parent_span_id = SpanId::from_bytes(trace.parent.to_be_bytes());
    data.parent_span_is_remote = trace.parent != 0;
    data.span_kind = SpanKind::Server;
    match submitted.job {
        Some(job) => put(&mut data, "job.id", text(job)),
        None => put(&mut data, "task.id", text(submitted.first)),
    }
    put(&mut data, "tasks", submitted.n_tasks as i64);
    let (trace_id, span_id) = hexadecimal(&data);
    let job = submitted.job.map(|job| job.to_string());
    tracing::info!(job, tasks = submitted.n_tasks, trace_id, span_id, "submitted");
    data
}

pub fn job(job: &JobRecord, trace: &TraceContext) -> SpanData {
    let ended = job.ended.unwrap_or(job.submitted);
    let mut data = begin("job", trace, Span::Job(job.id), (job.submitted, ended));
    data.parent_span_id = id(trace, Span::SubmitJob(job.id));
    put(&mut data, "job.id", text(job.id));
    put(&mut data, "job.name", job.name.clone());
    put(&mut data, "tasks", i64::from(job.n_tasks));
    data.status = match job.state {
        JobState::Succeeded => Status::Ok,
        JobState::Failed => Status::error("a task failed"),
        JobState::Running | JobState::Cancelled => Status::Unset,
    };
    data
}

pub fn task(ended: &OfTask) -> SpanData {
    let task = &ended.task;
    let mut data = of_task("task", task, Span::Task(task.id), (ended.submitted, ended.ended));
    data.parent_span_id = id(
        &task.trace,
        match task.job {
            Some(job) => Span::Job(job),
            None => Span::SubmitTask(task.id),
        },
    );
    put(&mut data, "queue", task.spec.queue.to_string());
    put(&mut data, "tenant", task.spec.tenant.to_string());
    put(&mut data, "priority", i64::from(task.spec.priority));
    put(&mut data, "attempts", i64::from(ended.n_attempts));
    let state = WireTaskState::from(ended.state).word();
    put(&mut data, "state", state);
    let why = ended.end_reason.as_deref().map(|reason| EndReasonView::from(reason).text);
    data.status = match ended.state {
        TaskState::Succeeded => Status::Ok,
        TaskState::Failed => Status::error(why.clone().unwrap_or_default()),
        _ => Status::Unset,
    };
    let (trace_id, span_id) = hexadecimal(&data);
    let (name, id) = (&task.spec.name, task.id.to_string());
    tracing::info!(task = id, name, state, reason = why, trace_id, span_id, "task ended");
    data
}

pub fn decision(placed: &OfAttempt, terms: &Terms, model: &ReadModel) -> SpanData {
    let (task, attempt) = (&placed.task, &placed.attempt);
    let span = Span::Decision(reference(task.id, attempt));
    let from = placed.ready_since.unwrap_or(attempt.assigned);
    let mut data = of_task("decision", task, span, (from, attempt.assigned));
    data.parent_span_id = id(&task.trace, Span::Task(task.id));
    let decision = &attempt.decision;
    put(&mut data, "attempt", i64::from(attempt.number));
    for (slot, stamp) in [("queue", decision.queue), ("scoring", decision.scoring)] {
        let stamp = StampView::from(stamp);
        put(&mut data, &format!("policy.{slot}.generation"), i64::from(stamp.generation));
        put(&mut data, &format!("policy.{slot}.digest"), stamp.digest.into_owned());
    }
    let chosen = Some((attempt.worker, decision.score));
    for (prefix, choice) in [("", chosen), ("second.", decision.second)] {
        let Some((worker, score)) = choice else { continue };
        put_worker(&mut data, prefix, worker, model);
        put(&mut data, &format!("{prefix}score"), score);
        for (name, value) in terms.by_worker.get(&worker).into_iter().flatten() {
            put(&mut data, &format!("{prefix}score.{name}"), *value);
        }
    }
    data
}

pub fn attempt(ended: &OfAttempt, model: &ReadModel) -> SpanData {
    let (task, attempt) = (&ended.task, &ended.attempt);
    let span = Span::Attempt(reference(task.id, attempt));
    let end = attempt.ended.unwrap_or(attempt.assigned);
    let mut data = of_task("attempt", task, span, (attempt.assigned, end));
    data.parent_span_id = id(&task.trace, Span::Task(task.id));
    put(&mut data, "attempt", i64::from(attempt.number));
    put(&mut data, "term", i64::try_from(attempt.term.0).unwrap_or(i64::MAX));
    put_worker(&mut data, "", attempt.worker, model);
    if let Some(started) = attempt.started {
        data.events.events.push(Event::new("started", system_time(started), Vec::new(), 0));
    }
    let outcome = attempt.outcome.as_ref().map(OutcomeView::from);
    let kind = outcome.as_ref().map_or("none", |outcome| &outcome.kind);
    put(&mut data, "outcome", kind.to_owned());
    if let Some(code) = outcome.as_ref().and_then(|outcome| outcome.code) {
        put(&mut data, "outcome.code", i64::from(code));
    }
    data.status = match &attempt.outcome {
        Some(Outcome::Succeeded) => Status::Ok,
        Some(Outcome::Failed(_)) => Status::error(kind.to_owned()),
        None => Status::Unset,
    };
    if let Some(before) = &ended.before {
        let linked = context(&task.trace, Span::Attempt(reference(task.id, before)));
        let what = vec![KeyValue::new("pointsman.link", "attempt before")];
        data.links.links.push(Link::new(linked, what, 0));
    }
    let (trace_id, span_id) = hexadecimal(&data);
    let (name, id) = (&task.spec.name, task.id.to_string());
    let worker = model.worker_name(attempt.worker);
    let number = attempt.number;
    tracing::info!(
        task = id,
        name,
        attempt = number,
        worker,
        outcome = kind,
        trace_id,
        span_id,
        "attempt ended"
    );
    data
}

fn of_task(name: &'static str, task: &Subject, span: Span, times: (Time, Time)) -> SpanData {
    let mut data = begin(name, &task.trace, span, times);
    put(&mut data, "task.id", text(task.id));
    put(&mut data, "task.name", task.spec.name.clone());
    if let Some(job) = task.job {
        put(&mut data, "job.id", text(job));
    }
    data
}

fn begin(
    name: &'static str,
    trace: &TraceContext,
    span: Span,
    (from, to): (Time, Time),
) -> SpanData {
    SpanData {
        span_context: context(trace, span),
        parent_span_id: SpanId::INVALID,
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: name.into(),
        start_time: system_time(from),
        end_time: system_time(to.max(from)),
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: InstrumentationScope::builder("pointsman").build(),
    }
}

fn context(trace: &TraceContext, span: Span) -> SpanContext {
    let trace_id = TraceId::from_bytes(trace.trace_id.to_be_bytes());
    SpanContext::new(trace_id, id(trace, span), TraceFlags::SAMPLED, false, TraceState::default())
}

fn id(trace: &TraceContext, span: Span) -> SpanId {
    SpanId::from_bytes(span.id(trace).to_be_bytes())
}

fn reference(task: TaskId, attempt: &Attempt) -> AttemptRef {
    AttemptRef { task, attempt: attempt.number, term: attempt.term }
}

fn put(data: &mut SpanData, name: &str, value: impl Into<Value>) {
    data.attributes.push(KeyValue::new(format!("pointsman.{name}"), value));
}

fn put_worker(data: &mut SpanData, prefix: &str, worker: WorkerId, model: &ReadModel) {
    put(data, &format!("{prefix}worker.id"), text(worker));
    if let Some(name) = model.worker_name(worker) {
        put(data, &format!("{prefix}worker.name"), name);
    }
}

fn text(id: impl Display) -> String {
    id.to_string()
}

/// As log lines bear them.
fn hexadecimal(data: &SpanData) -> (String, String) {
    let context = &data.span_context;
    (context.trace_id().to_string(), context.span_id().to_string())
}

fn system_time(time: Time) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(time.0)
}
