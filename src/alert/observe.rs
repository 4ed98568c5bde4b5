//! Reads from the ledger what the rules are about.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use super::{Access, Check, Rule, Settings, Span};
use crate::budget::{Cycle, Period, Standing, Tally};
use crate::day::{Day, TRACKING_START, Usage};
use crate::forecast::{PATTERN_DAYS, Pattern};
use crate::ledger::{LedgerError, Member, View, Watched};
use crate::roster::{Agent, Matcher};
use crate::series::{self, Totals};

/// How many agents are read from the ledger at a time: what is read of all of them is never there at
/// once, and other readers come in between.
const AGENTS_AT_A_TIME: usize = 4096;
/// Periods that ended at most so many days before today are still looked at: their last days may come
/// late.
const LATE_DAYS: i32 = 7;
/// How many days of an agent's own rules look back: yesterday and the eight weeks before it.
const RECENT_DAYS: i32 = 57;
/// What is usual on a day of the week is not said from fewer days than this.
const MIN_USUAL_DAYS: usize = 3;

/// What is known of one agent. Nothing is if no rule asks for it.
#[derive(Debug, Clone)]
pub struct AgentFacts {
    /// The agent.
    pub member: Member,
    /// It as the subject of an alert: `acme/support`.
    pub subject: Arc<str>,
    /// Credits used yesterday; absent if that is not known.
    pub previous_day_credits: Option<f64>,
    /// What was used on the 7 days that end with yesterday.
    pub previous_7_days: Known,
    /// What was used on the 30 days that end with yesterday.
    pub previous_30_days: Known,
    /// What was used on the complete days of this month.
    pub month_to_date: Known,
    /// The median of yesterday's day of the week over the eight weeks before; absent if fewer than
    /// three of those days are known.
    pub usual_credits: Option<f64>,
    /// How many days from the history start through yesterday are not known.
    pub missing_days: u32,
    /// The oldest of them.
    pub missing_since: Option<Day>,
    /// Those of them that lie in the last eight weeks, ascending.
    pub missing_recently: Vec<Day>,
}

/// What is known of the use on some days.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Known {
    /// Credits known to be used: all of them if no day is missing, else a lower bound. None if nothing
    /// at all is known.
    pub credits: Option<f64>,
    /// Days that are not known.
    pub missing_days: u32,
}

/// Everything that the rules are asked about, as of one UTC day.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The day that it is; the newest that can be known is the one before.
    pub today: Day,
    /// The names of all accounts in the config.
    pub accounts: BTreeSet<Arc<str>>,
    /// Every agent that a rule is about.
    pub agents: Vec<AgentFacts>,
    /// How each budget stands in the periods that are looked at, oldest first, by the budget's name.
    /// The last one is the current one.
    pub budgets: HashMap<Arc<str>, Vec<Standing>>,
    /// The first day that was still to end when a rule was first watched as it is, by the rule's name.
    pub watched_from: HashMap<Arc<str>, Day>,
    /// Which keys and agents FlowGent refuses.
    pub access: Arc<Access>,
    /// Whether this host's clock agrees with FlowGent's.
    pub clocks_agree: bool,
}

/// Reads what the rules are about, as of the day `today`. A rule that is not among the `watched`, or
/// was another one then, is watched from that day on.
///
/// # Errors
/// The ledger could not be read.
pub async fn observe(
    ledger: &View,
    members: &Arc<[Member]>,
    settings: &Settings,
    watched: &HashMap<Arc<str>, Watched>,
    access: Arc<Access>,
    today: Day,
) -> Result<Facts, LedgerError> {
    let watched_from: HashMap<Arc<str>, Day> = settings
        .rules
        .iter()
        .map(|rule| {
            let from = watched_since(rule, watched).map_or(today, Day::of);
            (Arc::clone(&rule.name), from)
        })
        .collect();
    let books: Vec<Book> = settings
        .rules
        .iter()
        .filter_map(|rule| Book::of(rule, watched_from[&rule.name], today))
        .collect();
    let members = concerned(members, &settings.rules);
    let wanted = wanted(&members, &settings.rules, &books, today);
    let gatherer = Arc::new(Mutex::new(Gatherer { today, books }));
    let mut agents: Vec<AgentFacts> = members.iter().map(AgentFacts::unread).collect();
    for wanted in wanted.chunks(AGENTS_AT_A_TIME) {
        // They ascend by the first day that is wanted of each.
        let Some((recent_from, _)) = wanted.first() else {
            continue;
        };
        let mut order = wanted
            .iter()
            .map(|(_, place)| *place)
            .collect::<Vec<_>>()
            .into_iter();
        let numbers = wanted.iter().map(|(_, place)| members[*place].number);
        let (members, gatherer) = (Arc::clone(&members), Arc::clone(&gatherer));
        let visit = move |history_start, totals: &Totals, recent: &[Usage]| {
            let member = order.next().map(|place| &members[place])?;
            Some(lock(&gatherer).add(member, history_start, totals, recent))
        };
        let read = ledger
            .snapshot(numbers.collect(), *recent_from, visit)
            .await?;
        for ((_, place), facts) in wanted.iter().zip(read) {
            if let Some(facts) = facts {
                agents[*place] = facts;
            }
        }
    }
    let books = std::mem::take(&mut lock(&gatherer).books);
    Ok(Facts {
        today,
        accounts: settings.accounts.iter().cloned().collect(),
        agents,
        budgets: books.into_iter().map(Book::close).collect(),
        watched_from,
        access,
        clocks_agree: true,
    })
}

/// Since when `rule` is watched as it is; none if it never was.
pub(super) fn watched_since(
    rule: &Rule,
    watched: &HashMap<Arc<str>, Watched>,
) -> Option<DateTime<Utc>> {
    let watched = watched.get(&rule.name);
    let same = watched.filter(|watched| watched.definition == rule.definition());
    same.map(|watched| watched.since)
}

/// The agents that any of `rules` is about. There may be very many others, whom nothing is kept of.
fn concerned(members: &Arc<[Member]>, rules: &[Rule]) -> Arc<[Member]> {
    let is_concerned =
        |member: &&Member| rules.iter().any(|rule| rule.matcher.matches(&member.agent));
    if members.iter().all(|member| is_concerned(&member)) {
        return Arc::clone(members);
    }
    members.iter().filter(is_concerned).cloned().collect()
}

/// The first day that is wanted of each agent that any is wanted of, with its place among `members`;
/// ascending, so that one that is wanted years of makes only its neighbours read more than they need.
fn wanted(members: &[Member], rules: &[Rule], books: &[Book], today: Day) -> Vec<(Day, usize)> {
    let usual = series::recent_start(today).min(today.plus(-RECENT_DAYS.max(PATTERN_DAYS)));
    let needs: Vec<(&Matcher, Day)> = rules
        .iter()
        .filter_map(|rule| {
            let from = match &rule.check {
                Check::Budget { .. } => {
                    let book = books.iter().find(|book| book.name == rule.name)?;
                    usual.min(book.start()?)
                }
                Check::Usage { .. } | Check::Spike { .. } | Check::MissingData { .. } => usual,
                Check::KeyRefused { .. } | Check::AgentRefused { .. } => return None,
            };
            Some((&rule.matcher, from))
        })
        .collect();
    let first_day = |agent: &Agent| {
        let needs = needs.iter().filter(|(matcher, _)| matcher.matches(agent));
        needs.map(|(_, from)| *from).min()
    };
    let mut wanted: Vec<(Day, usize)> = members
        .iter()
        .enumerate()
        .filter_map(|(place, member)| Some((first_day(&member.agent)?, place)))
        .collect();
    wanted.sort_unstable();
    wanted
}

/// A budget in the periods that are looked at.
struct Book {
    name: Arc<str>,
    matcher: Matcher,
    limit_credits: f64,
    /// Oldest first.
    tallies: Vec<(Period, Tally)>,
}

impl Book {
    /// Nobody's use yet of the budget that `rule` is; none if it is another rule.
    fn of(rule: &Rule, watched_from: Day, today: Day) -> Option<Self> {
        let Check::Budget {
            limit_credits,
            cycle,
            ..
        } = rule.check
        else {
            return None;
        };
        let tally = |period| (period, Tally::new(period, today));
        Some(Self {
            name: Arc::clone(&rule.name),
            matcher: rule.matcher.clone(),
            limit_credits,
            tallies: periods(cycle, watched_from, today)
                .into_iter()
                .map(tally)
                .collect(),
        })
    }

    /// The first day that counts.
    fn start(&self) -> Option<Day> {
        self.tallies.first().map(|(period, _)| period.start)
    }

    /// The budget's name, and how it stands.
    fn close(self) -> (Arc<str>, Vec<Standing>) {
        let standing = |(_, tally): &(_, Tally)| tally.standing(self.limit_credits);
        let standings = self.tallies.iter().map(standing).collect();
        (self.name, standings)
    }
}

/// The periods of `cycle` that are looked at, oldest first: the one that yesterday lies in, and those
/// before it that may still get late days, unless they ended before `watched_from`.
fn periods(cycle: Cycle, watched_from: Day, today: Day) -> Vec<Period> {
    let current = cycle.period_of(today.previous());
    let mut periods = vec![current];
    let mut newer = current;
    loop {
        let period = cycle.period_of(newer.start.previous());
        let is_late = |end: Day| today.since(end) <= LATE_DAYS && end > watched_from;
        // The period before a total is that total.
        if period.start >= newer.start || !period.end.is_some_and(is_late) {
            break;
        }
        periods.push(period);
        newer = period;
    }
    periods.reverse();
    periods
}

/// Takes in one agent after the other.
struct Gatherer {
    today: Day,
    books: Vec<Book>,
}

impl Gatherer {
    /// Adds an agent to its budgets, and says what is known of it.
    fn add(
        &mut self,
        member: &Member,
        history_start: Day,
        totals: &Totals,
        recent: &[Usage],
    ) -> AgentFacts {
        let figures = series::figures(totals, recent, history_start, self.today);
        let mut pattern = None;
        for book in &mut self.books {
            if !book.matcher.matches(&member.agent) {
                continue;
            }
            // Made once, and only for agents of a budget.
            let pattern = pattern.get_or_insert_with(|| Pattern::of(recent, self.today));
            for (_, tally) in &mut book.tallies {
                tally.add(member, recent, pattern.as_ref(), history_start);
            }
        }
        let oldest = totals.frontier.map_or(history_start, Day::next);
        let known = |span: Span| Known::of(recent, history_start, span.days(self.today));
        AgentFacts {
            previous_day_credits: figures.previous_day_credits,
            previous_7_days: known(Span::Previous7Days),
            previous_30_days: known(Span::Previous30Days),
            month_to_date: known(Span::MonthToDate),
            usual_credits: usual_credits(recent, self.today),
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a count of days that is kept as a figure"
            )]
            missing_days: figures.missing_days as u32,
            missing_since: (oldest < self.today).then_some(oldest),
            missing_recently: missing_recently(recent, history_start, self.today),
            ..AgentFacts::unread(member)
        }
    }
}

impl Known {
    /// What is known of the days `first` through `last`, from an agent's known days, ascending. Days
    /// before `history_start` are not missing: nobody asks for them.
    fn of(recent: &[Usage], history_start: Day, (first, last): (Day, Day)) -> Self {
        let recent = &recent[..recent.partition_point(|usage| usage.day <= last)];
        let recent = &recent[recent.partition_point(|usage| usage.day < first)..];
        let asked_from = first.max(history_start).max(TRACKING_START);
        let asked_days = u32::try_from(last.next().since(asked_from)).unwrap_or(0);
        let unasked = recent.partition_point(|usage| usage.day < asked_from);
        let known_days = u32::try_from(recent.len() - unasked).unwrap_or(u32::MAX);
        let missing_days = asked_days.saturating_sub(known_days);
        let credits = recent.iter().fold(0.0, |sum, usage| sum + usage.credits);
        Self {
            credits: (missing_days == 0 || !recent.is_empty()).then_some(credits),
            missing_days,
        }
    }

    /// The same of these days and of others.
    pub(super) fn plus(self, other: Self) -> Self {
        let credits = self.credits.zip(other.credits);
        Self {
            credits: credits
                .map(|(one, other)| one + other)
                .or(self.credits)
                .or(other.credits),
            missing_days: self.missing_days.saturating_add(other.missing_days),
        }
    }
}

impl AgentFacts {
    /// An agent that nothing was read of.
    #[must_use]
    pub fn unread(member: &Member) -> Self {
        Self {
            subject: subject(&member.agent),
            member: member.clone(),
            previous_day_credits: None,
            previous_7_days: Known::default(),
            previous_30_days: Known::default(),
            month_to_date: Known::default(),
            usual_credits: None,
            missing_days: 0,
            missing_since: None,
            missing_recently: Vec::new(),
        }
    }

    /// What was used on the days of `span`.
    #[must_use]
    pub fn known(&self, span: Span) -> Known {
        match span {
            Span::PreviousDay => Known {
                credits: self.previous_day_credits,
                missing_days: u32::from(self.previous_day_credits.is_none()),
            },
            Span::Previous7Days => self.previous_7_days,
            Span::Previous30Days => self.previous_30_days,
            Span::MonthToDate => self.month_to_date,
        }
    }

    /// The oldest missing day from `from` on. Behind one that is missing from before, days are looked
    /// for in the last eight weeks only.
    #[must_use]
    pub fn missing_from(&self, from: Day) -> Option<Day> {
        let oldest = self.missing_since?;
        if oldest >= from {
            return Some(oldest);
        }
        let mut recently = self.missing_recently.iter();
        recently.find(|day| **day >= from).copied()
    }
}

/// An agent as the subject of an alert: `acme/support`. A slash in the account's name is escaped: two
/// agents never become one subject.
pub(super) fn subject(agent: &Agent) -> Arc<str> {
    format!("{}/{}", escaped(&agent.account), agent.name).into()
}

/// A name that a slash comes after, with its own slashes escaped.
pub(super) fn escaped(name: &str) -> String {
    name.replace('\\', "\\\\").replace('/', "\\/")
}

/// The median of yesterday's day of the week over the eight weeks before.
fn usual_credits(recent: &[Usage], today: Day) -> Option<f64> {
    let on = |day| recent.binary_search_by_key(&day, |usage| usage.day).ok();
    let mut credits: Vec<f64> = (1..=8)
        .filter_map(|weeks| on(today.plus(-1 - 7 * weeks)))
        .map(|place| recent[place].credits)
        .collect();
    credits.sort_unstable_by(f64::total_cmp);
    let middle = credits.len() / 2;
    match credits.len() {
        ..MIN_USUAL_DAYS => None,
        even if even.is_multiple_of(2) => Some(f64::midpoint(credits[middle - 1], credits[middle])),
        _ => Some(credits[middle]),
    }
}

/// The days of the last eight weeks, from the history start on, that are not known.
fn missing_recently(recent: &[Usage], history_start: Day, today: Day) -> Vec<Day> {
    let first = history_start.max(today.plus(-RECENT_DAYS));
    let known = |day: &Day| recent.binary_search_by_key(day, |usage| usage.day).is_ok();
    first
        .through(today.previous())
        .filter(|day| !known(day))
        .collect()
}

/// The guarded value. A panic elsewhere is on its way to whoever waits for the reading.
fn lock(gatherer: &Mutex<Gatherer>) -> MutexGuard<'_, Gatherer> {
    gatherer.lock().unwrap_or_else(PoisonError::into_inner)
}
