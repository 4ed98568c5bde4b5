//! Pure: one card for very many subjects of a budget.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::message::SUBJECT;
use super::tell::Told;
use super::{Figures, Notice, Status, SubjectLine};
use crate::ledger::AlertKey;
use crate::words::grouped;

/// The most subjects of a budget whose alerts are sent one by one.
const MAX_SINGLE: usize = 10;
/// The most lines of a card.
const MAX_LINES: usize = 20;
/// The most subjects that a card names for programs.
const MAX_NAMED: usize = 100;

/// A notice, and the alerts that it is about.
pub(super) type About = (Vec<AlertKey>, Notice);

/// The notices of `told`, in its order; those of very many subjects of one budget become one card.
pub(super) fn carded(told: &[&Told]) -> Vec<About> {
    let mut groups: BTreeMap<(&str, &str), Vec<&Told>> = BTreeMap::new();
    for told in told.iter().copied().filter(|told| has_subject(told)) {
        groups.entry(group(told)).or_default().push(told);
    }
    groups.retain(|_, told| subjects(told).len() > MAX_SINGLE);
    let mut notices = Vec::new();
    for told in told.iter().copied() {
        let group = group(told);
        match groups.get_mut(&group).filter(|_| has_subject(told)) {
            // Its place is that of the first one.
            Some(many) if !many.is_empty() => notices.push(card(std::mem::take(many), group)),
            Some(_) => {}
            None => notices.push((vec![told.key.clone()], told.notice.clone())),
        }
    }
    notices
}

fn has_subject(told: &Told) -> bool {
    told.notice.labels.contains_key(SUBJECT)
}

fn subjects<'a>(told: &[&'a Told]) -> BTreeSet<&'a str> {
    let subjects = told.iter().map(|told| &*told.notice.subject);
    subjects.collect()
}

/// The budget, and how the titles of its alerts that are over begin: `Resolved`.
fn group(told: &Told) -> (&str, &str) {
    let Notice {
        rule,
        status,
        title,
        ..
    } = &told.notice;
    let end = title.split_once(": ").map(|(end, _)| end);
    (
        rule,
        end.filter(|_| *status == Status::Resolved).unwrap_or(""),
    )
}

/// One notice for all of `told`, the worst first.
fn card(mut told: Vec<&Told>, (rule, end): (&str, &str)) -> About {
    told.sort_by(|one, other| {
        let ratio = |told: &Told| ratio(&told.notice.figures);
        let severity = |told: &Told| Reverse(told.notice.severity);
        let severities = severity(one).cmp(&severity(other));
        severities.then(ratio(other).total_cmp(&ratio(one)))
    });
    let notices = || told.iter().map(|told| &told.notice);
    let subjects = grouped(&subjects(&told).len().to_string());
    let mut lines: Vec<&str> = notices().map(|notice| &*notice.title).collect();
    let rest = lines.len().saturating_sub(MAX_LINES);
    lines.truncate(MAX_LINES);
    let more = match rest {
        0 => String::new(),
        rest => format!("\nand {} more", grouped(&rest.to_string())),
    };
    let worst = &told[0].notice;
    let line = |notice: &Notice| SubjectLine {
        subject: notice.subject.clone(),
        key: notice.key.clone(),
        severity: notice.severity,
        title: notice.title.clone(),
        used_ratio: notice.figures.used_ratio,
    };
    let labels = worst.labels.iter();
    let labels = labels.filter(|(name, _)| matches!(&***name, "rule" | "budget"));
    let notice = Notice {
        subject: format!("{subjects} subjects"),
        key: format!("{rule}/subjects"),
        title: match end {
            "" => format!("Budget {rule}: {subjects} subjects have reached a threshold"),
            end => format!("{end}: budget {rule}, {subjects} subjects"),
        },
        text: lines.join("\n") + &more,
        labels: labels
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
        figures: Figures::default(),
        subjects: notices().take(MAX_NAMED).map(line).collect(),
        ..worst.clone()
    };
    (told.iter().map(|told| told.key.clone()).collect(), notice)
}

/// The highest share of the limit that is used or expected to be.
fn ratio(figures: &Figures) -> f64 {
    let limit = figures.limit_credits.unwrap_or(f64::INFINITY);
    let used = figures.used_credits.unwrap_or_default();
    used.max(figures.forecast_credits.unwrap_or_default()) / limit
}
