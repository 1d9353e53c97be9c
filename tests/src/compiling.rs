//! A policy that takes long to compile, dropped in again and again as new content while tasks flow.

use crate::load::{Load, Seen};
use crate::site::{Crew, Site};
use crate::soak::labelled;
use crate::windows::{Comparison, median, percentile};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between windows, so that none sees what the one before set going.
const CALM: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct CompileReport {
    pub dispatch: Comparison,
    /// From dropping the file to the verdict, seconds: the median.
    pub admission_s: f64,
    pub seen: Seen,
    pub n_lost: usize,
}

impl std::fmt::Display for CompileReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "admission took {:.1} s", self.admission_s)?;
        write!(f, "due to placed: {}", self.dispatch)
    }
}

/// Compares the time of an admission of `guest`, which no slot is bound to, with as much rest.
pub async fn run(
    guest: &[u8],
    n_pairs: usize,
    tasks_per_s: f64,
    mut progress: impl FnMut(String),
) -> CompileReport {
    let site = Site::start_with("[retention]\nfinished = 2000\n").await;
    site.hire(Crew { n_workers: 2, cpus: 2_000, no_execution: true }).await;
    let load = Load::start(&site.url(""), tasks_per_s, Arc::new(|_| Ok(()))).await;
    let (mut with, mut without, mut took_s) = (Vec::new(), Vec::new(), Vec::new());
    for pair in 0..n_pairs {
        // Written beforehand: what a copy does to the disk is not the host's doing.
        site.lay_aside(&labelled(guest, &pair.to_string()));
        tokio::time::sleep(CALM).await;
        load.next_window();
        let began = Instant::now();
        site.drop_aside("other");
        let verdict = site.reload_policies().await;
        let took = began.elapsed();
        with.push(percentile(load.next_window(), 0.99));
        assert!(verdict.refused.is_empty(), "{:?}", verdict.refused);
        took_s.push(took.as_secs_f64());
        tokio::time::sleep(CALM).await;
        load.next_window();
        tokio::time::sleep(took).await;
        without.push(percentile(load.next_window(), 0.99));
        progress(format!(
            "p99 {:.2} ms during {:.1} s of admission, {:.2} ms without",
            with[pair], took_s[pair], without[pair]
        ));
    }
    let (seen, n_lost) = load.finish().await;
    site.stop().await;
    CompileReport {
        dispatch: Comparison::of(&with, &without),
        admission_s: median(took_s),
        seen,
        n_lost,
    }
}
