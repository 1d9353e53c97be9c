//! `pointsman store` beside and after a real host: backups that a new host goes on from, damage that
//! is told, and what is got out of it.

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A host without workers: what is submitted stays as it is.
struct Host {
    child: Child,
    address: String,
}

struct Ended {
    code: i32,
    out: String,
    err: String,
}

fn pointsman(args: &[&str]) -> Ended {
    let output = Command::new(env!("CARGO_BIN_EXE_pointsman")).args(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let code = output.status.code().expect("it was not killed");
    Ended { code, out: text(output.stdout), err: text(output.stderr) }
}

fn serve(data: &Path) -> Command {
    let config = data.with_extension("toml");
    let policies = data.with_file_name("policies");
    std::fs::create_dir_all(&policies).unwrap();
    std::fs::write(&config, format!("[policies]\ndirectory = {policies:?}\n")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_pointsman"));
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--config", config.to_str().unwrap()])
        .args(["--data-dir", data.to_str().unwrap()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}

impl Host {
    fn start(data: &Path) -> Host {
        let mut child = serve(data).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").expect("the host listens");
        Host { address: address.to_owned(), child }
    }

    fn run(&self, args: &[&str]) -> Ended {
        pointsman(&[&["--host", &self.address], args].concat())
    }

    fn status(&self) -> Value {
        serde_json::from_str(&self.run(&["status", "--json"]).out).unwrap()
    }

    /// As SIGTERM does it.
    fn stop(mut self) {
        let pid = nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a host says that does not start.
fn refusal(data: &Path) -> String {
    let ended = serve(data).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    String::from_utf8(ended.stderr).unwrap()
}

/// Four tasks, the third with a script that is found again in the file.
fn submit(host: &Host, folder: &Path) {
    let job = folder.join("job.json");
    let text = r#"{"name": "j", "tasks": [
        {"task_name": "a", "script": "true"},
        {"task_name": "b", "script": "true", "dependencies": ["a"]},
        {"task_name": "c", "script": "echo the script that gets damaged", "dependencies": ["a"]},
        {"task_name": "d", "script": "true", "dependencies": ["c"]}]}"#;
    std::fs::write(&job, text).unwrap();
    let ended = host.run(&["submit", job.to_str().unwrap()]);
    assert_eq!(ended.code, 0, "{}", ended.err);
}

fn damage_script(store: &Path) {
    let mut bytes = std::fs::read(store).unwrap();
    let needle = b"echo the script that gets";
    let mut n_found = 0;
    for at in 0..bytes.len() - needle.len() {
        if bytes[at..].starts_with(needle) {
            bytes[at] = b'E';
            n_found += 1;
        }
    }
    assert!(n_found > 0, "the script lies in the file");
    std::fs::write(store, bytes).unwrap();
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    (folder, data)
}

#[test]
fn a_new_host_goes_on_from_a_backup_that_was_made_while_the_old_one_ran() {
    let (folder, data) = folder();
    let host = Host::start(&data);
    submit(&host, folder.path());
    let out = folder.path().join("backup.sqlite");
    let (data_arg, out_arg) = (data.to_str().unwrap(), out.to_str().unwrap());
    let made = pointsman(&["store", "backup", data_arg, out_arg]);
    assert_eq!(made.code, 0, "{}", made.err);
    assert!(made.out.contains("1 jobs, 4 tasks"), "{}", made.out);
    // Not in the backup.
    submit(&host, folder.path());
    let again = pointsman(&["store", "backup", data_arg, out_arg]);
    assert_eq!(again.code, 1);
    assert!(again.err.contains("nothing is overwritten"), "{}", again.err);
    let checked = pointsman(&["store", "check", data_arg]);
    assert_eq!(checked.code, 0, "{} {}", checked.out, checked.err);
    assert!(checked.out.contains("8 tasks") && checked.out.contains("nothing is wrong"));
    assert_eq!(host.status()["counts"]["pending"], 8, "the host goes on");
    let restored = folder.path().join("restored");
    std::fs::create_dir(&restored).unwrap();
    std::fs::copy(&out, restored.join("store.sqlite")).unwrap();
    let other = Host::start(&restored);
    let (old, new) = (host.status(), other.status());
    assert_eq!(new["counts"]["pending"], 4);
    assert!(new["term"].as_u64() > old["term"].as_u64(), "terms go on");
    submit(&other, folder.path());
}

#[test]
fn a_damaged_record_is_told_and_its_task_has_failed() {
    let (folder, data) = folder();
    let host = Host::start(&data);
    submit(&host, folder.path());
    assert!(host.status().get("set_aside").is_none());
    host.stop();
    damage_script(&data.join("store.sqlite"));
    let data_arg = data.to_str().unwrap();
    let checked = pointsman(&["store", "check", data_arg, "--json"]);
    assert_eq!(checked.code, 1, "{}", checked.out);
    assert!(
        checked.out.contains("task 3 cannot be read: its checksum is wrong"),
        "{}",
        checked.out
    );
    // Also for those who come later.
    for _ in 0..2 {
        let host = Host::start(&data);
        let status = host.status();
        let set_aside = status["set_aside"].as_array().expect("it is told");
        assert_eq!(set_aside.len(), 1, "{status}");
        assert_eq!((&set_aside[0]["kind"], &set_aside[0]["key"]), (&"task".into(), &"3".into()));
        let counts = &status["counts"];
        assert_eq!(counts["pending"], 2, "{counts}");
        assert_eq!((&counts["failed"], &counts["skipped"]), (&1.into(), &1.into()), "{counts}");
        assert!(host.run(&["status"]).out.contains("1 damaged records"));
        host.stop();
    }
    let checked = pointsman(&["store", "check", data_arg]);
    assert_eq!(checked.code, 0, "{}", checked.out);
    assert!(checked.out.contains("set aside: task 3"), "{}", checked.out);
}

#[test]
fn a_damaged_store_is_refused_and_salvaged_into_a_new_one() {
    let (folder, data) = folder();
    let host = Host::start(&data);
    for _ in 0..200 {
        submit(&host, folder.path());
    }
    host.stop();
    let store = data.join("store.sqlite");
    let mut bytes = std::fs::read(&store).unwrap();
    let middle = bytes.len() / 2 / 4_096 * 4_096;
    bytes[middle..middle + 8_192].fill(0);
    std::fs::write(&store, &bytes).unwrap();
    let told = refusal(&data);
    assert!(told.contains("at byte ") && told.contains("store.sqlite"), "{told}");
    assert!(told.contains("pointsman store salvage"), "{told}");
    let out = folder.path().join("saved.sqlite");
    let salvaged = pointsman(&["store", "salvage", data.to_str().unwrap(), out.to_str().unwrap()]);
    assert_eq!(salvaged.code, 0, "{}", salvaged.err);
    assert!(salvaged.out.contains("lost: "), "{}", salvaged.out);
    assert_eq!(std::fs::read(&store).unwrap(), bytes, "it was left as it is");
    let saved = folder.path().join("saved");
    std::fs::create_dir(&saved).unwrap();
    std::fs::copy(&out, saved.join("store.sqlite")).unwrap();
    let host = Host::start(&saved);
    let status = host.status();
    let pending = status["counts"]["pending"].as_u64().unwrap();
    assert!((200..800).contains(&pending), "{}", status["counts"]);
    assert!(status.get("set_aside").is_none(), "they were told once");
}

#[test]
fn a_store_that_is_gone_and_one_in_use_are_refused() {
    let (folder, data) = folder();
    let host = Host::start(&data);
    submit(&host, folder.path());
    let told = refusal(&data);
    assert!(told.contains(&format!("in use by process {}", host.child.id())), "{told}");
    host.stop();
    std::fs::remove_file(data.join("store.sqlite")).unwrap();
    let told = refusal(&data);
    assert!(told.contains("the file is missing, though a store was made here"), "{told}");
    assert!(!data.join("store.sqlite").exists());
}
