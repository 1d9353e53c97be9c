//! What is said elsewhere of the machine's load: a file that somebody else writes and puts in place whole,
//! and whose values take the place of what the worker measures. It is read anew each time, never kept: a
//! file that is gone says nothing more.

use pointsman_protocol::worker::WireMeasurements;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

/// A file longer than this is none of measurements.
const BYTES_MAX: u64 = 64 << 10;

pub(crate) struct Elsewhere {
    path: PathBuf,
    /// What was wrong when it was last read, so that it is told once.
    told: Option<Flawed>,
}

/// What of a file cannot be used.
#[derive(Debug, PartialEq)]
struct Flawed {
    why: String,
    content: Vec<u8>,
}

/// The fields of [`WireMeasurements`]; one of another name is a mistake to be told.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Said {
    cpu_used: Option<f64>,
    memory_used: Option<f64>,
    iops_used: Option<f64>,
    rtt_ms: Option<f64>,
    connections: Option<u32>,
}

impl Elsewhere {
    pub fn new(path: PathBuf) -> Elsewhere {
        Elsewhere { path, told: None }
    }

    /// What the file says, and of the rest what was `measured`.
    pub fn replace(&mut self, measured: WireMeasurements) -> WireMeasurements {
        let (replaced, news) = self.take(measured);
        if let Some(why) = news {
            let path = self.path.display();
            tracing::warn!("{path} is not used, the machine is measured instead: {why}");
        }
        replaced
    }

    /// With what has to be told of the file.
    fn take(&mut self, measured: WireMeasurements) -> (WireMeasurements, Option<String>) {
        match self.read() {
            Ok(said) => {
                self.told = None;
                (said.or(measured), None)
            }
            Err(flawed) if self.told.as_ref() == Some(&flawed) => (measured, None),
            Err(flawed) => {
                let why = flawed.why.clone();
                self.told = Some(flawed);
                (measured, Some(why))
            }
        }
    }

    fn read(&self) -> Result<Said, Flawed> {
        let unread = |error: std::io::Error| Flawed { why: error.to_string(), content: Vec::new() };
        // What is no plain file might keep the heartbeat waiting.
        match std::fs::metadata(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Said::default());
            }
            Err(error) => return Err(unread(error)),
            Ok(metadata) if !metadata.is_file() => {
                return Err(Flawed { why: "it is no file".to_owned(), content: Vec::new() });
            }
            Ok(_) => {}
        }
        let mut content = Vec::new();
        let file = File::open(&self.path).map_err(unread)?;
        file.take(BYTES_MAX + 1).read_to_end(&mut content).map_err(unread)?;
        if content.len() as u64 > BYTES_MAX {
            return Err(Flawed { why: "it is too long".to_owned(), content: Vec::new() });
        }
        parse(&content).and_then(Said::checked).map_err(|why| Flawed { why, content })
    }
}

/// A list would do for a struct, but is none of measurements.
fn parse(content: &[u8]) -> Result<Said, String> {
    let object: serde_json::Result<serde_json::Map<_, _>> = serde_json::from_slice(content);
    let said = object.and_then(|it| serde_json::from_value(serde_json::Value::Object(it)));
    said.map_err(|error| error.to_string())
}

impl Said {
    fn checked(self) -> Result<Said, String> {
        let fractions = [
            ("cpu_used", self.cpu_used),
            ("memory_used", self.memory_used),
            ("iops_used", self.iops_used),
        ];
        for (name, value) in fractions {
            if let Some(value) = value.filter(|value| !(0.0..=1.0).contains(value)) {
                return Err(format!("{name} is {value}, not from 0 to 1"));
            }
        }
        match self.rtt_ms.filter(|value| *value < 0.0) {
            Some(value) => Err(format!("rtt_ms is {value}, below 0")),
            None => Ok(self),
        }
    }

    fn or(self, measured: WireMeasurements) -> WireMeasurements {
        WireMeasurements {
            cpu_used: self.cpu_used.or(measured.cpu_used),
            memory_used: self.memory_used.or(measured.memory_used),
            iops_used: self.iops_used.or(measured.iops_used),
            rtt_ms: self.rtt_ms.or(measured.rtt_ms),
            connections: self.connections.or(measured.connections),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEASURED: WireMeasurements = WireMeasurements {
        cpu_used: Some(0.1),
        memory_used: Some(0.2),
        iops_used: None,
        rtt_ms: Some(3.0),
        connections: Some(4),
    };

    /// What comes out, and whether something is told.
    fn replace(elsewhere: &mut Elsewhere, content: &str) -> (WireMeasurements, bool) {
        std::fs::write(&elsewhere.path, content).unwrap();
        elsewhere.told = None;
        let (replaced, news) = elsewhere.take(MEASURED);
        (replaced, news.is_some())
    }

    fn new(folder: &tempfile::TempDir) -> Elsewhere {
        Elsewhere::new(folder.path().join("load.json"))
    }

    #[test]
    fn what_the_file_says_takes_the_place_of_what_is_measured() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = &mut new(&folder);
        assert_eq!(elsewhere.replace(MEASURED), MEASURED, "there is no file");
        let mut check = |content: &str, expected: WireMeasurements| {
            assert_eq!(replace(elsewhere, content), (expected, false), "{content}");
        };
        check("{}", MEASURED);
        check(r#"{"cpu_used":0.7}"#, WireMeasurements { cpu_used: Some(0.7), ..MEASURED });
        check(
            r#"{"cpu_used":null,"iops_used":1}"#,
            WireMeasurements { iops_used: Some(1.0), ..MEASURED },
        );
        let all = r#"{"cpu_used":0,"memory_used":1,"iops_used":0.5,"rtt_ms":0,"connections":9}"#;
        check(
            all,
            WireMeasurements {
                cpu_used: Some(0.0),
                memory_used: Some(1.0),
                iops_used: Some(0.5),
                rtt_ms: Some(0.0),
                connections: Some(9),
            },
        );
        std::fs::remove_file(&elsewhere.path).unwrap();
        assert_eq!(elsewhere.replace(MEASURED), MEASURED, "the file is gone");
    }

    #[test]
    fn nothing_wrong_reaches_the_host() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = &mut new(&folder);
        let long = format!("{{}}{}", " ".repeat(BYTES_MAX as usize));
        let wrong = [
            "",
            "{\"cpu_used\":0.",
            "[0.5]",
            r#"{"cpu_used":"0.5"}"#,
            r#"{"cpu_used":1.01}"#,
            r#"{"memory_used":-0.1}"#,
            r#"{"iops_used":1e999}"#,
            r#"{"rtt_ms":-1}"#,
            r#"{"connections":-1}"#,
            r#"{"cpu":0.5}"#,
            &long,
        ];
        for content in wrong {
            assert_eq!(replace(elsewhere, content), (MEASURED, true), "{content:.40}");
        }
        let mut folder_itself = Elsewhere::new(folder.path().to_owned());
        assert_eq!(folder_itself.replace(MEASURED), MEASURED);
        assert!(folder_itself.told.is_some());
    }

    #[test]
    fn a_mistake_is_told_once_and_another_one_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut elsewhere = new(&folder);
        let mut check = |content: &str, is_told: bool| {
            std::fs::write(&elsewhere.path, content).unwrap();
            let (_, news) = elsewhere.take(MEASURED);
            assert_eq!(news.is_some(), is_told, "{content}");
        };
        check("no", true);
        check("no", false);
        check("nothing", true);
        check("{}", false);
        check("nothing", true);
    }
}
