//! The standard policies, compiled to components, so that the binary carries them and works without
//! any file beside it.

/// A policy that is always there.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// By which the configuration binds it.
    pub name: &'static str,
    /// The slot it is for: `scoring`, `queue`, `rescheduling` or `forecasting`.
    pub slot: &'static str,
    /// A WebAssembly component.
    pub bytes: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/policies.rs"));

/// The standard policy of that name.
pub fn find(name: &str) -> Option<&'static Policy> {
    POLICIES.iter().find(|policy| policy.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wit_component::DecodedWasm;

    /// Names of what a component imports and exports.
    fn surface(policy: &Policy) -> (Vec<String>, Vec<String>) {
        let decoded = wit_component::decode(policy.bytes).expect("a valid component");
        let DecodedWasm::Component(resolve, world) = decoded else {
            panic!("{} is no component", policy.name);
        };
        let world = &resolve.worlds[world];
        let imports = world.imports.keys().map(|key| resolve.name_world_key(key));
        let exports = world.exports.keys().map(|key| resolve.name_world_key(key));
        (imports.collect(), exports.collect())
    }

    #[test]
    fn no_standard_policy_imports_anything_but_the_host() {
        // Of `types`, a rescheduling policy takes the shape of a proposal: no function.
        let offered = ["host", "types"].map(|it| format!("pointsman:policy/{it}@0.1.0"));
        for policy in POLICIES {
            let (imports, _) = surface(policy);
            let is_offered = imports.iter().all(|name| offered.contains(name));
            assert!(is_offered, "{} imports {imports:?}", policy.name);
        }
    }

    #[test]
    fn every_standard_policy_serves_the_slot_it_is_listed_for() {
        for policy in POLICIES {
            let (_, exports) = surface(policy);
            for name in ["lifecycle", policy.slot] {
                let name = format!("pointsman:policy/{name}@0.1.0");
                assert!(exports.contains(&name), "{} exports {exports:?}", policy.name);
            }
            let found = find(policy.name).expect("listed");
            assert_eq!(
                found.bytes.as_ptr(),
                policy.bytes.as_ptr(),
                "two are named {}",
                policy.name
            );
        }
        assert!(find("no-such-policy").is_none());
    }

    #[test]
    fn every_standard_policy_says_for_which_contract_it_was_built() {
        let section = b"\x10pointsman:policy0.1.0";
        for policy in POLICIES {
            let is_stamped = policy.bytes.windows(section.len()).any(|window| window == section);
            assert!(is_stamped, "{} is not stamped", policy.name);
        }
    }

    #[test]
    fn no_standard_policy_is_left_out_of_the_documentation() {
        let page = include_str!("../../../docs/standard-policies.md");
        for policy in POLICIES {
            let link = format!("| [{0}](../plugins/{0}/README.md)", policy.name);
            assert!(page.contains(&link), "{} is not listed", policy.name);
        }
    }

    #[test]
    fn standard_policies_stay_small() {
        for policy in POLICIES {
            let kib = policy.bytes.len() / 1024;
            println!("{}: {kib} KiB", policy.name);
            assert!(kib < 200, "{} has {kib} KiB", policy.name);
        }
    }
}
