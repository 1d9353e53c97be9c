//! The project's benchmarks: `cargo xtask bench [inner | processes | decision | simulation | waiting | hostile | stalled | forecasting]`. Prints ratios of what
//! was measured side by side in one run, and keeps the numbers as JSON under `target/bench`. `--peers` alone
//! measures other schedulers beside this one, which it installs first.

mod decision;
mod forecasting;
mod hostile;
mod inner;
mod peers;
mod processes;
mod simulation;
mod stalled;
mod waiting;

use serde_json::Value;
use std::process::ExitCode;

type Bench = fn() -> Value;
const BENCHES: [(&str, Bench); 8] = [
    ("inner", inner::run),
    ("processes", processes::run),
    ("decision", decision::run),
    ("simulation", simulation::run),
    ("waiting", waiting::run),
    ("hostile", hostile::run),
    ("stalled", stalled::run),
    ("forecasting", forecasting::run),
];

fn main() -> ExitCode {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, folder] = asked.as_slice()
        && mode == waiting::SERVE
    {
        waiting::serve(folder);
        return ExitCode::SUCCESS;
    }
    if asked == [peers::FLAG] {
        println!("== peers");
        let (numbers, code) = peers::run();
        keep("peers", &numbers);
        return code;
    }
    if let Some(unknown) = asked.iter().find(|name| !BENCHES.iter().any(|(it, _)| it == name)) {
        let known = BENCHES.map(|(name, _)| name).join(", ");
        eprintln!("no benchmark {unknown:?}; there are {known}, and alone {}", peers::FLAG);
        return ExitCode::from(2);
    }
    for (name, bench) in BENCHES {
        if asked.is_empty() || asked.iter().any(|it| it == name) {
            println!("== {name}");
            keep(name, &bench());
            println!();
        }
    }
    ExitCode::SUCCESS
}

fn keep(name: &str, numbers: &Value) {
    let folder = std::path::Path::new("target/bench");
    let path = folder.join(format!("{name}.json"));
    let text = format!("{numbers:#}\n");
    match std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, text)) {
        Ok(()) => println!("kept in {}", path.display()),
        Err(error) => eprintln!("not kept: {error}"),
    }
}
