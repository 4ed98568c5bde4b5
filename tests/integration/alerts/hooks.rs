//! Hooks that fail, in every way that a receiver can, and hooks of every kind.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{SECRET_BYTES, configure, wait_until_told, webhook};
use crate::harness::{Exporter, Habit, MailServer, Receiver, Scene, run, wait_for};

/// A rule that fires for one agent at the first evaluation.
fn firing(name: &str, hooks: &str) -> String {
    format!(
        "[[rule]]\nname = \"{name}\"\nkind = \"usage\"\nover = 0.001\nspan = \"previous_30_days\"\n\
         match = {{ agent = \"support\" }}\nhooks = [{hooks}]\n"
    )
}

/// The outcomes that were counted of a hook's tries.
fn tries(scrape: &crate::harness::Scrape, hook: &str, outcome: &str) -> Option<f64> {
    scrape.get(&format!(
        "flowgent_hook_deliveries_total{{hook=\"{hook}\",outcome=\"{outcome}\"}}"
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_refuses_for_ever_is_tried_on_and_on_with_one_id_and_holds_up_no_other() {
    let scene = Scene::new("2026-03-02T09:00:00");
    let (bad, good) = (Receiver::start().await, Receiver::start().await);
    bad.set_habit(Habit::Status(400));
    let alerting = firing("busy", "\"bad\", \"good\"")
        + &webhook(&scene, "bad", &bad, "")
        + &webhook(&scene, "good", &good, "");
    configure(&scene, &alerting);
    let exporter = scene.start().await;
    good.wait_for_deliveries(1).await;
    // Each time as late as the next try is due, with its jitter.
    let hours = [0, 0, 0, 1, 2, 5, 10, 14, 20, 24, 24];
    let mut now = crate::harness::instant("2026-03-02T09:00:00");
    for (place, hours) in hours.into_iter().enumerate() {
        now += chrono::TimeDelta::minutes(hours * 66 + 40);
        let failed = (place + 1) as f64;
        if place > 0 {
            scene.set_time(&now.format("%Y-%m-%dT%H:%M:%S").to_string());
        }
        exporter
            .wait_until("another try", |scrape| {
                tries(scrape, "bad", "failed") == Some(failed)
            })
            .await;
    }
    let pending = "flowgent_hook_pending_deliveries{hook=\"bad\"}";
    let scrape = exporter.scrape().await;
    assert_eq!(scrape.get(pending), Some(1.0), "it is the last word");
    assert_eq!(tries(&scrape, "bad", "given_up"), Some(0.0));
    assert_eq!(tries(&scrape, "bad", "delivered"), Some(0.0));
    assert_eq!(tries(&scrape, "good", "delivered"), Some(1.0));
    let received = bad.received();
    assert_eq!(received.len(), 11);
    let ids: BTreeSet<String> = received.iter().map(|message| message.id()).collect();
    assert_eq!(ids.len(), 1);
    for message in &received {
        message.assert_signed_with(&SECRET_BYTES);
        assert_eq!(message.body, received[0].body);
    }
    let log = exporter.log();
    assert_eq!(log.matches("level=warn").count(), 1, "{log}");
    assert!(!log.contains("canary"), "{log}");

    // It is sent at once when somebody asks for it, and then it is taken.
    bad.set_habit(Habit::Status(204));
    let id = ids.first().unwrap();
    let output = run(&scene, &["alerts", "retry", id]).await;
    assert!(output.status.success(), "{output:?}");
    exporter
        .wait_until("the delivery", |scrape| {
            tries(scrape, "bad", "delivered") == Some(1.0)
        })
        .await;
    assert_eq!(bad.received().last().unwrap().id(), *id);
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_hangs_drips_or_vanishes_is_tried_again_and_holds_up_no_other() {
    let scene = Scene::new("2026-03-02T09:00:00");
    let (silent, dripping, good) = (
        Receiver::start().await,
        Receiver::start().await,
        Receiver::start().await,
    );
    silent.set_habit(Habit::Silence);
    dripping.set_habit(Habit::Drip);
    let gone = Receiver::start().await;
    let alerting = firing("busy", "\"silent\", \"dripping\", \"gone\", \"good\"")
        + &webhook(&scene, "silent", &silent, "timeout = \"500ms\"")
        + &webhook(&scene, "dripping", &dripping, "timeout = \"500ms\"")
        + &webhook(&scene, "gone", &gone, "timeout = \"500ms\"")
        + &webhook(&scene, "good", &good, "");
    drop(gone);
    configure(&scene, &alerting);
    let exporter = scene.start().await;
    good.wait_for_deliveries(1).await;
    let scrape = exporter
        .wait_until("the failures", |scrape| {
            ["silent", "gone"]
                .iter()
                .all(|hook| tries(scrape, hook, "failed") == Some(1.0))
        })
        .await;
    let pending = "flowgent_hook_pending_deliveries{hook=\"silent\"}";
    assert_eq!(scrape.get(pending), Some(1.0));
    let oldest = "flowgent_hook_oldest_pending_timestamp_seconds{hook=\"silent\"}";
    assert!(scrape.get(oldest) >= Some(1_772_442_000.0), "{scrape}");
    silent.set_habit(Habit::Status(200));
    scene.set_exporters_time("2026-03-02T09:00:10");
    exporter
        .wait_until("the delivery", |scrape| {
            tries(scrape, "silent", "delivered") == Some(1.0)
        })
        .await;
    let received = silent.received();
    assert_eq!(received.len(), 2);
    assert_eq!(received[0].id(), received[1].id());
    // What was taken is taken, however long the rest of the answer is.
    let scrape = exporter.scrape().await;
    assert_eq!(tries(&scrape, "dripping", "delivered"), Some(1.0));
    assert_eq!(tries(&scrape, "dripping", "failed"), Some(0.0));
    assert_eq!(dripping.received().len(), 1);
    assert!(!exporter.log().contains("canary"), "{}", exporter.log());
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_says_it_is_gone_is_left_alone_until_somebody_asks_for_it() {
    let scene = Scene::new("2026-03-02T09:00:00");
    let receiver = Receiver::start().await;
    receiver.set_habit(Habit::Status(410));
    let alerting = firing("busy", "\"ops\"") + &webhook(&scene, "ops", &receiver, "");
    configure(&scene, &alerting);
    let exporter = scene.start().await;
    let disabled = "flowgent_hook_disabled{hook=\"ops\"}";
    exporter
        .wait_until("the hook to be disabled", |scrape| {
            scrape.get(disabled) == Some(1.0)
        })
        .await;
    exporter.stop().await;
    // Another alert, a restart, days: it is not asked again.
    let alerting = firing("busier", "\"ops\"") + &alerting;
    configure(&scene, &alerting);
    scene.set_time("2026-03-05T00:20:00");
    let exporter = scene.start().await;
    exporter
        .wait_until("two to be pending", |scrape| {
            scrape.get("flowgent_hook_pending_deliveries{hook=\"ops\"}") == Some(2.0)
        })
        .await;
    assert_eq!(receiver.received().len(), 1);
    exporter
        .wait_for_log("the hook is disabled until `alerts retry`: ")
        .await;
    receiver.set_habit(Habit::Status(200));
    let output = run(&scene, &["alerts", "retry", "--all"]).await;
    assert!(output.status.success(), "{output:?}");
    receiver.wait_for_deliveries(2).await;
    wait_until_told(&exporter, &scene).await;
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn quiet_hours_put_off_and_drop_nothing() {
    // Half past eleven at night in Amsterdam.
    let scene = Scene::new("2026-03-02T22:30:00");
    let receiver = Receiver::start().await;
    let quiet = "quiet_hours = \"22:00-07:00\"\ntime_zone = \"Europe/Amsterdam\"";
    // Another hook, whose hours end a minute earlier, shows that the time has come to look.
    let early = Receiver::start().await;
    let quieter = "quiet_hours = \"22:00-06:59\"\ntime_zone = \"Europe/Amsterdam\"";
    let alerting = firing("busy", "\"ops\", \"early\"")
        + &webhook(&scene, "ops", &receiver, quiet)
        + &webhook(&scene, "early", &early, quieter);
    configure(&scene, &alerting);
    let exporter = scene.start().await;
    let pending = "flowgent_hook_pending_deliveries{hook=\"ops\"}";
    exporter
        .wait_until("the alert", |scrape| scrape.get(pending) == Some(1.0))
        .await;
    scene.set_time("2026-03-03T05:59:50");
    early.wait_for_deliveries(1).await;
    assert_eq!(exporter.scrape().await.get(pending), Some(1.0));
    assert_eq!(receiver.received().len(), 0);
    scene.set_time("2026-03-03T06:00:00");
    receiver.wait_for_deliveries(1).await;
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_other_kind_of_hook_is_told_too() {
    let scene = Scene::new("2026-03-02T09:00:00");
    let mail = MailServer::start().await;
    scene.write(
        "ca.pem",
        &std::fs::read_to_string(mail.certificate()).unwrap(),
    );
    let told = scene.path("told.json");
    let alerting = firing("busy", "\"mail\", \"phone\", \"program\"")
        + &format!(
            "[[hook]]\nname = \"mail\"\nkind = \"email\"\nhost = \"localhost\"\nport = {}\n\
             encryption = \"starttls\"\nca_file = \"ca.pem\"\nallow_private = true\n\
             from = \"FlowGent usage <usage@example.com>\"\nto = [\"ops@example.com\"]\n",
            mail.port()
        )
        + "[[hook]]\nname = \"phone\"\nkind = \"whatsapp\"\naccount = \"acme\"\nagent = \"sales\"\n\
           template_name = \"usage_alert\"\nlanguage = \"en_US\"\n\
           recipients = [\"31612345678\", \"31687654321\"]\nparameters = [\"{{ title }}\"]\n"
        + &format!(
            "[[hook]]\nname = \"program\"\nkind = \"exec\"\ncommand = [\"/usr/bin/tee\", \"{}\"]\n",
            told.display()
        );
    configure(&scene, &alerting);
    let exporter = scene.start().await;
    exporter
        .wait_until("all to be told", |scrape| {
            tries(scrape, "mail", "delivered") == Some(1.0)
                && tries(scrape, "phone", "delivered") == Some(2.0)
                && tries(scrape, "program", "delivered") == Some(1.0)
        })
        .await;

    let program: Value = serde_json::from_slice(&std::fs::read(&told).unwrap()).unwrap();
    let alert = &program["alerts"][0];
    let title = alert["title"].as_str().unwrap();
    assert_eq!(alert["subject"], "acme/support");
    let mails = mail.mails();
    assert_eq!(mails.len(), 1);
    assert!(mails[0].contains("To: ops@example.com"), "{}", mails[0]);
    assert!(mails[0].contains("Message-ID: <msg_"), "{}", mails[0]);
    let templates = scene.simulator.journal().templates();
    let mut phones: Vec<&str> = templates
        .iter()
        .map(|template| template.template.recipient_phone_number.as_str())
        .collect();
    phones.sort_unstable();
    assert_eq!(phones, ["31612345678", "31687654321"]);
    let parameter = &templates[0].template.parameters[0]["parameters"][0]["text"];
    assert_eq!(parameter, title);
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hooks_use_no_proxy_whatever_the_environment_says_unless_they_are_told_to() {
    let scene = Scene::new("2026-03-02T09:00:00");
    let (ops, alertmanager) = (Receiver::start().await, Receiver::start().await);
    let (proxy, behind) = (Receiver::start().await, Receiver::start().await);
    let alerting = firing("busy", "\"ops\", \"am\", \"behind\"")
        + &webhook(&scene, "ops", &ops, "")
        + &webhook(&scene, "behind", &behind, "proxy = \"environment\"")
        + &format!(
            "[[hook]]\nname = \"am\"\nkind = \"alertmanager\"\nurls = [\"{}\"]\n\
             allow_private = true\n",
            alertmanager.url()
        );
    configure(&scene, &alerting);
    let place = format!("http://{}/", proxy.address());
    let names = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];
    let small = names.map(str::to_lowercase);
    let variables: Vec<(&str, &str)> = names
        .into_iter()
        .chain(small.iter().map(String::as_str))
        .map(|name| (name, place.as_str()))
        .chain([("NO_PROXY", ""), ("no_proxy", "")])
        .collect();
    let exporter = Exporter::start_with(&scene, &[], &variables).await;
    for hook in ["ops", "am", "behind"] {
        exporter
            .wait_until("the delivery", |scrape| {
                tries(scrape, hook, "delivered") == Some(1.0)
            })
            .await;
    }
    assert_eq!(ops.received().len(), 1);
    assert!(!alertmanager.received().is_empty());
    assert_eq!((proxy.received().len(), behind.received().len()), (1, 0));
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_at_once_is_one_message_where_the_hook_groups_and_many_where_it_does_not() {
    let scene = Scene::new("2026-03-02T09:00:00");
    let (one, many) = (Receiver::start().await, Receiver::start().await);
    let rule = "[[rule]]\nname = \"busy\"\nkind = \"usage\"\nover = 0.001\n\
                span = \"previous_30_days\"\nhooks = [\"one\", \"many\"]\n";
    let alerting = rule.to_owned()
        + &webhook(&scene, "one", &one, "group = true")
        + &webhook(&scene, "many", &many, "group = false");
    configure(&scene, &alerting);
    // Rules are evaluated at the start, too: all is known by then.
    assert!(run(&scene, &["sync"]).await.status.success());
    let exporter = scene.start().await;
    many.wait_for_deliveries(5).await;
    one.wait_for_deliveries(1).await;
    wait_until_told(&exporter, &scene).await;
    assert_eq!(one.received().len(), 1);
    assert_eq!(one.received()[0].alerts().len(), 5);
    for message in many.received() {
        assert_eq!(message.alerts().len(), 1);
    }
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_address_is_refused_at_each_try_unless_it_is_allowed() {
    let scene = Scene::new("2026-03-02T09:00:00");
    let receiver = Receiver::start().await;
    let hook = webhook(&scene, "ops", &receiver, "timeout = \"500ms\"");
    // A name that leads nowhere is found out at the first try only.
    scene.write("ops.url", "https://hooks.invalid/token-canary");
    let hook = hook.replace("allow_private = true", "");
    let alerting = firing("busy", "\"ops\"") + &hook;
    configure(&scene, &alerting);
    let exporter = scene.start().await;
    let failed = |count| {
        move |scrape: &crate::harness::Scrape| tries(scrape, "ops", "failed") == Some(count)
    };
    exporter.wait_until("the first failure", failed(1.0)).await;
    scene.write("ops.url", &receiver.url());
    scene.set_exporters_time("2026-03-02T09:00:10");
    exporter.wait_until("the second", failed(2.0)).await;
    scene.write("config.toml", &scene.config(""));
    let output = run(&scene, &["alerts", "list"]).await;
    let list = String::from_utf8(output.stdout).unwrap();
    assert!(list.contains("allow_private"), "{list}");
    assert!(!list.contains("canary"), "{list}");
    assert!(!exporter.log().contains("canary"), "{}", exporter.log());
    assert_eq!(receiver.received().len(), 0);
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_waits_for_a_slow_hook_for_a_while_and_serves_until_then() {
    let scene = Scene::new("2026-03-02T09:00:00");
    let started = scene.path("started");
    let hook = format!(
        "[[hook]]\nname = \"slow\"\nkind = \"exec\"\ntimeout = \"120s\"\n\
         command = [\"/bin/sh\", \"-c\", \"touch {}; exec sleep 1000\"]\n",
        started.display()
    );
    configure(&scene, &(firing("busy", "\"slow\"") + &hook));
    let exporter = scene.start().await;
    wait_for("the program to run", async || {
        started.exists().then_some(()).ok_or("it does not run")
    })
    .await;
    exporter.signal("TERM").await;
    exporter.wait_for_log("stopping").await;
    let (head, _) = exporter.get("/metrics", "").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    exporter
        .wait_for_log("interrupted; retried at the next start")
        .await;
    exporter.ended().await;
    let list = run(&scene, &["alerts", "list", "--format", "json"]).await;
    let list: Value = serde_json::from_slice(&list.stdout).unwrap();
    let delivery = &list["deliveries"][0];
    assert_eq!(
        (&delivery["state"], &delivery["attempts"]),
        (&"pending".into(), &0.into())
    );
}
