//! The files of a policy project: templates with the project's names put in, and the part of Pointsman's
//! source tree that it builds from. Writes nothing.

use pointsman_scheduler::Slot;

include!(concat!(env!("OUT_DIR"), "/project_files.rs"));

/// So that a new project builds with the versions that the SDK was tested with. What is not needed is
/// removed by the first build.
const LOCK: &str = include_str!("../../../../../Cargo.lock");
/// What a policy can ask for.
const COLUMNS: (&str, &str) = ("columns.md", include_str!("../../../../../docs/columns.md"));
const LICENSES: [(&str, &str); 2] = [
    ("LICENSE-APACHE", include_str!("../../../../../LICENSE-APACHE")),
    ("LICENSE-MIT", include_str!("../../../../../LICENSE-MIT")),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Language {
    Rust,
    Python,
    Javascript,
}

impl Language {
    pub fn name(self) -> &'static str {
        match self {
            Language::Rust => "Rust",
            Language::Python => "Python",
            Language::Javascript => "JavaScript",
        }
    }

    fn folder(self) -> &'static str {
        match self {
            Language::Rust => "rust",
            Language::Python => "python",
            Language::Javascript => "javascript",
        }
    }
}

/// One project.
#[derive(Debug)]
pub struct Project {
    pub name: String,
    pub slot: Slot,
    pub language: Language,
    /// Where `plugins/sdk` and `wit` are, seen from the project.
    source: &'static str,
    wit: &'static str,
    /// The list of columns.
    columns: &'static str,
    /// It brings all of them along.
    is_complete: bool,
}

impl Project {
    /// At the end of the line that is to be changed first.
    pub const MARK: &str = "<-- change this line";

    /// That needs nothing beside it.
    pub fn of_its_own(name: &str, slot: Slot, language: Language) -> Project {
        let name = name.to_owned();
        let columns = COLUMNS.0;
        Project {
            name,
            slot,
            language,
            source: "pointsman",
            wit: "wit",
            columns,
            is_complete: true,
        }
    }

    /// The file with the marked line.
    pub fn file_to_edit(&self) -> &'static str {
        match self.language {
            Language::Rust => "src/lib.rs",
            Language::Python => "policy.py",
            Language::Javascript => "policy.js",
        }
    }

    /// What builds it, after what is done once.
    pub fn commands(&self) -> Vec<String> {
        let Project { name, wit, slot, .. } = self;
        let slot = slot.name();
        match self.language {
            Language::Rust => {
                vec!["cargo build --release --target wasm32-unknown-unknown".to_owned()]
            }
            Language::Python => vec![
                "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt".to_owned(),
                format!(
                    ".venv/bin/componentize-py -d {wit} -w {slot}-policy componentize --stub-wasi \
                     component -o {name}.wasm"
                ),
            ],
            Language::Javascript => vec!["npm ci".to_owned(), "npm run build".to_owned()],
        }
    }

    /// What the build writes.
    pub fn wasm(&self) -> String {
        match self.language {
            Language::Rust => {
                let library = self.name.replace('-', "_");
                format!("target/wasm32-unknown-unknown/release/{library}.wasm")
            }
            Language::Python | Language::Javascript => format!("{}.wasm", self.name),
        }
    }

    /// Path and content of every file.
    pub fn files(&self) -> Vec<(String, String)> {
        let slot = self.slot.name();
        let mut files = match self.language {
            Language::Rust => vec![
                self.file("Cargo.toml", &["Cargo.toml"]),
                self.file("src/lib.rs", &[&format!("src/{slot}.rs")]),
            ],
            Language::Python => vec![
                self.file("requirements.txt", &["requirements.txt"]),
                self.file("policy.py", &[&format!("policy_{slot}.py")]),
                self.file("test_policy.py", &[&format!("test_policy_{slot}.py")]),
                self.file("component.py", &["component.py", &format!("component_{slot}.py")]),
            ],
            Language::Javascript => vec![
                self.file("package.json", &["package.json"]),
                self.file("package-lock.json", &["package-lock.json"]),
                self.file("policy.js", &[&format!("policy_{slot}.js")]),
                self.file("policy.test.js", &[&format!("policy_{slot}.test.js")]),
                self.file("component.js", &["component.js", &format!("component_{slot}.js")]),
            ],
        };
        files.push(self.file(".gitignore", &["gitignore"]));
        files.push(self.file("README.md", &["README.md"]));
        if self.is_complete {
            files.extend(self.source_files());
        }
        files
    }

    fn source_files(&self) -> Vec<(String, String)> {
        let contract = SOURCE.iter().filter(|(path, _)| path.ends_with(".wit")).chain([&COLUMNS]);
        let own = |(path, text): &(&str, &str)| ((*path).to_owned(), (*text).to_owned());
        match self.language {
            Language::Rust => {
                let below = |(path, text): &(&str, &str)| {
                    (format!("{}/{path}", self.source), (*text).to_owned())
                };
                let source = SOURCE.iter().chain(&LICENSES).map(below);
                source.chain([own(&COLUMNS), own(&("Cargo.lock", LOCK))]).collect()
            }
            Language::Python | Language::Javascript => contract.map(own).collect(),
        }
    }

    /// `path` from templates, one after the other, with the project's names put in.
    fn file(&self, path: &str, templates: &[&str]) -> (String, String) {
        let folder = self.language.folder();
        let mut content = String::new();
        for name in templates {
            let wanted = format!("{folder}/{name}");
            let found = TEMPLATES.iter().find(|(path, _)| *path == wanted);
            let (_, text) = found.unwrap_or_else(|| panic!("the template {wanted} is carried"));
            content.push_str(text);
        }
        for (key, value) in self.names() {
            content = content.replace(&format!("{{{{{key}}}}}"), &value);
        }
        (path.to_owned(), content)
    }

    fn names(&self) -> [(&'static str, String); 11] {
        let rows = match self.slot {
            Slot::Scoring | Slot::Forecasting => "Worker",
            Slot::Queue => "Task",
            Slot::Rescheduling => "Task` and `Worker",
        };
        let spelling = match self.slot {
            Slot::Scoring | Slot::Queue | Slot::Rescheduling => ", with `_` for `-`",
            Slot::Forecasting => "",
        };
        let (needs, columns) = match self.language {
            Language::Rust => ("", ""),
            Language::Python => self.needs_in_python(),
            Language::Javascript => self.needs_in_javascript(),
        };
        [
            // First: it holds names itself.
            ("serve", self.how_to_serve()),
            ("name", self.name.clone()),
            ("crate", self.name.replace('-', "_")),
            ("slot", self.slot.name().to_owned()),
            ("source", self.source.to_owned()),
            ("wit", self.wit.to_owned()),
            ("catalogue", self.columns.to_owned()),
            ("rows", rows.to_owned()),
            ("columns", columns.to_owned()),
            ("spelling", spelling.to_owned()),
            ("needs", needs.to_owned()),
        ]
    }

    /// What component.py tells the host of the needed columns, and where policy.py names them.
    fn needs_in_python(&self) -> (&'static str, &'static str) {
        match self.slot {
            Slot::Scoring | Slot::Rescheduling => (
                r#"[("needs-task", policy.Task._fields), ("needs-worker", policy.Worker._fields)]"#,
                "Task` and `Worker",
            ),
            Slot::Queue => (r#"[("needs-task", policy.Task._fields)]"#, "Task"),
            Slot::Forecasting => {
                (r#"[("needs-worker", policy.NEEDS), ("provides", policy.PROVIDES)]"#, "NEEDS")
            }
        }
    }

    fn needs_in_javascript(&self) -> (&'static str, &'static str) {
        match self.slot {
            Slot::Scoring | Slot::Rescheduling => (
                r#"[["needs-task", policy.TASK], ["needs-worker", policy.WORKER]]"#,
                "TASK` and `WORKER",
            ),
            Slot::Queue => (r#"[["needs-task", policy.TASK]]"#, "TASK"),
            Slot::Forecasting => {
                (r#"[["needs-worker", policy.NEEDS], ["provides", policy.PROVIDES]]"#, "NEEDS")
            }
        }
    }

    /// What the README says of putting it in force.
    fn how_to_serve(&self) -> String {
        let wasm = self.wasm();
        format!(
            "To put it in force, copy it into the host's policy folder and choose it; nothing \
             restarts:\n\n\
             ```\n\
             cp {wasm} policies/{{{{name}}}}.wasm\n\
             pointsman policy use {{{{slot}}}} {{{{name}}}}\n\
             ```\n\n\
             Copying a newer build over it replaces it between two decisions; `pointsman policy \
             rollback {{{{slot}}}}`\ngoes back. A file that is refused changes nothing."
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    const LANGUAGES: [Language; 3] = [Language::Rust, Language::Python, Language::Javascript];

    #[test]
    fn no_project_is_without_its_one_marked_line_and_no_name_is_left_open() {
        for slot in Slot::ALL {
            for language in LANGUAGES {
                let project = Project::of_its_own("my-policy", slot, language);
                let files = project.files();
                for (path, content) in files.iter().filter(|(path, _)| !path.ends_with(".rs")) {
                    assert!(!content.contains("{{"), "{path} of {language:?} for {slot:?}");
                }
                let (_, edited) =
                    files.iter().find(|(path, _)| path == project.file_to_edit()).unwrap();
                assert_eq!(edited.matches(Project::MARK).count(), 1, "{language:?} for {slot:?}");
                assert!(edited.contains("my-policy"));
            }
        }
    }

    /// The examples are what `policy new` writes, but for the contract, which they take from the tree.
    #[test]
    fn no_example_differs_from_what_a_new_project_is() {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
        let blessed = std::env::var_os("POINTSMAN_BLESS").is_some();
        let languages = LANGUAGES.into_iter().zip([Slot::Scoring, Slot::Queue, Slot::Rescheduling]);
        for (language, slot) in languages {
            let project = Project {
                name: format!("{}-example", language.folder()),
                slot,
                language,
                source: "../..",
                wit: "../../wit",
                columns: "../../docs/columns.md",
                is_complete: false,
            };
            let folder = examples.join(format!("policy-{}", language.folder()));
            for (path, content) in project.files() {
                let path = folder.join(path);
                if blessed {
                    fs::create_dir_all(path.parent().unwrap()).unwrap();
                    fs::write(&path, &content).unwrap();
                }
                let on_disk = fs::read_to_string(&path).unwrap_or_default();
                assert_eq!(on_disk, content, "{}: `cargo xtask bless`", path.display());
            }
        }
    }
}
