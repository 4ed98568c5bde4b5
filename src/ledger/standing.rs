//! Pure: what an agent's rows amount to under a policy. The ledger keeps it beside the rows, so that
//! nobody has to read them all, and `check` computes it again to compare.

use crate::day::{Day, Usage};
use crate::series::Totals;
use crate::window::KnownDay;
use crate::window::plan::Policy;

/// One row of an agent: a day's credits, and the UTC day on which they were last fetched while they
/// could still change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Row {
    /// The day.
    pub(super) day: Day,
    /// Credits used on it.
    pub(super) credits: f64,
    /// Time of its fetch.
    pub(super) fetched: Day,
}

impl Row {
    /// The row as the planner sees it.
    pub(super) fn known(&self) -> KnownDay {
        KnownDay {
            day: self.day,
            fetched: self.fetched,
        }
    }

    /// The row as the figures see it.
    pub(super) fn usage(&self) -> Usage {
        Usage {
            day: self.day,
            credits: self.credits,
        }
    }
}

/// Totals in an agent's own row. Days before the history start do not count in it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Standing {
    /// Published totals.
    pub(super) totals: Totals,
    /// Every day from the history start through this one is known and settled.
    pub(super) settled_through: Option<Day>,
}

impl Standing {
    /// The same agent with everything that follows from the rows computed anew. What happened once,
    /// such as revisions and the high-water mark, stays: the mark is only raised.
    pub(super) fn cleared(self) -> Self {
        Self {
            totals: Totals {
                frontier: None,
                frontier_credits: 0.0,
                known_days: 0,
                known_through: None,
                ..self.totals
            },
            settled_through: None,
        }
    }

    /// Counts one more row, in ascending order of days, after [`Standing::cleared`].
    pub(super) fn count(&mut self, row: &Row, policy: Policy) {
        if row.day >= policy.history_start {
            self.totals.known_days += 1;
            self.totals.known_through = Some(row.day);
            self.advance_frontier(row, policy);
            self.advance_settled(row, policy);
        }
    }

    /// The day whose row would move the frontier.
    pub(super) fn next_frontier(&self, policy: Policy) -> Day {
        self.totals.frontier.map_or(policy.history_start, Day::next)
    }

    /// The day whose row, once settled, would move the watermark.
    pub(super) fn next_settled(&self, policy: Policy) -> Day {
        self.settled_through.map_or(policy.history_start, Day::next)
    }

    /// Moves the frontier onto `row` if it is the next one; says whether it did.
    pub(super) fn advance_frontier(&mut self, row: &Row, policy: Policy) -> bool {
        let advances = row.day == self.next_frontier(policy);
        if advances {
            self.totals.frontier = Some(row.day);
            self.totals.frontier_credits += row.credits;
            self.raise_high_water();
        }
        advances
    }

    /// Moves the watermark onto `row` if it is the next one and settled; says whether it did.
    pub(super) fn advance_settled(&mut self, row: &Row, policy: Policy) -> bool {
        let advances =
            row.day == self.next_settled(policy) && row.known().is_settled(policy.settle_days);
        if advances {
            self.settled_through = Some(row.day);
        }
        advances
    }

    /// Lifts the high-water mark to what is now known, if that is higher.
    pub(super) fn raise_high_water(&mut self) {
        let credits = self.totals.frontier_credits;
        let mark = self.totals.high_water_credits.get_or_insert(credits);
        *mark = mark.max(credits);
    }
}
