//! Answers that are to stay as they are, kept in files beside the tests.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Compares `value` with the text in `file`, a path in the policy's crate. With the environment
/// variable `POINTSMAN_BLESS` set the file is written instead: read the difference before it is
/// committed.
///
/// ```no_run
/// # use pointsman_policy_sdk::testing::{self, Ranking};
/// # let ranking = Ranking { places: Vec::new() };
/// testing::assert_golden("tests/golden/ranking.txt", &ranking);
/// ```
///
/// # Panics
/// If they differ, with the first line that does; or the file cannot be read or written.
#[track_caller]
pub fn assert_golden(file: &str, value: &impl Display) {
    let path = in_crate(file);
    let value = value.to_string();
    if env::var_os("POINTSMAN_BLESS").is_some_and(|it| !it.is_empty()) {
        write(&path, &value);
        return;
    }
    let how = "run the tests with POINTSMAN_BLESS=1 to write it, and read what it says";
    let golden = match fs::read_to_string(&path) {
        Ok(golden) => golden,
        Err(error) => panic!("failed to read {file}: {error}; {how}"),
    };
    if let Some(difference) = difference(&golden, &value) {
        panic!("{file} says otherwise: {difference}\n{how}\n\n{value}");
    }
}

/// Cargo sets the folder for the test's process; without it the working directory is the same folder.
fn in_crate(file: &str) -> PathBuf {
    env::var_os("CARGO_MANIFEST_DIR").map_or_else(PathBuf::new, PathBuf::from).join(file)
}

#[track_caller]
fn write(path: &Path, value: &str) {
    let folder = path.parent().unwrap_or(Path::new(""));
    if let Err(error) = fs::create_dir_all(folder).and_then(|()| fs::write(path, value)) {
        panic!("failed to write {}: {error}", path.display());
    }
}

/// The first line that differs. Line ends are not compared: version control may change them.
fn difference(golden: &str, value: &str) -> Option<String> {
    let (mut expected, mut found) = (golden.lines(), value.lines());
    for number in 1.. {
        match (expected.next(), found.next()) {
            (None, None) => return None,
            (Some(expected), Some(found)) if expected == found => {}
            (expected, found) => {
                let shown = |line: Option<&str>| line.unwrap_or("(nothing)").to_owned();
                return Some(format!(
                    "line {number}\n  there: {}\n  now:   {}",
                    shown(expected),
                    shown(found)
                ));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::difference;

    #[test]
    fn no_changed_line_goes_unseen() {
        assert_eq!(difference("a\r\nb\r\n", "a\nb\n"), None);
        let expected = "line 2\n  there: b\n  now:   c".to_owned();
        assert_eq!(difference("a\nb\n", "a\nc\n"), Some(expected));
        let expected = "line 2\n  there: b\n  now:   (nothing)".to_owned();
        assert_eq!(difference("a\nb\n", "a\n"), Some(expected));
        assert!(difference("", "a\n").is_some());
    }
}
