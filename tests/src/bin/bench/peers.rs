//! `--peers`: HyperQueue and Dask beside Pointsman, system after system in every round. No figure makes this
//! fail; only something that should have run and did not.

use pointsman_tests::peers::installed::Installed;
use pointsman_tests::peers::work::{Measured, Missing, NOOP_TASKS, Work};
use pointsman_tests::peers::{ALL, Setting, System, scripted};
use pointsman_tests::windows::{median, percentile};
use serde_json::{Value, json};
use std::process::{Command, ExitCode};

/// Selects this.
pub const FLAG: &str = "--peers";
const ROUNDS: usize = 3;
/// Cores are never idle while one task ends and the next one comes.
const SLOTS_PER_CORE: usize = 2;
const WORKS: [Work; 4] = [
    Work::Processes { n: 2_000 },
    Work::Noop,
    Work::Latency { n: 200 },
    Work::Waiting { n: 100_000 },
];

/// A line of the table: one system doing one work, looked at in one way.
struct Figure {
    what: &'static str,
    system: System,
    /// One per round.
    values: Result<Vec<f64>, Missing>,
}

/// What a work's measurements are told by, and how one measurement gives it.
type Look = (&'static str, fn(&[f64]) -> f64);

pub fn run() -> (Value, ExitCode) {
    let setting = match setting() {
        Ok(setting) => setting,
        Err(problem) => {
            eprintln!("{problem}");
            return (json!({ "did_not_run": problem }), ExitCode::FAILURE);
        }
    };
    let versions = versions(&setting);
    let mut figures = Vec::new();
    for work in WORKS {
        figures.extend(measure(work, &setting));
    }
    println!();
    tell(&figures, &versions, &setting);
    let has_failed = figures.iter().any(|it| matches!(it.values, Err(Missing::Failed(_))));
    let code = if has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    let numbers: Vec<Value> = figures.iter().map(|figure| kept(figure, &figures)).collect();
    (json!({ "versions": versions, "slots": setting.n_slots, "figures": numbers }), code)
}

fn setting() -> Result<Setting, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let binary = own.with_file_name("pointsman");
    if !binary.exists() {
        return Err(format!("{} is not built", binary.display()));
    }
    let target =
        own.parent().and_then(|folder| folder.parent()).expect("cargo has a target folder");
    let installed = Installed::into(&target.join("peers"))?;
    let n_cores = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(Setting { binary, installed, n_slots: n_cores * SLOTS_PER_CORE })
}

fn versions(setting: &Setting) -> Vec<String> {
    let ours = Command::new(&setting.binary).arg("--version").output();
    let ours = ours.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let mut versions = vec![ours.unwrap_or_else(|error| error.to_string())];
    for script in ["hyperqueue_peer.py", "dask_peer.py"] {
        let version = scripted::version(script, &setting.installed);
        versions.push(version.unwrap_or_else(|missing| format!("{script}: {missing}")));
    }
    versions
}

/// All rounds of one work: in each, every system once.
fn measure(work: Work, setting: &Setting) -> Vec<Figure> {
    let systems: Vec<System> = ALL.into_iter().filter(|it| it.takes_part(work)).collect();
    let mut rounds: Vec<Result<Vec<Vec<f64>>, Missing>> = vec![Ok(Vec::new()); systems.len()];
    for round in 1..=ROUNDS {
        for turn in 0..systems.len() {
            // Another one begins each time, so that none always follows the same.
            let index = (turn + round) % systems.len();
            let (system, rounds) = (systems[index], &mut rounds[index]);
            // One that is missing a figure is not asked again.
            let Ok(so_far) = rounds else { continue };
            let measured: Measured = system.measure(work, setting);
            match measured {
                Ok(values) => {
                    let looks = looks(work).iter().map(|(what, look)| (what, look(&values)));
                    let looks = looks.map(|(what, value)| format!("{what} {}", shown(value)));
                    let looks: Vec<String> = looks.collect();
                    println!("round {round}, {}: {}", system.name(), looks.join(", "));
                    so_far.push(values);
                }
                Err(missing) => {
                    println!("round {round}, {}: {missing}", system.name());
                    *rounds = Err(missing);
                }
            }
        }
    }
    let mut figures = Vec::new();
    for (what, look) in looks(work) {
        for (system, rounds) in systems.iter().zip(&rounds) {
            let look = |rounds: &Vec<Vec<f64>>| rounds.iter().map(|it| look(it)).collect();
            let values = rounds.as_ref().map(look).map_err(Clone::clone);
            figures.push(Figure { what, system: *system, values });
        }
    }
    figures
}

fn looks(work: Work) -> &'static [Look] {
    match work {
        Work::Processes { .. } => &[("/bin/true, tasks/s", |values| values[0])],
        Work::Noop => &[("no-op tasks/s", |values| values[0])],
        Work::Latency { .. } => &[
            ("start p50, ms", |values| percentile(values.to_vec(), 0.5)),
            ("start p99, ms", |values| percentile(values.to_vec(), 0.99)),
        ],
        Work::Waiting { .. } => &[
            ("server idle, MiB", |values| values[0]),
            ("100,000 waiting, MiB", |values| values[1]),
        ],
    }
}

fn tell(figures: &[Figure], versions: &[String], setting: &Setting) {
    println!(
        "{:<21} {:<21} {:>9} {:>19} {:>13}  durable before acknowledged",
        "what", "system", "median", "range", "ours / theirs"
    );
    for figure in figures {
        let Figure { what, system, values } = figure;
        match values {
            Ok(values) => {
                let durable = match system {
                    System::Bare => "",
                    _ if system.is_durable() => "yes",
                    _ => "no",
                };
                let [low, high] = [0.0, 1.0].map(|at| shown(percentile(values.clone(), at)));
                println!(
                    "{what:<21} {:<21} {:>9} {:>19} {:>13}  {durable}",
                    system.name(),
                    shown(median(values.clone())),
                    format!("{low} to {high}"),
                    ratio(figure, figures).map_or(String::new(), |ratio| format!("{ratio:.2}")),
                );
            }
            Err(missing) => println!("{what:<21} {:<21} {:>9}  {missing}", system.name(), "-"),
        }
    }
    println!(
        "\nMedians over {ROUNDS} rounds; the ratio is the median over rounds of Pointsman as it comes / the other. \
         {} tasks at a time on {} cores; clients, servers and workers on this machine, in temporary folders; \
         each started anew and warmed up with a tenth of the tasks. No-op: {NOOP_TASKS} tasks, ours ten times \
         as many, since they would end too soon to be timed; ours are acknowledged by a worker that runs \
         nothing, Dask's call an empty function. Start: from just before submitting until `date`, run by the \
         task's shell, looks at the clock.",
        setting.n_slots,
        setting.n_slots / SLOTS_PER_CORE
    );
    println!("Versions: {}.", versions.join("; "));
    for system in ALL {
        println!("{}: {}.", system.name(), system.about());
    }
    if let Ok(load) = std::fs::read_to_string("/proc/loadavg") {
        println!("Load of the machine at the end: {}", load.trim());
    }
}

/// Ours as it comes, to that: the median over the rounds.
fn ratio(figure: &Figure, figures: &[Figure]) -> Option<f64> {
    let is_ours = |it: &&Figure| it.what == figure.what && it.system == System::Pointsman;
    let ours = figures.iter().find(is_ours)?.values.as_ref().ok()?;
    let theirs = figure.values.as_ref().ok()?;
    Some(median(ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect()))
}

fn kept(figure: &Figure, figures: &[Figure]) -> Value {
    let (what, system) = (figure.what, figure.system.name());
    match &figure.values {
        Ok(values) => json!({
            "what": what, "system": system, "rounds": values, "median": median(values.clone()),
            "ours_to_theirs": ratio(figure, figures),
        }),
        Err(missing) => json!({ "what": what, "system": system, "missing": missing.to_string() }),
    }
}

/// Three digits that count, or all before the point.
fn shown(value: f64) -> String {
    if value < 10.0 {
        format!("{value:.2}")
    } else if value < 100.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}
