//! What changes while the workflow runs: three acts, each begun at its time, each counted only when
//! the host shows that it happened.

use super::processes::Processes;
use super::stage::{SECOND_WEIGHTS, Stage};
use crate::client::Client;
use crate::exit::Failure;
use anyhow::{Context, anyhow};
use pointsman_protocol::api::{
    Page, PoliciesView, TaskView, WireSlot, WireWorkerState, WorkerView,
};
use pointsman_protocol::duration::parse_duration;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Parts of the tasks that have succeeded.
const SWAP_AT: f64 = 0.25;
const WEIGH_AT: f64 = 0.45;
const KILL_AT: f64 = 0.60;
/// From here on a worker is killed even if little is left of what it runs.
const KILL_ANYWAY_AT: f64 = 0.75;
/// A task that would run this much longer will not have ended when its worker dies.
const LEFT_MIN: Duration = Duration::from_millis(600);

/// What is dropped into the folder, and in whose place.
const DROPPED: &str = "critical-path";
const IN_PLACE_OF: &str = "priority-ageing";

/// What was done, and whether it was seen to happen.
#[derive(Debug, Default)]
pub struct Acts {
    pub swap: Act,
    pub weights: Act,
    pub kill: Act,
    pub killed: Option<String>,
    /// Every generation that served, with what it was.
    pub generations: BTreeMap<(WireSlot, u32), String>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    #[default]
    ToCome,
    Done,
    Seen,
}

pub struct Scenes {
    acts: Acts,
    /// Before anything was changed, or at the last change.
    queue_generation: u32,
    scoring_generation: u32,
}

impl Scenes {
    pub async fn new(client: &Client) -> Result<Scenes, Failure> {
        let policies: PoliciesView = client.read("/v1/policies", &[]).await?;
        let generation = |slot| {
            let served = policies.slots.iter().find(|policy| policy.slot == slot);
            served.map(|policy| policy.generation).with_context(|| format!("{slot} is not served"))
        };
        let mut scenes = Scenes {
            acts: Acts::default(),
            queue_generation: generation(WireSlot::Queue)?,
            scoring_generation: generation(WireSlot::Scoring)?,
        };
        scenes.note_generations(&policies);
        Ok(scenes)
    }

    /// Begins at most one act; what was done, for people.
    pub async fn play(
        &mut self,
        client: &Client,
        job: &str,
        fraction: f64,
        stage: &Stage,
        processes: &mut Processes,
    ) -> Result<Option<String>, Failure> {
        if fraction >= SWAP_AT && self.acts.swap == Act::ToCome {
            let policy = pointsman_bundle::find(DROPPED).context("the binary lacks a policy")?;
            stage.drop_policy(IN_PLACE_OF, policy.bytes)?;
            self.acts.swap = Act::Done;
            return Ok(Some(format!(
                "dropped {DROPPED} as policies/{IN_PLACE_OF}.wasm: tasks at the head of long chains \
                 go first from now on"
            )));
        }
        if fraction >= WEIGH_AT && self.acts.weights == Act::ToCome {
            stage.write_config(SECOND_WEIGHTS)?;
            self.acts.weights = Act::Done;
            let weights = SECOND_WEIGHTS.replace('\n', ", ");
            return Ok(Some(format!("edited pointsman.toml: weights {weights}")));
        }
        if fraction >= KILL_AT && self.acts.kill == Act::ToCome {
            let Some(victim) = victim(client, job, fraction).await? else { return Ok(None) };
            let pid = processes.kill_worker(&victim).await?;
            self.acts.kill = Act::Done;
            self.acts.killed = Some(victim.clone());
            return Ok(Some(format!("killed {victim} (process {pid}) with SIGKILL")));
        }
        Ok(None)
    }

    /// Looks for what was done and has not been seen yet.
    pub async fn look(&mut self, client: &Client) -> Result<(), Failure> {
        let policies: PoliciesView = client.read("/v1/policies", &[]).await?;
        self.note_generations(&policies);
        for policy in &policies.slots {
            let is_from_folder = policy.source != "standard" && policy.source != "native";
            match policy.slot {
                WireSlot::Queue
                    if self.acts.swap == Act::Done
                        && policy.generation > self.queue_generation
                        && is_from_folder =>
                {
                    self.acts.swap = Act::Seen;
                }
                WireSlot::Scoring
                    if self.acts.weights == Act::Done
                        && policy.generation > self.scoring_generation =>
                {
                    self.acts.weights = Act::Seen;
                }
                WireSlot::Queue
                | WireSlot::Scoring
                | WireSlot::Rescheduling
                | WireSlot::Forecasting => {}
            }
        }
        if self.acts.kill == Act::Done {
            let workers: Vec<WorkerView> = client.read("/v1/workers", &[]).await?;
            let is_killed = |worker: &&WorkerView| Some(&worker.name) == self.acts.killed.as_ref();
            let killed = workers.iter().find(is_killed);
            if killed.is_some_and(|worker| worker.state == WireWorkerState::Lost) {
                self.acts.kill = Act::Seen;
            }
        }
        Ok(())
    }

    fn note_generations(&mut self, policies: &PoliciesView) {
        for policy in &policies.slots {
            let source = Path::new(&policy.source);
            let folder = source.parent().and_then(Path::file_name);
            // The path of a file without what leads to the folder of policies.
            let source = match (folder, source.file_name()) {
                (Some(folder), Some(file)) => Path::new(folder).join(file),
                (None, _) | (_, None) => source.to_owned(),
            };
            let name = format!("{} {}, {}", policy.name, policy.version, source.display());
            self.acts.generations.insert((policy.slot, policy.generation), name);
        }
    }

    /// Gives the last acts time to be seen; those that are not stay unseen.
    pub async fn wait_for_the_rest(
        &mut self,
        client: &Client,
        patience: Duration,
    ) -> Result<(), Failure> {
        let begun = Instant::now();
        let acts = |scenes: &Scenes| [scenes.acts.swap, scenes.acts.weights, scenes.acts.kill];
        while acts(self).contains(&Act::Done) && begun.elapsed() < patience {
            self.look(client).await?;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    pub fn into_acts(self) -> Acts {
        self.acts
    }
}

/// The worker whose task has most left to do, so that a task really moves; None: not now.
async fn victim(client: &Client, job: &str, fraction: f64) -> Result<Option<String>, Failure> {
    let query = [("job", job), ("state", "RUNNING"), ("limit", "1000")];
    let running: Page<TaskView> = client.read("/v1/tasks", &query).await?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|_| anyhow!("no clock"))?;
    let left = |task: &TaskView| {
        let started = task.attempts.last()?.started?;
        let expected = parse_duration(task.expected.as_deref()?).ok()?;
        let ran = now.saturating_sub(Duration::from_nanos(started.0.0));
        Some((expected.saturating_sub(ran), task.worker_name.clone()?))
    };
    let longest = running.items.iter().filter_map(left).max();
    let min = if fraction < KILL_ANYWAY_AT { LEFT_MIN } else { Duration::ZERO };
    Ok(longest.filter(|(left, _)| *left > min).map(|(_, worker)| worker))
}
