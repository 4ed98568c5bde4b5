//! What people are to be told, worked out from what FlowGent has said and from what an alert means. It
//! shares no judgement with the exporter.
//!
//! Each alert that there may be has a [`Life`], which either fires or does not. Where the meaning leaves
//! a choice, such as during the day in which a deadline passes, it may be either, and nothing is held
//! against the exporter.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use flowgent_exporter::day::Day;

use super::balances::Account;
use super::plan::Plan;
use super::probes::Run;
use super::roll::Roll;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fires {
    Yes,
    No,
    Either,
}

/// A threshold of a budget in one period, or of a balance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Mark {
    /// None of a balance.
    pub(crate) period: Option<Day>,
    /// Which subject of a budget, as a number that tells it from others.
    pub(crate) subject: u64,
    pub(crate) measure: Measure,
    /// A share, or what is left.
    pub(crate) at: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    Used,
    Forecast,
    CreditsLeft,
    DaysLeft,
}

/// A budget's period that has ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ended {
    /// When it was first looked at after its end.
    pub(crate) seen: DateTime<Utc>,
    /// When that was first so on a clock that is right.
    pub(crate) settled: DateTime<Utc>,
    pub(crate) is_settled: bool,
    /// Whether all was known of it in a later look.
    pub(crate) is_known: bool,
}

/// An alert.
#[derive(Debug, Clone)]
pub(crate) struct Life {
    pub(crate) rule: String,
    pub(crate) fires: Fires,
    /// Since when it is as it is.
    pub(crate) since: DateTime<Utc>,
    /// Since when it fires for certain, if it does.
    pub(crate) certain_since: Option<DateTime<Utc>>,
    /// When it may have begun to fire.
    pub(crate) maybe_since: DateTime<Utc>,
    pub(crate) mark: Option<Mark>,
    /// Whether the end of its period has ended it.
    pub(crate) has_ended: bool,
    /// Whether it may have.
    pub(crate) may_have_ended: bool,
    /// What is foreseen: by day, whether any look was clear of the threshold, and whether all were.
    pub(crate) below: BTreeMap<Day, (bool, bool)>,
    /// Day rules: until when it fires for a day that came late.
    pub(crate) late_until: Option<DateTime<Utc>>,
    /// Whether it was seen in this look.
    pub(crate) is_seen: bool,
    /// Why it is so, and why it was what it was before.
    reasons: Vec<String>,
}

/// What a look is at.
pub(crate) struct Sight<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) roll: &'a Roll,
    pub(crate) now: DateTime<Utc>,
    /// Whether our clock and FlowGent's agree.
    pub(crate) agrees: bool,
    pub(crate) key_refused: &'a BTreeMap<String, bool>,
    pub(crate) agent_refused: &'a BTreeMap<super::roll::Key, bool>,
    /// The runs of probes, oldest first.
    pub(crate) runs: &'a [Run],
}

impl Sight<'_> {
    pub(crate) fn today(&self) -> Day {
        Day::of(self.now)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Oracle {
    pub(crate) lives: HashMap<String, Life>,
    /// Since which day each rule is watched as it is.
    pub(crate) watched: HashMap<String, (String, Day)>,
    /// The periods that were current ones in a look.
    pub(crate) current: BTreeSet<(String, Day)>,
    /// The periods that were looked at after their end.
    pub(crate) ended: BTreeMap<(String, Day), Ended>,
    /// What each balance was counted from when it was last looked at.
    pub(crate) accounts: HashMap<String, Account>,
    /// The day of the last look on a clock that is right.
    pub(crate) looked: Option<Day>,
}

impl Oracle {
    /// Looks at everything that is known, as an evaluation does.
    pub(crate) fn look(&mut self, sight: &Sight<'_>) {
        for life in self.lives.values_mut() {
            life.is_seen = false;
        }
        let names = sight.plan.names();
        self.watched.retain(|name, _| names.contains(&**name));
        for budget in &sight.plan.budgets {
            let what = format!(
                "{:?}",
                (
                    &budget.matcher,
                    budget.credits,
                    (budget.per, &budget.named),
                    budget.cycle,
                    &budget.used,
                    &budget.forecast
                )
            );
            self.watch(&budget.name, what, sight);
            self.budget(budget, sight);
        }
        for balance in &sight.plan.balances {
            self.watch(&balance.name, format!("{:?}", balance.matcher), sight);
            self.balance(balance, sight);
        }
        for (place, rule) in sight.plan.rules.iter().enumerate() {
            let what = format!(
                "{:?} {:?}",
                std::mem::discriminant(&rule.check),
                rule.matcher
            );
            self.watch(&rule.name, what, sight);
            self.rule((place, rule), sight);
        }
        let with_rules = sight
            .plan
            .probes
            .iter()
            .filter(|probe| !probe.hooks.is_empty());
        for probe in with_rules {
            self.probe(probe, sight);
        }
        self.end_unseen(sight);
        if sight.agrees {
            self.looked = Some(sight.today());
        }
    }

    fn watch(&mut self, name: &str, what: String, sight: &Sight<'_>) {
        let today = sight.today();
        let watched = self.watched.entry(name.to_owned());
        let watched = watched.or_insert_with(|| (what.clone(), today));
        if watched.0 != what {
            // The edit counts once the clocks agree.
            if sight.agrees {
                *watched = (what, today);
            }
            self.doubt(name, sight.now, "its definition has changed");
        }
    }

    /// Nobody can say any more whether the rule's alerts fire.
    pub(crate) fn doubt(&mut self, rule: &str, now: DateTime<Utc>, reason: &str) {
        for life in self.lives.values_mut().filter(|life| life.rule == rule) {
            life.may_be(now, reason);
        }
    }

    /// What nothing is about any more is over.
    fn end_unseen(&mut self, sight: &Sight<'_>) {
        let rules = sight.plan.names();
        let unseen = |life: &&mut Life| !life.is_seen && life.fires != Fires::No;
        for life in self.lives.values_mut().filter(unseen) {
            let is_gone = !rules.contains(&*life.rule);
            let is_of_a_period = life.mark.is_some_and(|mark| mark.period.is_some());
            let is_of_the_past = is_of_a_period && !is_gone;
            if !is_of_the_past {
                life.set(Fires::No, sight.now, "its rule or subject is gone");
            }
        }
        self.lives.retain(|_, life| {
            life.fires != Fires::No || sight.now - life.since < TimeDelta::days(400)
        });
    }

    /// The life of the alert of that key, which does not fire if there was none.
    pub(crate) fn life(
        &mut self,
        key: &str,
        rule: &str,
        mark: Option<Mark>,
        now: DateTime<Utc>,
    ) -> &mut Life {
        if !self.lives.contains_key(key) {
            self.lives
                .insert(key.to_owned(), Life::new(rule, mark, now));
        }
        let life = self.lives.get_mut(key).expect("it was put there");
        life.is_seen = true;
        life
    }
}

impl Life {
    fn new(rule: &str, mark: Option<Mark>, now: DateTime<Utc>) -> Self {
        Self {
            rule: rule.to_owned(),
            fires: Fires::No,
            since: now,
            certain_since: None,
            maybe_since: now,
            mark,
            has_ended: false,
            may_have_ended: false,
            below: BTreeMap::new(),
            late_until: None,
            is_seen: true,
            reasons: Vec::new(),
        }
    }

    pub(crate) fn set(&mut self, fires: Fires, now: DateTime<Utc>, reason: impl fmt::Display) {
        if self.fires != fires {
            if self.fires == Fires::No {
                self.maybe_since = now;
            }
            self.certain_since = match fires {
                Fires::Yes => self.certain_since.or(Some(now)),
                Fires::Either => self.certain_since,
                Fires::No => None,
            };
            self.fires = fires;
            self.since = now;
            let at = now.format("%Y-%m-%d %H:%M");
            self.reasons.push(format!("{fires:?} at {at}: {reason}"));
        }
    }

    /// Nobody can say any more whether it fires; if it does, it may have begun as long ago as ever.
    fn may_be(&mut self, now: DateTime<Utc>, reason: impl fmt::Display) {
        self.set(Fires::Either, now, reason);
        self.since = now;
        self.certain_since = None;
    }

    /// The subject of the alert of that key, which is this one.
    pub(crate) fn subject<'a>(&self, key: &'a str) -> &'a str {
        let subject = key.strip_prefix(&*self.rule).unwrap();
        let subject = subject.trim_start_matches('/');
        match self.mark.map(|mark| mark.period) {
            Some(None) => "all",
            Some(Some(_)) => subject.split('/').next().unwrap(),
            None => subject,
        }
    }

    /// Why it is as it is, latest first.
    pub(crate) fn story(&self) -> String {
        let reasons = self.reasons.iter().rev().take(6);
        reasons
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join("; before: ")
    }

    /// The condition is met; while clocks differ, nobody can say if it is to be told.
    pub(crate) fn meet(&mut self, sight: &Sight<'_>, reason: impl fmt::Display) {
        match (self.fires, sight.agrees) {
            (_, true) => self.set(Fires::Yes, sight.now, reason),
            (Fires::No, false) => {
                self.set(Fires::Either, sight.now, reason);
                // By a clock that is wrong it may have begun long ago.
                self.maybe_since = sight.now - TimeDelta::days(2);
            }
            (_, false) => {}
        }
    }

    /// The condition is not met any more; while clocks differ, nothing ends.
    pub(crate) fn end(&mut self, sight: &Sight<'_>, reason: impl fmt::Display) {
        if sight.agrees {
            self.set(Fires::No, sight.now, reason);
        }
    }

    pub(crate) fn may_be_either(&mut self, sight: &Sight<'_>, reason: impl fmt::Display) {
        self.set(Fires::Either, sight.now, reason);
    }

    /// Whether both are thresholds of one budget in one period.
    pub(crate) fn is_of_same_period(&self, other: &Self) -> bool {
        let (Some(mine), Some(theirs)) = (self.mark, other.mark) else {
            return false;
        };
        self.rule == other.rule && mine.is_beside(theirs)
    }

    /// Whether whoever knows that this fires learns nothing from `lower`.
    pub(crate) fn covers(&self, lower: &Self) -> bool {
        let (Some(mine), Some(other)) = (self.mark, lower.mark) else {
            return false;
        };
        let says_as_much = mine.measure == other.measure
            || (mine.measure, other.measure) == (Measure::Used, Measure::Forecast);
        // Of what is crossed together, the highest is told.
        let is_crossed_together = self.maybe_since == lower.maybe_since;
        self.rule == lower.rule
            && mine.is_beside(other)
            && (is_crossed_together || says_as_much && mine.height() >= other.height())
    }

    /// Notes whether this look is clear of the threshold: whether it may be, and whether it is for certain.
    pub(crate) fn note_below(&mut self, today: Day, (may_be, is): (bool, bool)) {
        let below = self.below.entry(today).or_insert((false, true));
        *below = (below.0 || may_be, below.1 && is);
        while self.below.len() > 6 {
            self.below.pop_first();
        }
    }

    /// It is over on the third day in a row that is clear of the threshold.
    pub(crate) fn end_after_three_days(&mut self, sight: &Sight<'_>, reason: impl fmt::Display) {
        let today = sight.today();
        let last: Vec<_> = self.below.iter().rev().take(4).collect();
        let must = last.len() == 4
            && last.iter().all(|(_, (_, all))| *all)
            && *last[3].0 == today.plus(-3);
        // On a day on which the clocks differ nobody looks.
        let mut below = last.iter().take_while(|(_, (any, _))| *any);
        let may = below.any(|(day, _)| **day <= today.plus(-2));
        if must {
            self.end(sight, reason);
        } else if may && self.fires == Fires::Yes {
            self.may_be_either(sight, reason);
        }
    }
}

impl Mark {
    /// Whether both are thresholds of one subject in one period.
    fn is_beside(self, other: Self) -> bool {
        (self.period, self.subject) == (other.period, other.subject) && self != other
    }

    /// The higher, the worse it is that it is reached.
    fn height(&self) -> f64 {
        match self.measure {
            Measure::Used | Measure::Forecast => self.at,
            Measure::CreditsLeft | Measure::DaysLeft => -self.at,
        }
    }
}
