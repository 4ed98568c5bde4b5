//! Pure: the conditions that rules look for.

use super::facts::{AgentFacts, Known, SubjectDay};
use super::finding::Condition;
use super::{Measure, Threshold};
use crate::balance::Left;
use crate::budget::Standing;
use crate::day::Day;

/// Share of a threshold below which an alert resolves: figures are revised, and forecasts
/// move a little every day.
const HYSTERESIS: f64 = 0.95;
/// By how much, relatively, a value may lie below a share of a limit and still reach it.
const TOLERANCE: f64 = 1e-9;
/// The fewest days with use, among the 28 before, of an agent that was in use.
const MIN_USED_DAYS: u32 = 4;

/// Returns true if more than `over_credits` are used, or still more than the limit that holds a firing alert.
/// Missing days may add to what is known, and take nothing away.
pub(super) fn over(known: Known, over_credits: f64, held_credits: f64) -> Condition {
    match known.credits {
        Some(used) if used > over_credits => Condition::Met,
        None => Condition::Unknown,
        Some(_) if known.missing_days > 0 => Condition::Unknown,
        Some(used) if used > held_credits => Condition::Held,
        Some(_) => Condition::NotMet,
    }
}

/// Returns true if an agent's day is a spike.
pub(super) fn spike(day: &SubjectDay, factor: f64, floor_credits: f64) -> Condition {
    let figures = day.known.credits.zip(day.usual_credits);
    figures.map_or(Condition::Unknown, |(used, usual)| {
        met(used > factor * usual && used > floor_credits)
    })
}

/// Returns true if an agent's day is far below the usual.
pub(super) fn is_drop(day: &SubjectDay, factor: f64, floor_credits: f64) -> Condition {
    let figures = day.known.credits.zip(day.usual_credits);
    figures.map_or(Condition::Unknown, |(used, usual)| {
        met(used < factor * usual && usual > floor_credits)
    })
}

/// Returns true if an agent is not used on the `days` days that end with `day`, and was in use before.
/// Missing days may add to known use, and take nothing away.
pub(super) fn silent(agent: &AgentFacts, day: Day, days: u32) -> Condition {
    let silence = agent.silence(day, days);
    let before = silence.used_before;
    match silence.is_idle {
        Some(false) => Condition::NotMet,
        Some(true) if before >= MIN_USED_DAYS => Condition::Met,
        Some(true) if before + silence.unknown_before < MIN_USED_DAYS => Condition::NotMet,
        _ => Condition::Unknown,
    }
}

/// The condition of an agent of which use is expected. None is of one that has left, and perhaps none of
/// one that its list no longer names.
pub(super) fn staying(agent: &AgentFacts, condition: Condition) -> Condition {
    match agent.member.left_on {
        Some(_) => Condition::NotMet,
        None => listed(agent, condition),
    }
}

/// The condition of an agent. One that its list no longer names may well be refused or late: that fires
/// nothing.
pub(super) fn listed(agent: &AgentFacts, condition: Condition) -> Condition {
    match (agent.member.unlisted_since, condition) {
        (Some(_), Condition::Met) => Condition::Unknown,
        _ => condition,
    }
}

const fn met(is_met: bool) -> Condition {
    if is_met {
        Condition::Met
    } else {
        Condition::NotMet
    }
}

pub(super) fn refused(refused: Option<&bool>) -> Condition {
    refused.map_or(Condition::Unknown, |refused| met(*refused))
}

/// Judges if that share of a budget is used. Missing days may add to known use, and take nothing away.
pub(super) fn used(standing: &Standing, ratio: f64) -> Condition {
    let reaches = |used, ratio| reaches(used, ratio, standing.limit_credits);
    match standing.used_credits {
        Some(used) if reaches(used, ratio) => Condition::Met,
        Some(_) if standing.missing_days > 0 => Condition::Unknown,
        Some(used) if reaches(used, HYSTERESIS * ratio) => Condition::Held,
        Some(_) => Condition::NotMet,
        None => Condition::Unknown,
    }
}

/// True if no more than that is left of a balance. Missing days may take from what is left, and add nothing;
/// days left count what is expected of them.
pub(super) fn is_left(left: &Left, threshold: Threshold) -> Condition {
    let is_bound = threshold.measure == Measure::CreditsLeft;
    let value = if is_bound {
        left.credits()
    } else if left.lasts() {
        return Condition::NotMet;
    } else {
        left.days_left()
    };
    // What sums of floats have lost in their last bits; days are exact to the millisecond.
    let lost = match is_bound {
        true => 1e-12 * left.standing.limit_credits,
        false => 0.0,
    };
    let reaches = |value: f64, at: f64| value <= at + lost;
    match value {
        None => Condition::Unknown,
        Some(value) if reaches(value, threshold.at) => Condition::Met,
        Some(_) if is_bound && left.standing.missing_days > 0 => Condition::Unknown,
        Some(value) if reaches(value, threshold.at * (2.0 - HYSTERESIS)) => Condition::Held,
        Some(_) => Condition::NotMet,
    }
}

/// Judges if that share of a budget is expected to be used. A period that is over is not told of by its
/// forecast.
pub(super) fn forecast(standing: &Standing, ratio: f64, today: Day) -> Condition {
    let Some(forecast) = standing.forecast else {
        return Condition::Unknown;
    };
    let reaches = |ratio| reaches(forecast.expected_credits, ratio, standing.limit_credits);
    if !reaches(HYSTERESIS * ratio) {
        Condition::NotMet
    } else if !reaches(ratio) {
        Condition::Held
    } else if standing.period.is_over(today) {
        Condition::Past
    } else {
        Condition::Met
    }
}

/// Returns true if the credits are at least that share of the limit. What a product or a sum of floats has lost
/// in its last bits is not missing.
fn reaches(credits: f64, ratio: f64, limit_credits: f64) -> bool {
    credits >= ratio * limit_credits * (1.0 - TOLERANCE)
}
