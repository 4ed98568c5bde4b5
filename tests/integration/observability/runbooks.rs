//! The runbooks that the alerts lead to, as Prometheus serves them.

use std::collections::BTreeSet;

use flowgent_exporter::sync::problem_kinds;

use super::promql::Golden;
use super::rules::{Alert, RUNBOOKS, alerts, read};
use crate::docs::assert_known;

#[test]
fn every_kind_of_problem_is_alerted_of_by_its_name_or_as_days_that_are_missing() {
    for Alert { alert, expr, .. } in alerts() {
        for selected in expr.split("{kind=").skip(1) {
            for kind in selected.split('"').nth(1).unwrap().split('|') {
                assert!(
                    problem_kinds().any(|known| known == kind),
                    "{alert}: {kind}"
                );
            }
        }
    }
    let text = read(RUNBOOKS);
    let sections = sections(&text);
    let (_, section) = sections
        .iter()
        .find(|(title, _)| *title == "FlowGentDaysMissing")
        .unwrap();
    for kind in problem_kinds() {
        assert!(section.contains(&format!("<code>{kind}</code>")), "{kind}");
    }
}

/// The titles of the runbooks, and what stands below each.
fn sections(text: &str) -> Vec<(&str, &str)> {
    let sections = text.split("\n<h2 id=\"").skip(1);
    let parted = sections.map(|section| {
        let (id, section) = section.split_once("\">").unwrap();
        let (title, section) = section.split_once("</h2>\n").unwrap();
        assert_eq!(id, title.to_lowercase());
        (title, section)
    });
    parted.collect()
}

/// The queries in the runbooks.
pub fn queries() -> Vec<String> {
    let text = read(RUNBOOKS);
    let blocks = text.split("{{ template \"query\" `").skip(1);
    let queries = blocks.map(|block| block.split('`').next().unwrap().to_owned());
    let queries: Vec<String> = queries.collect();
    assert!(queries.len() > 10, "only {queries:?} were found");
    queries
}

#[test]
fn every_alert_has_a_runbook_that_says_what_to_do() {
    let text = read(RUNBOOKS);
    let sections = sections(&text);
    let titles: Vec<&str> = sections.iter().map(|(title, _)| *title).collect();
    let alerts = alerts();
    let names: Vec<&str> = alerts.iter().map(|alert| alert.alert.as_str()).collect();
    assert_eq!(titles, names, "in the order of the rules");
    for (title, section) in &sections {
        let parts: Vec<&str> = section
            .split("<p><b>")
            .skip(1)
            .map(|part| part.split("</b>").next().unwrap())
            .collect();
        assert_eq!(parts, ["Meaning.", "Impact.", "Look.", "Do."], "{title}");
    }
    for target in text.split("href=\"#").skip(1) {
        let anchor = target.split('"').next().unwrap();
        assert!(
            titles.iter().any(|title| title.to_lowercase() == anchor),
            "{anchor}"
        );
    }
}

#[test]
fn the_runbooks_commands_and_queries_are_those_that_there_are() {
    let text = read(RUNBOOKS);
    let golden = Golden::read();
    for query in queries() {
        assert_eq!(golden.faults(&query), Vec::<String>::new(), "{query}");
    }
    let code = text
        .split("<code>")
        .skip(1)
        .map(|code| code.split("</code>").next().unwrap());
    for name in code.filter(|code| code.starts_with("flowgent_")) {
        assert!(golden.get(name).is_some(), "{name}");
    }

    let commands = text
        .split("flowgent-exporter ")
        .skip(1)
        .map(|rest| rest.split(['<', '\n']).next().unwrap());
    let commands: BTreeSet<&str> = commands.collect();
    assert!(commands.len() > 8, "{commands:?}");
    for command in commands {
        assert_known(command);
    }
}
