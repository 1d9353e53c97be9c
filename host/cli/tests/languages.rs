//! What `pointsman policy new` writes builds with the tools of each language, passes its own test and is
//! admitted; and a file as cargo writes it serves in a running host.

#[expect(dead_code, reason = "shared with tests that use more of it")]
mod site;
#[path = "../../../tests/src/toolchains.rs"]
mod toolchains;

use serde_json::Value;
use site::{Site, pointsman};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use toolchains::Toolchains;

const SLOTS: [&str; 4] = ["scoring", "queue", "rescheduling", "forecasting"];

/// A new project named after its slot.
fn project(site: &Site, slot: &str, language: &str) -> PathBuf {
    let folder = site.path(&format!("{language}-{slot}"));
    let name = format!("my-{slot}");
    let new = ["policy", "new", &name, "--slot", slot, "--lang", language, "--dir", &folder];
    let ended = pointsman(&new);
    assert_eq!(ended.code, 0, "{ended:?}");
    folder.into()
}

/// Tests and builds it. All share a target folder, so that the SDK's dependencies are compiled once.
fn build_rust(project: &Path, name: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("new-rust");
    let build = ["build", "--release", "--target", "wasm32-unknown-unknown"];
    for args in [&["test", "--quiet"][..], &build] {
        let mut cargo = Command::new(env!("CARGO"));
        let output =
            cargo.args(args).current_dir(project).env("CARGO_TARGET_DIR", &target).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let file = format!("wasm32-unknown-unknown/release/{}.wasm", name.replace('-', "_"));
    let built = target.join(file);
    // Out of the shared folder, where another test may build one of the same name.
    let wasm = project.join("policy.wasm");
    fs::copy(built, &wasm).unwrap();
    wasm
}

fn check(wasm: &Path, slot: &str, guest: &str) {
    let ended = pointsman(&["--json", "policy", "check", "--slot", slot, wasm.to_str().unwrap()]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let it: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(it["name"], format!("my-{slot}"));
    assert_eq!(it["guest"], guest, "{it}");
    if slot == "forecasting" {
        assert_eq!(it["provides"], serde_json::json!(["predicted:cpu-used"]));
        assert_eq!(it["needs_worker"], serde_json::json!(["cpu-used@-9m..0s/1m"]));
    }
}

#[test]
fn no_new_project_in_rust_fails_to_build_or_to_be_admitted() {
    let site = Site::without_host();
    for slot in SLOTS {
        let wasm = build_rust(&project(&site, slot, "rust"), &format!("my-{slot}"));
        check(&wasm, slot, "compiled");
        bench(&wasm, slot);
    }
}

/// Where the tutorial says that it goes: into a new project, in place of what is there.
#[test]
fn the_tutorials_policy_is_not_refused() {
    let site = Site::without_host();
    let folder = site.path("thrifty");
    let ended = pointsman(&["policy", "new", "thrifty", "--dir", &folder]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let tutorial = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/sdk/src/tutorial");
    let part = |name| fs::read_to_string(tutorial.join(name)).unwrap();
    let code = ["columns.rs", "config.rs", "policy.rs"].map(part).join("\n");
    fs::write(Path::new(&folder).join("src/lib.rs"), code).unwrap();
    let wasm = build_rust(Path::new(&folder), "thrifty");
    let check = ["--json", "policy", "check", wasm.to_str().unwrap(), "--config", "room = 0.7"];
    let ended = pointsman(&check);
    assert_eq!(ended.code, 0, "{ended:?}");
    let it: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((&it["name"], &it["node_local"]), (&"thrifty".into(), &true.into()), "{it}");
    bench(&wasm, "scoring");
}

/// Nothing of its calls fails or costs nothing.
fn bench(wasm: &Path, slot: &str) {
    let path = wasm.to_str().unwrap();
    let ended = pointsman(&["--json", "policy", "bench", "--slot", slot, "--rows", "1,1000", path]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let it: Value = serde_json::from_str(&ended.out).unwrap();
    let fuel = |row: usize| it["rows"][row]["fuel"].as_u64().unwrap_or_else(|| panic!("{it}"));
    assert!(fuel(1) > 10 * fuel(0), "{it}");
}

#[test]
fn no_new_project_in_javascript_fails_to_build_or_to_be_admitted() {
    let site = Site::without_host();
    let toolchains = Toolchains::in_folder(env!("CARGO_TARGET_TMPDIR"));
    for slot in SLOTS {
        let project = project(&site, slot, "javascript");
        let wasm = toolchains.build_javascript(&project, &format!("my-{slot}"));
        check(&wasm, slot, "interpreted");
    }
}

#[test]
fn no_new_project_in_python_fails_to_build_or_to_be_admitted() {
    let site = Site::without_host();
    let toolchains = Toolchains::in_folder(env!("CARGO_TARGET_TMPDIR"));
    for slot in SLOTS {
        let project = project(&site, slot, "python");
        let wasm = project.join(format!("my-{slot}.wasm"));
        toolchains.build_python(&project, &project.join("wit"), slot, &wasm);
        check(&wasm, slot, "interpreted");
    }
}

#[test]
fn a_file_straight_from_cargo_is_not_refused_by_a_running_host() {
    let site = Site::new();
    let wasm = build_rust(&project(&site, "scoring", "rust"), "my-scoring");
    fs::create_dir_all(site.path("policies")).unwrap();
    fs::copy(wasm, site.path("policies/dropped.wasm")).unwrap();
    assert_eq!(site.run(&["policy", "use", "scoring", "dropped"]).code, 0);
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let list = site.run(&["--json", "policy", "list"]);
        let list: Value = serde_json::from_str(&list.out).unwrap();
        let slots = list["slots"].as_array().unwrap();
        let scoring = slots.iter().find(|it| it["slot"] == "scoring").unwrap();
        if scoring["name"] == "my-scoring" && scoring["state"] == "serving" {
            break;
        }
        assert!(Instant::now() < deadline, "{list}");
    }
    let ended = site.run(&["run", "echo placed by it"]);
    assert_eq!((ended.code, ended.out.trim()), (0, "placed by it"));
    let list = site.run(&["policy", "list"]);
    let row = list.out.lines().find(|line| line.starts_with("scoring ")).unwrap();
    assert!(row.contains("my-scoring 0.1.0"), "{row}");
}
