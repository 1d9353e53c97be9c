//! What Prometheus reads: true figures, as many lines for many tasks as for few.

use pointsman_protocol::worker::PROTOCOL_VERSION;
use pointsman_tests::site::{Crew, Site, job};
use std::collections::BTreeMap;

/// Values by name and labels.
async fn scrape(site: &Site) -> (usize, BTreeMap<String, f64>) {
    let page = reqwest::get(site.url("/metrics")).await.expect("the host answers");
    let page = page.text().await.expect("a text");
    let mut values = BTreeMap::new();
    let mut kinds = BTreeMap::new();
    for line in page.lines() {
        if let Some(told) = line.strip_prefix("# TYPE ") {
            let (name, kind) = told.split_once(' ').expect("a name and a kind");
            assert_eq!(kinds.insert(name.to_owned(), kind.to_owned()), None, "{name} begins twice");
        } else if !line.starts_with('#') {
            let (name, value) = line.rsplit_once(' ').expect("a name and a value");
            let value: f64 = value.parse().expect("a number");
            assert!(value >= 0.0, "{line}");
            let family = name.split('{').next().expect("a name");
            let of_parts =
                ["_bucket", "_sum", "_count"].iter().find_map(|it| family.strip_suffix(it));
            let is_told = kinds.contains_key(family)
                || of_parts.is_some_and(|it| {
                    kinds.get(it).is_some_and(|it| ["histogram", "summary"].contains(&it.as_str()))
                });
            assert!(is_told, "{line} without a type");
            assert_eq!(values.insert(name.to_owned(), value), None, "{name} is there twice");
        }
    }
    (page.len(), values)
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_never_grow_with_tasks_and_add_up_at_rest() {
    let site = Site::start_with("[queues.\"a \\\"quoted\\\" one\"]\n").await;
    site.hire(Crew { n_workers: 3, cpus: 64, no_execution: true }).await;
    site.submit(&job(50, "true")).await;
    site.until_succeeded(50).await;
    let (before, _) = scrape(&site).await;
    site.submit(&job(2_000, "true")).await;
    site.until_succeeded(2_050).await;
    let (after, values) = scrape(&site).await;
    assert!(after < before + 200, "{before} bytes grew to {after}");

    let value = |name: &str| *values.get(name).unwrap_or_else(|| panic!("no {name}: {values:#?}"));
    assert_eq!(value("pointsman_tasks{state=\"SUCCEEDED\"}"), 2_050.0);
    assert_eq!(value("pointsman_attempts_ended_total{outcome=\"succeeded\"}"), 2_050.0);
    assert_eq!(value("pointsman_queue_wait_seconds_count{queue=\"default\"}"), 2_050.0);
    let within = value("pointsman_queue_wait_seconds_bucket{queue=\"default\",le=\"7200\"}");
    assert_eq!(within, 2_050.0);
    assert_eq!(value("pointsman_queue_tasks{queue=\"default\",state=\"pending\"}"), 0.0);
    assert_eq!(value(r#"pointsman_queue_paused{queue="a \"quoted\" one"}"#), 0.0);
    for resource in ["cpu", "memory", "gpu"] {
        let of = |name: &str| value(&format!("{name}{{resource=\"{resource}\"}}"));
        assert_eq!(of("pointsman_capacity"), of("pointsman_capacity_free"), "{resource}");
    }
    assert_eq!(value("pointsman_capacity{resource=\"cpu\"}"), 192.0);
    assert_eq!(value("pointsman_workers{state=\"live\",drained=\"no\"}"), 3.0);
    assert!(value("pointsman_policy_call_seconds_count{slot=\"scoring\"}") > 0.0);
    assert!(value("pointsman_store_commit_seconds_count") > 0.0);
    let rounds = value("pointsman_scheduler_round_seconds_count");
    // The scheduler looks around once a second at least, whatever happens.
    loop {
        let (_, values) = scrape(&site).await;
        if values["pointsman_scheduler_round_seconds_count"] > rounds {
            assert!(values["pointsman_scheduler_since_last_round_seconds"] < 60.0);
            break;
        }
        tokio::task::yield_now().await;
    }
    site.stop().await;
}

/// Registers a worker that never comes again.
async fn pass_by(http: &reqwest::Client, site: &Site, index: u64) {
    let body = serde_json::json!({
        "protocol": PROTOCOL_VERSION, "name": format!("passer-by-{index}"), "life": index, "n": 1,
        "token": format!("{index:064x}"), "capacity": {"cpu_milli": 1, "memory": 1},
    });
    let request = http.post(site.url("/v1/workers")).json(&body);
    let response = request.send().await.expect("the host answers");
    assert!(response.status().is_success(), "{}", response.text().await.unwrap_or_default());
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_workers_and_policies_that_come_and_go_leave_no_figures_behind() {
    let toml = "[heartbeat]\ninterval = \"1s\"\nsuspect_after = \"2s\"\nlost_after = \"3s\"\n";
    let site = Site::start_with(toml).await;
    site.hire(Crew { n_workers: 2, cpus: 64, no_execution: true }).await;
    site.submit(&job(50, "true")).await;
    site.until_succeeded(50).await;
    let (before, _) = scrape(&site).await;
    let http = reqwest::Client::new();
    for index in 0..500 {
        pass_by(&http, &site, index).await;
    }
    let policy =
        pointsman_bundle::POLICIES.iter().find(|it| it.name == "fifo").expect("it is there");
    for version in 0..50 {
        let label = format!("version {version}");
        site.drop_in("priority-ageing", &pointsman_tests::soak::labelled(policy.bytes, &label));
        site.reload_policies().await;
    }
    site.submit(&job(20_000, "true")).await;
    site.until_succeeded(20_050).await;
    let (after, values) = scrape(&site).await;
    let of_state = |state: &str| {
        let labels = ["no", "yes"].map(|it| format!("{{state=\"{state}\",drained=\"{it}\"}}"));
        labels.iter().map(|it| values[&format!("pointsman_workers{it}")]).sum::<f64>()
    };
    let n_workers: f64 = ["live", "suspect", "draining", "lost"].map(of_state).iter().sum();
    assert_eq!(n_workers, 502.0);
    assert_eq!(values["pointsman_tasks{state=\"SUCCEEDED\"}"], 20_050.0);
    assert!(values["pointsman_policy_generation{slot=\"queue\"}"] > 50.0);
    assert!(after < before + 500, "{before} bytes grew to {after}");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_attempt_is_left_out_of_the_figures() {
    let site =
        Site::start_with("[retry]\nmax_retries = 1\n[retry.backoff]\nbase = \"10ms\"\n").await;
    site.hire(Crew { n_workers: 1, cpus: 4, no_execution: false }).await;
    site.submit(&job(1, "exit 3")).await;
    site.until_idle().await;
    let (_, values) = scrape(&site).await;
    assert_eq!(values["pointsman_attempts_ended_total{outcome=\"exit_code\"}"], 2.0);
    assert_eq!(values["pointsman_attempts_ended_total{outcome=\"timeout\"}"], 0.0);
    assert_eq!(values["pointsman_queue_wait_seconds_count{queue=\"default\"}"], 2.0);
    assert_eq!(values["pointsman_attempt_run_seconds_count"], 2.0);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_and_dashboard_never_ask_for_what_is_not_there() {
    let site = Site::start().await;
    site.hire(Crew { n_workers: 1, cpus: 4, no_execution: true }).await;
    site.submit(&job(5, "true")).await;
    site.until_succeeded(5).await;
    let (_, values) = scrape(&site).await;
    let names: Vec<&str> = values.keys().map(|it| it.split('{').next().expect("a name")).collect();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/monitoring");
    for file in ["alerts.yml", "dashboard.json"] {
        let text = std::fs::read_to_string(folder.join(file)).expect("the example is there");
        let is_part = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '_';
        let asked = text.match_indices("pointsman_").map(|(at, _)| {
            let rest = &text[at..];
            &rest[..rest.find(|it| !is_part(it)).unwrap_or(rest.len())]
        });
        let missing: Vec<&str> = asked.filter(|it| !names.contains(it)).collect();
        assert!(missing.is_empty(), "{file} asks for {missing:?}");
        let plain = text.replace("\\\"", "\"");
        for selector in plain.split("state=").skip(1) {
            let wanted = selector.trim_start_matches('~').split('"').nth(1).expect("a text");
            for state in wanted.split('|') {
                let label = format!("state=\"{state}\"");
                assert!(values.keys().any(|it| it.contains(&label)), "{file} asks for {label}");
            }
        }
    }
    site.stop().await;
}
