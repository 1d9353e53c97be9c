//! Policies: what serves each slot, another choice or a policy handed over, back to the one before.

use super::App;
use super::answer::{Answered, Failure, ok};
use super::body::{NoBody, RawBody, bad_body, off_thread, read_object};
use super::guard::is_wasm;
use super::query::{NoQuery, Query};
use crate::driver::NoAnswer;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use pointsman_protocol::api::PoliciesView;
use pointsman_protocol::problem::Problem;
use pointsman_scheduler::Slot;
use serde::Deserialize;

/// The policy of a slot, by its name.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    /// As in `GET /v1/policies`.
    #[schemars(extend("examples" = ["spread"]))]
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

/// A name in JSON, or a policy itself, whose name is a parameter.
pub async fn bind(
    State(app): State<App>,
    Path(slot_name): Path<String>,
    mut query: Query,
    headers: HeaderMap,
    RawBody(body): RawBody,
) -> Answered<PoliciesView> {
    let slot = slot(&slot_name)?;
    let done = if is_wasm(&headers) {
        let name = query.take("name");
        query.finish()?;
        let name = name.ok_or_else(|| {
            let problem = "a policy that is handed over needs a name, like ?name=my-policy";
            Failure(Problem::new(422, "no_name", problem).with_field("name"))
        })?;
        check_name(&name)?;
        app.policies.upload(slot, name, body).await
    } else {
        let name = query.take("name");
        query.finish()?;
        if name.is_some() {
            let problem = "a policy that is known has its name already, in the body";
            return Err(Failure(Problem::new(422, "two_names", problem).with_field("name")));
        }
        let parsed = off_thread(body, read_object::<Binding>).await?;
        let binding = parsed.map_err(|error| bad_body(&error))?;
        app.policies.choose(slot, binding.component).await
    };
    done.map_err(Failure)?;
    after_round(&app).await?;
    ok(app.policies.view())
}

/// Waits until swaps that were ready are in force.
async fn after_round(app: &App) -> Result<(), NoAnswer> {
    app.forecasts.after_round().await;
    app.driver.after_round().await
}

/// Characters of a policy's name at most.
pub const NAME_MAX: usize = 100;

/// As a file in the folder could be named.
fn check_name(name: &str) -> Result<(), Failure> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let is_name = !name.is_empty()
        && name.len() <= NAME_MAX
        && !name.starts_with('.')
        && name.chars().all(is_plain);
    if is_name {
        return Ok(());
    }
    let problem = format!(
        "{name:?} is no policy name; write up to {NAME_MAX} letters, digits, '-', '_', '.', like \
         ?name=my-policy"
    );
    Err(Failure(Problem::bad_parameter("name", problem)))
}

pub async fn roll_back(
    State(app): State<App>,
    Path(name): Path<String>,
    _: NoQuery,
    _: NoBody,
) -> Answered<PoliciesView> {
    app.policies.roll_back(slot(&name)?).await.map_err(Failure)?;
    after_round(&app).await?;
    ok(app.policies.view())
}

pub async fn reload(State(app): State<App>, _: NoQuery, _: NoBody) -> Answered<PoliciesView> {
    app.policies.rescan().await;
    after_round(&app).await?;
    ok(app.policies.view())
}
