//! Where a request belongs: the W3C trace context that it brings, and the span in which it is answered.
//!
//! Spans are begun only where somebody asked for them (an exporter, or logs of each request): without that
//! they cost nothing. What a span says of a request is its route and its status; never a header, a path, a
//! query or a body, which may hold secrets.

use std::{fmt, str::FromStr};

use hyper::{HeaderMap, Method, header::HeaderName};
use tracing::{Span, field::Empty};

const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");

/// A `traceparent` header: the trace that a caller is in, and the span that asks.
///
/// Source: W3C Trace Context, section 3.2. A version that is not known is read as the first one, as far as
/// that goes.
///
/// INVARIANT: neither the trace nor the span is all zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceParent {
    trace: u128,
    span: u64,
    sampled: bool,
}

/// A header that is no `traceparent`; it is passed over, as the standard says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotATraceParent;

impl FromStr for TraceParent {
    type Err = NotATraceParent;

    fn from_str(text: &str) -> Result<Self, NotATraceParent> {
        let mut parts = text.split('-');
        let mut hex = |digits: usize| {
            let part = parts.next().filter(|part| {
                part.len() == digits && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
            });
            part.and_then(|part| u128::from_str_radix(part, 16).ok()).ok_or(NotATraceParent)
        };
        let (version, trace, span, flags) = (hex(2)?, hex(32)?, hex(16)?, hex(2)?);
        let span = u64::try_from(span).map_err(|_| NotATraceParent)?;
        // What a later version adds stands behind; version 00 has nothing there, and ff is no version.
        let is_whole = version != 0xff && (version != 0 || parts.next().is_none());
        if !is_whole || trace == 0 || span == 0 {
            return Err(NotATraceParent);
        }
        Ok(Self { trace, span, sampled: flags & 1 == 1 })
    }
}

impl fmt::Display for TraceParent {
    /// In version 00.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

/// The one that a request brings; none where there is none, several, or one that cannot be read.
fn parent(headers: &HeaderMap) -> Option<TraceParent> {
    let mut all = headers.get_all(TRACE_PARENT).iter();
    let one = all.next()?;
    if all.next().is_some() {
        return None;
    }
    one.to_str().ok()?.parse().ok()
}

/// The span of a request, below that of whoever asks.
pub(crate) fn request(method: &Method, headers: &HeaderMap) -> Span {
    let span = tracing::debug_span!(
        "request",
        otel.name = Empty,
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = shown(method),
        http.route = Empty,
        http.response.status_code = Empty,
        trace_id = Empty,
    );
    if !span.is_disabled()
        && let Some(parent) = parent(headers)
    {
        span.record("trace_id", format_args!("{:032x}", parent.trace));
        #[cfg(feature = "otel")]
        follow(&span, parent, headers);
    }
    span
}

/// A method that is known; others are the caller's words.
fn shown(method: &Method) -> &str {
    match *method {
        Method::GET | Method::HEAD | Method::POST | Method::PUT | Method::DELETE => method.as_str(),
        _ => "_OTHER",
    }
}

/// Says in its span how a request was answered.
pub(crate) fn answered(span: &Span, route: &'static str, status: u16) {
    if span.is_disabled() {
        return;
    }
    span.record("otel.name", route);
    span.record("http.route", route);
    span.record("http.response.status_code", status);
    // A client's mistake is no error of the server.
    if status >= 500 {
        span.record("otel.status_code", "ERROR");
    }
}

/// Makes a span the child of the caller's.
#[cfg(feature = "otel")]
fn follow(span: &Span, parent: TraceParent, headers: &HeaderMap) {
    use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
    use tracing_opentelemetry::OpenTelemetrySpanExt;

    let state = headers.get("tracestate").and_then(|state| state.to_str().ok());
    let state = state.and_then(|state| TraceState::from_str(state).ok()).unwrap_or_default();
    let flags = if parent.sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
    let (trace, id) = (TraceId::from(parent.trace), SpanId::from(parent.span));
    let context = SpanContext::new(trace, id, flags, true, state);
    // It fails where nobody exports spans: then there is nothing to follow.
    let _ = span.set_parent(opentelemetry::Context::new().with_remote_span_context(context));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_trace_parent_is_read_as_the_standard_says() {
        let read = |text: &str| text.parse::<TraceParent>();
        assert_eq!(read(GOOD).unwrap().to_string(), GOOD);
        assert!(!read(&GOOD.replace("-01", "-00")).unwrap().sampled);
        let later = format!("{}-more", GOOD.replacen("00", "cc", 1));
        assert!(read(&later).is_ok(), "a later version may say more");
        for (what, text) in [
            ("nothing", String::new()),
            ("more in version 00", format!("{GOOD}-more")),
            ("version ff", GOOD.replacen("00", "ff", 1)),
            ("upper case", GOOD.to_uppercase()),
            ("no trace", "00-00000000000000000000000000000000-00f067aa0ba902b7-01".to_owned()),
            ("no span", "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01".to_owned()),
            ("a sign", GOOD.replacen("4b", "+b", 1)),
            ("too short", GOOD[..54].to_owned()),
            ("spaces", format!(" {GOOD}")),
        ] {
            assert_eq!(read(&text), Err(NotATraceParent), "{what}");
        }
    }

    #[test]
    fn of_several_trace_parents_none_counts() {
        let mut headers = HeaderMap::new();
        headers.append("traceparent", GOOD.parse().unwrap());
        assert!(parent(&headers).is_some());
        headers.append("traceparent", GOOD.parse().unwrap());
        assert_eq!(parent(&headers), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(trace in 1_u128.., span in 1_u64.., sampled: bool) {
            let parent = TraceParent { trace, span, sampled };
            prop_assert_eq!(parent.to_string().parse(), Ok(parent));
        }

        #[test]
        fn no_text_is_too_much(text in "\\PC*") {
            let _ = text.parse::<TraceParent>();
        }
    }
}
