//! What was measured is found again: whole, in order, across restarts, within its bounds, and without ever
//! keeping those who measure waiting.

use pointsman_scheduler::event::{Feedback, Measurements};
use pointsman_scheduler::{TaskId, WorkerId};
use pointsman_store::History;
use pointsman_store::history::{
    Bounds, Column, Counts, Cursor, Fed, IN_MEMORY_MAX, Measured, Selection, WAITING_MAX,
};
use proptest::prelude::*;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const PATIENCE: Duration = Duration::from_secs(60);
const HOUR_MS: u64 = 3_600_000;

pub fn site() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.sqlite");
    (folder, path)
}

pub fn open(path: &Path) -> History {
    History::open(path, Bounds::default()).unwrap()
}

pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

pub fn measured(at_ms: u64, worker: u32, cpu_used: f64) -> Measured {
    let measurements = Measurements { cpu_used: Some(cpu_used), ..Measurements::default() };
    let worker_name = format!("name-{worker}");
    Measured { at_ms, worker: WorkerId(worker), worker_name, measurements }
}

fn fed(at_ms: u64, task: u64, worker: Option<u32>) -> Fed {
    Fed {
        at_ms,
        task: TaskId(task),
        task_name: format!("task-{task}"),
        attempt: 2,
        worker: worker.map(|worker| (WorkerId(worker), format!("name-{worker}"))),
        feedback: Feedback {
            phase: Some("loading, \"again\"".to_owned()),
            progress: Some(0.25),
            duration_ms: 1_234,
            cpu_usage: None,
            memory_mb: Some(17.5),
        },
    }
}

/// Appends, and waits until it is written.
pub fn write(history: &History, measured: Vec<Measured>, fed: Vec<Fed>) {
    history.append(measured, fed);
    assert!(history.flush(PATIENCE));
}

/// Two flushes: after the first one a piece is tidied before the second is done.
fn tidy(history: &History) {
    assert!(history.flush(PATIENCE) && history.flush(PATIENCE));
}

/// Time, worker, and CPU in use, of all.
pub fn all(history: &History) -> Vec<(u64, String, f64)> {
    let selection = Selection { limit: usize::MAX, ..Selection::default() };
    let rows = history.measurements(&selection).unwrap().rows;
    let shown = |it: pointsman_store::history::MeasuredRow| {
        (it.at_ms, it.worker_name, it.measurements.cpu_used.unwrap())
    };
    rows.into_iter().map(shown).collect()
}

#[test]
fn a_restart_keeps_every_row_as_it_was() {
    let (_folder, path) = site();
    let at = now_ms();
    let whole = Measured {
        measurements: Measurements {
            cpu_used: Some(0.1 + 0.2),
            memory_used: Some(1.0),
            iops_used: None,
            rtt_ms: Some(0.0),
            connections: Some(u32::MAX),
        },
        ..measured(at, 7, 0.0)
    };
    let feedback = [fed(at, u64::MAX / 2, Some(7)), fed(at, 5, None)];
    let history = open(&path);
    // Not flushed: ending writes what waits.
    history.append(vec![whole.clone()], feedback.to_vec());
    drop(history);
    let history = open(&path);
    let rows = history.measurements(&Selection::default()).unwrap();
    assert_eq!((rows.rows.len(), rows.next), (1, None));
    assert_eq!(rows.rows[0].measurements, whole.measurements);
    assert_eq!((rows.rows[0].at_ms, rows.rows[0].worker), (at, Some(WorkerId(7))));
    let rows = history.feedback(&Selection::default(), None).unwrap().rows;
    assert_eq!(rows.len(), 2);
    for (row, fed) in rows.iter().zip(&feedback) {
        assert_eq!((row.task, &row.task_name, row.attempt), (fed.task, &fed.task_name, 2));
        assert_eq!(row.feedback, fed.feedback);
        assert_eq!(row.worker_name, fed.worker.as_ref().map(|(_, name)| name.clone()));
    }
    assert!(history.flush(PATIENCE));
    let counts = Counts { measurements: 1, feedback: 2, ..Counts::default() };
    assert_eq!(history.counts(), counts);
}

#[test]
fn rows_come_by_time_then_worker_and_only_those_asked_for() {
    let history = History::in_memory(Bounds::default()).unwrap();
    let at = now_ms() - HOUR_MS;
    let rows = [(at + 2, 1), (at, 3), (at, 1), (at + 1, 2), (at + 2, 3)];
    write(&history, rows.map(|(at, worker)| measured(at, worker, 0.5)).to_vec(), vec![]);
    let check = |selection: Selection, expect: &[(u64, u32)]| {
        let page = history.measurements(&selection).unwrap();
        let found = page.rows.iter().map(|it| (it.at_ms - at, it.worker.unwrap().0));
        assert_eq!(found.collect::<Vec<_>>(), expect, "{selection:?}");
        assert_eq!(page.next, None);
    };
    let all = Selection::default;
    check(all(), &[(0, 1), (0, 3), (1, 2), (2, 1), (2, 3)]);
    check(Selection { from_ms: at + 1, to_ms: at + 2, ..all() }, &[(1, 2)]);
    check(Selection { from_ms: at + 1, ..all() }, &[(1, 2), (2, 1), (2, 3)]);
    let of = |name: &str| Some(name.to_owned());
    check(Selection { worker: of("name-3"), ..all() }, &[(0, 3), (2, 3)]);
    check(Selection { worker: of("name-3"), to_ms: at + 2, ..all() }, &[(0, 3)]);
    check(Selection { worker: of("nobody"), ..all() }, &[]);
    check(Selection { from_ms: u64::MAX, ..all() }, &[]);
}

#[test]
fn feedback_is_found_by_task_and_by_worker() {
    let history = History::in_memory(Bounds::default()).unwrap();
    let at = now_ms();
    let rows = vec![fed(at, 1, Some(1)), fed(at + 1, 2, Some(1)), fed(at + 2, 1, Some(2))];
    write(&history, vec![], rows);
    let check = |task: Option<u64>, worker: Option<&str>, expect: &[u64]| {
        let selection = Selection { worker: worker.map(str::to_owned), ..Selection::default() };
        let page = history.feedback(&selection, task.map(TaskId)).unwrap();
        let found: Vec<u64> = page.rows.iter().map(|it| it.at_ms - at).collect();
        assert_eq!(found, expect, "{task:?} {worker:?}");
    };
    check(None, None, &[0, 1, 2]);
    check(Some(1), None, &[0, 2]);
    check(None, Some("name-1"), &[0, 1]);
    check(Some(1), Some("name-2"), &[2]);
    check(Some(3), None, &[]);
}

#[test]
fn a_name_goes_on_with_the_worker_that_took_it() {
    let history = History::in_memory(Bounds::default()).unwrap();
    let at = now_ms();
    write(&history, vec![measured(at, 1, 0.2)], vec![]);
    // Forgotten, and registered again as another; then its old id is given to another name.
    let again = Measured { worker_name: "name-1".to_owned(), ..measured(at + 1, 9, 0.4) };
    write(&history, vec![again], vec![]);
    let means = history.means(Column::CpuUsed, at - 1, at + 1).unwrap();
    assert_eq!(means.len(), 1);
    assert_eq!(means[0].0, WorkerId(9));
    assert!((means[0].1 - 0.3).abs() < 1e-9);
    let other = Measured { worker_name: "other".to_owned(), ..measured(at + 2, 9, 0.8) };
    write(&history, vec![other], vec![]);
    assert_eq!(history.means(Column::CpuUsed, 0, u64::MAX).unwrap(), [(WorkerId(9), 0.8)]);
    let workers: Vec<_> =
        history.recent(at, 10).unwrap().into_iter().map(|it| (it.worker_name, it.worker)).collect();
    let named = |name: &str, id: Option<u32>| (name.to_owned(), id.map(WorkerId));
    assert_eq!(workers, [named("name-1", None), named("name-1", None), named("other", Some(9))]);
}

#[test]
fn means_leave_out_what_was_not_measured_and_the_beginning_of_the_span() {
    let history = History::in_memory(Bounds::default()).unwrap();
    let at = now_ms();
    let none = Measured { measurements: Measurements::default(), ..measured(at + 2, 1, 0.0) };
    let rows = vec![
        measured(at, 1, 0.9),
        measured(at + 1, 1, 0.2),
        none,
        measured(at + 3, 1, 0.4),
        measured(at + 3, 2, 0.6),
        measured(at + 4, 2, 0.9),
    ];
    write(&history, rows, vec![]);
    let means = history.means(Column::CpuUsed, at, at + 3).unwrap();
    let [(WorkerId(1), one), (WorkerId(2), two)] = means[..] else { panic!("{means:?}") };
    assert!((one - 0.3).abs() < 1e-9 && (two - 0.6).abs() < 1e-9, "{means:?}");
    assert_eq!(history.means(Column::RttMs, at, at + 3).unwrap(), []);
}

#[test]
fn what_is_recent_is_the_newest_oldest_first() {
    let history = History::in_memory(Bounds::default()).unwrap();
    let at = now_ms();
    write(&history, (0..5).map(|n| measured(at + n, 1, 0.5)).collect(), vec![]);
    let times = |since: u64, limit: usize| -> Vec<u64> {
        history.recent(since, limit).unwrap().iter().map(|it| it.at_ms - at).collect()
    };
    assert_eq!(times(at + 1, 10), [1, 2, 3, 4]);
    assert_eq!(times(at + 1, 2), [3, 4]);
}

#[test]
fn more_rows_than_the_bound_push_out_the_oldest() {
    let (_folder, path) = site();
    let history = History::open(&path, Bounds { rows: 10, ..Bounds::default() }).unwrap();
    let at = now_ms() - HOUR_MS;
    let rows = (0..25).map(|n| measured(at + n, 1 + (n / 20) as u32, 0.5)).collect();
    write(&history, rows, (0..12).map(|n| fed(at + n, n, None)).collect());
    tidy(&history);
    let times: Vec<u64> = all(&history).iter().map(|(at_ms, ..)| at_ms - at).collect();
    assert_eq!(times, (15..25).collect::<Vec<u64>>());
    let counts = history.counts();
    assert_eq!((counts.measurements, counts.feedback), (10, 10));
    // A smaller bound takes effect while it runs, and the count is right after a restart.
    history.set_bounds(Bounds { rows: 3, ..Bounds::default() });
    tidy(&history);
    drop(history);
    let history = open(&path);
    tidy(&history);
    assert_eq!((history.counts().measurements, all(&history).len()), (3, 3));
    // Of the first name no row is left.
    let first = Selection { worker: Some("name-1".to_owned()), ..Selection::default() };
    assert_eq!(history.measurements(&first).unwrap().rows, []);
}

#[test]
fn what_is_too_old_is_forgotten_though_nothing_new_comes() {
    let history = History::in_memory(Bounds::default()).unwrap();
    let now = now_ms();
    let rows = vec![measured(now - 2 * HOUR_MS, 1, 0.1), measured(now, 1, 0.2)];
    write(&history, rows, vec![fed(now - 2 * HOUR_MS, 1, Some(1))]);
    tidy(&history);
    assert_eq!(history.counts().measurements, 2);
    history.set_bounds(Bounds { keep: Duration::from_secs(3600), ..Bounds::default() });
    tidy(&history);
    assert_eq!(all(&history), [(now, "name-1".to_owned(), 0.2)]);
    assert_eq!(history.counts().feedback, 0);
}

#[test]
fn the_file_does_not_grow_while_the_bound_is_reached() {
    let (_folder, path) = site();
    let history = History::open(&path, Bounds { rows: 5_000, ..Bounds::default() }).unwrap();
    let at = now_ms() - HOUR_MS;
    let mut sizes = Vec::new();
    for round in 0..20 {
        let rows = (0..5_000).map(|n| measured(at + round * 5_000 + n, 1, 0.5)).collect();
        write(&history, rows, vec![]);
        tidy(&history);
        assert_eq!(history.counts().measurements, 5_000);
        sizes.push(std::fs::metadata(&path).unwrap().len());
    }
    // 100,000 rows went through: twenty times what is there.
    assert!(sizes[19] <= sizes[4] * 3 / 2 + (1 << 20), "{sizes:?}");
    let least = 5_000 * 16;
    assert!(sizes[19] > least, "nothing reached the file: {sizes:?}");
}

#[test]
fn memory_is_bounded_whatever_is_asked_for() {
    let history = History::in_memory(Bounds { rows: u64::MAX, ..Bounds::default() }).unwrap();
    let at = now_ms() - HOUR_MS;
    let n_rounds = IN_MEMORY_MAX / WAITING_MAX as u64 + 1;
    for round in 0..n_rounds {
        let rows = (0..WAITING_MAX as u64).map(|n| measured(at + round, n as u32 % 10, 0.5));
        write(&history, rows.collect(), vec![]);
    }
    tidy(&history);
    assert_eq!(history.counts(), Counts { measurements: IN_MEMORY_MAX, ..Counts::default() });
}

#[test]
fn what_finds_no_room_is_dropped_while_the_disk_keeps_the_writer_waiting() {
    let (_folder, path) = site();
    let history = open(&path);
    write(&history, vec![measured(now_ms(), 1, 0.5)], vec![]);
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let at = now_ms();
    let rows = (0..WAITING_MAX as u64 + 10).map(|n| measured(at + n, 1, 0.5)).collect();
    history.append(rows, vec![]);
    // Nothing can be written now, and still this is reached.
    assert_eq!(history.counts().dropped_measurements, 10);
    assert!(!history.flush(Duration::ZERO));
    // What cannot be written in the end is counted too, and then it goes on.
    assert!(history.flush(PATIENCE));
    assert_eq!(history.counts().dropped_measurements, WAITING_MAX as u64 + 10);
    other.execute_batch("ROLLBACK").unwrap();
    write(&history, vec![measured(at, 2, 0.25)], vec![]);
    assert_eq!(all(&history).len(), 2);
}

#[test]
fn a_closed_history_is_read_and_drops_what_comes() {
    let (_folder, path) = site();
    let history = open(&path);
    history.append(vec![measured(now_ms(), 1, 0.5)], vec![]);
    history.close();
    let log = format!("{}-wal", path.display());
    assert_eq!(std::fs::metadata(log).map_or(0, |it| it.len()), 0, "all is in the file itself");
    history.append(vec![measured(now_ms(), 1, 0.5)], vec![fed(1, 1, None)]);
    assert!(!history.flush(Duration::ZERO));
    assert_eq!(all(&history).len(), 1);
    let counts = history.counts();
    assert_eq!((counts.dropped_measurements, counts.dropped_feedback), (1, 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Pages are read while rows come, several in the same millisecond.
    #[test]
    fn a_cursor_gives_each_row_once_also_those_that_come_meanwhile(
        rounds in prop::collection::vec(prop::collection::vec((0..3u64, 0..4u32), 0..6), 1..8),
        limit in 1..5usize,
    ) {
        let history = History::in_memory(Bounds::default()).unwrap();
        let mut at = now_ms() - HOUR_MS;
        let mut number = 0.0;
        let mut after: Option<Cursor> = None;
        let mut read = Vec::new();
        let mut read_page = |after: &mut Option<Cursor>| {
            let selection = Selection { after: *after, limit, ..Selection::default() };
            let page = history.measurements(&selection).unwrap();
            assert!(page.rows.len() <= limit);
            assert!(page.next.is_none() || page.rows.len() == limit);
            read.extend(page.rows.iter().map(|it| it.measurements.cpu_used.unwrap()));
            *after = page.next.or(*after);
            page.next.is_some()
        };
        for round in &rounds {
            let mut rows = Vec::new();
            for (later, worker) in round {
                at += later;
                number += 1.0;
                rows.push(measured(at, *worker, number));
            }
            write(&history, rows, vec![]);
            // Only while there is more: the last page has no cursor to go on from.
            if history.counts().measurements > limit as u64 && after.is_none() {
                read_page(&mut after);
            }
        }
        while read_page(&mut after) {}
        read.sort_by(f64::total_cmp);
        let expected: Vec<f64> = (1..=number as u64).map(|n| n as f64).collect();
        prop_assert_eq!(read, expected);
    }
}
