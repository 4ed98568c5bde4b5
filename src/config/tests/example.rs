//! The example, which is the reference of all keys.

use super::*;

/// The example with its files in a folder of this test's, and all that is commented out if asked for.
fn example(folder: &Path, with_comments: bool) -> String {
    fs::create_dir_all(folder.join("keys")).unwrap();
    for (file, content) in [
        ("keys/acme.key", "test-key-acme\n"),
        ("agents.json", "[]"),
        ("keys/ops.url", "https://hooks.example/ops"),
        ("keys/ops.secret", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"),
        ("keys/slack.url", "https://hooks.example/slack"),
        ("keys/own.url", "https://hooks.example/own"),
        ("keys/pagerduty.key", "test-routing-key"),
        ("keys/alertmanager.token", "test-token"),
        ("keys/smtp.password", "test-password"),
        ("keys/prometheus.password", "test-password"),
        ("keys/alive.url", "https://hooks.example.org/alive"),
        (
            "keys/alive-failure.url",
            "https://hooks.example.org/alive/fail",
        ),
        ("keys/alive.token", "test-token"),
        ("web.yml", "http_server_config:\n  http2: false\n"),
    ] {
        fs::write(folder.join(file), content).unwrap();
    }
    let text = fs::read_to_string("deploy/config.toml")
        .unwrap()
        .replace("/etc/flowgent-exporter", &folder.display().to_string())
        // A variable that Cargo sets for every test.
        .replace("GLOBEX_API_KEY", "CARGO_PKG_NAME");
    text.lines()
        .map(|line| match line.strip_prefix('#') {
            Some(config) if with_comments && !config.is_empty() && !config.starts_with(' ') => {
                format!("{config}\n")
            }
            _ => format!("{line}\n"),
        })
        .collect()
}

#[test]
fn the_example_shows_the_defaults() {
    let folder = tempfile::tempdir().unwrap();
    let parse = |text: &str| {
        Config::parse(text, &folder.path().join("config.toml"), today())
            .unwrap_or_else(|error| panic!("{error}"))
    };
    let config = parse(&example(folder.path(), false));
    let defaults = load("minimal");
    assert_eq!(config.server, defaults.server);
    assert_eq!(config.storage, defaults.storage);
    assert_eq!(config.schedule.cron, defaults.schedule.cron);
    assert_eq!(config.schedule.jitter, defaults.schedule.jitter);
    assert_eq!(config.policy, defaults.policy);
    assert_eq!(config.api, defaults.api);
    assert_eq!(config.warnings, [""; 0]);
}

#[test]
fn the_example_is_good_with_all_that_is_commented_out() {
    let folder = tempfile::tempdir().unwrap();
    let text = example(folder.path(), true);
    let config = Config::parse(&text, &folder.path().join("config.toml"), today())
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.warnings, [""; 0]);
    assert_eq!(config.accounts.len(), 2);
    // Each section that is written is there: none has stayed a comment.
    assert_eq!(config.hooks.len(), text.matches("[[hook]]").count());
    assert_eq!(
        config.alerts.rules.len(),
        // A probe with hooks has a rule of its own.
        ["[[budget]]", "[[balance]]", "[[rule]]", "[[probe]]"]
            .map(|section| text.matches(section).count())
            .iter()
            .sum::<usize>()
    );
    assert_eq!(
        config.alerts.summaries.len(),
        text.matches("[[summary]]").count()
    );
    assert_eq!(
        config.alerts.probes.len(),
        text.matches("[[probe]]").count()
    );
    assert!(config.push.is_some());
    assert!(config.hooks.len() >= 8 && config.alerts.rules.len() >= 7);
    assert_eq!(
        config.alerts.dashboard_url.as_deref(),
        Some("https://grafana.example.org/d/credits")
    );
}

#[test]
#[should_panic(expected = "the reference config explains each of [\"colour\"]")]
fn a_key_that_the_reference_does_not_show_cannot_be_read() {
    let mut top = Section::top("", DeTable::new(), &Rc::default());
    top.flag("colour", false);
}
