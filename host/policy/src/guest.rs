//! What a running guest sees and uses of the host: the imports, and the bounds of its store.

use crate::assets::Assets;
use crate::bindings::{host, types};
use crate::clock::CallClock;
use crate::limits::Limits;
use crate::stats::Stats;
use pointsman_scheduler::columns::name_number;
use std::sync::Arc;
use wasmtime::ResourceLimiter;

/// Lines of a policy are cut at this many characters.
const MAX_LINE: usize = 1_000;
/// Core instances, memories and tables of one component; guests with an interpreter have some dozen.
const MAX_INSTANCES: usize = 256;
const MAX_MEMORIES: usize = 32;
const MAX_TABLES: usize = 64;

/// The host's side of one store.
pub(crate) struct Guest {
    /// Name and version, for the log.
    label: Arc<str>,
    stats: Arc<Stats>,
    assets: Assets,
    pub clock: CallClock,
    pub is_configuring: bool,
    /// The last line logged as an error in this call: a guest's panic message comes this way.
    pub last_error: Option<String>,
    memory_left: usize,
    table_left: usize,
    /// The first growth that was refused.
    pub refused_growth: Option<String>,
}

impl Guest {
    pub fn new(label: Arc<str>, stats: Arc<Stats>, assets: Assets, limits: &Limits) -> Guest {
        Guest {
            label,
            stats,
            assets,
            clock: CallClock::default(),
            is_configuring: false,
            last_error: None,
            memory_left: limits.memory,
            table_left: limits.table_elements,
            refused_growth: None,
        }
    }

    /// Bytes that its memories may still grow by.
    pub fn memory_left(&self) -> usize {
        self.memory_left
    }
}

impl types::Host for Guest {}

impl host::Host for Guest {
    fn log(&mut self, level: host::Level, message: String) {
        let message = cut(message, MAX_LINE);
        if level == host::Level::Error {
            self.last_error = Some(message.clone());
        }
        if !self.stats.may_log() {
            return;
        }
        let policy = &*self.label;
        match level {
            host::Level::Debug => tracing::debug!(policy, "{message}"),
            host::Level::Info => tracing::info!(policy, "{message}"),
            host::Level::Warn => tracing::warn!(policy, "{message}"),
            host::Level::Error => tracing::error!(policy, "{message}"),
        }
    }

    fn gauge(&mut self, name: String, value: f64) {
        if value.is_finite() {
            self.stats.set_gauge(name, value);
        }
    }

    fn intern(&mut self, table: String, value: String) -> f64 {
        match table.as_str() {
            "queue" | "tenant" | "label" if self.is_configuring => name_number(&value),
            _ => -1.0,
        }
    }

    fn asset(&mut self, name: String) -> Result<Vec<u8>, String> {
        if !self.is_configuring {
            return Err("files are told during configure only".to_owned());
        }
        self.assets.get(&cut(name, MAX_LINE)).map(<[u8]>::to_vec)
    }
}

impl ResourceLimiter for Guest {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let grows_by = desired - current;
        if grows_by > self.memory_left {
            self.refused_growth.get_or_insert_with(|| format!("{desired} bytes of memory"));
            return Ok(false);
        }
        self.memory_left -= grows_by;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let grows_by = desired - current;
        if grows_by > self.table_left {
            self.refused_growth.get_or_insert_with(|| format!("{desired} table elements"));
            return Ok(false);
        }
        self.table_left -= grows_by;
        Ok(true)
    }

    fn instances(&self) -> usize {
        MAX_INSTANCES
    }

    fn memories(&self) -> usize {
        MAX_MEMORIES
    }

    fn tables(&self) -> usize {
        MAX_TABLES
    }
}

/// At most `max` characters of `text`. What is cut off holds no memory: such texts may be kept for long.
pub(crate) fn cut(mut text: String, max: usize) -> String {
    if let Some((at, _)) = text.char_indices().nth(max) {
        text.truncate(at);
        text.push('…');
        text.shrink_to_fit();
    }
    text
}
