//! `alerts`: what fires, what waits to be sent, and why.

mod list;
mod probes;
mod silence;
mod summaries;
mod why;

use std::borrow::Borrow;
use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};

use silence::Silenced;

use super::{Common, Failure, count, load, print, view};
use crate::alert::Notification;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::day::Day;
use crate::flowgent::transport::HttpClient;
use crate::hook::{self, Hooks};
use crate::ledger::{self, LedgerError, Which};
use crate::nearest::nearest;
use crate::telemetry::Telemetry;

/// The most names of a list in a message.
const SHOWN_NAMES: usize = 20;

/// Commands of `alerts`.
#[derive(Debug, Subcommand)]
pub(super) enum AlertsCommand {
    /// List firing alerts and pending deliveries.
    List {
        /// Output format: table or json.
        #[arg(
            long,
            value_enum,
            default_value_t = Format::Table,
            value_name = "FORMAT",
            hide_possible_values = true
        )]
        format: Format,
        /// Also list resolved alerts and the last finished deliveries.
        #[arg(long)]
        all: bool,
    },
    /// Send a marked sample or summary to a hook, or run a probe once, which costs credits, and show the answer.
    Test {
        /// The hook's or probe's name.
        name: String,
        /// Send this summary of the last week or month, with the figures in the ledger.
        #[arg(long, value_name = "NAME")]
        summary: Option<String>,
    },
    /// Resend failed deliveries; works while the exporter runs.
    Retry(RetryArguments),
    /// Send no messages about a rule until a day; works while the exporter runs.
    Silence {
        #[command(flatten)]
        silenced: Silenced,
        /// First UTC day with messages again, YYYY-MM-DD; hooks then learn the present state.
        #[arg(long, value_name = "DAY")]
        until: Day,
        /// Reason, shown on the page of alerts.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// End a silence; works while the exporter runs.
    Unsilence {
        #[command(flatten)]
        silenced: Silenced,
    },
    /// Evaluate a rule, budget or balance against the ledger and show every figure that it uses.
    Why {
        /// The name of the rule, budget, balance or probe.
        rule: String,
        /// Evaluate as of this day, YYYY-MM-DD; the newest day counted is the day before.
        #[arg(long, value_name = "DAY")]
        on: Option<Day>,
    },
}

/// Deliveries to send again.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct RetryArguments {
    /// A delivery's id, from `alerts list`.
    id: Option<String>,
    /// All undelivered messages of the last 30 days that still apply.
    #[arg(long)]
    all: bool,
}

/// Format of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Table,
    Json,
}

/// Does it.
pub(super) async fn run(common: &Common, command: AlertsCommand) -> Result<(), Failure> {
    match command {
        AlertsCommand::List { format, all } => list::list(common, format, all).await,
        AlertsCommand::Test { name, summary } => test(common, &name, summary.as_deref()).await,
        AlertsCommand::Retry(arguments) => retry(common, arguments),
        AlertsCommand::Silence {
            silenced,
            until,
            reason,
        } => silence::silence(common, silenced, until, &reason).await,
        AlertsCommand::Unsilence { silenced } => silence::unsilence(common, silenced).await,
        AlertsCommand::Why { rule, on } => why::why(common, &rule, on).await,
    }
}

async fn test(common: &Common, name: &str, summary: Option<&str>) -> Result<(), Failure> {
    let config = load(common)?;
    let mut probes = config.alerts.probes.iter();
    if let Some(probe) = probes.clone().find(|probe| &*probe.name == name) {
        return probes::ask(&config, probe).await;
    }
    let hooks = config.hooks.iter().map(|hook| &*hook.name);
    if !hooks.clone().any(|hook| hook == name) {
        let probes = probes.by_ref().map(|probe| &*probe.name);
        let known: Vec<&str> = hooks.chain(probes).collect();
        return Err(unknown("the config", "hook or probe", name, &known));
    }
    let now = SystemClock.now();
    let hooks = Hooks {
        settings: config
            .hooks
            .iter()
            .filter(|hook| &*hook.name == name)
            .cloned()
            .collect(),
        api: config.api.clone(),
        http: HttpClient::open(&config.api).await?,
        clock: Arc::new(SystemClock),
        telemetry: Telemetry::new(),
        health: hook::Health::default(),
    };
    let sample = match summary {
        None => Notification::sample(config.alerts.dashboard_url.as_deref(), now),
        Some(summary) => summaries::of_now(&config, summary, &hooks.settings, now).await?,
    };
    let mut failed = false;
    for (target, result) in hook::test(&hooks, &sample, now).await {
        let receiver = if target.is_empty() {
            name.to_owned()
        } else {
            format!("{name}, {target}")
        };
        match result {
            Ok(answer) => print(format_args!("{receiver}: sent, and answered: {answer}\n"))?,
            Err(error) => {
                failed = true;
                print(format_args!("{receiver}: failed: {error}\n"))?;
            }
        }
    }
    if failed {
        return Err(Failure::Told);
    }
    if is_disabled(&config, name).await? {
        print(format_args!(
            "but the hook is disabled, since it once answered 410 Gone: `alerts retry --all` enables it again\n"
        ))?;
    }
    Ok(())
}

/// Returns true if the ledger, if there is one already, says that the hook is disabled.
async fn is_disabled(config: &Config, name: &str) -> Result<bool, LedgerError> {
    let Ok(view) = view::open(config).await else {
        return Ok(false);
    };
    let disabled = view.disabled_hooks().await?;
    Ok(disabled.iter().any(|disabled| &*disabled.hook == name))
}

fn retry(common: &Common, arguments: RetryArguments) -> Result<(), Failure> {
    let config = load(common)?;
    let which = arguments.id.map_or(Which::All, Which::Delivery);
    let hooks: Vec<&str> = config.hooks.iter().map(|hook| &*hook.name).collect();
    let retried = ledger::retry(&config.storage.path, which, &hooks, SystemClock.now())?;
    let these = match retried {
        0 => {
            return print(
                "nothing to resend
",
            );
        }
        1 => "1 delivery".to_owned(),
        _ => format!("{retried} deliveries"),
    };
    print(format_args!(
        "{these} will be resent now by the running exporter, or else at its next start
"
    ))
}

/// The refusal of a name that `owner`, such as the config, does not have.
fn unknown(owner: &str, thing: &str, name: &str, known: &[&str]) -> Failure {
    let tip = match (nearest(name, known), known) {
        (Some(near), _) => format!("a similar name exists: {near}"),
        (None, []) => format!("it has no {thing} at all"),
        (None, known) => format!("it has: {}", listed(known)),
    };
    Failure::Usage(format!(
        "error: {owner} has no {thing} `{name}`\n\n  tip: {tip}"
    ))
}

/// The first of the names, and the number of others.
fn listed(names: &[impl Borrow<str>]) -> String {
    let shown = names[..names.len().min(SHOWN_NAMES)].join(", ");
    match names.len().saturating_sub(SHOWN_NAMES) {
        0 => shown,
        others => format!("{shown} and {}", count(others, "other")),
    }
}
