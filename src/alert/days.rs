//! Pure: rules about days. Each day is judged when it is first known, and again when it is revised, up to
//! a week after its end. The newest known day decides; of older ones, those that come late are named.

use std::sync::Arc;

use super::facts::SubjectDay;
use super::finding::{Condition, DayFigure, DayVerdict};
use crate::day::Day;
use crate::ledger::{JUDGED_DAYS, Judged};

/// The days of one subject, and how to judge them.
pub(super) struct Question<'a> {
    /// The subject's key among the days that were judged.
    pub(super) subject: Arc<str>,
    /// The days that end with yesterday, oldest first.
    pub(super) days: [SubjectDay; JUDGED_DAYS],
    /// The first day that the rule may judge.
    pub(super) from: Day,
    /// The days that were judged before.
    pub(super) judged: Option<&'a Judged>,
    /// Take days that were not judged before as judged.
    pub(super) is_seeding: bool,
    /// The first day that does not count as judged now, though it may have been before: today, unless the subject is an
    /// agent that may come back. Its days are judged then.
    pub(super) judged_until: Day,
}

/// The verdict on the newest known day, with that day, and on those before it.
pub(super) fn verdict(
    question: &Question<'_>,
    condition: impl Fn(&SubjectDay) -> Condition,
) -> (Condition, SubjectDay, DayVerdict) {
    let Question {
        subject,
        days,
        from,
        judged,
        is_seeding,
        ..
    } = question;
    let newest = days[JUDGED_DAYS - 1];
    let considered = || days.iter().filter(|day| day.day >= *from);
    let decides = |day: &&SubjectDay| is_known(day) || condition(day) == Condition::Met;
    let deciding = considered().rev().find(decides);
    let verdict = deciding.map_or(Condition::Unknown, &condition);
    let before = deciding.map_or(*from, |day| day.day);
    let met: Vec<DayFigure> = considered()
        .filter(|day| day.day < before && condition(day) == Condition::Met)
        .filter_map(figure)
        .collect();
    let is_late = |figure: &&DayFigure| {
        !is_seeding && judged.and_then(|judged| judged.on(figure.day)) != Some(figure.credits)
    };
    let late = met.iter().filter(is_late).map(|figure| figure.day);
    let now_judged = Judged {
        through: newest.day,
        credits: days.map(|day| match day.day < question.judged_until {
            true => day.known.credits,
            false => judged.and_then(|judged| judged.on(day.day)),
        }),
    };
    let verdict_on_days = DayVerdict {
        late: late.collect(),
        met,
        judged: Some((Arc::clone(subject), now_judged)),
    };
    (verdict, *deciding.unwrap_or(&newest), verdict_on_days)
}

const fn is_known(day: &SubjectDay) -> bool {
    day.known.credits.is_some() && day.known.missing_days == 0
}

fn figure(day: &SubjectDay) -> Option<DayFigure> {
    Some(DayFigure {
        day: day.day,
        credits: day.known.credits?,
        usual_credits: day.usual_credits,
    })
}
