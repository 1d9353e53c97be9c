//! The read model and the event log by themselves, where no host makes enough of anything.

use pointsman_protocol::events::EventBody;
use pointsman_scheduler::record::{JobRecord, JobState, TaskAdded, TaskState, TaskStatus};
use pointsman_scheduler::spec::TaskSpec;
use pointsman_scheduler::{JobId, Record, TaskId, Term, Time};
use pointsman_server::events::{EventLog, KEPT, LoggedEvent};
use pointsman_server::read_model::{ReadModel, TaskFilter};
use std::sync::Arc;

fn model(n_tasks: u64) -> ReadModel {
    let mut model = ReadModel::default();
    model.apply(&Record::Job(JobRecord {
        id: JobId(1),
        name: "j".to_owned(),
        submitted: Time(1),
        n_tasks: n_tasks as u32,
        state: JobState::Running,
        ended: None,
    }));
    for id in 1..=n_tasks {
        model.apply(&Record::TaskAdded(TaskAdded {
            id: TaskId(id),
            job: JobId(1),
            submitted: Time(1),
            spec: Arc::new(TaskSpec::new(format!("task-{id}"), "true")),
            dependencies: Vec::new(),
        }));
    }
    model
}

fn status(state: TaskState) -> TaskStatus {
    TaskStatus { state, next_attempt: 1, ..TaskStatus::default() }
}

#[test]
fn a_filter_that_few_pass_holds_nobody_up_and_misses_nothing() {
    let model = model(120_000);
    let filter = TaskFilter { text: Some("task-119999".to_owned()), ..TaskFilter::default() };
    let (mut found, mut n_pages, mut after) = (Vec::new(), 0, None);
    loop {
        let page = model.page(&filter, after, 10);
        found.extend(page.tasks.iter().map(|task| task.added.id));
        n_pages += 1;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, [TaskId(119_999)]);
    assert_eq!(n_pages, 3, "looked at everything at once, or not at all");
}

#[test]
fn counts_follow_every_change_and_forgetting() {
    let mut model = model(3);
    model.apply(&Record::Task(TaskId(1), status(TaskState::Failed)));
    model.apply(&Record::Task(TaskId(2), status(TaskState::Cancelled)));
    model.apply(&Record::Task(TaskId(2), status(TaskState::Cancelled)));
    let counts = model.counts();
    assert_eq!((counts.pending, counts.failed, counts.cancelled), (1, 1, 1));
    assert_eq!(model.jobs[&JobId(1)].counts, counts);
    assert_eq!(model.queue_view("default").unwrap().pending, 1);
    model.apply(&Record::TaskForgotten(TaskId(1)));
    model.apply(&Record::TaskForgotten(TaskId(1)));
    assert_eq!(model.counts().failed, 0);
    assert_eq!(model.jobs[&JobId(1)].counts.failed, 0);
    assert!(model.page(&TaskFilter::default(), None, 10).tasks.iter().all(|it| it.added.id.0 > 1));
}

#[test]
fn events_read_together_show_each_task_once_and_the_rest_in_order() {
    let mut model = model(2);
    let log = EventLog::new(Term(3));
    let start = log.newest();
    for (task, state) in
        [(1, TaskState::Pending), (2, TaskState::Pending), (1, TaskState::Cancelled)]
    {
        let record = Record::Task(TaskId(task), status(state));
        model.apply(&record);
        log.append().push(Time(1), LoggedEvent::Record(record), &model);
    }
    let (events, reached) = log.read(&model, start, 10).unwrap();
    let shown: Vec<(u64, u64)> = events
        .iter()
        .map(|event| match &event.body {
            EventBody::Task { task } => (event.n - start, task.id.0),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(shown, [(2, 2), (3, 1)]);
    assert_eq!(reached, start + 3);
    // Read apart, none is left out.
    let (first, reached) = log.read(&model, start, 1).unwrap();
    assert_eq!((first.len(), reached), (1, start + 1));
}

#[test]
fn a_reader_that_fell_out_of_the_ring_is_told_so() {
    let model = ReadModel::default();
    let log = EventLog::new(Term(1));
    let start = log.newest();
    for _ in 0..=KEPT {
        let forgotten = LoggedEvent::Record(Record::TaskForgotten(TaskId(1)));
        log.append().push(Time(1), forgotten, &model);
    }
    assert!(log.read(&model, start, 1).is_err(), "an event is missing unseen");
    let (events, _) = log.read(&model, start + 1, 1).unwrap();
    assert_eq!(events[0].n, start + 2);
    assert!(log.read(&model, log.newest() + 1, 1).is_err());
    assert!(log.read(&model, 5, 1).is_err());
}
