//! What people are to be told, worked out once more in the plainest way: from all known days of every
//! agent, over and over again, one alert after the other.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::sight::{Budget, Sight, Verdict};
use crate::alert::{Check, Measure, Route, Rule, Settings, Severity, Status, Threshold};
use crate::day::Day;
use crate::ledger::AlertKey;

/// One line of a message to one hook.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Line {
    /// When it was decided.
    pub(super) created: DateTime<Utc>,
    pub(super) hook: Arc<str>,
    /// Whether it fires, rather than being over.
    pub(super) fires: bool,
    pub(super) severity: Severity,
    /// Rule, subject, period and threshold.
    pub(super) key: String,
    /// Since when it fires.
    pub(super) started: DateTime<Utc>,
}

/// Where an alert is.
#[derive(Debug, Clone)]
enum Life {
    /// Data is missing, but not for long enough.
    Waiting(DateTime<Utc>),
    Firing(Fired),
    /// It has fired against that limit, and is over.
    Over(f64),
}

#[derive(Debug, Clone)]
struct Fired {
    at: DateTime<Utc>,
    severity: Severity,
    limit_credits: f64,
    /// Who was told: nobody if another threshold was told of instead.
    told: Vec<Arc<str>>,
}

/// Follows every alert, and keeps what is to be told of it.
pub(super) struct Oracle {
    settings: Settings,
    /// The day on which each rule was first looked at.
    watched: HashMap<Arc<str>, Day>,
    lives: BTreeMap<AlertKey, Life>,
    /// Everything that is to be told.
    pub(super) lines: Vec<Line>,
    /// How many alerts fired without being told.
    pub(super) silent: usize,
    /// The thresholds that were reached again in their period, of which nobody was told again.
    pub(super) latched: BTreeSet<AlertKey>,
    /// How many fired again, against another limit.
    pub(super) again: usize,
    /// How often a value at the edge kept an alert firing.
    pub(super) held: usize,
    /// How often a budget's missing days did.
    pub(super) kept: usize,
}

impl Oracle {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            watched: HashMap::new(),
            lives: BTreeMap::new(),
            lines: Vec::new(),
            silent: 0,
            latched: BTreeSet::new(),
            again: 0,
            held: 0,
            kept: 0,
        }
    }

    /// Other rules from now on. One that has changed is looked at anew.
    pub(super) fn configure(&mut self, settings: Settings) {
        let what = |rule: &Rule| format!("{:?} {:?}", rule.check, rule.matcher);
        for new in &settings.rules {
            let mut old = self.settings.rules.iter();
            if old.any(|old| old.name == new.name && what(old) != what(new)) {
                self.watched.remove(&new.name);
            }
        }
        self.settings = settings;
    }

    /// Looks at everything that is known at that moment.
    pub(super) fn look(&mut self, sight: &Sight<'_>) {
        let rules = self.settings.rules.clone();
        for rule in &rules {
            let watched = self.watched.entry(Arc::clone(&rule.name));
            let watched = *watched.or_insert(sight.today);
            if let Check::Budget { thresholds, .. } = &rule.check {
                self.budget(rule, thresholds, &sight.budgets(rule, watched), sight.now);
            } else {
                self.subjects(rule, watched, sight);
            }
        }
        let gone = |key: &AlertKey| !rules.iter().any(|rule| rule.name == key.rule);
        self.end_where(sight.now, gone);
    }

    /// A rule whose subjects are looked at one by one.
    fn subjects(&mut self, rule: &Rule, watched: Day, sight: &Sight<'_>) {
        let (severity, limit) = match rule.check {
            Check::Usage {
                severity,
                over_credits,
                ..
            } => (severity, over_credits),
            Check::Spike { severity, .. }
            | Check::MissingData { severity, .. }
            | Check::KeyRefused { severity }
            | Check::AgentRefused { severity } => (severity, 0.0),
            Check::Budget { .. } => unreachable!("budgets have periods"),
        };
        let mut subjects = BTreeSet::new();
        for (subject, verdict) in sight.subjects(rule, watched) {
            let key = AlertKey {
                rule: Arc::clone(&rule.name),
                subject: subject.into(),
                period: None,
                threshold: Arc::default(),
            };
            subjects.insert(key.clone());
            let life = self.lives.get(&key).cloned();
            match (verdict, life) {
                (Verdict::Unknown, _) => {}
                (Verdict::Edge, life) => {
                    self.held += usize::from(matches!(life, Some(Life::Firing(_))));
                }
                (Verdict::Yes | Verdict::Since(_), Some(Life::Firing(_))) => {}
                (Verdict::Yes, _) => self.fire(rule, key, severity, limit, true, sight.now),
                (Verdict::Since(day), life) => {
                    let Check::MissingData { longer_than, .. } = rule.check else {
                        unreachable!("only data is missing since a day");
                    };
                    let since = match life {
                        Some(Life::Waiting(since)) => since,
                        _ => sight.now,
                    };
                    let waited = sight.now - day.end().max(since);
                    if waited > TimeDelta::from_std(longer_than).unwrap() {
                        self.fire(rule, key, severity, limit, true, sight.now);
                    } else {
                        self.lives.insert(key, Life::Waiting(since));
                    }
                }
                (Verdict::No, Some(Life::Firing(_))) => self.end(&key, sight.now),
                (Verdict::No, Some(Life::Waiting(_))) => {
                    self.lives.remove(&key);
                }
                (Verdict::No, _) => {}
            }
        }
        let gone = |key: &AlertKey| key.rule == rule.name && !subjects.contains(key);
        self.end_where(sight.now, gone);
    }

    /// A budget in every period that is looked at, the last of which is the current one.
    fn budget(
        &mut self,
        rule: &Rule,
        thresholds: &[Threshold],
        periods: &[Budget],
        now: DateTime<Utc>,
    ) {
        let current = periods.last().unwrap().start;
        // What fires in a period that has passed is over after a day.
        let name = &rule.name;
        let is_over = |key: &AlertKey, fired: &Fired| {
            let has_passed = key.rule == *name && key.period < Some(current);
            has_passed && now - fired.at >= TimeDelta::hours(24)
        };
        for (key, life) in self.lives.clone() {
            if matches!(&life, Life::Firing(fired) if is_over(&key, fired)) {
                self.end(&key, now);
            }
        }
        for budget in periods {
            let key = |threshold: &Threshold| AlertKey {
                rule: Arc::clone(name),
                subject: "all".into(),
                period: Some(budget.start),
                threshold: format!("{} {}", threshold.measure.as_str(), threshold.ratio).into(),
            };
            for threshold in thresholds {
                let fires = matches!(self.lives.get(&key(threshold)), Some(Life::Firing(_)));
                match budget.verdict(threshold) {
                    Verdict::No if fires => self.end(&key(threshold), now),
                    Verdict::Edge => self.held += usize::from(fires),
                    Verdict::Unknown => self.kept += usize::from(fires),
                    _ => {}
                }
            }
            let is_current = budget.start == current;
            self.cross(rule, thresholds, budget, is_current, now, &key);
        }
    }

    /// Lets the thresholds fire that are reached for the first time in their period.
    fn cross(
        &mut self,
        rule: &Rule,
        thresholds: &[Threshold],
        budget: &Budget,
        is_current: bool,
        now: DateTime<Utc>,
        key: &dyn Fn(&Threshold) -> AlertKey,
    ) {
        let mut firing = Vec::new();
        let mut reached = Vec::new();
        let limit = budget.limit_credits;
        for threshold in thresholds {
            match self.lives.get(&key(threshold)).cloned() {
                Some(Life::Firing(_)) => firing.push(*threshold),
                _ if budget.verdict(threshold) != Verdict::Yes => {}
                Some(Life::Over(_)) if !is_current => {
                    self.latched.insert(key(threshold));
                }
                Some(Life::Over(told)) if told == limit => {
                    self.latched.insert(key(threshold));
                    self.fire(rule, key(threshold), threshold.severity, limit, false, now);
                    firing.push(*threshold);
                }
                Some(Life::Over(_)) => {
                    self.again += 1;
                    reached.push(*threshold);
                }
                _ => reached.push(*threshold),
            }
        }
        let is_news = |threshold: &&Threshold| {
            !firing.iter().any(|other| {
                let says_as_much =
                    other.measure == Measure::Used || other.measure == threshold.measure;
                says_as_much
                    && other.ratio >= threshold.ratio
                    && other.severity >= threshold.severity
            })
        };
        let rank = |threshold: &Threshold| {
            let is_used = threshold.measure == Measure::Used;
            (threshold.severity, threshold.ratio, is_used)
        };
        let news = reached.iter().filter(is_news).copied();
        let highest = news.reduce(|a, b| if rank(&a) > rank(&b) { a } else { b });
        for threshold in &reached {
            let is_told = highest == Some(*threshold);
            let severity = threshold.severity;
            self.fire(rule, key(threshold), severity, limit, is_told, now);
        }
    }

    fn fire(
        &mut self,
        rule: &Rule,
        key: AlertKey,
        severity: Severity,
        limit_credits: f64,
        is_told: bool,
        now: DateTime<Utc>,
    ) {
        let told = if is_told {
            rule.hooks.clone()
        } else {
            Vec::new()
        };
        self.silent += usize::from(!is_told);
        let fired = Fired {
            at: now,
            severity,
            limit_credits,
            told,
        };
        self.tell(&key, &fired, Status::Firing, now);
        self.lives.insert(key, Life::Firing(fired));
    }

    /// Ends what fires.
    fn end(&mut self, key: &AlertKey, now: DateTime<Utc>) {
        let Some(Life::Firing(fired)) = self.lives.remove(key) else {
            panic!("{key:?} does not fire");
        };
        self.tell(key, &fired, Status::Resolved, now);
        let limit = fired.limit_credits;
        self.lives.insert(key.clone(), Life::Over(limit));
    }

    /// Ends what fires, or waits to, of these alerts.
    fn end_where(&mut self, now: DateTime<Utc>, is_gone: impl Fn(&AlertKey) -> bool) {
        for (key, life) in self.lives.clone() {
            match life {
                Life::Firing(_) if is_gone(&key) => {
                    self.end(&key, now);
                    // If it comes back, it is news.
                    self.lives.remove(&key);
                }
                Life::Waiting(_) if is_gone(&key) => {
                    self.lives.remove(&key);
                }
                _ => {}
            }
        }
    }

    fn tell(&mut self, key: &AlertKey, fired: &Fired, status: Status, now: DateTime<Utc>) {
        for hook in &fired.told {
            let route = self.route(hook);
            if status == Status::Firing || route.send_resolved {
                self.lines.push(Line {
                    created: now,
                    hook: Arc::clone(hook),
                    fires: status == Status::Firing,
                    severity: fired.severity,
                    key: text(key),
                    started: fired.at,
                });
            }
        }
    }

    /// How a hook wants to be told.
    pub(super) fn route(&self, hook: &str) -> &Route {
        let mut routes = self.settings.routes.iter();
        routes.find(|route| *route.hook == *hook).unwrap()
    }
}

/// The identity of an alert as messages show it.
pub(super) fn text(key: &AlertKey) -> String {
    let mut text = format!("{}/{}", key.rule, key.subject);
    if let Some(period) = key.period {
        text += &format!("/{period}/{}", key.threshold);
    }
    text
}
