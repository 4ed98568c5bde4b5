//! An evaluation of balances or limits: all agents belong to one of many accounts, each of which has a balance, or a
//! limit in one budget, which all have passed. The time is that of a whole evaluation after a sync: agents are read from
//! the ledger, judged, kept, and published.
//!
//! `cargo bench --bench evaluate -- [agents] [accounts] [balances|limits] [directory]`; 10,000 agents, 100 accounts and
//! balances in the system's temporary directory by default.

#[path = "common/history.rs"]
#[allow(dead_code, reason = "each bench uses a part of what they share")]
mod history;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use tokio::sync::Notify;

use flowgent_exporter::alert::{
    self, Engine, Measure, Outlets, Route, Rule, Severity, Signals, Threshold,
};
use flowgent_exporter::balance::{Book, Change, Entries, Entry};
use flowgent_exporter::budget::Cycle;
use flowgent_exporter::clock::{Clock, ManualClock, SystemClock, instant};
use flowgent_exporter::day::{Day, TRACKING_START};
use flowgent_exporter::exposition::Exposition;
use flowgent_exporter::ledger::{Identity, Ledger, Member};
use flowgent_exporter::roster::{Agent, Matcher, Pattern};
use flowgent_exporter::sheet::Grouping;
use flowgent_exporter::status::Board;
use flowgent_exporter::telemetry::Telemetry;
use flowgent_exporter::window::plan::Policy;

const DAYS: i32 = 200;
const ROUNDS: usize = 21;

fn main() -> Result<()> {
    // Cargo passes `--bench`, which says nothing here.
    let arguments = std::env::args().skip(1);
    let mut arguments = arguments.filter(|argument| !argument.starts_with('-'));
    let agents: usize = arguments.next().map_or(Ok(10_000), |text| text.parse())?;
    let accounts: usize = arguments.next().map_or(Ok(100), |text| text.parse())?;
    let has_limits = arguments.next().is_some_and(|text| text == "limits");
    let directory = arguments
        .next()
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = tempfile::tempdir_in(directory)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let path = folder.path().join("ledger.db");
    runtime.block_on(evaluate(agents, accounts, has_limits, &path))
}

async fn evaluate(
    agents: usize,
    accounts: usize,
    has_limits: bool,
    path: &std::path::Path,
) -> Result<()> {
    let now = SystemClock.now();
    let today = Day::of(now);
    let policy = Policy {
        history_start: TRACKING_START.max(today.plus(-DAYS)),
        settle_days: 3,
    };
    let account = |place: usize| -> Arc<str> { format!("account-{}", place % accounts).into() };
    let identities: Vec<Identity> = (0..agents)
        .map(|place| (account(place), format!("agent-{place}").into()))
        .collect();
    println!("filling a ledger with {DAYS} days of {agents} agents …");
    let credits = |agent: usize, day: Day| f64::from(day.number() * 7 % 31) + (agent % 97) as f64;
    history::fill(path, policy, identities.clone(), now, credits).await?;
    let telemetry = Telemetry::new();
    let ledger = Ledger::open(path, policy, &telemetry)?;
    let numbers = ledger.register(identities.clone()).await?;
    let member = |((account, id), number): (Identity, _)| {
        let name = Arc::clone(&id);
        Member::present(
            Agent {
                account,
                id,
                name,
                labels: Arc::default(),
            },
            number,
        )
    };
    let members: Arc<[Member]> = identities.into_iter().zip(numbers).map(member).collect();
    let signals = Arc::new(Signals::default());
    signals.members(members);
    let board = Arc::new(Board::default());
    let outlets = Outlets {
        exposition: Arc::new(Exposition::new(telemetry.clone())),
        board: Arc::clone(&board),
        outbox: Arc::new(Notify::new()),
    };
    let settings = alert::Settings {
        rules: match has_limits {
            true => vec![limits()],
            false => (0..accounts)
                .map(|place| balance(&account(place), today))
                .collect::<Result<_>>()?,
        },
        routes: vec![Route {
            hook: "ops".into(),
            identity: "ops".to_owned(),
            group: false,
            tracks: false,
            send_resolved: true,
            targets: vec![String::new()],
            repeat: None,
            repeats_itself: false,
        }],
        ..alert::Settings::default()
    };
    let clock = ManualClock::at(now);
    let mut engine = Engine::new(
        settings,
        ledger.clone(),
        outlets,
        clock,
        &telemetry,
        signals,
    );
    let started = instant();
    engine.evaluate().await?;
    let first = started.elapsed().as_secs_f64() * 1e3;
    let shown = board.alerting().context("nothing was evaluated")?;
    ensure!(
        shown.balances.len() + shown.budgets.len() == accounts,
        "not all balances or limits are shown"
    );
    ensure!(
        shown.balances.iter().all(|one| one.left.is_some()),
        "a balance has no figures"
    );
    let messages = ledger.deliveries(true, 10).await?.len();
    ensure!(
        messages == usize::from(has_limits),
        "{messages} messages are queued"
    );
    let mut milliseconds = Vec::new();
    for _ in 0..ROUNDS {
        let started = instant();
        engine.evaluate().await?;
        milliseconds.push(started.elapsed().as_secs_f64() * 1e3);
    }
    milliseconds.sort_unstable_by(f64::total_cmp);
    println!(
        "{agents} agents, {accounts} {}: {first:.1} ms at first, then {:.1} ms, at most {:.1} ms",
        if has_limits { "limits" } else { "balances" },
        milliseconds[ROUNDS / 2],
        milliseconds[ROUNDS - 1]
    );
    Ok(())
}

/// A budget with a limit for each account that all have passed.
fn limits() -> Rule {
    let threshold = |at| Threshold {
        measure: Measure::Used,
        at,
        severity: Severity::Warning,
    };
    Rule {
        name: "limits".into(),
        matcher: Matcher::default(),
        check: alert::Check::Budget {
            limits: 1.0.into(),
            per: Some(Grouping::Account),
            cycle: Cycle::Month { anchor_day: 1 },
            thresholds: [0.5, 0.8, 1.0].map(threshold).to_vec(),
        },
        hooks: vec!["ops".into()],
        repeat: None,
    }
}

/// A balance of an account that was set a hundred days ago, and lasts for some weeks.
fn balance(account: &Arc<str>, today: Day) -> Result<Rule> {
    let set = Entry {
        on: today.plus(-100),
        change: Change::Set(1e6),
    };
    let entries = Entries::new(&[set]).map_err(|(_, error)| error)?;
    let condition = ("account".to_owned(), Pattern::Equals(account.to_string()));
    let threshold = |at| Threshold {
        measure: Measure::DaysLeft,
        at,
        severity: Severity::Warning,
    };
    Ok(Rule {
        name: Arc::clone(account),
        matcher: Matcher::new(vec![condition]),
        check: alert::Check::Balance {
            book: Book::of(account, entries),
            thresholds: [14.0, 7.0, 2.0].map(threshold).to_vec(),
        },
        hooks: Vec::new(),
        repeat: None,
    })
}
