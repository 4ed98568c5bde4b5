//! Messages in the form that the receiver wants: templates of users, and presets.
//!
//! A template is one of [minijinja](https://docs.rs/minijinja). It sees
//!
//! | name | what it is |
//! |---|---|
//! | `id` | the delivery's id |
//! | `test` | whether nothing has happened |
//! | `status` | `firing`, `resolved`, `mixed`, or `summary` |
//! | `title` | the title of the alert or summary, or how many alerts there are |
//! | `text` | what is told of all alerts, or the text of the summary |
//! | `alerts` | the alerts, each a [`Notice`] with its figures; none in a summary |
//! | `summary` | the [`Summary`] with its rows, if the message is one |
//!
//! and, besides minijinja's own, the filters `credits` (`12345.5` gives `12,345.5`), `percent` (`0.8` gives
//! `80%`) and `day` (`2026-11-27` or an instant gives `27 Nov 2026`). JSON is written with `tojson`.
//!
//! Expressions may be deep, as those of many terms are, and so may be the values that they build: the
//! engine goes down one call for each level. So the length of a source and the work of rendering are
//! bounded, and both is done on a stack that suffices for the deepest that these bounds allow. There is
//! no `namespace`, since only with that a value could hold itself and have no end.
//!
//! Fields that a notice lacks, such as figures that say nothing about the kind of rule, may be asked for
//! with `if`; to print it, or anything else that does not exist, is an error.

use std::collections::HashSet;
use std::io;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;

use chrono::{DateTime, NaiveDate};
use minijinja::value::Serde;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};
use serde::Serialize;

use super::preset::{self, Preset};
use super::text::{MessageText, line};
use super::{Message, TemplateError};
use crate::alert::Notice;
use crate::summary::Summary;
use crate::text::{QUOTE_BYTES, printable};

/// Most that rendering may cost: an instruction costs one, and so do 64 bytes of data.
const FUEL: u64 = 100_000;
/// The stack for compiling and rendering. The unoptimised engine needs up to 2 KB for each byte of a
/// source, and up to 2 KB for each unit of fuel. Only what is used of it takes up memory.
const STACK_BYTES: usize = 256 << 20;
/// The most bytes that a template may give.
const OUTPUT_BYTES: usize = 256 << 10;
/// The name of the only template of an environment.
const NAME: &str = "template";

/// A template that compiles.
#[derive(Debug, Clone)]
pub struct Template(Form);

#[derive(Debug, Clone)]
enum Form {
    Source(Arc<Environment<'static>>),
    Preset(Preset),
}

/// The names of what a template sees.
const NAMES: [&str; 7] = ["id", "test", "status", "title", "text", "alerts", "summary"];

/// Context of a template.
#[derive(Debug, Serialize)]
struct Context<'a> {
    id: &'a str,
    test: bool,
    status: &'static str,
    title: &'a str,
    text: &'a str,
    alerts: &'a [Notice],
    summary: Option<&'a Summary>,
}

impl Template {
    /// The most bytes that a source may have.
    pub const MAX_BYTES: usize = 32 << 10;

    /// Compiles `source`.
    ///
    /// # Errors
    /// It is too long, does not compile, or asks for what no template sees.
    pub fn new(source: &str) -> Result<Self, TemplateError> {
        if source.len() > Self::MAX_BYTES {
            return Err(TemplateError {
                message: format!(
                    "it has {} bytes, and {} are the most",
                    source.len(),
                    Self::MAX_BYTES
                ),
                line: 1,
            });
        }
        on_large_stack(|| Self::compile(source))
    }

    fn compile(source: &str) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        // Its errors would quote what is rendered.
        environment.set_debug(false);
        environment.set_fuel(Some(FUEL));
        environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        environment.remove_global("namespace");
        environment.add_filter("credits", credits);
        environment.add_filter("percent", percent);
        environment.add_filter("day", day);
        environment
            .add_template_owned(NAME, source.to_owned())
            .and_then(|()| environment.get_template(NAME))
            .map_err(|error| TemplateError::of(&error))
            .map(|template| template.undeclared_variables(false))
            .and_then(|names| known(source, names, &environment))?;
        Ok(Self(Form::Source(Arc::new(environment))))
    }

    /// The template of a preset.
    #[must_use]
    pub fn preset(preset: Preset) -> Self {
        Self(Form::Preset(preset))
    }

    /// Renders `message`.
    ///
    /// # Errors
    /// It asks for something that does not exist, takes too long or gives too much.
    pub(super) fn render(&self, message: &Message) -> Result<String, TemplateError> {
        match &self.0 {
            Form::Source(environment) => on_large_stack(|| render(environment, message)),
            Form::Preset(preset) => preset::render(*preset, message),
        }
    }

    pub(super) const fn is_preset(&self) -> bool {
        matches!(self.0, Form::Preset(_))
    }

    /// Returns true if the receiver takes only one alert at a time.
    pub(super) fn takes_one_alert(&self) -> bool {
        matches!(self.0, Form::Preset(Preset::PagerDuty))
    }
}

/// Does `work` where there is room for what goes deep.
fn on_large_stack<T: Send>(
    work: impl FnOnce() -> Result<T, TemplateError> + Send,
) -> Result<T, TemplateError> {
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .name(NAME.to_owned())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, work)
            .map_err(|error| TemplateError {
                message: format!("cannot start a thread for it: {error}"),
                line: 1,
            })?;
        thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// Refuses those of `names`, which `source` uses, that nobody gives it: a misspelt one would only show
/// once there is something to tell.
fn known(
    source: &str,
    names: HashSet<String>,
    environment: &Environment<'_>,
) -> Result<(), TemplateError> {
    let globals: HashSet<&str> = environment.globals().map(|(name, _)| name).collect();
    let is_known = |name: &str| NAMES.contains(&name) || globals.contains(name);
    // The first one in the alphabet, so that the error is always the same.
    let unknown = names.into_iter().filter(|name| !is_known(name)).min();
    unknown.map_or(Ok(()), |name| {
        let is_in = |text: &str| text.contains(&name);
        Err(TemplateError {
            message: format!("`{name}` is none of {}", NAMES.join(", ")),
            line: source.lines().position(is_in).unwrap_or(0) + 1,
        })
    })
}

fn render(environment: &Environment<'_>, message: &Message) -> Result<String, TemplateError> {
    let text = MessageText::of(&message.notification);
    let context = Serde(Context {
        id: &message.id,
        test: message.notification.test,
        status: text.status,
        title: &text.title,
        text: &text.text,
        alerts: &message.notification.alerts,
        summary: message.notification.summary.as_ref(),
    });
    let mut output = Output::default();
    let rendered = environment
        .get_template(NAME)
        .and_then(|template| template.render_captured_to(context, &mut output).map(drop));
    rendered.map_err(|error| match output.is_full {
        true => TemplateError {
            message: format!("it gives more than {OUTPUT_BYTES} bytes"),
            line: 1,
        },
        false => TemplateError::of(&error),
    })?;
    // Templates and values are texts, and so is whatever they give.
    Ok(String::from_utf8_lossy(&output.bytes).into_owned())
}

/// Takes what a template gives, up to the limit.
#[derive(Debug, Default)]
struct Output {
    bytes: Vec<u8>,
    is_full: bool,
}

impl io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > OUTPUT_BYTES {
            self.is_full = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl TemplateError {
    fn of(error: &Error) -> Self {
        let text = match error.detail() {
            Some(detail) => format!("{}: {detail}", error.kind()),
            None => error.kind().to_string(),
        };
        Self {
            message: printable(&line(&text), QUOTE_BYTES),
            line: error.line().unwrap_or(1),
        }
    }
}

/// A number with separators between its thousands and at most two decimals.
fn credits(number: f64) -> String {
    let text = decimals(number, 2);
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let (sign, digits) = whole.split_at(usize::from(whole.starts_with('-')));
    let mut shown = sign.to_owned();
    for (place, digit) in digits.chars().enumerate() {
        let left = digits.len() - place;
        if place > 0 && left.is_multiple_of(3) && number.is_finite() {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown + rest
}

/// A share in percent, with at most one decimal.
fn percent(ratio: f64) -> String {
    format!("{}%", decimals(ratio * 100.0, 1))
}

/// A number with so many decimals, without those at the end that are zero.
fn decimals(number: f64, most: usize) -> String {
    let text = format!("{number:.most$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// The day of a date or an instant as people write it.
fn day(text: &str) -> Result<String, Error> {
    let date = text.parse::<NaiveDate>().or_else(|_| {
        DateTime::parse_from_rfc3339(text).map(|instant| instant.to_utc().date_naive())
    });
    let date = date.map_err(|_| {
        let reason = "`day` takes a date, such as 2026-11-27, or an instant";
        Error::new(ErrorKind::InvalidOperation, reason)
    })?;
    Ok(date.format("%-d %b %Y").to_string())
}
