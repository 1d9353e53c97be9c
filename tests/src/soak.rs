//! Policies replaced again and again while tasks flow. Each swap brings new content, and two
//! policies that want different workers take turns, so that a decision that mixed them would show.

use crate::guests::{Guest, column, pairs};
use crate::load::{Judge, Load, Seen};
use crate::site::{Crew, Site, job};
use crate::windows::{Comparison, percentile};
use pointsman_policy::Digest;
use pointsman_protocol::api::PoliciesView;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

#[derive(Debug, Clone, Copy)]
pub struct SoakOptions {
    pub n_swaps: usize,
    pub tasks_per_s: f64,
    /// While swapping; every other window is without swaps.
    pub swaps_per_s: f64,
    pub window: Duration,
    /// Tasks run beforehand, which fill what is bounded (the events kept for readers, the finished tasks
    /// kept, the store's caches), so that growth beyond is a leak.
    pub n_fill: usize,
    /// Swaps after which memory is looked at first: caches are warm by then.
    pub n_warm: usize,
}

#[derive(Debug)]
pub struct SoakReport {
    pub n_swaps: usize,
    pub seen: Seen,
    /// Tasks that never ended.
    pub n_lost: usize,
    /// Resident memory of the process at the end against that after the warm swaps.
    pub memory_growth: f64,
    pub dispatch: Comparison,
    /// From dropping a file to its generation serving, ms: median and p99.
    pub swap_ms: [f64; 2],
}

/// What must not have happened, and did.
pub fn faults(seen: &Seen, n_lost: usize) -> Vec<String> {
    let counts = [
        (n_lost as u64, "tasks were lost"),
        (seen.n_failed, "tasks failed"),
        (seen.n_doubled, "tasks had more than one attempt"),
        (seen.n_misjudged, "decisions were not those of their generation"),
        (seen.n_policy_failures, "policy calls failed or candidates were refused"),
    ];
    let told = counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}"));
    told.chain(seen.complaints.iter().cloned()).collect()
}

impl std::fmt::Display for SoakReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Seen { n_submitted, n_succeeded, n_failed, n_doubled, n_misjudged, .. } = self.seen;
        writeln!(f, "{} swaps while {n_submitted} tasks were submitted", self.n_swaps)?;
        writeln!(
            f,
            "{n_succeeded} succeeded, {n_failed} failed, {} lost, {n_doubled} doubled, \
             {n_misjudged} decided by a mixture, {} policy failures",
            self.n_lost, self.seen.n_policy_failures
        )?;
        writeln!(f, "memory after the last swap: {:.3} × that when warm", self.memory_growth)?;
        let [median, p99] = self.swap_ms;
        writeln!(f, "drop to serving: median {median:.1} ms, p99 {p99:.1} ms")?;
        write!(f, "due to placed: {}", self.dispatch)
    }
}

/// Which worker the policy of a digest wants.
type Wants = Arc<Mutex<HashMap<String, &'static str>>>;
const WORKERS: [&str; 2] = ["small", "large"];
const CPUS: [u64; 2] = [2_000, 3_000];

/// Runs it all; takes about twice `n_swaps / swaps_per_s`. `progress` is told each window's end.
pub async fn run(options: SoakOptions, mut progress: impl FnMut(String)) -> SoakReport {
    let site = Site::start_with("[retention]\nfinished = 2000\n").await;
    for (name, cpus) in WORKERS.into_iter().zip(CPUS) {
        site.hire_as(&[name.to_owned()], Crew { n_workers: 1, cpus, no_execution: true }).await;
    }
    let wants = Wants::default();
    let swapper = Swapper {
        policies: site.policies(),
        reload: site.url("/v1/policies/reload"),
        http: None,
        guests: [0, 1].map(|wanted| preferring(wanted).component()),
        wants: wants.clone(),
        n_swaps: 0,
        took_ms: vec![],
    };
    let mut swapper = swapper.aside(Swapper::swap).await;
    for _ in 0..options.n_fill.div_ceil(1000) {
        site.submit(&job(1000, "true")).await;
        site.until_idle().await;
    }
    let load = Load::start(&site.url(""), options.tasks_per_s, judge(wants)).await;
    load.next_window();
    let (mut with, mut without) = (Vec::new(), Vec::new());
    let mut resident_warm = None;
    while swapper.n_swaps < options.n_swaps {
        tokio::time::sleep(options.window).await;
        without.push(percentile(load.next_window(), 0.99));
        swapper = swapper.aside(move |swapper| swapper.swap_for(options)).await;
        with.push(percentile(load.next_window(), 0.99));
        if swapper.n_swaps >= options.n_warm {
            resident_warm.get_or_insert_with(resident_kib);
        }
        progress(format!(
            "{} swaps, p99 {:.2} ms with, {:.2} ms without, {} MiB",
            swapper.n_swaps,
            with[with.len() - 1],
            without[without.len() - 1],
            resident_kib() / 1024
        ));
    }
    let memory_growth = resident_kib() as f64 / resident_warm.unwrap_or_else(resident_kib) as f64;
    let (n_swaps, took) = (swapper.n_swaps, std::mem::take(&mut swapper.took_ms));
    let (seen, n_lost) = load.finish().await;
    site.stop().await;
    SoakReport {
        n_swaps,
        seen,
        n_lost,
        memory_growth,
        dispatch: Comparison::of(&with, &without),
        swap_ms: [percentile(took.clone(), 0.5), percentile(took, 0.99)],
    }
}

fn judge(wants: Wants) -> Judge {
    Arc::new(move |attempt| {
        let digest = attempt.decision.scoring.digest.as_ref();
        let wants = wants.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = wants.get(digest).ok_or_else(|| format!("decided by {digest}, never seen"))?;
        match attempt.worker_name.as_deref() {
            Some(worker) if worker == *wanted => Ok(()),
            worker => Err(format!("{digest} wants {wanted}, it went to {worker:?}")),
        }
    })
}

/// Whoever drops policies: on a thread of its own at low priority, as another program's work would be, so
/// that what is measured is the host's.
struct Swapper {
    policies: PathBuf,
    reload: String,
    /// Made on the thread of low priority, which its own threads inherit.
    http: Option<reqwest::blocking::Client>,
    /// By which worker they want.
    guests: [Vec<u8>; 2],
    wants: Wants,
    n_swaps: usize,
    took_ms: Vec<f64>,
}

impl Swapper {
    async fn aside(mut self, work: impl FnOnce(&mut Swapper) + Send + 'static) -> Swapper {
        let (done, swapper) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            lower_priority();
            work(&mut self);
            // Nobody waits any more if the whole has failed.
            let _ = done.send(self);
        });
        swapper.await.expect("the swaps succeed")
    }

    fn swap_for(&mut self, options: SoakOptions) {
        let began = Instant::now();
        let mut due = began;
        while began.elapsed() < options.window {
            self.swap();
            due += Duration::from_secs_f64(1.0 / options.swaps_per_s);
            // The pace of the swaps.
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }

    fn expect(&self, digest: String, worker: &'static str) {
        self.wants.lock().unwrap_or_else(PoisonError::into_inner).insert(digest, worker);
    }

    /// Drops a policy that differs from all before, and waits until it serves.
    fn swap(&mut self) {
        let wanted = self.n_swaps % 2;
        let guest = labelled(&self.guests[wanted], &self.n_swaps.to_string());
        let digest = Digest::of(&guest).to_string();
        self.expect(digest[..16].to_owned(), WORKERS[wanted]);
        let dropped = Instant::now();
        let new = self.policies.join("new");
        std::fs::write(&new, &guest).expect("the folder is writable");
        std::fs::rename(&new, self.policies.join("weighted-score.wasm")).expect("renamed over");
        let http = self.http.get_or_insert_with(reqwest::blocking::Client::new);
        let answer = http.post(&self.reload).json(&serde_json::json!({})).send();
        let serving: PoliciesView = answer.and_then(|it| it.json()).expect("the slots");
        let slot = serving.slots.iter().find(|slot| slot.slot.word() == "scoring");
        let slot = slot.expect("the slot scoring is listed");
        assert_eq!(slot.digest, digest, "what was dropped serves: {slot:?}");
        self.took_ms.push(dropped.elapsed().as_secs_f64() * 1e3);
        self.n_swaps += 1;
    }
}

/// Of this thread, and of those that it starts.
fn lower_priority() {
    // SAFETY: a plain system call about the calling thread.
    let result = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 19) };
    assert_eq!(result, 0, "a thread may lower its own priority");
}

/// Scores one of the workers 1 and the other 0, told apart by their capacity.
fn preferring(wanted: usize) -> Guest {
    let middle = f64::from((CPUS[0] + CPUS[1]) as u32) / 2.0;
    let is_large = format!("(f64.gt {} (f64.const {middle}))", column(0));
    let values = if wanted == 1 { (1, 0) } else { (0, 1) };
    Guest {
        properties: pairs(&[("needs-worker", "cpu-capacity"), ("node-local", "true")]),
        value: format!("(select (f64.const {}) (f64.const {}) {is_large})", values.0, values.1),
        ..Guest::scoring("preferring")
    }
}

/// The same policy as new content: with a custom section of that text. Cheap, so that making it
/// does not disturb what is measured.
pub fn labelled(component: &[u8], label: &str) -> Vec<u8> {
    const NAME: &[u8] = b"label";
    let length = 1 + NAME.len() + label.len();
    assert!(length < 128, "lengths of one byte");
    let head = [0, length as u8, NAME.len() as u8];
    [component, &head, NAME, label.as_bytes()].concat()
}

/// Resident memory of this process.
pub fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).expect("a number of KiB")
}
