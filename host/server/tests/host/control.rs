//! What operators change while the host runs: policies and the configuration.

use crate::site::{Reply, Site};
use serde_json::{Value, json};

fn serving(view: &Value, slot: &str) -> String {
    let slots = view["slots"].as_array().expect("slots");
    let found = slots.iter().find(|it| it["slot"] == slot).expect("the slot");
    found["name"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answered_swap_is_in_force_and_can_be_taken_back() {
    let site = Site::start().await;
    assert_eq!(serving(&site.get("/v1/policies").await.body, "scoring"), "weighted-score");
    let chosen: Reply =
        site.put("/v1/policies/scoring", &json!({"component": "least-connections"})).await;
    assert_eq!(chosen.status, 200, "{}", chosen.body);
    assert_eq!(serving(&chosen.body, "scoring"), "least-connections");
    assert_eq!(serving(&site.get("/v1/policies").await.body, "scoring"), "least-connections");
    let back = site.post("/v1/policies/scoring/rollback", &json!({})).await;
    assert_eq!(back.status, 200, "{}", back.body);
    assert_eq!(serving(&back.body, "scoring"), "weighted-score");
    site.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_dropped_into_the_folder_is_judged_and_a_bad_one_changes_nothing() {
    let site = Site::start().await;
    let folder = site.folder.path().join("policies");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("weighted-score.wasm"), b"no component").unwrap();
    let reloaded = site.post("/v1/policies/reload", &json!({})).await;
    assert_eq!(reloaded.status, 200, "{}", reloaded.body);
    assert!(!reloaded.body["refused"].as_array().unwrap().is_empty(), "{}", reloaded.body);
    assert_eq!(serving(&reloaded.body, "scoring"), "weighted-score");
    let standard = pointsman_bundle::find("least-connections").expect("a standard policy");
    std::fs::write(folder.join("mine.wasm"), standard.bytes).unwrap();
    site.until("the folder is watched", async || {
        let view = site.get("/v1/policies").await.body;
        view["available"].as_array().unwrap().iter().any(|it| it["name"] == "mine")
    })
    .await;
    let chosen = site.put("/v1/policies/scoring", &json!({"component": "mine"})).await;
    assert_eq!(chosen.status, 200, "{}", chosen.body);
    site.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_configuration_applies_whole_and_a_bad_one_not_at_all() {
    let site = Site::start().await;
    let config = async || site.get("/v1/config").await.body;
    site.rewrite_config("[queues.default]\nlimit = 2\n[queues.other]\nlimit = 5");
    site.until("the new queue is there", async || {
        site.get("/v1/queues").await.body.as_array().unwrap().len() == 2
    })
    .await;
    site.submit("a").await;
    site.submit("b").await;
    let full = site.post("/v1/tasks", &json!({"task_name": "c", "script": "true"})).await;
    assert_eq!((full.status, full.code()), (429, "queue_full"), "{}", full.body);
    assert!(full.headers.contains_key("retry-after"));
    let in_force = config().await["effective"].clone();
    site.rewrite_config("[queues.default]\nlimit = 9\n[queues.other]\nlimmit = 5");
    site.until("it is refused", async || config().await["refused"].is_string()).await;
    let refused = config().await;
    assert!(refused["refused"].as_str().unwrap().contains("limmit"), "{refused}");
    assert_eq!(refused["effective"], in_force);
    site.rewrite_config("[queues.default]\nlimit = 3");
    site.until("it is good again", async || config().await["refused"].is_null()).await;
    site.until("the limit is in force", async || {
        site.post("/v1/tasks", &json!({"task_name": "c", "script": "true"})).await.status != 429
    })
    .await;
    site.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_restart_is_not_shown_as_if_it_were_in_force() {
    let site = Site::start().await;
    let before = site.get("/v1/config").await.body["effective"]["server"].clone();
    let text = std::fs::read_to_string(site.config_path()).unwrap();
    let text = text.replace("127.0.0.1:0", "127.0.0.1:1") + "[queues.default]\nlimit = 7\n";
    std::fs::write(site.config_path(), text).unwrap();
    site.until("the rest is applied", async || site.get("/v1/queues").await.body[0]["limit"] == 7)
        .await;
    assert_eq!(site.get("/v1/config").await.body["effective"]["server"], before);
    site.host.stop().await;
}
