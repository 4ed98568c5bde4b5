//! The log on stderr: one event a line, as `key=value` pairs or as JSON.

use std::fmt;

use chrono::SecondsFormat;
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::clock::{Clock, SystemClock};
use crate::text::visible;

/// The least important events that are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Level {
    /// Everything, down to each request.
    Debug,
    /// Events: syncs, reloads, start and end.
    Info,
    /// Only what somebody may have to do something about.
    Warn,
    /// Only what keeps the exporter from working.
    Error,
}

/// Format of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// `time=… level=info msg="…" key=value …`
    Logfmt,
    /// An object a line.
    Json,
}

/// Starts logging to stderr. Later calls change nothing.
pub fn start(level: Level, format: Format) {
    let ours = match level {
        Level::Debug => LevelFilter::DEBUG,
        Level::Info => LevelFilter::INFO,
        Level::Warn => LevelFilter::WARN,
        Level::Error => LevelFilter::ERROR,
    };
    // Libraries are heard only when something is wrong; some of them log what they send.
    let targets = Targets::new()
        .with_default(LevelFilter::WARN.min(ours))
        .with_target(env!("CARGO_CRATE_NAME"), ours);
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .event_format(Line(format));
    if tracing_subscriber::registry()
        .with(targets)
        .with(layer)
        .try_init()
        .is_err()
    {
        tracing::debug!("logging has already been started");
    }
}

/// Writes one event as one line of that format.
struct Line(Format);

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut pairs = Pairs::default();
        pairs.text(
            "time",
            SystemClock
                .now()
                .to_rfc3339_opts(SecondsFormat::Millis, true),
        );
        pairs.text(
            "level",
            event.metadata().level().as_str().to_ascii_lowercase(),
        );
        event.record(&mut pairs);
        // The message is recorded wherever it stands in the call; it is read first.
        if let Some(place) = pairs.0.iter().position(|(key, _)| *key == "msg") {
            pairs.0[2..=place].rotate_right(1);
        }
        let line = match self.0 {
            Format::Logfmt => pairs.logfmt(),
            Format::Json => pairs.json(),
        };
        // Values are written as in JSON, which leaves most hidden letters as they are.
        out.write_str(&visible(&line))?;
        out.write_char('\n')
    }
}

/// The keys and values of an event, in order.
#[derive(Default)]
struct Pairs(Vec<(&'static str, Value)>);

impl Pairs {
    fn text(&mut self, key: &'static str, value: String) {
        self.0.push((key, value.into()));
    }

    fn json(&self) -> String {
        let pairs: Vec<String> = self
            .0
            .iter()
            .map(|(key, value)| format!("{}:{value}", Value::from(*key)))
            .collect();
        format!("{{{}}}", pairs.join(","))
    }

    fn logfmt(&self) -> String {
        let pairs: Vec<String> = self
            .0
            .iter()
            .map(|(key, value)| match value {
                Value::String(text) if is_bare(text) => format!("{key}={text}"),
                value => format!("{key}={value}"),
            })
            .collect();
        pairs.join(" ")
    }
}

/// Returns true if a text needs no quotes.
fn is_bare(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|letter| letter.is_ascii_graphic() && !matches!(letter, '"' | '=' | '\\'))
}

impl Visit for Pairs {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let key = if field.name() == "message" {
            "msg"
        } else {
            field.name()
        };
        self.text(key, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field.name(), value.to_owned());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.push((field.name(), value.into()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.push((field.name(), value.into()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.push((field.name(), value.into()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.push((field.name(), value.into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs() -> Pairs {
        let mut pairs = Pairs::default();
        pairs.text("level", "warn".to_owned());
        pairs.text("msg", "agent \"a\": cut\nlevel=info".to_owned());
        pairs.text("empty", String::new());
        pairs.0.push(("windows", 3.into()));
        pairs
    }

    #[test]
    fn a_value_cannot_break_out_of_its_line_or_its_quotes() {
        assert_eq!(
            pairs().logfmt(),
            r#"level=warn msg="agent \"a\": cut\nlevel=info" empty="" windows=3"#
        );
    }

    #[test]
    fn json_lines_are_json() {
        let line: Value = serde_json::from_str(&pairs().json()).unwrap();
        assert_eq!(line["msg"], "agent \"a\": cut\nlevel=info");
        assert_eq!(line["windows"], 3);
    }
}
