//! The stream as server-sent events.

use super::{News, Reader};
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use pointsman_protocol::events::PublicEvent;
use std::collections::VecDeque;
use std::convert::Infallible;

pub fn answer(reader: Reader) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let waiting: VecDeque<Event> = VecDeque::new();
    let stream =
        futures_util::stream::unfold((reader, waiting), async |(mut reader, mut waiting)| {
            loop {
                if let Some(event) = waiting.pop_front() {
                    return Some((Ok(event), (reader, waiting)));
                }
                match reader.next().await? {
                    News::Snapshot(snapshot) => {
                        let event = Event::default().event("snapshot").id(snapshot.n.to_string());
                        waiting.extend(event.json_data(&snapshot).ok());
                    }
                    News::Events(events) => waiting.extend(events.iter().filter_map(one)),
                }
            }
        });
    Sse::new(stream).keep_alive(KeepAlive::default())
}

fn one(event: &PublicEvent) -> Option<Event> {
    Event::default().id(event.n.to_string()).json_data(event).ok()
}
