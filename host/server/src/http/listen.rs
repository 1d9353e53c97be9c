//! Connections: how many, how long a silent one may stay, and their end.

use super::stopping;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_io_timeout::TimeoutStream;

/// Connections at most; more wait to be accepted.
const MAX_CONNECTIONS: u32 = 8192;
/// A connection on which no whole request header comes for this long is closed.
const HEADER_PATIENCE: Duration = Duration::from_secs(60);
/// A connection on which an answer waits to be taken for this long is closed.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);
/// Files may be used up for a moment.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Serves until `stopped` says so, then until the last answer is sent.
pub async fn serve(listener: TcpListener, routes: Router, stopped: watch::Receiver<bool>) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS as usize));
    let mut told_to_stop = stopped.clone();
    let accept = async {
        loop {
            let permit = room.clone().acquire_owned().await.expect("it is never closed");
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "failed to accept a connection");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                }
            };
            let connection = connection(stream, routes.clone(), stopped.clone());
            tokio::spawn(async move {
                connection.await;
                drop(permit);
            });
        }
    };
    tokio::select! {
        () = accept => {}
        () = stopping(&mut told_to_stop) => {}
    }
    drop(listener);
    // All permits are back when all connections have ended.
    let _ = room.acquire_many(MAX_CONNECTIONS).await;
}

async fn connection(stream: TcpStream, routes: Router, mut stopped: watch::Receiver<bool>) {
    // Answers are small and waited for.
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_PATIENCE));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_PATIENCE)
        .serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(routes))
        .with_upgrades();
    let mut connection = pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = stopping(&mut stopped) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "a connection broke");
    }
}
