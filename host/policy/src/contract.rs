//! The contract of `wit/`, carried as text: which worlds there are, and whether a component is made
//! for one of them, in a version that this host speaks. Says what is missing or too much by name.

mod release;
mod surface;

use crate::difference;
use crate::spoken::{ADAPTERS, Adapter, Spoken};
use crate::world::{NO_HISTORY, World};
use pointsman_scheduler::Slot;
use semver::Version;
use surface::Surface;
use wit_parser::{Resolve, SourceMap, WorldId};

pub use release::{FreezeError, RELEASED, Release, freeze};

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
    #[error(
        "it is built for {PACKAGE} {theirs}, this host speaks {spoken}; build it anew for that"
    )]
    Version { theirs: String, spoken: String },
    #[error("it mixes {PACKAGE} {0}; build it for one of them")]
    MixedVersions(String),
    #[error("it exports no policy interface, but {found}")]
    NoPolicy { found: String },
    #[error("it is a {theirs} policy; the slot is {slot}")]
    OtherSlot { theirs: &'static str, slot: &'static str },
    #[error("{NO_HISTORY}")]
    NoHistory,
    #[error("{PACKAGE} {version} has no {world} policies")]
    NoSuchWorld { version: String, world: &'static str },
    #[error("it does not export {PACKAGE}/{interface}@{version}")]
    Missing { interface: &'static str, version: String },
    #[error("its types differ from the contract: {0}")]
    Types(String),
}

/// One version of the contract, parsed.
struct Text {
    version: &'static str,
    spoken: Spoken,
    resolve: Resolve,
    worlds: Vec<(World, WorldId)>,
}

/// The contract, in each version that this host speaks.
pub(crate) struct Contract {
    /// That of today first, then those it satisfies, then those before.
    texts: Vec<Text>,
}

impl Contract {
    pub fn new() -> Contract {
        Contract::speaking(ADAPTERS)
    }

    /// With these versions before.
    pub fn speaking(adapters: &[&'static dyn Adapter]) -> Contract {
        let mut texts = vec![Text::parse(VERSION, &FILES, Spoken::Today)];
        let today = Version::parse(VERSION).expect("the version is a version");
        for earlier in RELEASED.iter().filter(|it| it.version != VERSION) {
            let version = Version::parse(earlier.version).expect("folders are named by versions");
            if release::is_same_line(&version, &today) && version < today {
                texts.push(Text::parse(earlier.version, earlier.files, Spoken::Today));
            }
        }
        for adapter in adapters {
            let spoken = Spoken::Before(*adapter);
            texts.push(Text::parse(adapter.version(), adapter.files(), spoken));
        }
        Contract { texts }
    }

    /// The slot that `component` is made for.
    pub fn find_slot(&self, component: &[u8]) -> Result<Slot, ContractError> {
        self.find_world(component)?.slot().ok_or(ContractError::NoHistory)
    }

    /// What `component` is made for.
    pub fn find_world(&self, component: &[u8]) -> Result<World, ContractError> {
        let surface = Surface::of(component)?;
        if let Some(world) = surface.world() {
            return Ok(world);
        }
        self.text_of(&surface)?;
        Err(surface.no_policy())
    }

    /// Checks that `component` can serve as `world`, and finds out which version it speaks. With
    /// `allow_imports`, unknown imports and exact types are left to the linker.
    ///
    /// # Errors
    /// The first thing that is missing, too much or of another shape, by name.
    pub fn check(
        &self,
        component: &[u8],
        world: World,
        allow_imports: bool,
    ) -> Result<Spoken, ContractError> {
        let surface = Surface::of(component)?;
        let text = self.text_of(&surface)?;
        if !allow_imports {
            surface.check_imports()?;
        }
        match surface.world() {
            // More than one world in one component.
            Some(_) if surface.exports(world.name()) => {}
            Some(World::Forecasting) => return Err(ContractError::NoHistory),
            Some(it) => {
                return Err(ContractError::OtherSlot { theirs: it.name(), slot: world.name() });
            }
            None => return Err(surface.no_policy()),
        }
        let version = || text.version.to_owned();
        if !surface.exports("lifecycle") {
            let interface = "lifecycle";
            return Err(ContractError::Missing { interface, version: version() });
        }
        let Some((_, id)) = text.worlds.iter().find(|(it, _)| *it == world) else {
            let world = world.name();
            return Err(ContractError::NoSuchWorld { version: version(), world });
        };
        if !allow_imports {
            wit_component::targets(&text.resolve, *id, component)
                .map_err(|error| text.types_error(*id, component, mismatch(&error)))?;
        }
        Ok(text.spoken)
    }

    /// The text that a component was built with; that of today if it names none.
    fn text_of(&self, surface: &Surface) -> Result<&Text, ContractError> {
        let Some(theirs) = surface.version()? else {
            return Ok(&self.texts[0]);
        };
        self.texts.iter().find(|it| it.version == theirs).ok_or_else(|| {
            let spoken: Vec<&str> = self.texts.iter().map(|it| it.version).collect();
            ContractError::Version { theirs: theirs.to_owned(), spoken: spoken.join(" and ") }
        })
    }
}

impl Text {
    fn types_error(&self, world: WorldId, component: &[u8], mismatch: String) -> ContractError {
        let difference = difference::first(&self.resolve, world, component);
        ContractError::Types(match difference {
            Some(difference) => format!("{mismatch}; {difference}"),
            None => mismatch,
        })
    }

    fn parse(version: &'static str, files: &[(&str, &str)], spoken: Spoken) -> Text {
        const CHECKED: &str = "the contract is parsed by the build, too";
        let mut map = SourceMap::new();
        for (name, text) in files {
            map.push_str(name, *text);
        }
        let group = map.parse().map_err(|(_, error)| error).expect(CHECKED);
        let mut resolve = Resolve::default();
        let package = resolve.push_group(group).expect(CHECKED);
        let has = &resolve.packages[package].worlds;
        let world = |world: World| Some((world, *has.get(world.wit_name())?));
        let worlds = World::ALL.into_iter().filter_map(world).collect();
        Text { version, spoken, resolve, worlds }
    }
}

/// The names of the contract's interfaces that `component` exports, without package and version.
pub(crate) fn provided(component: &[u8]) -> Vec<String> {
    let surface = Surface::of(component);
    surface.iter().flat_map(Surface::interfaces).map(str::to_owned).collect()
}

/// The part of a validator's message that speaks of the policy: below the first line, which speaks
/// of the component made for the comparison; without the offset in it.
fn mismatch(error: &impl std::fmt::Display) -> String {
    let message = format!("{error:#}");
    let lines: Vec<&str> = message.lines().map(str::trim).collect();
    let own = if lines.len() > 1 { &lines[1..] } else { &lines[..] };
    let text = own.join(": ");
    text.split(" (at offset").next().unwrap_or_default().to_owned()
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
        assert_eq!(Contract::new().texts[0].worlds.len(), World::ALL.len());
    }
}
