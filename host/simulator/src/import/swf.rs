//! Logs of parallel machines in the Standard Workload Format of the Parallel Workloads Archive: one
//! line per job with 18 fields separated by blanks, −1 for what is unknown, comments after `;`.
//! Fields behind the 18th, which some logs have, are not looked at.
//!
//! A job becomes one task that takes its processors as cores of one worker. Jobs that never ran or
//! took no processors are left out and counted.
//!
//! Format: Chapin et al., Benchmarks and Standards for the Evaluation of Parallel Job Schedulers
//! (JSSPP 1999); <https://www.cs.huji.ac.il/labs/parallel/workload/swf.html>.

use crate::decimal::Decimal;
use crate::import::names::label_value;
use crate::import::{ReadError, read_text};
use crate::seconds::{BadNumber, Scale, format_exact, parse_seconds};
use crate::workload::{WorkJob, Workload};
use pointsman_scheduler::Time;
use pointsman_scheduler::resources::Request;
use pointsman_scheduler::spec::{JobSpec, TaskSpec};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Why a log is not imported. Lines count from 1.
#[derive(Debug, thiserror::Error)]
pub enum SwfError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("line {line} has {n_fields} fields; every job has at least {N_FIELDS}")]
    Fields { line: usize, n_fields: usize },
    #[error("line {line}: field {number}, {field}, is {value:?}, which {problem}")]
    Number { line: usize, number: usize, field: &'static str, value: String, problem: BadNumber },
    #[error("line {line}: field 2, the submit time, is {value:?}; a job needs one")]
    NoSubmit { line: usize, value: String },
}

/// Fields of a job as the format defines them.
pub const N_FIELDS: usize = 18;
const MILLI_PER_CORE: u64 = 1000;

/// One line. Times are nanoseconds; None: unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Counts from 1.
    pub line: usize,
    /// Field 1, as written.
    pub number: String,
    /// Field 2, since the start of the log.
    pub submit: u64,
    /// Field 3: what it waited on the real machine.
    pub waited: Option<u64>,
    /// Field 4.
    pub run_time: Option<u64>,
    /// Field 5, or where that is unknown or 0 what was asked for, field 8.
    pub processors: Option<u64>,
    /// Field 9: how long the user said that it runs at most.
    pub asked_time: Option<u64>,
    /// Field 12, as written.
    pub user: Option<String>,
}

/// What the scheduler is told beforehand about run times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Estimates {
    /// What the user asked for; where that is unknown, the real run time.
    #[default]
    Asked,
    /// The real run time.
    Exact,
}

/// Reads a log, plain or gzipped.
///
/// # Errors
/// If it cannot be read or a line is not a job.
pub fn read(path: &Path) -> Result<Vec<Record>, SwfError> {
    parse(&read_text(path)?)
}

/// # Errors
/// If a line is neither a comment nor a job.
pub fn parse(text: &str) -> Result<Vec<Record>, SwfError> {
    let lines = text.lines().enumerate().map(|(at, text)| (at + 1, text));
    let jobs = lines.filter_map(|(line, text)| {
        let text = text.split(';').next().unwrap_or_default().trim();
        (!text.is_empty()).then_some((line, text))
    });
    jobs.map(|(line, text)| parse_line(line, text)).collect()
}

/// Whether a text seems to be such a log.
pub(super) fn is_log(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let is_job = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().take(N_FIELDS).collect();
        fields.len() == N_FIELDS && fields[..11].iter().all(|it| it.parse::<f64>().is_ok())
    };
    lines.find(|line| !line.starts_with(';')).is_some_and(is_job)
}

fn parse_line(line: usize, text: &str) -> Result<Record, SwfError> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    if fields.len() < N_FIELDS {
        return Err(SwfError::Fields { line, n_fields: fields.len() });
    }
    let known = |number: usize| Some(fields[number - 1]).filter(|it| !it.starts_with('-'));
    let read = |number: usize, field, read: fn(&str) -> Result<u64, BadNumber>| {
        let Some(text) = known(number) else { return Ok(None) };
        read(text).map(Some).map_err(|problem| SwfError::Number {
            line,
            number,
            field,
            value: label_value(text),
            problem,
        })
    };
    let count = |text: &str| Decimal::parse(text)?.times(1, 0);
    let no_submit = || SwfError::NoSubmit { line, value: label_value(fields[1]) };
    let positive = |it: &u64| *it > 0;
    let used = read(5, "the processors used", count)?.filter(positive);
    let asked = read(8, "the processors asked for", count)?.filter(positive);
    Ok(Record {
        line,
        number: label_value(fields[0]),
        submit: read(2, "the submit time", parse_seconds)?.ok_or_else(no_submit)?,
        waited: read(3, "the wait time", parse_seconds)?,
        run_time: read(4, "the run time", parse_seconds)?.filter(positive),
        processors: used.or(asked),
        asked_time: read(9, "the time asked for", parse_seconds)?.filter(positive),
        user: known(12).map(label_value),
    })
}

impl Record {
    /// As it is submitted, with the processors as whole cores and no memory; None: it never ran, or
    /// took no processors.
    pub fn to_work(&self, estimates: Estimates) -> Option<WorkJob> {
        let (run_time, processors) = (self.run_time?, self.processors?);
        let expected = match estimates {
            Estimates::Asked => self.asked_time.unwrap_or(run_time),
            Estimates::Exact => run_time,
        };
        let name = format!("job-{}", self.number);
        let mut task = TaskSpec::new(&name, format!("sleep {}", format_exact(run_time)));
        let cpu_milli = processors.saturating_mul(MILLI_PER_CORE);
        task.request = Request { cpu_milli, memory: 0, gpu_milli: 0 };
        task.expected = Some(Duration::from_nanos(expected));
        if let Some(user) = &self.user {
            task.tenant = format!("user-{user}").into();
        }
        Some(WorkJob {
            spec: JobSpec { name, tasks: vec![Arc::new(task)] },
            arrives: Time(self.submit),
            run_times: vec![run_time],
        })
    }
}

/// The jobs that ran, in the order of the log, the first one arriving at 0 and the others after the
/// recorded time multiplied by `arrivals`; and how many are left out.
pub fn to_workload(
    name: &str,
    records: &[Record],
    estimates: Estimates,
    arrivals: Scale,
) -> (Workload, usize) {
    let mut jobs: Vec<WorkJob> =
        records.iter().filter_map(|record| record.to_work(estimates)).collect();
    let first = jobs.iter().map(|job| job.arrives.0).min().unwrap_or(0);
    for job in &mut jobs {
        job.arrives.0 = arrivals.apply(job.arrives.0 - first);
    }
    let n_left_out = records.len() - jobs.len();
    (Workload { name: name.to_owned(), jobs }, n_left_out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seconds::NANOS_PER_SECOND;

    const JOB: &str = "7 100 5 60.5 4 -1 -1 8 120 -1 1 3 1 -1 -1 1 -1 -1";

    #[test]
    fn fields_are_those_of_the_format() {
        let text = format!("; Version: 2.2\n\n{JOB} {{9,9}} queue\n");
        let records = parse(&text).unwrap();
        let [record] = &records[..] else { panic!("one job") };
        assert_eq!((record.line, record.number.as_str(), record.submit), (3, "7", 100_000_000_000));
        let work = record.to_work(Estimates::Asked).unwrap();
        let task = &work.spec.tasks[0];
        assert_eq!((task.name.as_str(), &*task.tenant), ("job-7", "user-3"));
        assert_eq!((task.request.cpu_milli, task.request.memory), (4000, 0));
        assert_eq!(task.expected, Some(Duration::from_secs(120)));
        assert_eq!(work.run_times, [60_500_000_000]);
        let exact = record.to_work(Estimates::Exact).unwrap();
        assert_eq!(exact.spec.tasks[0].expected, Some(Duration::from_millis(60_500)));
    }

    #[test]
    fn what_is_unknown_is_never_taken_for_a_number() {
        let work = |job: &str| parse(job).unwrap()[0].to_work(Estimates::Asked);
        let processors = |job: &str| work(job).map(|it| it.spec.tasks[0].request.cpu_milli / 1000);
        assert_eq!(processors(&JOB.replace("60.5 4 ", "60.5 -1 ")), Some(8));
        assert_eq!(processors(&JOB.replace("60.5 4 ", "60.5 0 ")), Some(8));
        assert_eq!(processors(&JOB.replace("60.5 4 -1 -1 8", "60.5 -1 -1 -1 -1")), None);
        assert_eq!(processors(&JOB.replace("60.5", "-1")), None);
        assert_eq!(processors(&JOB.replace("60.5", "0")), None);
        let without_estimate = work(&JOB.replace("8 120", "8 -1")).unwrap();
        assert_eq!(without_estimate.spec.tasks[0].expected, Some(Duration::from_millis(60_500)));
        let nobody = work(&JOB.replace("1 3 1", "1 -1 1")).unwrap();
        assert_eq!(&*nobody.spec.tasks[0].tenant, "default");
    }

    #[test]
    fn lines_that_are_no_jobs_are_refused_with_their_place() {
        let show = |text: &str| parse(text).expect_err("the line is broken").to_string();
        assert!(show("; x\n1 2 3\n").contains("line 2 has 3 fields; every job has at least 18"));
        let bad = show(&JOB.replace("60.5", "x"));
        assert!(bad.contains("line 1: field 4, the run time, is \"x\""), "{bad}");
        let nowhen = show(&JOB.replace("7 100", "7 -1"));
        assert!(
            nowhen.contains("field 2, the submit time, is \"-1\"; a job needs one"),
            "{nowhen}"
        );
    }

    #[test]
    fn arrivals_are_scaled_from_the_first_one_on() {
        let text = format!("{JOB}\n{}\n{}\n", JOB.replace("100", "103"), JOB.replace("60.5", "-1"));
        let records = parse(&text).unwrap();
        let scale = "0.5".parse().unwrap();
        let (workload, n_left_out) = to_workload("log", &records, Estimates::Asked, scale);
        let arrivals: Vec<u64> = workload.jobs.iter().map(|job| job.arrives.0).collect();
        assert_eq!((arrivals, n_left_out), (vec![0, NANOS_PER_SECOND * 3 / 2], 1));
    }
}
