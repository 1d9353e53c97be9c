//! How far a training is: a bar on a terminal, now and then a line elsewhere; on standard error.

use crate::shown;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use pointsman_training::Epoch;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

const LINE_EVERY: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Bar {
    name: String,
    bar: Option<ProgressBar>,
    told: Instant,
}

impl Bar {
    pub fn new(name: &str) -> Bar {
        let name = shown::harmless(name).into_owned();
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            let style = "{prefix} {bar:24.green} epoch {pos}/{len} {elapsed} {wide_msg}";
            let style = ProgressStyle::with_template(style).expect("the template is well-formed");
            bar.set_style(style);
            bar.set_prefix(name.clone());
            bar
        });
        Bar { name, bar, told: Instant::now() }
    }

    pub fn update(&mut self, epoch: Epoch) {
        let Epoch { epoch, n_epochs, validation_mae, best_mae } = epoch;
        let errors = format!("error {validation_mae:.4}, best {best_mae:.4}");
        match &self.bar {
            Some(bar) => {
                bar.set_length(n_epochs as u64);
                bar.set_position(epoch as u64);
                bar.set_message(errors);
            }
            None if self.told.elapsed() >= LINE_EVERY => {
                // Progress that cannot be shown is no reason to stop.
                let name = &self.name;
                let _ =
                    writeln!(std::io::stderr(), "{name}: epoch {epoch} of {n_epochs}, {errors}");
                self.told = Instant::now();
            }
            None => {}
        }
    }

    pub fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}
