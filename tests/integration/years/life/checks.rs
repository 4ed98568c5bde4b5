//! Rules of the config: what each looks for, and how that is written.

use std::fmt::{self, Write};

use super::plan::Matcher;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) matcher: Matcher,
    pub(crate) check: Check,
    pub(crate) hooks: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Check {
    /// Each agent's previous day.
    Day {
        over: f64,
        hysteresis: f64,
    },
    /// Each account's previous 7 days.
    Week {
        over: f64,
        hysteresis: f64,
    },
    Spike {
        factor: f64,
        floor: f64,
    },
    Drop {
        factor: f64,
        floor: f64,
    },
    Silent {
        days: i32,
    },
    Missing {
        hours: i64,
    },
    Key,
    Agent,
    Probe {
        times: usize,
    },
    NoCredits,
}

impl Rule {
    pub(crate) fn write(&self, text: &mut String) -> fmt::Result {
        let Self { name, hooks, .. } = self;
        writeln!(text, "[[rule]]\nname = \"{name}\"\nhooks = {hooks:?}")?;
        text.push_str(&self.matcher.toml());
        match self.check {
            Check::Day { over, hysteresis } => {
                writeln!(
                    text,
                    "kind = \"usage\"\nover = {over}\nhysteresis = {hysteresis}"
                )
            }
            Check::Week { over, hysteresis } => writeln!(
                text,
                "kind = \"usage\"\nspan = \"previous_7_days\"\nper = \"account\"\nover = {over}\nhysteresis = {hysteresis}"
            ),
            Check::Spike { factor, floor } => {
                writeln!(
                    text,
                    "kind = \"spike\"\nfactor = {factor:?}\nfloor = {floor:?}"
                )
            }
            Check::Drop { factor, floor } => {
                writeln!(
                    text,
                    "kind = \"drop\"\nfactor = {factor:?}\nfloor = {floor:?}"
                )
            }
            Check::Silent { days } => writeln!(text, "kind = \"silent\"\ndays = {days}"),
            Check::Missing { hours } => {
                writeln!(text, "kind = \"missing_data\"\nlonger_than = \"{hours}h\"")
            }
            Check::Key => writeln!(text, "kind = \"key_refused\""),
            Check::Agent => writeln!(text, "kind = \"agent_refused\""),
            Check::Probe { times } => writeln!(text, "kind = \"probe\"\ntimes = {times}"),
            Check::NoCredits => writeln!(text, "kind = \"no_credits\"\nseverity = \"critical\""),
        }
    }
}
