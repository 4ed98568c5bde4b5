//! What is left of balances, and what they are to tell, by what the documentation says of them.

use flowgent_exporter::day::Day;

use super::oracle::{Fires, Life, Mark, Measure, Oracle, Sight};
use super::plan::{Balance, Change, Entry};
use super::prospect::Prospect;
use super::roll::{Roll, Sum};

/// What fires is over only above so much of its threshold.
const HELD: f64 = 1.05;
/// Beyond so many days nothing is foreseen.
const FORESEEN_DAYS: i32 = 365;
/// By how much, relatively to what was set and added, figures may differ and be called equal.
const TOLERANCE: f64 = 1e-9;

/// The last `set`, and what was added since.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Account {
    since: Day,
    credits: f64,
}

/// What is left of a balance.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Left {
    pub(crate) account: Account,
    pub(crate) sum: Sum,
    /// At most these, while days are missing.
    pub(crate) credits: f64,
    /// For how many days that lasts if former and unlisted agents go on, and if they use nothing more; none if
    /// nothing is foreseen. Endless is what lasts over a year.
    pub(crate) days: Option<[f64; 2]>,
}

impl Account {
    /// The account as of the day `today`, on which later entries do not count yet; none before the first `set`.
    fn of(entries: &[Entry], today: Day) -> Option<Self> {
        let past = || entries.iter().filter(|entry| entry.on <= today);
        let set = past()
            .filter(|entry| entry.is_set())
            .max_by_key(|entry| entry.on)?;
        let since = past().filter(|entry| entry.on >= set.on);
        let credits = since.map(|entry| match entry.change {
            Change::Set(credits) | Change::Add(credits) => credits,
        });
        Some(Self {
            since: set.on,
            credits: credits.sum(),
        })
    }
}

impl Left {
    /// What is left of `balance` as of the day `today`; none before the first `set`, or of nobody.
    pub(crate) fn of(balance: &Balance, roll: &Roll, today: Day) -> Option<Self> {
        let account = Account::of(balance.known_entries()?, today)?;
        if roll.matching(&balance.matcher).is_empty() {
            return None;
        }
        let sum = roll.sum(&balance.matcher, account.since, today.previous());
        let credits = account.credits - sum.credits;
        let days = [account.since, today, today];
        let prospects = roll.prospects(&balance.matcher, days);
        let days = match prospects {
            // What is used up is used up, whatever is expected.
            _ if credits <= 0.0 => Some([0.0; 2]),
            None => None,
            Some([few, all]) => Some([all, few].map(|one| lasts(credits, &one, today))),
        };
        Some(Self {
            account,
            sum,
            credits,
            days,
        })
    }

    /// What may be called equal.
    pub(crate) fn tolerance(&self) -> f64 {
        TOLERANCE * self.account.credits.max(1.0)
    }
}

/// For how many days from `today` on so many credits last.
fn lasts(credits: f64, prospect: &Prospect, today: Day) -> f64 {
    let mut left = credits - prospect.missing;
    if left <= 0.0 {
        return 0.0;
    }
    for number in 0..FORESEEN_DAYS {
        let expected = prospect.on(today.plus(number));
        if expected >= left {
            return f64::from(number) + left / expected;
        }
        left -= expected;
    }
    f64::INFINITY
}

impl Oracle {
    pub(crate) fn balance(&mut self, balance: &Balance, sight: &Sight<'_>) {
        let left = Left::of(balance, sight.roll, sight.today());
        let before = self.accounts.get(&balance.name).copied();
        let account = left.map(|left| left.account);
        let has_new_entry = before.is_some() && account.is_some() && before != account;
        if let Some(account) = account.filter(|_| sight.agrees || before.is_none()) {
            self.accounts.insert(balance.name.clone(), account);
        }
        let credits_at = balance.credits_left.iter();
        let credits_at = credits_at.map(|at| (Measure::CreditsLeft, *at));
        let days_at = balance.days_left.iter().map(|at| (Measure::DaysLeft, *at));
        for (measure, at) in credits_at.chain(days_at) {
            let mark = Mark {
                subject: 0,
                period: None,
                measure,
                at,
            };
            let word = match measure {
                Measure::CreditsLeft => "credits_left",
                _ => "days_left",
            };
            let key = format!("{}/all/{word} {at}", balance.name);
            let life = self.life(&key, &balance.name, Some(mark), sight.now);
            // Without figures nothing fires and nothing resolves.
            let Some(left) = &left else { continue };
            if measure == Measure::CreditsLeft {
                credits_left(life, left, at, sight);
            } else if let Some(days) = left.days {
                days_left(life, days, at, has_new_entry, sight);
            }
        }
    }
}

fn credits_left(life: &mut Life, left: &Left, at: f64, sight: &Sight<'_>) {
    let Left { credits, sum, .. } = left;
    let reason = format!(
        "at most {credits} are left, {} to {} days are missing",
        sum.missing, sum.perhaps_missing
    );
    let is_at = |at: f64| (credits - at).abs() <= left.tolerance();
    if is_at(at) || is_at(HELD * at) {
        life.may_be_either(sight, &reason);
    } else if *credits < at {
        life.meet(sight, &reason);
    } else if *credits > HELD * at {
        if sum.perhaps_missing == 0 {
            life.end(sight, &reason);
        } else if sum.missing == 0 && life.fires == Fires::Yes {
            life.may_be_either(sight, &reason);
        }
    }
}

fn days_left(
    life: &mut Life,
    [low, high]: [f64; 2],
    at: f64,
    has_new_entry: bool,
    sight: &Sight<'_>,
) {
    // The exporter counts in milliseconds.
    let nearly = 1e-6 * at;
    let reason = format!("it lasts {low} to {high} days");
    let is_clear = low > HELD * at + nearly;
    let may_be_clear = high > HELD * at - nearly;
    if !sight.agrees {
        if low <= at + nearly {
            // What begins to fire now has not been clear before.
            life.note_below(sight.today(), (may_be_clear, is_clear));
            if life.fires == Fires::No {
                life.may_be_either(sight, &reason);
                // By a clock that is wrong it may have begun long ago.
                life.maybe_since = sight.now - chrono::TimeDelta::days(2);
            }
        }
        return;
    }
    life.note_below(sight.today(), (may_be_clear, is_clear));
    if high < at - nearly {
        life.meet(sight, &reason);
    } else if low <= at + nearly && life.fires == Fires::No {
        life.may_be_either(sight, &reason);
    } else if has_new_entry && is_clear {
        life.end(sight, format_args!("{reason} after a new entry"));
    } else if has_new_entry && may_be_clear && life.fires == Fires::Yes {
        life.may_be_either(sight, &reason);
    } else if is_clear || may_be_clear {
        life.end_after_three_days(sight, &reason);
    }
}
