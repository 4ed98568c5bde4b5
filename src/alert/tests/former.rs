//! Use by agents that have left, or moved, stays used.

use super::*;
use crate::day::Usage;
use crate::ledger::{AgentNumber, Enrolment, Fetched};
use crate::window::Window;

const TODAY: &str = "2026-11-23";
const LONG_AGO: &str = "2025-06-01T00:00:00Z";

/// A ledger, and who is in it.
pub(super) struct Scene {
    pub(super) ledger: Ledger,
    pub(super) members: Arc<[Member]>,
    _folder: tempfile::TempDir,
}

impl Scene {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            ledger: open(&folder),
            members: Arc::default(),
            _folder: folder,
        }
    }

    /// These agents are there from the day `today` on, and since when they are listed no more.
    pub(super) async fn enrol(&mut self, agents: &[(Agent, Option<&str>)], today: &str) {
        let agents = agents.iter();
        let enrolment = Enrolment {
            agents: agents
                .map(|(agent, since)| (agent.clone(), since.map(day)))
                .collect(),
            today: Some(day(today)),
            ..Enrolment::default()
        };
        let enrolled = self.ledger.enrol(enrolment).await.unwrap();
        self.members = enrolled.members.into();
    }

    /// Keeps so many credits for each of the days `first` through `last` of a member.
    pub(super) async fn commit(&self, place: usize, first: &str, last: &str, credits: f64) {
        let days: Vec<Day> = day(first).through(day(last)).collect();
        for days in days.chunks(31) {
            let (start, end) = (days[0], days[days.len() - 1]);
            let fetched = Fetched {
                agent: self.members[place].number,
                window: Window::new(start, end, end.next()).unwrap(),
                rows: days
                    .iter()
                    .map(|day| Usage { day: *day, credits })
                    .collect(),
                at: end.next().start(),
            };
            self.ledger.commit(fetched).await.unwrap();
        }
    }

    /// Facts for rules that have all been watched for long.
    pub(super) async fn facts(&self, rules: &[Rule], today: &str) -> Facts {
        self.facts_while_firing(rules, today, &[]).await
    }

    /// The same while an alert about each of these agents fires.
    pub(super) async fn facts_while_firing(
        &self,
        rules: &[Rule],
        today: &str,
        firing: &[AgentNumber],
    ) -> Facts {
        let mut watched = watched(rules, LONG_AGO);
        for watched in watched.values_mut() {
            watched.evaluated = Some(day(today).previous());
        }
        let background = Background {
            now: day(today).start(),
            today: day(today),
            is_certain: true,
            is_checked: true,
            has_synced: true,
            watched: Arc::new(watched),
            judged: Arc::default(),
            access: Arc::default(),
            firing: firing.iter().copied().collect(),
        };
        let settings = settings(rules.to_vec());
        let facts = observe(&self.ledger, &self.members, &settings, &background);
        facts.await.unwrap()
    }

    /// Credits and missing days of this month's budget for these agents.
    async fn month(&self, matcher: &Matcher, today: &str) -> (Option<f64>, u32) {
        let rule = Rule {
            matcher: matcher.clone(),
            ..budget("cx", MONTH, 5_000.0, &[used(0.8)])
        };
        let facts = self.facts(&[rule], today).await;
        let standing = &facts.budgets["cx"].last().unwrap().standing;
        (standing.used_credits, standing.missing_days)
    }
}

fn all() -> Matcher {
    Matcher::default()
}

fn of(label: &str, value: &str) -> Matcher {
    Matcher::new(vec![(label.to_owned(), Pattern::Equals(value.to_owned()))])
}

#[tokio::test]
async fn what_an_agent_used_before_it_left_counts_under_its_last_labels() {
    let mut scene = Scene::new();
    let (support, sales) = (agent("acme", "support"), agent("acme", "sales"));
    scene
        .enrol(&[(support, None), (sales.clone(), None)], "2026-11-01")
        .await;
    scene.commit(0, "2025-05-28", "2026-11-14", 100.0).await;
    scene.commit(1, "2025-05-28", "2026-11-22", 1.0).await;
    scene.enrol(&[(sales, None)], "2026-11-15").await;
    for matcher in [all(), of("team", "cx"), of("account", "acme")] {
        let month = scene.month(&matcher, TODAY).await;
        assert_eq!(month, (Some(1_400.0 + 22.0), 0), "{matcher:?}");
    }
    assert_eq!(
        scene.month(&of("agent", "support"), TODAY).await,
        (Some(1_400.0), 0)
    );
    // It has no rule about itself any more.
    let facts = scene.facts(&[rule("spikes", SPIKE)], TODAY).await;
    assert_eq!(facts.agents.len(), 1);
}

#[tokio::test]
async fn unknown_days_before_the_leaving_are_missing_for_a_week() {
    let mut scene = Scene::new();
    let support = agent("acme", "support");
    scene.enrol(&[(support, None)], "2026-11-01").await;
    scene.commit(0, "2025-05-28", "2026-11-10", 1.0).await;
    scene.enrol(&[], "2026-11-15").await;
    for (today, missing) in [("2026-11-15", 4), ("2026-11-22", 4), ("2026-11-23", 0)] {
        let month = scene.month(&all(), today).await;
        assert_eq!(month, (Some(10.0), missing), "{today}");
    }
}

#[tokio::test]
async fn an_identifier_that_moved_counts_once_a_day() {
    let mut scene = Scene::new();
    let (old, new) = (agent("acme", "support"), agent("globex", "support"));
    scene.enrol(&[(old.clone(), None)], "2026-11-01").await;
    scene.commit(0, "2025-05-28", "2026-11-14", 10.0).await;
    // Both are asked for, and then only the new one; of it, the days from the 6th on are known.
    let moved = (old, Some("2026-11-15"));
    scene
        .enrol(&[moved, (new.clone(), None)], "2026-11-15")
        .await;
    scene.commit(1, "2026-11-06", "2026-11-22", 11.0).await;
    for step in ["moving", "moved"] {
        let month = scene.month(&all(), TODAY).await;
        assert_eq!(month, (Some(5.0 * 10.0 + 17.0 * 11.0), 5), "{step}");
        // What was used in the old account was, and it is not asked for beyond.
        let before = scene.month(&of("account", "acme"), TODAY).await;
        assert_eq!(before.0, Some(140.0), "{step}");
        let after = scene.month(&of("account", "globex"), TODAY).await;
        assert_eq!(after, (Some(17.0 * 11.0), 5), "{step}");
        let heavy = |per| rule("heavy", usage_rule(Span::MonthToDate, per));
        let rules = [heavy(Per::Total)];
        let facts = scene.facts(&rules, TODAY).await;
        let observation = &judge(&rules, &facts)[0];
        let Finding::Usage { used_credits, .. } = observation.finding else {
            panic!("it is about usage");
        };
        assert_eq!(used_credits, Some(5.0 * 10.0 + 17.0 * 11.0), "{step}");
        scene.enrol(&[(new.clone(), None)], "2026-11-18").await;
    }
}

#[tokio::test]
async fn sums_of_an_account_and_of_all_hold_what_left_and_no_agent_does() {
    let mut scene = Scene::new();
    let (support, sales) = (agent("acme", "support"), agent("globex", "sales"));
    scene
        .enrol(&[(support, None), (sales.clone(), None)], "2026-11-01")
        .await;
    scene.commit(0, "2025-05-28", "2026-11-19", 1_000.0).await;
    scene.commit(1, "2025-05-28", "2026-11-22", 1.0).await;
    scene.enrol(&[(sales, None)], "2026-11-20").await;
    for (per, expected) in [
        (Per::Agent, &[("globex/sales", 7.0)][..]),
        (Per::Account, &[("acme", 4_000.0), ("globex", 7.0)]),
        (Per::Total, &[("all", 4_007.0)]),
    ] {
        let rules = [rule("heavy", usage_rule(Span::Previous7Days, per))];
        let facts = scene.facts(&rules, TODAY).await;
        let observations = judge(&rules, &facts);
        let told = observations.iter().map(|observation| {
            let Finding::Usage {
                used_credits,
                missing_days,
                ..
            } = observation.finding
            else {
                panic!("it is about usage");
            };
            assert_eq!(missing_days, 0, "{per:?}");
            (&*observation.key.subject, used_credits.unwrap())
        });
        assert_eq!(told.collect::<Vec<_>>(), expected, "{per:?}");
    }
}

#[tokio::test]
async fn one_that_is_listed_no_more_is_neither_late_nor_refused_and_still_counts() {
    let mut scene = Scene::new();
    let support = agent("acme", "support");
    scene
        .enrol(&[(support, Some("2026-11-20"))], "2026-11-20")
        .await;
    scene.commit(0, "2025-05-28", "2026-11-19", 1.0).await;
    let severity = Severity::Warning;
    let rules = [
        rule("late", MISSING),
        rule("refused", Check::AgentRefused { severity }),
    ];
    let mut facts = scene.facts(&rules, TODAY).await;
    let refused = Access {
        agent_refused: [(scene.members[0].number, true)].into(),
        ..Access::default()
    };
    facts.access = Arc::new(refused);
    let observations = judge(&rules, &facts);
    let conditions: Vec<Condition> = observations.iter().map(|told| told.condition).collect();
    assert_eq!(conditions, [Condition::Unknown; 2]);
    assert_eq!(scene.month(&all(), TODAY).await, (Some(19.0), 3));
}

#[tokio::test]
async fn only_budgets_look_at_days_before_the_history_start() {
    let mut scene = Scene::new();
    scene
        .enrol(&[(agent("acme", "support"), None)], "2026-11-01")
        .await;
    scene.commit(0, "2026-11-01", "2026-11-22", 10.0).await;
    let later = Policy {
        history_start: day("2026-11-10"),
        settle_days: 3,
    };
    scene.ledger.configure(later).await.unwrap();
    let rules = [
        budget("cx", MONTH, 5_000.0, &[used(0.8)]),
        rule("heavy", usage_rule(Span::MonthToDate, Per::Agent)),
    ];
    let facts = scene.facts(&rules, TODAY).await;
    let standing = &facts.budgets["cx"].last().unwrap().standing;
    assert_eq!(
        (standing.used_credits, standing.missing_days),
        (Some(220.0), 0)
    );
    assert_eq!(facts.agents[0].month_to_date, known(130.0));
    assert_eq!(facts.agents[0].missing_days, 0);
}

#[tokio::test]
async fn an_alert_about_an_agent_that_has_left_ends_by_its_figures() {
    let mut scene = Scene::new();
    let (support, sales) = (agent("acme", "support"), agent("acme", "sales"));
    let both = [(support, None), (sales.clone(), None)];
    scene.enrol(&both, "2026-11-01").await;
    let left = scene.members[0].number;
    scene.commit(0, "2026-09-01", "2026-11-19", 500.0).await;
    scene.enrol(&[(sales, None)], "2026-11-20").await;
    let rules = [
        rule("week", usage_rule(Span::Previous7Days, Per::Agent)),
        rule("day", usage_rule(Span::PreviousDay, Per::Agent)),
        rule("stale", MISSING),
    ];
    let conditions = async |today, firing: &[AgentNumber]| {
        let facts = scene.facts_while_firing(&rules, today, firing).await;
        let observations = judge(&rules, &facts);
        let of_support = observations
            .iter()
            .filter(|observation| observation.agent_number() == Some(left));
        of_support
            .map(|observation| observation.condition)
            .collect::<Vec<_>>()
    };
    assert_eq!(conditions("2026-11-23", &[]).await, []);
    // 2,000 credits of the last week, none yesterday, and no day is missing.
    let expected = [Condition::Met, Condition::NotMet, Condition::NotMet];
    assert_eq!(conditions("2026-11-23", &[left]).await, expected);
    assert_eq!(
        conditions("2026-11-26", &[left]).await,
        [Condition::NotMet; 3]
    );
}
