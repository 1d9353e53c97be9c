//! What the importers write is what submissions are read from.

use pointsman_protocol::submission::Submission;
use pointsman_scheduler::graph::Graph;
use pointsman_simulator::export::{scaled, to_job_json};
use pointsman_simulator::import::{alibaba, wfcommons};
use pointsman_simulator::workload::WorkJob;
use std::path::{Path, PathBuf};

/// A folder of recorded data beside the checkout; None, with a note, where there is none.
fn data(folder: &str) -> Option<PathBuf> {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    if !all.is_dir() {
        println!("skipped: no folder {}", all.display());
        return None;
    }
    Some(all.join(folder))
}

fn check(job: &WorkJob) {
    let text = to_job_json(&job.spec);
    let submission = Submission::from_json(text.as_bytes());
    let Submission::Job(read) = submission.unwrap_or_else(|it| panic!("{}: {it}", job.spec.name))
    else {
        panic!("{} is read as a job", job.spec.name);
    };
    assert_eq!(read.name, job.spec.name);
    assert_eq!(Graph::check(&read.tasks), Graph::check(&job.spec.tasks));
    for (read, written) in read.tasks.iter().zip(&job.spec.tasks) {
        assert_eq!((&read.name, &read.script), (&written.name, &written.script));
        assert_eq!((read.request, &read.labels), (written.request, &written.labels));
        let expected_ms = written.expected.unwrap().as_nanos().div_ceil(1_000_000);
        assert_eq!(read.expected.map_or(0, |it| it.as_millis()), expected_ms);
    }
}

#[test]
fn no_imported_workflow_is_refused_or_changed_when_it_is_submitted() {
    let Some(folder) = data("wfcommons") else { return };
    let mut n_checked = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.contains(".json") && !name.starts_with("wfcommons-schema") {
            let job = wfcommons::read(&path).unwrap();
            check(&job);
            check(&scaled(&job, "0.0123".parse().unwrap()));
            n_checked += 1;
        }
    }
    assert_eq!(n_checked, 16);
}

#[test]
fn no_imported_batch_job_is_refused_or_changed_when_it_is_submitted() {
    let Some(folder) = data("alibaba-v2018-dag") else { return };
    let jobs = alibaba::read(&folder.join("sample.csv")).unwrap();
    let (workload, _) = alibaba::to_workload("sample", &jobs).unwrap();
    workload.jobs.iter().for_each(check);
}
