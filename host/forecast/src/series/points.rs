//! Formats whose points are taken as they stand.

use super::{SeriesError, Source};

/// Header and two columns.
pub(super) fn nab(source: &Source<'_>) -> Result<Vec<f64>, SeriesError> {
    let rows = source.lines().skip(1);
    rows.map(|(line, row)| match row.split(',').collect::<Vec<_>>()[..] {
        [_, value] => source.number(line, 2, value),
        ref cells => Err(columns(source, line, cells.len(), 2)),
    })
    .collect()
}

/// Cells between semicolons, with tabs beside them.
pub(super) fn bitbrains(source: &Source<'_>) -> Result<Vec<f64>, SeriesError> {
    let mut lines = source.lines();
    let (_, header) = lines.next().expect("the format was told by its header");
    let names: Vec<&str> = header.split(';').map(str::trim).collect();
    let alias = match source.column {
        "cpu-used" => Some("CPU usage [%]"),
        "memory-used" => Some("Memory usage [KB]"),
        _ => None,
    };
    let at = source.find(&names, alias)?;
    lines
        .map(|(line, row)| {
            let cells: Vec<&str> = row.split(';').collect();
            match cells.get(at) {
                Some(value) if cells.len() == names.len() => source.number(line, at + 1, value),
                _ => Err(columns(source, line, cells.len(), names.len())),
            }
        })
        .collect()
}

/// A machine per row; the mean over all of them.
pub(super) fn planetlab(source: &Source<'_>) -> Result<Vec<f64>, SeriesError> {
    source.find(&["cpu-used"], None)?;
    let mut sums: Vec<f64> = Vec::new();
    let mut n_machines = 0.0;
    for (line, row) in source.lines() {
        let values: Result<Vec<f64>, _> = row
            .split(',')
            .enumerate()
            .skip(1)
            .map(|(at, cell)| source.number(line, at + 1, cell))
            .collect();
        let values = values?;
        if n_machines == 0.0 {
            sums = vec![0.0; values.len()];
        } else if values.len() != sums.len() {
            return Err(columns(source, line, values.len() + 1, sums.len() + 1));
        }
        sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        n_machines += 1.0;
    }
    Ok(sums.into_iter().map(|sum| sum / n_machines).collect())
}

pub(super) fn columns(
    source: &Source<'_>,
    line: usize,
    found: usize,
    expected: usize,
) -> SeriesError {
    SeriesError::Columns { file: source.file.to_owned(), line, found, expected }
}
