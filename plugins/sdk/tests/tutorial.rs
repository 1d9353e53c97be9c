//! The tutorial's blocks build on files; what readers see is what these hold.

const TUTORIAL: &str = include_str!("../src/tutorial.md");

#[test]
fn no_part_of_the_tutorials_policy_differs_from_what_it_shows() {
    for (name, part) in [
        ("columns", include_str!("../src/tutorial/columns.rs")),
        ("config", include_str!("../src/tutorial/config.rs")),
        ("policy", include_str!("../src/tutorial/policy.rs")),
    ] {
        assert_eq!(TUTORIAL.matches(part).count(), 1, "src/tutorial/{name}.rs");
    }
}
