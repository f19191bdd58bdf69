//! What happens meanwhile, on standard error: warnings, and with `-v` the spans of an evaluation with their
//! times.

use std::{io::Write, time::Instant};

use tracing::{Level, Subscriber, field::Visit, span};
use tracing_subscriber::{
    filter::LevelFilter,
    layer::{Context, Layer, SubscriberExt},
    registry::LookupSpan,
    util::SubscriberInitExt,
};

/// Shows warnings, and with `verbose` each span when it ends, indented by its depth, with the time it took.
///
/// Without it spans are not even begun: they stand where decisions are made.
pub(crate) fn show(verbose: bool) {
    let times = verbose.then_some(Times);
    tracing_subscriber::registry().with(times).with(Lines.with_filter(LevelFilter::WARN)).init();
}

/// A line for each event; warnings are marked.
pub(crate) struct Lines;

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields(String::new());
        event.record(&mut fields);
        let text = crate::render::foreign_whole(fields.0.trim_start());
        if *event.metadata().level() > Level::WARN {
            return crate::output::note(format_args!("{text}\n"));
        }
        let style = crate::render::style::WARNING;
        crate::output::note(format_args!("{style}warning{style:#}: {text}\n"));
    }
}

struct Times;

/// What is kept of a span until it ends.
struct Began {
    at: Instant,
    fields: String,
}

impl<S: Subscriber + for<'s> LookupSpan<'s>> Layer<S> for Times {
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields(String::new());
        attributes.record(&mut fields);
        span.extensions_mut().insert(Began { at: Instant::now(), fields: fields.0 });
    }

    fn on_close(&self, id: span::Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let depth = span.scope().skip(1).count();
        if let Some(began) = span.extensions().get::<Began>() {
            let micros = began.at.elapsed().as_nanos() / 100;
            let (name, fields) = (span.name(), &began.fields);
            let indent = "  ".repeat(depth);
            let _ =
                writeln!(std::io::stderr(), "{:>9}.{} µs  {indent}{name}{fields}", micros / 10, micros % 10);
        }
    }
}

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, _: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        self.0.push_str(&format!(" {value:?}"));
    }

    fn record_str(&mut self, _: &tracing::field::Field, value: &str) {
        self.0.push(' ');
        self.0.push_str(value);
    }
}
