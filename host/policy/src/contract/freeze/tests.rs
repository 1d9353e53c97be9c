//! What may be released: today's text in a copy of its folder, under versions made up for the purpose.

use super::*;
use crate::contract::{FILES, VERSION};
use tempfile::TempDir;

/// A copy of `wit/`, with nothing released.
struct Copy(TempDir);

impl Copy {
    fn new() -> Copy {
        let folder = TempDir::new().unwrap();
        for (name, text) in FILES {
            fs::write(folder.path().join(name), text).unwrap();
        }
        fs::create_dir(folder.path().join("released")).unwrap();
        fs::write(folder.path().join("released/README.md"), "# Releases\n").unwrap();
        Copy(folder)
    }

    /// In which these are released.
    fn after(versions: &[&str]) -> Copy {
        let copy = Copy::new();
        for version in versions {
            assert!(copy.freeze(version).expect("a successor").is_new);
        }
        copy
    }

    fn change(&self, file: &str, from: &str, to: &str) {
        let path = self.0.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has {from:?}");
        fs::write(path, text.replacen(from, to, 1)).unwrap();
    }

    fn freeze(&self, version: &str) -> Result<Frozen, FreezeError> {
        freeze(version, self.0.path())
    }

    fn released(&self) -> Vec<String> {
        names(&self.0.path().join("released")).unwrap()
    }
}

#[test]
fn a_release_is_the_text_of_today_under_its_version_with_its_sums() {
    let copy = Copy::new();
    let frozen = copy.freeze("7.1.0").unwrap();
    assert_eq!(frozen.path, copy.0.path().join("released/7.1.0"));
    assert!(frozen.is_new && frozen.line_before.is_none());
    assert_eq!(frozen.stated, VERSION);
    for (name, text) in FILES {
        let expected = text.replace(&format!("{PACKAGE}@{VERSION};"), "pointsman:policy@7.1.0;");
        assert_ne!(expected, text);
        assert_eq!(fs::read_to_string(frozen.path.join(name)).unwrap(), expected);
    }
    let written = fs::read_to_string(frozen.path.join(SUMS)).unwrap();
    assert_eq!(written.lines().count(), FILES.len());
    assert_eq!(written, release::sums(&refs(&read(&frozen.path).unwrap())));
}

#[test]
fn a_release_is_never_written_again() {
    let copy = Copy::after(&["7.1.0"]);
    let again = copy.freeze("7.1.0").expect("the same text");
    assert!(!again.is_new);
    copy.change("queue.wit", "now-ms: f64", "now-ms: u64");
    let other = copy.freeze("7.1.0");
    assert!(matches!(other, Err(FreezeError::Exists(_))), "{other:?}");
    let kept = fs::read_to_string(again.path.join("queue.wit")).unwrap();
    assert!(kept.contains("now-ms: f64"));
}

#[test]
fn no_draft_and_nothing_older_is_released() {
    let copy = Copy::after(&["7.1.0", "7.10.0"]);
    for name in ["7.11", "7.11.0-draft", "7.11.0+1", "../7.11.0", ""] {
        let refused = copy.freeze(name);
        assert!(matches!(refused, Err(FreezeError::NoVersion(_))), "{refused:?}");
    }
    for version in ["0.1.0", "7.0.9", "7.9.0"] {
        match copy.freeze(version) {
            Err(FreezeError::NotNewer { newest }) => assert_eq!(newest.to_string(), "7.10.0"),
            other => panic!("{version} is older: {other:?}"),
        }
    }
    assert_eq!(copy.released(), ["7.1.0", "7.10.0", "README.md"]);
}

#[test]
fn no_text_of_two_versions_and_none_that_is_no_contract_is_released() {
    let copy = Copy::new();
    copy.change("queue.wit", &format!("@{VERSION}"), "@7.0.9");
    match copy.freeze("7.1.0") {
        Err(FreezeError::NoPackage { file, .. }) => assert!(file.ends_with(".wit"), "{file}"),
        other => panic!("it states two versions: {other:?}"),
    }
    let copy = Copy::new();
    copy.change("queue.wit", "f64", "no-such-type");
    let refused = copy.freeze("7.1.0");
    assert!(matches!(refused, Err(FreezeError::Text(_))), "{refused:?}");
    assert_eq!(copy.released(), ["README.md"]);
}

#[test]
fn no_later_release_of_a_line_breaks_policies_of_an_earlier_one() {
    let breaks = [
        ("scoring.wit", "score: func(", "rate: func("),
        ("queue.wit", "now-ms: f64", "now-ms: u64"),
        ("rescheduling.wit", "world rescheduling-policy", "world moving-policy"),
        ("types.wit", "version: string,", ""),
        ("types.wit", "raise-priority(s32),", "raise-priority(s32), hold,"),
        ("types.wit", "gauge: func(name: string, value: f64);", ""),
        // Policies would not be asked any more.
        ("scoring.wit", "export explanation;", ""),
    ];
    for (file, from, to) in breaks {
        let copy = Copy::after(&["7.0.0", "7.1.0"]);
        copy.change(file, from, to);
        match copy.freeze("7.2.0") {
            Err(FreezeError::Breaks { released, reason, next_line }) => {
                assert_eq!((released, next_line), (Version::new(7, 0, 0), Version::new(8, 0, 0)));
                assert!(reason.contains("world"), "{reason}");
            }
            other => panic!("{from:?} may not become {to:?}: {other:?}"),
        }
        assert_eq!(copy.released(), ["7.0.0", "7.1.0", "README.md"]);
        let frozen = copy.freeze("8.0.0").expect("a new line may");
        assert_eq!(frozen.line_before.as_deref(), Some("7.1.0"));
    }
}

#[test]
fn what_policies_may_call_besides_is_no_break() {
    let copy = Copy::after(&["7.1.0"]);
    copy.change("types.wit", "interface host {", "interface host {\n  now: func();");
    copy.change(
        "queue.wit",
        "interface queue {",
        "interface more { f: func(); }\ninterface queue {",
    );
    assert!(copy.freeze("7.2.0").expect("more for policies to use").line_before.is_none());
}
