//! What may be released, on versions made up for the purpose.

use super::*;
use crate::contract::{FILES, VERSION};
use tempfile::TempDir;

/// A text of the contract: names and contents of its files.
type Text = Vec<(&'static str, String)>;

/// Today's text under another version.
fn text(version: &str) -> Text {
    let stated = format!("package {PACKAGE}@{VERSION};");
    let now = format!("package {PACKAGE}@{version};");
    FILES.iter().map(|(name, text)| (*name, text.replace(&stated, &now))).collect()
}

fn changed(version: &str, file: &str, from: &str, to: &str) -> Text {
    let mut text = text(version);
    let (_, content) = text.iter_mut().find(|(name, _)| *name == file).unwrap();
    assert!(content.contains(from), "{file} has {from:?}");
    *content = content.replacen(from, to, 1);
    text
}

fn refs(text: &Text) -> Vec<(&str, &str)> {
    text.iter().map(|(name, text)| (*name, text.as_str())).collect()
}

/// Tries to release `version` after 7.1.0, which has today's text.
fn after_release(version: &str, new: &Text) -> Result<PathBuf, FreezeError> {
    let files: Vec<(&'static str, &'static str)> =
        text("7.1.0").into_iter().map(|(name, text)| (name, &*text.leak())).collect();
    let released = [Release { version: "7.1.0", files: files.leak() }];
    let folder = TempDir::new().unwrap();
    freeze(version, &refs(new), &released, folder.path())
}

#[test]
fn a_release_holds_the_text_and_its_sums_and_is_never_written_again() {
    let folder = TempDir::new().unwrap();
    let new = text("7.1.0");
    let path = freeze("7.1.0", &refs(&new), &[], folder.path()).unwrap();
    assert_eq!(path, folder.path().join("7.1.0"));
    for (name, content) in &new {
        assert_eq!(fs::read_to_string(path.join(name)).unwrap(), *content);
    }
    let written = fs::read_to_string(path.join(SUMS)).unwrap();
    assert_eq!(written.lines().count(), new.len());
    assert_eq!(written, sums(&refs(&new)));
    let again = freeze("7.1.0", &refs(&new), &[], folder.path());
    assert!(matches!(again, Err(FreezeError::Exists(_))), "{again:?}");
}

#[test]
fn no_draft_and_no_text_of_another_version_is_released() {
    let folder = TempDir::new().unwrap();
    let draft = freeze(VERSION, &refs(&text(VERSION)), &[], folder.path());
    assert!(matches!(draft, Err(FreezeError::Draft(_))), "{draft:?}");
    let other = freeze("7.1.0", &refs(&text("7.0.9")), &[], folder.path());
    assert!(matches!(other, Err(FreezeError::OtherVersion { .. })), "{other:?}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was written");
}

#[test]
fn no_later_release_of_a_line_breaks_policies_of_an_earlier_one() {
    let breaks = [
        ("scoring.wit", "score: func(", "rate: func("),
        ("queue.wit", "now-ms: f64", "now-ms: u64"),
        ("rescheduling.wit", "world rescheduling-policy", "world moving-policy"),
    ];
    for (file, from, to) in breaks {
        let new = changed("7.2.0", file, from, to);
        let answer = after_release("7.2.0", &new);
        let Err(FreezeError::Breaks { released, reason }) = answer else {
            panic!("{from:?} may not become {to:?}: {answer:?}");
        };
        assert_eq!(released, "7.1.0");
        assert!(reason.contains("world"), "{reason}");
        after_release("8.0.0", &changed("8.0.0", file, from, to)).expect("a new line may");
    }
}

#[test]
fn what_policies_may_call_besides_is_no_break() {
    after_release("7.2.0", &text("7.2.0")).expect("the same");
    let new = changed("7.2.0", "types.wit", "interface host {", "interface host {\n  now: func();");
    after_release("7.2.0", &new).expect("one more function of the host");
}

#[test]
fn lines_are_told_by_their_first_number_that_is_not_zero() {
    let same =
        |a: &str, b: &str| is_same_line(&Version::parse(a).unwrap(), &Version::parse(b).unwrap());
    assert!(same("0.1.0", "0.1.7") && same("1.0.0", "1.9.0") && same("0.0.3", "0.0.3"));
    assert!(!same("0.1.0", "0.2.0") && !same("1.0.0", "2.0.0") && !same("0.0.3", "0.0.4"));
    assert!(!same("0.1.0-draft", "0.1.0") && !same("0.1.0", "0.1.1-draft"));
}

#[test]
fn what_is_released_is_as_it_was_and_today_keeps_its_promises() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit/released"));
    let today = Version::parse(VERSION).unwrap();
    for release in RELEASED {
        let written = fs::read_to_string(folder.join(release.version).join(SUMS)).unwrap();
        assert_eq!(written, sums(release.files), "{} was changed", release.version);
        let version = Version::parse(release.version).unwrap();
        if is_same_line(&version, &today) {
            check_satisfies(release.files, &FILES).unwrap();
        }
    }
    let n_folders = fs::read_dir(folder)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().path().is_dir())
        .count();
    assert_eq!(n_folders, RELEASED.len(), "every release is carried");
}
