//! `report`: what agents used, as tables for people and as data for programs.

use std::collections::BTreeMap;
use std::fs;

use flowgent_exporter::simulator::{Agent, Fault, Times};

use super::{Ran, assert_goldens, ran};
use crate::harness::{Scene, day};

const NOW: &str = "2026-03-10T09:00:00";

/// A scene in which everything is known, and acme's agents bear a label.
async fn synced() -> Scene {
    let scene = Scene::new(NOW);
    let labelled = scene.config("").replace(
        "api_key_file = \"acme.key\"\n",
        "api_key_file = \"acme.key\"\nlabels = { team = \"north|east\" }\n",
    );
    scene.write("config.toml", &labelled);
    assert_eq!(ran(&scene, &["sync"]).await.code, 0);
    scene
}

async fn report(scene: &Scene, arguments: &[&str]) -> Ran {
    ran(scene, &[&["report"], arguments].concat()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_are_as_agreed() {
    let scene = synced().await;
    let asked = scene.simulator.journal().total();
    let cases: [(&str, &[&str]); 9] = [
        ("default", &[]),
        ("top", &["--top", "2"]),
        ("top-csv", &["--top", "1", "--format", "csv"]),
        ("by-day", &["--from", "2026-03-01", "--by", "day"]),
        ("one-day", &["--from", "2026-03-09", "--group", "account"]),
        (
            "by-month",
            &[
                "--from",
                "2025-12-15",
                "--group",
                "account",
                "--by",
                "month",
            ],
        ),
        (
            "label-markdown",
            &["--group", "label:team", "--format", "markdown"],
        ),
        (
            "json",
            &[
                "--from",
                "2026-03-08",
                "--agent",
                "shop",
                "--format",
                "json",
            ],
        ),
        (
            "csv",
            &[
                "--from",
                "2026-03-08",
                "--account",
                "acme",
                "--by",
                "week",
                "--format",
                "csv",
            ],
        ),
    ];
    let mut texts = Vec::new();
    for (name, arguments) in cases {
        let ran = report(&scene, arguments).await;
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{arguments:?}");
        texts.push((format!("report-{name}.txt"), ran.stdout));
    }
    assert_goldens(texts);
    // The ledger alone is read.
    assert_eq!(scene.simulator.journal().total(), asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_figure_is_the_ledgers_by_day_week_and_month() {
    let scene = synced().await;
    for step in ["day", "week", "month"] {
        let arguments = ["--from", "2025-11-05", "--by", step, "--format", "csv"];
        let ran = report(&scene, &arguments).await;
        let mut days: BTreeMap<(String, String), i32> = BTreeMap::new();
        let mut lines = ran.stdout.lines();
        assert_eq!(
            lines.next(),
            Some("account,agent,start,end,credits,known_credits,missing_days,former")
        );
        for line in lines {
            let [account, agent, start, end, credits, known, missing, former] =
                line.split(',').collect::<Vec<_>>().try_into().unwrap();
            let (start, end) = (day(start), day(end));
            let truth = scene.sum(&scene.agent(account, agent), start, end);
            assert_eq!(credits.parse(), Ok(truth), "{line}");
            assert_eq!((known, missing, former), (credits, "0", "false"), "{line}");
            *days.entry((account.into(), agent.into())).or_default() += end.since(start) + 1;
        }
        let all = day("2026-03-09").since(day("2025-11-05")) + 1;
        assert_eq!(days.len(), 5);
        assert!(days.values().all(|days| *days == all), "{step}: {days:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn days_that_are_missing_are_marked_and_never_counted_as_nothing() {
    let scene = Scene::new(NOW);
    let faults = scene.simulator.faults();
    faults.add_for(
        &scene.agent("acme", "legal"),
        Fault::Status(500, None),
        Times::Always,
    );
    assert_eq!(ran(&scene, &["sync"]).await.code, 1);
    scene.set_time("2026-03-11T09:00:00");
    let table = report(&scene, &["--account", "acme", "--from", "2026-03-09"]).await;
    let data = report(
        &scene,
        &[
            "--agent",
            "sales",
            "--from",
            "2026-03-09",
            "--format",
            "csv",
        ],
    )
    .await;
    let known = scene.truth(&scene.agent("acme", "sales"), day("2026-03-09"));
    assert_eq!(
        data.stdout,
        format!(
            "account,agent,start,end,credits,known_credits,missing_days,former\n\
             acme,sales,2026-03-09,2026-03-09,{known},{known},0,false\n\
             acme,sales,2026-03-10,2026-03-10,,0,1,false\n"
        )
    );
    assert_goldens(vec![("report-missing.txt".to_owned(), table.stdout)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_shown_is_told_with_what_can() {
    let scene = synced().await;
    for (arguments, error) in [
        (
            &["--agent", "suport"][..],
            "error: there is no agent `suport`\n\n  tip: a similar name exists: support\n",
        ),
        (
            &["--account", "acme", "--agent", "shop"],
            "error: there is no agent `shop` of account acme\n",
        ),
        (
            &["--from", "2026-03-05", "--to", "2026-03-04"],
            "error: start 2026-03-05 must not be after end 2026-03-04\n",
        ),
        (
            &["--from", "2026-03-05", "--to", "2026-03-10"],
            "error: end 2026-03-10 cannot be today or in the future: data is only available up to 2026-03-09\n",
        ),
        (
            &["--group", "label:tem"],
            "error: none of the agents has a label `tem`\n\n  tip: a similar label exists: team\n",
        ),
    ] {
        report(&scene, arguments).await.assert_refused(2, error);
    }
    let wrong = report(&scene, &["--group", "team"]).await;
    assert!(
        wrong
            .stderr
            .contains("it is `agent`, `account` or `label:NAME`"),
        "{}",
        wrong.stderr
    );

    let empty = Scene::new(NOW);
    report(&empty, &[]).await.assert_refused(
        1,
        "error: ledger ledger.db does not exist: the exporter creates it at its first start\n",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_left_keeps_its_days_and_is_marked_as_former() {
    let scene = synced().await;
    let (support, sales) = (scene.agent("acme", "support"), scene.agent("acme", "sales"));
    let config =
        scene.config_head("") + &scene.config_account("acme", std::slice::from_ref(&sales));
    scene.write("config.toml", &config);
    scene.set_time("2026-03-11T09:00:00");
    assert_eq!(ran(&scene, &["sync"]).await.code, 0);
    let arguments = ["--from", "2026-03-09", "--format", "csv", "--by", "day"];
    let ran = report(&scene, &[&arguments[..], &["--account", "acme"]].concat()).await;
    let line = |agent: &Agent, text: &str, former: bool| {
        let (name, used) = (&agent.name, scene.truth(agent, day(text)));
        format!("acme,{name},{text},{text},{used},{used},0,{former}")
    };
    for expected in [
        line(&support, "2026-03-09", true),
        // It left on the 11th, and what it used on the day before nobody knows.
        "acme,support,2026-03-10,2026-03-10,,0,1,true".to_owned(),
        line(&sales, "2026-03-10", false),
    ] {
        assert!(ran.stdout.contains(&expected), "{expected}\n{}", ran.stdout);
    }
    // Of one of which nothing is to be told, there is no line.
    scene.set_time("2026-06-11T09:00:00");
    let ran = report(
        &scene,
        &[
            "--account",
            "acme",
            "--from",
            "2026-06-01",
            "--format",
            "csv",
        ],
    )
    .await;
    assert!(!ran.stdout.contains("support"), "{}", ran.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_and_findings_fit_sixty_columns() {
    let mut scene = synced().await;
    scene.environment.push(("COLUMNS", "60".to_owned()));
    let config = fs::read_to_string(scene.path("config.toml")).unwrap();
    let budget = "[[budget]]\nname = \"acme-month\"\nmatch = { account = \"acme\" }\ncredits = 4337\nperiod = \"month\"\n";
    scene.write("config.toml", &(config + budget));
    let commands: [&[&str]; 8] = [
        &["alerts", "why", "acme-month"],
        &["report"],
        &["report", "--by", "day", "--group", "account"],
        &["report", "--from", "2025-12-15", "--by", "month"],
        &["check", "--live"],
        &["doctor"],
        &["alerts", "list"],
        &["report", "--help"],
    ];
    for command in commands {
        let ran = ran(&scene, command).await;
        assert_eq!(ran.code, 0, "{command:?}: {}", ran.stderr);
        for line in ran.stdout.lines() {
            let width = line.chars().count();
            assert!(width <= 60, "{command:?}: {width} columns: {line}");
        }
    }
}
