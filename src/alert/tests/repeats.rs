//! Critical alerts that go on are sent again.

use super::*;

const KEY: &str = "cx/all/2026-11-01/used 1";

/// November's budget with a warning and a critical threshold, at that use.
fn on(today: &str, used_credits: f64) -> Facts {
    let mut facts = facts(today);
    let standing = current(november(used_credits));
    facts.budgets.insert("cx".into(), vec![standing]);
    facts
}

fn cx(of_rule: Option<u64>, of_hook: Option<u64>) -> Stage {
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    let thresholds = [used(0.8), critical(used(1.0))];
    let mut settings = settings(vec![budget("cx", MONTH, 5_000.0, &thresholds)]);
    settings.rules[0].repeat = of_rule.map(hours);
    settings.routes[0].repeat = of_hook.map(hours);
    Stage::new(settings)
}

/// Notes that the hook's newest delivery about the critical alert ended then, or is still pending.
fn delivered(stage: &mut Stage, ended: Option<&str>) {
    let mut keys = stage.memory.alerts.keys();
    let key = keys
        .find(|key| &*key.threshold == "used 1")
        .unwrap()
        .clone();
    let told = ((key, "ops".to_owned()), ended.map(at));
    stage.memory.outside.last_told = [told].into();
}

#[test]
fn a_critical_alert_that_goes_on_is_told_again_at_the_interval_since_the_last_delivery() {
    for (of_rule, of_hook) in [(Some(24), None), (None, Some(24)), (Some(24), Some(1))] {
        let mut stage = cx(of_rule, of_hook);
        let above = on("2026-11-20", 5_100.0);
        let step = stage.step(&above, at("2026-11-20T01:00:00Z"));
        assert_eq!(step.told.len(), 1);
        assert_eq!(step.next, Some(at("2026-11-21T01:00:00Z")));
        delivered(&mut stage, Some("2026-11-20T07:00:00Z"));
        let step = stage.step(&above, at("2026-11-21T01:00:00Z"));
        assert!(step.told.is_empty());
        assert_eq!(step.next, Some(at("2026-11-21T07:00:00Z")));
        let last_told = stage.memory.outside.last_told.clone();
        stage.restart();
        stage.memory.outside.last_told = last_told;
        let step = stage.step(&above, at("2026-11-21T07:00:00Z"));
        assert_eq!(step.told.len(), 1);
        let notice = &step.told[0].notice;
        assert_eq!((&*notice.key, notice.status), (KEY, Status::Firing));
        assert!(
            notice
                .title
                .starts_with("Still firing since 20 Nov: Budget cx: "),
            "{}",
            notice.title
        );
        assert_eq!(notice.started_at, at("2026-11-20T01:00:00Z"));
        assert_eq!(step.next, Some(at("2026-11-22T07:00:00Z")));
        // While that waits to be delivered, nothing follows.
        delivered(&mut stage, None);
        let step = stage.step(&above, at("2026-11-25T07:00:00Z"));
        assert!(step.told.is_empty());
        assert_eq!(step.next, Some(at("2026-11-26T07:00:00Z")));
        // Its end is sent once, as always.
        delivered(&mut stage, Some("2026-11-25T08:00:00Z"));
        let below = on("2026-11-27", 10.0);
        assert_eq!(
            stage.told(&below, "2026-11-27T01:00:00Z"),
            [format!("-{KEY}")]
        );
        assert!(stage.told(&below, "2026-11-30T01:00:00Z").is_empty());
    }
}

#[test]
fn what_is_not_critical_or_repeats_itself_or_nobody_asked_for_is_not_repeated() {
    let later = "2026-11-25T01:00:00Z";
    let above = on("2026-11-20", 5_100.0);
    // The warning threshold alone.
    let mut stage = cx(Some(1), None);
    let warning = on("2026-11-20", 4_100.0);
    assert_eq!(stage.told(&warning, "2026-11-20T01:00:00Z").len(), 1);
    assert!(stage.told(&warning, later).is_empty());
    // The hook repeats by itself.
    let mut stage = cx(Some(1), None);
    stage.settings.routes[0].repeats_itself = true;
    assert_eq!(stage.told(&above, "2026-11-20T01:00:00Z").len(), 1);
    assert!(stage.told(&above, later).is_empty());
    // Nobody asked for it.
    let mut stage = cx(None, None);
    assert_eq!(stage.told(&above, "2026-11-20T01:00:00Z").len(), 1);
    assert!(stage.told(&above, later).is_empty());
    // The day is uncertain.
    let mut stage = cx(Some(1), None);
    assert_eq!(stage.told(&above, "2026-11-20T01:00:00Z").len(), 1);
    let step = stage.step_if(&above, at(later), false);
    assert!(step.told.is_empty());
    assert_eq!(step.next, None, "certainty wakes the engine");
    assert_eq!(stage.told(&above, later).len(), 1);
}

#[test]
fn a_clock_that_ran_ahead_puts_no_repetition_off() {
    let mut stage = cx(Some(24), None);
    let above = on("2026-11-20", 5_100.0);
    assert_eq!(stage.told(&above, "2026-11-20T01:00:00Z").len(), 1);
    delivered(&mut stage, Some("2027-11-20T01:00:00Z"));
    let step = stage.step(&above, at("2026-11-20T02:00:00Z"));
    assert_eq!(step.next, Some(at("2026-11-21T02:00:00Z")));
}
