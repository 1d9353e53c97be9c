//! Failures of nodes at Los Alamos National Laboratory, 1996 to 2005 (LA-UR-05-7318): rows with a
//! header, of which the system, the node and the times of failure and repair are read. Times are
//! local, to the minute, as people wrote them down.

use crate::import::names::label_value;
use crate::import::{ReadError, read_text};
use crate::outage::Outage;
use pointsman_scheduler::Time;
use std::collections::BTreeMap;
use std::path::Path;

/// Why a file is not imported. Lines count from 1.
#[derive(Debug, thiserror::Error)]
pub enum LanlError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("line 1 has no column {0:?}")]
    Column(&'static str),
    #[error("line {line}: {column} is missing")]
    Missing { line: usize, column: &'static str },
    #[error("line {line}: {column} is {value:?}; a whole number is expected")]
    Number { line: usize, column: &'static str, value: String },
    #[error("line {line}: {column} is {value:?}; a time such as 6/21/2005 10:54 is expected")]
    Date { line: usize, column: &'static str, value: String },
    #[error("line {line}: the repair is before the failure")]
    Backwards { line: usize },
}

/// One failure of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    pub system: u32,
    /// None in a few rows.
    pub node: Option<u32>,
    /// Minutes since the start of 1970, local time.
    pub started: u64,
    pub fixed: u64,
}

/// Reads a file, plain or gzipped.
///
/// # Errors
/// If it cannot be read or a row is not a failure.
pub fn read(path: &Path) -> Result<Vec<Failure>, LanlError> {
    parse(&read_text(path)?)
}

const COLUMNS: [&str; 4] = ["System", "nodenumz", "Prob Started", "Prob Fixed"];

/// # Errors
/// If a column is missing or a row is not a failure.
pub fn parse(text: &str) -> Result<Vec<Failure>, LanlError> {
    let mut lines = text.lines().enumerate().map(|(at, text)| (at + 1, text));
    let header: Vec<&str> =
        lines.next().map(|(_, text)| text.split(',').map(str::trim).collect()).unwrap_or_default();
    let place =
        |column| header.iter().position(|it| *it == column).ok_or(LanlError::Column(column));
    let [system, node, started, fixed] =
        [place("System")?, place("nodenumz")?, place("Prob Started")?, place("Prob Fixed")?];
    let read = |(line, text): (usize, &str)| {
        let fields: Vec<&str> = text.split(',').map(str::trim).collect();
        let field = |at: usize, column: usize| {
            let column = COLUMNS[column];
            fields
                .get(at)
                .copied()
                .filter(|it| !it.is_empty())
                .ok_or(LanlError::Missing { line, column })
        };
        let is_empty = |at: usize| fields.get(at).is_none_or(|it| it.is_empty());
        let number = |at, column: usize| {
            let value = field(at, column)?;
            let column = COLUMNS[column];
            value.parse().map_err(|_| LanlError::Number { line, column, value: label_value(value) })
        };
        let date = |at, column: usize| {
            let value = field(at, column)?;
            let column = COLUMNS[column];
            minutes(value).ok_or_else(|| LanlError::Date {
                line,
                column,
                value: label_value(value),
            })
        };
        let failure = Failure {
            system: number(system, 0)?,
            node: if is_empty(node) { None } else { Some(number(node, 1)?) },
            started: date(started, 2)?,
            fixed: date(fixed, 3)?,
        };
        if failure.fixed < failure.started {
            return Err(LanlError::Backwards { line });
        }
        Ok(failure)
    };
    lines.filter(|(_, text)| !text.trim().is_empty()).map(read).collect()
}

/// Minutes since the start of 1970 from `month/day/year hour:minute`.
fn minutes(text: &str) -> Option<u64> {
    let (date, time) = text.split_once(' ')?;
    let numbers = |text: &str, separator: char| -> Option<Vec<u64>> {
        text.split(separator).map(|it| it.parse().ok()).collect()
    };
    let (date, time) = (numbers(date, '/')?, numbers(time, ':')?);
    let ([month, day, year], [hour, minute]) = (&date[..], &time[..]) else { return None };
    let is_in_range = (1..=12).contains(month)
        && (1..=31).contains(day)
        && (1970..=9999).contains(year)
        && *hour < 24
        && *minute < 60;
    is_in_range.then(|| (days(*year, *month, *day) * 24 + hour) * 60 + minute)
}

/// Days since 1970-01-01 in the Gregorian calendar (Hinnant, `chrono`-compatible low-level date
/// algorithms: `days_from_civil`).
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let from_march = (month + 9) % 12;
    let of_year = (153 * from_march + 2) / 5 + day - 1;
    let of_era = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    era * 146_097 + of_era - 719_468
}

/// The outages of the workers that stand for the nodes, by number in `nodes`, the first failure at
/// `lead` after the start. Failures of a node that overlap are one outage; those that name no
/// node are left out.
pub fn to_outages(failures: &[Failure], lead: std::time::Duration) -> Outages {
    let first = failures.iter().map(|it| it.started).min().unwrap_or(0);
    let mut by_node: BTreeMap<u32, Vec<(u64, u64)>> = BTreeMap::new();
    for failure in failures {
        let Some(node) = failure.node else { continue };
        by_node.entry(node).or_default().push((failure.started, failure.fixed));
    }
    let at = |minute: u64| {
        Time::ZERO.after(lead).after(std::time::Duration::from_secs((minute - first) * 60))
    };
    let mut outages = Vec::new();
    for (worker, spans) in by_node.values_mut().enumerate() {
        spans.sort_unstable();
        let mut merged: Vec<(u64, u64)> = Vec::new();
        for &mut (from, until) in spans {
            match merged.last_mut() {
                Some((first, last)) if from < *last || from == *first => *last = until.max(*last),
                Some(_) | None => merged.push((from, until)),
            }
        }
        let to_outage = |(from, until)| Outage { worker, from: at(from), until: at(until) };
        outages.extend(merged.into_iter().map(to_outage));
    }
    outages.sort_by_key(|outage| (outage.from, outage.worker));
    Outages { nodes: by_node.into_keys().collect(), outages }
}

/// What becomes of failures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outages {
    /// The node that each worker stands for.
    pub nodes: Vec<u32>,
    /// In order of their beginning.
    pub outages: Vec<Outage>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn minutes_are_those_of_the_calendar() {
        assert_eq!(minutes("1/1/1970 0:00"), Some(0));
        assert_eq!(minutes("3/1/2000 00:01"), Some(951_868_800 / 60 + 1));
        assert_eq!(minutes("6/21/2005 10:54"), Some(1_119_351_240 / 60));
        for bad in
            ["", "6/21/2005", "13/1/2005 1:00", "6/21/2005 24:00", "6/21/2005 1:60", "a/b/c d:e"]
        {
            assert_eq!(minutes(bad), None, "{bad}");
        }
    }

    #[test]
    fn rows_that_are_no_failures_are_refused_with_their_line() {
        const HEADER: &str = "System,nodenumz,Prob Started,Prob Fixed";
        let show = |row: &str| {
            let text = format!("{HEADER}\n{row}\n");
            parse(&text).expect_err("the row is broken").to_string()
        };
        assert!(show("2,0,1/1/2000 0:00").contains("line 2: Prob Fixed is missing"));
        assert!(show("2,x,1/1/2000 0:00,1/1/2000 0:00").contains("line 2: nodenumz is \"x\""));
        assert!(show("2,0,soon,1/1/2000 0:00").contains("line 2: Prob Started is \"soon\""));
        assert!(show("2,0,1/2/2000 0:00,1/1/2000 0:00").contains("line 2: the repair is before"));
        assert!(parse("a,b\n").unwrap_err().to_string().contains("no column \"System\""));
    }

    #[test]
    fn failures_that_overlap_are_one_outage() {
        let failure =
            |node, started, fixed| Failure { system: 1, node: Some(node), started, fixed };
        let failures = [
            failure(7, 30, 40),
            failure(3, 12, 20),
            failure(3, 10, 15),
            failure(3, 20, 20),
            failure(3, 20, 22),
        ];
        let outages = to_outages(&failures, Duration::from_secs(60));
        let at = |minute: u64| Time::ZERO.after(Duration::from_secs(minute * 60));
        assert_eq!(outages.nodes, [3, 7]);
        let expected = [
            Outage { worker: 0, from: at(1), until: at(11) },
            Outage { worker: 0, from: at(11), until: at(13) },
            Outage { worker: 1, from: at(21), until: at(31) },
        ];
        assert_eq!(outages.outages, expected);
    }
}
