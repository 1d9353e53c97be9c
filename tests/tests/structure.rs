//! The layout holds: who depends on whom, and that the core touches nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The workspace's own crates that a manifest names under `[dependencies]`.
fn own_dependencies(manifest: &Path) -> Vec<String> {
    let text = fs::read_to_string(manifest).unwrap();
    let mut section = String::new();
    let mut found = Vec::new();
    for line in text.lines() {
        if line.starts_with('[') {
            section = line.to_owned();
        } else if section == "[dependencies]" && line.starts_with("pointsman-") {
            let end = line.find(['.', ' ', '=']).unwrap();
            found.push(line["pointsman-".len()..end].to_owned());
        }
    }
    found.sort();
    found
}

#[test]
fn no_crate_depends_on_what_it_should_not_know() {
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("scheduler", &[][..]),
        ("protocol", &["scheduler"]),
        ("store", &["scheduler"]),
        ("policy", &["scheduler"]),
        ("server", &["bundle", "forecast", "policy", "protocol", "scheduler", "store"]),
        ("worker", &["protocol"]),
        ("forecast", &["forecast-models"]),
        ("training", &["forecast-models"]),
        ("simulator", &["bundle", "policy", "protocol", "scheduler", "store", "worker"]),
        (
            "cli",
            &[
                "bundle",
                "forecast",
                "forecast-models",
                "policy",
                "protocol",
                "scheduler",
                "server",
                "simulator",
                "store",
                "training",
                "worker",
            ],
        ),
    ]);
    let mut n_seen = 0;
    for entry in fs::read_dir(root().join("host")).unwrap() {
        let folder = entry.unwrap().path();
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let allowed = allowed.get(name.as_str()).unwrap_or_else(|| panic!("{name} is not placed"));
        for dependency in own_dependencies(&folder.join("Cargo.toml")) {
            let is_allowed = allowed.contains(&dependency.as_str());
            assert!(is_allowed, "{name} may not depend on {dependency}");
        }
        n_seen += 1;
    }
    assert_eq!(n_seen, allowed.len());
}

#[test]
fn no_plugin_depends_on_the_host() {
    for entry in fs::read_dir(root().join("plugins")).unwrap() {
        let manifest = entry.unwrap().path().join("Cargo.toml");
        for dependency in own_dependencies(&manifest) {
            let is_allowed =
                dependency.starts_with("policy-sdk") || dependency == "forecast-models";
            assert!(is_allowed, "{}: {dependency}", manifest.display());
        }
    }
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn the_core_touches_nothing() {
    let banned = [
        "std::fs",
        "std::net",
        "std::env",
        "std::thread",
        "std::process",
        "Instant::now",
        "SystemTime",
        "tokio",
        "serde",
        "wasmtime",
        "thread_rng",
        "RandomState",
        "HashMap::new",
    ];
    let mut files = Vec::new();
    sources(&root().join("host/scheduler/src"), &mut files);
    assert!(files.len() > 20);
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or("");
            let word = banned.iter().find(|word| code.contains(**word));
            assert!(word.is_none(), "{}:{}: {}", path.display(), number + 1, word.unwrap());
        }
    }
}

#[test]
fn every_standard_policy_and_example_is_explained() {
    for folder in ["plugins", "examples"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            assert!(path.join("README.md").exists(), "{} has no README.md", path.display());
        }
    }
}

/// The sentence every link of these pages keeps: it leads somewhere.
#[test]
fn no_link_of_the_pages_is_dead() {
    for page in ["README.md", "ARCHITECTURE.md"] {
        let text = fs::read_to_string(root().join(page)).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if !link.starts_with("http") {
                assert!(root().join(link).exists(), "{page} links to {link}");
            }
        }
    }
}
