//! The example `lstm-swap`, whole but in its short form: forecasts and rescheduling by them, swapped in and out
//! while work runs, and a bad model found out. The script itself ends with 0 only if it has seen all of that.

use std::process::Command;

#[test]
fn no_task_is_lost_by_swaps_to_forecasts_and_back_and_no_bad_model_stays() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/lstm-swap/run.py");
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new("python3")
        .args([script, "--quick"])
        .env("POINTSMAN", env!("CARGO_BIN_EXE_pointsman"))
        .env("TMPDIR", folder.path())
        .output()
        .expect("python3, which runs the example, is there");
    let told = String::from_utf8_lossy(&output.stdout);
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}{wrong}");
    for phase in ["first   threshold          36", "second  lstm-rescheduling  36"] {
        assert!(told.contains(phase), "{phase} in {told}");
    }
    let succeeded = told.matches("succeeded, once each").count();
    assert_eq!(succeeded, 4, "three phases, and the bad model's: {told}");
    for word in ["unfit after", "threshold serves (fallback)", "lstm-rescheduling serves again"] {
        assert!(told.contains(word), "{word} in {told}");
    }
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 0, "its folder is removed");
}
