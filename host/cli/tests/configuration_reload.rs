//! The configuration file of a running host changes in every way in which people and tools change
//! files: each whole and good content applies once, what is wrong with others is told, halves are
//! waited for, and the process serves on.

#[expect(dead_code, reason = "shared with tests that use more of it")]
mod site;

use pointsman_policy::Digest;
use pointsman_protocol::api::{ConfigProblem, ConfigStatus, PoliciesView, PolicyView, StatusView};
use serde::de::DeserializeOwned;
use serde_json::Value;
use site::{Ended, pointsman};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);

/// A host whose configuration lies alone in a folder, or with its policies.
struct Scene {
    folder: TempDir,
    host: Child,
    address: String,
    http: reqwest::Client,
}

impl Drop for Scene {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.host.kill();
        let _ = self.host.wait();
    }
}

impl Scene {
    /// `lay_out` puts a configuration into a folder.
    fn begin(lay_out: impl FnOnce(&Layout)) -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::of(&folder);
        fs::create_dir(&layout.etc).unwrap();
        lay_out(&layout);
        let log = File::create(folder.path().join("host.log")).unwrap();
        let mut host = Command::new(env!("CARGO_BIN_EXE_pointsman"))
            .args(["serve", "--config"])
            .arg(layout.config())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(host.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").expect("it listens").to_owned();
        Scene { folder, host, address, http: reqwest::Client::new() }
    }

    fn layout(&self) -> Layout {
        Layout::of(&self.folder)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        let answer = self.http.get(format!("{}{path}", self.address)).send().await;
        answer.expect("the host answers").json().await.expect("as it is documented")
    }

    async fn status(&self) -> ConfigStatus {
        self.get::<StatusView>("/v1/status").await.config
    }

    /// What is in force.
    async fn max_retries(&self) -> Value {
        self.get::<Value>("/v1/config").await["effective"]["retry"]["max_retries"].clone()
    }

    async fn metric(&self, name: &str) -> f64 {
        let answer = self.http.get(format!("{}/metrics", self.address)).send().await;
        let page = answer.expect("the host answers").text().await.expect("a text");
        let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {name} in {page}")).parse().expect("a number")
    }

    fn run(&self, args: &[&str]) -> Ended {
        pointsman(&[&["--host", &self.address], args].concat())
    }

    /// Waits for it, while the process lives.
    async fn until(&mut self, what: &str, is_so: impl Fn(&ConfigStatus) -> bool) -> ConfigStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert_eq!(self.host.try_wait().unwrap(), None, "{what}: the host has ended");
            let status = self.status().await;
            if is_so(&status) {
                return status;
            }
            assert!(Instant::now() < deadline, "{what}: {status:?}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// So many contents were taken and refused, the last one taken, and it says this.
    async fn expect(&mut self, what: &str, max_retries: u64, n_taken: u64, n_refused: u64) {
        let is_so = |it: &ConfigStatus| it.n_applied >= n_taken && it.refused.is_none();
        let status = self.until(what, is_so).await;
        assert_eq!((status.n_applied, status.n_refused), (n_taken, n_refused), "{what}");
        assert_eq!(status.waiting, None, "{what}");
        assert_eq!(self.max_retries().await, max_retries, "{what}");
        assert_eq!(self.metric("pointsman_config_last_reload_successful").await, 1.0, "{what}");
    }

    /// The content is refused, and what was in force is so still: what is wrong.
    async fn expect_refusal(
        &mut self,
        what: &str,
        max_retries: u64,
        n_taken: u64,
        n_refused: u64,
    ) -> Vec<ConfigProblem> {
        let status = self.until(what, |it| it.n_refused >= n_refused).await;
        assert_eq!((status.n_applied, status.n_refused), (n_taken, n_refused), "{what}");
        assert_eq!(self.max_retries().await, max_retries, "{what}");
        assert_eq!(self.metric("pointsman_config_last_reload_successful").await, 0.0, "{what}");
        status.refused.unwrap_or_else(|| panic!("{what}: not told")).errors
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("host.log")).unwrap_or_default()
    }
}

/// Where things lie.
struct Layout {
    etc: PathBuf,
    data: PathBuf,
}

impl Layout {
    fn of(folder: &TempDir) -> Layout {
        Layout { etc: folder.path().join("etc"), data: folder.path().join("data") }
    }

    fn config(&self) -> PathBuf {
        self.etc.join("pointsman.toml")
    }

    /// All that every configuration says, then `more`.
    fn text(&self, more: &str) -> String {
        let (data, etc) = (&self.data, &self.etc);
        format!(
            "[server]\nlisten = \"127.0.0.1:0\"\ndata_dir = {data:?}\n[store]\nbackend = \"memory\"\n\
             [policies]\ndirectory = {etc:?}\n[policies.scoring]\ncomponent = \"mine\"\n{more}"
        )
    }

    fn retries(&self, max_retries: u64) -> String {
        self.text(&format!("[retry]\nmax_retries = {max_retries}\n"))
    }
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("the folder is writable");
}

/// As most editors and tools replace a file.
fn replace(path: &Path, text: &str) {
    let aside = path.with_extension("new");
    write(&aside, text);
    fs::rename(aside, path).expect("renamed over");
}

fn scene() -> (Scene, Layout) {
    let scene = Scene::begin(|it| write(&it.config(), &it.retries(1)));
    let layout = scene.layout();
    (scene, layout)
}

#[tokio::test]
async fn no_bad_content_keeps_a_good_one_from_applying_nor_the_very_first_one_again() {
    let (mut it, layout) = scene();
    let path = layout.config();
    it.expect("as at the start", 1, 0, 0).await;
    replace(&path, &layout.retries(2));
    it.expect("a good one", 2, 1, 0).await;

    replace(&path, &format!("[retry\n{}", layout.retries(3)));
    let errors = it.expect_refusal("no TOML", 2, 1, 1).await;
    assert_eq!((errors.len(), errors[0].line, &errors[0].key), (1, Some(1), &None));
    assert_eq!(errors[0].file, path.display().to_string());

    replace(&path, &format!("heartbeat = \"banana\"\n{}", layout.retries(4)));
    let errors = it.expect_refusal("a text for a table", 2, 1, 2).await;
    let expected = ConfigProblem {
        file: path.display().to_string(),
        line: Some(1),
        column: Some(13),
        key: Some("heartbeat".to_owned()),
        problem: "is a text".to_owned(),
        remedy: "write a table [heartbeat]".to_owned(),
    };
    assert_eq!(errors, [expected]);

    replace(&path, &layout.retries(5));
    it.expect("a good one after bad ones", 5, 2, 2).await;
    replace(&path, &layout.retries(1));
    it.expect("the very first bytes", 1, 3, 2).await;
    let taken = it.metric("pointsman_config_reloads_total{outcome=\"applied\"}").await;
    let refused = it.metric("pointsman_config_reloads_total{outcome=\"refused\"}").await;
    assert_eq!((taken, refused), (3.0, 2.0));
}

#[tokio::test]
async fn no_mistaken_key_is_dropped_without_a_word_and_what_is_in_force_can_be_read() {
    let (mut it, layout) = scene();
    let n_before = layout.text("").lines().count() as u64;
    let mistakes = [
        ("mistyped", "[retry]\nmax_retires = 5\n", 2, "retry.max_retires", "\"max_retries\""),
        ("misplaced", "[heartbeat]\nmax_retries = 5\n", 2, "heartbeat.max_retries", "[retry]"),
        ("removed", "[heartbeat]\ntimeout = \"30s\"\n", 2, "heartbeat.timeout", "interval"),
        ("twice", "[retry]\nmax_retries = 5\nmax_retries = 6\n", 3, "max_retries", "keep one"),
        ("a table twice", "[retry]\nmax_retries = 5\n[server]\n", 3, "server", "keep one"),
    ];
    let mut n_refused = 0;
    for (what, more, line, key, remedy) in mistakes {
        n_refused += 1;
        replace(&layout.config(), &layout.text(more));
        let errors = it.expect_refusal(what, 1, 0, n_refused).await;
        assert_eq!(errors.len(), 1, "{what}: {errors:?}");
        let error = &errors[0];
        assert_eq!(error.line, Some(n_before + line), "{what}: {error:?}");
        assert_eq!(error.key.as_deref(), Some(key), "{what}: {error:?}");
        assert!(error.remedy.contains(remedy), "{what}: {error:?}");
        // People are told the same.
        let shown = it.run(&["config", "show", "--effective"]);
        assert!(shown.out.contains("max_retries = 1\n"), "{what}: {shown:?}");
        let place = format!("{}:{}:", error.file, n_before + line);
        for told in [shown, it.run(&["status"])] {
            assert!(told.out.contains(&place), "{what}: {told:?}");
            assert!(told.out.contains(&error.problem), "{what}: {told:?}");
        }
    }
    let more = "[retry]\nmax_retries = 7\n[worker]\nname = \"other\"\n";
    replace(&layout.config(), &layout.text(more));
    it.expect("a good one", 7, 1, n_refused).await;
    assert_eq!(it.status().await.at_next_start, ["worker"]);
    let shown = it.run(&["config", "show", "--effective", "--json"]);
    let shown: Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!(shown["effective"]["retry"]["max_retries"], 7);
    assert_eq!(shown["refused"], Value::Null);
    let told = it.run(&["status"]).out;
    assert!(told.contains("worker"), "what waits for the next start is told: {told}");
}

#[tokio::test]
async fn however_the_file_is_changed_each_content_applies_and_no_half_of_it() {
    let (mut it, layout) = scene();
    let path = layout.config();
    for n in 2..=4 {
        replace(&path, &layout.retries(n));
        it.expect("renamed over", n, n - 1, 0).await;
    }
    write(&path, &layout.retries(5));
    it.expect("written in place", 5, 4, 0).await;

    // The first half would pass, and mean something else; then one that would be refused.
    let halves = [("[retry]\nmax_retries = 6", "0\n", 60), ("[retry]\nmax_retr", "ies = 70\n", 70)];
    for (n_taken, (half, rest, expected)) in (5..).zip(halves) {
        let before = it.max_retries().await;
        let mut writer = File::create(&path).unwrap();
        writer.write_all(layout.text(half).as_bytes()).unwrap();
        let status = it.until("a half is waited for", |it| it.waiting.is_some()).await;
        assert_eq!((status.n_applied, status.n_refused), (n_taken - 1, 0), "{half}");
        assert_eq!(status.refused, None);
        assert_eq!(it.max_retries().await, before, "{half}");
        writer.write_all(rest.as_bytes()).unwrap();
        drop(writer);
        it.expect("the whole", expected, n_taken, 0).await;
    }

    let backup = path.with_extension("toml~");
    fs::rename(&path, &backup).unwrap();
    write(&path, &layout.retries(8));
    fs::remove_file(backup).unwrap();
    it.expect("moved away and made", 8, 7, 0).await;

    fs::remove_file(&path).unwrap();
    let errors = it.expect_refusal("deleted for long", 8, 7, 1).await;
    assert!(errors[0].problem.contains("cannot be read"), "{errors:?}");
    write(&path, &layout.retries(9));
    it.expect("made again", 9, 8, 1).await;

    fs::remove_dir_all(&layout.etc).unwrap();
    it.expect_refusal("without a folder", 9, 8, 2).await;
    fs::create_dir(&layout.etc).unwrap();
    write(&path, &layout.retries(10));
    it.expect("in a folder that came back", 10, 9, 2).await;
    replace(&path, &layout.retries(11));
    it.expect("in that, once more", 11, 10, 2).await;

    // At once, so that nothing is missing for long.
    let (other, old) = (layout.etc.with_extension("other"), layout.etc.with_extension("old"));
    fs::create_dir(&other).unwrap();
    write(&other.join("pointsman.toml"), &layout.retries(12));
    fs::rename(&layout.etc, old).unwrap();
    fs::rename(other, &layout.etc).unwrap();
    it.expect("in another folder", 12, 11, 2).await;
    write(&path, &layout.retries(13));
    it.expect("in that, in place", 13, 12, 2).await;
}

/// A scoring policy that differs from others by its label only.
fn policy(label: usize) -> Vec<u8> {
    let standard = pointsman_bundle::POLICIES.iter().find(|it| it.name == "weighted-score");
    let mut bytes = standard.expect("it is carried").bytes.to_vec();
    let label = format!("{label:06}");
    bytes.extend([0, 1 + 5 + label.len() as u8, 5]);
    bytes.extend(b"label");
    bytes.extend(label.as_bytes());
    bytes
}

/// Another version in the folder that `..data` links to, as a kubelet lays it out.
fn publish(layout: &Layout, version: usize) {
    let folder = layout.etc.join(format!("..{version}"));
    fs::create_dir(&folder).unwrap();
    write(&folder.join("pointsman.toml"), &layout.retries(version as u64));
    fs::write(folder.join("mine.wasm"), policy(version)).unwrap();
    point(layout, version);
    if let Some(before) = version.checked_sub(1) {
        // The first one has none before it.
        let _ = fs::remove_dir_all(layout.etc.join(format!("..{before}")));
    }
}

fn point(layout: &Layout, version: usize) {
    symlink(format!("..{version}"), layout.etc.join("..data_tmp")).unwrap();
    fs::rename(layout.etc.join("..data_tmp"), layout.etc.join("..data")).unwrap();
}

async fn until_serves(it: &Scene, version: usize) -> PolicyView {
    let digest = Digest::of(&policy(version)).to_string();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let slots = it.get::<PoliciesView>("/v1/policies").await.slots;
        // There is none before the first round.
        let slot = slots.into_iter().find(|slot| slot.slot.word() == "scoring");
        match slot {
            Some(slot) if slot.digest == digest => return slot,
            _ => assert!(Instant::now() < deadline, "{version}: {slot:?}\n{}", it.log()),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn each_swap_of_a_linked_folder_is_noticed_once_also_when_its_target_comes_later() {
    let mut it = Scene::begin(|layout| {
        publish(layout, 0);
        for name in ["pointsman.toml", "mine.wasm"] {
            symlink(format!("..data/{name}"), layout.etc.join(name)).unwrap();
        }
    });
    let layout = it.layout();
    until_serves(&it, 0).await;
    let slots = it.get::<PoliciesView>("/v1/policies").await.slots;
    let first = slots.iter().map(|slot| slot.generation).max().unwrap();
    for version in 1..=20 {
        if version % 5 == 1 {
            // The link goes first.
            point(&layout, version);
            it.until("a link to nothing is waited for", |it| it.waiting.is_some()).await;
        }
        publish(&layout, version);
        it.expect(&format!("version {version}"), version as u64, version as u64, 0).await;
        let slot = until_serves(&it, version).await;
        assert_eq!(slot.generation, first + version as u32, "one swap for each content");
        assert_eq!(slot.refusals, 0);
    }
}
