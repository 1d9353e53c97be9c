//! A record that cannot be read is set aside: told with its key, and what it stood for gets a state
//! that nothing was made up for.

use crate::site::{change, check_recovers, filled, load};
use pointsman_scheduler::record::*;
use pointsman_scheduler::*;
use pointsman_store::{SetAside, SqliteStore, Store, StoreError};
use std::path::Path;

/// The body with one bit that is another.
fn flip(path: &Path, table: &str, key: &str) {
    let is_text = matches!(table, "idempotency_key");
    let column = if is_text { "key" } else { "id" };
    let connection = rusqlite::Connection::open(path).unwrap();
    let select = format!("SELECT body FROM {table} WHERE {column} = {key}");
    let mut body: Vec<u8> = connection.query_row(&select, [], |row| row.get(0)).unwrap();
    *body.last_mut().unwrap() ^= 0x40;
    connection
        .execute(&format!("UPDATE {table} SET body = ? WHERE {column} = {key}"), [body])
        .unwrap();
}

fn task(snapshot: &Snapshot, id: u64) -> &(TaskAdded, TaskStatus) {
    snapshot.tasks.iter().find(|(added, _)| added.id == TaskId(id)).expect("it is there")
}

fn state(snapshot: &Snapshot, id: u64) -> TaskState {
    task(snapshot, id).1.state
}

/// Loads; one record is told of. Another start tells the same, and changes nothing.
fn load_with_one_aside(path: &Path) -> (Snapshot, SetAside) {
    let (snapshot, set_aside) = load(path);
    let [only] = &set_aside[..] else { panic!("{set_aside:?}") };
    assert_eq!(load(path), (snapshot.clone(), set_aside.clone()));
    check_recovers(snapshot.clone());
    (snapshot, only.clone())
}

#[test]
fn a_task_whose_script_is_lost_fails_and_what_waits_for_it_is_skipped() {
    let (_folder, path) = filled();
    // The sixth of ten: it waits.
    flip(&path, "task", "16");
    let (snapshot, told) = load_with_one_aside(&path);
    assert_eq!((told.kind.as_str(), told.key.as_str()), ("task", "16"));
    assert_eq!(told.problem, "its checksum is wrong");
    assert!(told.outcome.contains("FAILED") && told.outcome.contains("4 waiting"), "{told:?}");
    assert_eq!(snapshot.tasks.len(), 2_000);
    assert_eq!(task(&snapshot, 16).0.job, JobId(2));
    let status = &task(&snapshot, 16).1;
    let Some(EndReason::Failed { failure: Failure::StartFailed(why), .. }) =
        status.end_reason.as_deref()
    else {
        panic!("{status:?}")
    };
    assert!(why.contains("damaged"), "{why}");
    assert_eq!(state(&snapshot, 16), TaskState::Failed);
    for id in 17..=20 {
        assert_eq!(state(&snapshot, id), TaskState::Skipped, "{id}");
    }
    // What runs before it runs on, and nothing else is touched.
    assert_eq!(state(&snapshot, 15), TaskState::Running);
    assert_eq!(state(&snapshot, 26), TaskState::Pending);
    assert_eq!(snapshot.jobs[1].state, JobState::Running);
}

#[test]
fn a_running_task_whose_script_is_lost_ends_and_so_does_its_attempt() {
    let (_folder, path) = filled();
    flip(&path, "task", "15");
    let (snapshot, _) = load_with_one_aside(&path);
    let status = &task(&snapshot, 15).1;
    assert_eq!(status.state, TaskState::Failed);
    assert!(status.attempts[0].ended.is_some() && status.next_attempt == 2, "{status:?}");
    // All of the job's tasks have ended now, and so has the job.
    assert_eq!(snapshot.jobs[1].state, JobState::Failed);
    assert!(snapshot.jobs[1].ended.is_some());
}

#[test]
fn a_task_that_ended_well_stays_so_without_its_script() {
    let (_folder, path) = filled();
    flip(&path, "task", "12");
    let (snapshot, told) = load_with_one_aside(&path);
    assert!(told.outcome.contains("Succeeded"), "{told:?}");
    assert_eq!(state(&snapshot, 12), TaskState::Succeeded);
    assert_eq!(state(&snapshot, 16), TaskState::Pending);
}

#[test]
fn a_lost_state_is_taken_from_what_came_after_or_is_failed() {
    for (id, expected) in [
        // The job has succeeded.
        (10, TaskState::Succeeded),
        // The next one has run.
        (13, TaskState::Succeeded),
        // It ran; how far is not known.
        (15, TaskState::Failed),
        // It waited for another, or ran since: not known either.
        (16, TaskState::Failed),
    ] {
        let (_folder, path) = filled();
        flip(&path, "task_status", &id.to_string());
        let (snapshot, told) = load_with_one_aside(&path);
        assert_eq!(told.kind, "task_status");
        assert_eq!(state(&snapshot, id), expected, "{id}: {told:?}");
        if expected == TaskState::Failed {
            assert_eq!(state(&snapshot, id + 1), TaskState::Skipped);
        }
    }
}

#[test]
fn the_first_and_last_tasks_of_jobs_find_their_jobs() {
    for id in [1, 10, 11, 20, 1_991, 2_000] {
        let (_folder, path) = filled();
        flip(&path, "task", &id.to_string());
        let (snapshot, _) = load_with_one_aside(&path);
        assert_eq!(task(&snapshot, id).0.job, JobId((id - 1) / 10 + 1), "{id}");
    }
}

#[test]
fn a_job_is_put_together_from_its_tasks() {
    let (_folder, path) = filled();
    flip(&path, "job", "1");
    flip(&path, "job", "2");
    let (snapshot, set_aside) = load(&path);
    assert_eq!(set_aside.len(), 2);
    check_recovers(snapshot.clone());
    let [first, second, ..] = &snapshot.jobs[..] else { panic!("two jobs") };
    assert_eq!((first.state, first.n_tasks), (JobState::Succeeded, 10));
    assert_eq!((second.state, second.n_tasks), (JobState::Running, 10));
    assert_eq!((second.name.as_str(), second.submitted), ("damaged-j2", Time(2_000)));
}

#[test]
fn a_queue_is_paused_and_a_worker_comes_anew() {
    let (_folder, path) = filled();
    change(&path, "UPDATE queue SET sum = 1 WHERE name = 'default'");
    let (snapshot, told) = load_with_one_aside(&path);
    assert_eq!((told.kind.as_str(), told.key.as_str()), ("queue", "\"default\""));
    assert!(snapshot.queues.iter().all(|queue| queue.paused), "{:?}", snapshot.queues);
    let (_folder, path) = filled();
    flip(&path, "worker", "1");
    let (snapshot, _) = load_with_one_aside(&path);
    assert_eq!(snapshot.workers.len(), 1);
    assert_eq!(snapshot.last_worker, 2, "no id is given twice");
}

#[test]
fn a_row_under_the_key_of_another_is_noticed() {
    let (_folder, path) = filled();
    let swap = "UPDATE task SET body = (SELECT body FROM task WHERE id = 26) WHERE id = 16;
        UPDATE task_status SET body = (SELECT body FROM task_status WHERE id = 14) WHERE id = 15";
    change(&path, swap);
    let (snapshot, set_aside) = load(&path);
    assert_eq!(set_aside.len(), 2, "{set_aside:?}");
    assert_eq!([state(&snapshot, 15), state(&snapshot, 16)], [TaskState::Failed; 2]);
}

#[test]
fn what_was_set_aside_is_kept_as_it_was_found() {
    let (_folder, path) = filled();
    change(&path, "UPDATE task SET body = x'0102030405' WHERE id = 16");
    load(&path);
    let connection = rusqlite::Connection::open(&path).unwrap();
    let body: Vec<u8> =
        connection.query_row("SELECT body FROM set_aside", [], |row| row.get(0)).unwrap();
    assert_eq!(body, [1, 2, 3, 4, 5]);
}

#[test]
fn many_bad_rows_and_rows_that_vanish_are_refused() {
    for (sql, expected) in [
        ("UPDATE task SET body = x'01' WHERE id > 1000", "1000 rows cannot be read"),
        ("DELETE FROM task WHERE id = 5; UPDATE task SET body = x'01' WHERE id = 16", "j1 has 9"),
    ] {
        let (_folder, path) = filled();
        change(&path, sql);
        let content = std::fs::read(&path).unwrap();
        let error = SqliteStore::open(&path).unwrap().load().unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), content, "it was left as it is");
    }
}
