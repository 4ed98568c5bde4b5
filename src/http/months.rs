//! The credits of each account by month, kept ready for its page. They are computed after figures change, since
//! reading the months of thousands of agents takes longer than a person waits.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arc_swap::ArcSwapOption;

use crate::backoff::REST_AFTER_ERROR;
use crate::clock::{Clock, instant};
use crate::day::{Day, TRACKING_START, Usage};
use crate::former::Once;
use crate::ledger::{LedgerError, Member, View};
use crate::roster::Agent;
use crate::status::Board;

/// Number of months side by side, the current one among them.
pub(crate) const MONTHS: usize = 6;
/// The most agents that an account lists.
const LISTED: usize = 200;
/// Number of agents read at a time. Other readers of the ledger wait no longer than that takes.
const AGENTS_AT_A_TIME: usize = 64;
/// After a computation of one second, the next one waits this many seconds: a long backfill, which changes
/// figures all the time, costs a twentieth of a core at most.
const REST: u32 = 20;

/// The months of all accounts, or the reason why they are not known; none until they are first computed.
pub type Kept = Arc<ArcSwapOption<Result<Months, String>>>;

/// The months of all accounts as of one day.
#[derive(Debug)]
pub struct Months {
    pub(crate) today: Day,
    /// Number of months that are not wholly before the history start.
    pub(crate) number: usize,
    pub(crate) accounts: BTreeMap<Arc<str>, OfAccount>,
}

/// The months of an account, the newest first.
#[derive(Debug, Default)]
pub(crate) struct OfAccount {
    /// The agents that used most, and whether each is still there.
    pub(crate) rows: Vec<(Agent, bool, [Month; MONTHS])>,
    /// Number of other agents.
    pub(crate) more: usize,
    pub(crate) total: [Sum; MONTHS],
}

/// The credits of a month if every day is known, and those of the known days if any is.
pub(crate) type Month = (Option<f64>, Option<f64>);

/// The sum of a figure over agents.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Sum {
    /// Of all known days.
    pub(crate) credits: f64,
    /// Agents of which every day is known.
    pub(crate) whole: usize,
    /// Agents of which any day is known.
    pub(crate) known: usize,
    pub(crate) agents: usize,
}

/// Computes the months whenever agents or their figures change, for as long as it is polled.
pub(crate) async fn keep(kept: &Kept, board: &Board, clock: &dyn Clock) {
    let mut changes = board.changes();
    loop {
        let started = instant();
        let rest = match refresh(kept, board, clock.today()).await {
            true => started.elapsed() * REST,
            false => REST_AFTER_ERROR,
        };
        tokio::time::sleep(rest).await;
        let is_known = !matches!(kept.load().as_deref(), Some(Err(_)));
        if is_known {
            // Fails only without a board, which lives as long as its server.
            let _ = changes.changed().await;
        }
    }
}

/// Computes the months as of `today`. Returns false if the ledger could not be read.
pub(crate) async fn refresh(kept: &Kept, board: &Board, today: Day) -> bool {
    let Some(ledger) = board.ledger() else {
        return true;
    };
    let read = Months::read(&ledger, board, today).await;
    let read = read.map_err(|error| format!("The ledger cannot be read: {error}."));
    let is_known = read.is_ok();
    kept.store(Some(Arc::new(read)));
    is_known
}

impl Months {
    async fn read(ledger: &View, board: &Board, today: Day) -> Result<Self, LedgerError> {
        let spans = months(today);
        let range = (spans[MONTHS - 1].0, today.previous());
        let start = ledger.history_start().await?.max(TRACKING_START);
        let members = board.members();
        let present: HashSet<_> = members.iter().map(|member| member.number).collect();
        let former = ledger.absent(present.clone(), range.0).await?;
        let configured = board.accounts();
        let named = configured
            .iter()
            .map(|account| (Arc::clone(&account.name), Vec::new()));
        let mut own: BTreeMap<Arc<str>, Vec<&Member>> = named.collect();
        for member in members.iter().chain(&former) {
            own.entry(Arc::clone(&member.agent.account))
                .or_default()
                .push(member);
        }
        let mut accounts = BTreeMap::new();
        for (account, own) in own {
            let once = Arc::new(Once::read(ledger, &own, range, today).await?);
            let mut of_account = OfAccount::default();
            for some in own.chunks(AGENTS_AT_A_TIME) {
                let visited = some.iter().copied().cloned().collect();
                let sums = move |days: &[Usage]| sums(days, spans, start);
                let sums = once.each(ledger, visited, sums).await?;
                for (member, months) in some.iter().zip(sums) {
                    of_account.add(member, present.contains(&member.number), months);
                }
                of_account.truncate();
            }
            accounts.insert(account, of_account);
        }
        Ok(Self {
            today,
            number: asked_for(&spans, start),
            accounts,
        })
    }
}

impl OfAccount {
    fn add(&mut self, member: &Member, is_there: bool, months: [Month; MONTHS]) {
        for (total, (whole, some)) in self.total.iter_mut().zip(months) {
            total.add(whole, some);
        }
        self.rows.push((member.agent.clone(), is_there, months));
    }

    /// Keeps those that used most.
    fn truncate(&mut self) {
        let used = |months: &[Month]| -> f64 { months.iter().filter_map(|(_, some)| *some).sum() };
        self.rows
            .sort_by(|(.., one), (.., other)| used(other).total_cmp(&used(one)));
        self.more += self.rows.len().saturating_sub(LISTED);
        self.rows.truncate(LISTED);
    }
}

impl Sum {
    /// Adds an agent's figure, or a lower bound of it.
    pub(crate) fn add(&mut self, credits: Option<f64>, at_least: Option<f64>) {
        self.agents += 1;
        self.whole += usize::from(credits.is_some());
        if let Some(credits) = credits.or(at_least) {
            self.known += 1;
            self.credits += credits;
        }
    }

    /// The credits that are known.
    pub(crate) fn credits(&self) -> f64 {
        self.credits
    }
}

/// The first and the last day of each month, the newest first; the current one ends yesterday. On the first day
/// of a month, the list begins with the month that has just ended.
pub(crate) fn months(today: Day) -> [(Day, Day); MONTHS] {
    let mut last = today.previous();
    std::array::from_fn(|_| {
        let month = (last.month_start(), last);
        last = month.0.previous();
        month
    })
}

/// Number of these months that are not wholly before `start`.
fn asked_for(months: &[(Day, Day)], start: Day) -> usize {
    let months = months.iter();
    months.filter(|(_, last)| *last >= start).count()
}

/// The credits of each month from its days. Days before `start` are not asked for.
fn sums(days: &[Usage], months: [(Day, Day); MONTHS], start: Day) -> [Month; MONTHS] {
    months.map(|(first, last)| {
        let first = first.max(start);
        let from = days.partition_point(|usage| usage.day < first);
        let known = &days[from..days.partition_point(|usage| usage.day <= last).max(from)];
        let credits = known.iter().fold(0.0, |sum, usage| sum + usage.credits);
        let covered = usize::try_from(last.next().since(first)).unwrap_or(0);
        let credits = (!known.is_empty()).then_some(credits);
        (credits.filter(|_| known.len() == covered), credits)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_side_by_side_and_bounds_where_days_are_missing() {
        let day = |text: &str| text.parse::<Day>().unwrap();
        let months = months(day("2026-03-03"));
        assert_eq!(months[0], (day("2026-03-01"), day("2026-03-02")));
        assert_eq!(months[1], (day("2026-02-01"), day("2026-02-28")));
        assert_eq!(asked_for(&months, day("2026-02-28")), 2);
        assert_eq!(asked_for(&months, day("2026-03-01")), 1);
        let usage = |day| Usage { day, credits: 2.0 };
        let mut days: Vec<Usage> = day("2026-02-10")
            .through(day("2026-03-02"))
            .map(usage)
            .collect();
        let sum = |days: &[Usage]| sums(days, months, day("2026-02-10"));
        let [march, february, january, ..] = sum(&days);
        assert_eq!(march, (Some(4.0), Some(4.0)));
        assert_eq!(february, (Some(38.0), Some(38.0)));
        assert_eq!(january, (None, None));
        days.remove(0);
        assert_eq!(sum(&days)[1], (None, Some(36.0)));
    }
}
