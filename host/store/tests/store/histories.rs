//! Random histories: how they are cut into commits, and on which backend they land, changes nothing.

use crate::conformance::for_each_backend;
use crate::samples::*;
use pointsman_scheduler::record::*;
use pointsman_scheduler::*;
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::BTreeSet;

/// A step; what it names is chosen among what there is.
#[derive(Debug, Clone)]
enum Step {
    AddTask,
    Status(usize, usize),
    ForgetTask(usize),
    Job(u64, usize),
    ForgetJob(u64),
    Worker(u32, usize),
    ForgetWorker(u32),
    Queue(u8, bool),
    Key(u8),
    ForgetKey(u8),
    /// Ends a commit.
    Commit,
    /// Ends a commit, and the host.
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::AddTask),
        6 => (any::<usize>(), any::<usize>()).prop_map(|(task, status)| Step::Status(task, status)),
        1 => any::<usize>().prop_map(Step::ForgetTask),
        2 => (1..5u64, any::<usize>()).prop_map(|(id, state)| Step::Job(id, state)),
        1 => (1..5u64).prop_map(Step::ForgetJob),
        2 => (1..5u32, any::<usize>()).prop_map(|(id, state)| Step::Worker(id, state)),
        1 => (1..5u32).prop_map(Step::ForgetWorker),
        1 => (0..3u8, any::<bool>()).prop_map(|(name, paused)| Step::Queue(name, paused)),
        1 => (0..3u8).prop_map(Step::Key),
        1 => (0..3u8).prop_map(Step::ForgetKey),
        2 => Just(Step::Commit),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..40)
}

/// The records of a history; an error where a commit ends, true if the host does too.
fn records(steps: &[Step]) -> Vec<Result<Record, bool>> {
    let (statuses, jobs, workers) = (statuses(), jobs(), workers());
    let mut live: BTreeSet<TaskId> = BTreeSet::new();
    let mut last_task = 0;
    let choose = |live: &BTreeSet<TaskId>, index: usize| {
        (!live.is_empty()).then(|| *live.iter().nth(index % live.len()).expect("it is in range"))
    };
    let record = |step: &Step| match step {
        Step::AddTask => {
            last_task += 1;
            live.insert(TaskId(last_task));
            Some(Ok(Record::TaskAdded(added(last_task))))
        }
        Step::Status(task, status) => choose(&live, *task)
            .map(|id| Ok(Record::Task(id, statuses[status % statuses.len()].clone()))),
        Step::ForgetTask(task) => choose(&live, *task).map(|id| {
            live.remove(&id);
            Ok(Record::TaskForgotten(id))
        }),
        Step::Job(id, state) => Some(Ok(Record::Job(job(*id, jobs[state % jobs.len()].state)))),
        Step::ForgetJob(id) => Some(Ok(Record::JobForgotten(JobId(*id)))),
        Step::Worker(id, state) => {
            Some(Ok(Record::Worker(worker(*id, workers[state % workers.len()].state))))
        }
        Step::ForgetWorker(id) => Some(Ok(Record::WorkerForgotten(WorkerId(*id)))),
        Step::Queue(name, paused) => {
            Some(Ok(Record::Queue(QueueRecord { name: name.to_string(), paused: *paused })))
        }
        Step::Key(name) => Some(Ok(Record::Key(key(&name.to_string(), None)))),
        Step::ForgetKey(name) => Some(Ok(Record::KeyForgotten(name.to_string()))),
        Step::Commit => Some(Err(false)),
        Step::Restart => Some(Err(true)),
    };
    steps.iter().filter_map(record).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, ..ProptestConfig::default() })]

    #[test]
    fn backends_and_cuts_never_disagree(steps in steps()) {
        let history = records(&steps);
        let snapshots = RefCell::new(Vec::new());
        for_each_backend(|open| {
            let mut store = open();
            let mut term = store.begin_term().unwrap();
            let mut waiting = Vec::new();
            for record in history.iter().cloned().chain([Err(true)]) {
                match record {
                    Ok(record) => waiting.push(record),
                    Err(is_restart) => {
                        commit(store.as_mut(), term, &waiting).unwrap();
                        waiting.clear();
                        if is_restart {
                            drop(store);
                            store = open();
                            term = store.begin_term().unwrap();
                        }
                    }
                }
            }
            snapshots.borrow_mut().push(store.load().unwrap());
        });
        for_each_backend(|open| {
            let mut store = open();
            let term = store.begin_term().unwrap();
            let all: Vec<Record> = history.iter().filter_map(|it| it.clone().ok()).collect();
            commit(store.as_mut(), term, &all).unwrap();
            drop(store);
            snapshots.borrow_mut().push(open().load().unwrap());
        });
        let snapshots = snapshots.into_inner();
        for snapshot in &snapshots[1..] {
            prop_assert_eq!(snapshot, &snapshots[0]);
        }
    }
}
