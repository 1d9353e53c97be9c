//! Policies in every language that has an example: built with the language's own tools, admitted as
//! they are, and serving.

use pointsman_policy::{
    Assets, Binding, Inspected, Inspector, LibrarySettings, LimitsByKind, PolicyHost, SlotState,
    Subject,
};
use pointsman_scheduler::Slot;
use pointsman_scheduler::policies::{Action, NO_WORKER, Policies};
use pointsman_tests::toolchains::Toolchains;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// A guest with an interpreter takes a while to compile, longer on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn toolchains() -> Toolchains {
    Toolchains::in_folder(env!("CARGO_TARGET_TMPDIR"))
}

/// A copy of an example, so that building leaves nothing in the source tree.
fn example(language: &str) -> (TempDir, PathBuf) {
    let name = format!("policy-{language}");
    let folder = TempDir::new().unwrap();
    // As deep as in the tree, where the example names what it takes from there.
    let project = folder.path().join("examples").join(&name);
    copy(&root().join("examples").join(&name), &project);
    std::os::unix::fs::symlink(root().join("wit"), folder.path().join("wit")).unwrap();
    (folder, project)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        // What somebody who tries the example has built there.
        if ["target", "node_modules", ".venv"].iter().any(|built| *built == name) {
            continue;
        }
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

/// A host whose policy folder holds one file, bound to its slot and serving.
fn serving(slot: Slot, wasm: &Path) -> (PolicyHost, TempDir) {
    let folder = TempDir::new().unwrap();
    fs::copy(wasm, folder.path().join("example.wasm")).unwrap();
    let settings =
        LibrarySettings { directory: Some(folder.path().to_owned()), ..LibrarySettings::default() };
    let (mut host, library) = PolicyHost::start(settings).unwrap();
    library.bind(slot, Some(Binding::to("example")));
    assert!(library.settle(PATIENCE), "it is looked at in time");
    host.begin_round();
    let status = library.status();
    let status = status.slots.iter().find(|it| it.slot == slot).unwrap();
    assert_eq!(status.state, SlotState::Serving, "{:?}", status.refused);
    (host, folder)
}

/// Prints what its calls cost, and answers what is known of it.
fn measured(wasm: &Path) -> Inspected {
    let bytes = fs::read(wasm).unwrap();
    let inspector = Inspector::new(LimitsByKind::default()).unwrap();
    let subject = Subject {
        bytes: &bytes,
        slot: None,
        config: "{}",
        assets: &Assets::default(),
        wasi_traps: false,
    };
    let bench = inspector.bench(&subject, &[1, 100, 1_000]).unwrap();
    let it = bench.inspected;
    println!(
        "{}: {} bytes, compiled in {:?}, started in {:?}",
        it.name, it.size, it.compile, it.start
    );
    for row in &bench.rows {
        let cost = row.cost.as_ref().unwrap();
        println!(
            "  {} rows: {:?}, fuel {}, {} bytes",
            row.n_rows, cost.took, cost.fuel, cost.memory
        );
    }
    it
}

#[test]
fn no_file_of_cargo_needs_more_than_being_dropped() {
    let project = root().join("examples/policy-rust");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("policy-rust");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--release", "--locked", "--target", "wasm32-unknown-unknown"]);
    let built = cargo.current_dir(project).env("CARGO_TARGET_DIR", &target).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let wasm = target.join("wasm32-unknown-unknown/release/rust_example.wasm");
    assert!(!measured(&wasm).is_interpreted);
    let (mut host, _folder) = serving(Slot::Scoring, &wasm);
    assert_eq!(host.scoring().name, "rust-example");
    let workers = [vec![0.0, 1.0, f64::NAN], vec![0.0, 1.0, 0.5], vec![0.0, 1e3, f64::NAN]];
    let mut scores = Vec::new();
    host.score(&[], &workers, 3, &mut scores).unwrap();
    assert_eq!(scores[..2], [1.0, 0.0]);
}

#[test]
fn no_policy_in_python_is_kept_from_serving() {
    let (_folder, project) = example("python");
    let wasm = project.join("python-example.wasm");
    toolchains().build_python(&project, &root().join("wit"), "queue", &wasm);
    let inspected = measured(&wasm);
    assert!(inspected.is_interpreted, "it gets the limits of an interpreter");
    assert_eq!(inspected.needs_task, ["submitted-ms", "priority"]);
    let (mut host, _folder) = serving(Slot::Queue, &wasm);
    assert_eq!(host.queue().name, "python-example");
    let tasks = [vec![1_000.0, 2_000.0], vec![0.0, 1.0]];
    let mut ranks = Vec::new();
    host.rank(3_000.0, &tasks, 2, &mut ranks).unwrap();
    assert_eq!(ranks, [1_000.0, -58_000.0]);
}

#[test]
fn no_policy_in_javascript_is_kept_from_serving() {
    let (_folder, project) = example("javascript");
    let wasm = toolchains().build_javascript(&project, "javascript-example");
    let inspected = measured(&wasm);
    assert!(inspected.is_interpreted, "it gets the limits of an interpreter");
    let (mut host, _folder) = serving(Slot::Rescheduling, &wasm);
    assert_eq!(host.rescheduling().unwrap().name, "javascript-example");
    let tasks = [vec![10_000.0, 10_000.0], vec![1_000.0, 1_000.0], vec![1.0, 1.0]];
    let proposals = host.review(0.0, &tasks, &[0, NO_WORKER], &[vec![2.0]]).unwrap();
    let found: Vec<_> = proposals.iter().map(|it| (it.row, it.action, &*it.reason)).collect();
    assert_eq!(found, [(0, Action::Migrate, "takes more than 2 times what was expected")]);
}
