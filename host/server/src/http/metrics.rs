//! Figures for Prometheus, in its text format: derived from state when they are asked for, or counted by the
//! read model and in [`crate::figures`]. No label names a task, a job or a worker, so that there are never more
//! of them.

use super::query::NoQuery;
use super::{App, MAX_READERS};
use crate::figures::{BOUNDS, Histogram};
use crate::read_model::Worker;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use pointsman_protocol::api::{WireTaskState, WireWorkerState};
use pointsman_scheduler::record::{TaskState, WorkerState};
use pointsman_scheduler::resources::Free;
use std::borrow::Cow;
use std::fmt::{Display, Write};
use std::sync::atomic::Ordering;

pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub async fn show(State(app): State<App>, _: NoQuery) -> impl IntoResponse {
    let mut page = Page::default();
    show_host(&app, &mut page);
    show_history(&app, &mut page);
    show_configuration(&app, &mut page);
    show_counts(&app, &mut page);
    show_queues(&app, &mut page);
    show_attempts(&app, &mut page);
    show_capacity(&app, &mut page);
    show_policies(&app, &mut page);
    show_forecasts(&app, &mut page);
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], page.text)
}

fn show_host(app: &App, page: &mut Page) {
    page.begin("pointsman_build_info", "gauge", "The version that runs; always 1.");
    page.value(&label("version", env!("CARGO_PKG_VERSION")), 1);
    page.begin(
        "pointsman_leader_term",
        "gauge",
        "Counted up with each start of a host on this store.",
    );
    page.value("", app.term.0);
    let figures = &app.figures;
    page.begin("pointsman_scheduler_round_seconds", "histogram", "Rounds of planning.");
    page.histogram("", &figures.rounds);
    page.begin(
        "pointsman_scheduler_since_last_round_seconds",
        "gauge",
        "How long ago the scheduler last planned; it does once a second while the store works.",
    );
    let last = pointsman_scheduler::Time(figures.last_round.load(Ordering::Relaxed));
    page.value("", app.clock.now().since(last).as_secs_f64());
    page.begin(
        "pointsman_store_commit_seconds",
        "histogram",
        "Commits of the store that succeeded.",
    );
    page.histogram("", &figures.commits);
    page.begin(
        "pointsman_store_failed_commits_total",
        "counter",
        "Commits that the store refused.",
    );
    page.value("", figures.failed_commits.load(Ordering::Relaxed));
    page.begin(
        "pointsman_store_failing",
        "gauge",
        "Whether the store fails now: nothing is taken on.",
    );
    page.value("", u8::from(app.store.is_failing()));
    page.begin(
        "pointsman_store_set_aside_records",
        "gauge",
        "Damaged records that were set aside.",
    );
    page.value("", app.set_aside.len());
    if let Some(tracer) = &app.tracer {
        page.begin("pointsman_spans_total", "counter", "Spans of traces, by what became of them.");
        let counts = tracer.counts();
        for (outcome, n) in [
            ("exported", &counts.exported),
            ("failed", &counts.failed),
            ("dropped", &counts.dropped),
        ] {
            page.value(&label("outcome", outcome), n.load(Ordering::Relaxed));
        }
    }
    page.begin("pointsman_event_readers", "gauge", "Who follows the event stream now.");
    page.value("", MAX_READERS - app.readers.available_permits());
}

/// Nothing while no forecasting policy serves.
fn show_forecasts(app: &App, page: &mut Page) {
    let Some(status) = app.forecasts.status() else { return };
    let columns = status.view().columns;
    page.begin("pointsman_forecast_fit", "gauge", "Whether forecasts can be relied on, by column.");
    for it in &columns {
        page.value(&label("column", &it.column), u8::from(it.fit));
    }
    page.begin(
        "pointsman_forecast_error_ratio",
        "gauge",
        "The error of forecasts by that of the best plain forecast, once there are 30 to compare.",
    );
    for it in &columns {
        if let Some(ratio) = it.ratio {
            page.value(&label("column", &it.column), ratio);
        }
    }
}

/// Nothing if no history is kept.
fn show_history(app: &App, page: &mut Page) {
    let Some(desk) = &app.history else { return };
    let counts = desk.history().counts();
    page.begin("pointsman_history_rows", "gauge", "Rows of the history that are kept, by kind.");
    page.value(&label("kind", "measurements"), counts.measurements);
    page.value(&label("kind", "feedback"), counts.feedback);
    page.begin(
        "pointsman_history_dropped_rows_total",
        "counter",
        "Rows that the history could not take, by kind.",
    );
    page.value(&label("kind", "measurements"), counts.dropped_measurements);
    page.value(&label("kind", "feedback"), counts.dropped_feedback);
}

fn show_configuration(app: &App, page: &mut Page) {
    let status = app.config_status.load();
    page.begin(
        "pointsman_config_last_reload_successful",
        "gauge",
        "Whether the content of the configuration file is in force.",
    );
    page.value("", u8::from(status.refused.is_none()));
    page.begin(
        "pointsman_config_reloads_total",
        "counter",
        "Contents of the configuration file that were taken or refused since the start.",
    );
    page.value("outcome=\"applied\"", status.n_applied);
    page.value("outcome=\"refused\"", status.n_refused);
}

fn show_counts(app: &App, page: &mut Page) {
    let model = app.model.read();
    page.begin("pointsman_tasks", "gauge", "Tasks that are kept, by state.");
    for state in TaskState::ALL {
        let label = label("state", WireTaskState::from(state).word());
        page.value(&label, model.in_state[state as usize].len());
    }
    page.begin("pointsman_jobs", "gauge", "Jobs that are kept.");
    page.value("", model.jobs.len());
    page.begin(
        "pointsman_workers",
        "gauge",
        "Workers that are known, by state, and whether somebody took them out of service.",
    );
    for word in WireWorkerState::WORDS {
        for (drained, is_drained) in [("no", false), ("yes", true)] {
            let is_in = |worker: &&Worker| {
                WireWorkerState::from(worker.state).word() == *word
                    && worker.record.is_drained == is_drained
            };
            let n_workers = model.workers.values().filter(is_in).count();
            page.value(&format!("{},drained=\"{drained}\"", label("state", word)), n_workers);
        }
    }
    page.begin(
        "pointsman_workers_quarantined",
        "gauge",
        "Workers that are set aside for their failures.",
    );
    let now = app.clock.now();
    let is_aside = |until: Option<pointsman_scheduler::Time>| until.is_some_and(|it| it > now);
    page.value("", model.workers.values().filter(|it| is_aside(it.quarantined_until)).count());
}

fn show_queues(app: &App, page: &mut Page) {
    let model = app.model.read();
    page.begin("pointsman_queue_tasks", "gauge", "Tasks of each queue that wait or are placed.");
    for (name, queue) in &model.queues {
        let name = label("queue", name);
        page.value(&format!("{name},state=\"pending\""), queue.pending);
        page.value(&format!("{name},state=\"placed\""), queue.placed);
    }
    page.begin("pointsman_queue_paused", "gauge", "Whether nothing of the queue is started.");
    for (name, queue) in &model.queues {
        page.value(&label("queue", name), u8::from(queue.paused));
    }
    page.begin(
        "pointsman_queue_wait_seconds",
        "histogram",
        "From ready to placed, of each placement.",
    );
    for (name, queue) in &model.queues {
        page.histogram(&label("queue", name), &queue.waits);
    }
}

fn show_attempts(app: &App, page: &mut Page) {
    let model = app.model.read();
    page.begin("pointsman_attempts_ended_total", "counter", "Attempts by how they ended.");
    for (outcome, n) in &model.ended.by_outcome {
        page.value(&label("outcome", outcome), n);
    }
    page.begin(
        "pointsman_attempt_run_seconds",
        "histogram",
        "From start to end, of each attempt that ran.",
    );
    page.histogram("", &model.ended.ran);
}

/// Of workers that are not lost.
fn show_capacity(app: &App, page: &mut Page) {
    let (mut total, mut free) = ([0.0; 3], [0.0; 3]);
    let model = app.model.read();
    for worker in model.workers.values().filter(|it| it.state != WorkerState::Lost) {
        let all = Free::all_of(&worker.record.capacity);
        let left = model.free_of(worker);
        for (sums, amounts) in [(&mut total, &all), (&mut free, &left)] {
            sums[0] += amounts.cpu_milli as f64 / 1e3;
            sums[1] += amounts.memory as f64;
            sums[2] += amounts.gpu_milli.iter().map(|it| f64::from(*it) / 1e3).sum::<f64>();
        }
    }
    let names = ["cpu", "memory", "gpu"];
    page.begin("pointsman_capacity", "gauge", "Of all workers: cores, bytes and devices.");
    names.iter().zip(total).for_each(|(name, sum)| page.value(&label("resource", name), sum));
    page.begin("pointsman_capacity_free", "gauge", "What of it no attempt holds.");
    names.iter().zip(free).for_each(|(name, sum)| page.value(&label("resource", name), sum));
}

fn show_policies(app: &App, page: &mut Page) {
    let view = app.policies.view();
    let slots = || view.slots.iter().map(|slot| (label("slot", slot.slot.word()), slot));
    page.begin("pointsman_policy_info", "gauge", "What serves each slot; always 1.");
    for (slot, policy) in slots() {
        let name = label("policy", &policy.name);
        let (version, digest) = (label("version", &policy.version), &policy.digest);
        let digest: String = digest.chars().take(16).collect();
        page.value(&format!("{slot},{name},{version},{}", label("digest", &digest)), 1);
    }
    page.begin("pointsman_policy_generation", "gauge", "Counted up with each swap.");
    slots().for_each(|(slot, policy)| page.value(&slot, policy.generation));
    page.begin(
        "pointsman_policy_fallback",
        "gauge",
        "Whether another than the bound policy had to step in.",
    );
    slots().for_each(|(slot, policy)| page.value(&slot, u8::from(policy.state == "fallback")));
    page.begin(
        "pointsman_policy_failures_total",
        "counter",
        "Failed calls of the policy that serves, from nothing with each generation.",
    );
    slots().for_each(|(slot, policy)| page.value(&slot, policy.failures));
    page.begin("pointsman_policy_refusals_total", "counter", "Candidates that were refused.");
    slots().for_each(|(slot, policy)| page.value(&slot, policy.refusals));
    page.begin(
        "pointsman_policy_call_seconds",
        "summary",
        "Calls of the policy that serves, from nothing with each generation.",
    );
    for (slot, policy) in slots() {
        for (quantile, us) in [("0.5", policy.p50_us), ("0.99", policy.p99_us)] {
            if let Some(us) = us {
                page.value(&format!("{slot},{}", label("quantile", quantile)), us / 1e6);
            }
        }
        page.line("_count", &slot, policy.calls);
    }
}

fn label(name: &str, value: &str) -> String {
    let needs_care = value.contains(['\\', '"', '\n']);
    let value = match needs_care {
        false => Cow::Borrowed(value),
        true => Cow::Owned(value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")),
    };
    format!("{name}=\"{value}\"")
}

#[derive(Debug, Default)]
struct Page {
    text: String,
    name: &'static str,
}

impl Page {
    fn begin(&mut self, name: &'static str, kind: &str, help: &str) {
        self.name = name;
        // Writing to a text cannot fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn value(&mut self, labels: &str, value: impl Display) {
        self.line("", labels, value);
    }

    fn line(&mut self, suffix: &str, labels: &str, value: impl Display) {
        let name = self.name;
        // As above.
        let _ = match labels {
            "" => writeln!(self.text, "{name}{suffix} {value}"),
            labels => writeln!(self.text, "{name}{suffix}{{{labels}}} {value}"),
        };
    }

    fn histogram(&mut self, labels: &str, histogram: &Histogram) {
        let counts = histogram.cumulative();
        let bounds = BOUNDS.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
        let separator = if labels.is_empty() { "" } else { "," };
        for (bound, count) in bounds.zip(counts) {
            self.line("_bucket", &format!("{labels}{separator}le=\"{bound}\""), count);
        }
        self.line("_sum", labels, histogram.sum());
        self.line("_count", labels, counts[BOUNDS.len()]);
    }
}
