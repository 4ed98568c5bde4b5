//! Pure: where the usage of past days stands in the time of a database.
//!
//! A scrape at any instant of a day shows what the day before came to. The first known value of a day thus
//! stands at noon of the day after it, and its n-th revision n milliseconds after 23:59:59.9 of that day:
//! later than whatever was scraped before, since a database overwrites nothing and shows the latest. Each
//! value has its place for good, so writing it again writes the same sample.

use chrono::{DateTime, TimeDelta, Utc};

use crate::day::{Day, Usage};
use crate::ledger::Revision;

/// The last place of a day is 23:59:59.999, so that all revisions from this one on share it.
const LAST_PLACE: u32 = 99;

/// A value at an instant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Milliseconds since 1970.
    pub at_ms: i64,
    /// Credits of the day before that instant's.
    pub credits: f64,
    /// The number of the revision that it is, 0 for a day's first value.
    pub revision: u32,
}

impl Sample {
    /// The day whose usage it is.
    #[must_use]
    pub fn day(&self) -> Day {
        let at = DateTime::from_timestamp_millis(self.at_ms);
        Day::of(at.unwrap_or_default()).previous()
    }
}

/// The samples of one agent's days, in the order of their time: none that lies after `now`. `days` ascend,
/// and so do `revisions` by day and number; revisions of other days are left out.
pub fn samples<'a>(
    days: &'a [Usage],
    revisions: &'a [Revision],
    now: DateTime<Utc>,
) -> impl Iterator<Item = Sample> + 'a {
    let mut rest = revisions;
    let all = days.iter().flat_map(move |usage| {
        rest = &rest[rest.partition_point(|revision| revision.day < usage.day)..];
        let (of_day, after) =
            rest.split_at(rest.partition_point(|revision| revision.day <= usage.day));
        rest = after;
        of_one_day(usage, of_day)
    });
    all.take_while(move |sample| sample.at_ms <= now.timestamp_millis())
}

/// The first value, and the revisions that have a place of their own or are the newest.
fn of_one_day(usage: &Usage, revisions: &[Revision]) -> impl Iterator<Item = Sample> {
    let first = Sample {
        at_ms: (usage.day.end() + TimeDelta::hours(12)).timestamp_millis(),
        credits: revisions
            .first()
            .map_or(usage.credits, |revision| revision.old),
        revision: 0,
    };
    let shared = revisions
        .iter()
        .rposition(|revision| revision.number >= LAST_PLACE);
    let own = revisions
        .iter()
        .take_while(|revision| revision.number < LAST_PLACE);
    let newest = shared.map(|place| &revisions[place]);
    let base = usage.day.next().end() - TimeDelta::milliseconds(100);
    let revised: Vec<Sample> = own
        .chain(newest)
        .map(|revision| Sample {
            at_ms: base.timestamp_millis() + i64::from(revision.number.min(LAST_PLACE)),
            credits: revision.new,
            revision: revision.number,
        })
        .collect();
    std::iter::once(first).chain(revised)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    fn revision(text: &str, number: u32, old: f64, new: f64) -> Revision {
        Revision {
            day: day(text),
            number,
            old,
            new,
            at: DateTime::default(),
        }
    }

    fn placed(days: &[(&str, f64)], revisions: &[Revision], now: &str) -> Vec<(String, f64)> {
        let days: Vec<Usage> = days
            .iter()
            .map(|(text, credits)| Usage {
                day: day(text),
                credits: *credits,
            })
            .collect();
        samples(&days, revisions, now.parse().unwrap())
            .map(|sample| {
                let at = DateTime::from_timestamp_millis(sample.at_ms).unwrap();
                assert!(days.iter().any(|usage| usage.day == sample.day()));
                (at.format("%m-%d %H:%M:%S%.3f").to_string(), sample.credits)
            })
            .collect()
    }

    fn at(text: &str, credits: f64) -> (String, f64) {
        (text.to_owned(), credits)
    }

    #[test]
    fn a_day_stands_at_the_noon_after_it_and_its_revisions_before_the_midnight_after_that() {
        let revisions = [
            revision("2026-03-01", 1, 9.0, 8.0),
            revision("2026-03-02", 1, 5.0, 6.0),
            revision("2026-03-02", 2, 6.0, 2.0),
            revision("2026-03-03", 1, 1.0, 0.0),
        ];
        let found = placed(
            &[("2026-03-02", 2.0), ("2026-03-04", 7.0)],
            &revisions,
            "2026-03-09T00:00:00Z",
        );
        assert_eq!(
            found,
            [
                at("03-03 12:00:00.000", 5.0),
                at("03-03 23:59:59.901", 6.0),
                at("03-03 23:59:59.902", 2.0),
                at("03-05 12:00:00.000", 7.0),
            ]
        );
    }

    #[test]
    fn nothing_lies_in_the_future() {
        let days = [("2026-03-02", 2.0), ("2026-03-03", 3.0)];
        let revisions = [revision("2026-03-03", 1, 4.0, 3.0)];
        for (now, count) in [
            ("2026-03-03T11:59:59.999Z", 0),
            ("2026-03-03T12:00:00Z", 1),
            ("2026-03-04T12:00:00Z", 2),
            ("2026-03-04T23:59:59.900Z", 2),
            ("2026-03-04T23:59:59.901Z", 3),
        ] {
            assert_eq!(placed(&days, &revisions, now).len(), count, "{now}");
        }
    }

    #[test]
    fn the_newest_of_many_revisions_wins_on_its_own_day() {
        let revisions: Vec<Revision> = (1..=150)
            .map(|number| revision("2026-03-02", number, f64::from(number) - 1.0, number.into()))
            .collect();
        let found = placed(&[("2026-03-02", 150.0)], &revisions, "2026-04-01T00:00:00Z");
        assert_eq!(found.len(), 100);
        assert_eq!(found[98], at("03-03 23:59:59.998", 98.0));
        assert_eq!(found[99], at("03-03 23:59:59.999", 150.0));
        assert!(found.is_sorted_by(|one, other| one.0 < other.0));
    }
}
