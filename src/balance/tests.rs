use super::*;
use crate::budget::Standing;
use crate::day::Usage;
use crate::forecast::Pattern;
use crate::ledger::{AgentNumber, Member};
use crate::roster::Agent;

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

fn at(text: &str) -> Option<DateTime<Utc>> {
    Some(text.parse().unwrap())
}

/// 812 of 1,000 credits that were set on 1 November are left on the 30th, where so many days are missing.
pub(crate) fn left(missing_days: u32) -> Left {
    Left {
        standing: Standing {
            period: Period {
                start: day("2026-11-01"),
                end: None,
            },
            limit_credits: 1_000.0,
            used_credits: Some(188.0),
            missing_days,
            forecast: None,
            exhausted_at: at("2026-12-09T12:00:00Z"),
            pace_credits_per_day: Some(85.5),
            top: Vec::new(),
            agents: 3,
        },
        bounds: [at("2026-12-07T06:00:00Z"), at("2026-12-12T18:00:00Z")],
        correction_credits: Some(-120.0),
        today: day("2026-11-30"),
    }
}

fn set(on: &str, credits: f64) -> Entry {
    Entry {
        on: day(on),
        change: Change::Set(credits),
    }
}

fn add(on: &str, credits: f64) -> Entry {
    Entry {
        on: day(on),
        change: Change::Add(credits),
    }
}

fn member(number: i64) -> Member {
    let agent = Agent {
        account: "acme".into(),
        id: format!("id-{number}").into(),
        name: format!("agent-{number}").into(),
        labels: Default::default(),
    };
    Member::present(agent, AgentNumber(number))
}

/// What is left by these entries, of agents that used the same on every day in a span but for some.
fn left_of(entries: &[Entry], today: &str, agents: &[(&str, f64, &[&str])]) -> Option<Left> {
    let today = day(today);
    let account = Entries::new(entries).unwrap().account(today)?;
    let mut tallies = account.tallies(today);
    for (number, (first, credits, missing)) in (1..).zip(agents) {
        let missing: Vec<Day> = missing.iter().map(|text| day(text)).collect();
        let days = day(first).through(today.previous());
        let days = days.filter(|day| !missing.contains(day));
        let usage: Vec<Usage> = days
            .map(|day| Usage {
                day,
                credits: *credits,
            })
            .collect();
        let pattern = Pattern::of(&usage, today);
        for tally in &mut tallies {
            tally.add(&member(number), &usage, pattern.as_ref(), today);
        }
    }
    let tallies: Vec<&Tally> = tallies.iter().collect();
    Left::of(&account, &tallies, today)
}

#[test]
fn the_account_of_a_day_is_the_last_set_and_what_was_added_since() {
    let entries = [
        add("2026-03-10", 5_000.0),
        set("2026-01-01", 1_234.0),
        add("2025-12-01", 77.0),
        set("2026-06-01", 800.0),
        add("2026-06-02", 10.0),
        add("2026-06-02", 20.0),
    ];
    let entries = Entries::new(&entries).unwrap();
    let account = |today: &str| {
        let account = entries.account(day(today))?;
        let closed = account.closed.map(|closed| {
            let since = closed.since.to_string();
            (since, closed.credits, closed.set_credits)
        });
        Some((account.since.to_string(), account.credits, closed))
    };
    assert_eq!(account("2025-12-31"), None);
    let opened = |credits| Some(("2026-01-01".to_owned(), credits, None));
    assert_eq!(account("2026-01-01"), opened(1_234.0));
    assert_eq!(account("2026-03-09"), opened(1_234.0), "not its day yet");
    assert_eq!(account("2026-03-10"), opened(6_234.0));
    let again = |credits| {
        let closed = ("2026-01-01".to_owned(), 6_234.0, 800.0);
        Some(("2026-06-01".to_owned(), credits, Some(closed)))
    };
    assert_eq!(account("2026-06-01"), again(800.0));
    assert_eq!(account("2026-06-02"), again(830.0));
    let first = entries.account(day("2026-07-01")).unwrap().first_day();
    assert_eq!(first, day("2026-01-01"));
}

#[test]
fn entries_that_contradict_each_other_are_refused_by_their_place() {
    let clash = |entries: &[Entry]| {
        let (place, error) = Entries::new(entries).unwrap_err();
        format!("{place}: {error}")
    };
    assert_eq!(
        clash(&[
            set("2026-01-02", 1.0),
            set("2026-01-01", 1.0),
            set("2026-01-02", 2.5)
        ]),
        "2: 2026-01-02 has two `set`s, 1 and 2.5"
    );
    let unclear = "1: 2026-01-02 has a `set` and an `add`, and which came first is unknown";
    assert_eq!(
        clash(&[set("2026-01-02", 1.0), add("2026-01-02", 1.0)]),
        unclear
    );
    assert_eq!(
        clash(&[add("2026-01-02", 1.0), set("2026-01-02", 1.0)]),
        unclear
    );
    assert!(Entries::new(&[add("2026-01-02", 1.0), add("2026-01-02", 1.0)]).is_ok());
}

#[test]
fn the_whole_day_of_the_set_counts_after_it_and_no_day_before() {
    // Ten days from 20 November on, 29 November being the last that is over.
    let agents = [("2026-10-01", 20.0, &[][..])];
    let left = left_of(&[set("2026-11-20", 500.0)], "2026-11-30", &agents).unwrap();
    assert_eq!(left.credits(), Some(300.0));
    assert_eq!(left.days_left(), Some(15.0));
    assert_eq!(left.standing.exhausted_at, at("2026-12-15T00:00:00Z"));
    assert_eq!(left.standing.last_day(), Some(day("2026-12-14")));
    // Use without any stray has no bounds but itself.
    assert_eq!(left.days_left_bounds(), [Some(15.0); 2]);
    let today = left_of(&[set("2026-11-30", 500.0)], "2026-11-30", &agents).unwrap();
    assert_eq!(
        (today.credits(), today.days_left()),
        (Some(500.0), Some(25.0))
    );
    let topped = [set("2026-11-20", 500.0), add("2026-11-29", 1_000.0)];
    let topped = left_of(&topped, "2026-11-30", &agents).unwrap();
    assert_eq!(
        (topped.credits(), topped.days_left()),
        (Some(1_300.0), Some(65.0))
    );
}

#[test]
fn while_days_are_missing_what_is_left_is_a_bound_and_days_left_count_what_is_expected() {
    let missing = ["2026-11-28", "2026-11-29"];
    let agents = [
        ("2026-10-01", 20.0, &missing[..]),
        ("2026-10-01", 10.0, &[][..]),
    ];
    let left = left_of(&[set("2026-11-20", 500.0)], "2026-11-30", &agents).unwrap();
    // 8 · 20 + 10 · 10 are known, and twice 20 expected: 200 for 30 a day.
    assert_eq!(left.credits(), Some(240.0));
    assert_eq!(left.standing.missing_days, 2);
    assert!((left.days_left().unwrap() - 200.0 / 30.0).abs() < 1e-6);
    let fresh = left_of(
        &[set("2026-11-20", 500.0)],
        "2026-11-30",
        &[("2026-11-30", 0.0, &[])],
    );
    let fresh = fresh.unwrap();
    assert_eq!((fresh.credits(), fresh.days_left()), (Some(500.0), None));
    assert_eq!(fresh.standing.missing_days, 10);
    assert!(!fresh.lasts(), "nothing is foreseen");
    let nobody = left_of(&[set("2026-11-20", 500.0)], "2026-11-30", &[]).unwrap();
    assert_eq!(nobody.credits(), None, "whose use would that be?");
}

#[test]
fn what_is_gone_was_used_up_then_and_what_lasts_for_a_year_has_no_day() {
    let used = |credits| {
        let agents = [("2026-10-01", credits, &[][..])];
        left_of(&[set("2026-11-20", 100.0)], "2026-11-30", &agents).unwrap()
    };
    let gone = used(20.0);
    assert_eq!(gone.credits(), Some(-100.0));
    assert!(gone.is_used_up());
    assert_eq!(gone.standing.exhausted_at, at("2026-11-25T00:00:00Z"));
    assert_eq!(gone.days_left(), Some(0.0));
    assert_eq!(gone.days_left_bounds(), [Some(0.0); 2]);
    let lasting = used(0.25);
    assert_eq!((lasting.credits(), lasting.days_left()), (Some(97.5), None));
    assert!(lasting.lasts() && lasting.days_left_bounds() == [None; 2]);
    let just = used(0.2667);
    assert_eq!(just.days_left().map(f64::floor), Some(364.0));
}

#[test]
fn another_set_says_by_how_much_the_account_before_was_off() {
    let agents = [("2026-10-01", 20.0, &[][..])];
    let entries = [
        set("2026-11-01", 1_000.0),
        add("2026-11-05", 200.0),
        set("2026-11-11", 880.0),
    ];
    let left = left_of(&entries, "2026-11-30", &agents).unwrap();
    // By 11 November 1,200 − 10 · 20 = 1,000 should have been left.
    assert_eq!(left.correction_credits, Some(-120.0));
    assert_eq!(left.credits(), Some(880.0 - 19.0 * 20.0));
    let missing = [("2026-10-01", 20.0, &["2026-11-03"][..])];
    let unknown = left_of(&entries, "2026-11-30", &missing).unwrap();
    assert_eq!(
        (unknown.correction_credits, unknown.standing.missing_days),
        (None, 0)
    );
    let first = left_of(&entries, "2026-11-10", &agents).unwrap();
    assert_eq!(first.correction_credits, None);
}

#[test]
fn the_bounds_are_the_days_on_which_the_bounds_of_use_reach_the_limit() {
    // Weeks of 10 and of 30 a day in turn.
    let today = day("2026-11-30");
    let usage: Vec<Usage> = today
        .plus(-56)
        .through(today.previous())
        .map(|day| Usage {
            day,
            credits: if today.since(day).rem_euclid(14) > 7 {
                10.0
            } else {
                30.0
            },
        })
        .collect();
    let pattern = Pattern::of(&usage, today).unwrap();
    let account = Entries::new(&[set("2026-11-30", 700.0)]).unwrap();
    let account = account.account(today).unwrap();
    let mut tallies = account.tallies(today);
    tallies[0].add(&member(1), &usage, Some(&pattern), today);
    let left = Left::of(&account, &[&tallies[0]], today).unwrap();
    let [low, high] = left.days_left_bounds().map(Option::unwrap);
    let days = left.days_left().unwrap();
    assert!(low < days && days < high, "{low} {days} {high}");
    let forecast = |days: f64, later: i32| {
        let last = today.plus(days.floor() as i32 + later).previous();
        pattern.forecast(0.0, today.through(last))
    };
    assert!(forecast(low, 0).high_credits < 700.0 && forecast(low, 1).high_credits >= 700.0);
    assert!(forecast(high, 0).low_credits < 700.0 && forecast(high, 1).low_credits >= 700.0);
}

#[test]
fn what_cannot_be_an_entry_is_refused_each_with_its_message() {
    let refused = |json: &str| {
        let written: Written = serde_json::from_str(json).unwrap();
        Entry::try_from(written).unwrap_err().to_string()
    };
    let table = [
        (r#"{"set": 1}"#, "an entry has no `on`"),
        (
            r#"{"on": "2025-05-27", "set": 1}"#,
            "the entry on 2025-05-27 is before 2025-05-28, when tracking started",
        ),
        (
            r#"{"on": "2026-01-01"}"#,
            "the entry on 2026-01-01 has neither of `set` and `add`",
        ),
        (
            r#"{"on": "2026-01-01", "set": 1, "add": 1}"#,
            "the entry on 2026-01-01 has both of `set` and `add`",
        ),
        (
            r#"{"on": "2026-01-01", "set": -1}"#,
            "`set` -1 is not between 0 and 1000000000000",
        ),
        (
            r#"{"on": "2026-01-01", "set": 1e13}"#,
            "`set` 10000000000000 is not between 0 and 1000000000000",
        ),
        (
            r#"{"on": "2026-01-01", "add": 0}"#,
            "`add` 0 is not above 0 and at most 1000000000000",
        ),
    ];
    for (json, message) in table {
        assert_eq!(refused(json), message);
    }
    assert!(refused(r#"{"on": "1 May", "set": 1}"#).contains("1 May"));
}
