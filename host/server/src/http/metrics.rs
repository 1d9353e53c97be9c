//! Figures for Prometheus, in its text format. Derived from state when they are asked for; no label
//! names a task, a job or a worker, so that there are never more of them.

use super::App;
use super::query::NoQuery;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use pointsman_protocol::api::{WireTaskState, WireWorkerState};
use pointsman_scheduler::record::{TaskState, WorkerState};
use std::fmt::{Display, Write};

const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub async fn show(State(app): State<App>, _: NoQuery) -> impl IntoResponse {
    let mut page = Page::default();
    show_configuration(&app, &mut page);
    show_counts(&app, &mut page);
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], page.text)
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
        let label = format!("state=\"{}\"", WireTaskState::from(state).word());
        page.value(&label, model.in_state[state as usize].len());
    }
    page.begin("pointsman_workers", "gauge", "Workers that are known, by state.");
    for word in WireWorkerState::WORDS {
        let is_in = |state: WorkerState| WireWorkerState::from(state).word() == *word;
        let n_workers = model.workers.values().filter(|worker| is_in(worker.state)).count();
        page.value(&format!("state=\"{word}\""), n_workers);
    }
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
        let name = self.name;
        // As above.
        let _ = match labels {
            "" => writeln!(self.text, "{name} {value}"),
            labels => writeln!(self.text, "{name}{{{labels}}} {value}"),
        };
    }
}
