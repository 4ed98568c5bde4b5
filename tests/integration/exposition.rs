//! What is served, as those read it who will: Prometheus and its tools.
//!
//! The tools are lenient where an exporter must not be: `promtool check metrics` and the strict parser
//! of Python's client both accept a series twice, and the former also an empty body and families in
//! pieces. So the bodies are checked here first.

mod alerting;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use flate2::bufread::GzDecoder;
use flowgent_exporter::clock::{Clock, SystemClock};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::harness::{Exporter, Generation, Scene, Scrape, Series, Tsdb, wait_for};
use crate::observability::promql;

const NOW: &str = "2026-03-10T09:00:00";
const OPENMETRICS: &str = "Accept: application/openmetrics-text; version=1.0.0\r\n";

/// An exporter whose first sync is over. One of its agents has custom labels that need escaping.
async fn start() -> (Scene, Exporter) {
    let scene = Scene::new(NOW);
    let support = scene.agent("acme", "support");
    let config = scene.config("");
    let place = format!("id = \"{}\"\nname = \"support\"\n", support.id);
    let labels = "labels = { team = 'c\\x \"first\" für alle', tier = \"1\" }\n";
    scene.write(
        "config.toml",
        &config.replace(&place, &format!("{place}{labels}")),
    );
    let exporter = scene.start().await;
    exporter.wait_until_whole(&scene).await;
    (scene, exporter)
}

/// A body in a format, without compression.
async fn body(exporter: &Exporter, headers: &str) -> String {
    let (head, body) = exporter.get("/metrics", headers).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    String::from_utf8(body).unwrap()
}

/// The families of a body by name, with their types, and the number of samples.
///
/// # Panics
/// If a family is there twice or in pieces, or lacks HELP or TYPE, or if a sample is of another family
/// or there twice.
fn families(body: &str) -> (BTreeMap<String, String>, usize) {
    let mut families: BTreeMap<String, String> = BTreeMap::new();
    let mut helped = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut current = "";
    for line in body.lines().filter(|line| *line != "# EOF") {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(helped.insert(name), "{name} has HELP twice");
            assert!(!help.is_empty(), "{name} has no HELP");
            current = name;
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(name, current, "TYPE follows another HELP");
            let before = families.insert(name.to_owned(), kind.to_owned());
            assert_eq!(before, None, "{name} has TYPE twice");
        } else if let Some(rest) = line.strip_prefix("# UNIT ") {
            let (name, unit) = rest.split_once(' ').unwrap();
            assert_eq!(name, current, "UNIT follows another HELP");
            assert!(name.ends_with(&format!("_{unit}")), "{line}");
        } else {
            let (series, _) = line.rsplit_once(' ').unwrap();
            assert!(seen.insert(series), "{series} is there twice");
            let name = series.split('{').next().unwrap();
            let suffix = name.strip_prefix(current);
            let fits = match families.get(current).map(String::as_str) {
                Some("histogram") => ["_bucket", "_sum", "_count"].as_slice(),
                // The text format's family bears the name of its samples, OpenMetrics' does not.
                Some("counter") => &["", "_total"],
                Some("gauge") => &[""],
                kind => panic!("{line} is of type {kind:?}"),
            };
            assert!(
                suffix.is_some_and(|suffix| fits.contains(&suffix)),
                "{line} stands in family {current}"
            );
        }
    }
    assert_eq!(helped.len(), families.len(), "every HELP has a TYPE");
    assert!(seen.len() > 100, "only {} samples", seen.len());
    (families, seen.len())
}

/// The labels of each of the families, but for `le`, which the type of a histogram implies.
fn labels(body: &str, families: &BTreeMap<String, String>) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for line in body.lines().filter(|line| !line.starts_with('#')) {
        let (series, _) = line.rsplit_once(' ').unwrap();
        let (name, mut labels) = promql::series(series);
        labels.remove("le");
        // The family of a histogram's sample bears a shorter name.
        let family = families.range(..=name.clone()).next_back().unwrap().0;
        assert!(name.starts_with(family), "{name} is not of {family}");
        found.entry(family.clone()).or_default().extend(labels);
    }
    found
}

/// Runs a program with that input, to its end; what it wrote to either side.
async fn piped(command: &mut Command, input: &str) -> (bool, String) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}: tests/run installs it"));
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_family_is_served_whole_and_named_as_agreed() {
    let (_scene, exporter) = start().await;
    let served = body(&exporter, "").await;
    let (text, samples) = families(&served);
    let labels = labels(&served, &text);
    let listed: String = text
        .iter()
        .map(|(name, kind)| {
            let labels = labels[name].iter().flat_map(|label| [" ", label]);
            format!("{name} {kind}{}\n", labels.collect::<String>())
        })
        .collect();
    let golden = "tests/fixtures/exposition/families.txt";
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join(golden);
    let expected = std::fs::read_to_string(golden).unwrap_or_default();
    assert_eq!(listed, expected, "{listed}");

    let (open, open_samples) = families(&body(&exporter, OPENMETRICS).await);
    assert_eq!(open_samples, samples);
    let renamed: BTreeMap<String, String> = text
        .into_iter()
        .map(|(name, kind)| (name.trim_end_matches("_total").to_owned(), kind))
        .collect();
    assert_eq!(open, renamed);
}

#[tokio::test(flavor = "multi_thread")]
async fn promtool_reads_the_text_form_and_finds_no_fault() {
    // It takes these for durations, which should be in seconds. They count days, or speak of them.
    const REMARKS: [&str; 4] = [
        "flowgent_agent_missing_days use base unit \"seconds\" instead of \"days\"",
        "flowgent_agent_previous_30_days_credits use base unit \"seconds\" instead of \"days\"",
        "flowgent_agent_previous_7_days_credits use base unit \"seconds\" instead of \"days\"",
        "flowgent_agent_revised_days_total use base unit \"seconds\" instead of \"days\"",
    ];
    let (_scene, exporter) = start().await;
    let text = body(&exporter, "").await;
    families(&text);
    for generation in Generation::BOTH {
        let mut promtool = Command::new(generation.program("promtool"));
        let (_, told) = piped(promtool.args(["check", "metrics"]), &text).await;
        assert_eq!(told.lines().collect::<Vec<_>>(), REMARKS, "{generation:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_strict_parser_reads_all_of_the_openmetrics_form() {
    const PARSE: &str = "\
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
text = sys.stdin.buffer.read().decode('utf-8')
families = list(text_string_to_metric_families(text))
print(len(families), sum(len(family.samples) for family in families))
";
    let (_scene, exporter) = start().await;
    let text = body(&exporter, OPENMETRICS).await;
    assert!(text.ends_with("\n# EOF\n"));
    let (families, samples) = families(&text);
    let mut python = Command::new("/usr/bin/python3");
    let (passed, told) = piped(python.args(["-c", PARSE]), &text).await;
    assert!(passed, "{told}");
    assert_eq!(told, format!("{} {samples}\n", families.len()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gzip_form_says_the_same() {
    /// All but the exporter's telemetry of itself, which changes from one scrape to the next.
    fn usage(body: &str) -> Vec<&str> {
        let is_own = |line: &&str| {
            ["flowgent_exporter_", "process_"].iter().any(|prefix| {
                line.trim_start_matches("# HELP ")
                    .trim_start_matches("# TYPE ")
                    .starts_with(prefix)
            })
        };
        body.lines().filter(|line| !is_own(line)).collect()
    }
    let (_scene, exporter) = start().await;
    for headers in ["", OPENMETRICS] {
        let plain = body(&exporter, headers).await;
        let headers = format!("{headers}Accept-Encoding: gzip\r\n");
        let (head, compressed) = exporter.get("/metrics", &headers).await;
        assert!(
            head.to_lowercase().contains("content-encoding: gzip\r\n"),
            "{head}"
        );
        let length = format!("content-length: {}\r\n", compressed.len());
        assert!(head.to_lowercase().contains(&length), "{head}");
        let mut rest = compressed.as_slice();
        let mut inflated = String::new();
        // Reads one member only, as many clients do.
        GzDecoder::new(&mut rest)
            .read_to_string(&mut inflated)
            .unwrap();
        assert!(
            rest.is_empty(),
            "{} bytes after the first member",
            rest.len()
        );
        assert!(usage(&plain).len() > 60);
        assert_eq!(usage(&inflated), usage(&plain));
        let (of_plain, of_inflated) = (families(&plain), families(&inflated));
        assert_eq!(of_inflated, of_plain);
    }
}

/// The formats that a Prometheus can be made to ask for, by the name that its `scrape_protocols` has.
const FORMATS: [&str; 5] = [
    "PrometheusProto",
    "OpenMetricsText1.0.0",
    "OpenMetricsText0.0.1",
    "PrometheusText1.0.0",
    "PrometheusText0.0.4",
];

/// A Prometheus that scrapes one exporter: as it does by itself as the job `flowgent`, and if it is a newer
/// one, which can be told to, also in each format as a job of that name.
async fn scraping(generation: Generation, target: SocketAddr) -> Tsdb {
    let job = |name: &str, more: &str| {
        format!("- {{job_name: {name}, static_configs: [{{targets: ['{target}']}}]{more}}}\n")
    };
    let mut config =
        "global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n".to_owned();
    config += &job("flowgent", "");
    if generation == Generation::Newer {
        for format in FORMATS {
            config += &job(format, &format!(", scrape_protocols: [{format}]"));
        }
    }
    let mut prometheus = Tsdb::prometheus(&config, &[]).of(generation);
    prometheus.start().await;
    prometheus
}

/// The present samples of a query, by their series as an exporter writes it.
async fn query(prometheus: &Tsdb, query: &str) -> BTreeMap<String, f64> {
    let found = prometheus.query(query, SystemClock.now()).await;
    let found = found.unwrap();
    let samples = found.iter().map(|found| (series(found), found.points[0].1));
    samples.collect()
}

/// The data that its API answers.
async fn api(prometheus: &Tsdb, path: &str) -> Value {
    let (head, body) = prometheus.get(&format!("/api/v1/{path}")).await;
    let mut answer: Value =
        serde_json::from_slice(&body).unwrap_or_else(|_| panic!("{path}: {head}"));
    assert_eq!(answer["status"], "success", "{path}: {answer}");
    answer["data"].take()
}

/// A series as an exporter writes it, without the labels that Prometheus adds. The exporter's order of
/// labels is that of their names here.
fn series(found: &Series) -> String {
    let name = found.label("__name__");
    let labels: Vec<String> = found
        .labels
        .iter()
        .filter(|(key, _)| !["__name__", "instance", "job"].contains(&key.as_str()))
        .map(|(key, value)| {
            format!(
                "{key}=\"{}\"",
                value.replace('\\', "\\\\").replace('"', "\\\"")
            )
        })
        .collect();
    if labels.is_empty() {
        name.to_owned()
    } else {
        format!("{name}{{{}}}", labels.join(","))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_prometheus_knows_exactly_what_flowgent_told_in_every_format_that_it_asks_for() {
    let (scene, exporter) = start().await;
    for generation in Generation::BOTH {
        let prometheus = scraping(generation, exporter.address()).await;
        let formats: &[&str] = match generation {
            Generation::Stable => &[],
            Generation::Newer => &FORMATS,
        };
        for job in [&["flowgent"], formats].concat() {
            let up = format!("sum(up{{job=\"{job}\"}})");
            wait_for(&format!("a first scrape by {job}"), async || {
                let up = query(&prometheus, &up).await;
                if up.values().eq([&1.0]) {
                    Ok(())
                } else {
                    Err(format!("{up:?}"))
                }
            })
            .await;

            // Every sample of every agent, and nothing else.
            let selector = format!("{{job=\"{job}\", __name__=~\"flowgent_agent_.+\"}}");
            let found = query(&prometheus, &selector).await;
            let served = exporter.scrape().await.starting_with("flowgent_agent_");
            assert!(served.len() > 60, "{served:?}");
            assert_eq!(found, served, "{job} of {}", prometheus.name);

            // And what it found is what FlowGent told.
            let lines = found
                .iter()
                .map(|(series, value)| format!("{series} {value}\n"));
            let found = Scrape::parse(lines.collect());
            assert_eq!(scene.untruths(&found), "");
            assert_eq!(scene.gaps(&found), "");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_prometheus_takes_every_sample_and_asks_for_openmetrics() {
    let (_scene, exporter) = start().await;
    tokio::join!(
        assert_taken_whole(Generation::Stable, &exporter),
        assert_taken_whole(Generation::Newer, &exporter)
    );
}

async fn assert_taken_whole(generation: Generation, exporter: &Exporter) {
    let prometheus = scraping(generation, exporter.address()).await;
    wait_for(
        "as many samples scraped by each job as are served",
        async || {
            let scraped = query(
                &prometheus,
                "count_values(\"samples\", scrape_samples_scraped)",
            )
            .await;
            let taken = "count_values(\"samples\", scrape_samples_post_metric_relabeling)";
            let taken = query(&prometheus, taken).await;
            let (_, served) = families(&body(exporter, "").await);
            let jobs = match generation {
                Generation::Stable => 1,
                Generation::Newer => 1 + FORMATS.len(),
            };
            let jobs = f64::from(u32::try_from(jobs).unwrap());
            let expected = BTreeMap::from([(format!("{{samples=\"{served}\"}}"), jobs)]);
            if [&scraped, &taken] == [&expected; 2] {
                Ok(())
            } else {
                Err(format!("{scraped:?} and {taken:?}, {served} served"))
            }
        },
    )
    .await;

    let targets = api(&prometheus, "targets").await;
    for target in targets["activeTargets"].as_array().unwrap() {
        assert_eq!(
            (&target["health"], &target["lastError"]),
            (&"up".into(), &"".into()),
            "{target}"
        );
    }

    // Only OpenMetrics names a counter without `_total`.
    let counter = "flowgent_agent_used_credits";
    let of_target = "targets/metadata?match_target={job=%22flowgent%22}&metric=";
    let metadata = api(&prometheus, &format!("{of_target}{counter}")).await;
    assert_eq!(metadata[0]["type"], "counter", "{metadata}");
    let metadata = api(&prometheus, &format!("{of_target}{counter}_total")).await;
    assert_eq!(metadata, Value::Array(Vec::new()));
    let gauge = format!("{of_target}flowgent_agent_previous_day_credits");
    let help = api(&prometheus, &gauge).await[0]["help"].to_string();
    assert!(help.contains("Daily figure, cached"), "{help}");
}
