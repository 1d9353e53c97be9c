pub struct Thrifty(Config);

impl Scoring for Thrifty {
    type Config = Config;
    type Task = Task;
    type Worker = Worker;

    fn new(config: Config) -> Result<Thrifty, String> {
        if !(0.0..=1.0).contains(&config.room) {
            return Err(format!("room: {} is not from 0 to 1", config.room));
        }
        if config.dear.is_nan() || config.dear <= 0.0 {
            return Err(format!("dear: {} is no price above 0", config.dear));
        }
        Ok(Thrifty(config))
    }

    fn about(&self) -> About {
        About::new("thrifty", "0.1.0").description("room for a low price").node_local()
    }

    fn score(&self, task: &Task, worker: &Worker) -> f64 {
        let sum: f64 = self.terms(task, worker).into_iter().map(|(_, value)| value).sum();
        sum.min(1.0)
    }

    fn terms(&self, task: &Task, worker: &Worker) -> Vec<(&'static str, f64)> {
        let left = (worker.memory_free - task.memory) / worker.memory_capacity;
        let price = worker.cost / self.0.dear;
        // A worker whose distance was never measured is taken for a near one.
        let near = if worker.rtt_ms.unwrap_or(0.0) < 500.0 { 1.0 } else { 0.5 };
        vec![
            ("room", self.0.room * near * fraction(left)),
            ("price", (1.0 - self.0.room) * near * (1.0 - fraction(price))),
        ]
    }
}

/// Whatever comes in, from 0 to 1; `max` takes the other operand for NaN.
fn fraction(value: f64) -> f64 {
    value.max(0.0).min(1.0)
}

export_scoring!(Thrifty);
