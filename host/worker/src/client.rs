//! The agent's half of the worker protocol over HTTP.

use pointsman_protocol::worker::{
    CommandsResponse, LOG_CHUNK_MAX, LOG_CONTENT_TYPE, RegisterRequest, RegisterResponse,
    SyncRequest, SyncResponse, WireAttempt,
};
use reqwest::{Client, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

use crate::attempt::AttemptKey;
use crate::executor::{Output, Stream};

/// A connection to one host. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct HostClient {
    http: Client,
    url: String,
    token: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("the host cannot be reached: {0}")]
    Unreachable(#[from] reqwest::Error),
    /// The host does not know this worker, or not this life of it.
    #[error("the host wants a registration: {0}")]
    NotRegistered(String),
    /// It will not change its mind.
    #[error("the host refuses: {0}")]
    Refused(String),
    #[error("the host answers {0}")]
    Failed(String),
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Beyond the time that the host holds a poll.
const SLACK: Duration = Duration::from_secs(10);

impl HostClient {
    pub fn new(url: &str, token: Option<String>) -> Result<HostClient, reqwest::Error> {
        let http = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .no_proxy()
            .build()?;
        Ok(HostClient { http, url: url.trim_end_matches('/').to_owned(), token })
    }

    pub async fn register(&self, request: &RegisterRequest) -> Result<RegisterResponse, CallError> {
        self.post("/v1/workers", request).await
    }

    pub async fn sync(
        &self,
        worker: String,
        request: SyncRequest,
    ) -> Result<SyncResponse, CallError> {
        self.post(&format!("/v1/workers/{worker}/sync"), &request).await
    }

    pub async fn commands(
        &self,
        worker: String,
        life: u64,
        after: u64,
        hold: Duration,
    ) -> Result<CommandsResponse, CallError> {
        let url = format!("{}/v1/workers/{worker}/commands?after={after}&life={life}", self.url);
        let request = self.http.get(url).timeout(hold + SLACK);
        read(self.authorised(request).send().await?).await
    }

    /// Uploads both streams from these offsets on, whole if the attempt has ended. Answers the
    /// offsets reached. A part that was dropped in the middle is replaced by a line that says so.
    pub async fn upload(
        &self,
        worker: &str,
        key: AttemptKey,
        output: &Output,
        mut reached: [Progress; 2],
        is_over: bool,
    ) -> Result<[Progress; 2], CallError> {
        for (stream, progress) in Stream::ALL.into_iter().zip(&mut reached) {
            loop {
                let chunk = if is_over {
                    output.read(stream, progress.source, LOG_CHUNK_MAX / 2)
                } else {
                    output.read_head(stream, progress.source, LOG_CHUNK_MAX / 2)
                };
                let chunk = match chunk {
                    Ok(Some(chunk)) if !chunk.bytes.is_empty() => chunk,
                    Ok(Some(_) | None) => break,
                    Err(error) => {
                        tracing::warn!(%error, attempt = %key, "failed to read captured output");
                        break;
                    }
                };
                let mut bytes = Vec::new();
                if chunk.offset > progress.source {
                    let n_dropped = chunk.offset - progress.source;
                    bytes.extend(format!("\n[{n_dropped} bytes left out]\n").into_bytes());
                }
                let n_read = chunk.bytes.len() as u64;
                bytes.extend(chunk.bytes);
                let n_sent = bytes.len() as u64;
                self.put_log(worker, key, stream, progress.target, bytes).await?;
                *progress =
                    Progress { source: chunk.offset + n_read, target: progress.target + n_sent };
            }
        }
        Ok(reached)
    }

    async fn put_log(
        &self,
        worker: &str,
        key: AttemptKey,
        stream: Stream,
        offset: u64,
        bytes: Vec<u8>,
    ) -> Result<(), CallError> {
        let WireAttempt(task, attempt, term) = key.into();
        let stream = match stream {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        };
        let url = format!(
            "{}/v1/workers/{worker}/log?task={task}&attempt={attempt}&term={term}&stream={stream}&offset={offset}",
            self.url
        );
        let request =
            self.http.post(url).header("content-type", LOG_CONTENT_TYPE).timeout(SLACK).body(bytes);
        check(self.authorised(request).send().await?).await.map(|_| ())
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, CallError> {
        let request = self.http.post(format!("{}{path}", self.url)).timeout(SLACK).json(body);
        read(self.authorised(request).send().await?).await
    }

    fn authorised(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }
}

/// How far a stream was uploaded: position in what the script wrote, and in the host's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Progress {
    source: u64,
    target: u64,
}

async fn read<T: DeserializeOwned>(response: reqwest::Response) -> Result<T, CallError> {
    Ok(check(response).await?.json().await?)
}

async fn check(response: reqwest::Response) -> Result<reqwest::Response, CallError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let body = response.text().await.unwrap_or_default();
    let problem: Option<pointsman_protocol::problem::Problem> = serde_json::from_str(&body).ok();
    let told = problem.map_or_else(|| format!("{status}: {body}"), |problem| problem.to_string());
    Err(match status {
        StatusCode::NOT_FOUND | StatusCode::CONFLICT => CallError::NotRegistered(told),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::UNPROCESSABLE_ENTITY => {
            CallError::Refused(told)
        }
        _ => CallError::Failed(told),
    })
}
