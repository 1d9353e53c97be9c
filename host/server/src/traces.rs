//! Traces (OpenTelemetry): what becomes of a submission, as spans. They are told when they are over, and their
//! ids follow from what they tell of, so that nothing is kept for them and a new host goes on with the same.
//!
//! ```text
//! (the submitter's span)
//! └ submit                    the request
//!   └ job                     submitted .. last task ended; not around single tasks
//!     └ task                  submitted .. ended
//!       ├ decision            ready .. placed; policies with their generations, the score and its terms
//!       └ attempt             placed .. ended; linked to the attempt before; the script goes on from it
//! ```
//!
//! Whoever plans or commits only puts a note into a queue with an end; when it is full, spans are left out.

mod export;
mod span;

use crate::config::TelemetrySection;
use crate::driver::Handle;
use crate::policy_desk::{PolicyDesk, Terms};
use crate::read_model::{ReadModel, SharedReadModel, Task};
use export::Exporter;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanData, SpanProcessor};
use pointsman_scheduler::explain::Placed;
use pointsman_scheduler::record::{Attempt, EndReason, JobRecord, TaskState, TaskStatus};
use pointsman_scheduler::spec::{DEFAULT, TaskSpec, TraceContext};
use pointsman_scheduler::{JobId, Record, TaskId, Time};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

pub use export::TraceError;

/// Notes that wait to become spans.
const QUEUE: usize = 8192;
/// Notes that are worked on at once.
const BATCH: usize = 256;
/// The last spans are waited for this long at the end.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// Takes notes for spans. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tracer {
    notes: mpsc::Sender<Note>,
    counts: Arc<Counts>,
    /// Of the traces that begin here.
    sample: f64,
}

/// Spans since the host was started.
#[derive(Debug, Default)]
pub struct Counts {
    pub exported: AtomicU64,
    /// The receiver refused them, or did not answer.
    pub failed: AtomicU64,
    /// There were more than could be handed over.
    pub dropped: AtomicU64,
}

#[derive(Debug)]
enum Note {
    Submitted(Submitted),
    Placed(OfAttempt),
    AttemptEnded(OfAttempt),
    TaskEnded(OfTask),
    JobEnded { job: JobRecord, trace: TraceContext },
    Stop(oneshot::Sender<()>),
}

/// A submission that was taken.
#[derive(Debug)]
pub struct Submitted {
    pub trace: TraceContext,
    /// None: a single task.
    pub job: Option<JobId>,
    pub first: TaskId,
    pub n_tasks: usize,
    pub came: Time,
    pub answered: Time,
}

#[derive(Debug, Clone)]
struct Subject {
    id: TaskId,
    /// None: a single task.
    job: Option<JobId>,
    spec: Arc<TaskSpec>,
    trace: TraceContext,
}

#[derive(Debug)]
struct OfAttempt {
    task: Subject,
    attempt: Attempt,
    ready_since: Option<Time>,
    /// The attempt before, if it is still kept.
    before: Option<Attempt>,
}

#[derive(Debug)]
struct OfTask {
    task: Subject,
    submitted: Time,
    ended: Time,
    state: TaskState,
    end_reason: Option<Box<EndReason>>,
    n_attempts: u32,
}

/// What becomes spans comes from here.
pub struct Sources {
    pub driver: Handle,
    pub model: SharedReadModel,
    pub policies: PolicyDesk,
}

/// Notes that nobody has taken up yet.
pub struct Notes(mpsc::Receiver<Note>, BatchSpanProcessor);

impl Tracer {
    /// None: tracing is off.
    ///
    /// # Errors
    /// If the receiver's address cannot be used.
    pub fn new(section: &TelemetrySection) -> Result<Option<(Tracer, Notes)>, TraceError> {
        let Some(endpoint) = &section.traces else { return Ok(None) };
        let counts = Arc::new(Counts::default());
        let exporter = Exporter::to(endpoint, counts.clone())?;
        let processor = export::processor(exporter);
        let (notes, taken) = mpsc::channel(QUEUE);
        let tracer = Tracer { notes, counts, sample: section.sample };
        Ok(Some((tracer, Notes(taken, processor))))
    }

    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// A trace that begins here.
    pub fn begin(&self) -> TraceContext {
        let trace_id = fastrand::u128(1..);
        let is_sampled = fastrand::f64() < self.sample;
        TraceContext { trace_id, parent: 0, is_sampled }
    }

    pub fn note_submitted(&self, submitted: Submitted) {
        if submitted.trace.is_sampled {
            self.put(Note::Submitted(submitted));
        }
    }

    /// `model`: as it is before the record.
    pub fn note_record(&self, model: &ReadModel, record: &Record) {
        match record {
            Record::Task(id, status) => self.note_status(model, *id, status),
            Record::Job(job) if job.ended.is_some() => {
                let tasks = model.jobs.get(&job.id).into_iter();
                let mut tasks = tasks.flat_map(|job| job.tasks.range(TaskId(0)));
                let first = tasks.next().and_then(|(id, ())| model.tasks.get(&id));
                if let Some(trace) = first.and_then(sampled) {
                    self.put(Note::JobEnded { job: job.clone(), trace });
                }
            }
            _ => {}
        }
    }

    fn note_status(&self, model: &ReadModel, id: TaskId, new: &TaskStatus) {
        let Some(task) = model.tasks.get(&id) else { return };
        let Some(trace) = sampled(task) else { return };
        let old = &task.status;
        let job = task.added.job;
        let is_single = model.jobs.get(&job).is_none_or(|job| job.record.name == DEFAULT);
        let job = Some(job).filter(|_| !is_single);
        let subject = || Subject { id, job, spec: task.added.spec.clone(), trace };
        let Some(attempt) = new.attempts.last() else {
            self.note_task_end(subject, task, new);
            return;
        };
        let of_attempt = || OfAttempt {
            task: subject(),
            attempt: attempt.clone(),
            ready_since: new.ready_since,
            before: new.attempts.iter().rev().nth(1).cloned(),
        };
        let known = old.attempts.last().filter(|it| it.number == attempt.number);
        if known.is_none() {
            self.put(Note::Placed(of_attempt()));
        }
        if attempt.ended.is_some() && known.is_none_or(|it| it.ended.is_none()) {
            self.put(Note::AttemptEnded(of_attempt()));
        }
        self.note_task_end(subject, task, new);
    }

    fn note_task_end(&self, subject: impl Fn() -> Subject, task: &Task, new: &TaskStatus) {
        if let Some(ended) = new.ended
            && task.status.ended.is_none()
        {
            self.put(Note::TaskEnded(OfTask {
                task: subject(),
                submitted: task.added.submitted,
                ended,
                state: new.state,
                end_reason: new.end_reason.clone(),
                n_attempts: new.next_attempt.saturating_sub(1),
            }));
        }
    }

    fn put(&self, note: Note) {
        if self.notes.try_send(note).is_err() {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Hands over what is left, for a short while.
    pub async fn stop(&self) {
        let (done, is_done) = oneshot::channel();
        let stopping = async {
            if self.notes.send(Note::Stop(done)).await.is_ok() {
                // It ends by itself if the other side is gone.
                let _ = is_done.await;
            }
        };
        // What the receiver has not taken by then is lost.
        let _ = tokio::time::timeout(STOP_PATIENCE, stopping).await;
    }
}

fn sampled(task: &Task) -> Option<TraceContext> {
    task.added.spec.trace.as_deref().filter(|trace| trace.is_sampled).copied()
}

impl Notes {
    /// Makes spans of them until told to stop.
    pub async fn run(self, sources: Sources) {
        let Notes(mut notes, processor) = self;
        let mut batch = Vec::new();
        loop {
            let n_taken = notes.recv_many(&mut batch, BATCH).await;
            let mut placements = sources.placements(&batch).await.into_iter();
            let mut stop = None;
            for note in batch.drain(..) {
                match note {
                    Note::Stop(done) => stop = Some(done),
                    Note::Placed(placed) => {
                        let found = placements.next().flatten();
                        processor.on_end(sources.decision(placed, found).await);
                    }
                    other => processor.on_end(sources.span(other)),
                }
            }
            if stop.is_some() || n_taken == 0 {
                // Waits for the receiver, as long as the library does.
                let _ = tokio::task::spawn_blocking(move || processor.shutdown()).await;
                drop(stop);
                return;
            }
        }
    }
}

impl Sources {
    /// What the policies were shown, of each placement among them.
    async fn placements(&self, batch: &[Note]) -> Vec<Option<Placed>> {
        let asked = batch.iter().filter_map(|note| match note {
            Note::Placed(placed) => Some((placed.task.id, placed.attempt.number)),
            _ => None,
        });
        let asked: Vec<(TaskId, u32)> = asked.collect();
        if asked.is_empty() {
            return Vec::new();
        }
        let found = self.driver.query(move |scheduler, _, _| {
            asked.into_iter().map(|(task, attempt)| scheduler.placement(task, attempt)).collect()
        });
        found.await.unwrap_or_default()
    }

    async fn decision(&self, placed: OfAttempt, found: Option<Placed>) -> SpanData {
        let terms = match &found {
            Some(found) => self.policies.terms_of_placement(found).await,
            None => Terms::default(),
        };
        span::decision(&placed, &terms, &self.model.read())
    }

    fn span(&self, note: Note) -> SpanData {
        let model = self.model.read();
        match note {
            Note::Submitted(submitted) => span::submit(&submitted),
            Note::AttemptEnded(ended) => span::attempt(&ended, &model),
            Note::TaskEnded(ended) => span::task(&ended),
            Note::JobEnded { job, trace } => span::job(&job, &trace),
            Note::Placed(_) | Note::Stop(_) => unreachable!("they are taken before"),
        }
    }
}
