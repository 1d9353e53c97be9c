//! A host where clocks are set twice a year: what it says and takes is UTC, or has an offset.

mod lives;

use lives::Lives;
use pointsman_protocol::api::{Page, TaskView};
use pointsman_protocol::timestamp::Timestamp;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

struct Berlin {
    site: Lives,
    _host: lives::Process,
}

impl Berlin {
    fn start() -> Berlin {
        let site = Lives::new("");
        let host = site.host_with(&[("TZ", "Europe/Berlin")]);
        Berlin { site, _host: host }
    }

    async fn ask(&self, path: &str) -> (u16, String) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.site.http.get(format!("{}{path}", self.site.base)).send().await {
                Ok(response) => {
                    return (response.status().as_u16(), response.text().await.unwrap());
                }
                Err(error) => assert!(Instant::now() < deadline, "{error}: {}", self.site.logs()),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn listed(&self, query: &str) -> Vec<String> {
        let (status, text) = self.ask(&format!("/v1/tasks?{query}")).await;
        assert_eq!(status, 200, "{text}");
        let page: Page<TaskView> = serde_json::from_str(&text).unwrap();
        page.items.into_iter().map(|task| task.name).collect()
    }

    async fn submit(&self, name: &str) -> Timestamp {
        self.ask("/healthz").await;
        let body = json!({"task_name": name, "script": "true"});
        let request = self.site.http.post(format!("{}/v1/tasks", self.site.base)).json(&body);
        assert_eq!(request.send().await.unwrap().status().as_u16(), 201);
        let (_, text) = self.ask(&format!("/v1/tasks?text={name}")).await;
        let page: Value = serde_json::from_str(&text).unwrap();
        let shown = page["items"][0]["submitted"].as_str().unwrap();
        assert!(shown.ends_with('Z'), "{shown} is not in UTC");
        shown.parse().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn times_are_told_in_utc_and_taken_only_with_an_offset() {
    let berlin = Berlin::start();
    let first = berlin.submit("first").await;
    let now = Timestamp(pointsman_scheduler::Time(
        std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos().try_into().unwrap(),
    ));
    assert!(now.0.since(first.0) < PATIENCE, "{now} and {first} are one moment");
    // Ids and times agree, so that nothing is ordered by the time on the wall.
    let second = loop {
        let second = berlin.submit("second").await;
        if second != first {
            break second;
        }
    };
    assert!(second > first);

    // The same moment, as clocks in Berlin show it, and in UTC.
    let text = first.to_string();
    let (day, rest) = text.split_once('T').unwrap();
    let hour: u32 = rest[..2].parse().unwrap();
    let local = match hour {
        0..22 => format!("{day}T{:02}{}%2B02:00", hour + 2, rest[2..].trim_end_matches('Z')),
        _ => text.clone(),
    };
    for same in [text.as_str(), &local] {
        let after = berlin.listed(&format!("submitted_after={same}")).await;
        assert!(after.contains(&"second".to_owned()), "{same}: {after:?}");
        let before = berlin.listed(&format!("submitted_before={same}")).await;
        assert_eq!(before, Vec::<String>::new(), "{same}");
    }
    let of_year = "submitted_after=2026-01-01T00:00:00Z&submitted_before=2554-01-01T00:00:00Z";
    assert!(berlin.listed(of_year).await.contains(&"first".to_owned()));

    for (name, bad) in [
        ("submitted_after", "2026-10-25T02:30:00"),
        ("submitted_before", "2026-03-29T02:30:00"),
        ("submitted_after", "2026-10-25"),
        ("submitted_after", "02:30"),
        ("submitted_before", "yesterday"),
    ] {
        let (status, text) = berlin.ask(&format!("/v1/tasks?{name}={bad}")).await;
        let problem: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((status, &problem["field"]), (400, &json!(name)), "{bad}: {text}");
        assert!(text.contains("2026-10-25T02:30:00+01:00"), "it says what to write: {text}");
    }
}
