//! The series of budgets, balances and alerts, rendered and compressed once per evaluation of the rules.

use std::sync::Arc;

use crate::balance::Left;
use crate::budget::Standing;
use crate::day::Day;
use crate::ledger::{AgentNumber, AlertState};
use crate::roster::Matcher;

use super::body::Body;
use super::deflate::Deflater;
use super::names::{FAMILIES, Family, Samples};
use super::text::{write_label, write_value};

/// A budget and how it stands.
#[derive(Debug, Clone)]
pub struct BudgetSeries {
    /// Its name.
    pub name: Arc<str>,
    /// The subject that has the limit; none if all agents together have it.
    pub subject: Option<Arc<str>>,
    /// The agent, if the subject is one.
    pub agent: Option<AgentNumber>,
    /// The agents that it counts.
    pub matcher: Matcher,
    /// Its standing in its current period.
    pub standing: Standing,
    /// Its thresholds.
    pub marks: Vec<Mark>,
}

/// A balance and what is left of it.
#[derive(Debug, Clone)]
pub struct BalanceSeries {
    /// Its name.
    pub name: Arc<str>,
    /// Credits left; none before the first `set`.
    pub left: Option<Left>,
    /// Its thresholds.
    pub marks: Vec<Mark>,
}

/// A threshold of a budget or balance, and whether it is reached.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// Measure: `used` or `forecast`, `credits_left` or `days_left`.
    pub measure: &'static str,
    /// The share of the limit, 1 being all of it; the credits or days that are left.
    pub at: f64,
    /// Severity, in a word.
    pub severity: &'static str,
    /// The same as it stands in the keys of alerts, such as `used 0.8`.
    pub threshold: String,
    /// State of its alert in the current period; none if it was never reached.
    pub state: Option<AlertState>,
}

/// An alert that may fire, summed up over its thresholds and periods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertSeries {
    /// The name of the rule, budget or balance.
    pub rule: Arc<str>,
    /// Its subject.
    pub subject: Arc<str>,
    /// True if it fires.
    pub firing: bool,
    /// True if nothing is sent of it.
    pub silenced: bool,
}

/// The series of `budgets`, `balances` and `alerts` as of the day `today`.
pub(super) fn render(
    today: Day,
    budgets: &[BudgetSeries],
    balances: &[BalanceSeries],
    alerts: &[AlertSeries],
) -> Body {
    let mut deflater = Deflater::new();
    let samples = FAMILIES.iter().map(|family| {
        write_samples(&mut deflater, family, budgets, balances, alerts);
        deflater.finish().into_iter().collect()
    });
    Body::of(today, samples.collect())
}

/// Writes what `budgets`, `balances` and `alerts` contribute to `family`.
fn write_samples(
    deflater: &mut Deflater,
    family: &Family,
    budgets: &[BudgetSeries],
    balances: &[BalanceSeries],
    alerts: &[AlertSeries],
) {
    match family.samples {
        Samples::Standing(value) => {
            for budget in budgets {
                let subject = budget.subject.iter();
                let subject = subject.map(|subject| ("subject", &**subject));
                let labels: Vec<(&str, &str)> = [("budget", &*budget.name)]
                    .into_iter()
                    .chain(subject)
                    .collect();
                if let Some(value) = value(&budget.standing) {
                    write_sample(deflater, family, &labels, value);
                }
            }
        }
        Samples::Left(value) => {
            for BalanceSeries { name, left, .. } in balances {
                if let Some(value) = left.as_ref().and_then(value) {
                    write_sample(deflater, family, &[("balance", name)], value);
                }
            }
        }
        Samples::Firing => {
            for AlertSeries {
                rule,
                subject,
                firing,
                silenced: _,
            } in alerts
            {
                let labels = [("rule", &**rule), ("subject", subject)];
                write_sample(deflater, family, &labels, f64::from(u8::from(*firing)));
            }
        }
        Samples::Silenced => {
            for alert in alerts.iter().filter(|alert| alert.silenced) {
                let labels = [("rule", &*alert.rule), ("subject", &*alert.subject)];
                write_sample(deflater, family, &labels, 1.0);
            }
        }
        // Those of agents.
        Samples::Info | Samples::Figures(_) => {}
    }
}

fn write_sample(deflater: &mut Deflater, family: &Family, labels: &[(&str, &str)], value: f64) {
    let out = deflater.buffer();
    out.extend_from_slice(family.name.as_bytes());
    for (number, (name, value)) in labels.iter().enumerate() {
        out.push(if number == 0 { b'{' } else { b',' });
        write_label(out, name, value);
    }
    out.extend_from_slice(b"} ");
    write_value(out, value);
    out.push(b'\n');
}

#[cfg(test)]
mod tests;
