//! Policies are replaced again and again while tasks flow: nothing is lost, nothing mixes, nothing
//! leaks. `cargo xtask soak` runs the same for longer, and looks at latency too.

use pointsman_tests::soak::{SoakOptions, faults, run};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn swaps_under_load_lose_double_and_mix_nothing() {
    let options = SoakOptions {
        n_swaps: 400,
        tasks_per_s: 200.0,
        swaps_per_s: 100.0,
        window: Duration::from_secs(1),
        n_fill: 20_000,
        n_warm: 100,
    };
    let report = run(options, |_| ()).await;
    assert_eq!(faults(&report.seen, report.n_lost), Vec::<String>::new(), "{report}");
    assert!(report.n_swaps >= options.n_swaps);
    assert!(report.seen.n_succeeded > 500, "{report}");
    assert!(report.memory_growth < 1.1, "{report}");
}
