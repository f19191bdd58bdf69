//! What goes back to a caller.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::{
    Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde::Serialize;
use serde_json::json;
use tokio::sync::mpsc::Receiver;

/// What goes back.
pub(crate) type Answer = Response<Content>;

/// The body of an answer.
pub(crate) enum Content {
    /// All of it; none once it was taken.
    Whole(Option<Bytes>),
    /// Pieces as they come.
    Stream(Receiver<Bytes>),
}

impl Body for Content {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream(pieces) => {
                pieces.poll_recv(context).map(|piece| piece.map(|bytes| Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const NO_SNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit-policy");
const OPTIONS: HeaderName = HeaderName::from_static("x-content-type-options");

/// An answer of these bytes.
pub(crate) fn bytes(status: StatusCode, kind: HeaderValue, bytes: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Content::Whole(Some(bytes.into())));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, kind);
    headers.insert(CACHE_CONTROL, NO_STORE);
    headers.insert(OPTIONS, NO_SNIFF);
    answer
}

/// A document, 200.
pub(crate) fn json(document: &impl Serialize) -> Answer {
    json_with(StatusCode::OK, document)
}

/// A document with a status.
pub(crate) fn json_with(status: StatusCode, document: &impl Serialize) -> Answer {
    match serde_json::to_vec(document) {
        Ok(text) => bytes(status, JSON, text),
        Err(error) => Problem::internal(format!("the answer has no JSON form: {error}")).answer(),
    }
}

/// JSON text, 200.
pub(crate) fn json_text(text: Vec<u8>) -> Answer {
    bytes(StatusCode::OK, JSON, text)
}

/// Plain text, 200.
pub(crate) fn text(text: String) -> Answer {
    bytes(StatusCode::OK, HeaderValue::from_static("text/plain; charset=utf-8"), text)
}

/// Why there is no answer: one clear error, as RFC 9457 writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    /// One word that programs can tell it by.
    pub(crate) code: &'static str,
    /// What is wrong, where, what to do.
    pub(crate) detail: String,
    /// More that the status wants to be said: methods that are allowed, seconds to wait.
    also: Vec<(HeaderName, String)>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), also: Vec::new() }
    }

    /// 400: the request says something that cannot be used.
    pub(crate) fn unusable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "unusable_request", detail)
    }

    /// 401: who asks is not known.
    pub(crate) fn unauthenticated(detail: impl Into<String>) -> Self {
        let also = vec![(WWW_AUTHENTICATE, "Bearer realm=\"cku\"".to_owned())];
        Self { also, ..Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail) }
    }

    /// 403: who asks may not.
    pub(crate) fn denied(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "denied", detail)
    }

    /// 404.
    pub(crate) fn nowhere(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// 405, with what is allowed.
    pub(crate) fn method(allowed: &str) -> Self {
        let detail = format!("this is asked with {allowed}");
        let also = vec![(ALLOW, allowed.to_owned())];
        Self { also, ..Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail) }
    }

    /// 409: others did something meanwhile, or the state does not allow it.
    pub(crate) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", detail)
    }

    /// 503: nothing was decided; it may be tried again.
    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        let also = vec![(RETRY_AFTER, "1".to_owned())];
        Self { also, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail) }
    }

    /// 429: too often, with how long to wait and how often it may be.
    pub(crate) fn too_many(detail: impl Into<String>, wait: u64, limit: u32) -> Self {
        let policy = format!("\"default\";q={limit};w=1");
        let also = vec![(RETRY_AFTER, wait.to_string()), (RATE_LIMIT, policy)];
        Self { also, ..Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail) }
    }

    /// 500: a defect.
    pub(crate) fn internal(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    pub(crate) fn answer(&self) -> Answer {
        let title = self.status.canonical_reason().unwrap_or("Error");
        let document = json!({
            "type": format!("urn:cku:problem:{}", self.code), "title": title,
            "status": self.status.as_u16(), "detail": self.detail,
        });
        let mut answer = bytes(self.status, PROBLEM, document.to_string());
        for (name, value) in &self.also {
            if let Ok(value) = HeaderValue::from_str(value) {
                answer.headers_mut().insert(name, value);
            }
        }
        answer
    }
}
