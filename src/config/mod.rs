//! The config file: its tables are read key by key, each value by its rule, into the [`Config`] that the rest
//! works with, which cannot hold what is not valid.
//!
//! Every problem is reported at its place, all of them at once. An API key is never in the file, only
//! the place where it is; a key that someone wrote into the file after all is refused and never shown.

mod alerting;
mod balances;
mod check;
mod diagnostics;
mod heartbeats;
mod hooks;
mod kinds;
mod limits;
mod places;
mod probes;
mod push;
mod read;
mod rules;
mod secrets;
mod summaries;
mod validate;
mod world;

pub use diagnostics::{ConfigError, Problems};
pub use rules::check_telemetry_path;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use toml::de::DeTable;

use check::Check;
use diagnostics::{Fault, Finding};
use read::Section;

use crate::day::Day;
use crate::files;
use crate::roster::{AccountSettings, printable};
use crate::status::Obstacle;
use crate::window::plan::Policy;
use crate::{alert, flowgent, history, hook, ledger, server, sync::schedule};

/// A day that no date in a config is after. Configs are checked as on this day while the day is not known.
pub const SOME_DAY: Day = Day::from_number(376_200);

/// A config that has been checked whole.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file that it was read from.
    pub path: PathBuf,
    /// `[server]`.
    pub server: server::Settings,
    /// `[storage]`.
    pub storage: ledger::Settings,
    /// `[schedule]`: when to poll.
    pub schedule: schedule::Settings,
    /// `[schedule]`: what to ask for.
    pub policy: Policy,
    /// `[api]`.
    pub api: flowgent::Settings,
    /// `[push]`, if it is there.
    pub push: Option<history::push::Settings>,
    /// `[[account]]`: at least one, each with agents or a way to learn of some.
    pub accounts: Vec<AccountSettings>,
    /// `[alerts]`, `[[budget]]`, `[[balance]]`, `[[rule]]` and `[[summary]]`.
    pub alerts: alert::Settings,
    /// `[[hook]]`.
    pub hooks: Vec<hook::Settings>,
    /// Warnings: allowed, but worth a second look. A line each.
    pub warnings: Vec<String>,
    /// Problems that stop only the part that they are about. A line each.
    pub failures: Vec<String>,
    /// The same, but for accounts: what hooks and pushing lack.
    pub obstacles: Vec<Obstacle>,
    /// Files of secrets that others may read, a line each.
    pub exposed: Vec<String>,
}

impl Config {
    /// Reads and checks the file at `path`, as on the UTC day `today`.
    ///
    /// Relative paths in it start from its own folder. Each account's key is read once, to find out
    /// now rather than at night that it is not there; it is not kept.
    ///
    /// # Errors
    /// The file cannot be read, or every problem in it with its place.
    pub fn load(path: &Path, today: Day) -> Result<Self, ConfigError> {
        Self::parse(&files::text(path, files::CONFIG)?, path, today)
    }

    /// The settings of the server in the file at `path`, whatever else stands in it: for those who ask a
    /// running exporter, which does not end because of what somebody writes there meanwhile.
    ///
    /// # Errors
    /// The file cannot be read, or every problem in its section `[server]`.
    pub fn load_server(path: &Path, today: Day) -> Result<server::Settings, ConfigError> {
        let text = files::text(path, files::CONFIG)?;
        read(&text, path, today, Check::server_alone)
    }

    /// Serves in another way than is written. The page that messages link to follows, unless it is another.
    pub fn serve_otherwise(&mut self, change: impl FnOnce(&mut server::Settings)) {
        let links_to_itself = self.alerts.dashboard_url == self.server.own_page();
        change(&mut self.server);
        if links_to_itself {
            self.alerts.dashboard_url = self.server.own_page();
        }
    }

    /// Logs what is not as it should be.
    pub fn log(&self) {
        for failure in &self.failures {
            tracing::error!("config: {failure}");
        }
        for warning in &self.warnings {
            tracing::warn!("config: {warning}");
        }
        for exposed in &self.exposed {
            tracing::warn!("{exposed}: {}", files::CLOSE_IT);
        }
    }

    /// Checks `text` as if it stood in the file at `path`; see [`Config::load`].
    ///
    /// # Errors
    /// Every problem in it with its place.
    pub fn parse(text: &str, path: &Path, today: Day) -> Result<Self, ConfigError> {
        read(text, path, today, |check, top| check.config(top, path))
    }
}

/// Runs `check` on the text from its top on, and collects every problem.
fn read<'t, T>(
    text: &'t str,
    path: &'t Path,
    today: Day,
    check: impl FnOnce(&mut Check<'t>, Section<'t>) -> Option<T>,
) -> Result<T, ConfigError> {
    let refused = |secrets: &[_], findings| {
        ConfigError::Invalid(Problems::new(path, text, secrets, findings))
    };
    let table = match DeTable::parse(text) {
        Ok(table) => table.into_inner(),
        Err(error) => {
            let secrets = secrets::in_broken_text(text);
            let finding = syntax_finding(text, &secrets, &error);
            return Err(refused(&secrets, vec![finding]));
        }
    };
    let mut secrets = secrets::in_table(text, &table);
    let slips = Rc::default();
    let mut under_way = Check::new(text, path, today);
    let checked = check(&mut under_way, Section::top(text, table, &slips));
    let slips = slips.take();
    secrets.extend(slips.secrets);
    // Without its right shape, nothing can be said of the rest.
    let all = [slips.findings, under_way.findings];
    match (all.into_iter().find(|some| !some.is_empty()), checked) {
        (None, Some(checked)) => Ok(checked),
        (findings, _) => Err(refused(&secrets, findings.unwrap_or_default())),
    }
}

fn syntax_finding(text: &str, secrets: &[Range<usize>], error: &toml::de::Error) -> Finding {
    let place = error.span().unwrap_or_default();
    let fault = match text.get(place.clone()) {
        Some(key) if error.message() == "duplicate key" => Fault::new(format!(
            "`{}` is defined twice",
            printable(key.trim_matches('"'))
        )),
        _ => Fault::new(format!("not TOML: {}", error.message())),
    };
    let hidden = secrets.iter().any(|secret| {
        !secret.is_empty() && secret.start <= place.start && place.start <= secret.end
    });
    Finding {
        place,
        fault: if hidden {
            fault.help("possible secrets are not shown")
        } else {
            fault
        },
    }
}

#[cfg(test)]
mod tests;
