//! Bodies of requests: bounded in size by the route and in time here, parsed where that blocks nobody.

use super::answer::Failure;
use axum::RequestExt;
use axum::extract::{FromRequest, Request};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, LengthLimitError};
use pointsman_protocol::problem::Problem;
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Bodies above this are parsed on a thread of their own.
const LARGE: usize = 64 << 10;
/// A sender that is silent for this long is given up.
const SILENCE_MAX: Duration = Duration::from_secs(15);
/// Bodies are not waited for longer than this, however they trickle in.
const TIME_MAX: Duration = Duration::from_secs(300);

/// KiB of all bodies that are arriving at one time at most: each is bounded, and they are many.
const ARRIVING_MAX_KIB: usize = 256 << 10;
static ROOM: Semaphore = Semaphore::const_new(ARRIVING_MAX_KIB);

/// The bytes as they came.
#[derive(Debug)]
pub struct RawBody(pub Bytes);

/// A body in JSON.
#[derive(Debug)]
pub struct JsonBody<T>(pub T);

/// For orders whose path says all: takes `{}` or nothing.
#[derive(Debug)]
pub struct NoBody;

impl<S: Sync> FromRequest<S> for NoBody {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<NoBody, Failure> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Nothing {}
        let RawBody(bytes) = RawBody::from_request(request, state).await?;
        if bytes.is_empty() {
            return Ok(NoBody);
        }
        let parsed = off_thread(bytes, read_object::<Nothing>).await?;
        parsed.map(|Nothing {}| NoBody).map_err(|error| bad_body(&error))
    }
}

/// serde alone would take a list too, with the fields in their order.
///
/// # Errors
/// If it is no object, or not of that type.
pub fn read_object<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(serde::de::Error::custom("it is no JSON object"));
    }
    serde_json::from_slice(bytes)
}

pub fn bad_body(error: &serde_json::Error) -> Failure {
    Failure(Problem::new(422, "bad_body", format!("the body cannot be read: {error}")))
}

impl<S: Sync> FromRequest<S> for RawBody {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<RawBody, Failure> {
        let read = tokio::time::timeout(TIME_MAX, read(request, &ROOM));
        read.await.unwrap_or_else(|_| Err(too_slow())).map(RawBody)
    }
}

impl<S: Sync, T: DeserializeOwned + Send + 'static> FromRequest<S> for JsonBody<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<JsonBody<T>, Failure> {
        let RawBody(bytes) = RawBody::from_request(request, state).await?;
        let parsed = off_thread(bytes, read_object).await?;
        parsed.map(JsonBody).map_err(|error| bad_body(&error))
    }
}

async fn read(request: Request, room: &Semaphore) -> Result<Bytes, Failure> {
    let mut body = request.with_limited_body().into_body();
    let mut bytes = BytesMut::new();
    let mut held: Option<SemaphorePermit<'_>> = None;
    loop {
        let Ok(frame) = tokio::time::timeout(SILENCE_MAX, body.frame()).await else {
            return Err(too_slow());
        };
        match frame {
            None => return Ok(bytes.freeze()),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    make_room(room, &mut held, bytes.len() + data.len())?;
                    bytes.extend_from_slice(&data);
                }
            }
            Some(Err(error)) => {
                let error = error.into_inner();
                return Err(if error.is::<LengthLimitError>() {
                    Failure(Problem::new(
                        413,
                        "too_large",
                        "the body is larger than this route takes",
                    ))
                } else {
                    Failure(Problem::new(
                        400,
                        "broken_body",
                        format!("the body broke off: {error}"),
                    ))
                });
            }
        }
    }
}

/// Holds room for so many bytes altogether. Nobody waits for it: those who hold some would wait for
/// each other.
fn make_room<'a>(
    room: &'a Semaphore,
    held: &mut Option<SemaphorePermit<'a>>,
    n_bytes: usize,
) -> Result<(), Failure> {
    let n_held = held.as_ref().map_or(0, SemaphorePermit::num_permits);
    let missing = n_bytes.div_ceil(1024).saturating_sub(n_held);
    let missing = u32::try_from(missing).unwrap_or(u32::MAX);
    let Ok(more) = room.try_acquire_many(missing) else {
        let detail = "too many large bodies are arriving at this moment";
        return Err(Failure(Problem::new(503, "busy", detail).with_retry_after(1)));
    };
    match held {
        Some(held) => held.merge(more),
        None => *held = Some(more),
    }
    Ok(())
}

fn too_slow() -> Failure {
    Failure(Problem::new(408, "too_slow", "the body did not arrive in time"))
}

/// Runs `parse`, on a thread of its own if the body is large.
///
/// # Errors
/// If it panicked.
pub async fn off_thread<T: Send + 'static>(
    bytes: Bytes,
    parse: impl FnOnce(&[u8]) -> T + Send + 'static,
) -> Result<T, Failure> {
    if bytes.len() <= LARGE {
        return Ok(parse(&bytes));
    }
    let parsed = tokio::task::spawn_blocking(move || parse(&bytes)).await;
    parsed.map_err(|_| Failure(Problem::new(500, "defect", "reading the body failed")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn request(pieces: &'static [usize]) -> Request {
        let pieces = pieces.iter().map(|n| Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; *n])));
        Request::new(Body::from_stream(futures_util::stream::iter(pieces)))
    }

    #[tokio::test]
    async fn all_bodies_together_are_bounded() {
        let room = Semaphore::new(10);
        let first = room.try_acquire_many(4).expect("there is room");
        let refused = read(request(&[5000, 100, 2000]), &room).await.expect_err("it is too much");
        assert_eq!((refused.0.status, refused.0.retry_after), (503, Some(1)));
        drop(first);
        let taken = read(request(&[5000, 100, 2000]), &room).await.expect("there is room now");
        assert_eq!(taken.len(), 7100);
        assert_eq!(room.available_permits(), 10, "it is given back");
    }

    /// Senders of a body that goes on for ever, a byte at a time.
    fn trickle(pause: Duration) -> Request {
        let stream = futures_util::stream::unfold((), move |()| async move {
            tokio::time::sleep(pause).await;
            Some((Ok::<_, std::io::Error>(Bytes::from_static(b"x")), ()))
        });
        Request::new(Body::from_stream(stream))
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_sender_is_never_waited_for_without_end() {
        for (pause, patience) in
            [(Duration::from_secs(20), SILENCE_MAX), (Duration::from_secs(1), TIME_MAX)]
        {
            let began = tokio::time::Instant::now();
            let refused = RawBody::from_request(trickle(pause), &()).await.expect_err("too slow");
            assert_eq!(refused.0.status, 408);
            let waited = began.elapsed();
            assert!(waited >= patience && waited < patience + pause, "{waited:?}");
        }
    }
}
