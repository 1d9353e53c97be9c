//! The standard policies, compiled to components, so that the binary carries them and works without
//! any file beside it.

/// A policy that is always there.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// By which the configuration binds it.
    pub name: &'static str,
    /// The slot it is for: `scoring`, `queue` or `rescheduling`.
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

    #[test]
    fn no_standard_policy_imports_anything_but_the_host() {
        for policy in POLICIES {
            let decoded = wit_component::decode(policy.bytes).expect("a valid component");
            let DecodedWasm::Component(resolve, world) = decoded else {
                panic!("{} is no component", policy.name);
            };
            let imports = resolve.worlds[world].imports.keys();
            let names: Vec<String> = imports.map(|key| resolve.name_world_key(key)).collect();
            let is_contract = |name: &String| name.starts_with("pointsman:policy/");
            assert!(names.iter().all(is_contract), "{} imports {names:?}", policy.name);
        }
    }

    #[test]
    fn standard_policies_stay_small() {
        for policy in POLICIES {
            let kib = policy.bytes.len() / 1024;
            assert!(kib < 200, "{} has {kib} KiB", policy.name);
        }
    }
}
