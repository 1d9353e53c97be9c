//! Logs of the host itself: lines for people, or JSON for programs. Output of tasks is not here.

use std::io::IsTerminal;
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// The variable that filters lines, like `info,pointsman_policy=debug`.
pub const FILTER: &str = "POINTSMAN_LOG";
/// The variable that chooses a [`LogFormat`], `text` or `json`.
pub const FORMAT: &str = "POINTSMAN_LOG_FORMAT";

const FILTER_DEFAULT: &str = "info";

/// Begins logging to standard error, filtered by the variable [`FILTER`] and in the format of the
/// variable [`FORMAT`], else in `format`. Once a process; later calls change nothing. A variable
/// that cannot be read is told in the log, and its default taken.
pub fn init(format: LogFormat) {
    let (format, bad_format) = match std::env::var(FORMAT).as_deref() {
        Err(_) | Ok("") => (format, None),
        Ok("text") => (LogFormat::Text, None),
        Ok("json") => (LogFormat::Json, None),
        Ok(other) => (format, Some(format!("{FORMAT} is {other:?}; use \"text\" or \"json\""))),
    };
    let (filter, bad_filter) = filter(std::env::var(FILTER).ok().as_deref());
    // Tests start several hosts in one process: the first one's logs serve all.
    let is_first = tracing::subscriber::set_global_default(subscriber(
        format,
        filter,
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        std::io::stderr,
    ));
    if is_first.is_ok() {
        bad_format.into_iter().chain(bad_filter).for_each(|told| tracing::warn!("{told}"));
    }
}

/// The filter, and what is wrong with its text.
fn filter(text: Option<&str>) -> (EnvFilter, Option<String>) {
    let text = text.filter(|text| !text.is_empty()).unwrap_or(FILTER_DEFAULT);
    match EnvFilter::try_new(text) {
        Ok(filter) => (filter, None),
        Err(error) => {
            let told = format!("{FILTER} is {text:?}: {error}; logging {FILTER_DEFAULT} instead");
            (EnvFilter::new(FILTER_DEFAULT), Some(told))
        }
    }
}

fn subscriber<W>(
    format: LogFormat,
    filter: EnvFilter,
    is_coloured: bool,
    writer: W,
) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    match format {
        LogFormat::Text => Box::new(builder.with_ansi(is_coloured).finish()),
        LogFormat::Json => Box::new(builder.json().flatten_event(true).finish()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("nobody panics with it").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, text: &str) -> String {
        let memory = Memory::default();
        let writer = memory.clone();
        let subscriber = subscriber(format, filter(Some(text)).0, false, move || writer.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::debug!("left out");
            tracing::warn!(worker = "w\n1", "lost\u{1b}[2J");
        });
        let bytes = memory.0.lock().expect("nobody panics with it");
        String::from_utf8(bytes.clone()).expect("lines are UTF-8")
    }

    #[test]
    fn each_event_is_one_line_whatever_it_holds() {
        let json = logged(LogFormat::Json, "info");
        assert_eq!(json.lines().count(), 1, "{json}");
        let line: serde_json::Value = serde_json::from_str(&json).expect("a line is JSON");
        assert_eq!(line["worker"], "w\n1");
        assert_eq!(line["message"], "lost\u{1b}[2J");
        assert_eq!(line["level"], "WARN");
        let text = logged(LogFormat::Text, "info");
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(!text.contains('\u{1b}'), "a log takes over no terminal: {text:?}");
    }

    #[test]
    fn a_filter_that_is_none_does_not_silence_the_log() {
        let (_, told) = filter(Some("pointsman=loud"));
        assert!(told.expect("it is told").contains("\"pointsman=loud\""));
        assert_eq!(logged(LogFormat::Text, "pointsman=loud").lines().count(), 1);
        assert!(filter(None).1.is_none() && filter(Some("")).1.is_none());
    }
}
