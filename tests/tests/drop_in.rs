//! Policy files change in every way in which tools change files, while tasks flow: nobody is asked to
//! look, whole contents alone decide, and no task notices.

use pointsman_policy::Digest;
use pointsman_protocol::api::{AttemptView, PoliciesView, PolicyView};
use pointsman_tests::guests::Guest;
use pointsman_tests::load::Load;
use pointsman_tests::site::{Crew, Site};
use pointsman_tests::soak::{labelled, resident_kib};
use std::collections::HashSet;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

const PATIENCE: Duration = Duration::from_secs(60);
const TASKS_PER_S: f64 = 100.0;
const PIECE: usize = 64 << 10;
/// Of a slow writer, between two pieces.
const PAUSE: Duration = Duration::from_millis(200);

/// A host under load, whose scoring policy is a file.
struct Scene {
    site: Site,
    load: Load,
    contents: Contents,
    generation: u32,
}

/// Makes contents, and knows those that may decide.
struct Contents {
    component: Vec<u8>,
    n_made: usize,
    whole: Arc<Mutex<HashSet<String>>>,
}

impl Contents {
    fn new() -> Contents {
        let component = Guest::constant("constant", 0.5).component();
        Contents { component, n_made: 0, whole: Arc::default() }
    }

    /// Another content, which has not been there before, of at least `len` bytes.
    fn next(&mut self, len: usize) -> Vec<u8> {
        self.n_made += 1;
        let content = labelled(&padded(&self.component, len), &self.n_made.to_string());
        let digest = Digest::of(&content).to_string();
        self.whole.lock().unwrap().insert(digest[..16].to_owned());
        content
    }
}

impl Scene {
    /// The first content serves, and tasks flow.
    async fn begin() -> Scene {
        let site = Site::start().await;
        site.hire(Crew { n_workers: 2, cpus: 2000, no_execution: true }).await;
        let mut contents = Contents::new();
        let first = contents.next(0);
        site.drop_in("weighted-score", &first);
        until_serves(&site, &first).await;
        let whole = contents.whole.clone();
        let judge = Arc::new(move |attempt: &AttemptView| {
            let digest = &attempt.decision.scoring.digest;
            let is_whole = whole.lock().unwrap().contains(digest.as_ref());
            if is_whole { Ok(()) } else { Err(format!("decided by {digest}")) }
        });
        let load = Load::start(&site.url(""), TASKS_PER_S, judge).await;
        let generation = slot(&site).await.generation;
        Scene { site, load, contents, generation }
    }

    fn file(&self) -> PathBuf {
        self.site.policies().join("weighted-score.wasm")
    }

    async fn slot(&self) -> PolicyView {
        slot(&self.site).await
    }

    /// Waits until it serves; it does so by one swap.
    async fn expect(&mut self, content: &[u8], what: &str) {
        until_serves(&self.site, content).await;
        self.generation += 1;
        let generation = self.slot().await.generation;
        assert_eq!(generation, self.generation, "{what}: one swap for each content");
    }

    /// No task noticed, and so many candidates were complained of.
    async fn end(self, n_refused: u64) {
        let refusals = self.slot().await.refusals;
        let n_before = self.load.seen().n_succeeded;
        while self.load.seen().n_succeeded < n_before + 50 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let (seen, n_lost) = self.load.finish().await;
        let harm = (n_lost, seen.n_failed, seen.n_doubled, seen.n_misjudged);
        assert_eq!(harm, (0, 0, 0, 0), "{:?}", seen.complaints);
        assert_eq!(
            (refusals, seen.n_policy_failures),
            (n_refused, n_refused),
            "{:?}",
            seen.complaints
        );
        self.site.stop().await;
    }
}

async fn policies(site: &Site) -> PoliciesView {
    let answer = reqwest::get(site.url("/v1/policies")).await.expect("the host answers");
    answer.json().await.expect("the slots")
}

async fn slot(site: &Site) -> PolicyView {
    let slots = policies(site).await.slots;
    slots.into_iter().find(|slot| slot.slot.word() == "scoring").expect("it is listed")
}

async fn until_serves(site: &Site, content: &[u8]) {
    let digest = Digest::of(content).to_string();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let slot = slot(site).await;
        if slot.digest == digest {
            return;
        }
        assert!(Instant::now() < deadline, "{digest} does not serve: {slot:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// With a custom section that fills it up.
fn padded(component: &[u8], len: usize) -> Vec<u8> {
    const NAME: &[u8] = b"padding";
    let n_missing = len.saturating_sub(component.len());
    let mut content = [component, &[0]].concat();
    let mut rest = 1 + NAME.len() + n_missing;
    while rest >= 0x80 {
        content.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    content.extend([rest as u8, NAME.len() as u8]);
    content.extend(NAME);
    // Each piece is different, so that one in the place of another is another content.
    content.extend((0..n_missing).map(|at| (at / 1000) as u8));
    content
}

fn overwrite(path: &Path, content: &[u8]) {
    fs::write(path, content).expect("the folder is writable");
}

fn replace(path: &Path, content: &[u8]) {
    let aside = path.with_extension("new");
    overwrite(&aside, content);
    fs::rename(aside, path).expect("renamed over");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_half_of_a_file_decides_however_slowly_it_is_written() {
    let mut it = Scene::begin().await;
    // In place, by one writer.
    let content = it.contents.next(10 * PIECE);
    let mut writer = File::create(it.file()).unwrap();
    for piece in content.chunks(PIECE) {
        writer.write_all(piece).unwrap();
        tokio::time::sleep(PAUSE).await;
    }
    drop(writer);
    it.expect(&content, "written in pieces").await;
    // Twice within 50 ms.
    let (first, second) = (it.contents.next(PIECE), it.contents.next(PIECE));
    overwrite(&it.file(), &first);
    tokio::time::sleep(Duration::from_millis(20)).await;
    overwrite(&it.file(), &second);
    it.expect(&second, "written twice").await;
    assert_eq!(it.slot().await.refusals, 0, "nothing is complained of so far");
    // A copy that stops half-way, and is done again. The half is an end of its own: told, once.
    let content = it.contents.next(4 * PIECE);
    let half = &content[..2 * PIECE];
    for _ in 0..3 {
        overwrite(&it.file(), half);
        until_refused(&it, half).await;
    }
    overwrite(&it.file(), &content);
    it.expect(&content, "copied again").await;
    it.end(1).await;
}

async fn until_refused(it: &Scene, content: &[u8]) {
    let digest = Digest::of(content).to_string();
    let deadline = Instant::now() + PATIENCE;
    while !policies(&it.site).await.refused.iter().any(|refused| refused.digest == digest) {
        assert!(Instant::now() < deadline, "it is not told of");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_appended_one_by_one_are_complained_of_once_each_and_the_whole_serves() {
    let mut it = Scene::begin().await;
    let content = it.contents.next(5 * PIECE);
    let aside = it.file().with_extension("aside");
    fs::rename(it.file(), aside).unwrap();
    let mut n_halves = 0;
    for end in (PIECE..content.len()).step_by(PIECE) {
        let options = OpenOptions::new().create(true).append(true).open(it.file());
        options.unwrap().write_all(&content[end - PIECE..end]).unwrap();
        until_refused(&it, &content[..end]).await;
        n_halves += 1;
    }
    let n_written = n_halves as usize * PIECE;
    let rest = OpenOptions::new().append(true).open(it.file());
    rest.unwrap().write_all(&content[n_written..]).unwrap();
    it.expect(&content, "appended").await;
    it.end(n_halves).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn touching_new_rights_and_the_same_bytes_load_nothing() {
    let it = Scene::begin().await;
    let content = fs::read(it.file()).unwrap();
    let before = it.slot().await;
    for i in 0..100 {
        let file = File::options().append(true).open(it.file()).unwrap();
        file.set_modified(SystemTime::now() + Duration::from_secs(i)).unwrap();
        drop(file);
        let mode = if i % 2 == 0 { 0o600 } else { 0o644 };
        fs::set_permissions(it.file(), Permissions::from_mode(mode)).unwrap();
        if i % 10 == 0 {
            overwrite(&it.file(), &content);
            replace(&it.file(), &content);
        }
        // In bursts, so that some are looked at.
        if i % 25 == 0 {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }
    it.site.reload_policies().await;
    let after = it.slot().await;
    assert_eq!((after.generation, after.since), (before.generation, before.since));
    assert!(after.calls > before.calls, "the same guest goes on counting");
    it.end(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn however_a_file_is_replaced_each_new_content_serves_and_none_is_missed() {
    let mut it = Scene::begin().await;
    let path = it.file();
    for _ in 0..3 {
        let content = it.contents.next(0);
        replace(&path, &content);
        it.expect(&content, "renamed over").await;
    }
    // As editors do that keep a copy.
    let content = it.contents.next(0);
    fs::rename(&path, path.with_extension("wasm~")).unwrap();
    overwrite(&path, &content);
    fs::remove_file(path.with_extension("wasm~")).unwrap();
    it.expect(&content, "moved away and made").await;
    // Deleted: what served serves on.
    fs::remove_file(&path).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while it.slot().await.message.is_none_or(|message| !message.contains("is gone")) {
        assert!(Instant::now() < deadline, "it is not told that the file is gone");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let content = it.contents.next(0);
    overwrite(&path, &content);
    it.expect(&content, "made again").await;
    // The folder vanishes and comes back, and is replaced by another.
    let folder = it.site.policies();
    fs::remove_dir_all(&folder).unwrap();
    fs::create_dir(&folder).unwrap();
    let content = it.contents.next(0);
    overwrite(&path, &content);
    it.expect(&content, "in a folder that came back").await;
    let other = folder.with_extension("other");
    fs::create_dir(&other).unwrap();
    let content = it.contents.next(0);
    overwrite(&other.join("weighted-score.wasm"), &content);
    fs::rename(&folder, folder.with_extension("old")).unwrap();
    fs::rename(&other, &folder).unwrap();
    it.expect(&content, "in another folder").await;
    let content = it.contents.next(0);
    replace(&path, &content);
    it.expect(&content, "in that, once more").await;
    it.end(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swapped_link_loads_each_content_once_also_when_its_target_comes_later() {
    let mut it = Scene::begin().await;
    let folder = it.site.policies();
    fs::remove_file(it.file()).unwrap();
    // Nothing is there yet.
    symlink("..data/weighted-score.wasm", it.file()).unwrap();
    for round in 0..20 {
        let content = it.contents.next(0);
        let version = format!("..{round}");
        if round % 5 == 1 {
            // The link goes first.
            point(&folder, &version);
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        fs::create_dir(folder.join(&version)).unwrap();
        overwrite(&folder.join(&version).join("weighted-score.wasm"), &content);
        point(&folder, &version);
        if round > 0 {
            fs::remove_dir_all(folder.join(format!("..{}", round - 1))).unwrap();
        }
        it.expect(&content, &version).await;
    }
    it.end(0).await;
}

/// As a kubelet does it.
fn point(folder: &Path, version: &str) {
    symlink(version, folder.join("..data_tmp")).unwrap();
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_serves_and_a_too_large_one_is_complained_of_once() {
    let mut it = Scene::begin().await;
    let content = it.contents.next(20_000_000);
    overwrite(&it.file(), &content);
    it.expect(&content, "20 MB").await;
    // It grows past the limit under the eyes of the host.
    let too_large = padded(&content, 40_000_000);
    let mut writer = File::create(it.file()).unwrap();
    for piece in too_large.chunks(1_000_000) {
        writer.write_all(piece).unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(writer);
    let deadline = Instant::now() + PATIENCE;
    while it.slot().await.message.is_none_or(|message| !message.contains("at most 33554432")) {
        assert!(Instant::now() < deadline, "{:?}", it.slot().await);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    it.site.reload_policies().await;
    assert_eq!(it.slot().await.digest, Digest::of(&content).to_string(), "the one before serves");
    let content = it.contents.next(0);
    replace(&it.file(), &content);
    it.expect(&content, "small again").await;
    it.end(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_contents_in_a_row_end_with_the_last_and_leave_no_memory_behind() {
    let it = Scene::begin().await;
    let mut contents = Contents { whole: it.contents.whole.clone(), ..Contents::new() };
    contents.n_made = 1;
    let mut last = Vec::new();
    let mut resident = 0;
    for i in 0..500 {
        last = contents.next(PIECE);
        replace(&it.file(), &last);
        if i % 10 == 0 {
            it.site.reload_policies().await;
        }
        if i == 100 {
            resident = resident_kib();
        }
    }
    until_serves(&it.site, &last).await;
    let grown = resident_kib().saturating_sub(resident);
    assert!(grown < 64 << 10, "{grown} KiB more after 400 contents");
    it.end(0).await;
}
