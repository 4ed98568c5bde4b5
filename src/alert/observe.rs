//! Reads from the ledger what the rules are about.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use super::{Access, Check, Per, Rule, Settings, Span};
use crate::budget::{Cycle, Period, Standing, Tally};
use crate::day::{Day, TRACKING_START, Usage};
use crate::forecast::{PATTERN_DAYS, Pattern};
use crate::former;
use crate::ledger::{LedgerError, Member, View, Watched};
use crate::roster::{Agent, Matcher};
use crate::series::{self, Totals};

/// How many agents are read from the ledger at a time: what is read of all of them is never there at
/// once, and other readers come in between.
const AGENTS_AT_A_TIME: usize = 4096;
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
    /// Whether its days count in sums of several agents: not those of one that has moved to another account,
    /// which are among [`Facts::others`].
    pub is_counted: bool,
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
    /// What others have used in the spans of rules about accounts and totals, by the rule's name: agents
    /// that have left, and those that moved to another account, each day of an identifier once.
    pub others: HashMap<Arc<str>, Vec<(Agent, Known)>>,
    /// How each budget stands in the periods that are looked at, oldest first, by the budget's name.
    /// The last one is the current one.
    pub budgets: HashMap<Arc<str>, Vec<Standing>>,
    /// The first day that was still to end when a rule was first watched as it is, by the rule's name.
    pub watched_from: HashMap<Arc<str>, Day>,
    /// Which keys and agents FlowGent refuses.
    pub access: Arc<Access>,
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
    let sums = settings.rules.iter().filter_map(Sum::of).collect();
    let needs = needs(&settings.rules, &books, today);
    let others = others(ledger, members, &needs).await?;
    let members = concerned(members, &settings.rules);
    let wanted = wanted(&members, &needs);
    let gatherer = Gatherer {
        today,
        shared: shared(&members, &others),
        books,
        sums,
        counted: HashMap::new(),
    };
    let gatherer = Arc::new(Mutex::new(gatherer));
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
    add_others(ledger, others, &gatherer, today).await?;
    let mut gatherer = lock(&gatherer);
    let (books, sums) = (
        std::mem::take(&mut gatherer.books),
        std::mem::take(&mut gatherer.sums),
    );
    Ok(Facts {
        today,
        accounts: settings.accounts.iter().cloned().collect(),
        agents,
        others: sums.into_iter().map(|sum| (sum.rule, sum.others)).collect(),
        budgets: books.into_iter().map(Book::close).collect(),
        watched_from,
        access,
    })
}

/// Adds what agents have used that are not asked for any more, or not for long.
async fn add_others(
    ledger: &View,
    others: Vec<(Day, Member)>,
    gatherer: &Arc<Mutex<Gatherer>>,
    today: Day,
) -> Result<(), LedgerError> {
    for others in others.chunks(AGENTS_AT_A_TIME) {
        let Some(from) = others.iter().map(|(from, _)| *from).min() else {
            continue;
        };
        let numbers = others.iter().map(|(_, member)| member.number).collect();
        let members: Vec<Member> = others.iter().map(|(_, member)| member.clone()).collect();
        let (mut members, gatherer) = (members.into_iter(), Arc::clone(gatherer));
        let visit = move |days: &[Usage]| {
            if let Some(member) = members.next() {
                lock(&gatherer).add_other(&member, days);
            }
        };
        ledger.each_usage(numbers, from, today, visit).await?;
    }
    Ok(())
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

/// A rule that days are wanted for.
struct Need {
    matcher: Matcher,
    /// The first of them.
    from: Day,
    /// Whether it is about what is used, by whomever: also by agents that have left.
    is_sum: bool,
}

/// What the rules need to know of the agents that they match.
fn needs(rules: &[Rule], books: &[Book], today: Day) -> Vec<Need> {
    let usual = series::recent_start(today).min(today.plus(-RECENT_DAYS.max(PATTERN_DAYS)));
    let needs = rules.iter().filter_map(|rule| {
        let from = match &rule.check {
            Check::Budget { .. } => {
                let book = books.iter().find(|book| book.name == rule.name)?;
                usual.min(book.start()?)
            }
            Check::Usage { .. } | Check::Spike { .. } | Check::MissingData { .. } => usual,
            Check::KeyRefused { .. } | Check::AgentRefused { .. } => return None,
        };
        Some(Need {
            matcher: rule.matcher.clone(),
            from,
            is_sum: matches!(rule.check, Check::Budget { .. }) || Sum::of(rule).is_some(),
        })
    });
    needs.collect()
}

/// The first day that is wanted of each agent that any is wanted of, with its place among `members`;
/// ascending, so that one that is wanted years of makes only its neighbours read more than they need.
fn wanted(members: &[Member], needs: &[Need]) -> Vec<(Day, usize)> {
    let first_day = |agent: &Agent| {
        let needs = needs.iter().filter(|need| need.matcher.matches(agent));
        needs.map(|need| need.from).min()
    };
    let mut wanted: Vec<(Day, usize)> = members
        .iter()
        .enumerate()
        .filter_map(|(place, member)| Some((first_day(&member.agent)?, place)))
        .collect();
    wanted.sort_unstable();
    wanted
}

/// The agents whose days count only where those of nobody else with their identifier do, and the first day
/// that is wanted of each: those that moved, then those that have left, the last to leave first.
async fn others(
    ledger: &View,
    members: &[Member],
    needs: &[Need],
) -> Result<Vec<(Day, Member)>, LedgerError> {
    let Some(from) = needs
        .iter()
        .filter(|need| need.is_sum)
        .map(|need| need.from)
        .min()
    else {
        return Ok(Vec::new());
    };
    let numbers = members.iter().map(|member| member.number).collect();
    let absent = ledger.absent(numbers, from).await?;
    let moved = moved(members).into_iter().map(|member| Member {
        left_on: member.unlisted_since,
        ..member.clone()
    });
    let wanted = moved.chain(absent).filter_map(|member| {
        let needs = needs.iter().filter(|need| need.is_sum);
        let needs = needs.filter(|need| need.matcher.matches(&member.agent));
        let from = needs.map(|need| need.from).min()?;
        let is_in_time = member.left_on.is_none_or(|left| left > from);
        is_in_time.then_some((from, member))
    });
    let mut wanted: Vec<(Day, Member)> = wanted.collect();
    wanted.sort_by_cached_key(|(_, member)| former::precedence(member));
    Ok(wanted)
}

/// The members that their list no longer names while another account's names the same identifier.
fn moved(members: &[Member]) -> Vec<&Member> {
    if members.iter().all(|member| member.unlisted_since.is_none()) {
        return Vec::new();
    }
    let (unlisted, present): (Vec<&Member>, Vec<&Member>) = members
        .iter()
        .partition(|member| member.unlisted_since.is_some());
    let present: HashSet<&str> = present.iter().map(|member| &*member.agent.id).collect();
    let moved = unlisted.into_iter();
    moved
        .filter(|member| present.contains(&*member.agent.id))
        .collect()
}

/// The identifiers that several have had.
fn shared(members: &[Member], others: &[(Day, Member)]) -> HashSet<Arc<str>> {
    let mut seen: HashSet<&Arc<str>> = HashSet::new();
    let present = match others {
        [] => &[],
        _ => members,
    };
    seen.extend(present.iter().map(|member| &member.agent.id));
    let others = others.iter().map(|(_, member)| &member.agent.id);
    others.filter(|id| !seen.insert(id)).cloned().collect()
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
    let mut periods = cycle.open_periods(today);
    let current = periods.len() - 1;
    let ended = periods[..current].iter();
    let ended = ended.filter(|period| period.end.is_some_and(|end| end <= watched_from));
    periods.drain(..ended.count());
    periods
}

/// What a usage rule about accounts or a total adds up of agents that are not asked for any more.
struct Sum {
    rule: Arc<str>,
    matcher: Matcher,
    span: Span,
    others: Vec<(Agent, Known)>,
}

impl Sum {
    /// Nothing yet; none if the rule is another one.
    fn of(rule: &Rule) -> Option<Self> {
        let Check::Usage { span, per, .. } = rule.check else {
            return None;
        };
        (per != Per::Agent).then(|| Self {
            rule: Arc::clone(&rule.name),
            matcher: rule.matcher.clone(),
            span,
            others: Vec::new(),
        })
    }
}

/// Takes in one agent after the other.
struct Gatherer {
    today: Day,
    books: Vec<Book>,
    sums: Vec<Sum>,
    /// The identifiers that several have had.
    shared: HashSet<Arc<str>>,
    /// The days of these that count already, by the rule's name and the identifier.
    counted: HashMap<(Arc<str>, Arc<str>), BTreeSet<Day>>,
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
        let id = &member.agent.id;
        let has_moved = member.unlisted_since.is_some() && self.shared.contains(id);
        if !has_moved {
            let mut pattern = None;
            for book in &mut self.books {
                if !book.matcher.matches(&member.agent) {
                    continue;
                }
                // Made once, and only for agents of a budget.
                let pattern = pattern.get_or_insert_with(|| Pattern::of(recent, self.today));
                for (_, tally) in &mut book.tallies {
                    tally.add(member, recent, pattern.as_ref(), self.today);
                }
            }
            self.count(member, recent);
        }
        // Only budgets look at days before the history start.
        let recent = &recent[recent.partition_point(|usage| usage.day < history_start)..];
        let figures = series::figures(totals, recent, history_start, self.today);
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
            is_counted: !has_moved,
            ..AgentFacts::unread(member)
        }
    }

    /// Notes which days of an identifier that several have had count by this member.
    fn count(&mut self, member: &Member, recent: &[Usage]) {
        let id = &member.agent.id;
        if !self.shared.contains(id) {
            return;
        }
        let books = self.books.iter().map(|book| (&book.name, &book.matcher));
        let sums = self.sums.iter().map(|sum| (&sum.rule, &sum.matcher));
        for (rule, matcher) in books.chain(sums) {
            if matcher.matches(&member.agent) {
                let key = (Arc::clone(rule), Arc::clone(id));
                let days = self.counted.entry(key).or_default();
                days.extend(recent.iter().map(|usage| usage.day));
            }
        }
    }

    /// Adds an agent that has left, or that is asked for no longer or not for long: the days that count of
    /// nobody else. Days after it left are not missing, and those before it only for a week after.
    fn add_other(&mut self, member: &Member, recent: &[Usage]) {
        let asked_until = former::asked_until(member, self.today);
        let id = &member.agent.id;
        let none = BTreeSet::new();
        let own = |rule: &Arc<str>| {
            let key = (Arc::clone(rule), Arc::clone(id));
            former::own(recent, self.counted.get(&key).unwrap_or(&none))
        };
        for book in &mut self.books {
            if book.matcher.matches(&member.agent) {
                let own = own(&book.name);
                for (_, tally) in &mut book.tallies {
                    tally.add(member, &own, None, asked_until);
                }
            }
        }
        for sum in &mut self.sums {
            if sum.matcher.matches(&member.agent) {
                let own = own(&sum.rule);
                let known = Known::until(&own, asked_until, sum.span.days(self.today));
                sum.others.push((member.agent.clone(), known));
            }
        }
        self.count(member, recent);
    }
}

impl Known {
    /// What is known of the days `first` through `last`, from an agent's known days, ascending. Days
    /// before `history_start` are not missing: nobody asks for them.
    fn of(recent: &[Usage], history_start: Day, (first, last): (Day, Day)) -> Self {
        Self::asked(recent, history_start, (first, last), last.next())
    }

    /// The same of an agent whose days from `asked_until` on nobody asks for. Nothing is what is known of one
    /// whose days are all of that kind.
    fn until(recent: &[Usage], asked_until: Day, (first, last): (Day, Day)) -> Self {
        Self::asked(recent, TRACKING_START, (first, last), asked_until)
    }

    fn asked(
        recent: &[Usage],
        history_start: Day,
        (first, last): (Day, Day),
        asked_until: Day,
    ) -> Self {
        let recent = &recent[..recent.partition_point(|usage| usage.day <= last)];
        let recent = &recent[recent.partition_point(|usage| usage.day < first)..];
        let asked_from = first.max(history_start).max(TRACKING_START);
        let asked_until = asked_until.min(last.next());
        let asked_days = u32::try_from(asked_until.since(asked_from)).unwrap_or(0);
        let is_asked = |usage: &&Usage| asked_from <= usage.day && usage.day < asked_until;
        let known_days = recent.iter().filter(is_asked).count();
        let known_days = u32::try_from(known_days).unwrap_or(u32::MAX);
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
            is_counted: true,
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
