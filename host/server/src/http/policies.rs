//! Policies: what serves each slot, another choice, back to the one before.

use super::App;
use super::answer::{Answered, Failure, ok};
use super::query::Query;
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use pointsman_protocol::api::PoliciesView;
use pointsman_protocol::problem::Problem;
use pointsman_scheduler::Slot;
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    component: String,
}

fn slot(name: &str) -> Result<Slot, Failure> {
    Slot::find(name).ok_or_else(|| {
        let known: Vec<&str> = Slot::ALL.iter().map(|slot| slot.name()).collect();
        let problem = format!("there is no slot {name:?}; slots are {}", known.join(", "));
        Failure(Problem::new(404, "unknown_slot", problem))
    })
}

pub async fn list(State(app): State<App>, query: Query) -> Answered<PoliciesView> {
    query.finish()?;
    ok(app.policies.view())
}

pub async fn bind(
    State(app): State<App>,
    Path(name): Path<String>,
    body: Result<Json<Binding>, JsonRejection>,
) -> Answered<PoliciesView> {
    let slot = slot(&name)?;
    let Json(binding) = body.map_err(|rejection| {
        let problem = Problem::new(422, "bad_body", rejection.body_text());
        Failure(problem.with_remedy("send {\"component\": \"NAME\"}"))
    })?;
    app.policies.choose(slot, binding.component).await.map_err(Failure)?;
    ok(app.policies.view())
}

pub async fn roll_back(State(app): State<App>, Path(name): Path<String>) -> Answered<PoliciesView> {
    app.policies.roll_back(slot(&name)?).await.map_err(Failure)?;
    ok(app.policies.view())
}

pub async fn reload(State(app): State<App>) -> Answered<PoliciesView> {
    app.policies.rescan().await;
    ok(app.policies.view())
}
