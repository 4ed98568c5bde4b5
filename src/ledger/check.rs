//! Soundness of a ledger: SQLite's own checks of the file, and ours, which compute every sum and
//! watermark again from the rows it must follow from.

use std::fmt::Display;
use std::path::Path;

use rusqlite::Connection;

use super::error::{Fault, LedgerError};
use super::file::Place;
use super::standing::Standing;
use super::{AgentNumber, alert, outbox, probes, schema, silences, usage};
use crate::day::Day;
use crate::window::plan::Policy;

const INTEGRITY: &str = "PRAGMA integrity_check";
const ORPHANS: &str = "PRAGMA foreign_key_check";
const AGENTS: &str = "SELECT number, account, id FROM agent ORDER BY number";
/// Each revision beside the row that it led to, if that is there.
const REVISIONS: &str = "
    SELECT revision.day, number, old, new, credits
    FROM revision LEFT JOIN usage USING (agent, day)
    WHERE agent = ?1 ORDER BY day, number";

/// Each finds what is wrong with alerts or deliveries, and says so.
const ALERT_FINDINGS: [&str; 6] = [
    "SELECT format('alert %s of %s: it fires, and never fired', rule, subject)
    FROM alert WHERE state = 'firing' AND fired_at_ms IS NULL ORDER BY rule, subject",
    "SELECT format('alert %s of %s: what was told of it is not JSON', rule, subject)
    FROM alert WHERE notice <> '' AND NOT json_valid(notice) ORDER BY rule, subject",
    "SELECT format('delivery %s: its message is not JSON', id)
    FROM delivery WHERE NOT json_valid(notification) ORDER BY number",
    "SELECT format('delivery %s: it is delivered after 0 attempts', id)
    FROM delivery WHERE state = 'delivered' AND attempts = 0 ORDER BY number",
    "SELECT format('delivery %s: it is pending after %d attempts and %s', id, attempts,
        'says nothing of the last one')
    FROM delivery WHERE state = 'pending' AND attempts > 0 AND result IS NULL ORDER BY number",
    "SELECT format('delivery %s: the last of its %d alerts has place %d', id, count(*), max(place))
    FROM delivery_alert JOIN delivery ON number = delivery
    GROUP BY delivery HAVING max(place) <> count(*) - 1 ORDER BY delivery",
];

/// Each finds what is wrong with what databases are said to have taken, and says so.
const PUSH_FINDINGS: [&str; 3] = [
    "SELECT format('agent %s/%s: the days pushed to target %d from %s and from %s on are not apart',
        account, id, one.target, date(one.first * 86400, 'unixepoch'),
        date(other.first * 86400, 'unixepoch'))
    FROM pushed_days AS one JOIN pushed_days AS other USING (target, agent)
        JOIN (SELECT number AS agent, account, id FROM agent) USING (agent)
    WHERE other.first > one.first AND other.first <= one.last + 1 ORDER BY agent, one.first",
    "SELECT format('agent %s/%s: %d days from %s on are pushed to target %d, %d of them are known',
        account, id, last - first + 1, date(first * 86400, 'unixepoch'), target, known)
    FROM (SELECT target, agent, first, last, (SELECT count(*) FROM usage
            WHERE usage.agent = pushed_days.agent AND day BETWEEN first AND last) AS known
        FROM pushed_days) JOIN (SELECT number AS agent, account, id FROM agent) USING (agent)
    WHERE known <> last - first + 1 ORDER BY agent, first",
    "SELECT format('agent %s/%s: revision %d of %s is pushed to target %d, the last one is %d',
        account, id, number, date(day * 86400, 'unixepoch'), target, newest)
    FROM (SELECT target, agent, day, number, (SELECT ifnull(max(number), 0) FROM revision
            WHERE revision.agent = pushed_revision.agent AND revision.day = pushed_revision.day)
            AS newest
        FROM pushed_revision) JOIN (SELECT number AS agent, account, id FROM agent) USING (agent)
    WHERE number > newest ORDER BY agent, day",
];

/// Finds totals of probes that do not hold the runs that are kept, and says so.
const PROBE_FINDINGS: [&str; 1] = [
    "SELECT format('probe %s: %d runs with outcome %s are kept, its total is %d',
        probe, count(*), outcome, ifnull(runs, 0))
    FROM probe_run LEFT JOIN probe_total USING (probe, account, agent, outcome)
    WHERE outcome IS NOT NULL GROUP BY probe, account, agent, outcome
    HAVING count(*) > ifnull(runs, 0) ORDER BY probe, outcome",
];

/// Findings of a check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Agents that were checked.
    pub agents: usize,
    /// Their days, also before the history start.
    pub days: u64,
    /// Their revisions.
    pub revisions: u64,
    /// All that is wrong, each in a sentence with the values that contradict each other.
    pub violations: Vec<String>,
}

impl Report {
    /// Returns true if nothing is wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.violations.is_empty()
    }
}

/// Checks the ledger at `path` whole, as it is at this instant, while an exporter may go on writing
/// it. Blocks; reads every row; changes nothing.
///
/// # Errors
/// There is no ledger at `path`, a newer one, or it cannot be read at all. Damage is no error but
/// what the report is about.
pub fn check(path: &Path) -> Result<Report, LedgerError> {
    let place = Place::existing(path)?;
    let mut report = Report::default();
    let checked = place.open_reader().and_then(|connection| {
        let found = schema::version(&connection, &place)?;
        // An older ledger, or a backup of one, is as sound as it was.
        if (1..=schema::VERSION).contains(&found) {
            inspect(&connection, found, &mut report).map_err(|fault| fault.at(path))
        } else {
            let version = format!("schema version is {found}, not {}", schema::VERSION);
            report.violations.push(version);
            Ok(())
        }
    });
    match checked {
        Err(LedgerError {
            fault: Fault::Damaged(detail),
            ..
        }) => {
            report
                .violations
                .push(format!("cannot be read on: {detail}"));
            Ok(report)
        }
        checked => checked.map(|()| report),
    }
}

/// Everything is read in one transaction, so a window that is committed meanwhile is either seen
/// whole or not at all.
fn inspect(connection: &Connection, version: i32, report: &mut Report) -> Result<(), Fault> {
    let snapshot = connection.unchecked_transaction()?;
    let mut statement = snapshot.prepare(INTEGRITY)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let finding: String = row.get(0)?;
        if finding != "ok" {
            report.violations.push(format!("file: {finding}"));
        }
    }
    let mut statement = snapshot.prepare(ORPHANS)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (table, parent): (String, String) = (row.get(0)?, row.get(2)?);
        report
            .violations
            .push(format!("a row of table {table} belongs to no {parent}"));
    }
    let policy = schema::policy(&snapshot)?;
    let mut statement = snapshot.prepare(AGENTS)?;
    let mut agents = statement.query([])?;
    while let Some(row) = agents.next()? {
        let account: String = row.get(1)?;
        let id: String = row.get(2)?;
        let mut agent = Agent {
            connection: &snapshot,
            number: AgentNumber(row.get(0)?),
            name: format!("agent {account}/{id}"),
            report: &mut *report,
        };
        match agent.check(policy) {
            // A value of a type that does not belong there spoils one agent, not the file.
            Err(Fault::Sqlite(error)) if error.sqlite_error().is_none() => {
                agent.violation(format_args!("cannot be read: {error}"));
            }
            checked => checked?,
        }
    }
    if version >= schema::WITH_ALERTS {
        inspect_outbox(&snapshot, report)?;
    }
    if version >= schema::WITH_EPISODES {
        inspect_alerts(&snapshot, report)?;
    }
    if version >= schema::WITH_SILENCES {
        let read = silences::active(&snapshot, Day::from_number(i32::MIN)).map(|_| ());
        unless_unreadable("silence", read, report)?;
    }
    if version >= schema::WITH_PUSH {
        find(&snapshot, &PUSH_FINDINGS, report)?;
    }
    if version >= schema::WITH_PROBES {
        find(&snapshot, &PROBE_FINDINGS, report)?;
        let read = probes::runs(&snapshot).and_then(|_| probes::totals(&snapshot));
        unless_unreadable("probe_run or probe_total", read.map(drop), report)?;
    }
    Ok(())
}

/// Adds what each of these queries finds.
fn find(connection: &Connection, queries: &[&str], report: &mut Report) -> Result<(), Fault> {
    for query in queries {
        let mut statement = connection.prepare(query)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            report.violations.push(row.get(0)?);
        }
    }
    Ok(())
}

/// Looks for alerts that nobody could make sense of. Those of an older version are brought up to date
/// first.
fn inspect_alerts(connection: &Connection, report: &mut Report) -> Result<(), Fault> {
    let read = alert::memory(connection).map(|_| ());
    unless_unreadable("alert", read, report)
}

/// Looks for deliveries that nobody could make sense of, and for what cannot have come to be.
fn inspect_outbox(connection: &Connection, report: &mut Report) -> Result<(), Fault> {
    find(connection, &ALERT_FINDINGS, report)?;
    let read = outbox::disabled(connection).map(|_| ());
    unless_unreadable("disabled_hook", read, report)?;
    outbox::each_unreadable(connection, |number, error| {
        let violation = format!("delivery number {number} cannot be read: {error}");
        report.violations.push(violation);
    })
}

/// Adds a violation if a value of the table is none that belongs there.
fn unless_unreadable(
    table: &str,
    read: Result<(), Fault>,
    report: &mut Report,
) -> Result<(), Fault> {
    match read {
        Err(Fault::Sqlite(error)) if error.sqlite_error().is_none() => {
            report
                .violations
                .push(format!("table {table} cannot be read: {error}"));
            Ok(())
        }
        read => read,
    }
}

/// One agent under inspection.
struct Agent<'a> {
    connection: &'a Connection,
    number: AgentNumber,
    name: String,
    report: &'a mut Report,
}

impl Agent<'_> {
    fn violation(&mut self, what: impl Display) {
        self.report
            .violations
            .push(format!("{}: {what}", self.name));
    }

    fn check(&mut self, policy: Policy) -> Result<(), Fault> {
        self.report.agents += 1;
        let stored = usage::read_standing(self.connection, self.number)?;
        let mut computed = stored.cleared();
        let everything = (Day::from_number(i32::MIN), Day::from_number(i32::MAX));
        let mut days = 0;
        let mut absurd = Vec::new();
        usage::each_row(
            self.connection,
            self.number,
            everything.0,
            everything.1,
            |row| {
                days += 1;
                if !(row.credits.is_finite() && row.credits >= 0.0) {
                    absurd.push(row.usage());
                }
                computed.count(&row, policy);
                true
            },
        )?;
        self.report.days += days;
        for usage in absurd {
            self.violation(format_args!(
                "credits of {} are {}",
                usage.day, usage.credits
            ));
        }
        self.check_standing(&stored, &computed);
        self.check_revisions(&stored)
    }

    fn check_standing(&mut self, stored: &Standing, computed: &Standing) {
        for ((what, stored), (_, computed)) in described(stored).iter().zip(described(computed)) {
            if *stored != computed {
                self.violation(format_args!("{what} is {stored}, its days say {computed}"));
            }
        }
    }

    /// Revisions of a day are numbered from 1 without gaps, each starts where the one before ended,
    /// and the last one ends at what the day has now.
    fn check_revisions(&mut self, stored: &Standing) -> Result<(), Fault> {
        let (mut up, mut down) = (0, 0);
        let mut before: Option<Link> = None;
        let mut statement = self.connection.prepare_cached(REVISIONS)?;
        let mut rows = statement.query([self.number.0])?;
        while let Some(row) = rows.next()? {
            let link = Link {
                day: Day::from_number(row.get(0)?),
                number: row.get(1)?,
                old: row.get(2)?,
                new: row.get(3)?,
                credits: row.get(4)?,
            };
            self.report.revisions += 1;
            if link.new > link.old {
                up += 1;
            } else {
                down += 1;
            }
            let previous = before.filter(|previous| previous.day == link.day);
            if previous.is_none() {
                self.check_last(before);
            }
            let expected = previous.map_or(1, |previous| previous.number + 1);
            if link.number != expected {
                self.violation(format_args!(
                    "revision of {} is number {}, {expected} comes next",
                    link.day, link.number
                ));
            }
            if let Some(previous) = previous.filter(|previous| previous.new != link.old) {
                self.violation(format_args!(
                    "revision {} of {} starts at {}, the one before ends at {}",
                    link.number, link.day, link.old, previous.new
                ));
            }
            before = Some(link);
        }
        self.check_last(before);
        for (direction, stored, counted) in [
            ("up", stored.totals.revised_up, up),
            ("down", stored.totals.revised_down, down),
        ] {
            if stored != counted {
                self.violation(format_args!(
                    "number of revisions {direction} is {stored}, {counted} are there"
                ));
            }
        }
        Ok(())
    }

    /// Checks the last revision of a day against the day itself.
    fn check_last(&mut self, last: Option<Link>) {
        let Some(last) = last else { return };
        if last.credits != Some(last.new) {
            let now = last
                .credits
                .map_or_else(|| "not known".into(), |credits| credits.to_string());
            self.violation(format_args!(
                "last revision of {} ends at {}, the day is {now}",
                last.day, last.new
            ));
        }
    }
}

/// Description of an agent by its days, in words.
fn described(standing: &Standing) -> [(&'static str, String); 6] {
    let day = |day: Option<Day>| day.map_or_else(|| "none".to_owned(), |day| day.to_string());
    // The sum is what makes a negative zero a positive one.
    let credits = |credits: f64| (credits + 0.0).to_string();
    let totals = &standing.totals;
    let mark = totals.high_water_credits;
    [
        ("frontier", day(totals.frontier)),
        ("settled-through day", day(standing.settled_through)),
        ("known-through day", day(totals.known_through)),
        ("number of known days", totals.known_days.to_string()),
        ("frontier sum", credits(totals.frontier_credits)),
        // Counting raises the mark to the sum, so a difference means that it was below.
        (
            "high-water mark",
            mark.map_or_else(|| "none".to_owned(), credits),
        ),
    ]
}

/// One revision as a link in the chain of its day.
#[derive(Debug, Clone, Copy)]
struct Link {
    day: Day,
    number: u32,
    old: f64,
    new: f64,
    /// Present value of the day, if it is known.
    credits: Option<f64>,
}
