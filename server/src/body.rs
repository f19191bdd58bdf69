//! Reading what a request says, within limits.

use bytes::{Bytes, BytesMut};
use cku_base::document;
use http_body_util::BodyExt;
use hyper::{
    HeaderMap, StatusCode,
    body::{Body, Incoming},
    header::CONTENT_TYPE,
};
use serde_json::Value;

use crate::{answer::Problem, config::Limits};

/// Reads the whole body, no further than it may be long, for as long as a client may take.
pub(crate) async fn read(mut body: Incoming, limits: &Limits) -> Result<Bytes, Problem> {
    let too_large = || {
        let detail = format!("the body is larger than {} bytes", limits.body);
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
    };
    if body.size_hint().lower() > limits.body as u64 {
        return Err(too_large());
    }
    let whole = async {
        let mut first: Option<Bytes> = None;
        let mut more = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|e| Problem::unusable(format!("the body broke off: {e}")))?;
            let Ok(data) = frame.into_data() else { continue };
            if first.as_ref().map_or(0, Bytes::len) + more.len() + data.len() > limits.body {
                return Err(too_large());
            }
            match &first {
                // Nearly every body comes in one piece.
                None => first = Some(data),
                Some(_) => more.extend_from_slice(&data),
            }
        }
        match (first, more.is_empty()) {
            (Some(first), true) => Ok(first),
            (Some(first), false) => Ok([first, more.freeze()].concat().into()),
            (None, _) => Ok(Bytes::new()),
        }
    };
    match tokio::time::timeout(limits.patience, whole).await {
        Ok(read) => read,
        Err(_) => {
            let detail = format!("the body did not come within {} seconds", limits.patience.as_secs());
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "too_slow", detail))
        }
    }
}

/// Under which key whoever asks may ask again, if they gave one.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut keys = headers.get_all("idempotency-key").iter();
    let Some(key) = keys.next() else { return Ok(None) };
    let key = key.to_str().ok().filter(|key| (1..=200).contains(&key.len()) && keys.next().is_none());
    let key = key.ok_or_else(|| {
        Problem::unusable("`Idempotency-Key` is not one text of 1 to 200 visible characters".to_owned())
    })?;
    Ok(Some(key.to_owned()))
}

/// Refuses what does not say that it is JSON.
pub(crate) fn is_json(headers: &HeaderMap) -> Result<(), Problem> {
    let refused = |detail: String| {
        Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail))
    };
    let Some(kind) = headers.get(CONTENT_TYPE) else {
        return refused("send `Content-Type: application/json`".to_owned());
    };
    let text = kind.to_str().unwrap_or_default();
    let (essence, parameters) = text.split_once(';').unwrap_or((text, ""));
    let charset = parameters.split(';').filter_map(|parameter| parameter.split_once('='));
    let mut charset = charset.filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
    let utf8 = charset.all(|(_, value)| value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8"));
    match essence.trim().eq_ignore_ascii_case("application/json") && utf8 {
        true => Ok(()),
        false => refused(format!("the body is `{}`; send `application/json` in UTF-8", text.escape_debug())),
    }
}

/// Reads a JSON object; keys that stand twice, lone surrogates and deep nesting are refused.
pub(crate) fn object(bytes: &[u8], limits: &Limits) -> Result<serde_json::Map<String, Value>, Problem> {
    let limits = document::Limits { bytes: limits.body, depth: limits.nesting };
    let read = document::read_json("body", bytes, limits);
    match read.map_err(|problem| Problem::unusable(told(&problem)))? {
        Value::Object(members) => Ok(members),
        _ => Err(Problem::unusable("the body is not a JSON object")),
    }
}

fn told(problem: &cku_base::diagnostic::Diagnostic) -> String {
    match &problem.place {
        Some(place) => format!("{} (line {}, column {})", problem.message, place.line, place.column),
        None => problem.message.clone(),
    }
}
