//! Agents inside the host's process, for laptops: they divide the machine between them and talk to
//! the host like any other worker.

use crate::client::read_token;
use crate::commands::worker::limits;
use crate::exit::Failure;
use futures_util::future::join_all;
use pointsman_protocol::worker::WireCapacity;
use pointsman_server::config::Config;
use pointsman_worker::{LimitOptions, WorkerOptions, machine_capacity};
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::sync::watch;

pub struct Agents {
    n: u16,
    /// One folder each below it.
    data_dir: PathBuf,
    token: Option<String>,
    limits: LimitOptions,
    measurements: Option<PathBuf>,
}

const ONE_CORE_MILLI: u64 = 1000;

impl Agents {
    /// # Errors
    /// If the workers' token cannot be read.
    pub fn new(config: &Config) -> Result<Agents, Failure> {
        let token = config.auth.worker.as_deref().map(read_token).transpose()?;
        let data_dir = config.server.data_dir.join("workers");
        let limits = limits(config.worker.limits);
        let measurements = config.worker.measurements.clone();
        Ok(Agents { n: config.server.workers, data_dir, token, limits, measurements })
    }

    /// Runs them until `end_asked` is done; they have ended when this returns.
    pub async fn run(self, host: SocketAddr, end_asked: impl Future<Output = ()>) {
        let (stop, stopped) = watch::channel(false);
        let agents = (1..=self.n).map(|number| self.agent(number, host, stopped.clone()));
        let asked = async {
            end_asked.await;
            stop.send_replace(true);
        };
        tokio::join!(asked, join_all(agents));
    }

    async fn agent(&self, number: u16, host: SocketAddr, mut stopped: watch::Receiver<bool>) {
        let name = format!("local-{number}");
        let mut options =
            WorkerOptions::new(&format!("http://{host}"), &name, self.data_dir.join(&name));
        options.capacity = Some(share(machine_capacity(), number, self.n));
        options.token = self.token.clone();
        options.limits = self.limits.clone();
        options.measurements = self.measurements.clone();
        let stopped = async {
            // Also when the sender is gone.
            let _ = stopped.wait_for(|stop| *stop).await;
        };
        if let Err(error) = pointsman_worker::run(options, stopped).await {
            tracing::error!(name, %error, "an agent ended");
        }
    }
}

/// Each gets at least one core, since tasks ask for one unless they say otherwise. Devices cannot be
/// divided: the first agent has them.
fn share(machine: WireCapacity, number: u16, n: u16) -> WireCapacity {
    WireCapacity {
        cpu_milli: (machine.cpu_milli / u64::from(n)).max(ONE_CORE_MILLI),
        memory: machine.memory / u64::from(n),
        gpus: if number == 1 { machine.gpus } else { 0 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_do_not_offer_the_machine_more_than_once() {
        let machine = WireCapacity { cpu_milli: 8000, memory: 16 << 30, gpus: 2 };
        let shares: Vec<WireCapacity> = (1..=3).map(|it| share(machine, it, 3)).collect();
        assert!(shares.iter().map(|it| it.cpu_milli).sum::<u64>() <= 8000);
        assert!(shares.iter().map(|it| it.memory).sum::<u64>() <= 16 << 30);
        assert_eq!(shares.iter().map(|it| it.gpus).sum::<u16>(), 2);
    }

    #[test]
    fn no_agent_is_too_small_for_a_plain_task() {
        let machine = WireCapacity { cpu_milli: 2000, memory: 4 << 30, gpus: 0 };
        assert_eq!(share(machine, 4, 4).cpu_milli, 1000);
    }
}
