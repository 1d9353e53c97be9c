//! Where rows go: to standard output as they come, or to a file that gets its name when it is complete.

use crate::output::print_bytes;
use crate::shown::harmless;
use serde::Serialize;
use std::fs::Permissions;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Rows wait here, written out, until they are flushed.
pub struct Sink {
    rows: Rows,
    /// None: standard output.
    file: Option<(NamedTempFile, PathBuf)>,
}

enum Rows {
    Csv(Box<csv::Writer<Vec<u8>>>),
    Lines(Vec<u8>),
}

impl Sink {
    /// To the file at `path`, or to standard output.
    ///
    /// # Errors
    /// If no file can be made beside `path`.
    pub fn open(path: Option<&Path>, is_csv: bool) -> io::Result<Sink> {
        let file = path.map(|path| Ok::<_, io::Error>((unfinished(path)?, path.to_owned())));
        let rows = if is_csv { Rows::Csv(Box::new(csv_writer())) } else { Rows::Lines(Vec::new()) };
        Ok(Sink { rows, file: file.transpose()? })
    }

    /// The line of names, where the format has one.
    pub fn begin(&mut self, names: &[&str]) -> io::Result<()> {
        match &mut self.rows {
            Rows::Csv(writer) => Ok(writer.write_record(names)?),
            Rows::Lines(_) => Ok(()),
        }
    }

    pub fn put(&mut self, row: &impl Serialize) -> io::Result<()> {
        match &mut self.rows {
            Rows::Csv(writer) => Ok(writer.serialize(row)?),
            Rows::Lines(lines) => {
                serde_json::to_writer(&mut *lines, row)?;
                lines.push(b'\n');
                Ok(())
            }
        }
    }

    /// Writes what was put.
    pub fn flush(&mut self) -> io::Result<()> {
        let bytes = match &mut self.rows {
            Rows::Lines(lines) => std::mem::take(lines),
            Rows::Csv(writer) => std::mem::replace(&mut **writer, csv_writer())
                .into_inner()
                .map_err(|error| io::Error::other(error.to_string()))?,
        };
        match &mut self.file {
            Some((file, _)) => file.write_all(&bytes),
            None if io::stdout().is_terminal() => {
                print_bytes(&for_terminal(&bytes));
                Ok(())
            }
            None => {
                print_bytes(&bytes);
                Ok(())
            }
        }
    }

    /// Gives the file its name.
    pub fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        let Some((file, path)) = self.file else { return Ok(()) };
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }
}

/// Each row brings its values only: the names stand in a line that is there without rows too.
fn csv_writer() -> csv::Writer<Vec<u8>> {
    csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new())
}

/// In the same folder, so that it can be renamed; it goes away if it is not finished.
fn unfinished(path: &Path) -> io::Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    // What the user's umask leaves of it.
    let permissions = Permissions::from_mode(0o666);
    let mut builder = tempfile::Builder::new();
    builder.prefix(".pointsman-history-").permissions(permissions);
    builder.tempfile_in(folder.unwrap_or(Path::new(".")))
}

/// What others wrote neither moves a cursor nor changes colours; files and pipes get it as it is.
fn for_terminal(bytes: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<_> = text.split('\n').map(harmless).collect();
    lines.join("\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_shows_rows_as_lines_and_nothing_else() {
        let shown = for_terminal("at_ms,worker\n5,a\u{1b}[2Jb\n".as_bytes());
        assert_eq!(String::from_utf8(shown).unwrap(), "at_ms,worker\n5,a\u{FFFD}[2Jb\n");
    }
}
