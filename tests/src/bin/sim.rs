//! `cargo xtask sim [--seeds N | --seed S] [--profile NAME] [--steps N]`: worlds in which things go wrong,
//! by seed. Exits with 1 at the first one in which something does not hold, and says how to see it again.

use pointsman_simulator::faults::{FaultOptions, FaultReport, Profile, run};
use std::process::ExitCode;
use std::time::{Duration, Instant};

const USAGE: &str = "usage: cargo xtask sim [--seeds N | --seed S] [--profile NAME] [--steps N]";

struct Args {
    seeds: std::ops::RangeInclusive<u64>,
    profiles: Vec<Profile>,
    max_steps: u64,
}

fn read(args: &[String]) -> Result<Args, String> {
    let (mut seeds, mut profiles, mut max_steps) = (1..=100, Profile::EACH.to_vec(), 10_000_000);
    for pair in args.chunks(2) {
        let [name, value] = pair else { return Err(format!("{} needs a value", pair[0])) };
        let number = || value.parse::<u64>().map_err(|_| format!("{name} takes a whole number"));
        match name.as_str() {
            "--seeds" => seeds = 1..=number()?,
            "--seed" => seeds = number()?..=number()?,
            "--steps" => max_steps = number()?,
            "--profile" => {
                let known = Profile::EACH.map(|profile| profile.name).join(", ");
                let profile = Profile::find(value);
                profiles = vec![profile.ok_or(format!("profiles are {known}; not {value:?}"))?];
            }
            _ => return Err(format!("{name} is unknown")),
        }
    }
    Ok(Args { seeds, profiles, max_steps })
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args = match read(&args) {
        Ok(args) => args,
        Err(problem) => {
            eprintln!("sim: {problem}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    for profile in &args.profiles {
        let mut tally = Tally::default();
        for seed in args.seeds.clone() {
            let profile = profile.clone();
            let options = FaultOptions { seed, profile, max_steps: args.max_steps, sabotage: None };
            let began = Instant::now();
            match run(&options) {
                Ok(report) => tally.add(&report, began.elapsed()),
                Err(violation) => {
                    println!("{violation}");
                    return ExitCode::FAILURE;
                }
            }
        }
        println!("{:<9} {tally}", profile.name);
    }
    ExitCode::SUCCESS
}

#[derive(Default)]
struct Tally {
    n_worlds: u64,
    n_steps: u64,
    n_attempts: u64,
    n_tasks: u64,
    n_lost: u64,
    took: Duration,
}

impl Tally {
    fn add(&mut self, report: &FaultReport, took: Duration) {
        self.n_worlds += 1;
        self.n_steps += report.n_steps;
        self.n_attempts += report.n_attempts as u64;
        self.n_tasks += report.states.values().sum::<usize>() as u64;
        self.n_lost += report.n_lost;
        self.took += took;
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Tally { n_worlds, n_steps, n_attempts, n_tasks, n_lost, took } = self;
        let per_s = *n_steps as f64 / took.as_secs_f64();
        write!(
            f,
            "{n_worlds} worlds held: {n_tasks} tasks, {n_attempts} attempts, {n_lost} workers lost, \
             {n_steps} steps at {per_s:.0} a second"
        )
    }
}
