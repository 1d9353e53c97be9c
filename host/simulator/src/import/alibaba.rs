//! The batch jobs of Alibaba's cluster trace of 2018: rows of `batch_task.csv`, with a header. Each
//! row becomes one task, however many instances it had. Dependencies stand in the task names:
//! `J7_1_2` is task 7 and waits for tasks 1 and 2.
//!
//! The trace cuts names at 50 characters, so that a few name a wrong parent and their job is cyclic.
//! Jobs are returned unchecked: [`WorkJob::graph`] refuses those, with the cycle.

use crate::import::names::{label_value, sanitise};
use crate::import::{ReadError, read_text};
use crate::seconds::{BadNumber, parse_seconds};
use crate::workload::{WorkJob, Workload};
use pointsman_scheduler::Time;
use pointsman_scheduler::spec::{JobSpec, TaskSpec};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The first line of a file.
pub const HEADER: &str =
    "task_name,instance_num,job_name,task_type,status,start_time,end_time,plan_cpu,plan_mem";

/// Why a file is not imported. Lines count from 1.
#[derive(Debug, thiserror::Error)]
pub enum AlibabaError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("line 1 is not the header; it has to be {HEADER:?}")]
    Header,
    #[error("line {line} has {n_fields} fields; every row has 9")]
    Fields { line: usize, n_fields: usize },
    #[error("line {line}: {field} is {value:?}, which {problem}")]
    Number { line: usize, field: &'static str, value: String, problem: BadNumber },
    #[error("line {line}: {field} is empty")]
    Empty { line: usize, field: &'static str },
    #[error(
        "line {line}: job {job:?} was complete at line {ended}; the rows of a job are contiguous"
    )]
    Scattered { line: usize, job: String, ended: usize },
    #[error("line {line}: task {task:?} has the number {number} in job {job:?} a second time")]
    DuplicateNumber { line: usize, job: String, task: String, number: u64 },
    #[error(
        "line {line}: task {task:?} waits for task {parent}, but job {job:?} has no task of that \
         number"
    )]
    UnknownParent { line: usize, job: String, task: String, parent: u64 },
}

/// One row. Times are nanoseconds since the start of the trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Counts from 1; the header is line 1.
    pub line: usize,
    pub task_name: String,
    /// Empty for tasks that were still waiting.
    pub n_instances: String,
    pub job_name: String,
    pub status: String,
    pub start: u64,
    /// 0 for tasks that were still waiting; before `start` in some rows.
    pub end: u64,
    /// Thousandths of a core of one instance; None where the trace has none.
    pub cpu_milli: Option<u64>,
    /// As written: a share of some machine, 0 to 100; not bytes.
    pub memory_share: String,
}

impl Row {
    /// Nanoseconds; 0 if the row ends before it starts.
    pub fn duration(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}

/// The rows of one job, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedJob {
    pub name: String,
    pub rows: Vec<Row>,
}

/// Reads a file, plain or gzipped.
///
/// # Errors
/// If it cannot be read or a row is not one of the trace.
pub fn read(path: &Path) -> Result<Vec<RecordedJob>, AlibabaError> {
    parse(&read_text(path)?)
}

/// # Errors
/// If the text does not begin with the header or a row is not one of the trace.
pub fn parse(text: &str) -> Result<Vec<RecordedJob>, AlibabaError> {
    let mut lines = text.lines().enumerate().map(|(i, line)| (i + 1, line.trim_end_matches('\r')));
    if lines.next().is_none_or(|(_, header)| header != HEADER) {
        return Err(AlibabaError::Header);
    }
    let mut jobs: Vec<RecordedJob> = Vec::new();
    let mut ended: HashMap<String, usize> = HashMap::new();
    for (line, text) in lines.filter(|(_, text)| !text.is_empty()) {
        let row = parse_row(line, text)?;
        if let Some(job) = jobs.last_mut().filter(|job| job.name == row.job_name) {
            job.rows.push(row);
            continue;
        }
        if let Some(job) = jobs.last() {
            ended.insert(job.name.clone(), line - 1);
        }
        if let Some(&ended) = ended.get(&row.job_name) {
            return Err(AlibabaError::Scattered { line, job: row.job_name, ended });
        }
        jobs.push(RecordedJob { name: row.job_name.clone(), rows: vec![row] });
    }
    Ok(jobs)
}

fn parse_row(line: usize, text: &str) -> Result<Row, AlibabaError> {
    let fields: Vec<&str> = text.split(',').collect();
    let Ok([task, instances, job, _type, status, start, end, cpu, memory]) =
        <[&str; 9]>::try_from(fields.as_slice())
    else {
        return Err(AlibabaError::Fields { line, n_fields: fields.len() });
    };
    for (field, value) in [("task_name", task), ("job_name", job)] {
        if value.is_empty() {
            return Err(AlibabaError::Empty { line, field });
        }
    }
    let number = |field, value: &str, read: fn(&str) -> Result<u64, BadNumber>| {
        let value_shown = || label_value(value);
        read(value).map_err(|problem| AlibabaError::Number {
            line,
            field,
            value: value_shown(),
            problem,
        })
    };
    let cpu_milli = match cpu {
        "" => None,
        // Hundredths of a core are written.
        _ => Some(number("plan_cpu", cpu, |text| {
            crate::decimal::Decimal::parse(text)?.times(MILLI_PER_PERCENT, 0)
        })?),
    };
    Ok(Row {
        line,
        task_name: task.to_owned(),
        n_instances: instances.to_owned(),
        job_name: job.to_owned(),
        status: status.to_owned(),
        start: number("start_time", start, parse_seconds)?,
        end: number("end_time", end, parse_seconds)?,
        cpu_milli,
        memory_share: memory.to_owned(),
    })
}

const MILLI_PER_PERCENT: u64 = 10;

/// A task name taken apart.
struct Parts {
    number: u64,
    parents: Vec<u64>,
}

/// None: the name says nothing about dependencies (`task_Nzg3…`, `MergeTask`). What follows the last
/// complete number, such as the `_` at which a name was cut, is nothing.
fn take_apart(name: &str) -> Option<Parts> {
    let numbers = name.trim_start_matches(|it: char| it.is_ascii_alphabetic());
    if numbers.len() == name.len() {
        return None;
    }
    let numbers = numbers.strip_suffix('_').unwrap_or(numbers);
    let mut numbers = numbers.split('_').map(|number| {
        let is_number = number.bytes().all(|it| it.is_ascii_digit());
        if is_number { number.parse().ok() } else { None }
    });
    let number = numbers.next()??;
    let mut seen = HashSet::new();
    let parents: Vec<u64> = numbers.collect::<Option<_>>()?;
    let parents = parents.into_iter().filter(|parent| seen.insert(*parent)).collect();
    Some(Parts { number, parents })
}

impl RecordedJob {
    /// The job as it can be submitted, not yet checked for cycles. It arrives when its first task
    /// started in the recording. A task runs as long as recorded; its memory is left at the default,
    /// since the trace has none in bytes.
    ///
    /// # Errors
    /// If a number is given twice, or a dependency names a number that no task of the job has.
    pub fn to_work(&self) -> Result<WorkJob, AlibabaError> {
        let parts: Vec<Option<Parts>> =
            self.rows.iter().map(|row| take_apart(&row.task_name)).collect();
        let mut by_number = HashMap::new();
        for (row, parts) in self.rows.iter().zip(&parts) {
            if let Some(Parts { number, .. }) = parts
                && by_number.insert(*number, row).is_some()
            {
                return Err(AlibabaError::DuplicateNumber {
                    line: row.line,
                    job: self.name.clone(),
                    task: row.task_name.clone(),
                    number: *number,
                });
            }
        }
        let mut tasks = Vec::with_capacity(self.rows.len());
        for (row, parts) in self.rows.iter().zip(&parts) {
            let parents = parts.as_ref().map(|parts| parts.parents.as_slice()).unwrap_or_default();
            let name_of = |parent: &u64| match by_number.get(parent) {
                Some(row) => Ok(sanitise(&row.task_name)),
                None => Err(AlibabaError::UnknownParent {
                    line: row.line,
                    job: self.name.clone(),
                    task: row.task_name.clone(),
                    parent: *parent,
                }),
            };
            let dependencies = parents.iter().map(name_of).collect::<Result<_, _>>()?;
            tasks.push(Arc::new(to_task(row, dependencies)));
        }
        Ok(WorkJob {
            spec: JobSpec { name: sanitise(&self.name), tasks },
            arrives: Time(self.rows.iter().map(|row| row.start).min().unwrap_or(0)),
            run_times: self.rows.iter().map(Row::duration).collect(),
        })
    }
}

fn to_task(row: &Row, dependencies: Vec<String>) -> TaskSpec {
    let run_time = row.duration();
    let seconds = crate::seconds::format_exact(run_time);
    let mut task = TaskSpec::new(sanitise(&row.task_name), format!("sleep {seconds}"));
    task.dependencies = dependencies;
    task.expected = Some(Duration::from_nanos(run_time));
    if let Some(cpu_milli) = row.cpu_milli.filter(|cpu_milli| *cpu_milli > 0) {
        task.request.cpu_milli = cpu_milli;
    }
    let labels = [("status", &row.status), ("instances", &row.n_instances)];
    let labels = labels.into_iter().filter(|(_, value)| !value.is_empty());
    let labels = labels.map(|(key, value)| (format!("alibaba.{key}"), label_value(value)));
    task.labels = Arc::new(labels.collect());
    task
}

/// The jobs that can be run, the first one arriving at 0, and those that cannot, each with the reason.
///
/// # Errors
/// As [`RecordedJob::to_work`].
pub fn to_workload(
    name: &str,
    jobs: &[RecordedJob],
) -> Result<(Workload, Vec<Refused>), AlibabaError> {
    let mut runnable = Vec::new();
    let mut refused = Vec::new();
    for job in jobs {
        let work = job.to_work()?;
        match work.graph() {
            Ok(_) => runnable.push(work),
            Err(error) => refused.push(Refused { job: job.name.clone(), error }),
        }
    }
    let first = runnable.iter().map(|job| job.arrives.0).min().unwrap_or(0);
    for job in &mut runnable {
        job.arrives.0 -= first;
    }
    Ok((Workload { name: name.to_owned(), jobs: runnable }, refused))
}

/// A job that is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub job: String,
    pub error: pointsman_scheduler::graph::GraphError,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seconds::NANOS_PER_SECOND;

    fn job(rows: &[&str]) -> Result<Vec<RecordedJob>, AlibabaError> {
        parse(&format!("{HEADER}\n{}\n", rows.join("\n")))
    }

    fn row(task: &str) -> String {
        format!("{task},1.0,j_1,1,Terminated,5,7,50.0,0.2")
    }

    #[test]
    fn dependencies_are_those_that_the_name_tells() {
        let names = ["J4_1_2_1_", "M1", "R2_1", "task_xyz"];
        let rows: Vec<String> = names.iter().map(|name| row(name)).collect();
        let jobs = job(&rows.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        let work = jobs[0].to_work().unwrap();
        let dependencies: Vec<_> =
            work.spec.tasks.iter().map(|task| task.dependencies.clone()).collect();
        assert_eq!(dependencies, [vec!["M1", "R2_1"], vec![], vec!["M1"], vec![]]);
        assert_eq!(work.run_times, [2 * NANOS_PER_SECOND; 4]);
        assert_eq!(work.spec.tasks[0].request.cpu_milli, 500);
        assert_eq!(work.arrives, Time(5 * NANOS_PER_SECOND));
    }

    #[test]
    fn broken_rows_are_refused_with_their_line() {
        let show = |rows: &[&str]| {
            let jobs = job(rows).and_then(|jobs| jobs[0].to_work());
            jobs.expect_err("the rows are broken").to_string()
        };
        assert!(parse("").is_err_and(|it| it.to_string().contains("line 1")));
        assert!(show(&["M1,1.0,j_1"]).contains("line 2 has 3 fields"));
        assert!(show(&[&row("")]).contains("line 2: task_name is empty"));
        assert!(show(&[&row("M1").replace(",5,", ",x,")]).contains("line 2: start_time is \"x\""));
        assert!(show(&[&row("M1").replace(",5,", ",-5,")]).contains("is negative"));
        assert!(show(&[&row("M1"), &row("R1")]).contains("line 3: task \"R1\" has the number 1"));
        assert!(show(&[&row("M1_9")]).contains("line 2: task \"M1_9\" waits for task 9"));
        let other = row("M1").replace("j_1", "j_2");
        let scattered = show(&[&row("M1"), &other, &row("R2")]);
        assert!(scattered.contains("line 4: job \"j_1\" was complete at line 2"), "{scattered}");
    }
}
