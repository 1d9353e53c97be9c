//! Output on its way to the host: what of it is up, what follows, and when an end may be told.
//!
//! The end of an attempt with little output waits a moment until that is up, so that it can be read
//! as soon as the task has ended. Much output, or a host that is slow to take it, delays no result:
//! it follows behind. What could not be sent is kept and sent again. Files are read away from the
//! agent's thread, so that a slow disk does not delay the heartbeat.

use crate::attempt::{AttemptKey, End};
use crate::client::{CallError, HostClient, Piece};
use crate::executor::{Output, OutputChunk, Stream};
use pointsman_protocol::worker::LOG_CHUNK_MAX;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// An end waits for the rest of its output up to this many bytes.
const WAITS_FOR_MAX: u64 = 512 * 1024;

/// And for this long.
const PATIENCE: Duration = Duration::from_secs(1);

/// Uploads at the same time.
const MAX_BUSY: usize = 8;

/// Ended attempts whose output is kept for a host out of reach; the oldest go first.
const MAX_KEPT: usize = 1000;

/// And bytes of it, so that a host that stays away does not fill the worker's disk.
const MAX_KEPT_BYTES: u64 = 1 << 30;

/// Read at a time; leaves room for the line that says what is missing.
const READ_MAX: usize = LOG_CHUNK_MAX / 2;

pub(crate) struct Uploads {
    client: HostClient,
    by_attempt: HashMap<AttemptKey, Upload>,
    waiting: VecDeque<AttemptKey>,
    n_busy: usize,
    /// Ended attempts, oldest first; some may be gone from `by_attempt`.
    ended: VecDeque<AttemptKey>,
    /// Bytes kept of ended attempts.
    n_kept_bytes: u64,
    max_kept_bytes: u64,
    /// Ends not told yet, in the order of their deadlines; some behind the first may have been told.
    untold: VecDeque<(Instant, AttemptKey)>,
    done: (mpsc::UnboundedSender<Uploaded>, mpsc::UnboundedReceiver<Uploaded>),
}

struct Upload {
    output: Arc<Output>,
    reached: [Progress; 2],
    is_queued: bool,
    has_ended: bool,
    /// Told when the output is up.
    end: Option<End>,
}

/// How far a stream is up: position in what the script wrote, and in the host's file. They differ
/// once a part was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Progress {
    source: u64,
    target: u64,
}

/// One upload came to its end, well or not.
pub(crate) struct Uploaded {
    key: AttemptKey,
    reached: [Progress; 2],
    outcome: Result<(), CallError>,
    /// It took all that there will be.
    was_over: bool,
}

impl Uploads {
    pub fn new(client: HostClient) -> Uploads {
        Uploads {
            client,
            by_attempt: HashMap::new(),
            waiting: VecDeque::new(),
            n_busy: 0,
            ended: VecDeque::new(),
            n_kept_bytes: 0,
            max_kept_bytes: MAX_KEPT_BYTES,
            untold: VecDeque::new(),
            done: mpsc::unbounded_channel(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.by_attempt.is_empty()
    }

    /// An attempt runs and may write.
    pub fn handle_started(&mut self, key: AttemptKey, output: Arc<Output>) {
        let reached = [Progress::default(); 2];
        let upload = Upload { output, reached, is_queued: false, has_ended: false, end: None };
        self.by_attempt.insert(key, upload);
    }

    /// An attempt ended. Answers its end if it is to be told now. `worker`: None while the host is
    /// out of reach.
    pub fn handle_ended(
        &mut self,
        now: Instant,
        key: AttemptKey,
        end: End,
        worker: Option<&str>,
    ) -> Option<End> {
        let Some(upload) = self.by_attempt.get_mut(&key) else { return Some(end) };
        upload.has_ended = true;
        let n_left = upload.n_left();
        if n_left == 0 {
            self.by_attempt.remove(&key);
            return Some(end);
        }
        self.n_kept_bytes += upload.output.kept();
        self.ended.push_back(key);
        let told = if worker.is_some() && n_left <= WAITS_FOR_MAX {
            upload.end = Some(end);
            self.untold.push_back((now + PATIENCE, key));
            None
        } else {
            Some(end)
        };
        self.queue(key, worker);
        self.forget_oldest();
        told
    }

    /// Sends what running attempts wrote since, and what could not be sent before.
    pub fn handle_tick(&mut self, worker: &str) {
        let has_more = |(key, it): (&AttemptKey, &Upload)| (it.n_left() > 0).then_some(*key);
        let keys: Vec<AttemptKey> = self.by_attempt.iter().filter_map(has_more).collect();
        for key in keys {
            self.queue(key, Some(worker));
        }
    }

    /// The next upload that came to its end; never ready without one.
    pub async fn uploaded(&mut self) -> Uploaded {
        self.done.1.recv().await.expect("this side keeps a sender")
    }

    /// Answers an end that waited for this.
    pub fn handle_uploaded(
        &mut self,
        uploaded: Uploaded,
        worker: Option<&str>,
    ) -> Option<(AttemptKey, End)> {
        let Uploaded { key, reached, outcome, was_over } = uploaded;
        self.n_busy -= 1;
        let told = self.finish(key, reached, outcome, was_over, worker);
        self.begin_waiting(worker);
        while let Some((_, first)) = self.untold.front()
            && self.by_attempt.get(first).is_none_or(|upload| upload.end.is_none())
        {
            self.untold.pop_front();
        }
        told
    }

    fn finish(
        &mut self,
        key: AttemptKey,
        reached: [Progress; 2],
        outcome: Result<(), CallError>,
        was_over: bool,
        worker: Option<&str>,
    ) -> Option<(AttemptKey, End)> {
        let upload = self.by_attempt.get_mut(&key)?;
        upload.is_queued = false;
        upload.reached = reached;
        if outcome.is_ok() && upload.has_ended && !was_over {
            // It ended during the upload: the rest follows.
            self.queue(key, worker);
            return None;
        }
        let end = upload.end.take().map(|end| (key, end));
        let is_kept = match outcome {
            Ok(()) => !was_over,
            Err(error @ (CallError::Unreachable(_) | CallError::Failed(_))) => {
                tracing::warn!(%error, attempt = %key, "failed to upload output; trying again");
                true
            }
            Err(error @ (CallError::NotRegistered(_) | CallError::Refused(_))) => {
                tracing::warn!(%error, attempt = %key, "the host does not want this output");
                !upload.has_ended
            }
        };
        if !is_kept {
            self.remove(key);
        }
        end
    }

    fn remove(&mut self, key: AttemptKey) {
        if let Some(upload) = self.by_attempt.remove(&key)
            && upload.has_ended
        {
            self.n_kept_bytes -= upload.output.kept();
        }
    }

    /// When an end has waited long enough.
    pub fn patience_ends(&self) -> Option<Instant> {
        self.untold.front().map(|(deadline, _)| *deadline)
    }

    /// Ends that waited long enough, or all of them if the host went out of reach.
    pub fn take_untold(&mut self, until: Option<Instant>) -> Vec<(AttemptKey, End)> {
        let mut told = Vec::new();
        while let Some((deadline, key)) = self.untold.front().copied() {
            if until.is_some_and(|until| deadline > until) {
                break;
            }
            self.untold.pop_front();
            let upload = self.by_attempt.get_mut(&key);
            told.extend(upload.and_then(|upload| upload.end.take()).map(|end| (key, end)));
        }
        told
    }

    fn queue(&mut self, key: AttemptKey, worker: Option<&str>) {
        let Some(upload) = self.by_attempt.get_mut(&key) else { return };
        if worker.is_some() && !upload.is_queued {
            upload.is_queued = true;
            self.waiting.push_back(key);
            self.begin_waiting(worker);
        }
    }

    fn begin_waiting(&mut self, worker: Option<&str>) {
        let Some(worker) = worker else {
            // Out of reach: the next tick of a membership queues them again.
            for key in self.waiting.drain(..) {
                if let Some(upload) = self.by_attempt.get_mut(&key) {
                    upload.is_queued = false;
                }
            }
            return;
        };
        while self.n_busy < MAX_BUSY {
            let Some(key) = self.waiting.pop_front() else { return };
            let Some(upload) = self.by_attempt.get(&key) else { continue };
            self.n_busy += 1;
            let sending = Sending {
                client: self.client.clone(),
                worker: worker.to_owned(),
                key,
                output: Arc::clone(&upload.output),
                reached: upload.reached,
                is_over: upload.has_ended,
            };
            let done = self.done.0.clone();
            tokio::spawn(async move {
                // Whoever waited may be gone.
                let _ = done.send(sending.run().await);
            });
        }
    }

    fn forget_oldest(&mut self) {
        while self.ended.len() > MAX_KEPT || self.n_kept_bytes > self.max_kept_bytes {
            let Some(key) = self.ended.pop_front() else { return };
            if let Some(upload) = self.by_attempt.get(&key)
                && upload.end.is_none()
            {
                tracing::warn!(attempt = %key, "gave up output that the host did not take");
                self.remove(key);
            }
        }
    }
}

impl Upload {
    fn n_left(&self) -> u64 {
        let left = |(stream, reached): (Stream, &Progress)| {
            self.output.total(stream).saturating_sub(reached.source)
        };
        Stream::ALL.into_iter().zip(&self.reached).map(left).sum()
    }
}

/// One upload of both streams of an attempt.
struct Sending {
    client: HostClient,
    worker: String,
    key: AttemptKey,
    output: Arc<Output>,
    reached: [Progress; 2],
    is_over: bool,
}

impl Sending {
    async fn run(mut self) -> Uploaded {
        let mut outcome = Ok(());
        for (idx, stream) in Stream::ALL.into_iter().enumerate() {
            if self.output.total(stream) > self.reached[idx].source && outcome.is_ok() {
                outcome = self.send(idx, stream).await;
            }
        }
        let Sending { key, reached, is_over, .. } = self;
        Uploaded { key, reached, outcome, was_over: is_over }
    }

    async fn send(&mut self, idx: usize, stream: Stream) -> Result<(), CallError> {
        while let Some(chunk) = self.read(self.reached[idx].source, stream).await {
            let Progress { source, target } = self.reached[idx];
            let next_source = chunk.offset + chunk.bytes.len() as u64;
            let mut bytes = chunk.bytes;
            let follows_a_gap = chunk.offset > source;
            if follows_a_gap {
                let n_left_out = chunk.offset - source;
                let told = format!("\n[{n_left_out} bytes left out: truncated]\n");
                bytes.splice(0..0, told.into_bytes());
            }
            let next_target = target + bytes.len() as u64;
            let piece = Piece { offset: target, bytes, follows_a_gap };
            self.client.upload(&self.worker, self.key, stream, piece).await?;
            self.reached[idx] = Progress { source: next_source, target: next_target };
        }
        Ok(())
    }

    async fn read(&self, offset: u64, stream: Stream) -> Option<OutputChunk> {
        let (output, is_over) = (Arc::clone(&self.output), self.is_over);
        let read = move || match is_over {
            true => output.read(stream, offset, READ_MAX),
            false => output.read_head(stream, offset, READ_MAX),
        };
        let chunk = tokio::task::spawn_blocking(read).await.expect("reading output does not panic");
        chunk.unwrap_or_else(|error| {
            tracing::warn!(%error, attempt = %self.key, "failed to read captured output");
            None
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::Outcome;

    #[test]
    fn a_host_out_of_reach_does_not_fill_the_disk() {
        let folder = tempfile::tempdir().expect("temp folder");
        let client = HostClient::new("http://127.0.0.1:9", None).expect("a client");
        let mut uploads = Uploads::new(client);
        uploads.max_kept_bytes = 100_000;
        for task in 1..=20 {
            let key = AttemptKey { task, number: 1, term: 1 };
            let output = Arc::new(Output::new(&folder.path().join(task.to_string()), 25_000));
            uploads.handle_started(key, Arc::clone(&output));
            output.push(Stream::Stdout, &[b'x'; 30_000]);
            let end = End { outcome: Outcome::ExitCode(0), ran: None };
            assert!(uploads.handle_ended(Instant::now(), key, end, None).is_some(), "told at once");
        }
        let mut kept: Vec<u64> = uploads.by_attempt.keys().map(|key| key.task).collect();
        kept.sort_unstable();
        assert_eq!(kept, [17, 18, 19, 20], "the newest");
        assert_eq!(uploads.n_kept_bytes, 100_000);
    }
}
