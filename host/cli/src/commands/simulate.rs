//! `pointsman simulate`: a workload in virtual time, under several policies side by side.

use crate::exit::{BadInput, Exit, Failure};
use crate::output::Output;
use anyhow::Context;
use pointsman_protocol::duration::parse_duration;
use pointsman_protocol::quantity::{parse_cpu, parse_memory};
use pointsman_protocol::submission::Submission;
use pointsman_scheduler::resources::Capacity;
use pointsman_scheduler::settings::Discipline;
use pointsman_scheduler::spec::JobSpec;
use pointsman_simulator::cluster::Cluster;
use pointsman_simulator::contender::Contender;
use pointsman_simulator::import::swf::Estimates;
use pointsman_simulator::import::{Format, alibaba, format_of, read_text, swf, wfcommons};
use pointsman_simulator::report;
use pointsman_simulator::seconds::Scale;
use pointsman_simulator::simulate::Options;
use pointsman_simulator::workload::{WorkJob, Workload};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Play a job or a recorded workload in virtual time and compare policies
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A job file (JSON or TOML) whose tasks say how long they are `expected` to run, or a recorded
    /// workload, gzipped or not: a WfCommons file, a log in the Standard Workload Format, rows of the
    /// Alibaba trace of 2018
    file: PathBuf,
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    workers: u32,
    /// Instead of workers one pool of N processors without borders, as logs of parallel machines are
    /// replayed
    #[arg(long, value_name = "N", conflicts_with_all = ["workers", "cpu"], value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    processors: Option<u32>,
    /// A standard policy, a .wasm file, or native:NAME; several slots are joined by +; may be
    /// repeated to compare [default: priority-ageing, fifo and critical-path]
    #[arg(long = "policy", visible_alias = "queue-policy", value_name = "NAME")]
    policies: Vec<String>,
    /// What a task that does not fit now means for those behind it [default: as the queue policy says]
    #[arg(long)]
    discipline: Option<Waiting>,
    /// A task that others overtake goes first after so long, like "10m", or "off"
    #[arg(long, value_name = "DURATION", default_value = "off", value_parser = reserve_after)]
    reserve_after: ReserveAfter,
    /// What the scheduler is told about the run times in a log of a parallel machine
    #[arg(long, value_name = "WHAT", default_value = "asked")]
    estimates: Told,
    /// Factor for the times between arrivals in a log of a parallel machine
    #[arg(long, value_name = "FACTOR", default_value = "1")]
    arrivals: Scale,
    /// Cores of each worker; without it each worker runs one task at a time, whatever it asks for
    #[arg(long)]
    cpu: Option<String>,
    /// Memory of each worker
    #[arg(long, requires = "cpu", default_value = "64GiB")]
    memory: String,
    /// Devices of each worker
    #[arg(long, requires = "cpu", value_name = "N", default_value_t = 0)]
    gpus: u16,
}

/// A queue's discipline.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Waiting {
    /// Whatever fits starts, in order
    Greedy,
    /// Nothing behind it starts
    Strict,
    /// What does not delay its expected start may start (EASY)
    Backfill,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Told {
    /// The time that the user asked for
    Asked,
    /// How long it really ran
    Exact,
}

#[derive(Debug, Clone, Copy)]
struct ReserveAfter(Option<Duration>);

fn reserve_after(text: &str) -> Result<ReserveAfter, String> {
    if text == "off" {
        return Ok(ReserveAfter(None));
    }
    match parse_duration(text) {
        Ok(after) if after > Duration::ZERO => Ok(ReserveAfter(Some(after))),
        Ok(_) => Err("0 is no wait; write one like \"10m\", or \"off\"".to_owned()),
        Err(flaw) => Err(format!("{}; write a duration like \"10m\", or \"off\"", flaw.problem)),
    }
}

const DEFAULT_POLICIES: [&str; 3] = ["priority-ageing", "fifo", "critical-path"];
/// Which processor of a pool a task gets makes no difference, and none is held back.
const POOL_SCORING: &str = "least-connections";

pub fn simulate(args: &Args, output: Output) -> Result<Exit, Failure> {
    let workload = read_workload(args)?;
    let mut options = Options::on(cluster(args)?);
    if let Some(waiting) = args.discipline {
        options.set_discipline(&workload, waiting.into());
    }
    options.set_reserve_after(&workload, args.reserve_after.0);
    let named: Vec<&str> = match args.policies.as_slice() {
        [] => DEFAULT_POLICIES.to_vec(),
        policies => policies.iter().map(String::as_str).collect(),
    };
    let contender = |name| match args.processors {
        Some(_) => Contender::named_or_scored_by(name, POOL_SCORING),
        None => Contender::named(name),
    };
    let contenders: Result<Vec<Contender>, _> = named.into_iter().map(contender).collect();
    let report = report::run(&workload, &options, &mut contenders.bad_input()?).bad_input()?;
    if output.json {
        output.raw(&report.to_json());
    } else {
        output.text(&report.to_string());
    }
    Ok(Exit::Ok)
}

impl From<Waiting> for Discipline {
    fn from(waiting: Waiting) -> Discipline {
        match waiting {
            Waiting::Greedy => Discipline::Greedy,
            Waiting::Strict => Discipline::Strict,
            Waiting::Backfill => Discipline::Backfill,
        }
    }
}

fn cluster(args: &Args) -> Result<Cluster, Failure> {
    if let Some(n) = args.processors {
        return Ok(Cluster::pool(n as usize));
    }
    let n = args.workers as usize;
    let Some(cpu) = &args.cpu else { return Ok(Cluster::slots(n)) };
    let cpu_milli = parse_cpu(cpu).map_err(|flaw| Failure::usage(format!("--cpu: {flaw}")))?;
    let memory =
        parse_memory(&args.memory).map_err(|flaw| Failure::usage(format!("--memory: {flaw}")))?;
    Ok(Cluster::machines(n, Capacity { cpu_milli, memory, gpus: args.gpus }))
}

/// Told apart by content.
fn read_workload(args: &Args) -> Result<Workload, Failure> {
    let path = args.file.as_path();
    let shown = || path.display().to_string();
    let text = read_text(path).bad_input()?;
    let stem = || path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    match format_of(&text) {
        Some(Format::WfCommons) => {
            Ok(Workload::of_one(wfcommons::parse(&text).with_context(shown).bad_input()?))
        }
        Some(Format::Alibaba) => {
            let jobs = alibaba::parse(&text).with_context(shown).bad_input()?;
            let (workload, refused) =
                alibaba::to_workload(&stem(), &jobs).with_context(shown).bad_input()?;
            for job in &refused {
                tell(&format!("left out job {}: {}", job.job, job.error));
            }
            Ok(workload)
        }
        Some(Format::Swf) => {
            let records = swf::parse(&text).with_context(shown).bad_input()?;
            let estimates = match args.estimates {
                Told::Asked => Estimates::Asked,
                Told::Exact => Estimates::Exact,
            };
            let (workload, n_left_out) =
                swf::to_workload(&stem(), &records, estimates, args.arrivals);
            if n_left_out > 0 {
                tell(&format!(
                    "left out {n_left_out} of {} jobs, which never ran or took no processors",
                    records.len()
                ));
            }
            Ok(workload)
        }
        None => Ok(Workload::of_one(read_job(path, &text)?)),
    }
}

/// Beside the report, which may be read by a program.
fn tell(text: &str) {
    eprintln!("pointsman: {}", crate::shown::harmless(text));
}

fn read_job(path: &Path, text: &str) -> Result<WorkJob, Failure> {
    let name = || path.display().to_string();
    let is_toml = path.extension().is_some_and(|ending| ending == "toml");
    let submission =
        if is_toml { Submission::from_toml(text) } else { Submission::from_json(text.as_bytes()) };
    let job = match submission.with_context(name).bad_input()? {
        Submission::Job(job) => job,
        Submission::Task(task) => JobSpec { name: task.name.clone(), tasks: vec![task] },
    };
    WorkJob::as_expected(job).with_context(name).bad_input()
}
