//! Spans for a collector: OTLP over HTTP, in batches, from a thread of their own.
//!
//! Which of them are kept says the caller's `traceparent`, and where there is none `OTEL_TRACES_SAMPLER`;
//! `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_EXPORTER_OTLP_HEADERS` are read, too.

use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tracing::Subscriber;
use tracing_subscriber::{Layer, registry::LookupSpan};

use super::telemetry::unusable;
use crate::exit::Exit;

/// How long a collector may take; what it does not take by then is lost, and nobody waits for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// A layer whose spans go to a collector, and what sends them.
pub(super) fn spans<S>(
    collector: &str,
) -> Result<(impl Layer<S> + Send + Sync + 'static, SdkTracerProvider), Exit>
where
    S: Subscriber + for<'s> LookupSpan<'s> + Send + Sync,
{
    let known = ["http://", "https://"].iter().any(|scheme| collector.starts_with(scheme));
    if !known {
        return Err(unusable(collector, "it is no http or https address"));
    }
    let agent = ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).http_status_as_error(false);
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{}/v1/traces", collector.trim_end_matches('/')))
        .with_timeout(PATIENCE)
        .with_http_client(Client(agent.build().into()))
        .build()
        .map_err(|error| unusable(collector, error))?;
    let mut resource = Resource::builder();
    if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
        resource = resource.with_service_name("cku");
    }
    let provider =
        SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.build()).build();
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("cku"))
        .with_location(false)
        .with_threads(false);
    Ok((layer, provider))
}

/// Sends what the exporter gives it; it is asked on the exporter's own thread.
#[derive(Debug)]
struct Client(ureq::Agent);

#[async_trait::async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = request.into_parts();
        let answer = self.0.run(Request::from_parts(head, body.as_ref()))?;
        let (head, mut body) = answer.into_parts();
        Ok(Response::from_parts(head, body.read_to_vec()?.into()))
    }
}
