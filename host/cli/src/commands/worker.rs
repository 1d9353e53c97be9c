//! `pointsman worker`: an agent that runs tasks for a host.

use super::serve::{allow_many_files, end_asked};
use crate::client::{Connection, read_token};
use crate::exit::{BadInput, Exit, Failure};
use anyhow::Context;
use pointsman_protocol::field::Flaw;
use pointsman_protocol::labels::check_labels;
use pointsman_protocol::name::parse_name;
use pointsman_protocol::quantity::{parse_cpu, parse_memory};
use pointsman_protocol::worker::WireCapacity;
use pointsman_server::config::{Config, CpuLimit, LimitsSection};
use pointsman_server::telemetry;
use pointsman_worker::{LimitOptions, WorkerOptions, machine_capacity};
use std::path::PathBuf;

/// Run tasks for a host
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Configuration, of which [worker] is read
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Unique among the host's workers [default: the machine's name]
    #[arg(long)]
    name: Option<String>,
    /// Cores to offer, like 3.5 [default: what the machine has]
    #[arg(long)]
    cpu: Option<String>,
    /// Memory to offer, like 8GiB [default: what the machine has]
    #[arg(long)]
    memory: Option<String>,
    /// Devices to offer
    #[arg(long, value_name = "N")]
    gpus: Option<u16>,
    /// Labels that tasks may require, separated by commas; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_delimiter = ',', value_parser = super::pair)]
    labels: Vec<(String, String)>,
    /// Of this worker alone: identity, working folders, output
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// JSON like {"cpu_used":0.7}, read with each heartbeat, instead of what is measured
    #[arg(long, value_name = "FILE")]
    measurements: Option<PathBuf>,
    /// Report every task as succeeded without running it: for measuring the host
    #[arg(long)]
    no_execution: bool,
}

pub fn worker(args: Args, connection: &Connection) -> Result<Exit, Failure> {
    let options = options(args, connection)?;
    telemetry::init(telemetry::LogFormat::Text);
    allow_many_files();
    crate::with_runtime(async {
        let ended = pointsman_worker::run(options, end_asked()?).await;
        ended.map_err(anyhow::Error::from)?;
        Ok(Exit::Ok)
    })
}

/// What the command line says, else the file, else the machine.
fn options(args: Args, connection: &Connection) -> Result<WorkerOptions, Failure> {
    let config = match &args.config {
        Some(path) => Config::load(path).bad_input()?,
        None => Config::default(),
    };
    let section = config.worker;
    let flag = |name: &'static str| move |flaw: Flaw| flaw.at(name);
    let name = match args.name {
        Some(name) => parse_name(&name).map_err(flag("--name")).bad_input()?,
        None => section.name.map_or_else(machine_name, Ok)?,
    };
    let cpu = args.cpu.as_deref().map(parse_cpu).transpose().map_err(flag("--cpu")).bad_input()?;
    let memory = args.memory.as_deref().map(parse_memory).transpose();
    let memory = memory.map_err(flag("--memory")).bad_input()?;
    let machine = machine_capacity();
    let mut labels = section.labels;
    labels.extend(args.labels);
    check_labels(&labels, "--labels").bad_input()?;
    let host = connection.host.clone().unwrap_or(section.host);
    let data_dir = args.data_dir.unwrap_or(section.data_dir);
    let token_file = connection.token_file.clone().or(section.token_file);
    let mut options = WorkerOptions::new(host.trim_end_matches('/'), &name, data_dir);
    options.capacity = Some(WireCapacity {
        cpu_milli: cpu.or(section.cpu_milli).unwrap_or(machine.cpu_milli),
        memory: memory.or(section.memory).unwrap_or(machine.memory),
        gpus: args.gpus.unwrap_or(section.gpus),
    });
    options.labels = labels;
    options.limits = limits(section.limits);
    options.measurements = args.measurements.or(section.measurements);
    options.token = token_file.as_deref().map(read_token).transpose()?;
    options.no_execution = args.no_execution;
    Ok(options)
}

/// As `[worker.limits]` says.
pub(crate) fn limits(section: LimitsSection) -> LimitOptions {
    let cpu = match section.cpu {
        CpuLimit::Weight => pointsman_worker::CpuLimit::Weight,
        CpuLimit::Quota => pointsman_worker::CpuLimit::Quota,
        CpuLimit::Off => pointsman_worker::CpuLimit::Off,
    };
    LimitOptions { memory: section.memory, cpu, ..LimitOptions::default() }
}

fn machine_name() -> Result<String, Failure> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname");
    let name = name.context("failed to read the machine's name; give one by --name")?;
    Ok(name.trim().to_owned())
}
