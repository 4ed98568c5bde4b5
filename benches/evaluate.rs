//! An evaluation of balances: all agents belong to one of many accounts, each of which has a balance. The time is that
//! of a whole evaluation after a sync: agents are read from the ledger, judged, kept, and published.
//!
//! `cargo bench --bench evaluate -- [agents] [balances] [directory]`; 10,000 agents and 100 balances in the system's
//! temporary directory by default.

#[path = "common/history.rs"]
#[allow(dead_code, reason = "each bench uses a part of what they share")]
mod history;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use tokio::sync::Notify;

use flowgent_exporter::alert::{
    self, Engine, Measure, Outlets, Rule, Severity, Signals, Threshold,
};
use flowgent_exporter::balance::{Book, Change, Entries, Entry};
use flowgent_exporter::clock::{Clock, ManualClock, SystemClock, instant};
use flowgent_exporter::day::{Day, TRACKING_START};
use flowgent_exporter::exposition::Exposition;
use flowgent_exporter::ledger::{Identity, Ledger, Member};
use flowgent_exporter::roster::{Agent, Matcher, Pattern};
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
    let balances: usize = arguments.next().map_or(Ok(100), |text| text.parse())?;
    let directory = arguments
        .next()
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = tempfile::tempdir_in(directory)?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(evaluate(agents, balances, &folder.path().join("ledger.db")))
}

async fn evaluate(agents: usize, balances: usize, path: &std::path::Path) -> Result<()> {
    let now = SystemClock.now();
    let today = Day::of(now);
    let policy = Policy {
        history_start: TRACKING_START.max(today.plus(-DAYS)),
        settle_days: 3,
    };
    let account = |place: usize| -> Arc<str> { format!("account-{}", place % balances).into() };
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
        rules: (0..balances)
            .map(|place| balance(&account(place), today))
            .collect::<Result<_>>()?,
        ..alert::Settings::default()
    };
    let clock = ManualClock::at(now);
    let mut engine = Engine::new(settings, ledger, outlets, clock, &telemetry, signals);
    engine.evaluate().await?;
    let shown = board.alerting().context("nothing was evaluated")?;
    ensure!(
        shown.balances.len() == balances,
        "not all balances are shown"
    );
    ensure!(
        shown.balances.iter().all(|one| one.left.is_some()),
        "a balance has no figures"
    );
    let mut milliseconds = Vec::new();
    for _ in 0..ROUNDS {
        let started = instant();
        engine.evaluate().await?;
        milliseconds.push(started.elapsed().as_secs_f64() * 1e3);
    }
    milliseconds.sort_unstable_by(f64::total_cmp);
    println!(
        "{agents} agents, {balances} balances: {:.1} ms, at most {:.1} ms",
        milliseconds[ROUNDS / 2],
        milliseconds[ROUNDS - 1]
    );
    Ok(())
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
    })
}
