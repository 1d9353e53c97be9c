//! The agent's half of the worker protocol over HTTP.

use pointsman_protocol::worker::{
    CommandsResponse, LOG_CONTENT_TYPE, RegisterRequest, RegisterResponse, SyncRequest,
    SyncResponse, WireAttempt,
};
use reqwest::{Client, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

use crate::attempt::AttemptKey;
use crate::executor::Stream;

/// A connection to one host. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct HostClient {
    http: Client,
    url: String,
    token: Option<String>,
}

/// A piece of output.
#[derive(Debug)]
pub(crate) struct Piece {
    /// Its place in the host's file.
    pub offset: u64,
    pub bytes: Vec<u8>,
    /// What the script wrote before it was not kept.
    pub follows_a_gap: bool,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("the host cannot be reached: {}", with_causes(.0))]
    Unreachable(#[from] reqwest::Error),
    /// The host does not know this worker, or not this life of it.
    #[error("the host wants a registration: {0}")]
    NotRegistered(String),
    /// It will not change its mind: the request, or who sends it, is not acceptable.
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
        self.post("/v1/workers", request, SLACK).await
    }

    pub async fn sync(
        &self,
        worker: String,
        request: SyncRequest,
        timeout: Duration,
    ) -> Result<SyncResponse, CallError> {
        self.post(&format!("/v1/workers/{worker}/sync"), &request, timeout).await
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

    /// Uploads a piece of output to its place in the host's file; once more changes nothing.
    pub async fn upload(
        &self,
        worker: &str,
        key: AttemptKey,
        stream: Stream,
        piece: Piece,
    ) -> Result<(), CallError> {
        let WireAttempt(task, attempt, term) = key.into();
        let stream = match stream {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        };
        let Piece { offset, bytes, follows_a_gap } = piece;
        let mut url = format!(
            "{}/v1/workers/{worker}/log?task={task}&attempt={attempt}&term={term}&stream={stream}&offset={offset}",
            self.url
        );
        if follows_a_gap {
            url += "&truncated=true";
        }
        let request =
            self.http.post(url).header("content-type", LOG_CONTENT_TYPE).timeout(SLACK).body(bytes);
        check(self.authorised(request).send().await?).await?;
        Ok(())
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        timeout: Duration,
    ) -> Result<T, CallError> {
        let request = self.http.post(format!("{}{path}", self.url)).timeout(timeout).json(body);
        read(self.authorised(request).send().await?).await
    }

    fn authorised(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }
}

/// The outermost message of the HTTP library says least.
fn with_causes(error: &reqwest::Error) -> String {
    let first: &dyn std::error::Error = error;
    let causes = std::iter::successors(Some(first), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
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
        StatusCode::BAD_REQUEST
        | StatusCode::UNAUTHORIZED
        | StatusCode::FORBIDDEN
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::UNPROCESSABLE_ENTITY => CallError::Refused(told),
        _ => CallError::Failed(told),
    })
}
