//! One loading of a policy: what it is, where it came from, how it runs. Immutable but for its
//! counters; shared by the driver, the library and whoever asks.

use crate::admission::Admitted;
use crate::assets::Assets;
use crate::bindings::types::Manifest;
use crate::failure::{Failure, FailureKind};
use crate::instance::{Artefact, Instance};
use crate::manifest::{self, Profile};
use crate::native::Native;
use crate::provenance::Provenance;
use crate::stats::Stats;
use pointsman_scheduler::Slot;
use pointsman_scheduler::record::PolicyStamp;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

/// SHA-256 of a policy's file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(Sha256::digest(bytes).into())
    }

    /// From 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Digest> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).ok()?;
        }
        Some(Digest(bytes))
    }

    /// The first eight bytes, as decisions carry them.
    pub fn short(&self) -> u64 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.0[..8]);
        u64::from_be_bytes(bytes)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// What makes a loading the same as another: the file's content, its configuration, and the files beside
/// it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ContentKey {
    pub digest: Digest,
    pub config: Digest,
    /// None: no file lies beside it.
    pub assets: Option<Digest>,
}

impl ContentKey {
    pub fn new(digest: Digest, config: &str, assets: Option<Digest>) -> ContentKey {
        ContentKey { digest, config: Digest::of(config.as_bytes()), assets }
    }
}

/// Where a policy's bytes came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A file of the drop-in folder.
    File(PathBuf),
    /// Carried by the host.
    Standard,
    /// Accepted earlier and kept; its file is gone, or its successor was refused.
    Kept,
    /// Handed over by an operator.
    Uploaded,
    /// Rust code of the host.
    Native,
    /// Handed in by the caller.
    Given,
}

pub(crate) enum Body {
    Native(Native),
    Guest { artefact: Box<Artefact>, manifest: Manifest },
}

pub(crate) struct Generation {
    pub slot: Slot,
    pub stamp: PolicyStamp,
    /// The file's stem, or the name by which it was bound.
    pub component: String,
    pub name: String,
    pub version: String,
    pub description: String,
    /// What its file says of itself.
    pub provenance: Provenance,
    /// None for native policies.
    pub key: Option<ContentKey>,
    pub origin: Origin,
    pub loaded: Option<SystemTime>,
    /// None: serves as if the slot were empty.
    pub profile: Option<Profile>,
    pub body: Body,
    pub stats: Arc<Stats>,
}

impl Generation {
    pub fn native(native: Native, slot: Slot, number: u32) -> Generation {
        let stamp = PolicyStamp { generation: number, digest: 0 };
        Generation {
            slot,
            stamp,
            component: native.name().to_owned(),
            name: native.name().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            description: "built into the host".to_owned(),
            provenance: Provenance::default(),
            key: None,
            origin: Origin::Native,
            loaded: None,
            profile: native.profile(stamp),
            body: Body::Native(native),
            stats: Arc::new(Stats::new(false)),
        }
    }

    /// An admitted guest; `number` is its place in the host's life.
    /// Also gives its first instance.
    pub fn guest(admitted: Admitted, source: Source, number: u32) -> (Generation, Instance) {
        let artefact = &admitted.artefact;
        let key = ContentKey::new(source.digest, &artefact.config, artefact.assets.digest());
        let stamp = PolicyStamp { generation: number, digest: source.digest.short() };
        let generation = Generation {
            slot: admitted.artefact.slot,
            stamp,
            component: source.component,
            name: admitted.manifest.name.clone(),
            version: admitted.manifest.version.clone(),
            description: manifest::description(&admitted.manifest).to_owned(),
            provenance: source.provenance,
            key: Some(key),
            origin: source.origin,
            loaded: source.loaded,
            profile: Some(admitted.profile.stamped(stamp)),
            body: Body::Guest {
                artefact: Box::new(admitted.artefact),
                manifest: admitted.manifest,
            },
            stats: admitted.stats,
        };
        (generation, admitted.instance)
    }

    /// The JSON that it was configured with.
    pub fn config(&self) -> &str {
        match &self.body {
            Body::Native(_) => "{}",
            Body::Guest { artefact, .. } => &artefact.config,
        }
    }

    /// The files beside it that it was configured with.
    pub fn assets(&self) -> Assets {
        match &self.body {
            Body::Native(_) => Assets::default(),
            Body::Guest { artefact, .. } => artefact.assets.clone(),
        }
    }

    /// A new instance; None for a native policy.
    pub fn start(&self) -> Option<Result<Instance, Failure>> {
        let Body::Guest { artefact, manifest } = &self.body else {
            return None;
        };
        Some(Instance::start(artefact, &self.stats).and_then(|(instance, answered)| {
            if answered == *manifest {
                return Ok(instance);
            }
            let message = "configure answered otherwise than when the policy was admitted";
            Err(Failure::new(FailureKind::ManifestChanged, message))
        }))
    }

    /// Whether starting an instance would keep the driver waiting.
    pub fn starts_slowly(&self) -> bool {
        match &self.body {
            Body::Native(_) => false,
            Body::Guest { artefact, .. } => artefact.starts_slowly,
        }
    }

    /// `name version`, as messages name it.
    pub fn label(&self) -> String {
        format!("{} {}", self.name, self.version)
    }
}

/// Where an admitted guest came from.
pub(crate) struct Source {
    pub component: String,
    pub digest: Digest,
    pub origin: Origin,
    pub loaded: Option<SystemTime>,
    pub provenance: Provenance,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_survives_being_written_and_read() {
        let digest = Digest::of(b"policy");
        assert_eq!(Digest::parse(&digest.to_string()), Some(digest));
        assert_eq!(Digest::parse("xyz"), None);
        assert_eq!(digest.to_string()[..16], format!("{:016x}", digest.short()));
    }
}
