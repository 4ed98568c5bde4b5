//! Pure: what the rules are asked about, as values.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::subject::subject;
use super::{ProbeFacts, Span};
use crate::balance::Left;
use crate::budget::Standing;
use crate::day::{Day, TRACKING_START, Usage};
use crate::ledger::{AgentNumber, Identity, JUDGED_DAYS, JudgedDays, Member, Watched};

/// Number of days that rules about days look back: the days that they judge, and eight weeks before each.
pub(super) const RECENT_DAYS: i32 = JUDGED_DAYS as i32 + 56;
/// Number of days before a silence.
const BEFORE_DAYS: u32 = 28;
/// The fewest days of which a usual value is made.
const MIN_USUAL_DAYS: usize = 3;

/// Facts about one agent. Those that no rule asks for are absent.
#[derive(Debug, Clone)]
pub struct AgentFacts {
    /// The agent.
    pub member: Member,
    /// It as the subject of an alert: `acme/support`.
    pub subject: Arc<str>,
    /// The days that rules about days judge, oldest first; the last one is yesterday.
    pub days: [SubjectDay; JUDGED_DAYS],
    /// The same without use by probes, of an agent that is probed.
    pub days_unprobed: Option<Box<[SubjectDay; JUDGED_DAYS]>>,
    /// The last 64 days on which it was used, not counting probes: the lowest bit is yesterday.
    pub used_days: u64,
    /// Those of them that are known.
    pub known_days: u64,
    /// Use on the 7 days that end with yesterday.
    pub previous_7_days: Known,
    /// Use on the 30 days that end with yesterday.
    pub previous_30_days: Known,
    /// Use on the complete days of this month.
    pub month_to_date: Known,
    /// Number of missing days from the history start through yesterday.
    pub missing_days: u32,
    /// The oldest of them.
    pub missing_since: Option<Day>,
    /// Those of them that lie in the last eight weeks, ascending.
    pub missing_recently: Vec<Day>,
    /// Time of its last successful fetch.
    pub last_success: Option<DateTime<Utc>>,
    /// True if its days count in sums of several agents: not those of one that has moved to another account,
    /// which are among [`Facts::others`].
    pub is_counted: bool,
}

/// Use on some days, as far as it is known.
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
    /// Its use, as far as it is known.
    pub known: Known,
    /// The median of its weekday over the eight weeks before; absent if fewer than three of those days
    /// are known.
    pub usual_credits: Option<f64>,
}

/// Use of an agent on some days, and on the 28 days before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silence {
    /// True if it was not used; none if that is not known.
    pub is_idle: Option<bool>,
    /// Days before on which it was used.
    pub used_before: u32,
    /// Days before that are not known.
    pub unknown_before: u32,
}

/// A budget in one period.
#[derive(Debug, Clone, PartialEq)]
pub struct PeriodFacts {
    /// The subject: `all`, or one of those that have a limit each.
    pub subject: Arc<str>,
    /// The agent, if the subject is one.
    pub agent: Option<Member>,
    /// Its standing.
    pub standing: Standing,
    /// Time of the budget's first evaluation after the period's end; none for the current period.
    pub over_since: Option<DateTime<Utc>>,
}

impl PeriodFacts {
    /// Returns true if it is of the current period.
    #[must_use]
    pub const fn is_current(&self) -> bool {
        self.over_since.is_none()
    }
}

/// Which keys and agents FlowGent refused the last time that it was asked. What is not there is not
/// known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// By the account's name: whether its key is refused, or cannot be read.
    pub key_refused: HashMap<Arc<str>, bool>,
    /// By the agent's number: whether it is said to be another's.
    pub agent_refused: HashMap<AgentNumber, bool>,
}

impl Access {
    /// Takes over what `newer` says.
    pub(super) fn merge(&mut self, newer: Self) {
        self.key_refused.extend(newer.key_refused);
        self.agent_refused.extend(newer.agent_refused);
    }
}

/// Credits that probes used, day by day, by the account and the identifier of the agent.
pub type ProbeUse = HashMap<Identity, Vec<Usage>>;

/// Inputs of an evaluation besides the days in the ledger.
#[derive(Debug, Clone)]
pub struct Background {
    /// The instant of the evaluation.
    pub now: DateTime<Utc>,
    /// The UTC day; the newest day that can be known is the one before.
    pub today: Day,
    /// True if the day is known for certain. If not, nothing ends, and nothing that counts time fires.
    pub is_certain: bool,
    /// True if FlowGent has confirmed this host's clock. Otherwise nothing begins to fire either.
    pub is_checked: bool,
    /// True once a sync has ended since the program started: days that are missing then are not on their way.
    pub has_synced: bool,
    /// Definitions under which the rules were evaluated before.
    pub watched: Arc<HashMap<Arc<str>, Watched>>,
    /// The days that were judged before.
    pub judged: Arc<JudgedDays>,
    /// Which keys and agents FlowGent refuses.
    pub access: Arc<Access>,
    /// The agents about which an alert fires.
    pub firing: HashSet<AgentNumber>,
}

impl Background {
    /// The state for a mere look at how things stand: nothing is remembered or told.
    #[must_use]
    pub fn of_spectator(now: DateTime<Utc>) -> Self {
        Self {
            now,
            today: Day::of(now),
            is_certain: true,
            is_checked: true,
            has_synced: true,
            watched: Arc::default(),
            judged: Arc::default(),
            // What FlowGent refuses is known to a running exporter alone; alerts of it are remembered.
            access: Arc::default(),
            firing: HashSet::new(),
        }
    }
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
    /// All agents that are asked for, whatever the rules.
    pub members: Arc<[Member]>,
    /// Agents that have left while an alert about them fires.
    pub left: Vec<AgentFacts>,
    /// Use by others in the spans of rules about accounts and totals, by the rule's name: agents
    /// that have left, and those that moved to another account, each day of an identifier once.
    pub others: HashMap<Arc<str>, Vec<AgentFacts>>,
    /// The known days that may still change, of each agent that a rule about drops is about.
    pub unsettled: HashMap<AgentNumber, Vec<Day>>,
    /// Standings of each subject of each budget in the periods that are evaluated, oldest first, by the
    /// budget's name. The last one of a subject may be the current one.
    pub budgets: HashMap<Arc<str>, Vec<PeriodFacts>>,
    /// Credits left of each balance that has figures, by its name.
    pub balances: HashMap<Arc<str>, Left>,
    /// The first day that was still to end when a rule was first watched as it is, by the rule's name.
    pub watched_from: HashMap<Arc<str>, Day>,
    /// The rules that a version watched which did not keep the days that it judged.
    pub unseeded: HashSet<Arc<str>>,
    /// True once a sync has ended since the program started.
    pub has_synced: bool,
    /// The days that were judged before.
    pub judged: Arc<JudgedDays>,
    /// Which keys and agents FlowGent refuses.
    pub access: Arc<Access>,
    /// Probes and their last runs.
    pub probes: ProbeFacts,
}

impl Known {
    /// One day of one agent that is not known.
    pub(super) const UNKNOWN_DAY: Self = Self {
        credits: None,
        missing_days: 1,
    };

    /// Use on the days `first` through `last`, from an agent's known days, ascending. Days
    /// before `history_start` are not missing: nobody asks for them.
    pub(super) fn of(recent: &[Usage], history_start: Day, (first, last): (Day, Day)) -> Self {
        Self::asked(recent, history_start, (first, last), last.next())
    }

    /// The same of an agent whose days from `asked_until` on nobody asks for. Nothing is what is known of one
    /// whose days are all of that kind.
    pub(super) fn until(recent: &[Usage], asked_until: Day, (first, last): (Day, Day)) -> Self {
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
    pub fn unread(member: &Member, today: Day) -> Self {
        Self {
            subject: subject(&member.agent),
            member: member.clone(),
            days: unknown_days(today),
            days_unprobed: None,
            used_days: 0,
            known_days: 0,
            previous_7_days: Known::default(),
            previous_30_days: Known::default(),
            month_to_date: Known::default(),
            missing_days: 0,
            missing_since: None,
            missing_recently: Vec::new(),
            last_success: None,
            is_counted: true,
        }
    }

    /// An agent that is not asked for any more from the day `asked_until` on: on days that are not asked for, it
    /// has used nothing. `days` are those that are known of it, ascending.
    pub(super) fn unasked(member: &Member, days: &[Usage], asked_until: Day, today: Day) -> Self {
        let known = |span: (Day, Day)| Known::until(days, asked_until, span);
        let first = today.plus(-RECENT_DAYS).max(TRACKING_START);
        let missing: Vec<Day> = first
            .through(asked_until.previous())
            .filter(|day| Usage::on(days, *day).is_none())
            .collect();
        Self {
            days: unknown_days(today).map(|day| SubjectDay {
                known: known((day.day, day.day)),
                usual_credits: usual_credits(days, day.day),
                ..day
            }),
            previous_7_days: known(Span::Previous7Days.days(today)),
            previous_30_days: known(Span::Previous30Days.days(today)),
            month_to_date: known(Span::MonthToDate.days(today)),
            missing_days: u32::try_from(missing.len()).unwrap_or(u32::MAX),
            missing_since: missing.first().copied(),
            missing_recently: missing,
            ..Self::unread(member, today)
        }
    }

    /// The days that rules about days judge, without use by probes.
    #[must_use]
    pub fn days_in_use(&self) -> [SubjectDay; JUDGED_DAYS] {
        self.days_unprobed.as_deref().copied().unwrap_or(self.days)
    }

    /// Use on the `days` days that end with `day`, one of those that rules about days judge, and on the
    /// 28 days before.
    #[must_use]
    pub fn silence(&self, day: Day, days: u32) -> Silence {
        let age = self.days[JUDGED_DAYS - 1].day.since(day).unsigned_abs();
        let part = |bits: u64, from: u32, days: u32| {
            bits.checked_shr(age + from).unwrap_or(0) & ((1 << days) - 1)
        };
        let idle = part(self.used_days, 0, days) == 0;
        let is_known = part(self.known_days, 0, days).count_ones() == days;
        let before = |bits| part(bits, days, BEFORE_DAYS).count_ones();
        Silence {
            is_idle: (is_known || !idle).then_some(idle),
            used_before: before(self.used_days),
            unknown_before: BEFORE_DAYS - before(self.known_days),
        }
    }

    /// Use on `day`, one of the days that rules about days judge.
    #[must_use]
    pub fn on(&self, day: Day) -> SubjectDay {
        let mut days = self.days.iter();
        *days.find(|known| known.day == day).unwrap_or(&SubjectDay {
            day,
            known: Known::UNKNOWN_DAY,
            usual_credits: None,
        })
    }

    /// Use on the days of `span`.
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

/// The days that rules about days judge on the day `today`, of which nothing is known.
pub(super) fn unknown_days(today: Day) -> [SubjectDay; JUDGED_DAYS] {
    std::array::from_fn(|index| SubjectDay {
        day: today.plus(index as i32 - JUDGED_DAYS as i32),
        known: Known::UNKNOWN_DAY,
        usual_credits: None,
    })
}

/// The same from the known days of an agent.
pub(super) fn days(recent: &[Usage], today: Day) -> [SubjectDay; JUDGED_DAYS] {
    unknown_days(today).map(|unknown| {
        Usage::on(recent, unknown.day).map_or(unknown, |usage| SubjectDay {
            known: Known {
                credits: Some(usage.credits),
                missing_days: 0,
            },
            usual_credits: usual_credits(recent, unknown.day),
            ..unknown
        })
    })
}

/// The median of the weekday of `day` over the eight weeks before it.
fn usual_credits(recent: &[Usage], day: Day) -> Option<f64> {
    let mut credits: Vec<f64> = (1..=8)
        .filter_map(|weeks| Usage::on(recent, day.plus(-7 * weeks)))
        .map(|usage| usage.credits)
        .collect();
    credits.sort_unstable_by(f64::total_cmp);
    let middle = credits.len() / 2;
    match credits.len() {
        ..MIN_USUAL_DAYS => None,
        even if even.is_multiple_of(2) => Some(f64::midpoint(credits[middle - 1], credits[middle])),
        _ => Some(credits[middle]),
    }
}

/// The last 64 days on which something was used, and those that are known; the lowest bit is yesterday.
pub(super) fn used_days(recent: &[Usage], today: Day) -> (u64, u64) {
    let (mut used, mut known) = (0, 0);
    for usage in recent {
        let age = u32::try_from(today.previous().since(usage.day));
        let bit = age.ok().and_then(|age| 1_u64.checked_shl(age)).unwrap_or(0);
        known |= bit;
        // What subtracting floats has left in their last bits is no use.
        if usage.credits > 1e-9 {
            used |= bit;
        }
    }
    (used, known)
}

/// These days of an agent without what its probes have used.
pub(super) fn without_probes<'a>(
    recent: &'a [Usage],
    probes: Option<&[Usage]>,
) -> Cow<'a, [Usage]> {
    let Some(probes) = probes else {
        return Cow::Borrowed(recent);
    };
    let less = |usage: &Usage| {
        let probed = probes.iter().filter(|probe| probe.day == usage.day);
        let probed: f64 = probed.map(|probe| probe.credits).sum();
        Usage {
            credits: (usage.credits - probed).max(0.0),
            ..*usage
        }
    };
    recent.iter().map(less).collect()
}

/// The days of the last eight weeks, from the history start on, that are not known.
pub(super) fn missing_recently(recent: &[Usage], history_start: Day, today: Day) -> Vec<Day> {
    let first = history_start.max(today.plus(-RECENT_DAYS));
    first
        .through(today.previous())
        .filter(|day| Usage::on(recent, *day).is_none())
        .collect()
}
