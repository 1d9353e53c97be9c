//! Plays somebody who writes a first policy: asks for a project, changes the marked line, builds it, drops
//! the file into the folder of a running host, and waits until it serves. Then once more, with another
//! change. Follows what `pointsman policy new` says, so that it finds out if that is not true.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const LANGUAGES: [&str; 3] = ["rust", "python", "javascript"];
/// From nothing, with everything fetched anew, until the policy serves.
const COLD: Duration = Duration::from_secs(600);
/// From the second change until it serves.
const WARM: Duration = Duration::from_secs(60);
const MARK: &str = "<-- change this line";
const NAME: &str = "my-first";

/// `languages`: all, if there are none.
pub fn play(args: &[String], pointsman: &Path) -> Result<(), String> {
    let languages = chosen(args)?;
    let mut slow = Vec::new();
    for language in languages {
        let folder = Folder::new(language)?;
        let mut newcomer = Newcomer::begin(pointsman, &folder.0, language)?;
        for (what, limit) in [("cold", COLD), ("warm", WARM)] {
            let took = newcomer.go(what)?;
            let verdict = if took <= limit { "within" } else { "MORE THAN" };
            println!(
                "{language:<11} {what}: {} in all, {verdict} {} s\n",
                shown(took),
                limit.as_secs()
            );
            if took > limit {
                slow.push(format!("{language} {what}"));
            }
        }
    }
    if slow.is_empty() { Ok(()) } else { Err(format!("too slow: {}", slow.join(", "))) }
}

fn chosen(args: &[String]) -> Result<Vec<&str>, String> {
    let usage = || format!("cargo xtask newcomer [--lang {}]", LANGUAGES.join("|"));
    match args {
        [] => Ok(LANGUAGES.to_vec()),
        [flag, language] if flag == "--lang" && LANGUAGES.contains(&language.as_str()) => {
            Ok(vec![language])
        }
        _ => Err(usage()),
    }
}

fn shown(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}

/// A folder of its own, gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new(language: &str) -> Result<Folder, String> {
        let name = format!("pointsman-newcomer-{language}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays costs space only.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What `pointsman policy new` told.
#[derive(Default)]
struct Advice {
    edit: PathBuf,
    /// The first of them goes into the project.
    build: Vec<String>,
    wasm: PathBuf,
}

struct Newcomer<'a> {
    pointsman: &'a Path,
    folder: &'a Path,
    language: &'a str,
    host: Host,
    advice: Advice,
    generation: u32,
    n_changes: u32,
}

impl<'a> Newcomer<'a> {
    /// The host runs before the clock does.
    fn begin(
        pointsman: &'a Path,
        folder: &'a Path,
        language: &'a str,
    ) -> Result<Newcomer<'a>, String> {
        let host = Host::start(pointsman, folder)?;
        let advice = Advice::default();
        Ok(Newcomer { pointsman, folder, language, host, advice, generation: 0, n_changes: 0 })
    }

    /// Through all steps, each with its time; how long they took together.
    fn go(&mut self, what: &str) -> Result<Duration, String> {
        let is_first = self.n_changes == 0;
        let begun = Instant::now();
        let mut step_begun = begun;
        let language = self.language;
        let mut step_done = |step: &str| {
            println!("{language:<11} {what}: {:>8}  {step}", shown(step_begun.elapsed()));
            step_begun = Instant::now();
        };
        if is_first {
            self.advice = self.ask_for_project()?;
            step_done("pointsman policy new");
        }
        self.change_marked_line()?;
        step_done("change a line");
        let build = self.advice.build.clone();
        let (enter, commands) = build.split_first().ok_or("policy new told no commands")?;
        // What was installed once stays.
        let commands = if is_first { commands } else { &commands[commands.len() - 1..] };
        for command in commands {
            self.shell(&format!("{enter} && {command}"))?;
            step_done(command);
        }
        let dropped = self.host.policies.join(NAME).with_extension("wasm");
        fs::copy(self.folder.join(&self.advice.wasm), &dropped)
            .map_err(|error| format!("{}: {error}", self.advice.wasm.display()))?;
        if is_first {
            self.host.ask(self.pointsman, &["policy", "use", "scoring", NAME])?;
        }
        self.generation = self.host.wait_for_serving(self.pointsman, self.generation)?;
        step_done("drop the file, and it serves");
        Ok(begun.elapsed())
    }

    fn ask_for_project(&self) -> Result<Advice, String> {
        let mut new = Command::new(self.pointsman);
        new.args(["policy", "new", NAME, "--slot", "scoring", "--lang", self.language]);
        let told = output(new.current_dir(self.folder))?;
        let mut advice = Advice::default();
        let mut topic = "";
        for line in told.lines().skip(1) {
            let (label, text) = line.split_at_checked(9).ok_or("policy new tells it otherwise")?;
            topic = if label.trim().is_empty() { topic } else { label.trim() };
            match topic {
                "edit" => advice.edit = text.split(',').next().unwrap_or_default().into(),
                "build" => advice.build.push(text.to_owned()),
                "check" => {
                    let wasm = text.split(' ').next_back().unwrap_or_default();
                    advice.wasm = Path::new(NAME).join(wasm);
                }
                _ => {}
            }
        }
        Ok(advice)
    }

    /// Puts another number into it.
    fn change_marked_line(&mut self) -> Result<(), String> {
        self.n_changes += 1;
        let path = self.folder.join(&self.advice.edit);
        let tell = |error: std::io::Error| format!("{}: {error}", path.display());
        let text = fs::read_to_string(&path).map_err(tell)?;
        let marked = text.lines().find(|line| line.contains(MARK)).ok_or("no line is marked")?;
        let (name, rest) = marked.split_once("= ").ok_or("the marked line sets nothing")?;
        let end = rest.find([';', ' ']).unwrap_or(rest.len());
        let changed = format!("{name}= 0.1{}{}", self.n_changes, &rest[end..]);
        fs::write(&path, text.replace(marked, &changed)).map_err(tell)
    }

    /// With caches of its own, which are empty at first.
    fn shell(&self, command: &str) -> Result<(), String> {
        let cargo_home = self.folder.join("cargo-home");
        fs::create_dir_all(&cargo_home).map_err(|error| error.to_string())?;
        // Where this machine gets crates from is no cache.
        for name in ["config.toml", "config"] {
            if let Some(own) = own_cargo_home() {
                let _ = fs::copy(own.join(name), cargo_home.join(name));
            }
        }
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).current_dir(self.folder);
        shell.env("CARGO_HOME", cargo_home);
        shell.env("PIP_CACHE_DIR", self.folder.join("pip"));
        shell.env("npm_config_cache", self.folder.join("npm"));
        // Those of the cargo that runs this task.
        for (name, _) in std::env::vars_os() {
            let is_inherited = name.to_str().is_some_and(|name| {
                let is_of_cargo = name.starts_with("CARGO_") && name != "CARGO_HOME";
                is_of_cargo && !name.starts_with("CARGO_HTTP") && !name.starts_with("CARGO_NET")
            });
            if is_inherited {
                shell.env_remove(name);
            }
        }
        output(&mut shell).map(drop)
    }
}

fn own_cargo_home() -> Option<PathBuf> {
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo"));
    std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home)
}

/// A host on a free port.
struct Host {
    child: Child,
    address: String,
    policies: PathBuf,
}

impl Host {
    fn start(pointsman: &Path, folder: &Path) -> Result<Host, String> {
        let policies = folder.join("policies");
        fs::create_dir_all(&policies).map_err(|error| error.to_string())?;
        let config = folder.join("pointsman.toml");
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\ndata_dir = {:?}\n[policies]\ndirectory = {policies:?}\n",
            folder.join("data")
        );
        fs::write(&config, text).map_err(|error| error.to_string())?;
        let log = fs::File::create(folder.join("host.log")).map_err(|error| error.to_string())?;
        let mut command = Command::new(pointsman);
        command.arg("serve").arg("--config").arg(config).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().map_err(|error| format!("the host: {error}"))?;
        let mut line = String::new();
        let stdout = child.stdout.take().ok_or("the host has no output")?;
        let read = BufReader::new(stdout).read_line(&mut line);
        let mut host = Host { child, address: String::new(), policies };
        read.map_err(|error| error.to_string())?;
        let address = line.trim().strip_prefix("listening on ");
        host.address = address.ok_or_else(|| format!("the host said {line:?}"))?.to_owned();
        Ok(host)
    }

    fn ask(&self, pointsman: &Path, args: &[&str]) -> Result<String, String> {
        output(Command::new(pointsman).args(["--host", &self.address]).args(args))
    }

    /// The generation that serves, which is later than `before`.
    fn wait_for_serving(&self, pointsman: &Path, before: u32) -> Result<u32, String> {
        let deadline = Instant::now() + Duration::from_secs(300);
        loop {
            let list = self.ask(pointsman, &["policy", "list"])?;
            let cell = |column: &str| cell(&list, "scoring", column).unwrap_or_default();
            if let Ok(generation) = cell("GENERATION").parse()
                && cell("POLICY").starts_with(NAME)
                && cell("STATE") == "serving"
                && generation > before
            {
                return Ok(generation);
            }
            if list.contains("refused") || Instant::now() > deadline {
                return Err(format!("it does not serve:\n{list}"));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What it prints.
fn output(command: &mut Command) -> Result<String, String> {
    let shown = format!("{command:?}").replace('"', "");
    let output = command.output().map_err(|error| format!("failed to run {shown}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(format!("{shown} ended with {}\n{text}{errors}", output.status))
}

/// Of a table with a line of headings, at the row that begins with that word.
fn cell<'a>(table: &'a str, row: &str, column: &str) -> Option<&'a str> {
    let heading = table.lines().find(|line| line.split_whitespace().any(|it| it == column))?;
    let row = table.lines().find(|line| line.split_whitespace().next() == Some(row))?;
    let from = heading.find(column)?;
    row.get(from..)?.split("  ").next().map(str::trim)
}
