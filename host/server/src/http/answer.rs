//! Answers: JSON, or a problem with its status.

use crate::driver::NoAnswer;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use pointsman_protocol::field::FieldError;
use pointsman_protocol::problem::{self, Problem};
use pointsman_scheduler::Refusal;
use serde::Serialize;
use std::borrow::Cow;

/// A problem as an answer.
#[derive(Debug)]
pub struct Failure(pub Problem);

/// Of the problem that an answer is, for whoever looks at the answer.
#[derive(Debug, Clone)]
pub struct Code(pub Cow<'static, str>);

pub type Answered<T> = Result<Json<T>, Failure>;

pub fn ok<T: Serialize>(value: T) -> Answered<T> {
    Ok(Json(value))
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status);
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = self.0.retry_after;
        let code = Code(self.0.code.clone());
        let mut response = (status, Json(self.0)).into_response();
        response.extensions_mut().insert(code);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(problem::CONTENT_TYPE));
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Failure {
        Failure(problem)
    }
}

impl From<FieldError> for Failure {
    fn from(error: FieldError) -> Failure {
        Failure(Problem::from(error))
    }
}

impl From<&Refusal> for Failure {
    fn from(refusal: &Refusal) -> Failure {
        Failure(Problem::from(refusal))
    }
}

impl From<NoAnswer> for Failure {
    fn from(why: NoAnswer) -> Failure {
        Failure(match why {
            NoAnswer::Busy => Problem::new(503, "busy", why.to_string()).with_retry_after(1),
            NoAnswer::StoreFailing(error) => {
                Problem::store_unavailable(format!("the store fails: {error}"))
            }
            NoAnswer::OutcomeUnknown => Problem::outcome_unknown(),
            NoAnswer::Stopping => {
                Problem::new(503, "stopping", why.to_string()).with_retry_after(1)
            }
        })
    }
}

/// A kind of answer that the driver does not give to this request: a defect.
pub fn unexpected(answer: &pointsman_scheduler::Answer) -> Failure {
    tracing::error!(?answer, "an answer of another kind than the request");
    Failure(Problem::new(500, "defect", "the host answered itself wrongly; please report this"))
}
