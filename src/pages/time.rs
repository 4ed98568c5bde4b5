//! Pure: instants as pages show them, always in UTC.

use chrono::{DateTime, TimeDelta, Utc};

/// An instant as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Moment {
    /// For programs: `2026-11-26T00:12:31Z`.
    pub(super) machine: String,
    /// For people: `26 Nov 2026, 00:12 UTC`.
    pub(super) text: String,
    /// Distance from now: `3 min ago`, `in 11 h 26 min`.
    pub(super) distance: String,
}

impl Moment {
    /// The instant `at`, seen from `now`.
    pub(super) fn of(at: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        let distance = at.signed_duration_since(now);
        Self {
            machine: at.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
            text: at.format("%-d %b %Y, %H:%M UTC").to_string(),
            distance: if distance.abs() < TimeDelta::seconds(1) {
                "now".to_owned()
            } else if distance < TimeDelta::zero() {
                format!("{} ago", span(-distance))
            } else {
                format!("in {}", span(distance))
            },
        }
    }
}

/// A time that is not negative, in its two largest units.
pub(super) fn span(time: TimeDelta) -> String {
    let seconds = time.num_seconds();
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    let two = |large: i64, unit: &str, small: i64, lesser: &str| match small {
        0 => format!("{large} {unit}"),
        _ => format!("{large} {unit} {small} {lesser}"),
    };
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{rest} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => two(hours, "h", minutes, "min"),
        (1, hours, _) => two(1, "day", hours, "h"),
        (days, ..) => format!("{days} days"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_an_instant_is_fits_how_far_it_is() {
        let now: DateTime<Utc> = "2026-11-26T12:00:00Z".parse().unwrap();
        for (at, distance) in [
            ("2026-11-26T12:00:00.4Z", "now"),
            ("2026-11-26T11:59:01Z", "59 s ago"),
            ("2026-11-26T11:57:30Z", "2 min ago"),
            ("2026-11-26T23:26:00Z", "in 11 h 26 min"),
            ("2026-11-26T15:00:59Z", "in 3 h"),
            ("2026-11-25T10:59:00Z", "1 day 1 h ago"),
            ("2026-11-23T11:00:00Z", "3 days ago"),
        ] {
            assert_eq!(Moment::of(at.parse().unwrap(), now).distance, distance);
        }
        let moment = Moment::of(now, now);
        assert_eq!(moment.text, "26 Nov 2026, 12:00 UTC");
        assert_eq!(moment.machine, "2026-11-26T12:00:00Z");
    }
}
