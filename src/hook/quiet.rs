//! Hours in which a hook is to be quiet, in a named time zone.

use chrono::{DateTime, NaiveTime, Utc};
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

    /// When the quiet that `now` lies in is over; none if it is not quiet.
    #[must_use]
    pub fn until(&self, _now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let _ = (self.from, self.to, self.time_zone);
        todo!()
    }
}
