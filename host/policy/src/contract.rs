//! The contract of `wit/`, carried as text: which worlds there are, and whether a component is made
//! for one of them. Says what is missing or too much by name.

use pointsman_scheduler::Slot;
use wit_component::DecodedWasm;
use wit_parser::{Resolve, SourceMap, WorldId, WorldKey};

/// Package and version that this host speaks.
pub const PACKAGE: &str = "pointsman:policy";
pub const VERSION: &str = "0.1.0-draft";

/// The files of `wit/`, by name.
pub const FILES: [(&str, &str); 5] = [
    ("types.wit", include_str!("../../../wit/types.wit")),
    ("scoring.wit", include_str!("../../../wit/scoring.wit")),
    ("queue.wit", include_str!("../../../wit/queue.wit")),
    ("rescheduling.wit", include_str!("../../../wit/rescheduling.wit")),
    ("forecasting.wit", include_str!("../../../wit/forecasting.wit")),
];

/// Why a component does not fit a slot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContractError {
    #[error("it is not a readable component: {0}")]
    Unreadable(String),
    #[error("it holds WIT definitions, not a policy")]
    OnlyWit,
    #[error(
        "it imports {names}: a policy gets nothing but {PACKAGE}/host, no clock, files or network; \
         build for wasm32-unknown-unknown, in Python and JavaScript with --stub-wasi, or set \
         wasi = \"trap\" for the slot so that such calls trap"
    )]
    Imports { names: String },
    #[error("it is built for {PACKAGE} {theirs}, this host speaks {VERSION}")]
    Version { theirs: String },
    #[error("it exports no policy interface, but {found}")]
    NoPolicy { found: String },
    #[error("it is a {theirs} policy; the slot is {slot}")]
    OtherSlot { theirs: &'static str, slot: &'static str },
    #[error("it does not export {PACKAGE}/{0}@{VERSION}")]
    Missing(&'static str),
    #[error("its types differ from the contract: {0}")]
    Types(String),
}

/// The contract, parsed.
pub(crate) struct Contract {
    resolve: Resolve,
    worlds: [(Slot, WorldId); 3],
}

/// What a component imports and exports, by name.
#[derive(Debug)]
struct Surface {
    imports: Vec<String>,
    exports: Vec<String>,
}

impl Contract {
    pub fn new() -> Contract {
        const CHECKED: &str = "the contract is parsed by the build, too";
        let mut map = SourceMap::new();
        for (name, text) in FILES {
            map.push_str(name, text);
        }
        let group = map.parse().map_err(|(_, error)| error).expect(CHECKED);
        let mut resolve = Resolve::default();
        let package = resolve.push_group(group).expect(CHECKED);
        let worlds = Slot::ALL.map(|slot| {
            let name = format!("{}-policy", slot.name());
            (slot, resolve.select_world(&[package], Some(&name)).expect(CHECKED))
        });
        Contract { resolve, worlds }
    }

    /// The slot that `component` is made for.
    pub fn find_slot(&self, component: &[u8]) -> Result<Slot, ContractError> {
        let surface = Surface::of(component)?;
        surface.slot().ok_or_else(|| surface.no_policy())
    }

    /// Checks that `component` can serve `slot`. With `allow_imports`, unknown imports and exact
    /// types are left to the linker.
    ///
    /// # Errors
    /// The first thing that is missing, too much or of another shape, by name.
    pub fn check(
        &self,
        component: &[u8],
        slot: Slot,
        allow_imports: bool,
    ) -> Result<(), ContractError> {
        let surface = Surface::of(component)?;
        surface.check_version()?;
        if !allow_imports {
            surface.check_imports()?;
        }
        match surface.slot() {
            Some(it) if it == slot => {}
            // More than one slot in one component.
            Some(_) if surface.exports(slot.name()) => {}
            Some(it) => {
                return Err(ContractError::OtherSlot { theirs: it.name(), slot: slot.name() });
            }
            None => return Err(surface.no_policy()),
        }
        if !surface.exports("lifecycle") {
            return Err(ContractError::Missing("lifecycle"));
        }
        if allow_imports {
            return Ok(());
        }
        let (_, world) =
            self.worlds.iter().find(|(it, _)| *it == slot).expect("each slot has its world");
        wit_component::targets(&self.resolve, *world, component)
            .map_err(|error| ContractError::Types(mismatch(&format!("{error:#}"))))
    }
}

/// The names of the contract's interfaces that `component` exports, without package and version.
pub(crate) fn provided(component: &[u8]) -> Vec<String> {
    let surface = Surface::of(component);
    let exports = surface.into_iter().flat_map(|surface| surface.exports);
    let own = exports.filter_map(|name| {
        let (interface, _) = name.strip_prefix(PACKAGE)?.strip_prefix('/')?.split_once('@')?;
        Some(interface.to_owned())
    });
    own.collect()
}

/// The part of a validator's message that speaks of the policy: below the first line, which speaks
/// of the component made for the comparison; without the offset in it.
fn mismatch(message: &str) -> String {
    let lines: Vec<&str> = message.lines().map(str::trim).collect();
    let own = if lines.len() > 1 { &lines[1..] } else { &lines[..] };
    let text = own.join(": ");
    text.split(" (at offset").next().unwrap_or_default().to_owned()
}

impl Surface {
    fn of(component: &[u8]) -> Result<Surface, ContractError> {
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

    fn exports(&self, interface: &str) -> bool {
        self.exports.contains(&format!("{PACKAGE}/{interface}@{VERSION}"))
    }

    fn slot(&self) -> Option<Slot> {
        Slot::ALL.into_iter().find(|slot| self.exports(slot.name()))
    }

    fn check_version(&self) -> Result<(), ContractError> {
        let theirs = self.exports.iter().chain(&self.imports).find_map(|name| {
            let (interface, version) = name.split_once('@')?;
            let is_ours = interface.split('/').next() == Some(PACKAGE);
            (is_ours && version != VERSION).then(|| version.to_owned())
        });
        theirs.map_or(Ok(()), |theirs| Err(ContractError::Version { theirs }))
    }

    fn check_imports(&self) -> Result<(), ContractError> {
        let offered = ["host", "types"].map(|it| format!("{PACKAGE}/{it}@{VERSION}"));
        let foreign: Vec<&str> =
            self.imports.iter().filter(|it| !offered.contains(it)).map(String::as_str).collect();
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

    fn no_policy(&self) -> ContractError {
        if let Err(error) = self.check_version() {
            return error;
        }
        let found = match self.exports.as_slice() {
            [] => "nothing at all".to_owned(),
            exports => exports.join(", "),
        };
        ContractError::NoPolicy { found }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_of_the_contract_is_forgotten() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit");
        let mut on_disk: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".wit"))
            .collect();
        let mut carried = FILES.map(|(name, _)| name.to_owned());
        on_disk.sort();
        carried.sort();
        assert_eq!(on_disk, carried);
        let package = format!("package {PACKAGE}@{VERSION};");
        assert!(FILES.iter().all(|(_, text)| text.contains(&package)));
        assert_eq!(Contract::new().worlds.len(), 3);
    }
}
