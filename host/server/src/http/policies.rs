//! Policies: what serves each slot, another choice or a policy handed over, back to the one before.

use super::App;
use super::answer::{Answered, Failure, ok};
use super::body::{RawBody, off_thread};
use super::guard::is_wasm;
use super::query::{NoQuery, Query};
use axum::extract::{Path, State};
use axum::http::HeaderMap;
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
        let name = query.take("name").unwrap_or_default();
        query.finish()?;
        check_name(&name)?;
        app.policies.upload(slot, name, body).await
    } else {
        query.finish()?;
        let parsed = off_thread(body, |bytes| serde_json::from_slice::<Binding>(bytes)).await?;
        let binding = parsed.map_err(|error| {
            Failure(Problem::new(422, "bad_body", format!("the body cannot be read: {error}")))
        })?;
        app.policies.choose(slot, binding.component).await
    };
    done.map_err(Failure)?;
    app.driver.after_round().await?;
    ok(app.policies.view())
}

/// Characters of a policy's name at most.
const NAME_MAX: usize = 100;

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
