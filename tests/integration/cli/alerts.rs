//! `alerts`: what fires and waits, hooks tried out, deliveries sent again.

mod why;

use serde_json::Value;

use super::{Ran, assert_golden, ran};
use crate::alerts::{SECRET_BYTES, configure, wait_until_told, webhook};
use crate::harness::{Exporter, Habit, Receiver, Scene, instant};

const NOW: &str = "2026-03-10T09:00:00";

/// A rule of the agent `support` that fires over so many credits in thirty days.
fn rule(name: &str, over: f64, hooks: &str) -> String {
    format!(
        "[[rule]]\nname = \"{name}\"\nkind = \"usage\"\nover = {over}\nspan = \"previous_30_days\"\n\
         match = {{ agent = \"support\" }}\nhooks = [{hooks}]\n"
    )
}

/// Runs a command that succeeds and says nothing on the side; what it printed.
async fn printed(scene: &Scene, arguments: &[&str]) -> String {
    let Ran {
        code,
        stdout,
        stderr,
    } = ran(scene, arguments).await;
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    assert!(!stdout.contains("canary"), "{stdout}");
    stdout
}

/// What `alerts list` has to say as JSON, also of what is over.
async fn listed(scene: &Scene) -> Value {
    let arguments = ["alerts", "list", "--all", "--format", "json"];
    serde_json::from_str(&printed(scene, &arguments).await).unwrap()
}

/// The ids of the deliveries in that state, newest first.
fn ids(list: &Value, state: &str) -> Vec<String> {
    let deliveries = list["deliveries"].as_array().unwrap().iter();
    deliveries
        .filter(|delivery| delivery["state"] == state)
        .map(|delivery| delivery["id"].as_str().unwrap().to_owned())
        .collect()
}

/// `text` with signs of the same length for what differs from one run to the next: ids, which count
/// from the oldest, and the times of next tries; and with a name for the address of `receiver`.
fn steady(text: &str, list: &Value) -> String {
    let mut text = text.to_owned();
    let deliveries = list["deliveries"].as_array().unwrap();
    for (number, delivery) in deliveries.iter().rev().enumerate() {
        let id = delivery["id"].as_str().unwrap();
        assert_eq!((id.len(), id.starts_with("msg_")), (31, true), "{id}");
        text = text.replace(id, &format!("msg_{number:-<27}"));
        let is_put_off = delivery["attempts"] != 0;
        if let Some(due) = delivery["due"].as_str().filter(|_| is_put_off) {
            let in_table = &due.replace('T', " ")[..19];
            text = text.replace(due, "DUE");
            text = text.replace(in_table, "(five seconds on)  ");
        }
    }
    text
}

/// Waits until so many tries to deliver to `hook` have had that outcome.
async fn wait_for_tries(exporter: &Exporter, hook: &str, outcome: &str, count: f64) {
    let tries = format!("flowgent_hook_deliveries_total{{hook=\"{hook}\",outcome=\"{outcome}\"}}");
    exporter
        .wait_until("a try", |scrape| scrape.get(&tries) == Some(count))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_config_or_the_ledger_does_not_have_is_named() {
    let scene = Scene::new(NOW);
    let receiver = Receiver::start().await;
    configure(
        &scene,
        &(rule("busy", 1.0, "\"ops\"") + &webhook(&scene, "ops", &receiver, "")),
    );
    let no_ledger =
        "error: ledger ledger.db does not exist: the exporter creates it at its first start\n";
    for command in [
        &["alerts", "list"][..],
        &["alerts", "why", "busy"],
        &["alerts", "retry", "--all"],
    ] {
        ran(&scene, command).await.assert_refused(1, no_ledger);
    }
    assert!(!scene.path("ledger.db").exists());
    ran(&scene, &["sync"]).await;
    let silence = |what: &[&'static str], until, reason| {
        let flags = ["--until", until, "--reason", reason];
        [&["silence"], what, &flags].concat()
    };
    let silences = [
        silence(&["buzy"], "2026-03-11", "moving"),
        silence(&["busy", "acme/suport"], "2026-03-11", "moving"),
        silence(&["busy"], "2026-03-10", "moving"),
        silence(&["busy"], "2027-03-12", "moving"),
        silence(&["busy"], "2026-03-11", " \n "),
    ];
    let cases: [(&str, i32, &[&str]); 13] = [
        ("hook-mistyped", 2, &["test", "osp"]),
        ("hook-unknown", 2, &["test", "everyone"]),
        ("rule-mistyped", 2, &["why", "buzy"]),
        ("rule-unknown", 2, &["why", "ops", "--on", "2026-03-01"]),
        ("silence-rule-mistyped", 2, &silences[0]),
        ("silence-subject-mistyped", 2, &silences[1]),
        ("silence-until-today", 2, &silences[2]),
        ("silence-too-long", 2, &silences[3]),
        ("silence-without-reason", 2, &silences[4]),
        ("not-silenced", 2, &["unsilence", "busy"]),
        ("day-too-early", 2, &["why", "busy", "--on", "2025-05-28"]),
        ("day-to-come", 2, &["why", "busy", "--on", "2026-03-11"]),
        (
            "delivery-unknown",
            1,
            &["retry", "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk"],
        ),
    ];
    for (name, code, arguments) in cases {
        let ran = ran(&scene, &[&["alerts"], arguments].concat()).await;
        assert_eq!((ran.code, ran.stdout.as_str()), (code, ""), "{name}");
        assert_golden(&format!("error-alerts-{name}.txt"), &ran.stderr);
    }
    // Where there is none at all, none can be named.
    scene.write("config.toml", &scene.config(""));
    ran(&scene, &["alerts", "test", "ops"])
        .await
        .assert_refused(
            2,
            "error: the config has no hook or probe `ops`\n\n  tip: it has no hook or probe at all\n",
        );
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_has_happened_nothing_is_listed() {
    let scene = Scene::new(NOW);
    ran(&scene, &["sync"]).await;
    for arguments in [&["alerts", "list"][..], &["alerts", "list", "--all"]] {
        assert_eq!(
            printed(&scene, arguments).await,
            "no alert is firing\n\nno pending deliveries\n"
        );
    }
    let nothing = serde_json::json!({
        "alerts": [], "silences": [], "deliveries": [], "disabled_hooks": [],
    });
    assert_eq!(listed(&scene).await, nothing);
    assert_eq!(
        printed(&scene, &["alerts", "retry", "--all"]).await,
        "nothing to resend\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fires_and_what_waits_is_listed_while_the_exporter_runs_and_after_it() {
    let scene = Scene::new(NOW);
    let (good, bad) = (Receiver::start().await, Receiver::start().await);
    bad.set_habit(Habit::Status(500));
    let hooks = webhook(&scene, "good", &good, "") + &webhook(&scene, "bad", &bad, "");
    let alerting = |over| rule("busy", over, "\"good\", \"bad\"") + &hooks;
    configure(&scene, &alerting(0.5));
    let exporter = scene.start().await;
    wait_for_tries(&exporter, "good", "delivered", 1.0).await;
    wait_for_tries(&exporter, "bad", "failed", 1.0).await;
    let both = async || {
        let list = listed(&scene).await;
        let table = printed(&scene, &["alerts", "list"]).await;
        (steady(&table, &list), list)
    };
    let (table, list) = both().await;
    assert_golden("alerts-list.txt", &table);
    let json = printed(&scene, &["alerts", "list", "--format", "json"]).await;
    assert_golden("alerts-list.json", &steady(&json, &list));
    assert_eq!(ids(&list, "pending"), [bad.received()[0].id()]);
    assert_eq!(ids(&list, "delivered"), [good.received()[0].id()]);
    let due = instant(
        &list["deliveries"][0]["due"]
            .as_str()
            .unwrap()
            .replace('Z', ""),
    );
    let seconds = (due - instant(NOW)).num_milliseconds();
    assert!((4_000..=6_500).contains(&seconds), "due after {seconds} ms");

    // It is all in the ledger, with or without an exporter.
    exporter.stop().await;
    let (then, _) = both().await;
    assert_eq!(then, table);

    // What is over is listed only for who asks for it, and so is what was delivered.
    configure(&scene, &alerting(1e9));
    let exporter = scene.start().await;
    wait_for_tries(&exporter, "good", "delivered", 1.0).await;
    exporter.stop().await;
    let (table, list) = both().await;
    assert_golden("alerts-list-over.txt", &table);
    let table = printed(&scene, &["alerts", "list", "--all"]).await;
    assert_golden("alerts-list-all.txt", &steady(&table, &list));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_wants_nothing_any_more_is_listed_with_what_it_said() {
    let scene = Scene::new(NOW);
    let gone = Receiver::start().await;
    gone.set_habit(Habit::Status(410));
    configure(
        &scene,
        &(rule("busy", 0.5, "\"ops\"") + &webhook(&scene, "ops", &gone, "")),
    );
    let exporter = scene.start().await;
    let disabled = "flowgent_hook_disabled{hook=\"ops\"}";
    exporter
        .wait_until("the hook to be disabled", |scrape| {
            scrape.get(disabled) == Some(1.0)
        })
        .await;
    exporter.stop().await;
    let list = listed(&scene).await;
    let hook = &list["disabled_hooks"][0];
    assert_eq!(hook["hook"], "ops");
    let reason = hook["reason"].as_str().unwrap();
    assert!(reason.ends_with(": 410 Gone: noted"), "{reason}");
    let table = printed(&scene, &["alerts", "list"]).await;
    let line = format!("\nhook ops is disabled since 2026-03-10 09:00:00: {reason}\n");
    assert!(table.ends_with(&line), "{table}");
    // That it answers again changes nothing by itself, which a trial says.
    gone.set_habit(Habit::Status(200));
    let told = printed(&scene, &["alerts", "test", "ops"]).await;
    let last = told.lines().last().unwrap();
    assert!(
        last.starts_with("but the hook is disabled, since it once answered 410 Gone"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_is_tried_out_is_sent_a_marked_and_signed_sample() {
    let scene = Scene::new(NOW);
    let receiver = Receiver::start().await;
    let phone = "[[hook]]\nname = \"phone\"\nkind = \"whatsapp\"\naccount = \"acme\"\nagent = \"sales\"\n\
                 template_name = \"usage_alert\"\nlanguage = \"en_US\"\n\
                 recipients = [\"31612345678\", \"31687654321\"]\nparameters = [\"{{ title }}\"]\n";
    let hooks = webhook(&scene, "ops", &receiver, "quiet_hours = \"00:00-23:59\"")
        + &format!(
            "[[hook]]\nname = \"program\"\nkind = \"exec\"\ncommand = [\"/usr/bin/tee\", \"{}\"]\n",
            scene.path("told.json").display()
        )
        + phone;
    configure(&scene, &hooks);
    assert_eq!(
        printed(&scene, &["alerts", "test", "ops"]).await,
        "ops: sent, and answered: 200 OK\n"
    );
    let received = receiver.received();
    assert_eq!(received.len(), 1);
    received[0].assert_signed_with(&SECRET_BYTES);
    let json = received[0].json();
    assert_eq!(json["test"], true);
    assert_eq!(json["id"], received[0].id());
    let alert = &json["alerts"][0];
    assert!(alert["title"].as_str().unwrap().starts_with("Test: "));
    assert!(
        alert["text"]
            .as_str()
            .unwrap()
            .contains("nothing has happened")
    );
    assert_eq!(alert["started_at"], "2026-03-10T09:00:00Z");

    // Each receiver of a hook is a line of its own.
    let told = printed(&scene, &["alerts", "test", "phone"]).await;
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 2, "{told}");
    assert!(
        lines[0].starts_with("phone, 31612345678: sent, and answered: "),
        "{told}"
    );
    assert!(
        lines[1].starts_with("phone, 31687654321: sent, and answered: "),
        "{told}"
    );
    assert_eq!(scene.simulator.journal().templates().len(), 2);

    let told = printed(&scene, &["alerts", "test", "program"]).await;
    assert!(told.starts_with("program: sent, and answered: "), "{told}");
    let program = std::fs::read_to_string(scene.path("told.json")).unwrap();
    assert!(program.contains("\"test\":true"), "{program}");

    // Nobody else was told, and nothing is kept of it.
    assert_eq!(receiver.received().len(), 1);
    assert!(!scene.path("ledger.db").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_fails_when_it_is_tried_out_says_so_in_a_line_and_fails_the_command() {
    let scene = Scene::new(NOW);
    let (refusing, silent, gone) = (
        Receiver::start().await,
        Receiver::start().await,
        Receiver::start().await,
    );
    refusing.set_habit(Habit::Status(500));
    silent.set_habit(Habit::Silence);
    let hooks = webhook(&scene, "refusing", &refusing, "")
        + &webhook(&scene, "silent", &silent, "timeout = \"300ms\"")
        + &webhook(&scene, "gone", &gone, "")
        + "[[hook]]\nname = \"program\"\nkind = \"exec\"\ncommand = [\"/usr/bin/false\"]\n";
    configure(&scene, &hooks);
    let failures = [
        (
            "refusing",
            "the URL in file `refusing.url`: 500 Internal Server Error: noted".to_owned(),
        ),
        ("silent", "no answer within 300ms".to_owned()),
        (
            "gone",
            "the URL in file `gone.url`: cannot connect: Connection refused (os error 111)"
                .to_owned(),
        ),
        (
            "program",
            "`/usr/bin/false` exited with status 1".to_owned(),
        ),
    ];
    drop(gone);
    for (hook, reason) in failures {
        let ran = ran(&scene, &["alerts", "test", hook]).await;
        assert_eq!(ran.stdout, format!("{hook}: failed: {reason}\n"));
        assert_eq!((ran.code, ran.stderr.as_str()), (1, ""), "{hook}");
    }
}

/// Moves the clock from one try to the next, and then so far that no more are made.
async fn give_up(scene: &Scene, exporter: &Exporter, hook: &str) {
    let outcome = |name: &str| {
        format!("flowgent_hook_deliveries_total{{hook=\"{hook}\",outcome=\"{name}\"}}")
    };
    let mut now = instant(NOW);
    for (tries, hours) in (1..).zip([0, 0, 0, 1, 2, 5, 10, 14, 20, 24]) {
        if tries > 1 {
            now += chrono::TimeDelta::minutes(hours * 66 + 40);
            scene.set_time(&now.format("%Y-%m-%dT%H:%M:%S").to_string());
        }
        exporter
            .wait_until("another try", |scrape| {
                let tried = ["failed", "given_up"].map(|name| scrape.get(&outcome(name)));
                tried[0].unwrap() + tried[1].unwrap() == f64::from(tries)
            })
            .await;
    }
    now += chrono::TimeDelta::days(30);
    scene.set_time(&now.format("%Y-%m-%dT%H:%M:%S").to_string());
    exporter
        .wait_until("it to be given up", |scrape| {
            scrape.get(&outcome("given_up")) == Some(1.0)
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_was_given_up_is_sent_again_with_the_same_id() {
    let scene = Scene::new(NOW);
    let receiver = Receiver::start().await;
    receiver.set_habit(Habit::Status(400));
    configure(
        &scene,
        &(rule("busy", 0.5, "\"ops\"") + &webhook(&scene, "ops", &receiver, "")),
    );
    let exporter = scene.start().await;
    give_up(&scene, &exporter, "ops").await;
    exporter.stop().await;
    let given_up = ids(&listed(&scene).await, "given_up");
    assert_eq!(given_up, [receiver.received()[0].id()]);
    let id = given_up[0].as_str();
    let table = printed(&scene, &["alerts", "list"]).await;
    assert!(
        table.contains(&format!("{id}  ops   busy   given_up     1")),
        "{table}"
    );

    // A wrong id changes nothing.
    let wrong = id.replace(&id[30..], if id.ends_with('x') { "y" } else { "x" });
    ran(&scene, &["alerts", "retry", &wrong])
        .await
        .assert_refused(
            1,
            &format!("error: ledger ledger.db has no delivery {wrong}\n"),
        );
    assert_eq!(ids(&listed(&scene).await, "given_up"), [id]);

    // The right one is tried from the start again at the exporter's next start.
    assert_eq!(
        printed(&scene, &["alerts", "retry", id]).await,
        "1 delivery will be resent now by the running exporter, or else at its next start\n"
    );
    let list = listed(&scene).await;
    assert_eq!(ids(&list, "pending"), [id]);
    assert_eq!(list["deliveries"][0]["attempts"], 0);
    receiver.forget();
    receiver.set_habit(Habit::Status(200));
    let exporter = scene.start().await;
    let received = receiver.wait_for_deliveries(1).await;
    assert_eq!(received[0].id(), id);
    wait_for_tries(&exporter, "ops", "delivered", 1.0).await;

    // What was delivered is not sent again.
    let delivered = format!(
        "error: ledger ledger.db has delivered {id} already, so there is nothing to retry\n"
    );
    ran(&scene, &["alerts", "retry", id])
        .await
        .assert_refused(1, &delivered);
    assert_eq!(
        printed(&scene, &["alerts", "retry", "--all"]).await,
        "nothing to resend\n"
    );
    exporter.stop().await;
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_failed_is_sent_at_once_by_the_exporter_that_runs() {
    let scene = Scene::new(NOW);
    let receiver = Receiver::start().await;
    receiver.set_habit(Habit::Status(503));
    let rules = rule("busy", 0.5, "\"ops\"") + &rule("busier", 0.6, "\"ops\"");
    configure(&scene, &(rules + &webhook(&scene, "ops", &receiver, "")));
    let exporter = scene.start().await;
    wait_for_tries(&exporter, "ops", "failed", 2.0).await;
    let mut failed = ids(&listed(&scene).await, "pending");
    failed.sort();
    receiver.forget();
    receiver.set_habit(Habit::Status(200));
    // The clock stands still, so that neither is due by itself.
    assert_eq!(
        printed(&scene, &["alerts", "retry", "--all"]).await,
        "2 deliveries will be resent now by the running exporter, or else at its next start\n"
    );
    let received = receiver.wait_for_deliveries(2).await;
    let mut sent: Vec<String> = received.iter().map(|message| message.id()).collect();
    sent.sort();
    assert_eq!(sent, failed);
    wait_until_told(&exporter, &scene).await;
    let mut delivered = ids(&listed(&scene).await, "delivered");
    delivered.sort();
    assert_eq!(delivered, failed);
    exporter.stop().await;
}
