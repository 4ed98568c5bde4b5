//! The whole of what people read, for every kind of rule.

use super::super::judge::judge;
use super::super::machine::step;
use super::super::message;
use super::*;

#[test]
fn explore() {
    let now = at("2026-11-23T00:12:00Z");
    let members = members(&[("acme", "support"), ("acme", "sales"), ("globex", "legal")]);
    let mut s = november(4_012.0);
    s.missing_days = 4;
    s.forecast = forecast(5_460.0);
    s.exhausted_at = Some(at("2026-11-27T15:00:00Z"));
    s.pace_credits_per_day = Some(182.42);
    s.top = vec![
        (members[0].clone(), 2100.),
        (members[1].clone(), 900.5),
        (members[2].clone(), 500.),
    ];
    let rules = vec![
        budget("cx-month", MONTH, 5000., &[used(0.8), expected(1.0)]),
        rule("heavy", usage_rule(Span::PreviousDay, Per::Agent)),
        rule(
            "heavy-account",
            usage_rule(Span::Previous7Days, Per::Account),
        ),
        rule("heavy-all", usage_rule(Span::MonthToDate, Per::Total)),
        rule("spikes", SPIKE),
        rule("stale", MISSING),
        rule(
            "keys",
            Check::KeyRefused {
                severity: Severity::Critical,
            },
        ),
        rule(
            "agents",
            Check::AgentRefused {
                severity: Severity::Critical,
            },
        ),
    ];
    let mut f = facts("2026-11-23");
    f.budgets.insert("cx-month".into(), vec![s]);
    for m in members.iter() {
        let mut a = AgentFacts::unread(m);
        a.previous_day_credits = Some(1234.5);
        a.previous_7_days_credits = Some(5234.5);
        a.month_to_date_credits = Some(15234.5);
        a.usual_credits = Some(200.);
        a.missing_days = 3;
        a.missing_since = Some(day("2026-11-21"));
        f.agents.push(a);
    }
    f.watched_from.insert("stale".into(), day("2026-01-01"));
    for o in judge(&rules, &f) {
        let n = o.notice(Some("https://x/"), now);
        println!(
            "--- {} {:?}\n{}\n{}\n{:?}",
            n.key, o.condition, n.title, n.text, n.labels
        );
        let alert = crate::ledger::Alert {
            key: o.key.clone(),
            state: crate::ledger::AlertState::Firing,
            since: now,
            fired_at: Some(now),
            limit_credits: 0.,
            hooks: vec![],
            notice: message::json(&n),
        };
        for e in [message::Ending::Quiet, message::Ending::PeriodOver] {
            let r = message::resolved(&alert, Some(&o), e, now);
            println!("  {}", r.title);
        }
        println!(
            "  {}",
            message::resolved(&alert, None, message::Ending::Gone, now).title
        );
    }
}
