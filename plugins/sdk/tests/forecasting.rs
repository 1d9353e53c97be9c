//! Windows are read in their order, and forecasts are checked.

use pointsman_policy_sdk::prelude::*;
use pointsman_policy_sdk::testing::{Table, fuzz_forecasting, row};
use std::panic::{AssertUnwindSafe, catch_unwind};

#[derive(Debug, PartialEq, Columns)]
struct Worker {
    rtt_ms: f64,
    #[column("cpu-used@-2m..0s/1m")]
    cpu: [f64; 3],
    #[column("memory-used@-2m..-1m/1m")]
    memory: [Option<f64>; 2],
    running: Option<f64>,
}

#[derive(Forecast)]
struct Soon {
    cpu_used: f64,
    #[column("rtt-ms")]
    away: f64,
}

struct Last(fn(&Worker) -> f64, fn(About) -> About);

impl Forecasting for Last {
    type Config = NoConfig;
    type Worker = Worker;
    type Forecast = Soon;

    fn new(_: NoConfig) -> Result<Last, String> {
        Ok(Last(|worker| worker.cpu[2].max(0.0), |about| about.horizon_ms(60_000)))
    }

    fn about(&self) -> About {
        (self.1)(About::new("last", "1"))
    }

    fn forecast(&self, worker: &Worker) -> Soon {
        Soon { cpu_used: (self.0)(worker), away: worker.rtt_ms.max(1.0) }
    }
}

export_forecasting!(Last);

#[test]
fn no_sample_is_read_for_another() {
    let read = Worker::read(|list| list as f64);
    let expected = Worker {
        rtt_ms: 0.0,
        cpu: [1.0, 2.0, 3.0],
        memory: [Some(4.0), Some(5.0)],
        running: Some(6.0),
    };
    assert_eq!(read, expected);
    let table: Table<Worker> = Table::parse(
        "   cpu-used@-2m..0s/1m  memory-used@-2m..-1m/1m  rtt-ms  running
         w  1,2,3                4,5                      0       6 ",
    );
    assert_eq!(table.row("w"), expected);
    let steady: Worker = row(&[("cpu-used@-2m..0s/1m", 0.5), ("running", 1.0), ("rtt-ms", 2.0)]);
    let expected = Worker { rtt_ms: 2.0, cpu: [0.5; 3], memory: [None; 2], running: Some(1.0) };
    assert_eq!(steady, expected);
}

fn fault(policy: &Last) -> Option<String> {
    let payload = catch_unwind(AssertUnwindSafe(|| fuzz_forecasting(policy))).err()?;
    Some(payload.downcast_ref::<String>().expect("the message is text").clone())
}

#[test]
fn no_forecast_that_the_host_would_drop_is_overlooked() {
    let right = Last::new(NoConfig {}).expect("it takes no configuration");
    assert_eq!(fault(&right), None);
    let found = fault(&Last(|worker| worker.cpu[2], right.1)).expect("a sample may be missing");
    let expected = "predicted:cpu-used of worker 0 is NaN, and not finite";
    assert!(found.starts_with(expected), "{found}");
    assert!(found.contains("cpu-used@-2m..0s/1m = [0.0, 0.0, NaN]"), "{found}");
    let found = fault(&Last(right.0, |about| about)).expect("the horizon is missing");
    assert_eq!(found, "about() does not say how far ahead it looks: set horizon_ms");
}
