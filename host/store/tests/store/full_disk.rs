//! A disk that is full for a while: nothing is acknowledged meanwhile, and afterwards it goes on
//! without a restart or a repair. A limit on the size of files stands for the disk: a write then
//! stops half-way through a page, as on a full disk.

use crate::samples::added;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigHandler, Signal, signal};
use pointsman_scheduler::Record;
use pointsman_store::{Batch, SqliteStore, Store, StoreWriter};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// Tells the child, which is this test again, what to write: the limit is that of a whole process.
const PATH: &str = "POINTSMAN_STORE_ON_FULL_DISK";
const DISK: u64 = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn a_full_disk_loses_nothing_and_needs_no_repair() {
    if let Some(path) = std::env::var_os(PATH) {
        return fill_and_free(Path::new(&path));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite");
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "full_disk::a_full_disk_loses_nothing_and_needs_no_repair"])
        .arg("--nocapture")
        .env(PATH, &path)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
    let stored = SqliteStore::open(&path).unwrap().load().unwrap();
    assert!(!stored.tasks.is_empty(), "the child wrote nothing");
    assert!(stored.tasks.iter().map(|(task, _)| task.id.0).eq(1..=stored.last_task));
}

fn fill_and_free(path: &Path) {
    let (_, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
    // SAFETY: no handler is installed; the signal is ignored, and the write returns an error.
    unsafe { signal(Signal::SIGXFSZ, SigHandler::SigIgn) }.unwrap();
    let mut store = SqliteStore::open(path).unwrap();
    let term = store.begin_term().unwrap();
    setrlimit(Resource::RLIMIT_FSIZE, DISK, hard).unwrap();
    let (sender, receiver) = channel();
    let writer = StoreWriter::spawn(Box::new(store), term, move |batches: Vec<Batch<u64>>| {
        for batch in batches {
            sender.send(batch.payload).unwrap();
        }
    })
    .unwrap();
    let health = writer.health();
    let until = Instant::now() + PATIENCE;
    let mut n_batches = 0;
    while !health.is_failing() {
        assert!(Instant::now() < until, "the disk never gets full");
        let records = (1..=100).map(|id| Record::TaskAdded(added(n_batches * 100 + id))).collect();
        n_batches += 1;
        if writer.try_submit(Batch { records, payload: n_batches }).is_some() {
            n_batches -= 1;
            std::thread::yield_now();
        }
    }
    let n_before = receiver.try_iter().count() as u64;
    assert!(n_before < n_batches, "not all can have been acknowledged");
    setrlimit(Resource::RLIMIT_FSIZE, hard, hard).unwrap();
    for number in n_before + 1..=n_batches {
        assert_eq!(receiver.recv_timeout(PATIENCE), Ok(number), "in order");
    }
    assert!(!health.is_failing());
}
