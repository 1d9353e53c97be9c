//! Which scripts are one program with plain arguments, so that no shell is needed to run them.
//!
//! As `make` does it: starting `/bin/sh` costs as much again as the program. What this refuses runs
//! in the shell as always; so does what the system cannot start without one.

/// The words of a script that means the same to the shell as it stands: an absolute path, which
/// cannot name anything built into the shell, and arguments without any special character.
pub(crate) fn words(script: &str) -> Option<Vec<&str>> {
    let script = script.trim_matches([' ', '\n']);
    if !script.starts_with('/') || !script.bytes().all(is_plain) {
        return None;
    }
    let words: Vec<&str> = script.split(' ').filter(|word| !word.is_empty()).collect();
    // A first word with `=` would be an assignment.
    (!words[0].contains('=')).then_some(words)
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b" /._-+,:@%=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_words_do_without_a_shell() {
        let check = |script: &str, expect: Option<&[&str]>| {
            assert_eq!(words(script).as_deref(), expect, "{script:?}");
        };
        check("/bin/true", Some(&["/bin/true"]));
        check(" /bin/a-b  --x=1 c:d\n", Some(&["/bin/a-b", "--x=1", "c:d"]));
        for script in [
            "",
            " ",
            "true",
            "exit 3",
            "./a",
            "/a=b/c d",
            "/bin/a\n/bin/b",
            "/bin/a; b",
            "/bin/a &",
            "/bin/a | b",
            "/bin/a $B",
            "/bin/a ~",
            "/bin/a *",
            "/bin/a 'b'",
            "/bin/a #b",
            "/bin/a\tb",
            "/bin/a {b,c}",
            "/bin/a > b",
            "/bin/a [b]",
            "/bin/a é",
        ] {
            check(script, None);
        }
    }
}
