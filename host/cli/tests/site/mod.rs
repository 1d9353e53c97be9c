//! A host with one agent inside, in a folder of its own, and the binary that talks to it.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub out: String,
    pub err: String,
}

pub struct Site {
    folder: TempDir,
    address: String,
    host: Option<Child>,
}

/// A command that runs.
pub struct Running {
    child: Child,
    out: BufReader<ChildStdout>,
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pointsman"));
    command.args(args).env_remove("POINTSMAN_HOST").env_remove("POINTSMAN_TOKEN_FILE");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs the binary to its end.
pub fn pointsman(args: &[&str]) -> Ended {
    let output = command(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let code = output.status.code().expect("it was not killed");
    Ended { code, out: text(output.stdout), err: text(output.stderr) }
}

impl Site {
    pub fn without_host() -> Site {
        Site { folder: tempfile::tempdir().unwrap(), address: String::new(), host: None }
    }

    pub fn new() -> Site {
        Site::with("")
    }

    /// With more TOML.
    pub fn with(more: &str) -> Site {
        let mut site = Site::without_host();
        let config = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 1\ndata_dir = {:?}\n\
             [policies]\ndirectory = {:?}\n[retry]\nbackoff = {{ base = \"10ms\" }}\n{more}",
            site.path("data"),
            site.path("policies")
        );
        let config = site.file("pointsman.toml", &config);
        let log = std::fs::File::create(site.path("host.log")).unwrap();
        let mut host = command(&["serve", "--config", &config]).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(host.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ");
        site.address = address.expect("the host listens").to_owned();
        site.host = Some(host);
        let deadline = Instant::now() + Duration::from_secs(60);
        while !site.run(&["status"]).out.contains("1 of 1 workers live") {
            assert!(Instant::now() < deadline, "the agent registers");
        }
        site
    }

    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Its path.
    pub fn file(&self, name: &str, content: &str) -> String {
        let path = self.path(name);
        std::fs::write(Path::new(&path), content).unwrap();
        path
    }

    pub fn run(&self, args: &[&str]) -> Ended {
        pointsman(&[&["--host", &self.address], args].concat())
    }

    pub fn spawn(&self, args: &[&str]) -> Running {
        let mut child = command(&[&["--host", &self.address], args].concat()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Running { child, out }
    }

    /// Of the newest task of that name.
    pub fn id_of(&self, name: &str) -> String {
        let status: serde_json::Value =
            serde_json::from_str(&self.run(&["status", "--json"]).out).unwrap();
        let rows = status["tasks"].as_array().unwrap();
        let found = rows.iter().find(|row| row["name"] == name).unwrap();
        found["task"].as_str().unwrap().to_owned()
    }
}

fn signal(child: &Child, signal: nix::sys::signal::Signal) {
    let pid = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
    // It may have ended already.
    let _ = nix::sys::signal::kill(pid, signal);
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(host) = &mut self.host {
            signal(host, nix::sys::signal::Signal::SIGTERM);
            let _ = host.wait();
        }
    }
}

impl Running {
    pub fn wait_for_line(&mut self, expected: &str) {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        assert_eq!(line.trim_end(), expected);
    }

    pub fn interrupt(&self) {
        signal(&self.child, nix::sys::signal::Signal::SIGINT);
    }

    pub fn wait(mut self) -> Ended {
        let (mut out, mut err) = (String::new(), String::new());
        self.out.read_to_string(&mut out).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        let code = self.child.wait().unwrap().code().expect("it was not killed");
        Ended { code, out, err }
    }
}
