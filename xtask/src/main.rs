//! The project's tasks: `cargo xtask demo | test | panel | dist | bench | soak | sim | storm | fuzz-api | newcomer | freeze | bless | lint`.
//! Dependency-free, so that it builds in a second; makes sure that the WebAssembly target is there before anything needs it.

mod fuzz_api;
mod newcomer;
mod panel;

use std::env;
use std::process::{Command, ExitCode};

const USAGE: &str = "\
cargo xtask demo [--keep]      build, run a real workflow on three workers, swap policies meanwhile
cargo xtask test [ARGS…]       every test; ARGS go to the test runner (for example a test's name)
cargo xtask panel              build the panel, with Node.js; demo and test do it where they can
cargo xtask dist               one binary for release with the panel in it, in target/dist
cargo xtask bench [NAME…]      benchmarks in release mode: inner, processes, decision, simulation, waiting, hostile, stalled, forecasting; all without NAME
cargo xtask bench --peers      HyperQueue and Dask, which it installs with python3 and pip, beside Pointsman
cargo xtask soak [--swaps N | --compile FILE]
                               replace policies under load, or compile a large one; what that does to latency
cargo xtask sim [--seeds N | --seed S | --script FILE] [--profile NAME] [--steps N] [--twice] [--shrink SECONDS]
                               worlds in virtual time in which hosts, workers, network, disk and policies fail
cargo xtask storm [--rounds N]  real hosts and workers under load, killed and frozen again and again
cargo xtask fuzz-api [ARGS…]    ask a real host what its OpenAPI document allows and forbids; ARGS go to schemathesis
cargo xtask newcomer [--lang rust|python|javascript]
                               write a first policy, build it, see it serve; how long that takes
cargo xtask freeze VERSION     release the contract in wit/ as it is now, or say what it would break
cargo xtask bless              write generated files and snapshots anew; read the diff before you commit
cargo xtask lint               rustfmt and clippy, as the tests expect them";

const WASM_TARGET: &str = "wasm32-unknown-unknown";

fn main() -> ExitCode {
    let mut args = env::args().skip(1);
    let task = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    let outcome = match task.as_str() {
        "demo" => demo(&rest),
        "test" => test(&rest),
        "panel" => panel::build(),
        "dist" => dist(),
        "bench" => bench(&rest),
        "soak" => measure("soak", &rest),
        "sim" => measure("sim", &rest),
        "storm" => storm(&rest),
        "fuzz-api" => fuzz_api(&rest),
        "newcomer" => play_newcomer(&rest),
        "freeze" => freeze(&rest),
        "bless" => bless(&rest),
        "lint" => lint(),
        "" | "help" | "--help" | "-h" => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        other => Err(format!("no task {other:?}\n\n{USAGE}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("xtask: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn demo(args: &[String]) -> Result<(), String> {
    ensure_wasm_target()?;
    panel::build_if_possible();
    run(cargo().args(["run", "--package", "pointsman-cli", "--", "demo"]).args(args))
}

fn test(args: &[String]) -> Result<(), String> {
    ensure_wasm_target()?;
    panel::build_if_possible();
    if has_nextest() {
        // Which nextest leaves out. Arguments choose among its tests, so then there are no examples.
        let examples = if args.is_empty() { doc_tests() } else { Ok(()) };
        let tests =
            run(cargo().args(["nextest", "run", "--workspace", "--no-fail-fast"]).args(args));
        examples.and(tests)
    } else {
        run(cargo().args(["test", "--workspace", "--no-fail-fast"]).args(args))
    }
}

/// The examples of the documentation, the SDK's tutorial among them.
fn doc_tests() -> Result<(), String> {
    run(cargo().args(["test", "--workspace", "--doc", "--quiet", "--no-fail-fast"]))
}

fn dist() -> Result<(), String> {
    ensure_wasm_target()?;
    panel::build()?;
    run(cargo().args(["build", "--release", "--package", "pointsman-cli", "--bin", "pointsman"]))?;
    let release = panel::root().join("target/release/pointsman");
    let dist = panel::root().join("target/dist");
    std::fs::create_dir_all(&dist).map_err(|error| format!("{}: {error}", dist.display()))?;
    for from in [
        release,
        panel::root().join("LICENSE-APACHE"),
        panel::root().join("LICENSE-MIT"),
        panel::root().join("README.md"),
    ] {
        let to = dist.join(from.file_name().unwrap_or_default());
        std::fs::copy(&from, &to).map_err(|error| format!("{}: {error}", from.display()))?;
    }
    println!("{}", dist.display());
    Ok(())
}

/// Beside its peers Pointsman is measured as it is delivered, by its binary.
fn bench(args: &[String]) -> Result<(), String> {
    if args.iter().all(|it| it != "--peers") {
        return measure("bench", args);
    }
    ensure_wasm_target()?;
    let both = ["--package", "pointsman-cli", "--package", "pointsman-tests"];
    let programs = ["--bin", "pointsman", "--bin", "bench"];
    run(cargo().args(["build", "--release"]).args(both).args(programs))?;
    let own = env::current_exe().map_err(|error| format!("where is this program: {error}"))?;
    let release = own.parent().and_then(|debug| debug.parent()).map(|it| it.join("release"));
    let release = release.ok_or("this program is in no target folder")?;
    run(Command::new(release.join("bench")).args(args))
}

/// Runs one of the measuring programs in release mode.
fn measure(program: &str, args: &[String]) -> Result<(), String> {
    ensure_wasm_target()?;
    let release = ["run", "--release", "--package", "pointsman-tests", "--bin", program, "--"];
    run(cargo().args(release).args(args))
}

/// With the checks that only development builds make.
fn storm(args: &[String]) -> Result<(), String> {
    ensure_wasm_target()?;
    let both = ["--package", "pointsman-cli", "--package", "pointsman-tests"];
    run(cargo().arg("build").args(both).args(["--bin", "pointsman", "--bin", "storm"]))?;
    let own = env::current_exe().map_err(|error| format!("where is this program: {error}"))?;
    run(Command::new(own.with_file_name("storm")).args(args))
}

fn fuzz_api(args: &[String]) -> Result<(), String> {
    ensure_wasm_target()?;
    run(cargo().args(["build", "--package", "pointsman-cli"]))?;
    let own = env::current_exe().map_err(|error| format!("where is this program: {error}"))?;
    fuzz_api::fuzz(args, &own.with_file_name("pointsman"))
}

fn play_newcomer(args: &[String]) -> Result<(), String> {
    ensure_wasm_target()?;
    run(cargo().args(["build", "--package", "pointsman-cli"]))?;
    let own = env::current_exe().map_err(|error| format!("where is this program: {error}"))?;
    newcomer::play(args, &own.with_file_name("pointsman"))
}

fn freeze(args: &[String]) -> Result<(), String> {
    ensure_wasm_target()?;
    run(cargo().args(["run", "--package", "pointsman-tests", "--bin", "freeze", "--"]).args(args))
}

fn bless(args: &[String]) -> Result<(), String> {
    ensure_wasm_target()?;
    run(cargo()
        .env("POINTSMAN_BLESS", "1")
        .env("INSTA_UPDATE", "always")
        .args(["test", "--workspace"])
        .args(args))
}

fn lint() -> Result<(), String> {
    ensure_wasm_target()?;
    run(cargo().args(["fmt", "--all", "--check"]))?;
    run(cargo().args(["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]))
}

/// Installs the target that policies are compiled for, if this toolchain lacks it.
fn ensure_wasm_target() -> Result<(), String> {
    if has_wasm_target() {
        return Ok(());
    }
    eprintln!("xtask: adding the target {WASM_TARGET}, for which policies are compiled");
    let added = run(Command::new("rustup").args(["target", "add", WASM_TARGET]));
    added.map_err(|problem| {
        format!(
            "{problem}\nPolicies are WebAssembly: this toolchain needs the target {WASM_TARGET}. \
             With rustup: `rustup target add {WASM_TARGET}`; otherwise install the package of your \
             distribution that brings its standard library (Debian: libstd-rust-dev-wasm32)."
        )
    })
}

/// Asks the compiler, not rustup: a toolchain need not come from there.
fn has_wasm_target() -> bool {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let print = ["--print", "target-libdir", "--target", WASM_TARGET];
    let Ok(output) = Command::new(rustc).args(print).output() else { return false };
    let folder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let is_core = |name: &str| name.starts_with("libcore-") && name.ends_with(".rlib");
    output.status.success()
        && std::fs::read_dir(folder).is_ok_and(|mut entries| {
            entries.any(|entry| {
                entry.is_ok_and(|entry| entry.file_name().to_str().is_some_and(is_core))
            })
        })
}

fn has_nextest() -> bool {
    let version = cargo().args(["nextest", "--version"]).output();
    version.is_ok_and(|output| output.status.success())
}

fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

fn run(command: &mut Command) -> Result<(), String> {
    let shown = format!("{command:?}").replace('"', "");
    let status = command.status().map_err(|error| format!("failed to run {shown}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{shown} ended with {status}")) }
}
