//! Balances: what fires, is told once, and is over by a top-up.

use super::*;
use crate::balance::{Book, Entries, Left};

/// A balance with these thresholds. The facts say what is left of it.
fn stage(credits_left: &[f64], days_left: &[f64]) -> Stage {
    let threshold = |measure| {
        move |&at: &f64| Threshold {
            measure,
            at,
            severity: match at <= 2.0 || at == 200.0 {
                true => Severity::Critical,
                false => Severity::Warning,
            },
        }
    };
    let of_credits = credits_left.iter().map(threshold(Measure::CreditsLeft));
    let of_days = days_left.iter().map(threshold(Measure::DaysLeft));
    let check = Check::Balance {
        book: Book::of("acme", Entries::default()),
        thresholds: of_credits.chain(of_days).collect(),
    };
    Stage::new(settings(vec![rule("acme", check)]))
}

/// So many of these credits are left on that day, for so long.
fn left(today: &str, entered: f64, credits: f64, days: Option<f64>) -> Left {
    let mut left = crate::balance::tests::left(0);
    let at = |days: f64| day(today).start() + chrono::TimeDelta::seconds((days * 86_400.0) as i64);
    left.today = day(today);
    left.standing.limit_credits = entered;
    left.standing.used_credits = Some(entered - credits);
    left.standing.exhausted_at = days.map(at);
    left.bounds = [
        days.map(|days| at(days - 2.0)),
        days.map(|days| at(days + 3.0)),
    ];
    left.correction_credits = None;
    left
}

fn on(left: Left) -> Facts {
    let mut facts = facts(&left.today.to_string());
    facts.balances.insert("acme".into(), left);
    facts
}

/// The identities of what is told at noon of that day.
fn told(stage: &mut Stage, left: Left) -> String {
    let noon = format!("{}T12:00:00Z", left.today);
    stage.told(&on(left), &noon).join(" ")
}

#[test]
fn credits_left_fire_once_and_are_over_by_a_top_up() {
    let mut stage = stage(&[1_000.0, 200.0], &[]);
    let long = Some(300.0);
    let mut on_day =
        |today, entered, credits| told(&mut stage, left(today, entered, credits, long));
    assert_eq!(on_day("2026-11-01", 5_000.0, 1_000.5), "");
    assert_eq!(
        on_day("2026-11-02", 5_000.0, 1_000.0),
        "+acme/all/credits_left 1000"
    );
    assert_eq!(on_day("2026-11-03", 5_000.0, 900.0), "", "once an episode");
    assert_eq!(
        on_day("2026-11-03", 5_000.0, 1_040.0),
        "",
        "a correction of less than 5 %"
    );
    assert_eq!(
        on_day("2026-11-04", 5_000.0, 200.0),
        "+acme/all/credits_left 200"
    );
    assert_eq!(
        on_day("2026-11-05", 5_100.0, 300.0),
        "-acme/all/credits_left 200"
    );
    assert_eq!(
        on_day("2026-11-05", 6_000.0, 1_200.0),
        "-acme/all/credits_left 1000"
    );
    assert_eq!(
        on_day("2026-11-06", 6_000.0, 150.0),
        "+acme/all/credits_left 200",
        "the worst of two"
    );
    assert_eq!(
        on_day("2026-11-07", 9_000.0, 3_150.0),
        "-acme/all/credits_left 200"
    );
}

#[test]
fn a_bound_fires_and_does_not_end_while_days_are_missing() {
    let mut stage = stage(&[1_000.0], &[]);
    let mut on_day = |today, credits, missing_days| {
        let mut left = left(today, 5_000.0, credits, Some(300.0));
        left.standing.missing_days = missing_days;
        told(&mut stage, left)
    };
    assert_eq!(on_day("2026-11-01", 1_500.0, 3), "", "it may be less");
    assert_eq!(
        on_day("2026-11-02", 990.0, 3),
        "+acme/all/credits_left 1000"
    );
    assert_eq!(on_day("2026-11-03", 1_500.0, 1), "");
    assert_eq!(
        on_day("2026-11-04", 1_500.0, 0),
        "-acme/all/credits_left 1000"
    );
}

#[test]
fn days_left_are_over_on_the_third_day_above_or_at_once_by_a_top_up() {
    let mut stage = stage(&[], &[14.0, 7.0]);
    let mut on_day = |today, entered, days: f64| {
        let days = (days < 400.0).then_some(days);
        told(&mut stage, left(today, entered, 800.0, days))
    };
    assert_eq!(on_day("2026-11-01", 5_000.0, 14.5), "");
    assert_eq!(
        on_day("2026-11-02", 5_000.0, 6.9),
        "+acme/all/days_left 7",
        "the worst of two"
    );
    assert_eq!(on_day("2026-11-03", 5_000.0, 7.2), "", "within 5 %");
    assert_eq!(on_day("2026-11-04", 5_000.0, 8.0), "");
    assert_eq!(on_day("2026-11-05", 5_000.0, 8.0), "");
    assert_eq!(
        on_day("2026-11-06", 5_000.0, 8.0),
        "+acme/all/days_left 14 -acme/all/days_left 7"
    );
    assert_eq!(on_day("2026-11-07", 5_000.0, 20.0), "");
    assert_eq!(
        on_day("2026-11-07", 6_000.0, 20.0),
        "-acme/all/days_left 14",
        "a top-up"
    );
    assert_eq!(on_day("2026-11-08", 6_000.0, 5.0), "+acme/all/days_left 7");
    assert_eq!(
        on_day("2026-11-09", 9_000.0, 500.0),
        "-acme/all/days_left 7",
        "over a year"
    );
}

#[test]
fn a_top_up_that_is_seen_before_the_clock_is_confirmed_ends_what_fires_once_it_is() {
    let mut stage = stage(&[], &[14.0]);
    let first = told(&mut stage, left("2026-11-02", 5_000.0, 800.0, Some(7.0)));
    assert_eq!(first, "+acme/all/days_left 14");
    let topped_up = || left("2026-11-03", 6_000.0, 1_700.0, Some(20.0));
    let start = at("2026-11-03T06:00:00Z");
    assert!(
        stage
            .step_unchecked(&on(topped_up()), start)
            .told
            .is_empty()
    );
    assert_eq!(told(&mut stage, topped_up()), "-acme/all/days_left 14");
}

#[test]
fn of_credits_and_days_crossed_at_once_the_worst_is_told() {
    let mut stage = stage(&[1_000.0], &[14.0, 2.0]);
    let at_once = told(&mut stage, left("2026-11-01", 5_000.0, 900.0, Some(1.5)));
    assert_eq!(at_once, "+acme/all/days_left 2");
    assert_eq!(stage.all(AlertState::Firing).len(), 3);
}

#[test]
fn without_figures_nothing_fires_and_nothing_ends() {
    let mut stage = stage(&[1_000.0], &[14.0]);
    let nothing = facts("2026-11-01");
    assert!(stage.told(&nothing, "2026-11-01T12:00:00Z").is_empty());
    let first = told(&mut stage, left("2026-11-02", 5_000.0, 900.0, None));
    assert_eq!(first, "+acme/all/credits_left 1000");
    for today in ["2026-11-03", "2026-11-09"] {
        let now = format!("{today}T12:00:00Z");
        assert!(stage.told(&facts(today), &now).is_empty());
    }
    let mut unforeseen = left("2026-11-10", 9_000.0, 4_000.0, None);
    unforeseen.standing.pace_credits_per_day = None;
    assert_eq!(told(&mut stage, unforeseen), "-acme/all/credits_left 1000");
}

#[test]
fn a_message_says_what_is_left_how_long_it_lasts_and_who_used_most() {
    let mut stage = stage(&[1_000.0], &[14.0]);
    let mut missing = left("2026-11-30", 5_000.0, 812.0, Some(9.5));
    missing.standing.missing_days = 2;
    let now = at("2026-11-30T12:00:00Z");
    let notice = stage.step(&on(missing), now).told[0].notice.clone();
    assert_eq!(
        notice.title,
        "Balance acme: at most 812 credits left, enough for 9 days"
    );
    assert_eq!(
        notice.text.lines().collect::<Vec<_>>(),
        [
            "At most 812 credits left: 5,000 set and added since 1 Nov, at least 4,188 credits used.",
            "2 agent-days are missing, so use may be higher.",
            "The pace is 85.5 credits a day: at this pace it lasts 9 days (7 to 12 days), until 9 Dec.",
            "Threshold: 14 days left.",
        ]
    );
    assert_eq!(notice.kind, "balance");
    let label = |name: &str| notice.labels.get(name).map(String::as_str);
    assert_eq!(label("balance"), Some("acme"));
    assert_eq!(
        (label("measure"), label("threshold")),
        (Some("days_left"), Some("14"))
    );
    let figures = &notice.figures;
    assert_eq!(figures.left_credits, Some(812.0));
    assert_eq!(
        [
            figures.low_days_left,
            figures.days_left,
            figures.high_days_left
        ],
        [Some(7.5), Some(9.5), Some(12.5)]
    );
    let topped = left("2026-12-01", 9_000.0, 4_700.0, Some(55.0));
    let over = stage.step(&on(topped), at("2026-12-01T12:00:00Z")).told;
    assert_eq!(
        over[0].notice.title,
        "Resolved: balance acme is above 14 days again, 4,700 credits left, enough for 55 days"
    );
    let mut overdrawn = left("2026-12-02", 9_000.0, -100.0, None);
    overdrawn.standing.missing_days = 1;
    let told = stage.step(&on(overdrawn), at("2026-12-02T12:00:00Z")).told;
    assert_eq!(
        told[0].notice.title,
        "Balance acme: used up, at least 100 credits more used than entered"
    );
}

#[tokio::test]
async fn entries_that_cannot_be_read_after_a_restart_are_those_of_before() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, path) = (open(&folder), folder.path().join("acme.json"));
    let members = register(&ledger, &[("acme", "support")]).await;
    let entries = r#"[{"on": "2026-11-20", "set": 500}]"#;
    std::fs::write(&path, entries).unwrap();
    let rule = |book| {
        let check = Check::Balance {
            book,
            thresholds: Vec::new(),
        };
        super::rule("acme", check)
    };
    let before = rule(Book::open("acme", path.clone()));
    std::fs::remove_file(&path).unwrap();
    let after = rule(Book::open("acme", path));
    assert_ne!(before.definition(), after.definition());
    assert!(before.definition().starts_with(&after.definition()));
    let mut background = Background::of_spectator(at("2026-11-30T12:00:00Z"));
    background.watched = Arc::new(watched(&[before], "2026-11-20T00:00:00Z"));
    let settings = settings(vec![after]);
    let facts = observe(&ledger, &members, &settings, &background).await;
    let facts = facts.unwrap();
    let left = &facts.balances["acme"];
    assert_eq!(
        (left.credits(), left.standing.missing_days),
        (Some(500.0), 10)
    );
}
