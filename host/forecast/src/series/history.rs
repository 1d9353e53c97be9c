//! Measurements of workers at any time, as Pointsman exports them.

use super::points::columns;
use super::{SeriesError, Source};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// (milliseconds since 1970, value), in the order of the file.
pub(super) type Measurements = Vec<(u64, f64)>;

/// What can be chosen.
const MEASURED: [&str; 5] = ["cpu-used", "memory-used", "iops-used", "rtt-ms", "connections"];

/// By worker.
pub(super) fn csv(source: &Source<'_>) -> Result<BTreeMap<String, Measurements>, SeriesError> {
    let mut lines = source.lines();
    let (_, header) = lines.next().expect("the format was told by its header");
    let names: Vec<String> = header.split(',').map(|name| name.trim().replace('_', "-")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let at_value = source.find(&names, None)?;
    let at_time = Source { column: "at-ms", ..*source }.find(&names, None)?;
    let at_worker = Source { column: "worker", ..*source }.find(&names, None)?;
    let mut workers: BTreeMap<String, Measurements> = BTreeMap::new();
    for (line, row) in lines {
        let cells: Vec<&str> = row.split(',').map(str::trim).collect();
        if cells.len() != names.len() {
            return Err(columns(source, line, cells.len(), names.len()));
        }
        let at_ms = cells[at_time].parse().map_err(|_| {
            source.wrong(line, at_time + 1, cells[at_time], "a whole number of milliseconds")
        })?;
        if !cells[at_value].is_empty() {
            let value = source.number(line, at_value + 1, cells[at_value])?;
            workers.entry(cells[at_worker].to_owned()).or_default().push((at_ms, value));
        }
    }
    Ok(workers)
}

/// By worker.
pub(super) fn json_lines(
    source: &Source<'_>,
) -> Result<BTreeMap<String, Measurements>, SeriesError> {
    source.find(&MEASURED, None)?;
    let key = source.column.replace('-', "_");
    let mut workers: BTreeMap<String, Measurements> = BTreeMap::new();
    for (line, text) in source.lines() {
        let object: Map<String, Value> = serde_json::from_str(text).map_err(|flaw| {
            SeriesError::Json { file: source.file.to_owned(), line, source: flaw }
        })?;
        let at = |key: &str| object.get(key).unwrap_or(&Value::Null);
        let wrong = |value: &Value, expected| source.wrong(line, 1, &value.to_string(), expected);
        let at_ms = at("at_ms");
        let at_ms = at_ms.as_u64().ok_or_else(|| {
            wrong(at_ms, "an object whose at_ms is a whole number of milliseconds")
        })?;
        let worker = at("worker");
        let worker = match worker {
            Value::String(name) => name.clone(),
            Value::Number(number) => number.to_string(),
            _ => return Err(wrong(worker, "an object whose worker is a text or a number")),
        };
        match at(&key) {
            Value::Null => {}
            value => {
                let value = value.as_f64().ok_or_else(|| wrong(value, "a number or null"))?;
                workers.entry(worker).or_default().push((at_ms, value));
            }
        }
    }
    Ok(workers)
}
