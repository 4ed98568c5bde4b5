//! `sync`: one pass in the foreground.

use std::sync::Arc;

use clap::Args;
use comfy_table::{CellAlignment, Table, presets};

use super::{Common, Failure, load, progress, serve};
use crate::app;
use crate::clock::{SharedClock, SystemClock};
use crate::day::{Day, TRACKING_START};
use crate::sync::{Event, MemberReport, Outcome, Report, Wanted};
use crate::telemetry::Telemetry;
use crate::window::plan::{self, Refresh};

/// More agents than this are summed up by account.
const MAX_ROWS: usize = 50;

/// What `sync` takes.
#[derive(Debug, Args)]
pub(super) struct SyncArguments {
    /// Fetch every day from this one on, known or not (YYYY-MM-DD, UTC).
    #[arg(long, value_name = "DAY")]
    from: Option<Day>,
    /// The last day to fetch, by default yesterday (YYYY-MM-DD, UTC).
    #[arg(long, value_name = "DAY", requires = "from")]
    to: Option<Day>,
}

/// Syncs once and prints how that went.
pub(super) async fn sync(common: &Common, arguments: &SyncArguments) -> Result<(), Failure> {
    let config = load(common)?;
    let clock: SharedClock = Arc::new(SystemClock);
    let wanted = wanted(arguments, clock.today()).map_err(Failure::Usage)?;
    let telemetry = Telemetry::new();
    let (_, stop) = serve::signals()?;
    let ledger = app::open_ledger(&config, &telemetry).await?;
    let syncer = app::syncer(&config, &ledger, &clock, &telemetry)?;
    let observer = progress::observer();
    let result = syncer.run(&wanted, &observer, &stop).await;
    ledger.close().await;
    let report = result?;
    observer(Event::Ended(report.outcome()));
    print(&report);
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

fn print(report: &Report) {
    println!("{}", table(report));
    for problem in &report.problems {
        println!("account {}: {problem}", problem.account);
    }
    println!(
        "{}: {} of {} windows in {:.1} s",
        report.outcome().as_str(),
        report.committed,
        report.planned,
        report.took.as_secs_f64()
    );
}

fn table(report: &Report) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "account", "agent", "windows", "new days", "revised", "absent", "state",
    ]);
    for column in 2..=5 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let summed = report.members.len() > MAX_ROWS;
    let together = |a: &MemberReport, b: &MemberReport| {
        summed && a.member.agent.account == b.member.agent.account
    };
    for members in report.members.chunk_by(together) {
        table.add_row(row(members));
    }
    table
}

/// The row for one agent, or for several of one account.
fn row(members: &[MemberReport]) -> [String; 7] {
    let agent = &members[0].member.agent;
    let sum = |figure: fn(&MemberReport) -> usize| -> String {
        members.iter().map(figure).sum::<usize>().to_string()
    };
    let failed = members
        .iter()
        .filter(|member| member.problem.is_some())
        .count();
    let (name, state) = match members {
        [member] => (
            agent.name.to_string(),
            member.problem.clone().unwrap_or("ok".to_owned()),
        ),
        _ if failed == 0 => (format!("{} agents", members.len()), "ok".to_owned()),
        _ => (
            format!("{} agents", members.len()),
            format!("{failed} failed"),
        ),
    };
    [
        agent.account.to_string(),
        name,
        sum(|member| member.committed),
        sum(|member| member.new_days),
        sum(|member| member.revised_days),
        sum(|member| member.absent_days),
        state,
    ]
}
