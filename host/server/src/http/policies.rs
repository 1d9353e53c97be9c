//! Policies: what serves each slot, another choice, back to the one before.

use super::App;
use super::answer::{Answered, Failure, ok};
use super::body::JsonBody;
use super::query::{NoQuery, Query};
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
    _: NoQuery,
    JsonBody(binding): JsonBody<Binding>,
) -> Answered<PoliciesView> {
    let slot = slot(&name)?;
    app.policies.choose(slot, binding.component).await.map_err(Failure)?;
    app.driver.after_round().await?;
    ok(app.policies.view())
}

pub async fn roll_back(
    State(app): State<App>,
    Path(name): Path<String>,
    _: NoQuery,
) -> Answered<PoliciesView> {
    app.policies.roll_back(slot(&name)?).await.map_err(Failure)?;
    app.driver.after_round().await?;
    ok(app.policies.view())
}

pub async fn reload(State(app): State<App>, _: NoQuery) -> Answered<PoliciesView> {
    app.policies.rescan().await;
    app.driver.after_round().await?;
    ok(app.policies.view())
}
