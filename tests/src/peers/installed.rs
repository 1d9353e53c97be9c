//! The peers from the Python package index, installed on first use and kept below the target folder.
//! Which versions is said by their requirements.txt.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const NEEDED: &str = "peers are installed with python3 and its module venv (Debian: python3-venv), and \
                      the first run needs a network";

#[derive(Debug)]
pub struct Installed {
    pub python: PathBuf,
    /// Of the scripts that drive them.
    pub scripts: PathBuf,
}

impl Installed {
    /// Installs into `folder` what it does not hold yet.
    ///
    /// # Errors
    /// What was tried, what it printed, and what is needed.
    pub fn into(folder: &Path) -> Result<Installed, String> {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/peers");
        let requirements = scripts.join("requirements.txt");
        let wanted = fs::read_to_string(&requirements)
            .map_err(|error| format!("{}: {error}", requirements.display()))?;
        let python = folder.join("bin/python");
        let done = folder.join("installed.txt");
        if !fs::read_to_string(&done).is_ok_and(|installed| installed == wanted) {
            run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder))?;
            let mut install = Command::new(&python);
            install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]);
            run(install.arg(&requirements))?;
            fs::write(&done, &wanted).map_err(|error| format!("{}: {error}", done.display()))?;
        }
        Ok(Installed { python, scripts })
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let shown = format!("{command:?}");
    let output = command.output().map_err(|error| format!("{shown}: {error}; {NEEDED}"))?;
    if output.status.success() {
        return Ok(());
    }
    let [out, err] = [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it));
    Err(format!("{shown} ended with {}; {NEEDED}\n{out}{err}", output.status))
}
