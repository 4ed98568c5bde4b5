//! Reads from the ledger what the rules are about.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use super::{Access, Check, Rule, Settings, Span};
use crate::budget::{Cycle, Period, Standing, Tally};
use crate::day::{Day, TRACKING_START, Usage};
use crate::forecast::{PATTERN_DAYS, Pattern};
use crate::ledger::{JUDGED_DAYS, JudgedDays, LedgerError, Member, View, Watched};
use crate::roster::{Agent, Matcher};
use crate::series::{self, Totals};

/// How many agents are read from the ledger at a time: what is read of all of them is never there at
/// once, and other readers come in between.
const AGENTS_AT_A_TIME: usize = 4096;
/// How long a period is looked at after it was first evaluated with its end past: its last days may come
/// late.
const LATE: TimeDelta = TimeDelta::days(7);
/// How many days rules about days look back: the days that they judge, and eight weeks before each.
const RECENT_DAYS: i32 = JUDGED_DAYS as i32 + 56;
/// The fewest days of which a usual value is made.
const MIN_USUAL_DAYS: usize = 3;

/// What is known of one agent. Nothing is if no rule asks for it.
#[derive(Debug, Clone)]
pub struct AgentFacts {
    /// The agent.
    pub member: Member,
    /// It as the subject of an alert: `acme/support`.
    pub subject: Arc<str>,
    /// The days that rules about days judge, oldest first; the last one is yesterday.
    pub days: [SubjectDay; JUDGED_DAYS],
    /// What was used on the 7 days that end with yesterday.
    pub previous_7_days: Known,
    /// What was used on the 30 days that end with yesterday.
    pub previous_30_days: Known,
    /// What was used on the complete days of this month.
    pub month_to_date: Known,
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

/// One day of an agent, or of several added up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SubjectDay {
    /// The UTC day.
    pub day: Day,
    /// What is known of it.
    pub known: Known,
    /// The median of its weekday over the eight weeks before; absent if fewer than three of those days
    /// are known.
    pub usual_credits: Option<f64>,
}

/// A budget in one period.
#[derive(Debug, Clone, PartialEq)]
pub struct PeriodFacts {
    /// How it stands.
    pub standing: Standing,
    /// When the budget was first evaluated after the period's end; none of the current period.
    pub over_since: Option<DateTime<Utc>>,
}

/// What an evaluation goes by, besides the days in the ledger.
#[derive(Debug, Clone)]
pub struct Background {
    /// The instant of the evaluation.
    pub now: DateTime<Utc>,
    /// The UTC day; the newest day that can be known is the one before.
    pub today: Day,
    /// Whether the day is known for certain. If not, nothing ends, and nothing that counts time fires.
    pub is_certain: bool,
    /// Whether a sync has ended since the program started: what is missing then is not on its way.
    pub has_synced: bool,
    /// How the rules were watched before.
    pub watched: Arc<HashMap<Arc<str>, Watched>>,
    /// The days that were judged before.
    pub judged: Arc<JudgedDays>,
    /// Which keys and agents FlowGent refuses.
    pub access: Arc<Access>,
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
    pub budgets: HashMap<Arc<str>, Vec<PeriodFacts>>,
    /// The first day that was still to end when a rule was first watched as it is, by the rule's name.
    pub watched_from: HashMap<Arc<str>, Day>,
    /// The rules that a version watched which did not keep the days that it judged.
    pub unseeded: HashSet<Arc<str>>,
    /// Whether a sync has ended since the program started.
    pub has_synced: bool,
    /// The days that were judged before.
    pub judged: Arc<JudgedDays>,
    /// Which keys and agents FlowGent refuses.
    pub access: Arc<Access>,
}

/// Reads what the rules are about. A rule that was not watched before, or was another one then, is
/// watched from that day on.
///
/// # Errors
/// The ledger could not be read.
pub async fn observe(
    ledger: &View,
    members: &Arc<[Member]>,
    settings: &Settings,
    background: &Background,
) -> Result<Facts, LedgerError> {
    let Background {
        now,
        today,
        is_certain: _,
        has_synced,
        watched,
        judged,
        access,
    } = background;
    let (now, today) = (*now, *today);
    let watched_from: HashMap<Arc<str>, Day> = settings
        .rules
        .iter()
        .map(|rule| {
            let from = watched_as_is(rule, watched).map_or(today, |watched| Day::of(watched.since));
            (Arc::clone(&rule.name), from)
        })
        .collect();
    let books: Vec<Book> = settings
        .rules
        .iter()
        .filter_map(|rule| Book::of(rule, watched_as_is(rule, watched), now, today))
        .collect();
    let members = concerned(members, &settings.rules);
    let wanted = wanted(&members, &settings.rules, &books, today);
    let gatherer = Arc::new(Mutex::new(Gatherer { today, books }));
    let mut agents: Vec<AgentFacts> = members
        .iter()
        .map(|member| AgentFacts::unread(member, today))
        .collect();
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
        unseeded: settings
            .rules
            .iter()
            .filter(|rule| {
                let watched = watched_as_is(rule, watched);
                watched.is_some_and(|watched| watched.evaluated.is_none())
            })
            .map(|rule| Arc::clone(&rule.name))
            .collect(),
        has_synced: *has_synced,
        judged: Arc::clone(judged),
        access: Arc::clone(access),
    })
}

/// How `rule` was watched as it is; none if it never was.
pub(super) fn watched_as_is<'a>(
    rule: &Rule,
    watched: &'a HashMap<Arc<str>, Watched>,
) -> Option<&'a Watched> {
    let watched = watched.get(&rule.name);
    watched.filter(|watched| watched.definition == rule.definition())
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
    /// The periods, oldest first, and when each was first evaluated with its end past.
    tallies: Vec<(Period, Option<DateTime<Utc>>, Tally)>,
}

impl Book {
    /// Nobody's use yet of the budget that `rule` is; none if it is another rule.
    fn of(rule: &Rule, watched: Option<&Watched>, now: DateTime<Utc>, today: Day) -> Option<Self> {
        let Check::Budget {
            limit_credits,
            cycle,
            ..
        } = rule.check
        else {
            return None;
        };
        let tally = |(period, over_since)| (period, over_since, Tally::new(period, today));
        Some(Self {
            name: Arc::clone(&rule.name),
            matcher: rule.matcher.clone(),
            limit_credits,
            tallies: periods(cycle, watched, now, today)
                .into_iter()
                .map(tally)
                .collect(),
        })
    }

    /// The first day that counts.
    fn start(&self) -> Option<Day> {
        self.tallies.first().map(|(period, ..)| period.start)
    }

    /// The budget's name, and how it stands.
    fn close(self) -> (Arc<str>, Vec<PeriodFacts>) {
        let facts = |(_, over_since, tally): &(_, _, Tally)| PeriodFacts {
            standing: tally.standing(self.limit_credits),
            over_since: *over_since,
        };
        let facts = self.tallies.iter().map(facts).collect();
        (self.name, facts)
    }
}

/// The periods of `cycle` that are looked at, oldest first, with when each was first evaluated with its
/// end past: the one that yesterday lies in, those that have ended since the last evaluation, and those
/// that were still open then, for a week. A budget that was never watched as it is knows no past.
fn periods(
    cycle: Cycle,
    watched: Option<&Watched>,
    now: DateTime<Utc>,
    today: Day,
) -> Vec<(Period, Option<DateTime<Utc>>)> {
    let current = cycle.period_of(today.previous());
    let evaluated = watched.and_then(|watched| watched.evaluated);
    let open = watched.map_or(&[][..], |watched| &watched.open_periods);
    let mut periods: Vec<(Period, DateTime<Utc>)> = open
        .iter()
        .map(|(start, over_since)| (cycle.period_of(*start), *over_since))
        // A clock that ran ahead was set back.
        .map(|(period, over_since)| (period, over_since.min(now)))
        .filter(|(period, over_since)| *over_since + LATE > now && period.start < current.start)
        .collect();
    let mut since = evaluated.map_or(current, |day| cycle.period_of(day.previous()));
    while since.start < current.start {
        let Some(end) = since.end else { break };
        if periods.iter().all(|(period, _)| period.start < since.start) {
            periods.push((since, now));
        }
        since = cycle.period_of(end);
    }
    let ended = periods.into_iter();
    ended
        .map(|(period, over_since)| (period, Some(over_since)))
        .chain([(current, None)])
        .collect()
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
            for (.., tally) in &mut book.tallies {
                tally.add(member, recent, pattern.as_ref(), history_start);
            }
        }
        let oldest = totals.frontier.map_or(history_start, Day::next);
        let known = |span: Span| Known::of(recent, history_start, span.days(self.today));
        AgentFacts {
            days: days(recent, self.today),
            previous_7_days: known(Span::Previous7Days),
            previous_30_days: known(Span::Previous30Days),
            month_to_date: known(Span::MonthToDate),
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a count of days that is kept as a figure"
            )]
            missing_days: figures.missing_days as u32,
            missing_since: (oldest < self.today).then_some(oldest),
            missing_recently: missing_recently(recent, history_start, self.today),
            ..AgentFacts::unread(member, self.today)
        }
    }
}

impl Known {
    /// One day of one agent that is not known.
    const UNKNOWN_DAY: Self = Self {
        credits: None,
        missing_days: 1,
    };

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
    pub fn unread(member: &Member, today: Day) -> Self {
        Self {
            subject: subject(&member.agent),
            member: member.clone(),
            days: unknown_days(today),
            previous_7_days: Known::default(),
            previous_30_days: Known::default(),
            month_to_date: Known::default(),
            missing_days: 0,
            missing_since: None,
            missing_recently: Vec::new(),
        }
    }

    /// What is known of `day`, one of the days that rules about days judge.
    #[must_use]
    pub fn on(&self, day: Day) -> SubjectDay {
        let mut days = self.days.iter();
        *days.find(|known| known.day == day).unwrap_or(&SubjectDay {
            day,
            known: Known::UNKNOWN_DAY,
            usual_credits: None,
        })
    }

    /// What was used on the days of `span`.
    #[must_use]
    pub fn known(&self, span: Span) -> Known {
        match span {
            Span::PreviousDay => self.days[JUDGED_DAYS - 1].known,
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

/// The days that rules about days judge on the day `today`, of which nothing is known.
pub(super) fn unknown_days(today: Day) -> [SubjectDay; JUDGED_DAYS] {
    std::array::from_fn(|index| SubjectDay {
        day: today.plus(index as i32 - JUDGED_DAYS as i32),
        known: Known::UNKNOWN_DAY,
        usual_credits: None,
    })
}

/// The same from the known days of an agent.
fn days(recent: &[Usage], today: Day) -> [SubjectDay; JUDGED_DAYS] {
    unknown_days(today).map(|unknown| {
        let found = recent.binary_search_by_key(&unknown.day, |usage| usage.day);
        found.map_or(unknown, |index| SubjectDay {
            known: Known {
                credits: Some(recent[index].credits),
                missing_days: 0,
            },
            usual_credits: usual_credits(recent, unknown.day),
            ..unknown
        })
    })
}

/// The median of the weekday of `day` over the eight weeks before it.
fn usual_credits(recent: &[Usage], day: Day) -> Option<f64> {
    let on = |day| recent.binary_search_by_key(&day, |usage| usage.day).ok();
    let mut credits: Vec<f64> = (1..=8)
        .filter_map(|weeks| on(day.plus(-7 * weeks)))
        .map(|index| recent[index].credits)
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
