//! Asks a real host everything that its OpenAPI document allows and much that it forbids, by schemathesis.
//! A finding is an answer that is not described, a refusal of what is described, a connection that breaks
//! off, or a panic.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The one that the settings and checks are written for.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";
const SETTINGS: &str = include_str!("fuzz_api/schemathesis.toml");
const CHECKS: &str = include_str!("fuzz_api/checks.py");
/// Something that is there from the beginning.
const JOB: &str = include_str!("fuzz_api/job.json");
const ADMIN: &str = "token-of-the-admin";
const WORKER: &str = "token-of-the-workers";

/// `args` go to `schemathesis run`: `--seed N` repeats a run, `--include-operation-id ID` asks one alone.
pub fn fuzz(args: &[String], pointsman: &Path) -> Result<(), String> {
    let target = pointsman.ancestors().nth(2).ok_or("the build has no folder")?;
    let folder = target.join("fuzz-api");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let schemathesis = install(&folder)?;
    write(&folder.join("schemathesis.toml"), SETTINGS)?;
    write(&folder.join("checks.py"), CHECKS)?;
    let site = Site::start(pointsman)?;
    let mut run = Command::new(schemathesis);
    run.current_dir(&folder).arg("run").arg(format!("{}/v1/openapi.json", site.address));
    run.args(["--header", &format!("Authorization: Bearer {ADMIN}")]);
    // Which checks is said in the configuration: named here, they would be made of all operations.
    run.args(args);
    let found = run.status().map_err(|error| format!("schemathesis: {error}"))?;
    site.end()?;
    if found.success() { Ok(()) } else { Err(format!("schemathesis ended with {found}")) }
}

/// Into a virtual environment of its own, once; where its program is.
fn install(folder: &Path) -> Result<PathBuf, String> {
    let venv = folder.join("venv");
    let program = venv.join("bin/schemathesis");
    let stamp = venv.join("installed");
    if fs::read_to_string(&stamp).is_ok_and(|it| it == SCHEMATHESIS) {
        return Ok(program);
    }
    eprintln!("xtask: installing {SCHEMATHESIS} into {}", venv.display());
    super::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
    let mut pip = Command::new(venv.join("bin/pip"));
    super::run(pip.args(["install", "--quiet", "--disable-pip-version-check", SCHEMATHESIS]))?;
    write(&stamp, SCHEMATHESIS)?;
    Ok(program)
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

/// A host with tokens and two workers, in a folder of its own, gone afterwards.
struct Site {
    folder: PathBuf,
    address: String,
    processes: Vec<Child>,
}

impl Site {
    fn start(pointsman: &Path) -> Result<Site, String> {
        let name = format!("pointsman-fuzz-api-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let tell = |error: std::io::Error| format!("{}: {error}", folder.display());
        fs::create_dir_all(folder.join("policies")).map_err(tell)?;
        write(&folder.join("admin"), ADMIN)?;
        write(&folder.join("worker"), WORKER)?;
        let config = folder.join("pointsman.toml");
        write(&config, &settings(&folder))?;
        let mut serve = Command::new(pointsman);
        serve.args(["serve", "--config"]).arg(config).stdout(Stdio::piped());
        serve.stderr(fs::File::create(folder.join("host.log")).map_err(tell)?);
        let mut host = serve.spawn().map_err(|error| format!("the host: {error}"))?;
        let stdout = host.stdout.take().ok_or("the host has no output")?;
        let mut site = Site { folder, address: String::new(), processes: vec![host] };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).map_err(|error| error.to_string())?;
        let address = line.trim().strip_prefix("listening on ");
        site.address = address.ok_or_else(|| format!("the host said {line:?}"))?.to_owned();
        for name in ["one", "two"] {
            site.hire(pointsman, name)?;
        }
        let job = site.folder.join("job.json");
        write(&job, JOB)?;
        let mut submit = Command::new(pointsman);
        submit.args(["--host", &site.address, "--token-file"]).arg(site.folder.join("admin"));
        super::run(submit.arg("submit").arg(job))?;
        Ok(site)
    }

    /// Workers outside of the host, since they are not to run the scripts: those are random texts, and
    /// `/bin/sh` would do what they happen to say.
    fn hire(&mut self, pointsman: &Path, name: &str) -> Result<(), String> {
        let mut worker = Command::new(pointsman);
        worker.args(["--host", &self.address, "--token-file"]).arg(self.folder.join("worker"));
        worker.args(["worker", "--no-execution", "--name", name]);
        worker.arg("--data-dir").arg(self.folder.join(name));
        worker.stdout(Stdio::null()).stderr(Stdio::null());
        self.processes.push(worker.spawn().map_err(|error| format!("a worker: {error}"))?);
        Ok(())
    }

    /// Whether the host still lives, and nothing in it panicked.
    fn end(mut self) -> Result<(), String> {
        let ended = self.processes[0].try_wait().map_err(|error| error.to_string())?;
        let log = fs::read_to_string(self.folder.join("host.log")).unwrap_or_default();
        let panics: Vec<&str> =
            log.lines().skip_while(|line| !line.contains("panicked")).take(20).collect();
        match ended {
            Some(status) => Err(format!("the host ended with {status}:\n{log}")),
            None if !panics.is_empty() => Err(format!("the host:\n{}", panics.join("\n"))),
            None => Ok(()),
        }
    }
}

/// Short holds, and little of what is over is kept: many small jobs come.
fn settings(folder: &Path) -> String {
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\ndata_dir = {:?}\n[policies]\ndirectory = {:?}\n\
         [auth]\nadmin = {:?}\nworker = {:?}\n\
         [heartbeat]\ninterval = \"200ms\"\nsuspect_after = \"1s\"\nlost_after = \"3s\"\n\
         [retention]\nfinished = 1000\n[queues.other]\nlimit = 50\n",
        folder.join("data"),
        folder.join("policies"),
        folder.join("admin"),
        folder.join("worker"),
    )
}

impl Drop for Site {
    fn drop(&mut self) {
        for process in &mut self.processes {
            // Both fail only if it has ended already.
            let _ = process.kill();
            let _ = process.wait();
        }
        // What stays costs space only.
        let _ = fs::remove_dir_all(&self.folder);
    }
}
