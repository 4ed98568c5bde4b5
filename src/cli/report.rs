//! `report`: what agents used by day, week or month, as tables for people or as data for programs.

mod data;
mod layout;
mod tables;

use std::io::{self, IsTerminal};
use std::num::NonZeroUsize;

use anyhow::anyhow;
use clap::{Args, ValueEnum};

use super::purses::purses;
use super::{Common, Failure, load, print, print_exactly, view, width};
use crate::alert::Check;
use crate::clock::{Clock, SystemClock};
use crate::day::Day;
use crate::former::with_former;
use crate::ledger::Member;
use crate::nearest::nearest;
use crate::roster::Selection;
use crate::sheet::{Grouping, Sheet};
use crate::tabulate::Step;
use crate::window::Range;
use layout::Screen;

/// Number of days shown by default.
const DEFAULT_DAYS: u16 = 30;
/// The most figures that a report may have: they are all in memory.
const MOST_FIGURES: u64 = 5_000_000;
/// The width of a table that no terminal shows.
const PLAIN_WIDTH: usize = 80;

/// Arguments of `report`.
#[derive(Debug, Args)]
pub(super) struct ReportArguments {
    /// The first day, YYYY-MM-DD, UTC [default: 30 days before today].
    #[arg(long, value_name = "DAY")]
    from: Option<Day>,
    /// The last day, YYYY-MM-DD, UTC [default: yesterday].
    #[arg(long, value_name = "DAY", requires = "from")]
    to: Option<Day>,
    /// Step: day, week (from Monday) or month [default: depends on the range].
    #[arg(long, value_enum, value_name = "STEP", hide_possible_values = true)]
    by: Option<Step>,
    /// Rows: agent, account, or label:NAME for a row per value of that label.
    #[arg(long, value_name = "GROUP", default_value = "agent")]
    group: Grouping,
    /// Only this account; may be repeated.
    #[arg(long, value_name = "NAME")]
    account: Vec<String>,
    /// Only this agent, by its name or id; may be repeated.
    #[arg(long, value_name = "NAME")]
    agent: Vec<String>,
    /// Only this many rows, the highest; tables add up the others, and totals count all.
    #[arg(long, value_name = "N")]
    top: Option<NonZeroUsize>,
    /// Output format: table, markdown, csv or json.
    #[arg(
        long,
        value_enum,
        default_value_t = Format::Table,
        value_name = "FORMAT",
        hide_possible_values = true
    )]
    format: Format,
}

/// Format of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Markdown,
    Csv,
    Json,
}

/// Reads the ledger and prints the report.
pub(super) async fn report(common: &Common, arguments: &ReportArguments) -> Result<(), Failure> {
    let range = range(arguments, SystemClock.today())?;
    let config = load(common)?;
    let view = view::open(&config).await?;
    let members = view::members(&config, &view).await?;
    let members = with_former(&members, &view, range.before().start()).await?;
    if members.is_empty() {
        return Err(anyhow!("no agent is known yet: the first sync makes them known").into());
    }
    let members = selected(&members, arguments)?;
    let step = arguments.by.unwrap_or_else(|| usual_step(range));
    let figures = step.count(range).saturating_mul(members.len() as u64);
    if figures > MOST_FIGURES {
        return Err(Failure::Usage(format!(
            "error: {} agents by {} from {range} are {figures} figures, more than {MOST_FIGURES}\n\n  \
             tip: ask for fewer days or agents, or for longer steps with --by",
            members.len(),
            step.as_str()
        )));
    }
    let sheet = Sheet::new(range, step, arguments.group.clone());
    let sheet = sheet.read(&members, &view, SystemClock.today()).await?;
    let mut sheet = sheet.sorted();
    if let Some(top) = arguments.top {
        sheet.keep(top.get());
    }
    // The balances of all agents stand beside the use of all agents only.
    let is_whole = arguments.account.is_empty() && arguments.agent.is_empty();
    let balances = match is_whole {
        true => {
            let is_balance = |check: &Check| matches!(check, Check::Balance { .. });
            let now = SystemClock.now();
            purses(&config, &view, now, is_balance).await?.balances
        }
        false => Vec::new(),
    };
    match arguments.format {
        // It may have colours, and has made its names visible itself.
        Format::Table => print_exactly(tables::for_screen(&sheet, &balances, screen())),
        Format::Markdown => print(tables::markdown(&sheet, &balances)),
        Format::Csv => print_exactly(data::csv(&sheet)),
        Format::Json => print(data::json(&sheet, &balances)),
    }
}

/// The days that are asked for.
fn range(arguments: &ReportArguments, today: Day) -> Result<Range, Failure> {
    let Some(from) = arguments.from else {
        return Ok(Range::last_days(DEFAULT_DAYS, today));
    };
    let to = arguments.to.unwrap_or(today.previous());
    Range::new(from, to, today).map_err(|error| Failure::Usage(format!("error: {error}")))
}

/// Steps that make a table of one screen.
fn usual_step(range: Range) -> Step {
    match range.days() {
        ..=14 => Step::Day,
        15..=98 => Step::Week,
        _ => Step::Month,
    }
}

/// The agents that are asked for.
fn selected(members: &[Member], arguments: &ReportArguments) -> Result<Vec<Member>, Failure> {
    let selection = Selection {
        accounts: arguments.account.clone(),
        agents: arguments.agent.clone(),
    };
    let selected = view::selected(members, &selection)?;
    let agents = selected.iter().map(|member| &member.agent);
    match arguments.group.unknown_label(agents) {
        None => Ok(selected),
        Some((name, known)) => {
            let tip = match nearest(name, &known) {
                Some(near) => format!("\n\n  tip: a similar label exists: {near}"),
                None if known.is_empty() => "\n\n  tip: they have no labels".to_owned(),
                None => format!("\n\n  tip: they have: {}", known.join(", ")),
            };
            let message = format!("error: none of the agents has a label `{name}`{tip}");
            Err(Failure::Usage(message))
        }
    }
}

/// Screen or file for the report: colours are for terminals, and only if nobody refuses them.
fn screen() -> Screen {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    Screen {
        width: width::columns().unwrap_or(PLAIN_WIDTH),
        has_colours: io::stdout().is_terminal() && !refused,
    }
}
