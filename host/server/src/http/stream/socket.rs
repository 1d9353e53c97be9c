//! The stream over a WebSocket: text messages, each a JSON array of a snapshot or of events.

use super::{News, Reader};
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use pointsman_protocol::events::Snapshot;
use serde::Serialize;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};

/// The subprotocol that is spoken, for clients that name one.
const PROTOCOL: &str = "pointsman.v1";
/// An empty array comes after so much silence: scripts of a page see no pings.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// Between two messages at least: changes of one row meanwhile are told once.
const PACE: Duration = Duration::from_millis(50);
/// Clients have nothing to say.
const MESSAGE_MAX: usize = 4096;

/// `reader`: None if there are too many already, which a page can only learn by a close code.
pub fn answer(socket: WebSocketUpgrade, reader: Option<Reader>) -> Response {
    let socket = socket
        .protocols([PROTOCOL])
        .max_message_size(MESSAGE_MAX)
        .max_frame_size(MESSAGE_MAX)
        .read_buffer_size(MESSAGE_MAX);
    socket.on_upgrade(async |mut socket| {
        let (code, reason) = match reader {
            Some(reader) => match follow(&mut socket, reader).await {
                Ok(()) => (close_code::AWAY, "the host stops"),
                // There is nobody to tell.
                Err(Gone) => return,
            },
            None => (close_code::AGAIN, "too many readers"),
        };
        let frame = CloseFrame { code, reason: reason.into() };
        // It may be gone already.
        let _ = socket.send(Message::Close(Some(frame))).await;
    })
}

/// The client left, broke the protocol, or takes nothing.
struct Gone;

#[derive(Serialize)]
struct Whole<'a> {
    kind: &'static str,
    #[serde(flatten)]
    snapshot: &'a Snapshot,
}

/// Until the host stops.
async fn follow(socket: &mut WebSocket, mut reader: Reader) -> Result<(), Gone> {
    loop {
        let news = tokio::select! {
            news = timeout(SILENCE_MAX, reader.next()) => news,
            heard = socket.recv() => match heard {
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => return Err(Gone),
            },
        };
        let text = match news {
            Ok(None) => return Ok(()),
            Ok(Some(News::Snapshot(snapshot))) => {
                serde_json::to_string(&[Whole { kind: "snapshot", snapshot: &snapshot }])
            }
            Ok(Some(News::Events(events))) => serde_json::to_string(&events),
            Err(_) => Ok("[]".to_owned()),
        };
        let text = text.expect("wire types have names for keys");
        // The connection fails if the client takes nothing for long.
        socket.send(Message::Text(text.into())).await.map_err(|_| Gone)?;
        sleep_until(Instant::now() + PACE).await;
    }
}
