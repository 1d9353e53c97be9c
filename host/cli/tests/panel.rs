//! The panel in a real browser, against real hosts: `host/server/panel/e2e`. Its pictures are kept in
//! `target/panel-screenshots`.

use std::path::Path;
use std::process::Command;

#[test]
fn the_panel_shows_a_real_host_in_a_real_browser() {
    let panel = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("server").join("panel");
    for needed in ["dist/index.html", "node_modules/playwright-core"] {
        assert!(panel.join(needed).exists(), "no {needed}: run `cargo xtask panel`");
    }
    let shots = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("panel-screenshots");
    let output = Command::new("node")
        .args(["--test", "--test-concurrency=1", "e2e/"])
        .current_dir(&panel)
        .env("POINTSMAN", env!("CARGO_BIN_EXE_pointsman"))
        .env("SCREENSHOTS", &shots)
        .output()
        .expect("node runs: install Node.js 20 or later");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    let passed = told.lines().find_map(|line| line.strip_prefix("# pass ")?.parse::<u32>().ok());
    assert!(passed.is_some_and(|n| n >= 12), "they ran: {told}");
    let n_pictures = std::fs::read_dir(&shots).expect("they were kept").count();
    assert!(n_pictures >= 20, "{n_pictures} pictures");
}

#[test]
fn what_the_panel_computes_is_right() {
    let panel = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("server").join("panel");
    for script in ["check", "test"] {
        let output =
            Command::new("npm").args(["run", "--silent", script]).current_dir(&panel).output();
        let output = output.expect("npm runs: install Node.js 20 or later");
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{script}: {told}");
    }
}
