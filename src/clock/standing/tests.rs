//! Verdicts on the clock, by what is heard and remembered.

use super::*;

const START: &str = "2026-11-20T09:00:00Z";

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// A host whose wall clock starts at [`START`], and FlowGent, whose clock is right.
struct Host {
    watch: Watch,
    wall: DateTime<Utc>,
    uptime: Duration,
    truth: DateTime<Utc>,
}

impl Host {
    /// One whose wall clock is off by this much.
    fn off_by(error: TimeDelta) -> Self {
        let truth = at(START);
        let reading = Reading {
            wall: truth + error,
            uptime: Duration::from_secs(500),
        };
        Self {
            watch: Watch::new(reading),
            wall: reading.wall,
            uptime: reading.uptime,
            truth,
        }
    }

    /// One that FlowGent has agreed with.
    fn agreed() -> Self {
        let mut host = Self::off_by(TimeDelta::zero());
        host.hear();
        host
    }

    fn reading(&self) -> Reading {
        Reading {
            wall: self.wall,
            uptime: self.uptime,
        }
    }

    fn hear(&mut self) {
        let skew = self.truth - self.wall;
        self.watch.hear(self.reading(), Some(skew));
    }

    fn look(&mut self) -> Time {
        self.watch.look(self.reading())
    }

    fn pass(&mut self, time: TimeDelta) {
        self.uptime += time.to_std().unwrap();
        self.wall += time;
        self.truth += time;
    }

    fn sleep(&mut self, time: TimeDelta) {
        self.wall += time;
        self.truth += time;
    }

    fn step(&mut self, by: TimeDelta) {
        self.wall += by;
    }
}

#[test]
fn a_clock_that_jumps_ahead_changes_no_time_before_and_after_flowgent_is_asked() {
    let mut host = Host::agreed();
    host.pass(TimeDelta::minutes(10));
    host.step(TimeDelta::days(20));
    let time = host.look();
    assert_eq!(time.now, host.truth);
    assert_eq!((time.day, time.earliest), (None, host.truth));
    assert_eq!(time.standing, Standing::Stepped(TimeDelta::days(20)));
    host.pass(TimeDelta::seconds(1));
    host.hear();
    let time = host.look();
    assert_eq!(time.standing, Standing::Differs(TimeDelta::days(-20)));
    assert_eq!((time.now, time.earliest), (host.truth, host.truth));
    assert_eq!(time.day, Some(Day::of(host.truth)));
    assert!(!time.standing.agrees() && time.standing.is_known());

    host.pass(TimeDelta::seconds(7));
    host.step(TimeDelta::days(-20));
    assert_eq!(host.look().now, host.truth);
    host.hear();
    assert_eq!(host.look(), Time::at(host.truth, Standing::Agreed));
}

#[test]
fn after_a_sleep_time_jumps_once_flowgent_has_confirmed_it() {
    let mut host = Host::agreed();
    host.sleep(TimeDelta::hours(30));
    let time = host.look();
    assert_eq!(time.now, at(START));
    assert_eq!(time.day, None, "either day may be right");
    assert_eq!(time.standing, Standing::Stepped(TimeDelta::hours(30)));
    host.hear();
    assert_eq!(host.look(), Time::at(host.truth, Standing::Agreed));
}

#[test]
fn steps_of_up_to_an_hour_are_believed() {
    let mut host = Host::agreed();
    host.step(TimeDelta::minutes(60));
    assert_eq!(host.look(), Time::at(host.wall, Standing::Agreed));
    host.hear();
    assert_eq!(host.look(), Time::at(host.wall, Standing::Agreed));
    host.step(TimeDelta::minutes(1));
    host.hear();
    let time = host.look();
    assert_eq!(time.standing, Standing::Differs(TimeDelta::minutes(-61)));
}

#[test]
fn a_clock_that_is_wrong_from_the_start_is_replaced_by_flowgents() {
    for error in [TimeDelta::days(30), TimeDelta::days(-30)] {
        let mut host = Host::off_by(error);
        assert_eq!(host.look(), Time::at(host.wall, Standing::Unchecked));
        host.hear();
        host.pass(TimeDelta::hours(5));
        let time = host.look();
        assert_eq!(time.now, host.truth, "{error}");
        assert_eq!(time.earliest, host.truth.min(host.wall));
        assert_eq!(time.standing, Standing::Differs(-error));
    }
}

#[test]
fn a_clock_of_flowgent_that_jumps_is_not_followed() {
    for jump in [TimeDelta::days(400), TimeDelta::days(-400)] {
        let mut host = Host::agreed();
        for _ in 0..2 {
            host.pass(TimeDelta::minutes(10));
            host.watch.hear(host.reading(), Some(jump));
            let time = host.look();
            assert_eq!(time.now, host.wall);
            assert_eq!(time.earliest, host.wall.min(host.wall + jump));
            assert_eq!(time.day, None);
            assert_eq!(time.standing, Standing::Differs(jump));
        }
        host.hear();
        assert_eq!(host.look(), Time::at(host.truth, Standing::Agreed));
    }
}

#[test]
fn a_clock_that_is_not_set_yet_is_not_believed_until_it_is() {
    let newest = at("2026-11-19T22:00:00Z");
    let mut host = Host::off_by(at("1970-01-01T00:00:09Z") - at(START));
    let standing = host.look().standing;
    assert!(!standing.is_known() && host.look().day.is_none());
    assert_eq!(
        standing.to_string(),
        "this host's clock is not set: it shows 1970-01-01T00:00:09Z, but \
         2025-05-29T00:00:00Z has passed"
    );
    // Days behind the ledger.
    host.watch.has_passed(newest);
    host.wall = at("2026-11-17T00:00:00Z");
    assert!(!host.look().standing.is_known());
    host.pass(PATIENCE);
    assert!(!host.look().standing.is_known());
    host.wall = newest - TOLERANCE;
    assert_eq!(host.look(), Time::at(host.wall, Standing::Unchecked));
}

#[test]
fn flowgent_says_the_day_where_the_own_clock_is_not_set() {
    let mut host = Host::off_by(TimeDelta::days(-20_000));
    host.hear();
    let time = host.look();
    assert!(time.standing.is_known());
    assert_eq!(
        (time.now, time.day),
        (host.truth, Some(Day::of(host.truth)))
    );
}

#[test]
fn without_a_date_or_an_answer_the_own_clock_counts() {
    let mut host = Host::off_by(TimeDelta::zero());
    host.watch.hear(host.reading(), None);
    assert_eq!(host.look(), Time::at(host.wall, Standing::Agreed));
    host.step(TimeDelta::days(3));
    assert!(matches!(host.look().standing, Standing::Stepped(_)));
    host.watch.hear(host.reading(), None);
    assert_eq!(host.look(), Time::at(host.wall, Standing::Agreed));

    let mut host = Host::off_by(TimeDelta::zero());
    host.pass(PATIENCE - TimeDelta::seconds(1));
    assert_eq!(host.look().standing, Standing::Unchecked);
    host.pass(TimeDelta::seconds(1));
    assert_eq!(host.look(), Time::at(host.wall, Standing::Agreed));
}

#[test]
fn a_step_that_flowgent_does_not_answer_to_is_believed_after_six_hours() {
    let mut host = Host::agreed();
    host.pass(TimeDelta::days(2));
    host.step(TimeDelta::days(3));
    host.look();
    host.pass(PATIENCE - TimeDelta::seconds(1));
    assert_eq!(host.look().now, host.truth);
    host.pass(TimeDelta::seconds(1));
    assert_eq!(host.look(), Time::at(host.wall, Standing::Agreed));
}

#[test]
fn an_answer_without_a_date_does_not_end_a_difference() {
    let mut host = Host::off_by(TimeDelta::days(30));
    host.hear();
    host.watch.hear(host.reading(), None);
    let standing = host.look().standing;
    assert_eq!(standing, Standing::Differs(TimeDelta::days(-30)));
}

#[test]
fn the_reason_is_told_in_words() {
    let of = |standing: Standing| standing.to_string();
    assert_eq!(
        of(Standing::Differs(TimeDelta::seconds(1 - 49 * 3600))),
        "this host's clock is 2 days 1 hour ahead of FlowGent's"
    );
    assert_eq!(
        of(Standing::Differs(TimeDelta::minutes(90))),
        "this host's clock is 1 hour 30 minutes behind FlowGent's"
    );
    assert_eq!(
        of(Standing::Stepped(TimeDelta::days(-1))),
        "this host's clock moved back by 1 day, which FlowGent has not confirmed yet"
    );
}
