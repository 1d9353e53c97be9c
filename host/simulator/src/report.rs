//! What a simulation shows: one row of numbers per contender, as a table and as JSON.

use crate::analysis::Shape;
use crate::cluster::Cluster;
use crate::contender::Contender;
use crate::seconds::{NANOS_PER_SECOND, format_millis};
use crate::simulate::{Options, Run, SimulateError, TaskRun, simulate};
use crate::workload::Workload;
use pointsman_scheduler::graph::GraphError;
use pointsman_scheduler::record::TaskState;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// Contenders side by side on one workload. Times are nanoseconds in fields that end in `_ns`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    pub workload: String,
    pub n_jobs: usize,
    pub n_tasks: usize,
    pub n_edges: usize,
    pub n_workers: usize,
    /// Of all workers together, thousandths.
    pub cpu_milli: u128,
    /// Of the longest job.
    pub critical_path_ns: u64,
    /// Sum of all run times.
    pub work_ns: u128,
    /// No order of starts ends earlier. Only where each worker runs one task at a time and all jobs
    /// arrive at once.
    pub lower_bound_ns: Option<u64>,
    pub contenders: Vec<Row>,
}

/// What one contender made of the workload.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    pub name: String,
    /// From the first arrival to the last end.
    pub makespan_ns: u64,
    /// From ready to the first start, over the tasks that ran.
    pub mean_wait_ns: u64,
    pub max_wait_ns: u64,
    /// Tasks that did not start at the instant at which they were ready.
    pub n_waited: usize,
    /// Mean over the tasks that succeeded of max(1, (end − ready) / max(run time, 10 s)).
    pub mean_bounded_slowdown: f64,
    /// Jain's index of the mean bounded slowdowns of the tenants: 1 if all fare alike, near 0 if one
    /// fares far worse than the others. None with one tenant.
    pub fairness: Option<f64>,
    /// Core time that attempts held, as a part of what the workers had during the makespan.
    pub utilisation: f64,
    pub n_succeeded: usize,
    /// Ended in anything else.
    pub n_other: usize,
    /// Attempts beyond the first of a task.
    pub n_repeats: u64,
    /// Calls that a policy failed; others decided in its place, so that the numbers are not its own.
    pub n_policy_failures: u64,
    pub first_policy_failure: Option<String>,
    /// Equal for equal runs.
    pub trace_hash: String,
}

/// Why there is no report.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ReportError {
    #[error("job {job:?} cannot be run")]
    Graph { job: String, source: Box<GraphError> },
    #[error("failed to simulate {contender}")]
    Simulate { contender: String, source: Box<SimulateError> },
}

/// Shorter run times do not count as shorter in a bounded slowdown.
const SLOWDOWN_BOUND_NS: u64 = 10 * NANOS_PER_SECOND;

/// Plays the workload once for each contender.
///
/// # Errors
/// If a job is not a DAG, or one of the simulations does not come to its end.
pub fn run(
    workload: &Workload,
    options: &Options,
    contenders: &mut [Contender],
) -> Result<Report, ReportError> {
    let mut report = Report::without_contenders(workload, &options.cluster)?;
    for contender in contenders {
        let run = simulate(workload, options, contender.policies.as_mut()).map_err(|source| {
            ReportError::Simulate { contender: contender.name.clone(), source: Box::new(source) }
        })?;
        report.contenders.push(Row::of(&contender.name, workload, &options.cluster, &run));
    }
    Ok(report)
}

impl Report {
    fn without_contenders(workload: &Workload, cluster: &Cluster) -> Result<Report, ReportError> {
        let shape_of = |job: &crate::workload::WorkJob| {
            Shape::of(job).map_err(|source| ReportError::Graph {
                job: job.spec.name.clone(),
                source: Box::new(source),
            })
        };
        let shapes = workload.jobs.iter().map(shape_of).collect::<Result<Vec<Shape>, _>>()?;
        let critical_path = shapes.iter().map(|shape| shape.critical_path).max().unwrap_or(0);
        let work: u128 = shapes.iter().map(|shape| shape.work).sum();
        let n_workers = cluster.workers.len();
        let first = workload.jobs.first().map(|job| job.arrives);
        let at_once = workload.jobs.iter().all(|job| Some(job.arrives) == first);
        let has_bound = at_once && cluster.has_slots();
        let bound = || critical_path.max(work.div_ceil(n_workers.max(1) as u128));
        Ok(Report {
            workload: workload.name.clone(),
            n_jobs: workload.jobs.len(),
            n_tasks: workload.n_tasks(),
            n_edges: shapes.iter().map(|shape| shape.n_edges).sum(),
            n_workers,
            cpu_milli: cluster.cpu_milli(),
            critical_path_ns: saturating(critical_path),
            work_ns: work,
            lower_bound_ns: has_bound.then(|| saturating(bound())),
            contenders: Vec::new(),
        })
    }

    /// Pretty-printed JSON.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("maps have text keys");
        text.push('\n');
        text
    }
}

impl Row {
    pub fn of(name: &str, workload: &Workload, cluster: &Cluster, run: &Run) -> Row {
        let tasks = || run.jobs.iter().flatten();
        let first = workload.jobs.iter().map(|job| job.arrives).min().unwrap_or_default();
        let last = tasks().map(|task| task.ended).max().unwrap_or_default();
        let makespan = last.0.saturating_sub(first.0);
        let waits: Vec<u64> = tasks().filter_map(wait).collect();
        let total_wait: u128 = waits.iter().copied().map(u128::from).sum();
        let slowdowns: Vec<f64> = tasks()
            .zip(workload.jobs.iter().flat_map(|job| &job.run_times))
            .filter_map(bounded_slowdown)
            .collect();
        let n_succeeded = tasks().filter(|task| task.state == TaskState::Succeeded).count();
        let held: f64 = run
            .jobs
            .iter()
            .zip(&workload.jobs)
            .flat_map(|(runs, job)| runs.iter().zip(&job.spec.tasks))
            .map(|(run, task)| run.busy as f64 * cluster.adapt(task).request.cpu_milli as f64)
            .sum();
        let offered = cluster.cpu_milli() as f64 * makespan as f64;
        Row {
            name: name.to_owned(),
            makespan_ns: makespan,
            mean_wait_ns: saturating(total_wait / waits.len().max(1) as u128),
            max_wait_ns: waits.iter().copied().max().unwrap_or(0),
            n_waited: waits.iter().filter(|wait| **wait > 0).count(),
            mean_bounded_slowdown: slowdowns.iter().sum::<f64>() / slowdowns.len().max(1) as f64,
            fairness: fairness(workload, run),
            utilisation: if offered > 0.0 { held / offered } else { 0.0 },
            n_succeeded,
            n_other: tasks().count() - n_succeeded,
            n_repeats: tasks().map(|task| u64::from(task.n_attempts.saturating_sub(1))).sum(),
            n_policy_failures: run.n_policy_failures,
            first_policy_failure: run.first_policy_failure.as_ref().map(|(at, incident)| {
                let at = format_millis(at.0);
                format!(
                    "{} {} at {at} s: {}",
                    incident.slot.name(),
                    incident.name,
                    incident.message
                )
            }),
            trace_hash: format!("{:016x}", run.trace_hash),
        }
    }
}

/// Nanoseconds; None if it never ran.
fn wait(task: &TaskRun) -> Option<u64> {
    task.started.map(|started| started.0.saturating_sub(task.ready.0))
}

fn bounded_slowdown((task, run_time): (&TaskRun, &u64)) -> Option<f64> {
    let response = task.ended.0.saturating_sub(task.ready.0);
    let slowdown = response as f64 / (*run_time).max(SLOWDOWN_BOUND_NS) as f64;
    (task.state == TaskState::Succeeded).then_some(slowdown.max(1.0))
}

/// Jain, Chiu, Hawe: A quantitative measure of fairness (DEC-TR-301, 1984).
fn fairness(workload: &Workload, run: &Run) -> Option<f64> {
    let mut by_tenant: BTreeMap<&str, (f64, u32)> = BTreeMap::new();
    for (job, runs) in workload.jobs.iter().zip(&run.jobs) {
        for ((task, run), run_time) in job.spec.tasks.iter().zip(runs).zip(&job.run_times) {
            let Some(slowdown) = bounded_slowdown((run, run_time)) else { continue };
            let (sum, n) = by_tenant.entry(&task.tenant).or_default();
            (*sum, *n) = (*sum + slowdown, *n + 1);
        }
    }
    let means: Vec<f64> = by_tenant.values().map(|(sum, n)| sum / f64::from(*n)).collect();
    let (sum, squares) = (means.iter().sum::<f64>(), means.iter().map(|it| it * it).sum::<f64>());
    (means.len() > 1).then(|| sum * sum / (means.len() as f64 * squares))
}

fn saturating(ns: u128) -> u64 {
    u64::try_from(ns).unwrap_or(u64::MAX)
}

impl fmt::Display for Report {
    /// A header and a table; times in seconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let jobs = if self.n_jobs == 1 { String::new() } else { format!("{} jobs, ", self.n_jobs) };
        writeln!(
            f,
            "{}: {jobs}{} tasks, {} edges, on {} workers with {} cores",
            self.workload,
            self.n_tasks,
            self.n_edges,
            self.n_workers,
            self.cpu_milli as f64 / 1000.0
        )?;
        write!(
            f,
            "work {} s, critical path {} s",
            format_millis(saturating(self.work_ns)),
            format_millis(self.critical_path_ns)
        )?;
        match self.lower_bound_ns {
            Some(bound) => writeln!(f, ", no makespan below {} s", format_millis(bound))?,
            None => writeln!(f)?,
        }
        writeln!(f)?;
        let rows: Vec<[String; N_COLUMNS]> = std::iter::once(HEADINGS.map(str::to_owned))
            .chain(self.contenders.iter().map(cells))
            .collect();
        let width =
            |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        for row in &rows {
            write!(f, "{:<1$}", row[0], width(0))?;
            for (column, cell) in row.iter().enumerate().skip(1) {
                write!(f, "  {:>1$}", cell, width(column))?;
            }
            writeln!(f)?;
        }
        for row in self.contenders.iter().filter(|row| row.n_policy_failures > 0) {
            let first = row.first_policy_failure.as_deref().unwrap_or_default();
            let n_failures = row.n_policy_failures;
            writeln!(f, "\n{}: {n_failures} policy calls failed; the first, {first}", row.name)?;
        }
        Ok(())
    }
}

const HEADINGS: [&str; N_COLUMNS] = [
    "policy",
    "makespan s",
    "mean wait s",
    "max wait s",
    "waited",
    "bounded slowdown",
    "fairness",
    "utilisation",
    "succeeded",
    "repeats",
];
const N_COLUMNS: usize = 10;

fn cells(row: &Row) -> [String; N_COLUMNS] {
    [
        row.name.clone(),
        format_millis(row.makespan_ns),
        format!("{:.4}", row.mean_wait_ns as f64 / NANOS_PER_SECOND as f64),
        format_millis(row.max_wait_ns),
        row.n_waited.to_string(),
        format!("{:.4}", row.mean_bounded_slowdown),
        row.fairness.map_or_else(|| "–".to_owned(), |it| format!("{it:.6}")),
        format!("{:.6}", row.utilisation),
        row.n_succeeded.to_string(),
        row.n_repeats.to_string(),
    ]
}
