//! Facts read from a ledger.

use super::quiet::DROP;
use super::*;
use crate::day::Usage;
use crate::ledger::{Fetched, PlannedRun, ProbeOutcome, ProbeResult};
use crate::window::Window;

const TODAY: &str = "2026-11-23";

/// A ledger and the agents in it.
struct Scene {
    ledger: Ledger,
    members: Arc<[Member]>,
    _folder: tempfile::TempDir,
}

impl Scene {
    async fn new(agents: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ledger = open(&folder);
        Self {
            members: register(&ledger, agents).await,
            ledger,
            _folder: folder,
        }
    }

    /// Keeps the credits of the days `first` through `last` of an agent, but for those that are none.
    async fn commit(
        &self,
        agent: usize,
        first: &str,
        last: &str,
        credits: impl Fn(Day) -> Option<f64>,
    ) {
        let days: Vec<Day> = day(first).through(day(last)).collect();
        for days in days.chunks(31) {
            let rows = days.iter().filter_map(|day| {
                let credits = credits(*day)?;
                Some(Usage { day: *day, credits })
            });
            let today = days[days.len() - 1].next();
            let fetched = Fetched {
                agent: self.members[agent].number,
                window: Window::new(days[0], days[days.len() - 1], today).unwrap(),
                rows: rows.collect(),
                at: today.start(),
            };
            self.ledger.commit(fetched).await.unwrap();
        }
    }

    /// Facts for `rules` that have all been watched since `watched`.
    async fn facts(&self, rules: Vec<Rule>, watched: &str, today: &str) -> Facts {
        let mut watched = super::watched(&rules, watched);
        for watched in watched.values_mut() {
            watched.evaluated = Some(day(today).previous());
        }
        self.facts_of(rules, &watched, today).await
    }

    async fn facts_of(
        &self,
        rules: Vec<Rule>,
        watched: &HashMap<Arc<str>, Watched>,
        today: &str,
    ) -> Facts {
        let background = Background {
            now: day(today).start(),
            today: day(today),
            is_certain: true,
            is_checked: true,
            has_synced: false,
            watched: Arc::new(watched.clone()),
            judged: Arc::default(),
            access: Arc::default(),
            firing: HashSet::new(),
        };
        let settings = settings(rules);
        let facts = observe(&self.ledger, &self.members, &settings, &background);
        facts.await.unwrap()
    }
}

/// Yesterday's credits and what is usual.
fn yesterday(facts: &AgentFacts) -> (Option<f64>, Option<f64>) {
    let day = facts.days[facts.days.len() - 1];
    (day.known.credits, day.usual_credits)
}

const LONG_AGO: &str = "2025-06-01T00:00:00Z";

#[tokio::test]
async fn an_agent_has_the_figures_of_its_spans_and_what_is_usual() {
    let scene = Scene::new(&[("acme", "support"), ("acme", "sales")]).await;
    // 22 November is a Sunday, and on Sundays more is used from week to week.
    let credits = |of: Day| {
        let weeks = (day("2026-11-22").since(of) + 6) / 7;
        let is_sunday = day("2026-11-22").since(of) % 7 == 0;
        Some(if is_sunday {
            100.0 - f64::from(weeks)
        } else {
            1.0
        })
    };
    scene.commit(0, "2025-05-28", "2026-11-22", credits).await;
    let rules = vec![rule("heavy", usage_rule(Span::PreviousDay, Per::Agent))];
    let facts = scene.facts(rules, LONG_AGO, TODAY).await;
    let [support, sales] = &facts.agents[..] else {
        panic!("there are two agents");
    };
    let usual = Some(95.5);
    assert_eq!(
        yesterday(support),
        (Some(100.0), usual),
        "the middle of 92 through 99"
    );
    let week_before = support.on(day("2026-11-15"));
    assert_eq!(week_before.known, known(99.0));
    assert_eq!(
        week_before.usual_credits,
        Some(94.5),
        "of its own eight weeks"
    );
    assert_eq!(support.previous_7_days, known(106.0));
    assert_eq!(
        support.month_to_date,
        known(100.0 + 99.0 + 98.0 + 97.0 + 18.0)
    );
    assert_eq!((support.missing_since, support.missing_days), (None, 0));
    assert_eq!(yesterday(sales), (None, None));
    assert_eq!(sales.missing_since, Some(TRACKING_START));
    assert_eq!(sales.missing_days as i32, day(TODAY).since(TRACKING_START));
}

#[tokio::test]
async fn of_a_span_with_missing_days_the_others_are_known() {
    let scene = Scene::new(&[("acme", "support"), ("acme", "sales")]).await;
    let gaps = ["2026-11-22", "2026-11-15", "2026-10-24"].map(day);
    let credits = |of: Day| (!gaps.contains(&of)).then_some(1.0);
    scene.commit(0, "2026-10-01", "2026-11-22", credits).await;
    let rules = vec![rule("heavy", usage_rule(Span::PreviousDay, Per::Agent))];
    let facts = scene.facts(rules, LONG_AGO, TODAY).await;
    let known = |agent: usize, span| {
        let known = facts.agents[agent].known(span);
        (known.credits, known.missing_days)
    };
    assert_eq!(known(0, Span::PreviousDay), (None, 1));
    assert_eq!(known(0, Span::Previous7Days), (Some(6.0), 1));
    assert_eq!(known(0, Span::Previous30Days), (Some(27.0), 3));
    assert_eq!(known(0, Span::MonthToDate), (Some(20.0), 2));
    assert_eq!(known(1, Span::Previous7Days), (None, 7));
    assert_eq!(known(1, Span::MonthToDate), (None, 22));

    // Nobody asks for days before the history start.
    let scene = Scene::new(&[("acme", "support")]).await;
    scene
        .commit(0, "2025-05-28", "2025-05-29", |_| Some(1.0))
        .await;
    let rules = vec![rule("heavy", usage_rule(Span::PreviousDay, Per::Agent))];
    let facts = scene.facts(rules, LONG_AGO, "2025-05-30").await;
    let week = facts.agents[0].known(Span::Previous7Days);
    assert_eq!((week.credits, week.missing_days), (Some(2.0), 0));
}

#[tokio::test]
async fn what_is_usual_is_the_median_of_at_least_three_days() {
    // which of the weeks before are known -> the median of their numbers
    let table: [(&[i32], Option<f64>); 5] = [
        (&[1, 2], None),
        (&[1, 2, 8], Some(2.0)),
        (&[1, 2, 4, 8], Some(3.0)),
        (&[1, 2, 9], None),
        (&[2, 3, 4, 5, 6, 7, 8], Some(5.0)),
    ];
    for (known, usual) in table {
        let scene = Scene::new(&[("acme", "support")]).await;
        let credits = |of: Day| {
            let days = day("2026-11-22").since(of);
            let is_known = days == 0 || days % 7 == 0 && known.contains(&(days / 7));
            is_known.then(|| f64::from(days / 7))
        };
        scene.commit(0, "2026-09-01", "2026-11-22", credits).await;
        let facts = scene
            .facts(vec![rule("spikes", SPIKE)], LONG_AGO, TODAY)
            .await;
        assert_eq!(yesterday(&facts.agents[0]).1, usual, "{known:?}");
    }
}

#[tokio::test]
async fn missing_days_are_found_behind_the_frontier_and_behind_an_older_gap() {
    let scene = Scene::new(&[("acme", "whole"), ("acme", "late"), ("acme", "gaps")]).await;
    let known = |_| Some(1.0);
    scene.commit(0, "2025-05-28", "2026-11-22", known).await;
    scene.commit(1, "2025-05-28", "2026-11-20", known).await;
    scene.commit(2, "2025-06-28", "2026-11-20", known).await;
    let facts = scene
        .facts(vec![rule("stale", MISSING)], LONG_AGO, TODAY)
        .await;
    let missing = |place: usize, from: &str| facts.agents[place].missing_from(day(from));
    assert_eq!(missing(0, "2025-05-28"), None);
    assert_eq!(missing(1, "2025-05-28"), Some(day("2026-11-21")));
    assert_eq!(missing(2, "2025-05-28"), Some(TRACKING_START));
    assert_eq!(missing(2, "2026-01-01"), Some(day("2026-11-21")));
    assert_eq!(missing(2, "2026-11-22"), Some(day("2026-11-22")));
    assert_eq!(facts.watched_from["stale"], day("2025-06-01"));
}

#[tokio::test]
async fn days_from_today_on_are_not_looked_at() {
    let scene = Scene::new(&[("acme", "support")]).await;
    scene
        .commit(0, "2025-05-28", "2026-11-22", |_| Some(10.0))
        .await;
    let rules = vec![
        rule("spikes", SPIKE),
        budget("cx", MONTH, 5_000.0, &[used(0.8)]),
    ];
    let facts = scene.facts(rules, LONG_AGO, "2026-10-05").await;
    assert_eq!(facts.today, day("2026-10-05"));
    assert_eq!(facts.agents[0].month_to_date, known(40.0));
    assert_eq!(facts.agents[0].missing_since, None);
    let standing = &facts.budgets["cx"].last().unwrap().standing;
    assert_eq!(standing.used_credits, Some(40.0));
    assert_eq!(standing.missing_days, 0);
}

#[tokio::test]
async fn a_budget_is_of_its_agents_and_of_all_its_days() {
    let scene = Scene::new(&[("acme", "support"), ("acme", "sales"), ("globex", "legal")]).await;
    scene
        .commit(0, "2025-05-28", "2026-11-22", |_| Some(10.0))
        .await;
    scene
        .commit(1, "2025-05-28", "2026-11-21", |_| Some(1.0))
        .await;
    scene
        .commit(2, "2025-05-28", "2026-11-22", |_| Some(500.0))
        .await;
    let acme = Matcher::new(vec![(
        "account".to_owned(),
        Pattern::Equals("acme".to_owned()),
    )]);
    let start = day("2026-01-01");
    let of_acme = |name, cycle| Rule {
        matcher: acme.clone(),
        ..budget(name, cycle, 5_000.0, &[used(0.8)])
    };
    let rules = vec![
        of_acme("month", MONTH),
        of_acme("ever", Cycle::Total { start }),
    ];
    let facts = scene.facts(rules, LONG_AGO, TODAY).await;
    let month = &facts.budgets["month"].last().unwrap().standing;
    assert_eq!(month.used_credits, Some(220.0 + 21.0));
    assert_eq!((month.missing_days, month.agents), (1, 2));
    assert_eq!(&*month.top[0].0.agent.name, "support");
    let ever = &facts.budgets["ever"];
    let days = f64::from(day(TODAY).since(start));
    assert_eq!(ever.len(), 1);
    assert_eq!(ever[0].standing.used_credits, Some(days * 11.0 - 1.0));
}

#[tokio::test]
async fn periods_are_looked_at_for_a_week_after_their_end_was_first_seen() {
    let scene = Scene::new(&[("acme", "support")]).await;
    // cycle, day of the last evaluation, open periods and since when, today -> the periods
    type Open<'a> = &'a [(&'a str, &'a str)];
    let november = ("2026-11-01", "2026-12-02");
    let table: [(Cycle, &str, Open<'_>, &str, &[&str]); 9] = [
        (MONTH, "2026-11-22", &[], "2026-11-23", &["2026-11-01"]),
        // Yesterday still lies in November.
        (MONTH, "2026-11-30", &[], "2026-12-01", &["2026-11-01"]),
        (
            MONTH,
            "2026-12-01",
            &[],
            "2026-12-02",
            &["2026-11-01", "2026-12-01"],
        ),
        (
            MONTH,
            "2026-12-07",
            &[november],
            "2026-12-08",
            &["2026-11-01", "2026-12-01"],
        ),
        (
            MONTH,
            "2026-12-08",
            &[november],
            "2026-12-09",
            &["2026-12-01"],
        ),
        // It was off for weeks, and what ended meanwhile is looked at.
        (
            MONTH,
            "2026-11-20",
            &[],
            "2026-12-20",
            &["2026-11-01", "2026-12-01"],
        ),
        (
            MONTH,
            "2026-12-20",
            &[("2026-11-01", "2026-12-20")],
            "2026-12-26",
            &["2026-11-01", "2026-12-01"],
        ),
        (
            Cycle::Day,
            "2026-11-20",
            &[("2026-11-18", "2026-11-19")],
            "2026-11-23",
            &[
                "2026-11-18",
                "2026-11-19",
                "2026-11-20",
                "2026-11-21",
                "2026-11-22",
            ],
        ),
        (
            Cycle::Total {
                start: day("2026-01-01"),
            },
            "2026-11-20",
            &[],
            "2026-11-23",
            &["2026-01-01"],
        ),
    ];
    for (cycle, evaluated, open, today, expected) in table {
        let rules = vec![budget("cx", cycle, 5_000.0, &[used(0.8)])];
        let mut watched = watched(&rules, LONG_AGO);
        let known = watched.get_mut("cx").unwrap();
        known.evaluated = Some(day(evaluated));
        known.open_periods = open
            .iter()
            .map(|(start, since)| (day(start), day(since).start()))
            .collect();
        let facts = scene.facts_of(rules, &watched, today).await;
        let periods = &facts.budgets["cx"];
        let starts = periods.iter().map(|facts| facts.standing.period.start);
        let expected: Vec<Day> = expected.iter().copied().map(day).collect();
        assert_eq!(
            starts.collect::<Vec<_>>(),
            expected,
            "{cycle:?} {evaluated} {today}"
        );
        let is_past = periods.iter().map(|facts| facts.over_since.is_some());
        assert_eq!(
            is_past.filter(|is_past| *is_past).count(),
            expected.len() - 1
        );
    }
}

#[tokio::test]
async fn a_rule_that_was_another_one_before_is_watched_from_today_on() {
    let scene = Scene::new(&[("acme", "support")]).await;
    let before = vec![budget("cx", MONTH, 5_000.0, &[used(0.8)])];
    let mut watched = watched(&before, LONG_AGO);
    watched.get_mut("cx").unwrap().evaluated = Some(day("2026-12-01"));
    for (limit, first) in [(5_000.0, "2026-11-01"), (2_000.0, "2026-12-01")] {
        let rules = vec![budget("cx", MONTH, limit, &[used(0.8)])];
        let facts = scene.facts_of(rules, &watched, "2026-12-03").await;
        assert_eq!(
            facts.budgets["cx"][0].standing.period.start,
            day(first),
            "{limit}"
        );
    }
}

#[tokio::test]
async fn an_agent_whose_key_alone_is_looked_at_is_there_by_its_name() {
    let scene = Scene::new(&[("acme", "support"), ("globex", "legal")]).await;
    scene
        .commit(0, "2025-05-28", "2026-11-22", |_| Some(10.0))
        .await;
    scene
        .commit(1, "2025-05-28", "2026-11-22", |_| Some(10.0))
        .await;
    let globex = Rule {
        matcher: Matcher::new(vec![(
            "account".to_owned(),
            Pattern::Equals("globex".to_owned()),
        )]),
        ..rule("spikes", SPIKE)
    };
    let severity = Severity::Critical;
    let rules = vec![globex, rule("keys", Check::KeyRefused { severity })];
    let facts = scene.facts(rules, LONG_AGO, TODAY).await;
    assert_eq!(&*facts.agents[0].subject, "acme/support");
    assert!(facts.accounts.contains("acme"));
}

#[tokio::test]
async fn rules_about_little_use_do_not_count_what_probes_used() {
    let scene = Scene::new(&[("acme", "support")]).await;
    scene
        .commit(0, "2026-11-21", "2026-11-22", |_| Some(40.0))
        .await;
    let at = day("2026-11-22").start();
    let planned = PlannedRun {
        probe: "ping".into(),
        agent: ("acme".into(), Arc::clone(&scene.members[0].agent.id)),
        planned_at: at,
    };
    let run = scene.ledger.begin_probe(planned, at).await.unwrap();
    let result = ProbeResult {
        outcome: ProbeOutcome::Success,
        status_code: Some(200),
        duration_seconds: None,
        execution_seconds: None,
        used_credits: Some(30.0),
        detail: String::new(),
    };
    scene
        .ledger
        .end_probe(run.unwrap(), result, at)
        .await
        .unwrap();

    let facts = scene.facts(vec![rule("idle", DROP)], LONG_AGO, TODAY).await;
    let days = facts.agents[0].days_unprobed.as_deref().unwrap();
    let [before, last] = days.last_chunk().unwrap();
    assert_eq!((before.known, last.known), (known(40.0), known(10.0)));
    assert_eq!(yesterday(&facts.agents[0]).0, Some(40.0));
}
