//! Progress of a job: a bar on a terminal, a line per change elsewhere.

use crate::shown;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use pointsman_protocol::api::Counts;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Lines at most this often.
const LINE_EVERY: Duration = Duration::from_secs(2);

/// Shown on standard error, so that standard output holds results only.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    last: String,
    told: Instant,
}

impl Progress {
    pub fn of_job(name: &str, n_tasks: u64) -> Progress {
        if !std::io::stderr().is_terminal() {
            let told = Instant::now();
            return Progress { bar: None, last: String::new(), told };
        }
        let bar = ProgressBar::with_draw_target(Some(n_tasks), ProgressDrawTarget::stderr());
        let style = "{prefix} {bar:24.green} {pos}/{len} {elapsed} {wide_msg}";
        bar.set_style(ProgressStyle::with_template(style).expect("the template is well-formed"));
        bar.set_prefix(shown::harmless(name).into_owned());
        Progress { bar: Some(bar), last: String::new(), told: Instant::now() }
    }

    pub fn update(&mut self, counts: Counts) {
        let text = shown::counts(counts);
        match &self.bar {
            Some(bar) => {
                bar.set_position(shown::n_ended(counts));
                bar.set_message(format!(
                    "{} running, {} waiting, {} failed",
                    counts.running, counts.pending, counts.failed
                ));
            }
            None if text != self.last && self.told.elapsed() >= LINE_EVERY => {
                // Progress that cannot be shown is no reason to stop.
                let _ = writeln!(std::io::stderr(), "{text}");
                self.told = Instant::now();
                self.last = text;
            }
            None => {}
        }
    }

    /// A line above the bar.
    pub fn note(&self, text: &str) {
        let text = shown::harmless(text);
        match &self.bar {
            Some(bar) => bar.println(text),
            None => {
                // As above.
                let _ = writeln!(std::io::stderr(), "{text}");
            }
        }
    }

    pub fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}
