//! What a network goes by, beside its weights: the file's metadata.

use super::FORMAT;
use super::error::{WeightsError, shortened};
use std::collections::BTreeMap;

/// What weights were made for.
#[derive(Debug, Clone, PartialEq)]
pub struct Info {
    /// What is forecast: a worker column such as `cpu-used`, or whatever the series was. 1 to 100 characters.
    pub column: String,
    /// Time between two samples: 1 ms to a day.
    pub step_ms: u64,
    /// Samples of a window, 4 to 256; the network sees the differences between them, one fewer.
    pub window: usize,
    /// How many steps after the newest sample: 1 to 1,000.
    pub horizon: usize,
    /// What differences are divided by, in the unit of the column: finite and above 0.
    pub scale: f64,
    /// Scaled differences beyond ±`clip` count as ±`clip`: above 0, at most 1,000.
    pub clip: f32,
}

const COLUMN: &str = "write the name of the column, such as cpu-used, in at most 100 characters";
const STEP: &str = "write a whole number of milliseconds from 1 to 86400000";
const WINDOW: &str = "write a whole number of samples from 4 to 256";
const HORIZON: &str = "write a whole number of steps from 1 to 1000";
const SCALE: &str = "write a finite number above 0 in the unit of the column";
const CLIP: &str = "write a number above 0, at most 1000";
const FORMAT_EXPECTED: &str = "this version reads pointsman-lstm/1";

impl Info {
    pub(super) fn check(&self) -> Result<(), WeightsError> {
        let wrong = |key, value: String, expected| {
            Err(WeightsError::Key { key, value: shortened(&value), expected })
        };
        if self.column.is_empty() || self.column.chars().count() > 100 {
            return wrong("column", self.column.clone(), COLUMN);
        }
        if !(1..=86_400_000).contains(&self.step_ms) {
            return wrong("step_ms", self.step_ms.to_string(), STEP);
        }
        if !(4..=256).contains(&self.window) {
            return wrong("window", self.window.to_string(), WINDOW);
        }
        if !(1..=1000).contains(&self.horizon) {
            return wrong("horizon", self.horizon.to_string(), HORIZON);
        }
        if !(self.scale.is_finite() && self.scale > 0.0) {
            return wrong("scale", self.scale.to_string(), SCALE);
        }
        if !(self.clip > 0.0 && self.clip <= 1000.0) {
            return wrong("clip", self.clip.to_string(), CLIP);
        }
        Ok(())
    }

    pub(super) fn to_metadata(&self) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            ("format", FORMAT.to_owned()),
            ("column", self.column.clone()),
            ("step_ms", self.step_ms.to_string()),
            ("window", self.window.to_string()),
            ("horizon", self.horizon.to_string()),
            ("scale", self.scale.to_string()),
            ("clip", self.clip.to_string()),
        ])
    }

    /// Other keys are left to whoever wrote them.
    pub(super) fn from_metadata(metadata: &BTreeMap<String, String>) -> Result<Info, WeightsError> {
        let format = text(metadata, "format", FORMAT_EXPECTED)?;
        if format != FORMAT {
            let value = shortened(format);
            return Err(WeightsError::Key { key: "format", value, expected: FORMAT_EXPECTED });
        }
        Ok(Info {
            column: text(metadata, "column", COLUMN)?.to_owned(),
            step_ms: number(metadata, "step_ms", STEP)?,
            window: number(metadata, "window", WINDOW)?,
            horizon: number(metadata, "horizon", HORIZON)?,
            scale: number(metadata, "scale", SCALE)?,
            clip: number(metadata, "clip", CLIP)?,
        })
    }

    /// What the network sees of two neighbouring samples. Finite for finite samples.
    pub fn scaled(&self, from: f64, to: f64) -> f32 {
        let clip = f64::from(self.clip);
        // Even an overflow to infinity ends at the clip.
        ((to - from) / self.scale).clamp(-clip, clip) as f32
    }
}

fn text<'a>(
    metadata: &'a BTreeMap<String, String>,
    key: &'static str,
    expected: &'static str,
) -> Result<&'a str, WeightsError> {
    let value = metadata.get(key).ok_or(WeightsError::MissingKey { key, expected })?;
    Ok(value)
}

fn number<T: std::str::FromStr>(
    metadata: &BTreeMap<String, String>,
    key: &'static str,
    expected: &'static str,
) -> Result<T, WeightsError> {
    let value = text(metadata, key, expected)?;
    value.parse().map_err(|_| WeightsError::Key { key, value: shortened(value), expected })
}
