//! Recorded series, read from what others and Pointsman itself write. The format is told by the content.
//!
//! - NAB (Numenta Anomaly Benchmark): CSV with the header `timestamp,value`.
//! - Bitbrains (GWA-T-12): values between semicolons and tabs, a header with names such as `CPU usage [%]`.
//! - PlanetLab (CoMon): rows of a machine's name and its percentages; the series is the mean over machines.
//! - History, as Pointsman exports it: CSV with the header
//!   `at_ms,worker,cpu_used,memory_used,iops_used,rtt_ms,connections`, or one JSON object a line with these
//!   keys; what is empty, null or left out is missing.
//!
//! The first three are taken point by point as they stand, with their nominal step of five minutes. A
//! history is brought to a step first, for each worker by itself; see [`resample`].

mod error;
mod history;
mod points;
pub mod resample;
#[cfg(test)]
mod tests;

pub use error::SeriesError;

use std::path::Path;

/// The nominal step of the formats that are taken point by point.
pub const POINT_STEP_MS: u64 = 300_000;
/// The step of a history where none is asked for: that of the windows policies usually ask for.
pub const HISTORY_STEP_MS: u64 = 60_000;
/// Larger files are refused.
pub const BYTES_MAX: u64 = 1 << 30;

/// What to take from a file.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// A worker column such as `cpu-used`, or a name in the file's header. Files with one column only are
    /// taken whatever it is.
    pub column: String,
    /// For a history: the step to bring it to. Other files have theirs, and no other may be asked for.
    pub step_ms: Option<u64>,
}

/// A file's values of one column.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// The file's name, without folder and ending.
    pub name: String,
    pub column: String,
    pub step_ms: u64,
    /// Not empty, and neither is any of them.
    pub segments: Vec<Segment>,
}

/// Values one step apart, without a hole.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// Whose values these are, in a history.
    pub worker: Option<String>,
    /// Finite, the oldest first.
    pub values: Vec<f64>,
}

impl Series {
    pub fn n_points(&self) -> usize {
        self.segments.iter().map(|segment| segment.values.len()).sum()
    }

    /// Steps of a day; None where that is no season: fewer than two.
    pub fn season(&self) -> Option<usize> {
        const DAY_MS: u64 = 86_400_000;
        usize::try_from(DAY_MS / self.step_ms).ok().filter(|&season| season >= 2)
    }
}

/// # Errors
/// If the file cannot be read, or as [`parse`].
pub fn read(path: &Path, wanted: &Wanted) -> Result<Series, SeriesError> {
    let file = path.display().to_string();
    let failed = |source| SeriesError::Read { file: file.clone(), source };
    let n_bytes = std::fs::metadata(path).map_err(failed)?.len();
    if n_bytes > BYTES_MAX {
        return Err(SeriesError::TooLarge { file, n_bytes });
    }
    let bytes = std::fs::read(path).map_err(failed)?;
    let text = String::from_utf8(bytes).map_err(|_| SeriesError::Unknown { file: file.clone() })?;
    parse(&file, &text, wanted)
}

/// `file` names the text in errors and, without folder and ending, the series.
///
/// # Errors
/// If the format is unknown, lacks the column or holds no value of it, or with the line and column of a value
/// that is none.
pub fn parse(file: &str, text: &str, wanted: &Wanted) -> Result<Series, SeriesError> {
    let format = Format::of(text).ok_or_else(|| SeriesError::Unknown { file: file.to_owned() })?;
    let source = Source { file, text, column: &wanted.column };
    let step_ms = match (format, wanted.step_ms) {
        (Format::HistoryCsv | Format::HistoryJson, asked) => asked.unwrap_or(HISTORY_STEP_MS),
        (_, None | Some(POINT_STEP_MS)) => POINT_STEP_MS,
        (_, Some(asked_ms)) => {
            return Err(SeriesError::Step { file: file.to_owned(), asked_ms });
        }
    };
    let whole = |values| vec![Segment { worker: None, values }];
    let segments = match format {
        Format::Nab => whole(points::nab(&source)?),
        Format::Bitbrains => whole(points::bitbrains(&source)?),
        Format::PlanetLab => whole(points::planetlab(&source)?),
        Format::HistoryCsv => resample::segments(history::csv(&source)?, step_ms),
        Format::HistoryJson => resample::segments(history::json_lines(&source)?, step_ms),
    };
    if segments.iter().all(|segment| segment.values.is_empty()) {
        return Err(source.no_values());
    }
    let stem = Path::new(file).file_stem().unwrap_or_default().to_string_lossy();
    Ok(Series { name: stem.into_owned(), column: wanted.column.clone(), step_ms, segments })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Nab,
    Bitbrains,
    PlanetLab,
    HistoryCsv,
    HistoryJson,
}

impl Format {
    fn of(text: &str) -> Option<Format> {
        let first = text.lines().find(|line| !line.trim().is_empty())?.trim();
        let is_percentage = |cell: &str| cell.trim().parse::<u32>().is_ok_and(|it| it <= 100);
        if first.starts_with('{') {
            Some(Format::HistoryJson)
        } else if first == "timestamp,value" {
            Some(Format::Nab)
        } else if first.split(',').any(|name| name.trim() == "at_ms") {
            Some(Format::HistoryCsv)
        } else if first.starts_with("Timestamp") && first.contains(';') {
            Some(Format::Bitbrains)
        } else if first.contains(',') && first.split(',').skip(1).all(is_percentage) {
            Some(Format::PlanetLab)
        } else {
            None
        }
    }
}

/// A text that is being read.
#[derive(Debug, Clone, Copy)]
struct Source<'a> {
    file: &'a str,
    text: &'a str,
    column: &'a str,
}

impl<'a> Source<'a> {
    /// Lines that hold something, with their numbers from 1.
    fn lines(&self) -> impl Iterator<Item = (usize, &'a str)> + use<'a> {
        let numbered = self.text.lines().enumerate().map(|(at, line)| (at + 1, line));
        numbered.filter(|(_, line)| !line.trim().is_empty())
    }

    /// `column` counts from 1.
    fn number(&self, line: usize, column: usize, text: &str) -> Result<f64, SeriesError> {
        let value = text.trim().parse::<f64>().ok().filter(|value| value.is_finite());
        value.ok_or_else(|| self.wrong(line, column, text, "a finite number"))
    }

    fn wrong(
        &self,
        line: usize,
        column: usize,
        found: &str,
        expected: &'static str,
    ) -> SeriesError {
        let found = found.trim().chars().take(40).collect();
        SeriesError::Value { file: self.file.to_owned(), line, column, found, expected }
    }

    fn no_values(&self) -> SeriesError {
        SeriesError::NoValues { file: self.file.to_owned(), column: self.column.to_owned() }
    }

    /// Where the wanted column is among the names of a header, by its name there or by an alias.
    fn find(&self, names: &[&str], alias: Option<&str>) -> Result<usize, SeriesError> {
        let is_wanted = |name: &&str| *name == self.column || Some(*name) == alias;
        names.iter().position(is_wanted).ok_or_else(|| SeriesError::NoColumn {
            file: self.file.to_owned(),
            column: self.column.to_owned(),
            known: names.join(", "),
        })
    }
}
