//! One configuration file through good and bad hands.

use crate::site::Site;
use serde_json::Value;
use std::fs;

/// What is in force, and what is wrong with the file.
async fn in_force(site: &Site) -> (Value, Value) {
    let config = site.get("/v1/config").await.body;
    (config["effective"].clone(), config["refused"].clone())
}

/// As most editors and tools replace a file.
fn replace(site: &Site, text: &str) {
    let new = site.config_path().with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, site.config_path()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_configuration_keeps_no_later_good_one_from_applying() {
    let site = Site::start().await;
    let first = fs::read_to_string(site.config_path()).unwrap();
    let at_first = in_force(&site).await.0;
    let retries = async || in_force(&site).await.0["retry"]["max_retries"].clone();
    let bad = [
        ("no TOML", "[retry\n".to_owned(), "pointsman.toml:1:7"),
        ("an unknown key", format!("{first}\n[retry]\nmax_retires = 5\n"), "\"max_retries\""),
        ("a wrong type", format!("{first}\n[heartbeat]\ninterval = \"banana\"\n"), "banana"),
        (
            "a key twice",
            format!("{first}\n[retry]\nmax_retries = 1\nmax_retries = 2\n"),
            "duplicate",
        ),
        ("keys at odds", format!("{first}\n[heartbeat]\nlost_after = \"1s\"\n"), "lost_after"),
    ];
    for (what, text, told) in bad {
        replace(&site, &text);
        site.until(what, async || {
            in_force(&site).await.1.as_str().is_some_and(|it| it.contains(told))
        })
        .await;
        assert_eq!(in_force(&site).await.0, at_first, "{what}");
    }
    replace(&site, &format!("{first}\n[retry]\nmax_retries = 7\n"));
    site.until("a good one applies", async || retries().await == 7).await;
    assert_eq!(in_force(&site).await.1, Value::Null);
    replace(&site, "[retry]\nmax_retries = \"many\"\n");
    site.until("a bad one again", async || in_force(&site).await.1.is_string()).await;
    assert_eq!(retries().await, 7);
    // The very first bytes, seen before but not in force any more.
    replace(&site, &first);
    site.until("the first one applies again", async || in_force(&site).await.0 == at_first).await;
    assert_eq!(in_force(&site).await.1, Value::Null);
    fs::remove_file(site.config_path()).unwrap();
    fs::write(site.config_path(), format!("{first}\n[retry]\nmax_retries = 8\n")).unwrap();
    site.until("after being deleted and made again", async || retries().await == 8).await;
    site.host.stop().await;
}
