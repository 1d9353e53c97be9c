//! What a policy's file says of where it comes from, in the custom sections that WebAssembly tools
//! agree on. Claims, not facts: nobody has signed them, and nothing is decided by them.

use wasmparser::{CustomSectionReader, KnownCustom, Parser, Payload};

/// Claims of a file about itself. Empty where it claims nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provenance {
    pub version: Option<String>,
    pub description: Option<String>,
    pub authors: Option<String>,
    /// An SPDX expression, like `Apache-2.0 OR MIT`.
    pub license: Option<String>,
    /// Where the source code is.
    pub source: Option<String>,
    pub homepage: Option<String>,
    /// Of the source code.
    pub revision: Option<String>,
    /// Languages and tools that made it, like `rustc 1.95.0`; 16 at most.
    pub made_with: Vec<String>,
}

/// Characters of one claim at most.
const MAX_TEXT: usize = 400;
const MAX_TOOLS: usize = 16;

impl Provenance {
    /// Reads a component or core module. What a component does not say is taken from the modules
    /// in it; a damaged file says what came before the damage.
    pub fn of(bytes: &[u8]) -> Provenance {
        let mut claims = Provenance::default();
        let mut depths = Depths::default();
        for payload in Parser::new(0).parse_all(bytes).map_while(Result::ok) {
            match payload {
                Payload::Version { .. } => depths.now += 1,
                Payload::End(_) => depths.now = depths.now.saturating_sub(1),
                Payload::CustomSection(section) => claims.take(&section, &mut depths),
                _ => {}
            }
        }
        claims
    }

    pub fn is_empty(&self) -> bool {
        *self == Provenance::default()
    }

    fn take(&mut self, section: &CustomSectionReader<'_>, depths: &mut Depths) {
        let (index, field) = match section.name() {
            "version" => (0, &mut self.version),
            "description" => (1, &mut self.description),
            "authors" => (2, &mut self.authors),
            "licenses" => (3, &mut self.license),
            "source" => (4, &mut self.source),
            "homepage" => (5, &mut self.homepage),
            "revision" => (6, &mut self.revision),
            _ => return self.take_producers(section),
        };
        let Some(text) = clean(&String::from_utf8_lossy(section.data())) else { return };
        if field.is_none() || depths.now < depths.of_field[index] {
            *field = Some(text);
            depths.of_field[index] = depths.now;
        }
    }

    fn take_producers(&mut self, section: &CustomSectionReader<'_>) {
        let KnownCustom::Producers(fields) = section.as_known() else { return };
        for field in fields.into_iter().map_while(Result::ok) {
            for value in field.values.into_iter().map_while(Result::ok) {
                let Some(tool) = clean(&format!("{} {}", value.name, value.version)) else {
                    continue;
                };
                if self.made_with.len() < MAX_TOOLS && !self.made_with.contains(&tool) {
                    self.made_with.push(tool);
                }
            }
        }
    }
}

/// How deep the reader is in the file, and how deep each claim was found: the outermost counts.
#[derive(Default)]
struct Depths {
    now: usize,
    of_field: [usize; 7],
}

/// Bounded, on one line, and without what could take over a terminal. None: nothing is left.
fn clean(text: &str) -> Option<String> {
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|it| !it.is_empty())
        .collect();
    let text: String = words.join(" ").chars().take(MAX_TEXT).collect();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Provenance {
        Provenance::of(&wat::parse_str(text).expect("valid text"))
    }

    #[test]
    fn claims_are_read_from_components_and_modules() {
        let module = r#"(module
            (@custom "version" "1.2.3") (@custom "licenses" "MIT") (@custom "source" "https://x")
            (@custom "authors" "A, B") (@custom "revision" "abc") (@custom "other" "y")
            (@producers (language "Rust" "") (processed-by "rustc" "1.95.0")))"#;
        let expected = Provenance {
            version: Some("1.2.3".into()),
            license: Some("MIT".into()),
            source: Some("https://x".into()),
            authors: Some("A, B".into()),
            revision: Some("abc".into()),
            made_with: vec!["Rust".into(), "rustc 1.95.0".into()],
            ..Provenance::default()
        };
        assert_eq!(of(module), expected);
        let component = format!("(component (core {})", module.trim_start_matches('('));
        assert_eq!(of(&component), expected);
    }

    #[test]
    fn what_the_component_says_counts_more_than_what_its_parts_say() {
        let component = r#"(component
            (core module (@custom "version" "0.1") (@custom "description" "inner"))
            (@custom "version" "2.0"))"#;
        let found = of(component);
        assert_eq!(found.version.as_deref(), Some("2.0"));
        assert_eq!(found.description.as_deref(), Some("inner"));
    }

    #[test]
    fn no_claim_is_long_or_takes_over_a_terminal() {
        let long = "x".repeat(100_000);
        let found = of(&format!(
            r#"(module (@custom "source" "{long}") (@custom "version" "1\1b[2J\n2") (@custom "licenses" " "))"#
        ));
        assert_eq!(found.source.map(|it| it.len()), Some(MAX_TEXT));
        assert_eq!(found.version.as_deref(), Some("1 [2J 2"));
        assert_eq!(found.license, None);
        assert!(Provenance::of(b"junk").is_empty() && Provenance::of(b"").is_empty());
    }
}
