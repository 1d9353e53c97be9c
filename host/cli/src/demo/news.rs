//! What the host says by itself, from its event stream: policies, configuration, workers, moved tasks.

use crate::client::Client;
use futures_util::StreamExt;
use pointsman_protocol::api::{WireSlot, WireTaskState, WireWorkerState};
use pointsman_protocol::events::{EventBody, PolicyChange, PublicEvent, Snapshot};
use std::collections::{HashMap, HashSet};
use std::time::Instant;
use tokio::sync::mpsc;

/// Lines for people, in the order of the events.
pub struct News {
    lines: mpsc::UnboundedReceiver<String>,
}

/// Only what is shown is remembered: their number is bounded by the acts and the tasks.
#[derive(Debug, Default)]
struct Known {
    workers: HashMap<u64, WireWorkerState>,
    names: HashMap<u64, String>,
    moved: HashSet<u64>,
}

pub fn timed(begun: Instant, text: &str) -> String {
    format!("{:>5.1} s  {text}", begun.elapsed().as_secs_f64())
}

impl News {
    pub fn subscribe(client: Client, begun: Instant) -> News {
        let (sender, lines) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let Ok(response) = client.stream("/v1/events").await else { return };
            let mut bytes = response.bytes_stream();
            let mut text = Vec::new();
            let mut known = Known::default();
            while let Some(Ok(piece)) = bytes.next().await {
                text.extend_from_slice(&piece);
                while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = text.drain(..=end).collect();
                    let Some(json) = line.strip_prefix(b"data: ") else { continue };
                    if let Ok(snapshot) = serde_json::from_slice::<Snapshot>(json) {
                        known.begin(&snapshot);
                        continue;
                    }
                    // What is unknown here is not shown.
                    let event = serde_json::from_slice(json).ok();
                    let told = event.and_then(|event: PublicEvent| known.tell(&event.body));
                    if told.is_some_and(|told| sender.send(timed(begun, &told)).is_err()) {
                        return;
                    }
                }
            }
        });
        News { lines }
    }

    /// What has come since.
    pub fn take(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.lines.try_recv().ok()).collect()
    }
}

impl Known {
    fn begin(&mut self, snapshot: &Snapshot) {
        for worker in &snapshot.workers {
            let id = u64::from(worker.id.0);
            self.names.insert(id, worker.name.clone());
            self.workers.insert(id, worker.state);
        }
    }

    fn tell(&mut self, body: &EventBody) -> Option<String> {
        match body {
            EventBody::Policy { slot, change, policy, reason } => {
                let reason = reason.as_deref().unwrap_or("");
                let slot = slot.map_or("unbound", WireSlot::word);
                match (change, policy) {
                    (PolicyChange::Swapped, Some(policy)) => Some(format!(
                        "{slot} policy: {} {} serves as generation {}",
                        policy.name, policy.version, policy.generation
                    )),
                    (PolicyChange::Swapped, None) => Some(format!("{slot} policy swapped")),
                    (PolicyChange::Failed, _) => Some(format!("{slot} policy failed: {reason}")),
                    (PolicyChange::Refused, _) => Some(format!("{slot} policy refused: {reason}")),
                }
            }
            EventBody::Config { accepted: true, .. } => Some("configuration applied".to_owned()),
            EventBody::Config { accepted: false, reason } => {
                Some(format!("configuration refused: {}", reason.as_deref().unwrap_or("")))
            }
            EventBody::Worker { worker } => {
                self.names.insert(u64::from(worker.id.0), worker.name.clone());
                self.worker(u64::from(worker.id.0), worker.state)
            }
            EventBody::WorkerState { worker, state } => self.worker(u64::from(worker.0), *state),
            EventBody::Task { task } => {
                let has_moved = task.losses_used > 0 && task.state == WireTaskState::Running;
                if !has_moved || !self.moved.insert(task.id.0) {
                    return None;
                }
                let worker = task.worker_name.as_deref().unwrap_or("another worker");
                Some(format!("{} ({}) moved to {worker}", task.id, task.name))
            }
            EventBody::Rescheduling { task, action, verdict, .. } => {
                Some(format!("rescheduling policy: {action} {task}: {verdict}"))
            }
            EventBody::TaskForgotten { .. }
            | EventBody::Job { .. }
            | EventBody::JobForgotten { .. }
            | EventBody::WorkerForgotten { .. }
            | EventBody::WorkerQuarantined { .. }
            | EventBody::LossesHeld { .. }
            | EventBody::Queue { .. }
            | EventBody::Measured { .. }
            | EventBody::Forecast { .. }
            | EventBody::Feedback { .. }
            | EventBody::Alert { .. }
            | EventBody::StaleReport { .. } => None,
        }
    }

    fn worker(&mut self, id: u64, state: WireWorkerState) -> Option<String> {
        let before = self.workers.insert(id, state).unwrap_or(WireWorkerState::Live);
        if before == state {
            return None;
        }
        let name = self.names.get(&id).cloned().unwrap_or_else(|| format!("w{id}"));
        Some(format!("{name} is {state}"))
    }
}
