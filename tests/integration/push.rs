//! Pushing the history to a database that does what databases do: what is sent, what is sent again, and what
//! is said of it.

mod daemon;

use std::process::Stdio;

use flowgent_exporter::day::{Day, TRACKING_START};
use flowgent_exporter::simulator::Agent;
use flowgent_exporter::words::number;

use crate::harness::{Database, Exporter, Reply, Scene, command, day, many_agents, run, wait_for};

const NOW: &str = "2026-03-10T18:00:00";

/// A scene whose history is known, and a database that it is to be pushed to.
async fn synced() -> (Scene, Database) {
    let scene = Scene::new(NOW);
    let database = Database::start().await;
    configure(&scene, &database.url(), "");
    let output = run(&scene, &["sync"]).await;
    assert!(output.status.success(), "{output:?}");
    (scene, database)
}

/// Lets the config push to `url`; `more` goes on in `[push]`.
fn configure(scene: &Scene, url: &str, more: &str) {
    let push = format!(
        "[push]\nwrite_url = \"{url}\"\ninstance = \"host:13569\"\nallow_private = true\n{more}\n"
    );
    scene.write("config.toml", &scene.config(&push));
}

/// Runs `push` in the scene: its exit code, and all that it said.
async fn push(scene: &Scene, arguments: &[&str]) -> (i32, String) {
    let output = run(scene, &[&["push"], arguments].concat()).await;
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.code().unwrap(),
        String::from_utf8(said).unwrap(),
    )
}

/// Milliseconds of the place of a day's first value.
fn noon(day: Day) -> i64 {
    day.end().timestamp_millis() + 12 * 3_600_000
}

/// What a database has to have of an agent without revisions, through the day of that text.
fn truth(scene: &Scene, agent: &Agent, last: &str) -> Vec<(i64, f64)> {
    let days = TRACKING_START.through(day(last));
    days.map(|day| (noon(day), scene.truth(agent, day)))
        .collect()
}

#[track_caller]
fn assert_whole(scene: &Scene, database: &Database, last: &str) {
    for agent in scene.agents() {
        let found = database.samples(&agent.account, &agent.name);
        assert_eq!(found, truth(scene, &agent, last), "{}", agent.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_value_is_sent_once_as_remote_write_has_it() {
    let (scene, database) = synced().await;
    let samples = 5 * (day("2026-03-10").since(TRACKING_START));
    let (code, said) = push(&scene, &[]).await;
    let origin = database.origin();
    assert_eq!(
        said,
        format!(
            "{origin}: {} samples of 5 agents pushed\n",
            number(samples.into())
        )
    );
    assert_eq!(code, 0);
    assert_whole(&scene, &database, "2026-03-09");
    for write in database.writes() {
        assert_eq!(write.path, "/api/v1/write");
        for (name, value) in [
            ("content-encoding", "snappy"),
            ("content-type", "application/x-protobuf"),
            ("x-prometheus-remote-write-version", "0.1.0"),
        ] {
            assert_eq!(write.headers[name], value);
        }
        let count: usize = write.series.iter().map(|(_, samples)| samples.len()).sum();
        assert!(count <= 2000, "{count} samples in a request");
        for (labels, samples) in &write.series {
            let names: Vec<&str> = labels.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, ["__name__", "account", "agent", "instance", "job"]);
            assert_eq!(labels[0].1, "flowgent_agent_previous_day_credits");
            assert_eq!(labels[3].1, "host:13569");
            assert_eq!(labels[4].1, "flowgent");
            assert!(samples.is_sorted_by(|one, other| one.0 < other.0));
        }
    }
    // The first day was read back, and only that.
    let queries = database.queries();
    assert_eq!(queries.len(), 1, "{queries:?}");
    assert!(queries[0].contains(&format!("time={}.000", noon(TRACKING_START) / 1000)));

    database.judge(|_, _| Reply::Taken);
    let (code, said) = push(&scene, &[]).await;
    assert_eq!(said, format!("{origin}: 0 samples of 5 agents pushed\n"));
    assert_eq!((code, database.writes().len()), (0, 0));
    let (code, said) = push(&scene, &["--again"]).await;
    assert_eq!(
        said,
        format!(
            "{origin}: {} samples of 5 agents pushed\n",
            number(samples.into())
        )
    );
    assert_eq!(code, 0);
    assert_whole(&scene, &database, "2026-03-09");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_before_its_place_and_nothing_old_is_sent_with_what_is_new() {
    let (scene, database) = synced().await;
    assert_eq!(push(&scene, &[]).await.0, 0);
    let support = scene.agent("acme", "support");
    let world = scene.simulator.world();
    let (late, revised) = (day("2026-03-10"), day("2026-03-09"));
    let before = scene.truth(&support, revised);
    for (now, change, expected) in [
        // Known, but before its noon.
        ("2026-03-11T09:00:00", None, vec![]),
        (
            "2026-03-11T12:00:00",
            None,
            vec![(
                noon(late),
                scene
                    .simulator
                    .world()
                    .truth(&support, late, late.end())
                    .unwrap(),
            )],
        ),
        (
            "2026-03-11T13:00:00",
            Some(before + 1.0),
            vec![(noon(revised) + 43_199_901, before + 1.0)],
        ),
        (
            "2026-03-11T14:00:00",
            Some(before - 3.0),
            vec![(noon(revised) + 43_199_902, before - 3.0)],
        ),
    ] {
        scene.set_time(now);
        if let Some(credits) = change {
            world.set_credits(&support, revised, credits);
        }
        assert!(run(&scene, &["sync"]).await.status.success());
        database.judge(|_, _| Reply::Taken);
        assert_eq!(push(&scene, &[]).await.0, 0, "{now}");
        let sent: Vec<(i64, f64)> = database
            .writes()
            .iter()
            .flat_map(|write| &write.series)
            .filter(|(labels, _)| labels[2].1 == "support")
            .flat_map(|(_, samples)| samples.clone())
            .collect();
        assert_eq!(sent, expected, "{now}");
    }
    // Not even what is new is read back: it is newer than what was.
    assert_eq!(database.queries().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_request_it_goes_on_where_it_was_and_nothing_is_lost() {
    let settings = many_agents(20);
    let scene = Scene::with(NOW, settings);
    let database = Database::start().await;
    configure(&scene, &database.url(), "");
    assert!(run(&scene, &["sync"]).await.status.success());
    let mut sent = 0;
    // A request holds a part of what is left, so there are two at least.
    for _ in 0..2 {
        // The next request is taken and noted, and the one after it is taken too, but nobody hears of it.
        database.judge(|count, _| {
            if count == 0 {
                Reply::Taken
            } else {
                Reply::Silence
            }
        });
        let mut child = command(&scene)
            .arg("push")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        wait_for("a request without an answer", async || {
            match database.writes().len() {
                2 => Ok(()),
                count => Err(count),
            }
        })
        .await;
        child.kill().await.unwrap();
        sent += 2000;
    }
    database.judge(|_, _| Reply::Taken);
    let samples = 20 * day("2026-03-10").since(TRACKING_START);
    let (code, said) = push(&scene, &[]).await;
    assert_eq!(
        said,
        format!(
            "{}: {} samples of 20 agents pushed\n",
            database.origin(),
            number((samples - sent).into())
        )
    );
    assert_eq!(code, 0);
    assert_whole(&scene, &database, "2026-03-09");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_for_a_while_is_tried_again_and_what_fails_for_good_is_told() {
    let (scene, database) = synced().await;
    let origin = database.origin();
    for (reply, expected) in [
        (
            Reply::Refused(500, "", "disk on fire"),
            format!("error: {origin}: 500 Internal Server Error: disk on fire\n"),
        ),
        (
            Reply::Refused(503, "Retry-After: 3600", ""),
            format!("error: {origin}: 503 Service Unavailable\n"),
        ),
        (
            Reply::Refused(401, "", "who are you"),
            format!(
                "error: {origin}: 401 Unauthorized: who are you: look at the user and the password, or the \
                 token, of [push]\n"
            ),
        ),
        (
            Reply::Refused(302, "Location: http://elsewhere.test/", ""),
            format!(
                "error: {origin}: 302 Found, a redirect to elsewhere.test, which is not followed\n"
            ),
        ),
        (
            Reply::Refused(400, "", "out of bounds"),
            format!(
                "error: {origin}: 400 Bad Request: out of bounds: it takes nothing that is so old as day \
                 2025-05-28 of account acme, agent legal, 286 days ago: raise `out_of_order_time_window` \
                 to 287d at least, which is in `storage.tsdb` of Prometheus's config and in the `limits` of \
                 Mimir's, or push from a later day on with `from` in [push]\n"
            ),
        ),
        (
            Reply::Dropped,
            format!(
                "error: {origin}: it has answered that it takes day 2025-05-28 of account acme, agent \
                 legal, and does not show it: it drops what is older than it keeps: raise \
                 `-retentionPeriod` of VictoriaMetrics or `--storage.tsdb.retention.time` of Prometheus, or \
                 push from a later day on with `from` in [push]; if queries go to another place, set \
                 `query_url`\n"
            ),
        ),
    ] {
        database.judge(move |_, _| reply.clone());
        let (code, said) = push(&scene, &[]).await;
        assert_eq!((code, said), (1, expected));
        let tries = database.writes().len();
        // Once, several times with patience, or until it is known that nothing new enough is there.
        assert!([1, 5, 32].contains(&tries), "{tries} tries");
    }
    assert_eq!(database.samples("acme", "support"), []);

    // Nothing of all that counts as sent.
    database.judge(|count, _| match count {
        0 | 1 => Reply::Refused(500, "", "soon"),
        2 => Reply::Refused(429, "Retry-After: 0", ""),
        _ => Reply::Taken,
    });
    assert_eq!(push(&scene, &[]).await.0, 0);
    assert_whole(&scene, &database, "2026-03-09");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_series_is_found_by_halving_and_named_and_the_others_arrive() {
    let (scene, database) = synced().await;
    database.judge(|_, write| {
        if write.is_about("legal") {
            Reply::Refused(400, "", "label value too long")
        } else {
            Reply::Taken
        }
    });
    let (code, said) = push(&scene, &[]).await;
    let (origin, days) = (database.origin(), day("2026-03-10").since(TRACKING_START));
    let expected = format!(
        "account acme, agent legal: {origin}: 400 Bad Request: label value too long\n\
         {origin}: {} samples of 5 agents pushed, {days} refused\n",
        number((4 * days).into())
    );
    assert!(said.starts_with(&expected), "{said}");
    assert_eq!(said.matches("a series is refused").count(), 1, "{said}");
    assert_eq!(code, 1);
    for agent in scene.agents() {
        let found = database.samples(&agent.account, &agent.name);
        let expected = match &*agent.name {
            "legal" => Vec::new(),
            _ => truth(&scene, &agent, "2026-03-09"),
        };
        assert_eq!(found, expected, "{}", agent.name);
    }
    // It is tried again as soon as anybody pushes.
    database.judge(|_, _| Reply::Taken);
    let (code, said) = push(&scene, &[]).await;
    assert_eq!(
        said,
        format!("{origin}: {days} samples of 5 agents pushed\n")
    );
    assert_eq!(code, 0);
    assert_whole(&scene, &database, "2026-03-09");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_old_of_one_agent_keeps_nothing_else_from_arriving() {
    let (scene, database) = synced().await;
    let window = noon(day("2026-02-20"));
    database.judge(move |_, write| {
        let is_too_old = write.series.iter().any(|(labels, samples)| {
            labels[2].1 == "shop" && samples.iter().any(|(at, _)| *at < window)
        });
        if is_too_old {
            Reply::Refused(400, "", "out of order sample")
        } else {
            Reply::Taken
        }
    });
    let (code, said) = push(&scene, &[]).await;
    let expected = format!(
        "error: {}: 400 Bad Request: out of order sample: it takes nothing that is so old as day 2025-05-28 of \
         account globex, agent shop, 286 days ago: raise `out_of_order_time_window` to 287d at least, which \
         is in `storage.tsdb` of Prometheus's config and in the `limits` of Mimir's, or push from a later day \
         on with `from` in [push]\n",
        database.origin()
    );
    assert_eq!((code, said), (1, expected));
    for agent in scene.agents() {
        let found = database.samples(&agent.account, &agent.name);
        let mut expected = truth(&scene, &agent, "2026-03-09");
        expected.retain(|(at, _)| &*agent.name != "shop" || *at >= window);
        assert_eq!(found, expected, "{}", agent.name);
    }
    let requests = database.writes().len();
    assert!(requests < 30, "{requests} requests");

    // It is tried again as soon as anybody pushes, and what was taken is not sent again.
    database.judge(|_, _| Reply::Taken);
    let (code, said) = push(&scene, &[]).await;
    let left = day("2026-02-20").since(TRACKING_START);
    assert_eq!(
        said,
        format!("{}: {left} samples of 5 agents pushed\n", database.origin())
    );
    assert_eq!(code, 0);
    assert_whole(&scene, &database, "2026-03-09");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_is_taken_is_told_and_left() {
    let (scene, database) = synced().await;
    let taken = noon(day("2025-12-24"));
    database.judge(move |_, write| {
        let is_there = write.series.iter().any(|(labels, samples)| {
            labels[2].1 == "shop" && samples.iter().any(|(at, _)| *at == taken)
        });
        if is_there {
            Reply::Refused(400, "", "duplicate sample for timestamp")
        } else {
            Reply::Taken
        }
    });
    let (code, said) = push(&scene, &[]).await;
    assert_eq!(code, 0, "{said}");
    assert_eq!(
        said.matches("another value stands at this instant").count(),
        1
    );
    assert!(said.contains("agent=shop day=2025-12-24"), "{said}");
    let shop = scene.agent("globex", "shop");
    let mut expected = truth(&scene, &shop, "2026-03-09");
    expected.retain(|(at, _)| *at != taken);
    assert_eq!(database.samples("globex", "shop"), expected);
    // What cannot be changed is not tried again.
    let (_, said) = push(&scene, &[]).await;
    assert_eq!(
        said,
        format!("{}: 0 samples of 5 agents pushed\n", database.origin())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_database_and_each_name_for_the_series_is_pushed_to_by_itself() {
    let (scene, database) = synced().await;
    assert_eq!(push(&scene, &[]).await.0, 0);
    let other = Database::start().await;
    configure(
        &scene,
        &other.url(),
        "from = \"2026-03-01\"\ntenant = \"cx\"",
    );
    assert_eq!(push(&scene, &[]).await.0, 0);
    let first = other.samples("acme", "support");
    assert_eq!(first.len(), 9);
    assert_eq!(first[0].0, noon(day("2026-03-01")));
    assert_eq!(other.writes()[0].headers["x-scope-orgid"], "cx");
    // Earlier days that are wanted after all are read back by themselves.
    configure(
        &scene,
        &other.url(),
        "from = \"2026-02-01\"\ntenant = \"cx\"",
    );
    let (_, said) = push(&scene, &[]).await;
    assert!(said.contains(&format!("{} samples", 5 * 28)), "{said}");
    assert_eq!(other.queries().len(), 2);
    configure(
        &scene,
        &other.url(),
        "from = \"2026-02-01\"\ntenant = \"legal\"",
    );
    let (_, said) = push(&scene, &[]).await;
    assert!(said.contains(&format!("{} samples", 5 * 37)), "{said}");
    configure(
        &scene,
        &database.url(),
        "job = \"other\"\nread_back = false",
    );
    assert_eq!(push(&scene, &[]).await.0, 0);
    assert_eq!(database.queries().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_says_whether_the_database_can_be_reached() {
    let (scene, database) = synced().await;
    let told = async || {
        let output = run(&scene, &["doctor"]).await;
        let text = String::from_utf8(output.stdout).unwrap();
        let lines = text.lines().skip_while(|line| !line.starts_with("push "));
        lines.take(2).collect::<Vec<_>>().join("\n")
    };
    let place = database.origin().replace("http://", "");
    let good = format!("push       ok       {place} can be reached\n");
    assert!(told().await.starts_with(&good));
    configure(&scene, "http://127.0.0.1:1/api/v1/write", "");
    let bad = "push       PROBLEM  cannot connect to 127.0.0.1:1: 127.0.0.1: Connection refused (os error 111)\n                    \
               -> correct the URL in [push], or the network; `push` shows its answer";
    assert_eq!(told().await, bad);
    assert_eq!(database.writes().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_for_a_push_is_said() {
    let (scene, database) = synced().await;
    configure(&scene, &database.url(), "continuous = false");
    let exporter = Exporter::start(&scene, &[]).await;
    exporter.wait_until_whole(&scene).await;
    let (code, said) = push(&scene, &[]).await;
    assert_eq!(code, 1);
    assert!(said.contains("is in use by process"), "{said}");
    assert!(
        said.contains("the running exporter pushes as [push] says"),
        "{said}"
    );
    let scrape = exporter.scrape().await;
    assert!(!scrape.text.contains("flowgent_exporter_push_"), "{scrape}");
    exporter.stop().await;
    assert_eq!(database.writes().len(), 0);

    scene.write("config.toml", &scene.config(""));
    let (code, said) = push(&scene, &[]).await;
    assert_eq!(code, 2);
    assert_eq!(
        said,
        "error: config.toml has no section [push]\n\n  tip: name the database in it: \
         `write_url = \"http://prometheus:9090/api/v1/write\"`\n"
    );
}
