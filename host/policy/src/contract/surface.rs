//! What a component imports and exports, by name.

use super::{ContractError, PACKAGE};
use pointsman_scheduler::Slot;
use wit_component::DecodedWasm;
use wit_parser::WorldKey;

#[derive(Debug)]
pub(super) struct Surface {
    imports: Vec<String>,
    exports: Vec<String>,
}

/// `pointsman:policy/scoring@0.1.0` as ("scoring", "0.1.0"); None: not of the contract.
fn parts(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix(PACKAGE)?.strip_prefix('/')?.split_once('@')
}

impl Surface {
    pub fn of(component: &[u8]) -> Result<Surface, ContractError> {
        let decoded = wit_component::decode(component)
            .map_err(|error| ContractError::Unreadable(format!("{error:#}")))?;
        let DecodedWasm::Component(resolve, world) = decoded else {
            return Err(ContractError::OnlyWit);
        };
        let world = &resolve.worlds[world];
        let name = |key: &WorldKey| resolve.name_world_key(key);
        Ok(Surface {
            imports: world.imports.keys().map(name).collect(),
            exports: world.exports.keys().map(name).collect(),
        })
    }

    /// The one version of the contract that it is made for; None: of none.
    ///
    /// # Errors
    /// It mixes versions.
    pub fn version(&self) -> Result<Option<&str>, ContractError> {
        let names = self.exports.iter().chain(&self.imports);
        let mut versions = names.filter_map(|name| parts(name)).map(|(_, version)| version);
        let Some(first) = versions.next() else {
            return Ok(None);
        };
        match versions.find(|version| *version != first) {
            None => Ok(Some(first)),
            Some(other) => Err(ContractError::MixedVersions(format!("{first} and {other}"))),
        }
    }

    /// The contract's interfaces that it exports, without package and version.
    pub fn interfaces(&self) -> impl Iterator<Item = &str> {
        self.exports.iter().filter_map(|name| parts(name)).map(|(interface, _)| interface)
    }

    pub fn exports(&self, interface: &str) -> bool {
        self.interfaces().any(|it| it == interface)
    }

    pub fn world(&self) -> Option<Slot> {
        Slot::ALL.into_iter().find(|world| self.exports(world.name()))
    }

    pub fn check_imports(&self) -> Result<(), ContractError> {
        let is_offered = |name: &str| matches!(parts(name), Some(("host" | "types", _)));
        let foreign: Vec<&str> =
            self.imports.iter().map(String::as_str).filter(|it| !is_offered(it)).collect();
        if foreign.is_empty() {
            return Ok(());
        }
        const SHOWN: usize = 5;
        let mut names = foreign[..foreign.len().min(SHOWN)].join(", ");
        if foreign.len() > SHOWN {
            names.push_str(&format!(" and {} more", foreign.len() - SHOWN));
        }
        Err(ContractError::Imports { names })
    }

    pub fn no_policy(&self) -> ContractError {
        let found = match self.exports.as_slice() {
            [] => "nothing at all".to_owned(),
            exports => exports.join(", "),
        };
        ContractError::NoPolicy { found }
    }
}
