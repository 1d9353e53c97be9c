//! The demonstration, whole: a policy swapped, weights changed and a worker killed while a recorded
//! workflow runs.

use std::process::Command;

#[test]
fn no_task_is_lost_by_swaps_new_weights_and_a_killed_worker() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_pointsman"))
        .args(["demo", "--json"])
        .env("TMPDIR", folder.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    let tally: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(tally["job"]["state"], "SUCCEEDED");
    assert_eq!(tally["job"]["counts"]["succeeded"], 212);
    let killed = tally["killed_worker"].as_str().unwrap();
    let workers = tally["workers"].as_array().unwrap();
    let lost = workers.iter().find(|worker| worker["name"] == killed).unwrap();
    assert_eq!(lost["state"], "lost");
    assert!(lost["n_lost"].as_u64().unwrap() > 0);
    let ran: u64 = workers.iter().map(|worker| worker["n_succeeded"].as_u64().unwrap()).sum();
    assert_eq!(ran, 212, "no task succeeded twice");
    assert!(told.contains("critical-path 0.1.0 serves"), "{told}");
    assert!(told.contains("configuration applied"), "{told}");
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 0, "its folder is removed");
}
