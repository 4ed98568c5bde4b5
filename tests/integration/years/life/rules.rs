//! What the rules about days, missing data, keys and agents are to tell.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use flowgent_exporter::day::Day;

use super::checks::{Check, Rule};
use super::oracle::{Fires, Life, Oracle, Sight};
use super::plan::Matcher;
use super::roll::{Key, Known, Presence};

impl Oracle {
    /// The rule at that place.
    pub(crate) fn rule(&mut self, (place, rule): (usize, &Rule), sight: &Sight<'_>) {
        match rule.check {
            Check::Week { over, hysteresis } => self.weeks(rule, over, hysteresis, sight),
            Check::Key => self.keys(rule, sight),
            Check::Probe { times } => self.failing(rule, times, sight),
            Check::NoCredits => self.without_credits(rule, sight),
            Check::Day { .. }
            | Check::Spike { .. }
            | Check::Drop { .. }
            | Check::Silent { .. }
            | Check::Missing { .. }
            | Check::Agent => {
                for (key, known) in &sight.roll.agents {
                    if !is_calm((place, rule), key, known, sight)
                        && rule.matcher.matches(&key.0, &known.team)
                    {
                        self.agent(rule, key, known, sight);
                        self.note_calm((place, rule), key, known, sight);
                    }
                }
            }
        }
    }

    /// Notes that nothing is to be told of the agent by this rule, if that stays so until another day begins or
    /// something becomes known of it.
    fn note_calm(
        &self,
        (place, rule): (usize, &Rule),
        key: &Key,
        known: &Known,
        sight: &Sight<'_>,
    ) {
        if known.names.len() > 1
            || known.presence != Presence::Present
            || !known.news.is_empty()
            || !known.newly_settled.is_empty()
            || !sight.agrees
            || known.days.first_unknown(sight.plan.history_start) < sight.today()
        {
            return;
        }
        let life = self
            .lives
            .get(&format!("{}/{}/{}", rule.name, key.0, known.name));
        if life.is_some_and(|life| life.fires == Fires::No && life.late_until.is_none()) {
            let today = Some(sight.today());
            let (day, places) = known.calm.get();
            let others = if day == today { places } else { 0 };
            known.calm.set((today, others | 1 << place));
        }
    }

    fn agent(&mut self, rule: &Rule, key: &Key, known: &Known, sight: &Sight<'_>) {
        if known.names.len() == 1 {
            let name = format!("{}/{}/{}", rule.name, key.0, known.name);
            self.agent_named(&name, rule, key, known, sight);
            return;
        }
        let prefix = format!("{}/{}/", rule.name, key.0);
        let current = format!("{prefix}{}", known.name);
        let fires = |name: &String| self.lives.get(name).map_or(Fires::No, |life| life.fires);
        // A renamed agent keeps its alert until that is over.
        let names = known.names.iter().map(|name| format!("{prefix}{name}"));
        let mut open: Vec<String> = names.filter(|name| fires(name) != Fires::No).collect();
        let is_doubtful = open.iter().any(|name| fires(name) == Fires::Either);
        if open.is_empty() || is_doubtful && !open.contains(&current) {
            // If it did not fire, what fires now does so under the new name.
            open.push(current);
        }
        let (name, others) = open.split_first().expect("there is its name");
        self.agent_named(name, rule, key, known, sight);
        if others.is_empty() {
            return;
        }
        let fires = self.lives.get(name).map_or(Fires::No, |life| life.fires);
        for name in &open {
            let life = self.life(name, &rule.name, None, sight.now);
            if fires == Fires::No {
                life.set(Fires::No, sight.now, "it is over under another name");
            } else {
                life.may_be_either(sight, "it may fire under another name");
            }
        }
    }

    fn agent_named(
        &mut self,
        name: &str,
        rule: &Rule,
        key: &Key,
        known: &Known,
        sight: &Sight<'_>,
    ) {
        let watched = self.watched[&rule.name].1;
        if known.is_former() {
            if let Some(life) = self.lives.get_mut(name) {
                life.is_seen = true;
                if life.fires != Fires::No {
                    if known.is_doubtful(sight.now) {
                        life.may_be_either(sight, "it has just left");
                    } else {
                        life.end(sight, "it has left");
                    }
                }
                if life.fires != Fires::Yes {
                    // What is missing when it comes back is missing since then.
                    life.since = sight.now;
                }
            }
            return;
        }
        let life = self.life(name, &rule.name, None, sight.now);
        if known.is_doubtful(sight.now) {
            life.may_be_either(sight, "it may have left");
            if !known.news.is_empty() {
                // If it has not, days that came late are told for a day.
                let until = Some(sight.now + TimeDelta::hours(24));
                life.late_until = life.late_until.max(until);
            }
            return;
        }
        if known.presence == Presence::Present {
            // Days that came while it was unlisted are told for a day.
            life.late_until = life
                .late_until
                .map(|until| until.min(sight.now + TimeDelta::hours(24)));
        }
        let news = News::of(known, sight.today());
        match rule.check {
            Check::Day { over, hysteresis } => {
                let judge = |day: Day| {
                    let credits = known.days.get(day).expect("it is known");
                    if credits > over {
                        Some(Fires::Yes)
                    } else if credits <= over * (1.0 - hysteresis) {
                        Some(Fires::No)
                    } else {
                        None
                    }
                };
                days(life, &news, watched, sight, &judge);
            }
            Check::Spike { factor, floor } => {
                let judge = |day: Day| {
                    let usual = known.usual(day)?;
                    let credits = known.days.get(day).expect("it is known");
                    let is_spike = credits > factor * usual && credits > floor;
                    Some(if is_spike { Fires::Yes } else { Fires::No })
                };
                days(life, &news, watched, sight, &judge);
            }
            Check::Drop { .. } | Check::Silent { .. } if known.presence != Presence::Present => {
                life.may_be_either(sight, "it is unlisted");
                life.late_until = Some(DateTime::<Utc>::MAX_UTC);
            }
            Check::Drop { factor, floor } => {
                let news = News::of_settled(known, sight.today());
                let judge = |day| known.drops(day, factor, floor);
                days(life, &news, watched, sight, &judge);
            }
            Check::Silent { days: silence } => {
                let news = News::of_use(known, sight.today());
                let judge = |day| known.is_silent(day, silence);
                days(life, &news, watched, sight, &judge);
            }
            Check::Missing { hours } => missing(life, known, hours, watched, sight),
            Check::Agent => refused(life, sight.agent_refused.get(key), known, sight),
            Check::Week { .. } | Check::Key | Check::Probe { .. } | Check::NoCredits => {}
        }
    }

    /// Each account's last seven days.
    fn weeks(&mut self, rule: &Rule, over: f64, hysteresis: f64, sight: &Sight<'_>) {
        let today = sight.today();
        let accounts = sight
            .plan
            .accounts
            .iter()
            .map(|account| account.name.clone());
        for account in accounts {
            if rule
                .matcher
                .account
                .as_ref()
                .is_some_and(|wanted| *wanted != account)
            {
                continue;
            }
            let matcher = Matcher {
                account: Some(account.clone()),
                ..rule.matcher.clone()
            };
            let sum = sight.roll.sum(&matcher, today.plus(-7), today.previous());
            let is_moving = sight.roll.agents.iter().any(|((owner, _), known)| {
                *owner == account
                    && known.presence != Presence::Present
                    && known.newest(today) >= Some(today.plus(-8))
            });
            if sight.roll.matching(&matcher).is_empty() {
                continue;
            }
            let key = format!("{}/{account}", rule.name);
            let life = self.life(&key, &rule.name, None, sight.now);
            let reason = format!(
                "{} of {over} are used, {} days are missing",
                sum.credits, sum.missing
            );
            let is_at = |credits: f64| (sum.credits - credits).abs() <= 1e-9 * credits;
            if is_at(over) || is_at(over * (1.0 - hysteresis)) {
                life.may_be_either(sight, &reason);
            } else if sum.credits > over {
                life.meet(sight, &reason);
            } else if sum.credits <= over * (1.0 - hysteresis) {
                if sum.perhaps_missing == 0 {
                    life.end(sight, &reason);
                } else if (sum.missing == 0 || is_moving) && life.fires == Fires::Yes {
                    life.may_be_either(sight, &reason);
                }
            }
        }
    }

    fn keys(&mut self, rule: &Rule, sight: &Sight<'_>) {
        for account in &sight.plan.accounts {
            let key = format!("{}/{}", rule.name, account.name);
            let life = self.life(&key, &rule.name, None, sight.now);
            match sight.key_refused.get(&account.name) {
                Some(true) => life.meet(sight, "the key is refused"),
                Some(false) => life.end(sight, "the key is taken"),
                None => {}
            }
        }
    }
}

/// Whether nothing is to be told of the agent by this rule, as before.
fn is_calm((place, rule): (usize, &Rule), key: &Key, known: &Known, sight: &Sight<'_>) -> bool {
    let (day, places) = known.calm.get();
    let is_calm = day == Some(sight.today()) && places >> place & 1 == 1;
    let is_refused = || rule.check == Check::Agent && sight.agent_refused.get(key) == Some(&true);
    is_calm && !is_refused()
}

/// The days that a rule goes by: the newest one, and those that are new or revised.
struct News {
    newest: Option<Day>,
    news: BTreeSet<Day>,
}

impl News {
    fn of(known: &Known, today: Day) -> Self {
        Self::counted(known, today, |_, credits| credits)
    }

    /// The same if what probes use does not count.
    fn of_use(known: &Known, today: Day) -> Self {
        Self::counted(known, today, |day, credits| {
            known.without_probes(day, credits)
        })
    }

    /// The same if only settled days count.
    fn of_settled(known: &Known, today: Day) -> Self {
        let mut all = Self::of_use(known, today);
        all.news.extend(&known.newly_settled);
        all.news.retain(|day| !known.unsettled.contains(day));
        Self {
            newest: known.newest_settled(today),
            ..all
        }
    }

    fn counted(known: &Known, today: Day, count: impl Fn(Day, f64) -> f64) -> Self {
        let is_news = |(day, before): &(&Day, &Option<f64>)| {
            let now = known.days.get(**day).map(|credits| count(**day, credits));
            before.map(|credits| count(**day, credits)) != now
        };
        let news = known.news.iter().filter(is_news).map(|(day, _)| *day);
        Self {
            newest: known.newest(today),
            news: news.collect(),
        }
    }
}

/// A rule about single days: the newest known one decides, and one that comes late is told for a day.
fn days(
    life: &mut Life,
    known: &News,
    watched: Day,
    sight: &Sight<'_>,
    judge: &dyn Fn(Day) -> Option<Fires>,
) {
    let today = sight.today();
    let Some(newest) = known.newest else {
        return;
    };
    let has_newer = known.news.contains(&newest);
    let is_known_late = |day: &Day| {
        // Its own end is midnight; what comes before the next one is not late.
        let age = today.since(*day);
        (2..=7).contains(&age) && *day >= watched
    };
    let news = known
        .news
        .iter()
        .copied()
        // The day before the first one that it was watched on may count.
        .filter(|day| (watched.previous()..newest).contains(day));
    let late: Vec<Day> = news.filter(|day| judge(*day) == Some(Fires::Yes)).collect();
    if !known.news.is_empty() && life.late_until.is_some() && life.fires == Fires::Yes {
        life.may_be_either(sight, "a newer day is known");
    }
    if let Some(day) = late.iter().find(|day| is_known_late(day)) {
        if sight.agrees {
            life.late_until = Some(sight.now + TimeDelta::hours(24));
        }
        if life.fires != Fires::No {
            // It has been told already; whether that lasts for the late day's sake is open.
            life.may_be_either(sight, format_args!("{day}, which came late"));
        } else {
            life.meet(sight, format_args!("{day}, which came late"));
        }
    } else if !late.is_empty() && life.fires != Fires::Yes {
        life.may_be_either(sight, "a day that came very late");
        life.late_until = Some(sight.now + TimeDelta::hours(24));
    }
    if newest < watched {
        let judged = (life.fires, judge(newest));
        if matches!(
            judged,
            (Fires::No, Some(Fires::Yes)) | (Fires::Yes, Some(Fires::No))
        ) {
            life.may_be_either(sight, "a day from before the rule was watched");
        }
        return;
    }
    let is_late = life.late_until.is_some_and(|until| sight.now < until);
    if !is_late && life.late_until.is_some() && sight.agrees {
        life.late_until = None;
        if life.fires == Fires::Yes {
            life.may_be_either(sight, "the late day has been told for a day");
        }
    }
    match judge(newest) {
        // A day that becomes known after a week is no news.
        Some(Fires::Yes) if today.since(newest) > 7 && life.fires != Fires::Yes => {
            life.may_be_either(sight, format_args!("{newest}, which came very late"));
        }
        Some(Fires::Yes) => life.meet(sight, newest),
        Some(_) if is_late && (has_newer && late.is_empty() || life.fires != Fires::Yes) => {
            life.may_be_either(sight, format_args!("{newest}, after a late day"));
        }
        Some(_) if is_late => {}
        Some(_) => life.end(sight, newest),
        None => {}
    }
}

/// Whether a day is missing for longer than these hours.
fn missing(life: &mut Life, known: &Known, hours: i64, watched: Day, sight: &Sight<'_>) {
    let today = sight.today();
    let oldest = known.days.first_unknown(sight.plan.history_start);
    let oldest = (oldest < today).then_some(oldest);
    let is_unlisted = known.presence != Presence::Present;
    match oldest {
        None => life.end(sight, "no day is missing"),
        Some(_) if is_unlisted => {
            if life.fires == Fires::No {
                life.set(Fires::No, sight.now, "it is unlisted");
            } else if life.fires == Fires::Yes {
                life.may_be_either(sight, "it is unlisted");
            }
        }
        Some(day) => {
            // From when it counts depends on when it was first seen to be missing, under whatever name.
            let reason = format!("{day} is missing");
            if life.fires == Fires::Yes {
                return;
            }
            let waited = sight.now - day.end().max(life.since).max(watched.start());
            let limit = TimeDelta::hours(hours);
            if waited > limit + TimeDelta::hours(50) {
                life.meet(sight, &reason);
            } else if sight.now - day.end() > limit {
                life.may_be_either(sight, &reason);
            }
        }
    }
}

fn refused(life: &mut Life, refused: Option<&bool>, known: &Known, sight: &Sight<'_>) {
    let is_unlisted = known.presence != Presence::Present;
    match refused {
        Some(true) if is_unlisted => {}
        Some(true) => life.meet(sight, "the agent is refused"),
        Some(false) => life.end(sight, "the agent is taken"),
        None => {}
    }
}
