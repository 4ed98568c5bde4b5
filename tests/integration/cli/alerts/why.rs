//! `alerts why`: each figure is the truth of that day, and so is what is made of it.

use std::collections::BTreeMap;

use chrono::SecondsFormat;
use flowgent_exporter::day::Day;
use flowgent_exporter::simulator::Agent;

use super::printed;
use crate::alerts::{configure, wait_until_told};
use crate::cli::{assert_golden, ran};
use crate::harness::{Scene, Team, day, instant};

/// What is said of a subject, by its names.
type Said = BTreeMap<String, String>;

/// What `alerts why` prints: its heading, and the subjects with what is said of each.
fn parsed(text: &str) -> (String, Vec<(String, Said)>) {
    let mut blocks = text.split("\n\n");
    let heading = blocks.next().unwrap().to_owned();
    let subjects = blocks.map(|block| {
        let (subject, lines) = block.split_once('\n').unwrap();
        let lines = lines.lines().map(|line| {
            let (name, said) = line.trim_start().split_once("  ").unwrap();
            (name.to_owned(), said.trim_start().to_owned())
        });
        (subject.to_owned(), lines.collect())
    });
    (heading, subjects.collect())
}

/// Fails unless exactly this is said. Figures are said to the millionth.
#[track_caller]
fn assert_said(said: &Said, expected: &[(&str, String)]) {
    let names: Vec<&str> = said.keys().map(String::as_str).collect();
    let mut expected_names: Vec<&str> = expected.iter().map(|(name, _)| *name).collect();
    expected_names.sort_unstable();
    assert_eq!(names, expected_names, "{said:#?}");
    for (name, expected) in expected {
        let close = said[*name]
            .parse::<f64>()
            .ok()
            .zip(expected.parse::<f64>().ok())
            .is_some_and(|(said, expected)| (said - expected).abs() <= 1e-6);
        assert!(
            close || said[*name] == *expected,
            "{name}: {} and not {expected}",
            said[*name]
        );
    }
}

fn rounded(figure: f64) -> f64 {
    (figure * 1e6).round() / 1e6
}

/// A rule with so many lines of its own.
fn rule(name: &str, kind: &str, more: &str) -> String {
    format!("[[rule]]\nname = \"{name}\"\nkind = \"{kind}\"\n{more}\n")
}

/// What is said of a month's budget with these thresholds of use and one of the forecast.
fn budget(team: &Team<'_>, limit: f64, ratios: &[f64]) -> Vec<(String, String)> {
    let (today, first) = (team.today, team.today.month_start());
    let end = first.plus(31).month_start();
    let used = team.used(first, today.previous());
    let (low, expected, high) = team.forecast(first, end);
    let top: Vec<String> = team
        .top(first, today.previous())
        .iter()
        .map(|(agent, credits)| format!("{}/{} {credits}", agent.account, agent.name))
        .collect();
    let number = |value: f64| value.to_string();
    let mut said: Vec<(String, String)> = [
        ("first_day", first.to_string()),
        ("last_day", end.previous().to_string()),
        ("missing_days", "0".to_owned()),
        ("limit_credits", number(limit)),
        ("used_credits", number(used)),
        ("used_ratio", number(used / limit)),
        ("pace_credits_per_day", number(team.pace())),
        ("forecast_credits", number(expected)),
        ("forecast_low_credits", number(low)),
        ("forecast_high_credits", number(high)),
        ("top", top.join(", ")),
    ]
    .map(|(name, said)| (name.to_owned(), said))
    .into();
    let exhausted_at = team.exhausted_at(first, end, limit);
    said.extend(exhausted_at.map(|at| {
        let at = at.to_rfc3339_opts(SecondsFormat::Secs, true);
        ("exhausted_at".to_owned(), at)
    }));
    let met = |is_met: bool| if is_met { "met" } else { "not met" }.to_owned();
    for ratio in ratios {
        let credits = rounded(ratio * limit);
        let name = format!("used {ratio} ({credits} credits)");
        said.push((name, met(used >= credits)));
    }
    let verdict = if expected < limit && expected >= 0.95 * limit {
        "not met, but too close to resolve a firing alert".to_owned()
    } else {
        met(expected >= limit)
    };
    said.push((format!("forecast 1 ({limit} credits)"), verdict));
    said
}

#[track_caller]
fn assert_budget(said: &Said, expected: &[(String, String)]) {
    let expected: Vec<(&str, String)> = expected
        .iter()
        .map(|(name, said)| (name.as_str(), said.clone()))
        .collect();
    assert_said(said, &expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_is_explained_by_its_figures_of_today_and_of_any_day_before() {
    let scene = Scene::new("2026-03-10T09:00:00");
    let agents = ["support", "sales", "legal"].map(|name| scene.agent("acme", name));
    let team = |today: &str| Team {
        scene: &scene,
        agents: agents.to_vec(),
        today: day(today),
    };
    let today = team("2026-03-10");
    // Three quarters of it are used, and the forecast is far above it.
    let limit = (today.used(day("2026-03-01"), day("2026-03-09")) / 0.75).round();
    configure(
        &scene,
        &format!(
            "[[budget]]\nname = \"acme-month\"\ncredits = {limit}\nperiod = \"month\"\n\
             match = {{ account = \"acme\" }}\nthresholds = [0.5, 0.8]\n"
        ),
    );
    ran(&scene, &["sync"]).await;
    let text = printed(&scene, &["alerts", "why", "acme-month"]).await;
    assert_golden("alerts-why-budget.txt", &text);
    let (heading, subjects) = parsed(&text);
    assert_eq!(
        heading,
        "acme-month (budget) as of 2026-03-10; the newest day counted is 2026-03-09\n\
         matches account=\"acme\"; sends to nobody"
    );
    let [(subject, said)] = &subjects[..] else {
        panic!("{subjects:?}");
    };
    assert_eq!(subject, "all, period from 2026-03-01");
    assert_budget(said, &budget(&today, limit, &[0.5, 0.8]));
    assert_eq!(said[&format!("used 0.5 ({} credits)", limit / 2.0)], "met");
    assert_eq!(
        said[&format!("used 0.8 ({} credits)", rounded(limit * 0.8))],
        "not met"
    );

    // Nothing that came later is known on that day. January may still get late days then.
    for (on, before) in [("2026-02-05", 1), ("2026-02-20", 0)] {
        let text = printed(&scene, &["alerts", "why", "acme-month", "--on", on]).await;
        let (_, subjects) = parsed(&text);
        assert_eq!(subjects.len(), before + 1, "{text}");
        let (subject, said) = subjects.last().unwrap();
        assert_eq!(subject, "all, period from 2026-02-01");
        assert_budget(said, &budget(&team(on), limit, &[0.5, 0.8]));
    }

    // What fires is said to.
    let exporter = scene.start().await;
    wait_until_told(&exporter, &scene).await;
    exporter.stop().await;
    let text = printed(&scene, &["alerts", "why", "acme-month"]).await;
    let (_, subjects) = parsed(&text);
    let said = &subjects[0].1;
    let firing = "met; firing since 2026-03-10 09:00:00 UTC";
    assert_eq!(said[&format!("used 0.5 ({} credits)", limit / 2.0)], firing);
    let text = printed(
        &scene,
        &["alerts", "why", "acme-month", "--on", "2026-02-20"],
    )
    .await;
    assert!(!text.contains("firing since"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_usage_rule_is_explained_by_each_agents_use_and_by_how_close_that_is() {
    let scene = Scene::new("2026-03-10T09:00:00");
    let support = scene.agent("acme", "support");
    let used = |agent: &Agent, first: &str, last: &str| scene.sum(agent, day(first), day(last));
    // Support is within the hysteresis of a tenth.
    let over = (used(&support, "2026-03-03", "2026-03-09") / 0.95).round();
    let more =
        format!("over = {over}\nspan = \"previous_7_days\"\nmatch = {{ account = \"acme\" }}");
    configure(&scene, &rule("week", "usage", &more));
    ran(&scene, &["sync"]).await;
    let text = printed(&scene, &["alerts", "why", "week"]).await;
    assert_golden("alerts-why-usage.txt", &text);
    let (heading, subjects) = parsed(&text);
    let held = rounded(over * 0.9);
    assert_eq!(
        heading,
        format!(
            "week (usage) as of 2026-03-10; the newest day counted is 2026-03-09\n\
             matches account=\"acme\"; sends to nobody\n\
             fires above {over} credits, resolves at {held} or less"
        )
    );
    let on = printed(&scene, &["alerts", "why", "week", "--on", "2025-12-31"]).await;
    let (_, then) = parsed(&on);
    for (subjects, first, last) in [
        (subjects, "2026-03-03", "2026-03-09"),
        (then, "2025-12-24", "2025-12-30"),
    ] {
        assert_eq!(subjects.len(), 3);
        for (name, (subject, said)) in ["legal", "sales", "support"].into_iter().zip(subjects) {
            assert_eq!(subject, format!("acme/{name}"));
            let used = used(&scene.agent("acme", name), first, last);
            let condition = if used > over {
                "met"
            } else if used > held {
                "not met, but too close to resolve a firing alert"
            } else {
                "not met"
            };
            if (name, last) == ("support", "2026-03-09") {
                assert!(condition.starts_with("not met, but"), "{condition}");
            }
            assert_said(
                &said,
                &[
                    ("first_day", first.to_owned()),
                    ("last_day", last.to_owned()),
                    ("missing_days", "0".to_owned()),
                    ("limit_credits", over.to_string()),
                    ("used_credits", used.to_string()),
                    ("used_ratio", (used / over).to_string()),
                    ("condition", condition.to_owned()),
                ],
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spike_is_explained_by_the_day_and_by_what_is_usual_on_its_weekday() {
    let scene = Scene::new("2026-03-10T09:00:00");
    let support = scene.agent("acme", "support");
    let spike = day("2026-02-09");
    let usual = |of: Day| {
        let mut credits: Vec<f64> = (1..=8)
            .map(|weeks| scene.truth(&support, of.plus(-7 * weeks)))
            .collect();
        credits.sort_by(f64::total_cmp);
        f64::midpoint(credits[3], credits[4])
    };
    let credits = (usual(spike) * 2.5).ceil() + 1.0;
    scene
        .simulator
        .world()
        .set_credits(&support, spike, credits);
    let more = "factor = 2.5\nmatch = { agent = \"support\" }";
    configure(&scene, &rule("spike", "spike", more));
    ran(&scene, &["sync"]).await;
    for (arguments, of, condition) in [
        (&["--on", "2026-02-10"][..], spike, "met"),
        (&["--on", "2026-02-11"], day("2026-02-10"), "not met"),
        (&[], day("2026-03-09"), "not met"),
    ] {
        let text = printed(&scene, &[&["alerts", "why", "spike"], arguments].concat()).await;
        let (heading, subjects) = parsed(&text);
        assert_eq!(
            heading,
            format!(
                "spike (spike) as of {}; the newest day counted is {of}\n\
                 matches agent=\"support\"; sends to nobody\n\
                 fires above 2.5 times the usual and above 10 credits",
                of.next()
            )
        );
        assert_eq!(subjects.len(), 1);
        assert_eq!(subjects[0].0, "acme/support");
        assert_said(
            &subjects[0].1,
            &[
                ("first_day", of.to_string()),
                ("last_day", of.to_string()),
                ("used_credits", scene.truth(&support, of).to_string()),
                ("usual_credits", usual(of).to_string()),
                ("condition", condition.to_owned()),
            ],
        );
        if of == spike {
            assert_golden("alerts-why-spike.txt", &text);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_data_is_explained_by_the_oldest_missing_day() {
    let scene = Scene::new("2026-03-05T09:00:00");
    let shop = scene.agent("globex", "shop");
    let world = scene.simulator.world();
    for late in ["2026-03-06", "2026-03-08"] {
        world.set_late(&shop, day(late), instant("2026-04-01T00:00:00"));
    }
    let more = "longer_than = \"36h\"\nmatch = { account = \"globex\" }";
    configure(&scene, &rule("missing", "missing_data", more));
    let exporter = scene.start().await;
    wait_until_told(&exporter, &scene).await;
    exporter.stop().await;
    scene.set_time("2026-03-10T09:00:00");
    ran(&scene, &["sync"]).await;
    let cases = [
        ("2026-03-06", "0", None, "not met"),
        ("2026-03-07", "1", Some("2026-03-06"), "met"),
        ("2026-03-08", "1", Some("2026-03-06"), "met"),
        ("2026-03-09", "2", Some("2026-03-06"), "met"),
        // Today.
        ("", "2", Some("2026-03-06"), "met"),
    ];
    for (on, missing, since, condition) in cases {
        let on = if on.is_empty() {
            vec![]
        } else {
            vec!["--on", on]
        };
        let text = printed(
            &scene,
            &[vec!["alerts", "why", "missing"], on.clone()].concat(),
        )
        .await;
        if on.is_empty() {
            assert_golden("alerts-why-missing-data.txt", &text);
        }
        let (heading, subjects) = parsed(&text);
        let line = "\nfires once a day is missing for longer than 1day 12h";
        assert!(heading.ends_with(line), "{heading}");
        let [(returns, whole), (shop, said)] = &subjects[..] else {
            panic!("{subjects:?}");
        };
        assert_eq!(
            (returns.as_str(), shop.as_str()),
            ("globex/returns", "globex/shop")
        );
        let nothing = [
            ("missing_days", "0".to_owned()),
            ("condition", "not met".to_owned()),
        ];
        assert_said(whole, &nothing);
        let mut expected = vec![
            ("missing_days", missing.to_owned()),
            ("condition", condition.to_owned()),
        ];
        expected.extend(since.map(|day| ("missing_since", day.to_owned())));
        assert_said(said, &expected);
    }
}
