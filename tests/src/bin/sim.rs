//! `cargo xtask sim`: worlds in which things go wrong, by seed or by script. Exits with 1 at the first one
//! in which something does not hold, and prints a script of a small world in which the same does not.

use pointsman_simulator::faults::shrink::{Shrunk, shrink};
use pointsman_simulator::faults::{
    FaultOptions, FaultReport, Invariant, Plan, Profile, Strikes, Violation, run, run_twice,
};
use std::process::ExitCode;
use std::time::{Duration, Instant};

const USAGE: &str = "\
usage: cargo xtask sim [--seeds N | --seed S] [--profile NAME] [--steps N] [--twice] [--shrink SECONDS]
       cargo xtask sim --script FILE [--steps N] [--twice] [--shrink SECONDS]";

struct Args {
    seeds: std::ops::RangeInclusive<u64>,
    profiles: Vec<Profile>,
    script: Option<Plan>,
    max_steps: u64,
    plays_twice: bool,
    shrinks_for: Duration,
}

fn read(args: &[String]) -> Result<Args, String> {
    let mut read = Args {
        seeds: 1..=100,
        profiles: Profile::EACH.to_vec(),
        script: None,
        max_steps: 10_000_000,
        plays_twice: false,
        shrinks_for: Duration::from_secs(60),
    };
    let mut args = args.iter();
    while let Some(name) = args.next() {
        if name == "--twice" {
            read.plays_twice = true;
            continue;
        }
        let value = args.next().ok_or_else(|| format!("{name} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("{name} takes a whole number"));
        match name.as_str() {
            "--seeds" => read.seeds = 1..=number()?,
            "--seed" => read.seeds = number()?..=number()?,
            "--steps" => read.max_steps = number()?,
            "--shrink" => read.shrinks_for = Duration::from_secs(number()?),
            "--profile" => {
                let known = Profile::EACH.map(|profile| profile.name).join(", ");
                let profile = Profile::find(value);
                read.profiles =
                    vec![profile.ok_or(format!("profiles are {known}; not {value:?}"))?];
            }
            "--script" => {
                let text =
                    std::fs::read_to_string(value).map_err(|why| format!("{value}: {why}"))?;
                read.script = Some(text.parse::<Plan>().map_err(|why| format!("{value}: {why}"))?);
            }
            _ => return Err(format!("{name} is unknown")),
        }
    }
    Ok(read)
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
    let groups: Vec<(String, Vec<Plan>)> = match &args.script {
        Some(plan) => vec![(plan.name.clone(), vec![plan.clone()])],
        None => {
            let plans = |profile: &Profile| {
                let drawn = args.seeds.clone().map(|seed| Plan::draw(seed, profile));
                (profile.name.to_owned(), drawn.collect())
            };
            args.profiles.iter().map(plans).collect()
        }
    };
    for (name, plans) in groups {
        let mut tally = Tally::default();
        for plan in plans {
            let options = FaultOptions { max_steps: args.max_steps, ..FaultOptions::new(plan) };
            let began = Instant::now();
            let played = if args.plays_twice { run_twice(&options) } else { run(&options) };
            match played {
                Ok(report) => tally.add(&report, began.elapsed()),
                Err(violation) => {
                    explain(&options, &violation, args.shrinks_for);
                    return ExitCode::FAILURE;
                }
            }
        }
        println!("{name:<9} {tally}\n{:<9} struck: {}", "", tally.strikes);
    }
    ExitCode::SUCCESS
}

/// What did not hold, and a small world in which the same does not.
fn explain(options: &FaultOptions, violation: &Violation, shrinks_for: Duration) {
    println!("{violation}");
    let Plan { seed, name, .. } = &options.plan;
    println!("again: cargo xtask sim --seed {seed} --profile {name}");
    if violation.breaks(Invariant::EqualSeedsPlayAlike) || shrinks_for.is_zero() {
        return;
    }
    let Shrunk { violation: small, n_runs, is_minimal } = shrink(options, violation, shrinks_for);
    let how = if is_minimal { "nothing more can go" } else { "the time was up" };
    println!("\nsmaller, after {n_runs} worlds ({how}); again: cargo xtask sim --script FILE\n");
    for broken in &small.broken {
        println!("# VIOLATED: {broken}");
    }
    print!("{}", small.plan);
}

#[derive(Default)]
struct Tally {
    n_worlds: u64,
    n_steps: u64,
    n_attempts: u64,
    n_tasks: u64,
    n_lost: u64,
    took: Duration,
    strikes: Strikes,
}

impl Tally {
    fn add(&mut self, report: &FaultReport, took: Duration) {
        self.n_worlds += 1;
        self.n_steps += report.n_steps;
        self.n_attempts += report.n_attempts as u64;
        self.n_tasks += report.states.values().sum::<usize>() as u64;
        self.n_lost += report.n_lost;
        self.took += took;
        self.strikes.merge(&report.strikes);
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Tally { n_worlds, n_steps, n_attempts, n_tasks, n_lost, took, strikes: _ } = self;
        let per_s = *n_steps as f64 / took.as_secs_f64();
        write!(
            f,
            "{n_worlds} worlds held: {n_tasks} tasks, {n_attempts} attempts, {n_lost} workers lost, \
             {n_steps} steps at {per_s:.0} a second"
        )
    }
}
