//! `export`: the history as a file, and what may go wrong with it.

use std::fs;
use std::process::Stdio;

use flowgent_exporter::day::TRACKING_START;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::{Ran, ran};
use crate::harness::{Scene, TinyDisk, command, day};

const NOW: &str = "2026-03-10T18:00:00";

async fn synced() -> Scene {
    let scene = Scene::new(NOW);
    let text = scene.config("").replace("127.0.0.1:0", "127.0.0.1:13569");
    scene.write("config.toml", &text);
    assert_eq!(ran(&scene, &["sync"]).await.code, 0);
    scene
}

async fn export(scene: &Scene, arguments: &[&str]) -> Ran {
    ran(scene, &[&["export"], arguments].concat()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_day_of_every_agent_is_there_once() {
    let scene = synced().await;
    let (first, last) = (TRACKING_START, day("2026-03-09"));
    let mut expected = Vec::new();
    for (account, names) in [
        ("acme", &["legal", "sales", "support"][..]),
        ("globex", &["returns", "shop"]),
    ] {
        for name in names {
            let agent = scene.agent(account, name);
            for day in first.through(last) {
                expected.push((account, *name, day, scene.truth(&agent, day)));
            }
        }
    }
    let openmetrics = export(&scene, &[]).await.stdout;
    let samples: Vec<&str> = openmetrics
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    assert_eq!(samples.len(), expected.len());
    for (account, name, day, credits) in &expected {
        let noon = day.next().start().timestamp() + 12 * 3600;
        let sample = format!(
            "flowgent_agent_previous_day_credits{{account=\"{account}\",agent=\"{name}\",\
             instance=\"127.0.0.1:13569\",job=\"flowgent\"}} {credits} {noon}.000"
        );
        assert!(samples.contains(&sample.as_str()), "{sample}");
    }
    assert!(openmetrics.ends_with("\n# EOF\n"));
    // Nothing was asked of FlowGent for it, and the ledger is as it was.
    assert_eq!(ran(&scene, &["ledger", "check"]).await.code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_is_written_and_nothing_else() {
    let scene = synced().await;
    let shop = scene.agent("globex", "shop");
    let arguments = [
        "--from",
        "2026-03-02",
        "--to",
        "2026-03-03",
        "--agent",
        "shop",
    ];
    let labels = ["--job", "usage", "--instance", "exporter.example:443"];
    let ran = export(&scene, &[&arguments[..], &labels].concat()).await;
    let samples: Vec<&str> = ran
        .stdout
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    let sample = |text: &str, noon: &str| {
        let credits = scene.truth(&shop, day(text));
        format!(
            "flowgent_agent_previous_day_credits{{account=\"globex\",agent=\"shop\",\
             instance=\"exporter.example:443\",job=\"usage\"}} {credits} {noon}.000"
        )
    };
    assert_eq!(
        samples,
        [
            sample("2026-03-02", "1772539200"),
            sample("2026-03-03", "1772625600")
        ]
    );

    for (arguments, error) in [
        (
            &["--agent", "shpo"][..],
            "error: there is no agent `shpo`\n\n  tip: a similar name exists: shop\n",
        ),
        (
            &["--from", "2026-03-05", "--to", "2026-03-04"],
            "error: start 2026-03-05 must not be after end 2026-03-04\n",
        ),
    ] {
        export(&scene, arguments).await.assert_refused(2, error);
    }
    let text = fs::read_to_string(scene.path("config.toml")).unwrap();
    scene.write(
        "config.toml",
        &text.replace("127.0.0.1:13569", "0.0.0.0:13569"),
    );
    export(&scene, &[]).await.assert_refused(
        2,
        "error: --instance is needed, since the config's listen address names no machine\n\n  \
         tip: give the address that Prometheus scrapes, as its page of targets shows it\n",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_there_whole_or_not_at_all() {
    let scene = synced().await;
    let whole = export(&scene, &[]).await.stdout;
    let told = export(&scene, &["--output", "history.om"]).await;
    assert_eq!(told.stdout, "history.om: 1,430 samples of 5 agents\n");
    assert_eq!(told.stderr, "");
    assert_eq!(fs::read_to_string(scene.path("history.om")).unwrap(), whole);
    // What was there is replaced.
    let shorter = export(&scene, &["--output", "history.om", "--agent", "shop"]).await;
    assert_eq!(shorter.stdout, "history.om: 286 samples of 1 agent\n");
    let text = fs::read_to_string(scene.path("history.om")).unwrap();
    assert!(text.len() < whole.len() && text.ends_with("\n# EOF\n"));

    let missing = export(&scene, &["--output", "nowhere/history.om"]).await;
    missing.assert_refused(
        1,
        "error: cannot write nowhere/history.om: No such file or directory (os error 2)\n",
    );
    let disk = TinyDisk::mount(&scene);
    scene.write("disk/history.om", "from before\n");
    disk.fill(64 << 10);
    let full = export(&scene, &["--output", "disk/history.om"]).await;
    full.assert_refused(
        1,
        "error: cannot write disk/history.om: No space left on device (os error 28)\n",
    );
    assert_eq!(
        fs::read_to_string(scene.path("disk/history.om")).unwrap(),
        "from before\n"
    );
    let left: Vec<_> = fs::read_dir(scene.path("disk"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_goes_away_has_seen_enough() {
    let scene = synced().await;
    let mut child = command(&scene)
        .arg("export")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let header = lines.next_line().await.unwrap().unwrap();
    assert!(header.starts_with("# HELP "), "{header}");
    drop(lines);
    let output = child.wait_with_output().await.unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}
