//! `pointsman serve`: the host, with agents inside its process if asked for.

use crate::agents::Agents;
use crate::exit::{BadInput, Exit, Failure};
use anyhow::Context;
use pointsman_server::config::Config;
use pointsman_server::serve::{ServeOptions, serve as run_host};
use pointsman_server::telemetry;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::sync::oneshot;

/// Run the host
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Configuration; read again whenever it changes
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Agents inside this process; they divide the machine between them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=64))]
    workers: Option<u16>,
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Folder of the store, logs and accepted policies
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

pub fn serve(args: Args) -> Result<Exit, Failure> {
    let config = configuration(&args)?;
    telemetry::init(telemetry::LogFormat::Text);
    allow_many_files();
    let agents = Agents::new(&config)?;
    let options = ServeOptions { config, config_path: args.config };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    runtime.block_on(async {
        let (ready, address) = oneshot::channel();
        let end_asked = end_asked()?;
        // The agents end first: they tell the host of the attempts that end with them.
        let shutdown = async move {
            match address.await {
                Ok(address) => agents.run(address, end_asked).await,
                Err(_) => end_asked.await,
            }
        };
        let announced = |address| {
            announce(address);
            // The receiver waits in the future that is polled next.
            let _ = ready.send(address);
        };
        run_host(options, announced, shutdown).await.map_err(anyhow::Error::from)?;
        Ok(Exit::Ok)
    })
}

/// The file's configuration, with what the command line says in its place.
fn configuration(args: &Args) -> Result<Config, Failure> {
    let mut config = match &args.config {
        Some(path) => Config::load(path).bad_input()?,
        None => Config::default(),
    };
    if let Some(listen) = args.listen {
        let is_complete = config.auth.admin.is_some() && config.auth.worker.is_some();
        if !listen.ip().is_loopback() && !is_complete {
            return Err(Failure::usage(format!(
                "--listen: {listen} is reachable from other machines, and this API runs scripts; \
                 set auth.admin and auth.worker in the configuration, or listen on 127.0.0.1"
            )));
        }
        config.server.listen = listen;
    }
    if let Some(workers) = args.workers {
        config.server.workers = workers;
    }
    if let Some(data_dir) = &args.data_dir {
        config.server.data_dir.clone_from(data_dir);
    }
    Ok(config)
}

/// Enough for the connections that the host takes at most, and some more.
const FILES: u64 = 16_384;

/// Every worker holds two connections, every script of a worker a few pipes and files, and a process
/// begins with 1024 files on most systems.
pub(super) fn allow_many_files() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        let wanted = soft.max(FILES.min(hard));
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard)
    });
    if let Err(error) = raised {
        tracing::warn!(%error, "failed to raise the limit on open files, which bounds connections and scripts");
    }
}

/// The line that scripts wait for.
fn announce(address: SocketAddr) {
    let mut stdout = std::io::stdout();
    // A closed standard output is no reason not to serve.
    let _ = writeln!(stdout, "listening on http://{address}").and_then(|()| stdout.flush());
}

/// Done when SIGINT or SIGTERM arrives. A second one ends the process at once.
pub fn end_asked() -> Result<impl Future<Output = ()>, Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            std::process::exit(Exit::NotSucceeded as i32);
        });
    })
}
