//! The contract of `wit/`, carried as text: which worlds there are, and whether a component is made
//! for one of them, in a version that this host speaks. Says what is missing or too much by name.

mod release;
mod freeze;
mod surface;

use crate::difference;
use crate::spoken::{Spoken, Versions};
use pointsman_scheduler::Slot;
use semver::Version;
use surface::Surface;
use wit_parser::{Resolve, SourceMap, WorldId};

pub use freeze::{FreezeError, Frozen, freeze};
pub(crate) use release::{RELEASED, Release, is_same_line};

/// Package and version that this host speaks.
pub const PACKAGE: &str = "pointsman:policy";
pub const VERSION: &str = "0.1.0";

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
    #[error("it is built for {PACKAGE} {theirs}, this host speaks {spoken}; {remedy}")]
    Version { theirs: String, spoken: String, remedy: String },
    #[error("it mixes {PACKAGE} {0}; build it for one of them")]
    MixedVersions(String),
    #[error("it exports no policy interface, but {found}")]
    NoPolicy { found: String },
    #[error("it is a {theirs} policy; the slot is {slot}")]
    OtherSlot { theirs: &'static str, slot: &'static str },
    #[error("{PACKAGE} {version} has no {world} policies")]
    NoSuchWorld { version: String, world: &'static str },
    #[error("it does not export {PACKAGE}/{interface}@{version}")]
    Missing { interface: &'static str, version: String },
    #[error("its types differ from the contract: {0}")]
    Types(String),
}

/// One version of the contract, parsed.
struct Text {
    spoken: Spoken,
    resolve: Resolve,
    worlds: Vec<(Slot, WorldId)>,
}

/// The contract, in each version that this host speaks.
pub(crate) struct Contract {
    /// That of today first, then those it satisfies, then those before.
    texts: Vec<Text>,
}

impl Contract {
    pub fn new() -> Contract {
        Contract::speaking(Versions::KNOWN)
    }

    /// With these versions beside that of today.
    pub fn speaking(versions: Versions) -> Contract {
        let mut texts = vec![Text::parse(Spoken::TODAY, &FILES)];
        // The newest first, as a refusal names them.
        for release in versions.released.iter().rev() {
            if let Some(spoken) = versions.spoken(release) {
                texts.push(Text::parse(spoken, release.files));
            }
        }
        Contract { texts }
    }

    /// The slot that `component` is made for.
    pub fn find_slot(&self, component: &[u8]) -> Result<Slot, ContractError> {
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
        world: Slot,
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
            Some(it) => {
                return Err(ContractError::OtherSlot { theirs: it.name(), slot: world.name() });
            }
            None => return Err(surface.no_policy()),
        }
        let version = || text.spoken.version().to_owned();
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
        let text = self.texts.iter().find(|it| it.spoken.version() == theirs);
        text.ok_or_else(|| self.not_spoken(theirs))
    }

    fn not_spoken(&self, theirs: &str) -> ContractError {
        let spoken: Vec<&str> = self.texts.iter().map(|it| it.spoken.version()).collect();
        let is_newer = Version::parse(theirs).is_ok_and(|it| {
            spoken.iter().all(|ours| Version::parse(ours).is_ok_and(|ours| it > ours))
        });
        let remedy = match is_newer {
            true => format!("upgrade the host, or build it anew for {VERSION}"),
            false => format!("build it anew for {VERSION}"),
        };
        let (theirs, spoken) = (theirs.to_owned(), spoken.join(" and "));
        ContractError::Version { theirs, spoken, remedy }
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

    fn parse(spoken: Spoken, files: &[(&str, &str)]) -> Text {
        const CHECKED: &str = "the contract is parsed by the build, too";
        let mut map = SourceMap::new();
        for (name, text) in files {
            map.push_str(name, *text);
        }
        let group = map.parse().map_err(|(_, error)| error).expect(CHECKED);
        let mut resolve = Resolve::default();
        let package = resolve.push_group(group).expect(CHECKED);
        let has = &resolve.packages[package].worlds;
        let world = |world: Slot| Some((world, *has.get(&*wit_name(world))?));
        let worlds = Slot::ALL.into_iter().filter_map(world).collect();
        Text { spoken, resolve, worlds }
    }
}

/// The world of the contract that policies for `slot` are made for.
pub(crate) fn wit_name(slot: Slot) -> String {
    format!("{}-policy", slot.name())
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
        assert_eq!(Contract::new().texts[0].worlds.len(), Slot::ALL.len());
    }
}
