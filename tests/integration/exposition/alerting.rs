//! What is served of budgets, rules, probes, hooks and pushing, which only those have who want them.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{DateTime, Utc};
use flowgent_exporter::day::Day;
use tokio::process::Command;

use super::{NOW, OPENMETRICS, body, families, piped};
use crate::alerts::{configure, wait_until_told, webhook};
use crate::harness::{Exporter, Generation, Receiver, Scene, Scrape, Team, day, run};

/// A rule of every kind, none of which fires.
const RULES: &str = "\
[[rule]]
name = \"busy\"
kind = \"usage\"
over = 1e9
match = { agent = \"support\" }
hooks = [\"ops\"]
[[rule]]
name = \"busy-account\"
kind = \"usage\"
over = 1e9
per = \"account\"
span = \"month_to_date\"
hooks = [\"chat\"]
[[rule]]
name = \"spike\"
kind = \"spike\"
floor = 1e9
match = { account = \"globex\" }
hooks = [\"mail\"]
[[rule]]
name = \"drop\"
kind = \"drop\"
floor = 1e9
match = { account = \"globex\" }
hooks = [\"mail\"]
[[rule]]
name = \"silent\"
kind = \"silent\"
days = 28
match = { account = \"globex\" }
hooks = [\"mail\"]
[[budget]]
name = \"accounts\"
per = \"account\"
credits = 1e9
period = \"month\"
forecast_thresholds = [1.0]
hooks = [\"ops\"]
[[budget]]
name = \"all-of-acme\"
per = \"account\"
credits = { acme = 5000 }
period = \"total\"
start = \"2026-03-01\"
thresholds = [1]
hooks = [\"ops\"]
[[rule]]
name = \"missing-data\"
kind = \"missing_data\"
match = { agent = [\"legal\", \"shop\"] }
hooks = [\"phone\"]
[[rule]]
name = \"key-refused\"
kind = \"key_refused\"
hooks = [\"pager\", \"alertmanager\"]
[[rule]]
name = \"agent-refused\"
kind = \"agent_refused\"
match = { account = \"acme\" }
hooks = [\"program\"]
[[rule]]
name = \"no-credits\"
kind = \"no_credits\"
hooks = [\"program\"]
[[probe]]
name = \"ping\"
account = \"acme\"
agent = \"support\"
message = \"Hello\"
cron = \"0 1 9 * * *\"
hooks = [\"program\"]
";

/// A database that is not there: what is pushed to it is counted all the same.
const PUSH: &str = "\
[push]
write_url = \"http://127.0.0.1:9/api/v1/write\"
allow_private = true
instance = \"localhost:13569\"
";

/// A hook of every kind and with every preset that has a way of its own. What matters is that none is
/// sent anything.
fn hooks(scene: &Scene, receiver: &Receiver) -> String {
    scene.write("routing.key", "0123456789abcdef0123456789abcdef");
    let mut hooks = webhook(scene, "ops", receiver, "");
    hooks += &webhook(scene, "chat", receiver, "preset = \"slack\"");
    hooks += &webhook(
        scene,
        "pager",
        receiver,
        "preset = \"pagerduty\"\nrouting_key_file = \"routing.key\"",
    );
    hooks += &format!(
        "[[hook]]\nname = \"alertmanager\"\nkind = \"alertmanager\"\nurls = [\"{}\"]\nallow_private = true\n",
        receiver.url().replace("/token-canary/in", "")
    );
    hooks += "[[hook]]\nname = \"phone\"\nkind = \"whatsapp\"\naccount = \"acme\"\nagent = \"sales\"\n\
              template_name = \"usage_alert\"\nlanguage = \"en_US\"\nrecipients = [\"31612345678\"]\n\
              [[hook]]\nname = \"mail\"\nkind = \"email\"\nhost = \"127.0.0.1\"\nencryption = \"none\"\n\
              allow_private = true\nfrom = \"usage@example.com\"\nto = [\"ops@example.com\"]\n\
              [[hook]]\nname = \"program\"\nkind = \"exec\"\ncommand = [\"/usr/bin/false\"]\n";
    hooks
}

/// A budget of acme's agents, without thresholds that are reached.
struct Budget {
    name: &'static str,
    /// As it stands in the config.
    period: &'static str,
    first: Day,
    end: Option<Day>,
    limit: f64,
}

/// A budget with periods of each kind; the month's and the total's are used up by what is expected.
fn budgets(team: &Team<'_>) -> [Budget; 4] {
    let (today, first) = (team.today, day("2026-02-15"));
    let (month, total) = (day("2026-03-15"), day("2026-01-01"));
    let used = |first| team.used(first, today.previous());
    let (_, expected, _) = team.forecast(first, month);
    let limit = f64::midpoint(used(first), expected).round();
    assert!(used(first) < limit && limit < expected);
    let budget = |name, period, first, end, limit| Budget {
        name,
        period,
        first,
        end,
        limit,
    };
    [
        budget(
            "day",
            "period = \"day\"",
            today.previous(),
            Some(today),
            1e6,
        ),
        budget(
            "week",
            "period = \"week\"",
            day("2026-03-09"),
            Some(day("2026-03-16")),
            1e6,
        ),
        budget(
            "month",
            "period = \"month\"\nanchor_day = 15",
            first,
            Some(month),
            limit,
        ),
        budget(
            "total",
            "period = \"total\"\nstart = \"2026-01-01\"",
            total,
            None,
            (used(total) * 1.5).round(),
        ),
    ]
}

fn team(scene: &Scene) -> Team<'_> {
    Team {
        scene,
        agents: ["support", "sales", "legal"]
            .map(|name| scene.agent("acme", name))
            .into(),
        today: scene.today(),
    }
}

/// The day of the balance's `set`.
const ENTERED: &str = "2026-02-01";

/// Credits that were set then: enough for some months.
fn entered(scene: &Scene) -> f64 {
    let team = team(scene);
    (team.used(day(ENTERED), team.today.previous()) * 3.0).round()
}

/// An exporter that has evaluated all its rules once, of which none fires, and its first scrape.
async fn start(scene: &Scene, receiver: &Receiver) -> (Exporter, Scrape) {
    let mut alerting = RULES.to_owned() + &hooks(scene, receiver);
    for Budget {
        name,
        period,
        limit,
        ..
    } in budgets(&team(scene))
    {
        // What has no end, or is over once it is known, has no forecast to be held to.
        let forecast = if matches!(name, "total" | "day") {
            ""
        } else {
            "10"
        };
        alerting += &format!(
            "[[budget]]\nname = \"{name}\"\ncredits = {limit}\n{period}\n\
             match = {{ account = \"acme\" }}\nthresholds = [1]\nforecast_thresholds = [{forecast}]\n\
             hooks = [\"ops\"]\n"
        );
    }
    alerting += &format!(
        "[[balance]]\nname = \"prepaid\"\nmatch = {{ account = \"acme\" }}\n\
         entries = [{{ on = \"{ENTERED}\", set = {} }}]\nhooks = [\"ops\"]\n",
        entered(scene)
    );
    configure(scene, &(alerting + PUSH));
    let exporter = scene.start().await;
    let first = exporter.scrape().await;
    wait_until_told(&exporter, scene).await;
    scene.set_time("2026-03-10T09:01:00");
    let firing = "flowgent_alert_firing{rule=\"ping\",subject=\"ping\"}";
    exporter
        .wait_until("a probe", |scrape| {
            scrape.sum("flowgent_probe_success") == 1.0 && scrape.get(firing).is_some()
        })
        .await;
    let silence = [
        "alerts",
        "silence",
        "drop",
        "globex/shop",
        "--until",
        "2026-03-12",
    ];
    let output = run(scene, &[&silence[..], &["--reason", "moved"]].concat()).await;
    assert!(output.status.success(), "{output:?}");
    let silenced = "flowgent_alert_silenced{rule=\"drop\",subject=\"globex/shop\"}";
    exporter
        .wait_until("the silence", |scrape| scrape.get(silenced).is_some())
        .await;
    (exporter, first)
}

/// Whether a line is of a family that is about forecasts, budgets, alerts, hooks or pushing.
fn is_of_alerting(line: &str) -> bool {
    let rest = line
        .strip_prefix("# ")
        .map_or(line, |comment| &comment[5..]);
    [
        "flowgent_agent_forecast_",
        "flowgent_budget_",
        "flowgent_balance_",
        "flowgent_probe_",
        "flowgent_alert_",
        "flowgent_hook_",
        "flowgent_exporter_alert_",
        "flowgent_exporter_push_",
    ]
    .iter()
    .any(|family| rest.starts_with(family))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_series_of_budgets_alerts_and_hooks_is_there_before_anything_fires() {
    let scene = Scene::new(NOW);
    let receiver = Receiver::start().await;
    let (exporter, first) = start(&scene, &receiver).await;
    let text = body(&exporter, "").await;
    let (all, samples) = families(&text);
    let lines = text.lines().filter(|line| is_of_alerting(line));
    // With their values left out, of which another test is.
    let listed: String = lines
        .map(|line| {
            let shown = line.strip_prefix('#').map_or_else(
                || line.rsplit_once(' ').unwrap().0.to_owned(),
                |_| line.to_owned(),
            );
            shown + "\n"
        })
        .collect();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/exposition");
    let expected = std::fs::read_to_string(fixtures.join("alerting.txt")).unwrap_or_default();
    assert_eq!(listed, expected, "{listed}");

    // Without budgets, rules and hooks there are the same families but for theirs.
    let plain = std::fs::read_to_string(fixtures.join("families.txt")).unwrap();
    let mut others = all.clone();
    others.retain(|name, _| !is_of_alerting(name));
    let plain: BTreeMap<String, String> = plain
        .lines()
        .filter(|line| !is_of_alerting(line))
        .map(|line| {
            let mut words = line.split(' ').map(str::to_owned);
            (words.next().unwrap(), words.next().unwrap())
        })
        .collect();
    assert_eq!(others, plain);
    let (open, open_samples) = families(&body(&exporter, OPENMETRICS).await);
    assert_eq!((open.len(), open_samples), (all.len(), samples));

    // All that counts or waits is zero, from the first scrape on.
    let scrape = Scrape::parse(text);
    assert_eq!(receiver.received().len(), 0);
    for prefix in ["flowgent_hook_", "flowgent_alert_firing"] {
        let series = scrape.starting_with(prefix);
        assert!(series.len() >= 12, "{series:?}");
        for (series, value) in series {
            assert_eq!(value, 0.0, "{series}");
        }
    }
    let of_hooks = first.starting_with("flowgent_hook_");
    assert_eq!(of_hooks, scrape.starting_with("flowgent_hook_"));
    for series in first.starting_with("flowgent_exporter_alert_").keys() {
        assert!(scrape.get(series).is_some(), "{series}");
    }
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_served_of_budgets_is_the_truth() {
    let scene = Scene::new(NOW);
    let receiver = Receiver::start().await;
    let (exporter, _) = start(&scene, &receiver).await;
    let scrape = exporter.scrape().await;
    let team = team(&scene);
    let seconds = |at: DateTime<Utc>| at.timestamp_millis() as f64 / 1000.0;
    let mut exhausted = 0;
    for Budget {
        name,
        first,
        end,
        limit,
        ..
    } in budgets(&team)
    {
        let used = team.used(first, team.today.previous());
        let forecast = end.map(|end| team.forecast(first, end));
        // A total is looked ahead for a year.
        let last = end.unwrap_or(team.today.plus(365));
        let exhausted_at = team.exhausted_at(first, last, limit);
        exhausted += usize::from(exhausted_at.is_some());
        let expected = [
            ("limit_credits", Some(limit)),
            ("used_credits", Some(used)),
            ("used_ratio", Some(used / limit)),
            ("missing_days", Some(0.0)),
            ("forecast_low_credits", forecast.map(|forecast| forecast.0)),
            ("forecast_credits", forecast.map(|forecast| forecast.1)),
            ("forecast_high_credits", forecast.map(|forecast| forecast.2)),
            (
                "period_start_timestamp_seconds",
                Some(seconds(first.start())),
            ),
            (
                "period_end_timestamp_seconds",
                end.map(|end| seconds(end.start())),
            ),
            ("exhausted_timestamp_seconds", exhausted_at.map(seconds)),
        ];
        for (family, expected) in expected {
            let found = scrape.get(&format!("flowgent_budget_{family}{{budget=\"{name}\"}}"));
            let is_close = match (found, expected) {
                (Some(found), Some(expected)) => (found - expected).abs() <= 1e-9 * expected,
                (found, expected) => found == expected,
            };
            assert!(is_close, "{name} {family}: {found:?} and not {expected:?}");
        }
    }
    assert_eq!(exhausted, 2, "the month and the total");
    let entered = entered(&scene);
    let used = team.used(day(ENTERED), team.today.previous());
    let exhausted_at = team.exhausted_at(day(ENTERED), team.today.plus(365), entered);
    let exhausted_at = exhausted_at.map(seconds).unwrap();
    let days_left = (exhausted_at - seconds(team.today.start())) / 86_400.0;
    let of = |family: &str| {
        let series = format!("flowgent_balance_{family}{{balance=\"prepaid\"}}");
        scrape.get(&series).unwrap_or_else(|| panic!("{series}"))
    };
    assert!((of("credits") - (entered - used)).abs() < 1e-6);
    assert_eq!(of("missing_days"), 0.0);
    assert!((of("days_left") - days_left).abs() < 1e-6);
    assert!((of("exhausted_timestamp_seconds") - exhausted_at).abs() < 1e-3);
    assert!(of("low_days_left") < days_left && days_left < of("high_days_left"));
    let low = seconds(team.today.start()) + of("low_days_left") * 86_400.0;
    assert!((of("low_exhausted_timestamp_seconds") - low).abs() < 1e-2);
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn promtool_finds_no_more_fault_with_budgets_alerts_and_hooks() {
    // It takes days for a duration, as it does those of agents.
    let scene = Scene::new(NOW);
    let receiver = Receiver::start().await;
    let (exporter, _) = start(&scene, &receiver).await;
    let text = body(&exporter, "").await;
    let alerting: String = text
        .lines()
        .filter(|line| is_of_alerting(line))
        .flat_map(|line| [line, "\n"])
        .collect();
    assert!(alerting.lines().count() > 100, "{alerting}");
    for generation in Generation::BOTH {
        let mut promtool = Command::new(generation.program("promtool"));
        let (_, told) = piped(promtool.args(["check", "metrics"]), &alerting).await;
        assert_eq!(
            told,
            [
                "balance_days_left",
                "balance_high_days_left",
                "balance_low_days_left",
                "balance_missing_days",
                "budget_missing_days"
            ]
            .map(|name| format!("flowgent_{name} use base unit \"seconds\" instead of \"days\"\n"))
            .concat()
        );
    }
    exporter.stop().await;
}
