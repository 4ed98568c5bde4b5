//! Probes of agents of the simulated FlowGent, with its faults and with kills.

use flowgent_exporter::simulator::{Endpoint, Fault, Times};

use super::{configure, wait_until_told, webhook};
use crate::cli::Ran;
use crate::harness::{Exporter, Receiver, Scene, TinyDisk, run as run_command, wait_for};

const PROBE: &str = "[[probe]]\nname = \"ping\"\naccount = \"acme\"\nagent = \"support\"\n\
                     message = \"Reply with the word OK only.\"\ncron = \"0 0 6 * * *\"\n";

/// A series of the probe, which may have an outcome.
fn of_probe(family: &str, outcome: &str) -> String {
    let outcome = match outcome {
        "" => String::new(),
        outcome => format!("outcome=\"{outcome}\","),
    };
    format!("flowgent_probe_{family}{{account=\"acme\",agent=\"support\",{outcome}probe=\"ping\"}}")
}

/// Runs a command in the scene to its end.
async fn ran(scene: &Scene, arguments: &[&str]) -> Ran {
    Ran::new(run_command(scene, arguments).await)
}

/// Moves all clocks to 06:00 of that day, and waits until so many runs have had that outcome.
async fn run(exporter: &Exporter, scene: &Scene, day: &str, outcome: &str, count: f64) {
    scene.set_time(&format!("{day}T06:00:00"));
    let runs = of_probe("runs_total", outcome);
    exporter
        .wait_until("a run", |scrape| scrape.get(&runs) == Some(count))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_says_what_it_used_and_whether_the_account_has_credits() {
    let scene = Scene::new("2026-03-02T05:59:00");
    let receiver = Receiver::start().await;
    let text = format!("{PROBE}expect = {{ regex = \"order\" }}\nhooks = [\"ops\"]\n");
    configure(&scene, &(text + &webhook(&scene, "ops", &receiver, "")));
    let support = scene.agent("acme", "support");
    let exporter = scene.start().await;
    wait_until_told(&exporter, &scene).await;
    let journal = scene.simulator.journal();
    assert_eq!(
        journal.count(&support, Endpoint::Chat),
        0,
        "a start sends nothing"
    );

    run(&exporter, &scene, "2026-03-03", "success", 1.0).await;
    let scrape = exporter.scrape().await;
    for (family, value) in [
        ("success", 1.0),
        ("last_status_code", 200.0),
        ("execution_seconds", 2.5),
        ("used_credits_total", 1.0),
        ("last_run_timestamp_seconds", 1_772_517_600.0),
    ] {
        assert_eq!(scrape.get(&of_probe(family, "")), Some(value), "{family}");
    }
    assert!(receiver.received().is_empty());

    scene
        .simulator
        .faults()
        .add_for(&support, Fault::NoCredits, Times::Count(1));
    run(&exporter, &scene, "2026-03-04", "no_credits", 1.0).await;
    receiver.wait_for_deliveries(1).await;
    run(&exporter, &scene, "2026-03-05", "success", 2.0).await;
    let told = receiver.wait_for_deliveries(2).await;
    let told: Vec<_> = told
        .iter()
        .flat_map(|message| {
            let alerts = message.json()["alerts"].as_array().unwrap().clone();
            alerts.into_iter().map(|alert| {
                (
                    alert["title"].as_str().unwrap().to_owned(),
                    alert["severity"].clone(),
                )
            })
        })
        .collect();
    assert_eq!(
        told,
        [
            (
                "ping: account acme has no credits left".to_owned(),
                "critical".into()
            ),
            (
                "Resolved: ping: account acme has credits again".to_owned(),
                "critical".into()
            ),
        ]
    );
    let (_, shown) = exporter.get("/api/v1/agents/acme/support", "").await;
    let shown: serde_json::Value = serde_json::from_slice(&shown).unwrap();
    let outcomes: Vec<_> = shown["probe_runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| (&run["planned_at"], &run["outcome"], &run["status_code"]))
        .map(|(at, outcome, status)| format!("{at} {outcome} {status}").replace('"', ""))
        .collect();
    assert_eq!(
        outcomes,
        [
            "2026-03-05T06:00:00Z success 200",
            "2026-03-04T06:00:00Z no_credits 402",
            "2026-03-03T06:00:00Z success 200",
        ]
    );
    let (_, page) = exporter.get("/agents/acme/support", "").await;
    let page = String::from_utf8(page).unwrap();
    assert!(page.contains("<h2 id=\"probes\">Probes</h2>"), "{page}");
    assert!(
        page.contains("<span class=\"state bad\">no credits</span>"),
        "{page}"
    );
    // A reload sends nothing, and neither does the same time a second time.
    exporter.signal("HUP").await;
    exporter.wait_for_log("config reloaded").await;
    assert_eq!(journal.count(&support, Endpoint::Chat), 3);
    exporter.stop().await;
    let exporter = scene.start().await;
    wait_until_told(&exporter, &scene).await;
    let scrape = exporter.scrape().await;
    assert_eq!(scrape.get(&of_probe("used_credits_total", "")), Some(2.0));
    assert_eq!(
        journal.count(&support, Endpoint::Chat),
        3,
        "a restart sends nothing"
    );
    exporter.stop().await;
    assert_eq!(scene.check_ledger().await.lines().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_that_is_killed_while_it_waits_is_never_asked_twice_for_one_time() {
    let scene = Scene::new("2026-03-02T05:59:00");
    configure(&scene, PROBE);
    let support = scene.agent("acme", "support");
    let journal = scene.simulator.journal();
    let exporter = scene.start().await;
    exporter.wait_until_whole(&scene).await;
    // The day's poll must not take the fault.
    scene.set_time("2026-03-03T00:10:00");
    exporter.wait_until_whole(&scene).await;
    exporter.wait_for_syncs(2).await;
    scene
        .simulator
        .faults()
        .add_for(&support, Fault::Hang, Times::Count(1));
    scene.set_time("2026-03-03T06:00:00");
    wait_for("the probe to ask", async || {
        match journal.count(&support, Endpoint::Chat) {
            0 => Err("no chat"),
            _ => Ok(()),
        }
    })
    .await;
    exporter.kill().await;

    // The clocks are set back, so that the time comes again.
    scene.set_time("2026-03-03T05:59:30");
    let exporter = scene.start().await;
    exporter.wait_until_whole(&scene).await;
    run(&exporter, &scene, "2026-03-03", "interrupted", 1.0).await;
    run(&exporter, &scene, "2026-03-04", "success", 1.0).await;
    assert_eq!(journal.count(&support, Endpoint::Chat), 2);
    exporter.stop().await;
    assert_eq!(scene.check_ledger().await.lines().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_is_tried_out_once_from_the_command_line_and_check_says_how_often_it_runs() {
    let scene = Scene::new("2026-03-02T09:00:00");
    configure(&scene, PROBE);
    let support = scene.agent("acme", "support");
    let journal = scene.simulator.journal();
    let tested = ran(&scene, &["alerts", "test", "ping"]).await;
    assert_eq!(
        (tested.code, tested.stderr.as_str()),
        (0, ""),
        "{}",
        tested.stdout
    );
    let (asking, replied) = tested.stdout.split_once('\n').unwrap();
    assert_eq!(
        asking,
        "ping: asking agent acme/support once, which costs credits"
    );
    assert!(
        replied.starts_with("ping: replied as expected after "),
        "{replied}"
    );
    assert!(replied.ends_with(" s; it used 1 credit\n"), "{replied}");
    assert_eq!(journal.count(&support, Endpoint::Chat), 1);

    scene
        .simulator
        .faults()
        .add_for(&support, Fault::ChatUnavailable, Times::Count(1));
    let failed = ran(&scene, &["alerts", "test", "ping"]).await;
    assert_eq!(failed.code, 1);
    assert!(
        failed.stdout.ends_with(
            " s (unavailable): service unavailable; FlowGent does not say what it used\n"
        ),
        "{}",
        failed.stdout
    );
    assert_eq!(journal.count(&support, Endpoint::Chat), 2);

    let unknown = ran(&scene, &["alerts", "test", "pong"]).await;
    assert_eq!(unknown.code, 2);
    assert!(
        unknown
            .stderr
            .contains("the config has no hook or probe `pong`"),
        "{}",
        unknown.stderr
    );
    let checked = ran(&scene, &["check"]).await;
    let line = "probe ping runs 30 times in 30 days; each run costs credits\n";
    assert!(checked.stdout.contains(line), "{}", checked.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_no_probe_is_asked_and_no_silence_set_and_both_go_on_with_space() {
    let scene = Scene::new("2026-03-02T05:59:00");
    let config = scene.config("").replace("ledger.db", "disk/ledger.db");
    let rule = "[[rule]]\nname = \"busy\"\nkind = \"usage\"\nover = 1\n";
    scene.write("config.toml", &format!("{config}{PROBE}{rule}"));
    let disk = TinyDisk::mount(&scene);
    let exporter = scene.start().await;
    wait_until_told(&exporter, &scene).await;
    disk.fill_up();
    scene.set_time("2026-03-03T06:00:00");
    let full = "ledger disk/ledger.db has no space left on its disk: free some space, and it continues automatically";
    exporter
        .wait_for_log(&format!("the probe is not run: {full}"))
        .await;
    let silence = [
        "alerts",
        "silence",
        "busy",
        "--until",
        "2026-03-09",
        "--reason",
        "full",
    ];
    let refused = ran(&scene, &silence).await;
    assert_eq!(
        (refused.code, &*refused.stderr),
        (1, &*format!("error: {full}\n"))
    );
    let journal = scene.simulator.journal();
    let support = scene.agent("acme", "support");
    assert_eq!(journal.count(&support, Endpoint::Chat), 0);

    disk.make_space();
    assert_eq!(ran(&scene, &silence).await.code, 0);
    run(&exporter, &scene, "2026-03-04", "success", 1.0).await;
    assert_eq!(
        journal.count(&support, Endpoint::Chat),
        1,
        "the missed time is not made up for"
    );
    exporter.stop().await;
}
