//! Promises of the ledger, each against a real file.

mod alerts;
mod damage;
mod members;
mod hooks;
mod model;
mod opening;
mod outbox;
mod probes;
mod promises;
mod pushed;
mod repeats;
mod retry;
mod silences;
mod versions;

use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::Connection;

use super::*;
use crate::day::TRACKING_START;
use crate::series::Totals;
use crate::telemetry::Telemetry;

const POLICY: Policy = Policy {
    history_start: TRACKING_START,
    settle_days: 3,
};

/// The day that lies `offset` days after the history start.
pub(crate) fn day(offset: i32) -> Day {
    TRACKING_START.plus(offset)
}

/// Noon of [`day`].
fn noon(offset: i32) -> DateTime<Utc> {
    day(offset).start() + TimeDelta::hours(12)
}

fn open(path: &Path) -> Ledger {
    Ledger::open(path, POLICY, &Telemetry::new()).unwrap()
}

async fn register(ledger: &Ledger, ids: &[&str]) -> Vec<AgentNumber> {
    let account: Arc<str> = "acme".into();
    let identities = ids.iter().map(|&id| (account.clone(), id.into()));
    ledger.register(identities.collect()).await.unwrap()
}

/// An answer at noon of `today` with `credits` for the days from `first` on.
fn answer(agent: AgentNumber, first: i32, credits: &[f64], today: i32) -> Fetched {
    let last = first + i32::try_from(credits.len()).unwrap() - 1;
    let usage = |(offset, &credits)| Usage {
        day: day(offset),
        credits,
    };
    let mut rows: Vec<_> = (first..).zip(credits).map(usage).collect();
    // As the API sends them: newest first.
    rows.reverse();
    Fetched {
        agent,
        window: Window::new(day(first), day(last), day(today)).unwrap(),
        rows,
        at: noon(today),
    }
}

async fn totals(ledger: &Ledger, agent: AgentNumber) -> Totals {
    let snapshot = ledger.snapshot(vec![agent], day(0), |_, totals, _| *totals);
    snapshot.await.unwrap()[0]
}

/// Lets the file have so many pages, or as many as it has if those are more.
pub(crate) async fn limit_pages(ledger: &Ledger, pages: i64) {
    let limit = ledger.writer.run("limit", move |connection| {
        let pages = connection
            .pragma_update_and_check(None, "max_page_count", pages, |row| row.get::<_, i64>(0))?;
        Ok(pages)
    });
    limit.await.unwrap();
}

/// Changes the file behind the ledger's back.
fn tamper(path: &Path, sql: &str) {
    let connection = Connection::open(path).unwrap();
    connection
        .pragma_update(None, "foreign_keys", false)
        .unwrap();
    connection
        .pragma_update(None, "ignore_check_constraints", true)
        .unwrap();
    connection.execute_batch(sql).unwrap();
}
