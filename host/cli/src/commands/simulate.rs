//! `pointsman simulate`: a workload in virtual time, under several policies side by side.

use crate::exit::{BadInput, Exit, Failure};
use crate::output::Output;
use anyhow::Context;
use pointsman_protocol::quantity::{parse_cpu, parse_memory};
use pointsman_protocol::submission::Submission;
use pointsman_scheduler::resources::Capacity;
use pointsman_scheduler::spec::JobSpec;
use pointsman_simulator::cluster::Cluster;
use pointsman_simulator::contender::Contender;
use pointsman_simulator::import::{read_text, wfcommons};
use pointsman_simulator::report;
use pointsman_simulator::simulate::Options;
use pointsman_simulator::workload::{WorkJob, Workload};
use std::path::{Path, PathBuf};

/// Play a job in virtual time and compare policies
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A job file (JSON or TOML) whose tasks say how long they are `expected` to run, or a WfCommons
    /// file, gzipped or not
    file: PathBuf,
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    workers: u32,
    /// A standard policy, a .wasm file, or native:NAME; several slots are joined by +; may be
    /// repeated to compare [default: priority-ageing, fifo and critical-path]
    #[arg(long = "policy", value_name = "NAME")]
    policies: Vec<String>,
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

const DEFAULT_POLICIES: [&str; 3] = ["priority-ageing", "fifo", "critical-path"];

pub fn simulate(args: &Args, output: Output) -> Result<Exit, Failure> {
    let workload = Workload::of_one(read_job(&args.file)?);
    let options = Options::on(cluster(args)?);
    let named: Vec<&str> = match args.policies.as_slice() {
        [] => DEFAULT_POLICIES.to_vec(),
        policies => policies.iter().map(String::as_str).collect(),
    };
    let contenders: Result<Vec<Contender>, _> = named.into_iter().map(Contender::named).collect();
    let report = report::run(&workload, &options, &mut contenders.bad_input()?).bad_input()?;
    if output.json {
        output.raw(&report.to_json());
    } else {
        output.line(report.to_string().trim_end());
    }
    Ok(Exit::Ok)
}

fn cluster(args: &Args) -> Result<Cluster, Failure> {
    let n = args.workers as usize;
    let Some(cpu) = &args.cpu else { return Ok(Cluster::slots(n)) };
    let cpu_milli = parse_cpu(cpu).map_err(|flaw| Failure::usage(format!("--cpu: {flaw}")))?;
    let memory =
        parse_memory(&args.memory).map_err(|flaw| Failure::usage(format!("--memory: {flaw}")))?;
    Ok(Cluster::machines(n, Capacity { cpu_milli, memory, gpus: args.gpus }))
}

/// Told apart by content: WfCommons files say which version of their schema they follow.
fn read_job(path: &Path) -> Result<WorkJob, Failure> {
    #[derive(serde::Deserialize)]
    struct Foreign {
        #[serde(rename = "schemaVersion")]
        _schema_version: serde::de::IgnoredAny,
    }
    let name = || path.display().to_string();
    let text = read_text(path).bad_input()?;
    if serde_json::from_str::<Foreign>(&text).is_ok() {
        return wfcommons::parse(&text).with_context(name).bad_input();
    }
    let is_toml = path.extension().is_some_and(|ending| ending == "toml");
    let submission =
        if is_toml { Submission::from_toml(&text) } else { Submission::from_json(text.as_bytes()) };
    let job = match submission.with_context(name).bad_input()? {
        Submission::Job(job) => job,
        Submission::Task(task) => JobSpec { name: task.name.clone(), tasks: vec![task] },
    };
    WorkJob::as_expected(job).with_context(name).bad_input()
}
