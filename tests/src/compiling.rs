//! A policy that takes long to compile, dropped in again and again as new content while tasks flow.

use crate::load::{Load, Seen};
use crate::site::{Crew, Site};
use crate::soak::labelled;
use crate::windows::{Comparison, median, percentile};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[derive(Debug)]
pub struct CompileReport {
    pub dispatch: Comparison,
    /// From dropping the file to the verdict, seconds: the median.
    pub admission_s: f64,
    /// Windows that were over later than the admission they were to be with.
    pub n_cut_short: usize,
    pub seen: Seen,
    pub n_lost: usize,
}

impl std::fmt::Display for CompileReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "admission took {:.1} s; {} windows were longer than that",
            self.admission_s, self.n_cut_short
        )?;
        write!(f, "due to placed: {}", self.dispatch)
    }
}

/// Compares windows during the admission of `guest`, which no slot is bound to, with others.
pub async fn run(
    guest: &[u8],
    n_pairs: usize,
    tasks_per_s: f64,
    window: Duration,
    mut progress: impl FnMut(String),
) -> CompileReport {
    let site = Arc::new(Site::start_with("[retention]\nfinished = 2000\n").await);
    site.hire(Crew { n_workers: 2, cpus: 2_000, no_execution: true }).await;
    let load = Load::start(&site.url(""), tasks_per_s, Arc::new(|_| Ok(()))).await;
    tokio::time::sleep(window).await;
    let (mut with, mut without, mut took_s) = (Vec::new(), Vec::new(), Vec::new());
    let mut n_cut_short = 0;
    for pair in 0..n_pairs {
        load.next_window();
        tokio::time::sleep(window).await;
        without.push(percentile(load.next_window(), 0.99));
        site.drop_in("other", &labelled(guest, &pair.to_string()));
        let (began, reloading) = (Instant::now(), site.clone());
        let admission = tokio::spawn(async move { reloading.reload_policies().await });
        load.next_window();
        tokio::time::sleep(window).await;
        n_cut_short += usize::from(admission.is_finished());
        with.push(percentile(load.next_window(), 0.99));
        let verdict = admission.await.expect("the host answers");
        assert!(verdict.refused.is_empty(), "{:?}", verdict.refused);
        took_s.push(began.elapsed().as_secs_f64());
        progress(format!(
            "p99 {:.2} ms during {:.1} s of admission, {:.2} ms without",
            with[pair], took_s[pair], without[pair]
        ));
    }
    let (seen, n_lost) = load.finish().await;
    if let Some(site) = Arc::into_inner(site) {
        site.stop().await;
    }
    CompileReport {
        dispatch: Comparison::of(&with, &without),
        admission_s: median(took_s),
        n_cut_short,
        seen,
        n_lost,
    }
}
