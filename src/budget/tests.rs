use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::ledger::AgentNumber;
use crate::roster::Agent;

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

fn at(text: &str) -> Option<DateTime<Utc>> {
    Some(text.parse().unwrap())
}

fn member(number: usize) -> Member {
    let agent = Agent {
        account: "acme".into(),
        id: format!("id-{number}").into(),
        name: format!("agent-{number}").into(),
        labels: Default::default(),
    };
    Member {
        agent,
        number: AgentNumber(number as i64),
        unlisted_since: None,
        left_on: None,
    }
}

/// Usage on the days from `first` on.
fn usage(first: &str, credits: &[f64]) -> Vec<Usage> {
    let first = day(first);
    let days = first.through(first.plus(credits.len() as i32 - 1));
    days.zip(credits)
        .map(|(day, &credits)| Usage { day, credits })
        .collect()
}

/// Agents with these known days, each with the pattern of them, as of `today`.
fn tally(period: Period, today: &str, agents: &[Vec<Usage>]) -> Tally {
    let today = day(today);
    let mut tally = Tally::new(period, today);
    for (number, recent) in agents.iter().enumerate() {
        let pattern = Pattern::of(recent, today);
        tally.add(&member(number), recent, pattern.as_ref(), today);
    }
    tally
}

const NOVEMBER: (&str, &str) = ("2026-11-01", "2026-12-01");

fn period((start, end): (&str, &str)) -> Period {
    let end = (!end.is_empty()).then(|| day(end));
    Period {
        start: day(start),
        end,
    }
}

#[test]
fn the_period_of_a_day() {
    let month = |anchor_day| Cycle::Month { anchor_day };
    let total = Cycle::Total {
        start: day("2026-01-15"),
    };
    let table = [
        (Cycle::Day, "2026-11-23", ("2026-11-23", "2026-11-24")),
        // 23 November is a Monday.
        (Cycle::Week, "2026-11-22", ("2026-11-16", "2026-11-23")),
        (Cycle::Week, "2026-11-23", ("2026-11-23", "2026-11-30")),
        (Cycle::Week, "2027-01-01", ("2026-12-28", "2027-01-04")),
        (month(1), "2026-11-01", NOVEMBER),
        (month(1), "2026-11-30", NOVEMBER),
        (month(15), "2026-11-14", ("2026-10-15", "2026-11-15")),
        (month(15), "2026-11-15", ("2026-11-15", "2026-12-15")),
        (month(15), "2027-01-01", ("2026-12-15", "2027-01-15")),
        (month(31), "2026-01-31", ("2026-01-31", "2026-02-28")),
        (month(31), "2026-02-27", ("2026-01-31", "2026-02-28")),
        (month(31), "2026-02-28", ("2026-02-28", "2026-03-31")),
        (month(31), "2026-03-30", ("2026-02-28", "2026-03-31")),
        (month(31), "2026-03-31", ("2026-03-31", "2026-04-30")),
        (month(31), "2026-12-31", ("2026-12-31", "2027-01-31")),
        (month(30), "2026-03-01", ("2026-02-28", "2026-03-30")),
        (month(29), "2028-02-29", ("2028-02-29", "2028-03-29")),
        (month(29), "2027-02-28", ("2027-02-28", "2027-03-29")),
        (total, "2026-11-23", ("2026-01-15", "")),
        (total, "2025-11-23", ("2026-01-15", "")),
    ];
    for (cycle, of, expected) in table {
        assert_eq!(
            cycle.period_of(day(of)),
            period(expected),
            "{cycle:?} of {of}"
        );
    }
}

#[test]
fn a_budget_that_is_known_and_lasts() {
    // Ten credits a day, on 14 days of which four lie in October.
    let agents = [usage("2026-10-28", &[10.0; 14])];
    let standing = tally(period(NOVEMBER), "2026-11-11", &agents).standing(250.0);
    assert_eq!(
        standing,
        Standing {
            period: period(NOVEMBER),
            limit_credits: 250.0,
            used_credits: Some(100.0),
            missing_days: 0,
            forecast: Some(Forecast {
                expected_credits: 300.0,
                low_credits: 300.0,
                high_credits: 300.0
            }),
            // The 250th credit is the last one of 25 November.
            exhausted_at: at("2026-11-26T00:00:00Z"),
            pace_credits_per_day: Some(10.0),
            top: vec![(member(0), 100.0)],
            agents: 1,
        }
    );
    assert_eq!(standing.used_ratio(), Some(0.4));
}

#[test]
fn when_a_budget_is_exhausted() {
    // Half a credit on the ten days that have passed, and on each to come.
    let halves = usage("2026-11-01", &[0.5; 10]);
    let table = [
        (0.0, at("2026-11-01T00:00:00Z")),
        (0.125, at("2026-11-01T06:00:00Z")),
        (0.5, at("2026-11-02T00:00:00Z")),
        (0.75, at("2026-11-02T12:00:00Z")),
        (5.0, at("2026-11-11T00:00:00Z")),
        (5.125, at("2026-11-11T06:00:00Z")),
        (15.0, at("2026-12-01T00:00:00Z")),
        (15.001, None),
    ];
    let within = tally(
        period(NOVEMBER),
        "2026-11-11",
        std::slice::from_ref(&halves),
    );
    for (limit, expected) in table {
        assert_eq!(within.standing(limit).exhausted_at, expected, "of {limit}");
    }
    // A period without end is looked ahead for a year.
    let total = period(("2026-11-01", ""));
    let endless = tally(total, "2026-11-11", &[halves]);
    let standing = endless.standing(187.5);
    assert_eq!(standing.exhausted_at, at("2027-11-11T00:00:00Z"));
    assert_eq!(
        (standing.forecast, standing.pace_credits_per_day),
        (None, Some(0.5))
    );
    assert_eq!(endless.standing(187.6).exhausted_at, None);
    // Nobody who uses nothing ever exhausts anything but nothing.
    let idle = tally(total, "2026-11-11", &[usage("2026-11-01", &[0.0; 10])]);
    assert_eq!(idle.standing(1.0).exhausted_at, None);
    assert_eq!(idle.standing(0.0).exhausted_at, at("2026-11-01T00:00:00Z"));
    assert_eq!(idle.standing(0.0).used_ratio(), None);
}

#[test]
fn missing_days_are_counted_and_expected_and_not_used() {
    // 8 credits a day but for two days that are missing, in November and in October.
    let mut recent = usage("2026-10-01", &[8.0; 41]);
    recent.retain(|usage| ![day("2026-10-20"), day("2026-11-05")].contains(&usage.day));
    let standing = tally(period(NOVEMBER), "2026-11-11", &[recent]).standing(36.0);
    assert_eq!(
        (standing.used_credits, standing.missing_days),
        (Some(72.0), 1)
    );
    assert_eq!(standing.forecast.unwrap().expected_credits, 240.0);
    // The day that is missing is where the limit was probably reached.
    assert_eq!(standing.exhausted_at, at("2026-11-05T12:00:00Z"));
}

#[test]
fn days_that_nobody_asks_for_are_zeros() {
    let standing = |until: &str| {
        let mut tally = Tally::new(period(NOVEMBER), day("2026-11-11"));
        tally.add(
            &member(0),
            &usage("2026-11-03", &[1.0; 2]),
            None,
            day(until),
        );
        tally.standing(9.0)
    };
    for (until, missing_days) in [
        ("2026-11-11", 8),
        ("2026-11-07", 4),
        ("2026-11-04", 2),
        ("2026-11-01", 0),
        ("2025-05-28", 0),
    ] {
        let standing = standing(until);
        assert_eq!(standing.missing_days, missing_days, "until {until}");
        assert_eq!(standing.used_credits, Some(2.0), "until {until}");
    }
    // Nor does anybody ask for what was before tracking started.
    let tracking = tally(
        period(("2025-05-01", "2025-06-01")),
        "2025-05-31",
        &[usage("2025-05-28", &[1.0; 3])],
    );
    assert_eq!(tracking.standing(9.0).missing_days, 0);
}

#[test]
fn periods_are_open_for_a_week_after_their_end() {
    let month = Cycle::Month { anchor_day: 1 };
    let total = Cycle::Total {
        start: day("2026-01-15"),
    };
    for (cycle, today, expected) in [
        (month, "2026-12-01", &["2026-11-01"][..]),
        (month, "2026-12-08", &["2026-11-01", "2026-12-01"]),
        (month, "2026-12-09", &["2026-12-01"]),
        (Cycle::Week, "2026-11-24", &["2026-11-16", "2026-11-23"]),
        (total, "2026-11-24", &["2026-01-15"]),
    ] {
        let open = cycle.open_periods(day(today));
        let starts: Vec<Day> = open.iter().map(|period| period.start).collect();
        let expected: Vec<Day> = expected.iter().copied().map(day).collect();
        assert_eq!(starts, expected, "{cycle:?} on {today}");
    }
}

#[test]
fn nothing_known_is_no_use_at_all_but_on_the_first_day() {
    let unknown = |today, agents: &[Vec<Usage>]| {
        let standing = tally(period(NOVEMBER), today, agents).standing(9.0);
        (
            standing.used_credits,
            standing.used_ratio(),
            standing.missing_days,
        )
    };
    assert_eq!(unknown("2026-11-03", &[vec![], vec![]]), (None, None, 4));
    assert_eq!(unknown("2026-11-03", &[]), (None, None, 0));
    assert_eq!(unknown("2026-11-01", &[vec![]]), (Some(0.0), Some(0.0), 0));
    // Of one of two, something is known.
    let one = [vec![], usage("2026-11-01", &[3.0])];
    assert_eq!(unknown("2026-11-03", &one), (Some(3.0), Some(3.0 / 9.0), 3));
}

#[test]
fn an_agent_with_too_few_days_leaves_the_forecast_to_the_others() {
    // The second is known on its last two days, and nothing is known of the third.
    let agents = [
        usage("2026-11-01", &[4.0; 10]),
        usage("2026-11-09", &[4.0; 2]),
        vec![],
    ];
    let tally = |agents: &[Vec<Usage>]| tally(period(NOVEMBER), "2026-11-11", agents);
    let standing = tally(&agents).standing(100.0);
    assert_eq!(
        (standing.used_credits, standing.missing_days),
        (Some(48.0), 18)
    );
    // 48 are used, and the first is expected to use 4 on each of 20 days.
    assert_eq!(standing.forecast.unwrap().expected_credits, 128.0);
    assert_eq!(standing.pace_credits_per_day, Some(4.0));
    assert_eq!(standing.exhausted_at, at("2026-11-24T00:00:00Z"));

    // Without the first, nothing is expected of anybody.
    let unforeseen = tally(&agents[1..]);
    let standing = unforeseen.standing(9.0);
    assert_eq!(
        (standing.forecast, standing.pace_credits_per_day),
        (None, None)
    );
    assert_eq!(standing.exhausted_at, None);
    assert_eq!(
        unforeseen.standing(8.0).exhausted_at,
        at("2026-11-11T00:00:00Z")
    );
    let nobody = Tally::new(period(NOVEMBER), day("2026-11-11")).standing(9.0);
    assert_eq!(
        (nobody.forecast, nobody.exhausted_at, nobody.agents),
        (None, None, 0)
    );
}

#[test]
fn a_period_that_is_over_stands_as_it_ended() {
    let agents = [usage("2026-10-20", &[2.0; 45])];
    let standing = tally(period(NOVEMBER), "2026-12-04", &agents).standing(61.0);
    assert_eq!(standing.used_credits, Some(60.0));
    assert_eq!(standing.forecast.unwrap().high_credits, 60.0);
    assert_eq!(standing.exhausted_at, None);
}

#[test]
fn a_total_that_has_yet_to_start_has_used_nothing() {
    let agents = [usage("2026-10-20", &[2.0; 22])];
    let total = period(("2026-11-13", ""));
    let standing = tally(total, "2026-11-11", &agents).standing(3.0);
    assert_eq!(
        (standing.used_credits, standing.missing_days),
        (Some(0.0), 0)
    );
    assert_eq!(standing.exhausted_at, at("2026-11-14T12:00:00Z"));
}

#[test]
fn the_three_who_used_most_are_told() {
    let used = [3.0, 0.0, 7.0, 7.0, 1.0, 5.0];
    let agents: Vec<_> = used
        .iter()
        .map(|used| usage("2026-11-10", &[*used]))
        .collect();
    let top = |agents: &[Vec<Usage>]| {
        let tally = tally(period(NOVEMBER), "2026-11-11", agents);
        let top = tally.standing(9.0).top.into_iter();
        top.map(|(member, used)| (member.agent.name.to_string(), used))
            .collect::<Vec<_>>()
    };
    let named = |number, used| (format!("agent-{number}"), used);
    assert_eq!(top(&agents), [named(2, 7.0), named(3, 7.0), named(5, 5.0)]);
    assert_eq!(top(&agents[..2]), [named(0, 3.0)]);
}

/// An agent of the model.
#[derive(Debug, Clone)]
struct Known {
    days: BTreeMap<Day, f64>,
    asked_until: Day,
}

impl Known {
    fn recent(&self) -> Vec<Usage> {
        let usage = |(&day, &credits): (&Day, &f64)| Usage { day, credits };
        self.days.iter().map(usage).collect()
    }

    fn pattern(&self, today: Day) -> Option<Pattern> {
        Pattern::of(&self.recent(), today)
    }

    /// Credits on a day, and whether they are known.
    fn on(&self, day: Day, today: Day) -> (f64, bool) {
        let known = self.days.get(&day).filter(|_| day < today);
        if let Some(credits) = known {
            (*credits, true)
        } else if day < today && (day >= self.asked_until || day < TRACKING_START) {
            (0.0, true)
        } else {
            let pattern = self.pattern(today);
            let expected = pattern.map_or(0.0, |pattern| pattern.expected_credits(day));
            (expected, false)
        }
    }
}

/// A standing by the words of its definition, day by day and agent by agent.
#[derive(Debug)]
struct Naive {
    used: f64,
    missing: u32,
    expected: Option<f64>,
    exhausted_at: Option<f64>,
}

impl Naive {
    fn of(agents: &[Known], period: Period, today: Day, limit: f64) -> Self {
        let foreseen = agents.iter().any(|agent| agent.pattern(today).is_some());
        let mut naive = Self {
            used: 0.0,
            missing: 0,
            expected: Some(0.0),
            exhausted_at: None,
        };
        let mut sum = 0.0;
        let end = period.end.unwrap_or(today.max(period.start).plus(365));
        for day in period.start.through(end.previous()) {
            let before = sum;
            for agent in agents {
                let (credits, is_known) = agent.on(day, today);
                if is_known {
                    naive.used += credits;
                } else if day < today {
                    naive.missing += 1;
                }
                sum += credits;
            }
            if sum >= limit && naive.exhausted_at.is_none() {
                let part = (limit - before) / (sum - before);
                naive.exhausted_at = Some(f64::from(day.number()) + part);
            }
        }
        naive.expected = (foreseen && period.end.is_some()).then_some(sum);
        naive
    }
}

prop_compose! {
    fn any_agent()(
        first in 0..80_i32,
        days in prop::collection::vec((0.0..100.0, prop::bool::weighted(0.9)), 0..130),
        asked in 0..240_i32,
    ) -> Known {
        let day = |number| TRACKING_START.plus(first - 20 + number);
        let known = (0..).zip(days).filter(|(_, (_, known))| *known);
        Known {
            days: known.map(|(number, (credits, _))| (day(number), credits)).collect(),
            asked_until: TRACKING_START.plus(asked - 20),
        }
    }
}

fn any_cycle() -> impl Strategy<Value = Cycle> {
    prop_oneof![
        Just(Cycle::Day),
        Just(Cycle::Week),
        (1..=31_u32).prop_map(|anchor_day| Cycle::Month { anchor_day }),
        (0..130_i32).prop_map(|start| Cycle::Total {
            start: TRACKING_START.plus(start - 10)
        }),
    ]
}

proptest! {
    #[test]
    fn every_day_lies_in_one_period_and_the_next_begins_where_it_ends(
        cycle in any_cycle(),
        number in 15_000..40_000_i32,
    ) {
        let day = Day::from_number(number);
        let Period { start, end } = cycle.period_of(day);
        if let Some(end) = end {
            prop_assert!(start <= day && day < end);
            prop_assert_eq!(cycle.period_of(start), Period { start, end: Some(end) });
            prop_assert_eq!(cycle.period_of(end.previous()).start, start);
            prop_assert_eq!(cycle.period_of(end).start, end);
        }
        if let Cycle::Month { anchor_day } = cycle {
            let length = next_month(start.month_start()).since(start.month_start());
            let number = start.since(start.month_start()) + 1;
            prop_assert_eq!(number, length.min(anchor_day as i32));
        }
    }

    #[test]
    fn a_standing_is_what_its_words_say_day_by_day(
        agents in prop::collection::vec(any_agent(), 0..4),
        cycle in any_cycle(),
        today in 1..160_i32,
        lag in 0..8_i32,
        limit in prop_oneof![0.001..200.0, 0.001..20_000.0],
    ) {
        let today = TRACKING_START.plus(today);
        let period = cycle.period_of(today.plus(-1 - lag));
        let mut tally = Tally::new(period, today);
        for (number, agent) in agents.iter().enumerate() {
            let pattern = agent.pattern(today);
            tally.add(&member(number), &agent.recent(), pattern.as_ref(), agent.asked_until);
        }
        let standing = tally.standing(limit);
        let naive = Naive::of(&agents, period, today, limit);
        let close = |one: f64, other: f64| (one - other).abs() < 1e-6;
        prop_assert!(close(standing.used_credits.unwrap_or(0.0), naive.used), "{naive:?}");
        prop_assert_eq!(standing.missing_days, naive.missing);
        let expected = standing.forecast.map(|forecast| forecast.expected_credits);
        prop_assert_eq!(expected.is_some(), naive.expected.is_some());
        prop_assert!(close(expected.unwrap_or(0.0), naive.expected.unwrap_or(0.0)), "{naive:?}");
        let exhausted = standing.exhausted_at.map(|at| at.timestamp_millis() as f64 / 86_400_000.0);
        prop_assert_eq!(exhausted.is_some(), naive.exhausted_at.is_some(), "{:?}", naive);
        prop_assert!(close(exhausted.unwrap_or(0.0), naive.exhausted_at.unwrap_or(0.0)), "{naive:?}");
        if standing.used_credits.is_some_and(|used| used >= limit) {
            prop_assert!(standing.exhausted_at.is_some_and(|at| at <= today.start()));
        }
        if let Some(forecast) = standing.forecast {
            prop_assert!(naive.used <= forecast.low_credits + 1e-9);
            prop_assert!(forecast.low_credits <= forecast.expected_credits);
            prop_assert!(forecast.expected_credits <= forecast.high_credits);
        }
    }
}
