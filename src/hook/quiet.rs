//! Hours in which a hook is to be quiet, in a named time zone.

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

/// From one time of day to another, perhaps past midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuietHours {
    from: NaiveTime,
    to: NaiveTime,
    time_zone: Tz,
}

impl QuietHours {
    /// From `from` up to `to` in `time_zone`; none if both are the same.
    #[must_use]
    pub fn new(from: NaiveTime, to: NaiveTime, time_zone: Tz) -> Option<Self> {
        (from != to).then_some(Self {
            from,
            to,
            time_zone,
        })
    }

    /// End of the quiet hours that `now` lies in; none if it is not quiet.
    ///
    /// A clock that is put back is taken to stand still until it has caught up with itself, so that
    /// nobody is disturbed by an hour that comes twice. What lies in an hour that is skipped happens
    /// at its end. So quiet lasts no longer than the hours say, and an hour if clocks are put back.
    #[must_use]
    pub fn until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let today = now.with_timezone(&self.time_zone).date_naive();
        // What began yesterday may last until today; and a clock that was put back over midnight
        // shows the day before the one that has begun.
        [today.pred_opt()?, today, today.succ_opt()?]
            .into_iter()
            .filter_map(|day| self.quiet_of(day))
            .find_map(|(start, end)| (start <= now && now < end).then_some(end))
    }

    /// Start and end of the quiet that begins on `day`.
    fn quiet_of(&self, day: NaiveDate) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let (last_ended, ends) = if self.from < self.to {
            (day.checked_sub_days(Days::new(1))?, day)
        } else {
            (day, day.checked_add_days(Days::new(1))?)
        };
        let last_end = self.instant(last_ended.and_time(self.to))?;
        let mut start = self.instant(day.and_time(self.from))?;
        if start == last_end {
            // All of the time to speak in was skipped: it is granted afterwards, or what waits
            // would wait for another day.
            let open = self.from - self.to;
            start += if open < TimeDelta::zero() {
                open + TimeDelta::days(1)
            } else {
                open
            };
        }
        Some((start, self.instant(ends.and_time(self.to))?))
    }

    /// First instant at which the clocks of the time zone show `local` or, where they skip it, something later.
    fn instant(&self, local: NaiveDateTime) -> Option<DateTime<Utc>> {
        // No time zone has ever skipped more than a day.
        (0..=24 * 60).find_map(|minutes| {
            let local = local.checked_add_signed(TimeDelta::minutes(minutes))?;
            let found = self.time_zone.from_local_datetime(&local).earliest()?;
            Some(found.to_utc())
        })
    }
}

#[cfg(test)]
mod tests;
