//! `doctor`: looks at everything that an exporter needs, and says what to do about what it finds.

mod accounts;
mod hooks;
mod ports;
mod prometheus;
mod push;
mod storage;

use std::fmt;

use clap::Args;
use url::Url;

use super::{Common, Failure, agents, count, load, print, view, width};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::files;
use crate::ledger::Member;
use crate::named::named;
use crate::series::{self, Figures, Totals};

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub(super) struct DoctorArguments {
    /// Also check the series in this Prometheus, by its base URL, such as http://localhost:9090.
    #[arg(long = "prometheus.url", value_name = "URL", value_parser = super::web_url)]
    prometheus: Option<Url>,
}

/// Something that was looked at.
#[derive(Debug, Clone, PartialEq)]
struct Finding {
    state: State,
    /// Subject and result.
    what: String,
    /// Advice; empty where nothing is to be done.
    advice: String,
}

named! {
    /// Severity.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum State {
        /// As it should be.
        Good = "ok",
        /// It works, and deserves a look.
        Warning = "warning",
        /// It does not work.
        Problem = "PROBLEM",
        /// It was not looked at: the text says why.
        Unseen = "skipped",
    }
}

impl Finding {
    fn good(what: impl Into<String>) -> Self {
        Self::of(State::Good, what, "")
    }

    fn warning(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::of(State::Warning, what, advice)
    }

    fn problem(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::of(State::Problem, what, advice)
    }

    /// Names what was not looked at, and why.
    fn unseen(what: &str, why: impl fmt::Display) -> Self {
        Self::of(State::Unseen, format!("{what}: {why}"), "")
    }

    fn of(state: State, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            state,
            what: what.into(),
            advice: advice.into(),
        }
    }
}

/// Number of findings of each state, which are printed as they come.
#[derive(Debug, Default)]
struct Visit([usize; 4]);

impl Visit {
    /// Prints what was found of one part.
    fn tell(&mut self, part: &str, findings: Vec<Finding>) -> Result<(), Failure> {
        for Finding {
            state,
            what,
            advice,
        } in findings
        {
            self.0[state as usize] += 1;
            let word = state.as_str();
            let width = width::columns().unwrap_or(usize::MAX);
            let what = width::wrapped(&what, 20, width);
            print(format_args!("{part:<11}{word:<9}{what}\n"))?;
            if !advice.is_empty() {
                let advice = width::wrapped(&advice, 23, width);
                print(format_args!("{:20}-> {advice}\n", ""))?;
            }
        }
        Ok(())
    }
}

/// Looks at all parts, the ones that others need first. A wrong config ends it, since all else follows
/// from that.
pub(super) async fn doctor(common: &Common, arguments: &DoctorArguments) -> Result<(), Failure> {
    let mut visit = Visit::default();
    let config = load(common)?;
    visit.tell("config", look_at_config(&config))?;
    visit.tell("flowgent", accounts::look(&config).await?)?;
    visit.tell("ledger", storage::look_at_ledger(&config).await?)?;
    visit.tell("disk", vec![storage::look_at_disk(&config)])?;
    visit.tell("ports", ports::look(&config).await)?;
    visit.tell("hooks", hooks::look(&config).await?)?;
    if let Some(settings) = &config.push {
        visit.tell("push", vec![push::look(settings).await])?;
    }
    let prometheus = match &arguments.prometheus {
        Some(url) => prometheus::look(&config, url).await?,
        None => vec![Finding::unseen(
            "Prometheus",
            "give its address with --prometheus.url",
        )],
    };
    visit.tell("prometheus", prometheus)?;
    let Visit([good, warnings, problems, unseen]) = visit;
    print(format_args!(
        "\n{good} ok, {}, {}, {unseen} skipped\n",
        count(warnings, "warning"),
        count(problems, "problem"),
    ))?;
    if problems > 0 {
        return Err(Failure::Told);
    }
    Ok(())
}

fn look_at_config(config: &Config) -> Vec<Finding> {
    let good = Finding::good(format!(
        "{}: {}, {}, {}, {}",
        config.path.display(),
        count(config.accounts.len(), "account"),
        agents(&config.accounts),
        count(config.alerts.rules.len(), "alert rule"),
        count(config.hooks.len(), "hook"),
    ));
    let warnings = config.warnings.iter();
    let warnings = warnings.map(|warning| Finding::warning(warning, "edit the config"));
    let exposed = config.exposed.iter();
    let exposed = exposed.map(|exposed| Finding::warning(exposed, files::CLOSE_IT));
    // A key that cannot be read shows when its account is looked at.
    std::iter::once(good)
        .chain(warnings)
        .chain(exposed)
        .collect()
}

/// Why nothing that the ledger holds was looked at.
const NO_LEDGER: &str = "the ledger cannot be read";

/// The ledger's knowledge of an agent, as of today.
struct Known {
    member: Member,
    totals: Totals,
    figures: Figures,
}

/// The ledger's knowledge of all agents; none if it cannot be read, which another check reports.
async fn known(config: &Config) -> Option<Vec<Known>> {
    let known = async {
        let view = view::open(config).await.ok()?;
        let members = view::members(config, &view).await.ok()?;
        let numbers = members.iter().map(|member| member.number).collect();
        let today = SystemClock.today();
        let figures = view.snapshot(
            numbers,
            series::recent_start(today),
            move |start, totals, recent| (*totals, series::figures(totals, recent, start, today)),
        );
        let known = members.iter().cloned().zip(figures.await.ok()?);
        let known = known.map(|(member, (totals, figures))| Known {
            member,
            totals,
            figures,
        });
        Some(known.collect())
    };
    known.await
}
