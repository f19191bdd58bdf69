//! What the server says of itself meanwhile: lines on standard error, and spans for a collector.

use std::{fmt, str::FromStr};

use tracing_subscriber::{
    Registry,
    filter::{LevelFilter, Targets},
    layer::{Layer, SubscriberExt},
    util::SubscriberInitExt,
};

use crate::{exit::Exit, journal, output, spans::Lines};

/// How lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum LogFormat {
    /// For people.
    #[default]
    Pretty,
    /// A JSON object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            "pretty" => Ok(Self::Pretty),
            "json" => Ok(Self::Json),
            _ => Err("it is `pretty` or `json`"),
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pretty => "pretty",
            Self::Json => "json",
        })
    }
}

/// What is told, and to whom.
#[derive(Debug, Clone)]
pub(super) struct Telling {
    pub(super) format: LogFormat,
    pub(super) level: LevelFilter,
    /// The collector of spans, OTLP over HTTP; without one there are none.
    pub(super) collector: Option<String>,
}

/// Tells until it is dropped; then what waits for the collector is sent.
pub(super) struct Telemetry {
    format: LogFormat,
    #[cfg(feature = "otel")]
    spans: Option<opentelemetry_sdk::trace::SdkTracerProvider>,
}

impl Telemetry {
    /// Begins to tell.
    pub(super) fn begin(telling: &Telling) -> Result<Self, Exit> {
        let lines: Box<dyn Layer<Registry> + Send + Sync> = match telling.format {
            LogFormat::Pretty => Lines.with_filter(ours(telling.level)).boxed(),
            LogFormat::Json => tracing_subscriber::fmt::layer()
                .json()
                .flatten_event(true)
                .with_current_span(true)
                .with_span_list(false)
                .with_writer(std::io::stderr)
                .with_filter(ours(telling.level))
                .boxed(),
        };
        let registry = tracing_subscriber::registry().with(lines);
        #[cfg(feature = "otel")]
        if let Some(collector) = &telling.collector {
            let (layer, spans) = super::collector::spans(collector)?;
            registry.with(layer.with_filter(ours(LevelFilter::DEBUG))).init();
            return Ok(Self { format: telling.format, spans: Some(spans) });
        }
        #[cfg(not(feature = "otel"))]
        if telling.collector.is_some() {
            return Err(journal::refuse("this cku was built without `otel`: it sends no spans"));
        }
        registry.init();
        Ok(Self {
            format: telling.format,
            #[cfg(feature = "otel")]
            spans: None,
        })
    }

    /// Says what an operator waits for, like where the server listens.
    pub(super) fn say(&self, text: &str) {
        match self.format {
            LogFormat::Pretty => output::note(format_args!("{text}\n")),
            LogFormat::Json => tracing::info!("{text}"),
        }
    }
}

/// What libraries say of themselves is for who works on them.
fn ours(level: LevelFilter) -> Targets {
    Targets::new().with_target("cku", level).with_default(level.min(LevelFilter::WARN))
}

#[cfg(feature = "otel")]
impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(spans) = &self.spans
            && let Err(error) = spans.shutdown()
        {
            tracing::warn!("the last spans did not reach the collector: {error}");
        }
    }
}

/// The level of lines, as it is written.
pub(super) fn level(text: &str) -> Result<LevelFilter, &'static str> {
    match text {
        "off" | "error" | "warn" | "info" | "debug" => {
            text.parse().map_err(|_| "it is `off`, `error`, `warn`, `info` or `debug`")
        }
        _ => Err("it is `off`, `error`, `warn`, `info` or `debug`"),
    }
}

/// A collector's address that cannot be used.
pub(super) fn unusable(address: &str, why: impl fmt::Display) -> Exit {
    let address = crate::render::foreign(address);
    journal::refuse(&format!(
        "spans cannot be sent to `{address}`: {why}; give the address of a collector, like http://localhost:4318"
    ))
}
