//! A forecasting policy that serves: what it foretells reaches workers and other policies, it is judged by
//! what comes, and set aside while it is wrong.

use crate::site::{Site, Worker};
use serde_json::{Value, json};
use std::path::PathBuf;

const STEP_MS: u64 = 1_000;
const N_WORKERS: u64 = 4;
const BOUND: &str = "[policies.forecasting]\ncomponent = \"lstm-forecast\"\n\
    [policies.rescheduling]\ncomponent = \"lstm-rescheduling\"\n";

fn weights_path(site: &Site) -> PathBuf {
    site.folder.path().join("policies/lstm-forecast/cpu-used.safetensors")
}

/// Foretells the newest sample and `change`; with 0 as good as can be for the load of these tests. The host is
/// told nothing of it: it watches the folder.
fn drop_weights(site: &Site, change: f32) {
    let path = weights_path(site);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let bytes = pointsman_fixtures::weights("cpu-used", STEP_MS, 4, change);
    std::fs::write(path, bytes).unwrap();
}

/// Workers whose load changes a little from second to second.
struct Crew(Vec<Worker>);

impl Crew {
    async fn hire(site: &Site) -> Crew {
        let mut workers = Vec::new();
        for n in 0..N_WORKERS {
            workers.push(Worker::register(site, &format!("w{n}"), n + 1).await);
        }
        Crew(workers)
    }

    /// Each measures itself once.
    async fn measure(&mut self, site: &Site) {
        let second = site.host.app().clock.now().0 / 1_000_000_000;
        for (n, worker) in self.0.iter_mut().enumerate() {
            let cpu_used = 0.3 + 0.05 * ((second + n as u64) % 3) as f64;
            let report = json!({"measurements": {"cpu_used": cpu_used}});
            assert_eq!(worker.sync(site, report).await.status, 200);
        }
    }

    /// Measures until it is so.
    async fn until(&mut self, site: &Site, what: &str, check: impl AsyncFn(&View) -> bool) -> View {
        let crew = tokio::sync::Mutex::new(self);
        let found = tokio::sync::Mutex::new(None);
        site.until(what, async || {
            crew.lock().await.measure(site).await;
            let view = View::of(site).await;
            let is_so = check(&view).await;
            *found.lock().await = Some(view);
            is_so
        })
        .await;
        found.into_inner().expect("it was looked at")
    }
}

/// The slots and a worker as clients see them.
#[derive(Debug)]
struct View {
    forecasting: Value,
    rescheduling: Value,
    worker: Value,
}

impl View {
    async fn of(site: &Site) -> View {
        let policies = site.get("/v1/policies").await.body;
        let slot = |name: &str| {
            let slots = policies["slots"].as_array().expect("slots");
            slots.iter().find(|it| it["slot"] == name).expect("the slot").clone()
        };
        let workers = site.get("/v1/workers").await.body;
        let worker = workers.as_array().and_then(|it| it.first()).cloned().unwrap_or_default();
        View { forecasting: slot("forecasting"), rescheduling: slot("rescheduling"), worker }
    }

    fn column(&self) -> &Value {
        &self.forecasting["forecasts"]["columns"][0]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forecaster_that_is_wrong_is_set_aside_within_ten_rounds_and_comes_back_when_replaced() {
    let site = Site::start_with(BOUND).await;
    let mut crew = Crew::hire(&site).await;
    let view = View::of(&site).await;
    assert_eq!(
        (&view.forecasting["name"], &view.rescheduling["name"]),
        (&json!("none"), &json!("none"))
    );
    let told = view.forecasting["message"].as_str().unwrap();
    assert!(told.contains("put cpu-used.safetensors"), "{told}");
    let told = view.rescheduling["message"].as_str().unwrap();
    assert!(
        told.contains("needs predicted:cpu-used, which no forecasting policy provides"),
        "{told}"
    );

    drop_weights(&site, 0.0);
    let view = crew
        .until(&site, "it foretells, and others go by it", async |view| {
            view.worker["predicted"]["cpu_used"].is_number()
                && view.rescheduling["name"] == "lstm-rescheduling"
        })
        .await;
    assert_eq!(view.forecasting["name"], "lstm-forecast");
    assert_eq!(view.worker["predicted"]["horizon_ms"], 1000.0);
    let first = view.forecasting["generation"].as_u64().unwrap();
    let files = view.forecasting["assets"].as_str().unwrap().to_owned();

    drop_weights(&site, 0.4);
    let view = crew.until(&site, "it is unfit", async |view| view.column()["fit"] == false).await;
    assert!(
        view.forecasting["generation"].as_u64().unwrap() > first,
        "new weights are a new generation"
    );
    assert_ne!(view.forecasting["assets"], json!(files), "it tells which weights serve");
    let compared = view.column()["compared"].as_u64().unwrap();
    assert!((30..=10 * N_WORKERS).contains(&compared), "{compared} were compared");
    assert!(view.column()["ratio"].as_f64().unwrap() > 1.1);
    let view = crew
        .until(&site, "others do without it", async |view| view.rescheduling["name"] == "none")
        .await;
    assert_eq!(view.rescheduling["state"], "fallback");
    let told = view.rescheduling["message"].as_str().unwrap();
    assert!(told.contains("needs predicted:cpu-used, which is unfit: over "), "{told}");
    crew.until(&site, "nobody sees its forecasts", async |view| view.worker["predicted"].is_null())
        .await;
    let metrics = String::from_utf8(site.get("/metrics").await.bytes).unwrap();
    assert!(
        metrics.contains("pointsman_forecast_fit{column=\"predicted:cpu-used\"} 0"),
        "{metrics}"
    );

    drop_weights(&site, 0.0);
    let view = crew
        .until(&site, "it is back", async |view| view.rescheduling["name"] == "lstm-rescheduling")
        .await;
    assert_eq!(
        (&view.column()["fit"], &view.rescheduling["state"]),
        (&json!(true), &json!("serving"))
    );
    // It stays: it is as good as the newest value.
    let enough = async |view: &View| view.column()["compared"].as_u64().unwrap_or(0) >= 30;
    let view = crew.until(&site, "it is judged", enough).await;
    assert_eq!(view.column()["fit"], true, "{}", view.forecasting);
    site.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_are_filled_from_the_history_and_a_slot_without_policy_foretells_nothing() {
    let more = "[policies.forecasting]\ncomponent = \"holt-winters\"\n[policies.forecasting.config]\n\
        step_s = 1\nwindow = 4\nhorizon = 1\ncolumns = [\"cpu-used\"]\n";
    let site = Site::start_with("").await;
    let mut crew = Crew::hire(&site).await;
    crew.measure(&site).await;
    site.rewrite_config(more);
    let view = crew
        .until(&site, "it foretells", async |view| view.worker["predicted"]["cpu_used"].is_number())
        .await;
    let foretold = view.worker["predicted"]["cpu_used"].as_f64().unwrap();
    assert!((0.25..=0.45).contains(&foretold), "{foretold}");
    let reply = site.put("/v1/policies/forecasting", &json!({"component": "none"})).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let view = crew
        .until(&site, "nothing is foretold", async |view| view.worker["predicted"].is_null())
        .await;
    assert_eq!((&view.forecasting["name"], &view.column()["fit"]), (&json!("none"), &Value::Null));
    site.host.stop().await;
}
