//! The tools by which policies are built in other languages, installed from their registries on first
//! use and kept below the target folder. Which versions is said by the projects that are built: their
//! requirements.txt and package-lock.json. What cannot be had fails the test that wants it.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where tools are kept from one run to the next.
#[derive(Debug, Clone)]
pub struct Toolchains {
    folder: PathBuf,
}

impl Toolchains {
    /// `folder` is made if need be; cargo gives integration tests one in `CARGO_TARGET_TMPDIR`.
    pub fn in_folder(folder: impl AsRef<Path>) -> Toolchains {
        let folder = folder.as_ref().join("toolchains");
        fs::create_dir_all(&folder).expect("the target folder is writable");
        Toolchains { folder }
    }

    /// Builds a project written in Python, for the world of `slot`, into `wasm`.
    pub fn build_python(&self, project: &Path, wit: &Path, slot: &str, wasm: &Path) {
        let bin = self.python(&project.join("requirements.txt")).join("bin");
        run(Command::new("python3").args(["-m", "unittest"]).current_dir(project), PYTHON);
        let mut build = Command::new(bin.join("componentize-py"));
        build.arg("-d").arg(wit).args(["-w", &format!("{slot}-policy"), "componentize"]);
        build.args(["--stub-wasi", "component", "-o"]).arg(wasm).current_dir(project);
        run(&mut build, PYTHON);
    }

    /// Builds a project written in JavaScript; answers the file that its build writes.
    pub fn build_javascript(&self, project: &Path, name: &str) -> PathBuf {
        let modules = project.join("node_modules");
        if modules.is_symlink() {
            fs::remove_file(&modules).expect("the project is writable");
        }
        let kept = self.node_modules(project);
        std::os::unix::fs::symlink(kept, &modules).expect("the project is writable");
        run(Command::new("npm").arg("test").current_dir(project), JAVASCRIPT);
        run(Command::new("npm").args(["run", "build"]).current_dir(project), JAVASCRIPT);
        project.join(name).with_extension("wasm")
    }

    /// A virtual environment with what `requirements` names.
    fn python(&self, requirements: &Path) -> PathBuf {
        let text = fs::read_to_string(requirements).expect("the project names its tools");
        self.once("python", &text, |folder| {
            run(Command::new("python3").args(["-m", "venv"]).arg(folder), PYTHON);
            let mut pip = Command::new(folder.join("bin/pip"));
            pip.args(["install", "--quiet", "--disable-pip-version-check", "-r"]).arg(requirements);
            run(&mut pip, PYTHON);
        })
    }

    fn node_modules(&self, project: &Path) -> PathBuf {
        let lock = fs::read_to_string(project.join("package-lock.json"));
        let lock = lock.expect("the project pins its tools");
        // The project's own name makes no difference to its tools.
        let tools: Vec<&str> = lock.lines().filter(|line| !line.contains("\"name\":")).collect();
        let folder = self.once("node", &tools.join("\n"), |folder| {
            fs::create_dir_all(folder).expect("the target folder is writable");
            for file in ["package.json", "package-lock.json"] {
                fs::copy(project.join(file), folder.join(file)).expect("the project has both");
            }
            run(Command::new("npm").arg("ci").current_dir(folder), JAVASCRIPT);
        });
        folder.join("node_modules")
    }

    /// A folder that `install` filled, in this run or in an earlier one. Tests in other processes wait.
    fn once(&self, name: &str, content: &str, install: impl FnOnce(&Path)) -> PathBuf {
        let mut hasher = DefaultHasher::new();
        content.hash(&mut hasher);
        let folder = self.folder.join(format!("{name}-{:016x}", hasher.finish()));
        let lock = fs::File::create(folder.with_extension("lock")).expect("it is writable");
        lock.lock().expect("the file system has locks");
        let done = folder.join("installed");
        if !done.exists() {
            // What an interrupted run left behind.
            let _ = fs::remove_dir_all(&folder);
            install(&folder);
            fs::write(&done, "").expect("the folder was made");
        }
        folder
    }
}

const PYTHON: &str = "policies in Python are built with python3, its module venv, and componentize-py \
                      from PyPI, for which the first run needs a network";
const JAVASCRIPT: &str = "policies in JavaScript are built with node (18 or newer), npm, and \
                          componentize-qjs from npm, for which the first run needs a network";

/// Runs to the end.
///
/// # Panics
/// With all that was printed, and what is needed, if it does not succeed.
fn run(command: &mut Command, needed: &str) {
    let shown = format!("{command:?}");
    let output = command.output().unwrap_or_else(|error| panic!("{shown}: {error}; {needed}"));
    assert!(
        output.status.success(),
        "{shown} ended with {}; {needed}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
