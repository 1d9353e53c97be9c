//! Why a file gives no series.

use super::BYTES_MAX;

#[derive(Debug, thiserror::Error)]
pub enum SeriesError {
    #[error("failed to read {file}")]
    Read { file: String, source: std::io::Error },
    #[error("{file} has {n_bytes} bytes; at most {BYTES_MAX} are read")]
    TooLarge { file: String, n_bytes: u64 },
    #[error(
        "{file} is no series: expected is CSV of the Numenta Anomaly Benchmark (timestamp,value), of \
         Bitbrains (Timestamp [ms]; …) or of PlanetLab (name,percentage,…), or a history as CSV \
         (at_ms,worker,cpu_used,…) or as JSON lines"
    )]
    Unknown { file: String },
    #[error("{file} has no column {column:?}; choose one of {known}")]
    NoColumn { file: String, column: String, known: String },
    #[error("{file}:{line}: column {column} is {found:?}; expected is {expected}")]
    Value { file: String, line: usize, column: usize, found: String, expected: &'static str },
    #[error(
        "{file}:{line}: there are {found} columns; expected are {expected}, as in the lines before"
    )]
    Columns { file: String, line: usize, found: usize, expected: usize },
    #[error("{file}:{line}: this is no JSON object of a history")]
    Json { file: String, line: usize, source: serde_json::Error },
    #[error("{file} has no value of {column}; choose another column or file")]
    NoValues { file: String, column: String },
    #[error(
        "the points of {file} are five minutes apart and are taken as they stand, not every {asked_ms} ms: \
         only a history can be brought to a step"
    )]
    Step { file: String, asked_ms: u64 },
}
