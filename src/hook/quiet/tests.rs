//! Quiet hours by tables, and against somebody who looks at a clock on the wall every minute.

use proptest::prelude::*;

use super::*;
use crate::hook::tests::at;

/// Zones with and without summer time; of half an hour, at midnight, on either half of the earth.
const ZONES: [&str; 8] = [
    "UTC",
    "Asia/Kolkata",
    "Europe/Amsterdam",
    "America/New_York",
    "America/Santiago",
    "Africa/Cairo",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
];

fn until(hours: &str, time_zone: &str, now: &str) -> Option<String> {
    let time = |text: &str| match text {
        "24:00" => NaiveTime::MIN,
        text => text.parse().unwrap(),
    };
    let (from, to) = hours.split_once('-').unwrap();
    let quiet = QuietHours::new(time(from), time(to), time_zone.parse().unwrap()).unwrap();
    let end = quiet.until(at(now))?;
    Some(end.format("%d %H:%M:%S").to_string())
}

#[test]
fn quiet_is_over_at_its_end_of_that_day_or_the_next() {
    for (hours, now, expected) in [
        ("22:00-07:00", "2026-11-23T20:59:59.999Z", None),
        ("22:00-07:00", "2026-11-23T21:00:00Z", Some("24 06:00:00")),
        (
            "22:00-07:00",
            "2026-11-24T05:59:59.999Z",
            Some("24 06:00:00"),
        ),
        ("22:00-07:00", "2026-11-24T06:00:00Z", None),
        ("12:00-13:30", "2026-11-24T10:59:00Z", None),
        ("12:00-13:30", "2026-11-24T11:00:00Z", Some("24 12:30:00")),
        ("12:00-13:30", "2026-11-24T12:30:00Z", None),
        ("18:00-24:00", "2026-11-24T22:30:00Z", Some("24 23:00:00")),
        ("00:00-06:00", "2026-11-23T23:00:00Z", Some("24 05:00:00")),
    ] {
        let found = until(hours, "Europe/Amsterdam", now);
        assert_eq!(found.as_deref(), expected, "{hours} at {now}");
    }
}

#[test]
fn clocks_that_are_put_forward_or_back_neither_panic_nor_disturb() {
    // Amsterdam skips 02:00 to 03:00 on 29 March 2026, at 01:00 UTC, and has it twice on 25 October.
    for (hours, now, expected) in [
        // An end that is skipped is where the skipped hour ends.
        ("22:00-02:30", "2026-03-29T00:59:00Z", Some("29 01:00:00")),
        ("22:00-02:30", "2026-03-29T01:00:00Z", None),
        // So is a beginning.
        ("02:30-07:00", "2026-03-29T00:59:00Z", None),
        ("02:30-07:00", "2026-03-29T01:00:00Z", Some("29 05:00:00")),
        // The only hour to speak in is skipped, and granted afterwards.
        ("03:00-02:00", "2026-03-29T00:59:00Z", Some("29 01:00:00")),
        ("03:00-02:00", "2026-03-29T01:59:00Z", None),
        ("03:00-02:00", "2026-03-29T02:00:00Z", Some("30 00:00:00")),
        // What has begun is not interrupted by an hour that comes again.
        ("02:30-07:00", "2026-10-25T00:29:00Z", None),
        ("02:30-07:00", "2026-10-25T01:10:00Z", Some("25 06:00:00")),
        // What has ended does not begin again.
        ("22:00-02:30", "2026-10-25T00:10:00Z", Some("25 00:30:00")),
        ("22:00-02:30", "2026-10-25T01:10:00Z", None),
        ("02:40-02:20", "2026-10-25T00:50:00Z", Some("26 01:20:00")),
    ] {
        let found = until(hours, "Europe/Amsterdam", now);
        assert_eq!(found.as_deref(), expected, "{hours} at {now}");
    }
}

#[test]
fn quiet_that_began_on_a_day_lasts_though_clocks_are_put_back_to_the_day_before() {
    // St. John's went from 00:01 to 23:01 on 7 November 2010, at 02:31 UTC.
    let found = until("00:00-07:00", "America/St_Johns", "2010-11-07T02:40:00Z");
    assert_eq!(found.as_deref(), Some("07 10:30:00"));
}

#[test]
fn hours_that_end_when_they_begin_are_none() {
    assert_eq!(
        QuietHours::new(NaiveTime::MIN, NaiveTime::MIN, Tz::UTC),
        None
    );
}

/// Looks at a clock on the wall every minute from some hours before `now` on, taking a clock that is
/// put back to stand still, and says when it is first not quiet; none if that is `now`.
fn first_minute_to_speak(quiet: QuietHours, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let minute = TimeDelta::minutes(1);
    let is_quiet = |local: NaiveDateTime| {
        let time = local.time();
        if quiet.from < quiet.to {
            quiet.from <= time && time < quiet.to
        } else {
            quiet.from <= time || time < quiet.to
        }
    };
    let local = |instant: DateTime<Utc>| instant.with_timezone(&quiet.time_zone).naive_local();
    let open = (quiet.from - quiet.to).num_minutes().rem_euclid(24 * 60);
    let mut granted = 0;
    let mut instant = now - TimeDelta::hours(6);
    let mut shown = local(instant);
    loop {
        if instant >= now && (granted > 0 || !is_quiet(shown)) {
            return (instant > now).then_some(instant);
        }
        granted = (granted - 1).max(0);
        instant += minute;
        let shows = local(instant);
        let mut skipped = 0;
        while shown + minute < shows {
            shown += minute;
            skipped += i64::from(!is_quiet(shown));
        }
        if skipped == open {
            granted = open;
        }
        shown = shown.max(shows);
    }
}

/// The minutes of 2026 at which the clocks of a zone are put forward or back.
fn changes(time_zone: Tz) -> Vec<DateTime<Utc>> {
    let offset = |instant: &DateTime<Utc>| {
        let local = instant.with_timezone(&time_zone).naive_local();
        local - instant.naive_utc()
    };
    let start = at("2026-01-01T00:00:00Z");
    (0..365 * 24 * 2)
        .map(|half_hours| start + TimeDelta::minutes(30 * half_hours))
        .filter(|instant| offset(instant) != offset(&(*instant - TimeDelta::minutes(30))))
        .collect()
}

/// Any minute of 2026, often one near a change of the clocks, and a second within it.
fn moments() -> impl Strategy<Value = (Tz, DateTime<Utc>)> {
    let zones = ZONES.map(|name| {
        let time_zone = name.parse().unwrap();
        (time_zone, changes(time_zone))
    });
    let any = (0..ZONES.len(), 0..365 * 24 * 60_i64, 0..3_usize, 0..60_i64);
    any.prop_map(move |(zone, minutes, near, seconds)| {
        let (time_zone, changes) = &zones[zone];
        let moment = match changes.get(near) {
            Some(change) => *change + TimeDelta::minutes(minutes % (48 * 60) - 36 * 60),
            None => at("2026-01-01T00:00:00Z") + TimeDelta::minutes(minutes),
        };
        (*time_zone, moment + TimeDelta::seconds(seconds))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn quiet_ends_when_somebody_at_the_clock_would_say(
        (time_zone, now) in moments(),
        from in 0..96_i64,
        length in prop_oneof![1..96_i64, 90..96_i64],
    ) {
        let time = |quarters: i64| NaiveTime::MIN + TimeDelta::minutes(15 * quarters);
        let quiet = QuietHours::new(time(from), time(from + length), time_zone).unwrap();
        let minute = now - TimeDelta::seconds(now.timestamp() % 60);
        let end = quiet.until(now);
        prop_assert_eq!(end, first_minute_to_speak(quiet, minute));
        if let Some(end) = end {
            prop_assert!(end > now && end - now <= TimeDelta::hours(25));
            prop_assert_eq!(quiet.until(end), None);
        }
    }
}
