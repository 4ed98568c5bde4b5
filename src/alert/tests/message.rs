//! The whole of what people read, for every kind of rule.

use super::super::message::{self, Ending};
use super::probes::{NO_CREDITS, probed, probes};
use super::*;
use crate::ledger::{Alert, ProbeOutcome};

const NOW: &str = "2026-11-23T00:12:00Z";

/// Three agents that used these credits on every span.
fn agents(credits: [f64; 3]) -> Vec<AgentFacts> {
    let members = members(&[("acme", "support"), ("acme", "sales"), ("globex", "legal")]);
    let read = |(member, credits): (&Member, f64)| {
        let mut facts = AgentFacts {
            previous_7_days: known(credits),
            previous_30_days: known(credits),
            month_to_date: known(credits),
            ..AgentFacts::unread(member, day("2026-11-23"))
        };
        facts.used(Some(credits));
        facts
    };
    members.iter().zip(credits).map(read).collect()
}

/// An alert of this observation that fires.
fn alert(observation: &Observation<'_>) -> Alert {
    Alert {
        key: observation.key.clone(),
        state: AlertState::Firing,
        since: at(NOW),
        fired_at: Some(at(NOW)),
        hooks: BTreeSet::new(),
        over_hooks: BTreeSet::new(),
        agent: observation.agent_number(),
        days: Vec::new(),
        below_since: None,
        is_closed: false,
        notice: String::new(),
    }
}

/// Notice sent of it.
fn notice(observation: &Observation<'_>, url: Option<&str>) -> Notice {
    message::firing(observation, &alert(observation), None, url)
}

/// The title and the text of what `rule` tells of its first subject when it fires, without its link.
fn fires(rule: &Rule, facts: &Facts) -> String {
    let observations = judge(std::slice::from_ref(rule), facts);
    let notice = notice(&observations[0], Some("https://example.com/"));
    assert_eq!(notice.url.as_deref(), Some("https://example.com/"));
    assert!(notice.title.chars().count() <= 120, "{}", notice.title);
    format!("{}\n{}", notice.title, notice.text)
}

/// The same of its end.
fn ends(rule: &Rule, facts: &Facts, ending: Ending) -> String {
    let observations = judge(std::slice::from_ref(rule), facts);
    let seen = (ending != Ending::Gone).then_some(&observations[0]);
    let alert = Alert {
        notice: message::json(&notice(&observations[0], None)),
        ..alert(&observations[0])
    };
    let notice = message::resolved(&alert, seen, ending, at(NOW));
    assert!(notice.title.chars().count() <= 120, "{}", notice.title);
    format!("{}\n{}", notice.title, notice.text)
}

fn cx(threshold: Threshold) -> Rule {
    budget("cx-month", MONTH, 5_000.0, &[threshold])
}

fn on(today: &str, standing: Standing) -> Facts {
    let mut facts = facts(today);
    facts
        .budgets
        .insert("cx-month".into(), vec![current(standing)]);
    facts
}

/// 4,012 credits of November by three agents, at a pace that is too fast.
fn fast() -> Standing {
    let top = agents([0.0; 3]).into_iter().zip([2_100.0, 900.5, 500.0]);
    Standing {
        missing_days: 4,
        forecast: forecast(5_460.0),
        exhausted_at: Some(at("2026-11-27T15:00:00Z")),
        pace_credits_per_day: Some(182.42),
        top: top
            .map(|(facts, credits)| (facts.member, credits))
            .collect(),
        ..november(4_012.0)
    }
}

/// A budget's messages and what each is about.
fn of_budgets() -> Vec<(&'static str, String)> {
    let slow = Standing {
        missing_days: 1,
        forecast: forecast(4_800.0),
        exhausted_at: None,
        top: Vec::new(),
        ..fast()
    };
    let exhausted = Standing {
        missing_days: 0,
        exhausted_at: Some(at("2026-11-21T00:00:00Z")),
        used_credits: Some(5_100.0),
        top: Vec::new(),
        ..fast()
    };
    let unknown = Standing {
        used_credits: None,
        missing_days: 66,
        ..november(0.0)
    };
    let better = Standing {
        forecast: forecast(4_600.0),
        pace_credits_per_day: Some(88.5),
        ..november(3_900.0)
    };
    let today = "2026-11-23";
    let told =
        |threshold, today, standing: &Standing| fires(&cx(threshold), &on(today, standing.clone()));
    let over = |threshold, today, ending| ends(&cx(threshold), &on(today, better.clone()), ending);
    vec![
        (
            "used, too fast, days missing",
            told(used(0.8), today, &fast()),
        ),
        ("expected, too fast", told(expected(1.0), today, &fast())),
        ("used, within the budget", told(used(0.8), today, &slow)),
        (
            "expected, within the budget",
            told(expected(0.9), today, &slow),
        ),
        ("used up", told(used(1.0), today, &exhausted)),
        ("expected, used up", told(expected(1.0), today, &exhausted)),
        (
            "used up, period over",
            told(used(1.0), "2026-12-01", &exhausted),
        ),
        (
            "used, no forecast",
            told(used(0.5), "2026-11-04", &november(2_500.0)),
        ),
        ("nothing known", told(used(0.5), today, &unknown)),
        ("below again", over(used(0.8), today, Ending::Quiet)),
        (
            "expected below again",
            over(expected(1.0), today, Ending::Quiet),
        ),
        (
            "period over",
            over(used(0.8), "2026-12-02", Ending::PeriodOver),
        ),
        ("not watched any more", over(used(0.8), today, Ending::Gone)),
    ]
}

/// The same for other periods than months.
fn of_periods() -> Vec<(&'static str, String)> {
    let told = |cycle, start, end: Option<&str>, exhausted: Option<&str>, expected: Option<f64>| {
        let standing = Standing {
            period: Period {
                start: day(start),
                end: end.map(day),
            },
            exhausted_at: exhausted.map(at),
            pace_credits_per_day: Some(10.0),
            forecast: expected.and_then(forecast),
            ..november(4_100.0)
        };
        let rule = budget("cx-month", cycle, 5_000.0, &[used(0.8)]);
        fires(&rule, &on("2026-11-23", standing))
    };
    let total = Cycle::Total {
        start: day("2025-05-28"),
    };
    let late = Cycle::Month { anchor_day: 15 };
    let (midday, midnight) = ("2026-11-29T12:00:00Z", "2026-12-14T00:00:00Z");
    let next_year = Some("2027-03-14T12:00:00Z");
    let week = ("2026-11-23", "2026-11-30");
    vec![
        (
            "total, with an end in sight",
            told(total, "2025-05-28", None, next_year, None),
        ),
        (
            "total, without",
            told(total, "2025-05-28", None, None, None),
        ),
        (
            "day",
            told(Cycle::Day, "2026-11-22", Some(week.0), None, None),
        ),
        (
            "week",
            told(
                Cycle::Week,
                "2026-11-16",
                Some(week.1),
                Some(midday),
                Some(5_010.0),
            ),
        ),
        (
            "from the 15th, exhausted at midnight",
            told(
                late,
                "2026-11-15",
                Some("2026-12-15"),
                Some(midnight),
                Some(5_010.0),
            ),
        ),
        (
            "from the 15th",
            told(late, "2026-11-15", Some("2026-12-15"), None, Some(4_010.0)),
        ),
    ]
}

/// The messages of rules other than budgets: that they fire, and that they are over.
fn of_rules() -> Vec<(&'static str, String)> {
    let mut bad = facts("2026-11-23");
    bad.agents = agents([1_234.5, 900.5, 500.0]);
    for agent in &mut bad.agents {
        agent.usually(Some(200.0));
        agent.missing_days = 3;
        agent.missing_since = Some(day("2026-11-20"));
    }
    bad.accounts.insert("acme".into());
    bad.watched_from.insert("stale".into(), day("2026-01-01"));
    let mut good = bad.clone();
    good.agents = agents([210.0, 0.0, 5.0]);
    good.agents[0].usually(Some(200.0));
    good.access = Arc::new(Access {
        key_refused: [("acme".into(), false)].into(),
        agent_refused: [(good.agents[0].member.number, false)].into(),
    });
    let support = [("ping", good.agents[0].member.agent.clone())];
    let failed = [ProbeOutcome::NoCredits; 3].map(|outcome| (0, outcome));
    bad.probes = probed(&support, &failed);
    good.probes = probed(&support, &[(0, ProbeOutcome::Success)]);
    let severity = Severity::Critical;
    let rules = [
        (
            "usage of an agent",
            rule("heavy", usage_rule(Span::PreviousDay, Per::Agent)),
        ),
        (
            "usage of an account",
            rule("heavy", usage_rule(Span::Previous7Days, Per::Account)),
        ),
        (
            "usage of all",
            rule("heavy", usage_rule(Span::Previous30Days, Per::Total)),
        ),
        (
            "usage of the month",
            rule("heavy", usage_rule(Span::MonthToDate, Per::Total)),
        ),
        ("spike", rule("spikes", SPIKE)),
        ("missing data", rule("stale", MISSING)),
        ("key refused", rule("keys", Check::KeyRefused { severity })),
        (
            "agent refused",
            rule("agents", Check::AgentRefused { severity }),
        ),
        ("probe", rule("probes", probes(None, 3))),
        ("no credits", rule("credits", NO_CREDITS)),
    ];
    let messages = rules.iter().flat_map(|(name, rule)| {
        [
            (*name, fires(rule, &bad)),
            (*name, ends(rule, &good, Ending::Quiet)),
        ]
    });
    let gone = ends(&rules[0].1, &bad, Ending::Gone);
    let mut late = bad.clone();
    late.agents[0].previous_7_days.missing_days = 1;
    let week_of_an_agent = rule("heavy", usage_rule(Span::Previous7Days, Per::Agent));
    let of_an_agent = fires(&week_of_an_agent, &late);
    late.agents[1].previous_30_days = Known {
        credits: None,
        missing_days: 30,
    };
    let of_all = fires(&rules[2].1, &late);
    let more = [
        ("agent gone", gone),
        ("usage of an agent, a day missing", of_an_agent),
        ("usage of all, days missing", of_all),
    ];
    messages.chain(more).collect()
}

#[test]
fn messages_say_what_one_needs_to_act() {
    let messages = [of_budgets(), of_periods(), of_rules()].concat();
    let shown = messages
        .iter()
        .map(|(name, message)| format!("== {name}\n{message}\n\n"));
    let shown: String = shown.collect();
    let golden = include_str!("messages.txt");
    for (line, golden) in shown.lines().zip(golden.lines()) {
        assert_eq!(line, golden);
    }
    assert_eq!(shown, golden);
}

#[test]
fn identity_and_labels_hold_neither_a_value_nor_a_day_of_one() {
    let severity = Severity::Critical;
    let mut facts = on("2026-11-23", fast());
    facts.agents = agents([1_234.5, 0.0, 0.0]);
    let table = [
        (
            cx(used(0.8)),
            "cx-month/all/2026-11-01/used 0.8",
            vec![
                ("budget", "cx-month"),
                ("measure", "used"),
                ("rule", "cx-month"),
                ("threshold", "0.8"),
            ],
        ),
        (
            rule("heavy", usage_rule(Span::PreviousDay, Per::Agent)),
            "heavy/acme/support",
            vec![
                ("account", "acme"),
                ("agent", "support"),
                ("rule", "heavy"),
                ("team", "cx"),
            ],
        ),
        (
            rule("heavy", usage_rule(Span::PreviousDay, Per::Account)),
            "heavy/acme",
            vec![("account", "acme"), ("rule", "heavy")],
        ),
        (
            rule("heavy", usage_rule(Span::PreviousDay, Per::Total)),
            "heavy/all",
            vec![("rule", "heavy")],
        ),
        (
            rule("keys", Check::KeyRefused { severity }),
            "keys/acme",
            vec![("account", "acme"), ("rule", "keys")],
        ),
    ];
    for (rule, key, labels) in table {
        let rules = [rule];
        let notice = notice(&judge(&rules, &facts)[0], None);
        assert_eq!(notice.key, key);
        let pairs = notice
            .labels
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        assert_eq!(pairs.collect::<Vec<_>>(), labels, "{key}");
    }
}

#[test]
fn alerts_of_rules_whose_names_have_slashes_are_told_apart() {
    let mut facts = facts("2026-11-23");
    facts.agents = unread(&[("acme", "acme")]);
    let usage = |name, per| rule(name, usage_rule(Span::PreviousDay, per));
    let table = [
        (usage("heavy", Per::Agent), "heavy/acme/acme"),
        (usage("heavy/acme", Per::Account), "heavy\\/acme/acme"),
        (usage("heavy\\/acme", Per::Account), "heavy\\\\\\/acme/acme"),
    ];
    for (rule, key) in table {
        let rules = [rule];
        assert_eq!(notice(&judge(&rules, &facts)[0], None).key, key);
    }
}

#[test]
fn the_documented_example_has_the_labels_that_are_sent() {
    let page = include_str!("../../../docs/alerts.md");
    let example = page.split("```json\n").nth(1).unwrap();
    let example = example.split("```").next().unwrap();
    let example: Notification = serde_json::from_str(example).unwrap();
    let facts = on("2026-11-23", fast());
    let rules = [cx(used(0.8))];
    let notice = notice(&judge(&rules, &facts)[0], None);
    assert_eq!(example.alerts[0].labels, notice.labels);
}

#[test]
fn a_notice_has_the_figures_of_its_text_and_reads_back_from_json() {
    let rules = [cx(expected(1.0))];
    let facts = on("2026-11-23", fast());
    let sent = notice(&judge(&rules, &facts)[0], None);
    let figures = serde_json::to_value(&sent.figures).unwrap();
    let share = |agent: &str, account: &str, credits: f64| serde_json::json!({ "account": account, "agent": agent, "credits": credits });
    assert_eq!(
        figures,
        serde_json::json!({
            "used_credits": 4012.0,
            "limit_credits": 5000.0,
            "used_ratio": 0.8024,
            "threshold_ratio": 1.0,
            "measure": "forecast",
            "first_day": "2026-11-01",
            "last_day": "2026-11-30",
            "missing_days": 4,
            "pace_credits_per_day": 182.42,
            "forecast_credits": 5460.0,
            "forecast_low_credits": 5310.0,
            "forecast_high_credits": 5610.0,
            "exhausted_at": "2026-11-27T15:00:00Z",
            "top": [
                share("support", "acme", 2100.0),
                share("sales", "acme", 900.5),
                share("legal", "globex", 500.0),
            ],
        })
    );
    let read: Notice = serde_json::from_str(&message::json(&sent)).unwrap();
    assert_eq!(read, sent);

    let rules = [rule("heavy", usage_rule(Span::PreviousDay, Per::Total))];
    let mut facts = on("2026-11-23", fast());
    facts.agents = agents([1_200.0, 0.0, 0.0]);
    facts.agents[2].used(None);
    let notice = notice(&judge(&rules, &facts)[0], None);
    assert_eq!(
        serde_json::to_value(&notice.figures).unwrap(),
        serde_json::json!({
            "used_credits": 1200.0,
            "limit_credits": 1000.0,
            "used_ratio": 1.2,
            "first_day": "2026-11-22",
            "last_day": "2026-11-22",
            "missing_days": 1,
            "top": [share("support", "acme", 1200.0)],
        })
    );
}

#[test]
fn an_alert_whose_notice_cannot_be_read_can_still_end() {
    let rules = [cx(used(0.8))];
    let facts = on("2026-11-23", fast());
    let alert = Alert {
        notice: "{".to_owned(),
        ..alert(&judge(&rules, &facts)[0])
    };
    let notice = message::resolved(&alert, None, Ending::Gone, at("2026-11-24T00:00:00Z"));
    assert_eq!(notice.key, "cx-month/all/2026-11-01/used 0.8");
    assert_eq!(notice.started_at, at(NOW));
    assert_eq!(notice.title, "Resolved: cx-month: all is no longer watched");
}

#[test]
fn a_sample_is_marked_as_a_test() {
    let sample = Notification::sample(Some("https://example.com/"), at(NOW));
    let notice = &sample.alerts[0];
    assert!(
        sample.test && notice.title.starts_with("Test:"),
        "{}",
        notice.title
    );
    assert!(notice.text.starts_with("This is a test"), "{}", notice.text);
    assert_eq!(notice.url.as_deref(), Some("https://example.com/"));
    let read: Notification =
        serde_json::from_value(serde_json::to_value(&sample).unwrap()).unwrap();
    assert_eq!(read, sample);
}
