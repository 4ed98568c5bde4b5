//! Reads from the ledger what the rules are about.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;

use super::facts::{AgentFacts, Background, Facts, PeriodFacts, ProbeUse, RECENT_DAYS};
use super::gather::{Gatherer, Purse, Stood, Sum};
use super::{Check, ProbeFacts, Rule, Settings};
use crate::balance::Left;
use crate::day::{Day, Usage};
use crate::forecast::PATTERN_DAYS;
use crate::former;
use crate::ledger::{AgentNumber, JUDGED_DAYS, LedgerError, Member, View, Watched};
use crate::roster::Matcher;
use crate::series::Totals;

/// Number of agents read from the ledger at a time: memory never holds the days of all at
/// once, and other readers come in between.
const AGENTS_AT_A_TIME: usize = 4096;

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
        is_checked: _,
        has_synced,
        watched,
        judged,
        access,
        firing,
    } = background;
    let (now, today) = (*now, *today);
    for rule in &settings.rules {
        rule.recall(watched);
    }
    let purses: Vec<Purse> = settings
        .rules
        .iter()
        .filter_map(|rule| Purse::of(rule, watched_as_is(rule, watched), now, today))
        .collect();
    let needs = needs(&settings.rules, &purses, today);
    let others = others(ledger, members, &needs).await?;
    let left = left(ledger, members, firing, today).await?;
    let everyone = members;
    let Concerned {
        members,
        wanted,
        matched,
    } = concerned(members, &needs);
    let unread = members.iter();
    let gatherer = Gatherer {
        today,
        probes: probe_use(ledger, &settings.rules, today).await?,
        agents: unread
            .map(|member| AgentFacts::unread(member, today))
            .collect(),
        shared: shared(&members, &others),
        purses,
        matched,
        sums: settings.rules.iter().filter_map(Sum::of).collect(),
        counted: HashMap::new(),
    };
    let gatherer = Arc::new(Mutex::new(gatherer));
    let unsettled = unsettled(ledger, &members, &settings.rules, today).await?;
    read(ledger, &members, &wanted, &gatherer).await?;
    add_others(ledger, others, &gatherer, today).await?;
    let probes = ProbeFacts::read(ledger, &settings.probes, everyone, &settings.rules).await?;
    let mut gatherer = gatherer.lock();
    let (budgets, balances) = closed(&gatherer.purses, today);
    let agents = std::mem::take(&mut gatherer.agents);
    let sums = std::mem::take(&mut gatherer.sums);
    Ok(Facts {
        today,
        accounts: settings.accounts.iter().cloned().collect(),
        members: Arc::clone(everyone),
        agents,
        left,
        unsettled,
        others: sums.into_iter().map(|sum| (sum.rule, sum.others)).collect(),
        budgets,
        balances,
        watched_from: watched_from(&settings.rules, watched, today),
        unseeded: unseeded(&settings.rules, watched),
        has_synced: *has_synced,
        judged: Arc::clone(judged),
        access: Arc::clone(access),
        probes,
    })
}

/// The days of agents that rules about drops are about which may still change.
async fn unsettled(
    ledger: &View,
    members: &[Member],
    rules: &[Rule],
    today: Day,
) -> Result<HashMap<AgentNumber, Vec<Day>>, LedgerError> {
    let is_drop = |rule: &&Rule| matches!(rule.check, Check::Drop { .. });
    let is_meant = |member: &&Member| {
        let mut rules = rules.iter().filter(is_drop);
        rules.any(|rule| rule.matcher.matches(&member.agent))
    };
    let members = members.iter().filter(is_meant);
    let agents: Vec<AgentNumber> = members.map(|member| member.number).collect();
    let from = today.plus(-(JUDGED_DAYS as i32));
    let days = ledger.unsettled(agents.clone(), from).await?;
    Ok(agents.into_iter().zip(days).collect())
}

/// Credits that probes used on the days that rules about drops or silence look at, if there are any.
async fn probe_use(ledger: &View, rules: &[Rule], today: Day) -> Result<ProbeUse, LedgerError> {
    let is_about = |rule: &Rule| matches!(rule.check, Check::Drop { .. } | Check::Silent { .. });
    if !rules.iter().any(is_about) {
        return Ok(ProbeUse::new());
    }
    let from = today.plus(-RECENT_DAYS);
    ledger.probe_use(from, today.previous()).await
}

/// The first day that was still to end when each rule was first watched as it is.
fn watched_from(rules: &[Rule], watched: &Named<Watched>, today: Day) -> Named<Day> {
    let from = |rule: &Rule| {
        let from = watched_as_is(rule, watched).map_or(today, |watched| Day::of(watched.since));
        (Arc::clone(&rule.name), from)
    };
    rules.iter().map(from).collect()
}

/// The rules that a version watched which did not keep the days that it judged.
fn unseeded(rules: &[Rule], watched: &Named<Watched>) -> HashSet<Arc<str>> {
    let is_unseeded = |rule: &&Rule| {
        let watched = watched_as_is(rule, watched);
        watched.is_some_and(|watched| watched.evaluated.is_none())
    };
    let rules = rules.iter().filter(is_unseeded);
    rules.map(|rule| Arc::clone(&rule.name)).collect()
}

/// Values by the names of their rules.
type Named<T> = HashMap<Arc<str>, T>;

/// Standings of budgets and balances.
fn closed(purses: &[Purse], today: Day) -> (Named<Vec<PeriodFacts>>, Named<Left>) {
    let (mut budgets, mut balances) = (HashMap::new(), HashMap::new());
    for purse in purses {
        let name = Arc::clone(&purse.rule.name);
        match purse.close(today) {
            Some(Stood::Budget(periods)) => drop(budgets.insert(name, periods)),
            Some(Stood::Balance(left)) => drop(balances.insert(name, left)),
            None => {}
        }
    }
    (budgets, balances)
}

/// Reads the days of those `members` that are `wanted`, each by the first day that is wanted of it and its place, in
/// the order of these days, and adds them to what is gathered.
async fn read(
    ledger: &View,
    members: &[Member],
    wanted: &[(Day, usize)],
    gatherer: &Arc<Mutex<Gatherer>>,
) -> Result<(), LedgerError> {
    let alike = wanted.chunk_by(|one, other| one.0 == other.0);
    for wanted in alike.flat_map(|alike| alike.chunks(AGENTS_AT_A_TIME)) {
        let (recent_from, _) = wanted[0];
        let places: Vec<usize> = wanted.iter().map(|(_, place)| *place).collect();
        let numbers = places.iter().map(|place| members[*place].number).collect();
        let (mut places, gatherer) = (places.into_iter(), Arc::clone(gatherer));
        let visit = move |history_start, totals: &Totals, recent: &[Usage]| {
            if let Some(place) = places.next() {
                gatherer.lock().add(place, history_start, totals, recent);
            }
        };
        ledger.watch(numbers, recent_from, visit).await?;
    }
    Ok(())
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
                gatherer.lock().add_other(&member, days);
            }
        };
        ledger.each_usage(numbers, from, today, visit).await?;
    }
    Ok(())
}

/// The agents that have left while an alert about them fires, with what is known of them: their alerts end by
/// their figures, and not because they left.
async fn left(
    ledger: &View,
    members: &[Member],
    firing: &HashSet<AgentNumber>,
    today: Day,
) -> Result<Vec<AgentFacts>, LedgerError> {
    let present: HashSet<AgentNumber> = members.iter().map(|member| member.number).collect();
    if firing.is_subset(&present) {
        return Ok(Vec::new());
    }
    let from = today.plus(-RECENT_DAYS);
    let mut left = ledger.absent(present, from).await?;
    left.retain(|member| firing.contains(&member.number));
    let numbers = left.iter().map(|member| member.number).collect();
    let mut order = left.into_iter();
    let visit = move |days: &[Usage]| {
        let member = order.next()?;
        let asked_until = former::asked_until(&member, today);
        Some(AgentFacts::unasked(&member, days, asked_until, today))
    };
    let facts = ledger
        .each_usage(numbers, from, today.previous(), visit)
        .await?;
    Ok(facts.into_iter().flatten().collect())
}

/// Definition of `rule` at its last evaluation; none if there was none.
pub(super) fn watched_as_is<'a>(
    rule: &Rule,
    watched: &'a HashMap<Arc<str>, Watched>,
) -> Option<&'a Watched> {
    let watched = watched.get(&rule.name);
    watched.filter(|watched| watched.definition == rule.definition())
}

/// A rule that days are wanted for.
struct Need {
    matcher: Matcher,
    /// The first of them.
    from: Day,
    /// Returns true if the rule is about use, also by agents that have left.
    is_sum: bool,
    /// Place of the budget or balance that it is.
    purse: Option<usize>,
}

/// Facts that the rules need about the agents that they match.
fn needs(rules: &[Rule], purses: &[Purse], today: Day) -> Vec<Need> {
    let usual = today.plus(-RECENT_DAYS);
    let foreseen = usual.min(today.plus(-PATTERN_DAYS));
    let needs = rules.iter().filter_map(|rule| {
        let mut purse = None;
        let from = match &rule.check {
            Check::Budget { .. } | Check::Balance { .. } => {
                let mut names = purses.iter().map(|purse| &purse.rule.name);
                let place = names.position(|name| *name == rule.name)?;
                purse = Some(place);
                foreseen.min(purses[place].start()?)
            }
            // Only when they were last fetched.
            Check::KeyRefused { .. } | Check::AgentRefused { .. } => today,
            Check::Probe { .. } | Check::NoCredits { .. } => return None,
            _ => usual,
        };
        Some(Need {
            matcher: rule.matcher.clone(),
            from,
            is_sum: purse.is_some() || Sum::of(rule).is_some(),
            purse,
        })
    });
    needs.collect()
}

/// The agents that any rule needs facts about. There may be very many others, of whom nothing is kept.
struct Concerned {
    members: Arc<[Member]>,
    /// The first day that is wanted of each, with its place among them; ascending, so that those of whom the same
    /// days are wanted stand together.
    wanted: Vec<(Day, usize)>,
    /// The places of agents and of the budgets and balances that match them, by the agents' places.
    matched: Vec<(usize, usize)>,
}

/// Matches each agent with each need once.
fn concerned(members: &Arc<[Member]>, needs: &[Need]) -> Concerned {
    let (mut concerned, mut wanted, mut matched) = (Vec::new(), Vec::new(), Vec::new());
    for (number, member) in members.iter().enumerate() {
        let place = concerned.len();
        let needs = needs
            .iter()
            .filter(|need| need.matcher.matches(&member.agent));
        let first_day = needs
            .inspect(|need| matched.extend(need.purse.map(|purse| (place, purse))))
            .map(|need| need.from)
            .min();
        if let Some(from) = first_day {
            concerned.push(number);
            wanted.push((from, place));
        }
    }
    wanted.sort_unstable();
    let concerned = concerned.into_iter();
    Concerned {
        members: match concerned.len() == members.len() {
            true => Arc::clone(members),
            false => concerned.map(|place| members[place].clone()).collect(),
        },
        wanted,
        matched,
    }
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
