use super::*;
use crate::budget::{Period, Tally};
use crate::day::Usage;
use crate::ledger::{AgentNumber, Member};
use crate::roster::Agent;
use crate::sheet::Sums;

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

fn settings(period: Step, by: &str, top: usize) -> Settings {
    Settings {
        name: "monday".into(),
        period,
        grouping: by.parse().unwrap(),
        top,
        hooks: vec!["ops".into()],
    }
}

/// Adds an agent that used the same credits on each day of the period and of the one before, but for the days that
/// are missing.
fn add(sheet: &mut Sheet, number: i64, name: &str, (before, used): (f64, f64), missing: &[&str]) {
    let agent = Agent {
        account: "acme".into(),
        id: name.into(),
        name: name.into(),
        labels: Arc::default(),
    };
    let missing: Vec<Day> = missing.iter().map(|text| day(text)).collect();
    let days = sheet.before.start().through(sheet.range.end());
    let usage: Vec<Usage> = days
        .filter(|day| !missing.contains(day))
        .map(|day| Usage {
            day,
            credits: if day < sheet.range.start() {
                before
            } else {
                used
            },
        })
        .collect();
    let sums = Sums::of(&sheet.buckets, sheet.before, &usage);
    sheet.add(&Member::present(agent, AgentNumber(number)), &sums);
}

#[test]
fn a_period_is_the_last_one_that_has_ended_and_is_held_against_the_one_before() {
    for (period, today, range, before) in [
        (
            Step::Week,
            "2026-11-30",
            "2026-11-23 through 2026-11-29",
            "2026-11-16 through 2026-11-22",
        ),
        (
            Step::Week,
            "2026-12-06",
            "2026-11-23 through 2026-11-29",
            "2026-11-16 through 2026-11-22",
        ),
        (
            Step::Month,
            "2026-03-01",
            "2026-02-01 through 2026-02-28",
            "2026-01-01 through 2026-01-31",
        ),
        (
            Step::Month,
            "2026-11-30",
            "2026-10-01 through 2026-10-31",
            "2026-09-01 through 2026-09-30",
        ),
    ] {
        let sheet = settings(period, "agent", 10).sheet(day(today));
        assert_eq!(sheet.range.to_string(), range, "{today}");
        assert_eq!(sheet.before.to_string(), before, "{today}");
        assert_eq!(sheet.buckets, [sheet.range]);
    }
}

#[test]
fn it_is_ready_once_all_is_known_and_otherwise_two_days_after_the_end() {
    let settings = settings(Step::Week, "agent", 10);
    let (monday, wednesday) = (day("2026-11-30"), day("2026-12-02"));
    let mut sheet = settings.sheet(monday);
    assert!(
        !settings.is_ready(&sheet, wednesday, false),
        "nobody is known"
    );
    add(&mut sheet, 1, "support", (1.0, 1.0), &["2026-11-17"]);
    assert!(
        settings.is_ready(&sheet, monday, false),
        "days before do not count"
    );
    add(&mut sheet, 2, "sales", (1.0, 1.0), &["2026-11-29"]);
    assert!(!settings.is_ready(&sheet, monday, false));
    assert!(!settings.is_ready(&sheet, day("2026-12-01"), false));
    assert!(settings.is_ready(&sheet, wednesday, false));
}

#[test]
fn it_says_who_used_how_much_and_what_has_changed() {
    let settings = settings(Step::Week, "agent", 2);
    let today = day("2026-11-30");
    let mut sheet = settings.sheet(today);
    add(&mut sheet, 1, "support", (100.0, 112.0), &[]);
    add(&mut sheet, 2, "sales", (50.0, 100.0), &[]);
    add(&mut sheet, 3, "faq", (50.0, 4.0), &[]);
    add(&mut sheet, 4, "idle", (0.0, 0.0), &[]);
    let url = Some("https://dash.example/");
    let summary = settings.summary(sheet.sorted(), &Purses::default(), url, today);
    assert_eq!(
        summary.title,
        "Summary monday: 1,512 credits used from 23 Nov through 29 Nov, 8% more than in the week before"
    );
    assert_eq!(
        summary.text,
        "1,512 credits used, 8% more than in the week before (1,400).\n\n\
         Growing fastest:\n\
         acme/sales: from 350 to 700 credits\n\
         acme/support: from 700 to 784 credits\n\n\
         Top agents:\n\
         1. acme/support: 784 credits (52%), 12% more\n\
         2. acme/sales: 700 credits (46%), 100% more\n\
         2 others: 28 credits (2%), 92% less"
    );
    assert_eq!(
        (summary.first_day.as_str(), summary.last_day.as_str()),
        ("2026-11-23", "2026-11-29")
    );
    assert_eq!(
        (summary.by.as_str(), summary.period.as_str()),
        ("agent", "week")
    );
    assert_eq!(summary.url.as_deref(), url);
    assert_eq!(summary.top.len(), 2);
    assert_eq!(summary.total.known_credits, 1_512.0);
    let kept: Summary = serde_json::from_str(&serde_json::to_string(&summary).unwrap()).unwrap();
    assert_eq!(kept, summary);
}

#[test]
fn where_days_are_missing_it_says_at_least_and_compares_nothing() {
    let settings = settings(Step::Month, "account", 10);
    let today = day("2026-11-03");
    let mut sheet = settings.sheet(today);
    add(
        &mut sheet,
        1,
        "support",
        (10.0, 10.0),
        &["2026-10-30", "2026-10-31"],
    );
    add(&mut sheet, 2, "sales", (1.0, 1.0), &["2026-09-30"]);
    let summary = settings.summary(sheet.sorted(), &Purses::default(), None, today);
    assert_eq!(
        summary.title,
        "Summary monday: at least 321 credits used in October 2026"
    );
    assert_eq!(
        summary.text,
        "At least 321 credits used; at least 329 in September.\n\
         2 agent-days are missing, so use may be higher: of acme (2).\n\n\
         Top accounts:\n\
         1. acme: at least 321 credits"
    );
    assert!(summary.growing.is_empty());
    assert_eq!(summary.total.gained_credits(), None);
}

#[test]
fn missing_days_of_many_are_told_of_those_that_lack_most() {
    let settings = settings(Step::Week, "agent", 10);
    let today = day("2026-12-02");
    let mut sheet = settings.sheet(today);
    for (number, name) in (1..).zip(["a", "b", "c", "d"]) {
        add(
            &mut sheet,
            number,
            name,
            (0.0, 1.0),
            &["2026-11-28", "2026-11-29"][..1 + usize::from(name == "d")],
        );
    }
    let summary = settings.summary(sheet.sorted(), &Purses::default(), None, today);
    let line = summary.text.lines().nth(1).unwrap();
    assert_eq!(
        line,
        "5 agent-days are missing, so use may be higher: of acme/d (2), acme/a (1), acme/b (1), and others."
    );
    assert!(
        summary
            .text
            .starts_with("At least 23 credits used; none in the week before."),
        "{}",
        summary.text
    );
}

#[test]
fn while_more_may_come_what_is_missing_is_waited_for() {
    let settings = settings(Step::Week, "agent", 10);
    let friday = day("2026-12-04");
    let mut sheet = settings.sheet(friday);
    add(&mut sheet, 1, "support", (1.0, 1.0), &[]);
    assert!(settings.is_ready(&sheet, friday, true), "all is known");
    add(&mut sheet, 2, "sales", (1.0, 1.0), &["2026-11-29"]);
    assert!(!settings.is_ready(&sheet, friday, true));
    assert!(settings.is_ready(&sheet, friday, false));
}

#[test]
fn who_used_nothing_has_no_row_and_what_rounding_hides_is_no_growth() {
    let settings = settings(Step::Week, "agent", 10);
    let today = day("2026-11-30");
    let mut sheet = settings.sheet(today);
    add(&mut sheet, 1, "support", (100.0, 100.01), &[]);
    for (number, name) in (2..).zip(["a", "b", "c"]) {
        add(&mut sheet, number, name, (0.0, 0.0), &[]);
    }
    let summary = settings.summary(sheet.sorted(), &Purses::default(), None, today);
    assert_eq!(
        summary.text,
        "700 credits used; 700 in the week before.\n\n\
         Top agents:\n\
         1. acme/support: 700 credits (100%)\n\
         3 others: 0 credits (0%)"
    );
    assert_eq!((summary.top.len(), summary.growing.len()), (1, 0));
}

#[test]
fn of_nothing_known_it_says_so_and_of_a_thousandfold_no_percentage() {
    let settings = settings(Step::Week, "agent", 10);
    let today = day("2026-12-02");
    let mut sheet = settings.sheet(today);
    let days: Vec<String> = (23..30).map(|number| format!("2026-11-{number}")).collect();
    let days: Vec<&str> = days.iter().map(String::as_str).collect();
    add(&mut sheet, 1, "support", (1.0, 1.0), &days);
    let summary = settings.summary(sheet.sorted(), &Purses::default(), None, today);
    assert_eq!(
        summary.title,
        "Summary monday: nothing is known of use from 23 Nov through 29 Nov"
    );
    assert_eq!(
        summary.text,
        "Nothing is known of use; 7 in the week before.\n\
         7 agent-days are missing, so use may be higher: of acme/support (7)."
    );
    let mut sheet = settings.sheet(today);
    add(&mut sheet, 1, "support", (0.0001, 100.0), &[]);
    let summary = settings.summary(sheet.sorted(), &Purses::default(), None, today);
    assert_eq!(
        summary.title,
        "Summary monday: 700 credits used from 23 Nov through 29 Nov"
    );
}

#[test]
fn budgets_and_balances_say_of_which_days_they_are() {
    let settings = settings(Step::Week, "agent", 10);
    let today = day("2026-12-02");
    let period = Period {
        start: day("2026-12-01"),
        end: Some(day("2027-01-01")),
    };
    let mut tally = Tally::new(period, today);
    let nobody = tally.standing(5_000.0);
    let agent = Agent {
        account: "acme".into(),
        id: "a".into(),
        name: "a".into(),
        labels: Arc::default(),
    };
    let member = Member::present(agent, AgentNumber(1));
    let usage = Usage {
        day: period.start,
        credits: 120.0,
    };
    tally.add(&member, &[usage], None, today);
    let standing = tally.standing(5_000.0);
    let purses = Purses {
        budgets: vec![("cx-month", None, &standing), ("nobody", None, &nobody)],
        balances: Vec::new(),
    };
    let mut sheet = settings.sheet(today);
    add(&mut sheet, 1, "support", (1.0, 1.0), &[]);
    let summary = settings.summary(sheet.sorted(), &purses, None, today);
    let lines: Vec<&str> = summary.budgets.iter().map(|line| &*line.text).collect();
    assert_eq!(lines, ["120 of 5,000 credits used (2%) on 1 Dec"]);
    assert!(
        summary
            .text
            .contains("\n\nBudgets:\ncx-month: 120 of 5,000"),
        "{}",
        summary.text
    );
}

#[test]
fn of_very_many_subjects_of_a_budget_those_that_used_most_are_named() {
    let settings = settings(Step::Week, "agent", 10);
    let today = day("2026-12-02");
    let period = Period {
        start: day("2026-12-01"),
        end: Some(day("2027-01-01")),
    };
    let standing = |used| Standing {
        used_credits: Some(used),
        agents: 1,
        ..Tally::new(period, today).standing(100.0)
    };
    let standings: Vec<Standing> = (0..1_000).map(|used| standing(f64::from(used))).collect();
    let names: Vec<String> = (0..1_000).map(|number| format!("team-{number}")).collect();
    let each = names.iter().zip(&standings);
    let purses = Purses {
        budgets: each
            .map(|(name, standing)| ("teams", Some(&**name), standing))
            .collect(),
        balances: Vec::new(),
    };
    let mut sheet = settings.sheet(today);
    add(&mut sheet, 1, "support", (1.0, 1.0), &[]);
    let summary = settings.summary(sheet.sorted(), &purses, None, today);
    let names: Vec<&str> = summary.budgets.iter().map(|line| &*line.name).collect();
    assert_eq!(
        (names.len(), names[0], names[10]),
        (11, "teams (team-999)", "teams")
    );
    assert_eq!(summary.budgets[10].text, "990 others");
}

#[test]
fn it_needs_the_last_period_and_the_one_before() {
    for (period, today, first) in [
        (Step::Week, "2026-11-29", "2026-11-09"),
        (Step::Week, "2026-11-30", "2026-11-16"),
        (Step::Month, "2026-11-03", "2026-09-01"),
        (Step::Month, "2025-06-03", "2025-05-28"),
    ] {
        let reach = settings(period, "agent", 10).reach();
        assert_eq!(reach.first_day(day(today)), Some(day(first)), "{today}");
    }
}
