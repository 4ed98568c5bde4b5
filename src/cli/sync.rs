//! `sync`: one pass in the foreground.

use std::sync::Arc;

use anyhow::anyhow;
use clap::Args;
use comfy_table::Table;

use super::{Common, Failure, count, load, print, progress, serve, table};
use crate::app;
use crate::clock::{CheckedClock, SharedClock, SystemClock};
use crate::day::{Day, TRACKING_START};
use crate::flowgent::transport::HttpClient;
use crate::ledger::{Fault, LedgerError};
use crate::sync::{Event, MemberReport, Outcome, Report, Wanted};
use crate::telemetry::Telemetry;
use crate::window::plan::{self, Refresh};

/// More agents than this are summed up by account.
const MAX_ROWS: usize = 50;

/// Arguments of `sync`.
#[derive(Debug, Args)]
pub(super) struct SyncArguments {
    /// Fetch every day from this one on, even known ones (YYYY-MM-DD, UTC).
    #[arg(long, value_name = "DAY")]
    from: Option<Day>,
    /// The last day to fetch, by default yesterday (YYYY-MM-DD, UTC).
    #[arg(long, value_name = "DAY", requires = "from")]
    to: Option<Day>,
}

/// Syncs once and prints how that went.
pub(super) async fn sync(common: &Common, arguments: &SyncArguments) -> Result<(), Failure> {
    let clock: SharedClock = CheckedClock::new(Arc::new(SystemClock));
    let wanted = wanted(arguments, clock.today()).map_err(Failure::Usage)?;
    let config = load(common)?;
    let telemetry = Telemetry::new();
    let (_, stop) = serve::signals()?;
    let ledger = app::open_ledger(&config, &telemetry)
        .await
        .map_err(in_use)?;
    let http = HttpClient::open(&config.api).await?;
    // Without an answer, this host's clock counts.
    let _ = http.ask_the_time(&*clock).await;
    let syncer = app::syncer(&config, &http, &ledger, &clock, &telemetry);
    let observer = progress::observer();
    let result = syncer.run(&wanted, &observer, &stop).await;
    ledger.close().await;
    let report = Arc::new(result?);
    observer(Event::Ended(Ok(Arc::clone(&report))));
    print(summary(&report))?;
    match report.outcome() {
        Outcome::Complete => Ok(()),
        Outcome::Incomplete | Outcome::Failed => Err(Failure::Told),
    }
}

fn wanted(arguments: &SyncArguments, today: Day) -> Result<Wanted, String> {
    let Some(from) = arguments.from else {
        return Ok(Wanted::Due(Refresh::Unsettled));
    };
    if from < TRACKING_START {
        return Err(format!(
            "error: --from {from}: usage is tracked from {TRACKING_START} on"
        ));
    }
    let to = arguments.to.unwrap_or(today.previous());
    let windows = plan::range(from, to, today).map_err(|error| format!("error: {error}"))?;
    Ok(Wanted::Windows(windows))
}

/// The error, with what to do if an exporter is running, for which this command is not needed.
fn in_use(error: LedgerError) -> anyhow::Error {
    match error.fault {
        Fault::InUse(_) => anyhow!("{error}\n\n  tip: a running exporter syncs automatically"),
        _ => error.into(),
    }
}

/// The table, what it cannot show, and the outcome in one line.
fn summary(report: &Report) -> String {
    let mut text = String::new();
    if !report.members.is_empty() {
        text += &rows(report).trim_fmt();
        text += "\n\n";
    }
    for problem in &report.problems {
        let is_of = |member: &MemberReport| member.problem.as_ref() == Some(&problem.error);
        if is_summed(report) || !report.members.iter().any(is_of) {
            text += &format!("account {}: {problem}\n", problem.account);
        }
    }
    if report.counts.deferred > 0 {
        let windows = count(report.counts.deferred, "request");
        text +=
            &format!("{windows} postponed: by FlowGent's clock, the last day is not over yet\n");
    }
    if report.interrupted {
        text += "interrupted: the next sync fetches the rest\n";
    }
    text + &format!(
        "{}: {} of {} succeeded in {:.1} s\n",
        report.outcome().as_str(),
        report.counts.committed,
        count(report.counts.planned, "request"),
        report.took.as_secs_f64()
    )
}

/// Returns true if there are too many agents for a row each.
fn is_summed(report: &Report) -> bool {
    report.members.len() > MAX_ROWS
}

fn rows(report: &Report) -> Table {
    let header = [
        "account", "agent", "requests", "new days", "revised", "missing", "state",
    ];
    let mut table = table(header, &[2, 3, 4, 5]);
    let together = |a: &MemberReport, b: &MemberReport| {
        is_summed(report) && a.member.agent.account == b.member.agent.account
    };
    for members in report.members.chunk_by(together) {
        table.add_row(row(members));
    }
    table
}

/// The row for one agent, or for several of one account.
fn row(members: &[MemberReport]) -> [String; 7] {
    let agent = &members[0].member.agent;
    let sum = |figure: fn(&MemberReport) -> usize| members.iter().map(figure).sum::<usize>();
    let good = |member: &&MemberReport| {
        member.problem.is_none()
            && member.counts.committed == member.counts.planned
            && member.counts.absent_days == 0
    };
    let bad = members.len() - members.iter().filter(good).count();
    let (name, state) = match members {
        [member] if bad > 0 => {
            let problem = member.problem.clone();
            (
                agent.name.to_string(),
                problem.unwrap_or("incomplete".to_owned()),
            )
        }
        [_] => (agent.name.to_string(), "ok".to_owned()),
        _ if bad == 0 => (count(members.len(), "agent"), "ok".to_owned()),
        _ => (count(members.len(), "agent"), format!("{bad} incomplete")),
    };
    let (fetched, planned) = (
        sum(|member| member.counts.committed),
        sum(|member| member.counts.planned),
    );
    [
        agent.account.to_string(),
        name,
        format!("{fetched}/{planned}"),
        sum(|member| member.counts.new_days).to_string(),
        sum(|member| member.counts.revised_days).to_string(),
        sum(|member| member.counts.absent_days).to_string(),
        state,
    ]
}
