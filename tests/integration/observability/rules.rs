//! The shipped config, alerts, runbooks and tests of alerts, for Prometheus of both generations and vmalert.
//!
//! `promtool test rules` takes a mistyped name of an alert, and a file without tests, for a success. So
//! what is tested is counted here, and every alert is broken in several ways that its tests must notice.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use promql_parser::util::parse_duration;
use serde::Deserialize;
use serde_json::{Value, json};

use super::promql::Golden;
use crate::harness::Generation;

/// A file of rules.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    name: String,
    rules: Vec<Alert>,
}

/// An alert, with all that an alert must have.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alert {
    pub alert: String,
    pub expr: String,
    r#for: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

/// A file of tests, as far as is looked at here.
#[derive(Deserialize)]
struct TestFile {
    tests: Vec<Test>,
}

#[derive(Deserialize)]
struct Test {
    alert_rule_test: Vec<Expectation>,
}

#[derive(Deserialize)]
struct Expectation {
    eval_time: String,
    alertname: String,
    exp_alerts: Vec<Value>,
}

/// The runbooks, by the path that Prometheus serves them at.
pub const RUNBOOKS: &str = "consoles/flowgent.html";

/// The folder with all of it.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus")
}

pub fn read(file: impl AsRef<Path>) -> String {
    let path = folder().join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every alert of every file of rules, in order.
pub fn alerts() -> Vec<Alert> {
    files("rules").iter().flat_map(alerts_of).collect()
}

/// Every alert of a file of rules, in order.
fn alerts_of(file: impl AsRef<Path>) -> Vec<Alert> {
    let parsed: RuleFile = serde_saphyr::from_str(&read(file)).unwrap();
    let mut alerts = Vec::new();
    for Group { name, rules } in parsed.groups {
        assert!(name.starts_with("flowgent-"), "{name}");
        alerts.extend(rules);
    }
    assert!(alerts.len() > 5, "only {} alerts", alerts.len());
    alerts
}

/// The files of a folder, sorted.
fn files(name: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder().join(name)).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Runs promtool; whether it is content, and what it says on both of its outputs in the order in which it
/// said it.
fn promtool(generation: Generation, arguments: &[&str], paths: &[PathBuf]) -> (bool, String) {
    let mut command = Command::new(generation.program("promtool"));
    said(command.args(arguments).args(paths))
}

/// Runs vmalert-tool on a file of tests. Prometheus gives alerts no label of their group.
fn vmalert_tool(tests: &Path) -> (bool, String) {
    let mut command = Command::new(Generation::Newer.program("vmalert-tool"));
    command.args(["unittest", "--disableAlertgroupLabel", "--files"]);
    said(command.arg(tests))
}

fn said(command: &mut Command) -> (bool, String) {
    let mut told = tempfile::tempfile().unwrap();
    let status = command
        .stdin(Stdio::null())
        .stdout(told.try_clone().unwrap())
        .stderr(told.try_clone().unwrap())
        .status();
    let status =
        status.unwrap_or_else(|error| panic!("{command:?}: {error}: tests/run installs it"));
    told.rewind().unwrap();
    let mut text = String::new();
    told.read_to_string(&mut text).unwrap();
    (status.success(), text)
}

/// What is wrong with tests of alerts, each fault in a sentence.
fn faults_of_tests(alerts: &[Alert], tests: &[Test]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut tested = BTreeSet::new();
    for test in tests {
        let mut stages: BTreeMap<&str, Vec<bool>> = BTreeMap::new();
        let mut last = None;
        for expectation in &test.alert_rule_test {
            let Expectation {
                eval_time,
                alertname,
                exp_alerts,
            } = expectation;
            let time = Some(parse_duration(eval_time).unwrap());
            if time < last {
                faults.push(format!("{alertname}: {eval_time} comes after a later time"));
            }
            last = time;
            let stages = stages.entry(alertname).or_default();
            let fires = !exp_alerts.is_empty();
            if stages.last() != Some(&fires) {
                stages.push(fires);
            }
        }
        for (alert, stages) in stages {
            if !alerts.iter().any(|known| known.alert == alert) {
                faults.push(format!("there is no alert {alert}"));
            }
            if stages.starts_with(&[false, true, false]) {
                tested.insert(alert);
            }
        }
    }
    for Alert { alert, .. } in alerts {
        if !tested.contains(alert.as_str()) {
            faults.push(format!("no test has {alert} quiet, firing, and over again"));
        }
    }
    faults
}

#[test]
fn promtool_finds_no_fault_with_the_config_and_the_rules() {
    for generation in Generation::BOTH {
        let check = |what: &str, paths: &[PathBuf]| {
            let arguments = ["check", what, "--lint=all", "--lint-fatal"];
            let (content, told) = promtool(generation, &arguments, paths);
            assert!(content, "{generation:?}: {told}");
            told
        };
        // Usage and budgets are not loaded.
        let told = check("config", &[folder().join("prometheus.yml")]);
        assert!(told.contains("SUCCESS: 1 rule files found"), "{told}");
        let loaded = alerts_of("rules/alerts.yml").len();
        assert!(loaded <= 12, "{loaded} alerts are loaded");
        assert!(
            told.contains(&format!("SUCCESS: {loaded} rules found")),
            "{told}"
        );
        for file in files("rules") {
            let expected = format!("SUCCESS: {} rules found", alerts_of(&file).len());
            let told = check("rules", &[file]);
            assert!(told.contains(&expected), "{told}");
        }
    }
}

#[test]
fn every_alert_is_about_what_is_served() {
    let golden = Golden::read();
    for Alert { alert, expr, .. } in alerts() {
        assert_eq!(golden.faults(&expr), Vec::<String>::new(), "{alert}");
    }
}

#[test]
fn every_alert_has_what_whoever_is_told_needs() {
    let mut names = BTreeSet::new();
    for Alert {
        alert,
        r#for,
        labels,
        annotations,
        ..
    } in alerts()
    {
        assert!(
            alert.starts_with("FlowGent") && alert.chars().all(char::is_alphanumeric),
            "{alert}"
        );
        assert!(names.insert(alert.clone()), "{alert} is there twice");
        assert!(
            parse_duration(&r#for).unwrap().as_secs() >= 300,
            "{alert}: {for}"
        );
        let labels: Vec<(&str, &str)> = labels
            .iter()
            .map(|(key, value)| (&**key, &**value))
            .collect();
        let [("severity", "critical" | "warning")] = *labels else {
            panic!("{alert}: {labels:?}");
        };
        let keys: Vec<&str> = annotations.keys().map(String::as_str).collect();
        assert_eq!(keys, ["description", "runbook_url", "summary"], "{alert}");
        assert!(
            !annotations["summary"].contains("{{"),
            "{alert}: a summary is the same for all"
        );
        for text in ["summary", "description"] {
            assert!(annotations[text].ends_with('.'), "{alert}: {text}");
        }
        let link = format!("{{{{ $externalURL }}}}/{RUNBOOKS}#{}", alert.to_lowercase());
        assert_eq!(annotations["runbook_url"], link);
    }
}

#[test]
fn every_alert_is_seen_quiet_firing_and_over_by_tests_that_pass() {
    let files = files("tests");
    let parse = |file| {
        serde_saphyr::from_str::<TestFile>(&read(file))
            .unwrap()
            .tests
    };
    let tests: Vec<Test> = files.iter().flat_map(parse).collect();
    assert_eq!(faults_of_tests(&alerts(), &tests), Vec::<String>::new());
    let assert_passed = |(content, told): (bool, String), count: usize| {
        assert!(content, "{told}");
        assert_eq!(told.matches("SUCCESS").count(), count, "{told}");
    };
    std::thread::scope(|scope| {
        for generation in Generation::BOTH {
            let told = promtool(generation, &["test", "rules"], &files);
            assert_passed(told, files.len());
        }
        for file in &files {
            scope.spawn(|| assert_passed(vmalert_tool(file), 1));
        }
    });
}

#[test]
fn a_test_that_is_planted_to_fail_does() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/prometheus");
    let planted = fixtures.join("planted.yml");
    let [stable, newer] = Generation::BOTH.map(|generation| {
        promtool(
            generation,
            &["test", "rules"],
            std::slice::from_ref(&planted),
        )
    });
    for (content, told) in [stable, newer, vmalert_tool(&planted)] {
        assert!(
            !content && told.contains("alertname: FlowGentExporterDown, time: 30m"),
            "{told}"
        );
    }
}

#[test]
fn tests_that_promtool_takes_for_good_though_they_test_nothing_are_found() {
    let alerts = alerts();
    let tests = |text: &str| serde_saphyr::from_str::<TestFile>(text).unwrap().tests;
    let faults = faults_of_tests(&alerts, &tests("tests: []"));
    assert_eq!(faults.len(), alerts.len());
    let quiet = "tests: [{alert_rule_test: [{eval_time: 1h, alertname: NAME, exp_alerts: []}]}]";
    let faults = faults_of_tests(
        &alerts,
        &tests(&quiet.replace("NAME", "FlowGentExporterDwon")),
    );
    assert!(
        faults.contains(&"there is no alert FlowGentExporterDwon".to_owned()),
        "{faults:?}"
    );
    let faults = faults_of_tests(
        &alerts,
        &tests(&quiet.replace("NAME", "FlowGentExporterDown")),
    );
    let never = "no test has FlowGentExporterDown quiet, firing, and over again".to_owned();
    assert!(faults.contains(&never), "{faults:?}");
}

/// A way to break an alert.
type Break = fn(&mut Value);

const BREAKS: [(&str, Break); 4] = [
    ("never", |alert| alert["expr"] = json!("vector(0) > 1")),
    ("always", |alert| {
        alert["expr"] = json!(format!(
            "({}) or vector(1)",
            alert["expr"].as_str().unwrap()
        ))
    }),
    ("at-once", |alert| alert["for"] = json!("0s")),
    ("for-ever", |alert| alert["keep_firing_for"] = json!("30d")),
];

#[test]
fn an_alert_that_never_fires_or_always_or_at_once_or_for_ever_fails_its_tests() {
    let scratch = tempfile::tempdir().unwrap();
    let rules = files("rules").into_iter().flat_map(|file| {
        let rules: Value = serde_saphyr::from_str(&read(file)).unwrap();
        let groups = rules["groups"].as_array().unwrap().clone();
        let of_group = |group: Value| group["rules"].as_array().unwrap().clone();
        groups.into_iter().flat_map(of_group)
    });
    let rules: Vec<Value> = rules.collect();
    let tests = files("tests");
    let tests: Vec<Value> = tests
        .iter()
        .map(|file| serde_saphyr::from_str(&read(file)).unwrap())
        .collect();
    // JSON is YAML too.
    let write = |name: String, content: &Value| {
        let path = scratch.path().join(name);
        std::fs::write(&path, content.to_string()).unwrap();
        path
    };
    let mut broken = Vec::new();
    for rule in &rules {
        let name = rule["alert"].as_str().unwrap();
        // Its own tests alone.
        let is_own = |test: &&Value| test["alert_rule_test"][0]["alertname"] == name;
        let of_file = |file: &Value| {
            let own: Vec<Value> = file["tests"]
                .as_array()
                .unwrap()
                .iter()
                .filter(is_own)
                .cloned()
                .collect();
            (!own.is_empty()).then(|| (file.clone(), own))
        };
        let (mut file, own) = tests
            .iter()
            .find_map(of_file)
            .unwrap_or_else(|| panic!("{name} has no test"));
        file["tests"] = Value::Array(own);
        for (how, break_it) in BREAKS {
            let mut rule = rule.clone();
            break_it(&mut rule);
            let group = json!({"groups": [{"name": "broken", "rules": [rule]}]});
            let rules = write(format!("{name}.{how}.rules.yml"), &group);
            file["rule_files"] = json!([rules]);
            broken.push((name, how, write(format!("{name}.{how}.yml"), &file)));
        }
    }
    let paths: Vec<PathBuf> = broken.iter().map(|(.., path)| path.clone()).collect();
    let (content, told) = promtool(Generation::Stable, &["test", "rules"], &paths);
    assert!(!content, "{told}");
    let told: Vec<&str> = told.split("Unit Testing:  ").skip(1).collect();
    assert_eq!(told.len(), broken.len());
    let mut unnoticed = Vec::new();
    for ((name, how, path), told) in broken.iter().zip(told) {
        assert!(told.starts_with(path.to_str().unwrap()), "{told}");
        // Because of what was expected, and not because a file could not be read.
        if !told.contains(&format!("alertname: {name}, time: ")) {
            unnoticed.push(format!("{name} {how}: {told}"));
        }
    }
    assert!(unnoticed.is_empty(), "{}", unnoticed.concat());
}
