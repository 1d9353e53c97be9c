//! The client of a host's public API: addresses, tokens, and errors that say what to do next.

use crate::exit::{Exit, Failure};
use anyhow::anyhow;
use pointsman_protocol::problem::Problem;
use reqwest::{Method, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Which host, and as whom.
#[derive(Debug, Clone, clap::Args)]
pub struct Connection {
    /// Address of the host [default: http://127.0.0.1:7400]
    #[arg(long, global = true, env = "POINTSMAN_HOST", value_name = "URL")]
    pub host: Option<String>,
    /// File that holds the token to use
    #[arg(long, global = true, env = "POINTSMAN_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<String>,
}

/// An answer's text, which is JSON.
#[derive(Debug, Clone)]
pub struct Answer {
    pub text: String,
}

/// Why a request brought nothing.
#[derive(Debug)]
pub enum RequestError {
    /// No connection, or it broke off: whether the request counts is not known.
    Unreachable {
        host: String,
        source: reqwest::Error,
    },
    Refused(Problem),
    /// Not the API of a host.
    Unreadable {
        host: String,
        why: String,
    },
}

const DEFAULT_HOST: &str = "http://127.0.0.1:7400";
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(60);

impl Client {
    /// # Errors
    /// If the address or the token file cannot be used.
    pub fn new(connection: &Connection) -> Result<Client, Failure> {
        let address = connection.host.as_deref().unwrap_or(DEFAULT_HOST).trim_end_matches('/');
        let base = Url::parse(address).ok().filter(|url| url.scheme() == "http" && url.has_host());
        let base = base.ok_or_else(|| {
            Failure::usage(format!(
                "--host: {address:?} is no address of a host; write it like \
                 http://127.0.0.1:7400"
            ))
        })?;
        let token = connection.token_file.as_deref().map(read_token).transpose()?;
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_PATIENCE)
            .no_proxy()
            .build()
            .map_err(anyhow::Error::from)?;
        Ok(Client { http, base, token })
    }

    /// The address, for messages.
    pub fn host(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
    ) -> reqwest::RequestBuilder {
        let mut url = self.base.clone();
        url.set_path(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.with_token(self.http.request(method, url).timeout(PATIENCE))
    }

    fn with_token(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// # Errors
    /// If the host is out of reach or refuses.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Result<Response, RequestError> {
        let response = request.send().await.map_err(|error| self.unreachable(error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let text = response.text().await.map_err(|error| self.unreachable(error))?;
        match serde_json::from_str::<Problem>(&text) {
            Ok(problem) => Err(RequestError::Refused(problem)),
            Err(_) => Err(self.unreadable(format!("it answered {status}"))),
        }
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Result<Answer, RequestError> {
        let response = self.send(request).await?;
        let text = response.text().await.map_err(|error| self.unreachable(error))?;
        Ok(Answer { text })
    }

    fn unreachable(&self, source: reqwest::Error) -> RequestError {
        RequestError::Unreachable { host: self.host().to_owned(), source }
    }

    fn unreadable(&self, why: String) -> RequestError {
        RequestError::Unreadable { host: self.host().to_owned(), why }
    }

    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Answer, RequestError> {
        self.answer(self.request(Method::GET, path, query)).await
    }

    /// Bytes, with the headers of the answer.
    pub async fn get_response(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Response, RequestError> {
        self.send(self.request(Method::GET, path, query)).await
    }

    /// An answer without an end.
    pub async fn stream(&self, path: &str) -> Result<Response, RequestError> {
        let mut url = self.base.clone();
        url.set_path(path);
        let request = self.http.get(url);
        self.send(self.with_token(request)).await
    }

    /// Without anything to say beyond the path.
    pub async fn post(&self, path: &str) -> Result<Answer, RequestError> {
        self.send_json(Method::POST, path, "{}".to_owned(), &[]).await
    }

    pub async fn send_json(
        &self,
        method: Method,
        path: &str,
        body: String,
        headers: &[(&str, &str)],
    ) -> Result<Answer, RequestError> {
        let mut request = self.request(method, path, &[]).body(body);
        request = request.header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.answer(request).await
    }

    /// As the type it should be.
    pub async fn read<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, Failure> {
        self.get(path, query).await?.read()
    }
}

/// A name as one segment of a path.
pub fn segment(name: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    name.bytes().map(encode).collect()
}

/// The token in a file, without the white space around it.
///
/// # Errors
/// If it cannot be read.
pub fn read_token(path: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path);
    text.map(|text| text.trim().to_owned()).map_err(|error| {
        Failure::usage(format!("failed to read the token file {}: {error}", path.display()))
    })
}

impl Answer {
    /// # Errors
    /// If it is not what this version of the API answers.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_str(&self.text).map_err(|error| {
            Failure::from(anyhow!(
                "the host's answer cannot be read ({error}); are host and command of the same \
                 version?"
            ))
        })
    }
}

impl RequestError {
    /// Whether the request may have had its effect although no answer says so.
    pub fn may_have_counted(&self) -> bool {
        match self {
            RequestError::Unreachable { source, .. } => !source.is_connect(),
            RequestError::Refused(problem) => {
                problem.status == StatusCode::SERVICE_UNAVAILABLE.as_u16()
            }
            RequestError::Unreadable { .. } => false,
        }
    }

    /// Whether the same request may bring something a little later.
    pub fn is_passing(&self) -> bool {
        match self {
            RequestError::Unreachable { .. } => true,
            RequestError::Refused(problem) => {
                problem.status == StatusCode::SERVICE_UNAVAILABLE.as_u16()
            }
            RequestError::Unreadable { .. } => false,
        }
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Failure {
        match error {
            RequestError::Unreachable { host, source } if source.is_connect() => Failure {
                exit: Exit::Unreachable,
                error: anyhow!("no host answers at {host}; is \"pointsman serve\" running?"),
            },
            RequestError::Unreachable { host, source } if source.is_timeout() => Failure {
                exit: Exit::Unreachable,
                error: anyhow!("the host at {host} did not answer in time; try again"),
            },
            RequestError::Unreachable { host, source } => Failure {
                exit: Exit::Unreachable,
                error: anyhow::Error::from(source)
                    .context(format!("the connection to {host} broke off")),
            },
            RequestError::Refused(problem) => {
                let remedy = match (problem.status, &problem.remedy) {
                    (401, _) => "; name the file with the token by --token-file",
                    _ => "",
                };
                Failure { exit: Exit::Refused, error: anyhow!("{problem}{remedy}") }
            }
            RequestError::Unreadable { host, why } => Failure {
                exit: Exit::Unreachable,
                error: anyhow!("{host} is no Pointsman host: {why}; check --host"),
            },
        }
    }
}
