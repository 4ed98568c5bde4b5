//! Alertmanagers that take alerts, refuse them, or hang.

use std::sync::Mutex;

use chrono::TimeDelta;
use serde_json::{Value, json};
use url::Url;

use super::*;
use crate::flowgent::tests::server::{Act, Server, answer, chunked_head};
use crate::hook::alertmanager::{Alertmanager, Alertmanagers};
use crate::ledger::{Alert, AlertKey, AlertState};

fn ok() -> Act {
    Act::Send(answer(200, "", ""))
}

fn refusal(status: u16, text: &str) -> Act {
    Act::Send(answer(status, "", text))
}

/// The base URLs of `servers`, the way people write them: with and without a slash at the end.
fn urls(servers: &[Server]) -> Vec<Url> {
    let trimmed = |server: &Server| server.url.trim_end_matches('/').to_owned();
    servers
        .iter()
        .enumerate()
        .map(|(n, server)| {
            if n == 0 {
                trimmed(server)
            } else {
                server.url.clone()
            }
        })
        .map(|url| Url::parse(&url).unwrap())
        .collect()
}

fn with(
    settings: &Settings,
    servers: &[Server],
    basic_auth: Option<&(String, SecretSource)>,
    bearer_token: Option<&SecretSource>,
) -> Alertmanager {
    let them = Alertmanagers {
        urls: urls(servers),
        basic_auth: basic_auth.cloned(),
        bearer_token: bearer_token.cloned(),
    };
    Alertmanager::new(settings, &them)
}

fn alertmanager(servers: &[Server]) -> Alertmanager {
    with(&settings(), servers, None, None)
}

/// Text of a result, with the servers' numbers instead of their addresses.
fn told(servers: &[Server], text: &str) -> String {
    servers
        .iter()
        .enumerate()
        .fold(text.to_owned(), |text, (n, server)| {
            text.replace(server.url.trim_end_matches("/api/public/"), &n.to_string())
        })
}

/// The alerts of the next request.
async fn posted(server: &mut Server) -> Vec<Value> {
    let request = server.request().await;
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(
        head.starts_with("POST /api/public/api/v2/alerts HTTP/1.1\r\n"),
        "{head}"
    );
    assert!(
        head.contains("content-type: application/json\r\n"),
        "{head}"
    );
    serde_json::from_str(body).unwrap()
}

fn of_rule(rule: &str) -> Notice {
    Notice {
        rule: rule.to_owned(),
        key: rule.to_owned(),
        ..firing()
    }
}

/// An alert in the ledger that `ops` was told of.
fn remembered(notice: &Notice, state: AlertState, since: &str) -> Alert {
    Alert {
        key: AlertKey {
            rule: notice.rule.as_str().into(),
            subject: notice.subject.as_str().into(),
            period: None,
            threshold: "".into(),
        },
        state,
        since: at(since),
        fired_at: Some(notice.started_at),
        hooks: ["ops".to_owned()].into(),
        over_hooks: ["ops".to_owned()].into(),
        agent: None,
        days: Vec::new(),
        below_since: None,
        is_closed: false,
        notice: serde_json::to_string(notice).unwrap(),
    }
}

fn rules(alerts: &[Value]) -> Vec<&str> {
    alerts
        .iter()
        .map(|alert| alert["labels"]["alertname"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn every_alertmanager_gets_what_fires_and_what_is_over() {
    let mut servers = [
        Server::start(vec![ok()]).await,
        Server::start(vec![ok()]).await,
    ];
    let alertmanager = alertmanager(&servers);
    let answer = alertmanager
        .send(&message(vec![firing(), resolved()]))
        .await;
    assert_eq!(told(&servers, &answer.unwrap()), "0: 200 OK; 1: 200 OK");
    for server in &mut servers {
        assert_eq!(
            Value::from(posted(server).await),
            json!([
                {
                    "labels": {
                        "alertname": "cx-month", "budget": "cx-month",
                        "severity": "warning", "threshold": "used 0.8",
                    },
                    "annotations": {
                        "summary": "Budget cx-month has used 80% of its credits",
                        "description": "4,020 of 5,000 credits used.\nExhausted on 27 Nov.",
                    },
                    "startsAt": "2026-11-23T00:10:00Z",
                    "endsAt": "2026-11-23T12:04:00Z",
                    "generatorURL": "https://grafana.example/d/1?a=1&b=2",
                },
                {
                    "labels": {"alertname": "spike", "severity": "critical"},
                    "annotations": {
                        "summary": "Agent \"<@everyone>\" & *co* used more",
                        "description": crate::text::visible(&resolved().text),
                    },
                    "startsAt": "2026-11-22T00:10:00Z",
                    "endsAt": "2026-11-23T00:10:00Z",
                },
            ])
        );
    }
}

#[tokio::test]
async fn labels_are_such_as_alertmanager_takes() {
    let mut servers = [Server::start(vec![ok()]).await];
    let labels = [
        ("team-name", "a\"b\n\u{e9}"),
        ("9lives", "x"),
        ("", "x"),
        ("größe", "x"),
        ("alertname", "theirs"),
        ("severity", "theirs"),
        ("nothing", ""),
    ];
    let odd = Notice {
        labels: labels
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        started_at: at("2026-11-23T12:30:00Z"),
        resolved_at: Some(at("2026-11-23T12:00:00Z")),
        status: Status::Resolved,
        ..firing()
    };
    let mut trial = message(vec![odd]);
    trial.notification.test = true;
    alertmanager(&servers).send(&trial).await.unwrap();
    let alerts = posted(&mut servers[0]).await;
    assert_eq!(
        alerts[0]["labels"],
        json!({
            "alertname": "cx-month", "severity": "warning", "team_name": "a\"b\n\u{e9}",
            "_9lives": "x", "_": "x", "gr__e": "x", "test": "true",
        })
    );
    // It must not end before it starts, whatever a clock did.
    assert_eq!(alerts[0]["startsAt"], "2026-11-23T12:00:00Z");
    assert_eq!(alerts[0]["endsAt"], "2026-11-23T12:00:00Z");
}

#[tokio::test]
async fn one_alertmanager_that_takes_the_alerts_is_enough() {
    let servers = [
        Server::start(vec![refusal(500, "full")]).await,
        Server::start(vec![ok()]).await,
        Server::start(vec![Act::Stall(Vec::new())]).await,
    ];
    let hasty = Settings {
        timeout: Duration::from_secs(2),
        ..settings()
    };
    let alertmanager = with(&hasty, &servers, None, None);
    let answer = alertmanager.send(&message(vec![firing()])).await.unwrap();
    assert_eq!(
        told(&servers, &answer),
        "0: 500 Internal Server Error: full; 1: 200 OK; 2: no answer within 1.5s"
    );
}

#[tokio::test]
async fn alertmanagers_that_all_fail_are_all_named() {
    let busy = Act::Send(answer(429, "retry-after: 30\r\n", ""));
    let servers = [
        Server::start(vec![busy]).await,
        Server::start(vec![refusal(410, "")]).await,
    ];
    let error = alertmanager(&servers)
        .send(&message(vec![firing()]))
        .await
        .unwrap_err();
    assert_eq!(
        told(&servers, &error.text),
        "0: 429 Too Many Requests; 1: 410 Gone"
    );
    assert_eq!(error.retry_after, Some(Duration::from_secs(30)));
    assert!(!error.gone);
}

#[tokio::test]
async fn an_alert_that_is_refused_keeps_no_other_from_being_taken() {
    // Four together, the first two, the last two, each of these alone.
    let acts = vec![
        refusal(400, "bad"),
        ok(),
        refusal(422, "bad"),
        ok(),
        refusal(400, "d is odd"),
    ];
    let mut servers = [Server::start(acts).await];
    let alerts = ["a", "b", "c", "d"].map(of_rule).to_vec();
    let answer = alertmanager(&servers).send(&message(alerts)).await.unwrap();
    assert_eq!(
        told(&servers, &answer),
        "0: took 3 of 4 alerts: 0: 400 Bad Request: d is odd"
    );
    for expected in [
        &["a", "b", "c", "d"][..],
        &["a", "b"],
        &["c", "d"],
        &["c"],
        &["d"],
    ] {
        assert_eq!(rules(&posted(&mut servers[0]).await), expected);
    }
}

#[tokio::test]
async fn a_message_of_which_nothing_is_taken_has_failed() {
    let servers = [Server::repeating(answer(400, "", "odd"), 3).await];
    let alertmanager = alertmanager(&servers);
    let error = alertmanager
        .send(&message(vec![of_rule("a"), of_rule("b")]))
        .await
        .unwrap_err();
    assert_eq!(told(&servers, &error.text), "0: 400 Bad Request: odd");
}

#[tokio::test]
async fn many_alerts_are_posted_in_batches() {
    let mut servers = [Server::repeating(answer(200, "", ""), 3).await];
    let alerts: Vec<Alert> = (0..600)
        .map(|n| remembered(&of_rule(&format!("{n:03}")), AlertState::Firing, NOW))
        .collect();
    let sent = alertmanager(&servers).resend(&alerts, at(NOW)).await;
    assert_eq!(sent, Ok(600));
    let mut seen = Vec::new();
    for size in [256, 256, 88] {
        let batch = posted(&mut servers[0]).await;
        assert_eq!(batch.len(), size);
        seen.extend(rules(&batch).into_iter().map(str::to_owned));
    }
    assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?}");
}

#[tokio::test]
async fn what_fires_is_told_again_and_what_is_over_for_a_while() {
    let mut servers = [Server::start(vec![ok(), ok()]).await];
    let over = |rule: &str| Notice {
        resolved_at: Some(at("2026-11-23T11:40:00Z")),
        status: Status::Resolved,
        ..of_rule(rule)
    };
    let alerts = [
        // The notice may still be the one from before it fired or ended.
        remembered(
            &of_rule("fires"),
            AlertState::Firing,
            "2026-11-20T00:00:00Z",
        ),
        remembered(
            &over("just over"),
            AlertState::Resolved,
            "2026-11-23T11:45:00Z",
        ),
        remembered(
            &over("long over"),
            AlertState::Resolved,
            "2026-11-23T11:44:59Z",
        ),
        remembered(&of_rule("pending"), AlertState::Pending, NOW),
        Alert {
            hooks: ["others".to_owned()].into(),
            ..remembered(&of_rule("of others"), AlertState::Firing, NOW)
        },
        Alert {
            notice: "{}".to_owned(),
            ..remembered(&of_rule("damaged"), AlertState::Firing, NOW)
        },
        remembered(
            &of_rule("ended"),
            AlertState::Resolved,
            "2026-11-23T11:50:00Z",
        ),
    ];
    let alertmanager = alertmanager(&servers);
    assert_eq!(alertmanager.resend(&alerts, at(NOW)).await, Ok(3));
    let again = posted(&mut servers[0]).await;
    assert_eq!(rules(&again), ["ended", "fires", "just over"]);
    let ends = [
        "2026-11-23T11:50:00Z",
        "2026-11-23T12:04:00Z",
        "2026-11-23T11:40:00Z",
    ];
    assert_eq!(
        [0, 1, 2].map(|n| again[n]["endsAt"].as_str().unwrap()),
        ends
    );
    let quiet = Settings {
        send_resolved: false,
        ..settings()
    };
    let quiet = with(&quiet, &servers, None, None);
    assert_eq!(
        quiet.resend(&alerts, at(NOW) + TimeDelta::minutes(1)).await,
        Ok(1)
    );
    let again = posted(&mut servers[0]).await;
    assert_eq!(rules(&again), ["fires"]);
    assert_eq!(again[0]["endsAt"], "2026-11-23T12:05:00Z");
    // Nothing to tell is not even a connection.
    assert_eq!(quiet.resend(&alerts[1..], at(NOW)).await, Ok(0));
}

#[tokio::test]
async fn what_fires_wins_over_an_earlier_period_that_is_over() {
    let mut servers = [Server::repeating(answer(200, "", ""), 8).await];
    let october = Notice {
        key: "october".to_owned(),
        status: Status::Resolved,
        resolved_at: Some(at(NOW)),
        ..firing()
    };
    let november = Notice {
        status: Status::Resolved,
        resolved_at: Some(at("2026-11-23T11:00:00Z")),
        ..firing()
    };
    let later = Notice {
        key: "later".to_owned(),
        title: "later".to_owned(),
        started_at: at("2026-11-23T00:11:00Z"),
        ..firing()
    };
    let alertmanager = alertmanager(&servers);
    let left_out = "nothing to send: the same labels fire for another period";
    // Together, in both orders.
    for alerts in [
        vec![october.clone(), firing()],
        vec![firing(), october.clone()],
    ] {
        alertmanager.send(&message(alerts)).await.unwrap();
        let alerts = posted(&mut servers[0]).await;
        assert_eq!(alerts.len(), 1);
        assert_eq!(alerts[0]["endsAt"], "2026-11-23T12:04:00Z");
    }
    // Of two that fire, the later one.
    for alerts in [
        vec![later.clone(), firing()],
        vec![firing(), later, firing()],
    ] {
        let fresh = with(&settings(), &servers, None, None);
        fresh.send(&message(alerts)).await.unwrap();
        let alerts = posted(&mut servers[0]).await;
        assert_eq!(alerts[0]["annotations"]["summary"], "later");
    }
    // One after the other, until the one that fires is over as well.
    let october = message(vec![october]);
    assert_eq!(alertmanager.send(&october).await.unwrap(), left_out);
    for (over, ends_at) in [
        (&message(vec![november]), "2026-11-23T11:00:00Z"),
        (&october, NOW),
    ] {
        alertmanager.send(over).await.unwrap();
        assert_eq!(posted(&mut servers[0]).await[0]["endsAt"], ends_at);
    }
    // What is sent again counts as what fires, and nothing else does.
    let fires = remembered(&firing(), AlertState::Firing, NOW);
    assert_eq!(alertmanager.resend(&[fires], at(NOW)).await, Ok(1));
    posted(&mut servers[0]).await;
    assert_eq!(alertmanager.send(&october).await.unwrap(), left_out);
    assert_eq!(alertmanager.resend(&[], at(NOW)).await, Ok(0));
    alertmanager.send(&october).await.unwrap();
    assert_eq!(posted(&mut servers[0]).await[0]["endsAt"], NOW);
}

/// Results of an alert that is first refused, then not taken, then taken, each twice.
async fn sent_six_times() -> Vec<bool> {
    let (bad, full) = (refusal(400, "odd"), refusal(503, "full"));
    let acts = [bad.clone(), bad, full.clone(), full, ok(), ok()];
    let servers = [Server::start(acts.to_vec()).await];
    let alertmanager = alertmanager(&servers);
    let alerts = [remembered(&firing(), AlertState::Firing, NOW)];
    let mut results = Vec::new();
    for _ in 0..6 {
        results.push(alertmanager.resend(&alerts, at(NOW)).await.is_ok());
    }
    results
}

#[tokio::test]
async fn the_log_tells_once_what_is_refused_and_who_takes_nothing() {
    let file = NamedTempFile::new().unwrap();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(Mutex::new(file.reopen().unwrap()))
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    // Who logs first decides whether it is worth it, in another test perhaps for nobody: so that all
    // have logged once, and are asked again.
    sent_six_times().await;
    tracing::callsite::rebuild_interest_cache();
    let before = std::fs::read_to_string(file.path()).unwrap().len();
    let results = sent_six_times().await;
    drop(guard);
    assert_eq!(results, [false, false, false, false, true, true]);
    let log = std::fs::read_to_string(file.path()).unwrap();
    let log = &log[before..];
    for text in [
        "Alertmanager refused an alert",
        "Alertmanager accepts no alerts",
        "Alertmanager accepts alerts again",
    ] {
        assert_eq!(log.matches(text).count(), 1, "{text}: {log}");
    }
}

#[tokio::test]
async fn credentials_are_sent_and_never_shown() {
    let [password, token] = ["canary-password", "canary-token"].map(SecretFile::new);
    let basic = ("user".to_owned(), password.source());
    for (basic, token, expected) in [
        (
            Some(&basic),
            None,
            "authorization: Basic dXNlcjpjYW5hcnktcGFzc3dvcmQ=",
        ),
        (
            None,
            Some(&token.source()),
            "authorization: Bearer canary-token",
        ),
    ] {
        let echo = "you sent dXNlcjpjYW5hcnktcGFzc3dvcmQ=, canary-password and Canary-Token";
        let acts = vec![ok(), refusal(401, echo), Act::Drip(chunked_head())];
        let mut servers = [Server::start(acts).await];
        let alertmanager = with(&settings(), &servers, basic, token);
        alertmanager.send(&message(vec![firing()])).await.unwrap();
        let request = servers[0].request().await;
        assert!(request.contains(&format!("{expected}\r\n")), "{request}");
        let error = alertmanager
            .send(&message(vec![firing()]))
            .await
            .unwrap_err();
        assert_eq!(
            told(&servers, &error.text),
            "0: 401 Unauthorized: [withheld: it holds a secret]"
        );
        assert!(!format!("{alertmanager:?}").contains("canary"));
    }
}

#[tokio::test]
async fn an_episode_keeps_its_labels_and_start_whatever_its_figures_and_the_next_one_starts_anew() {
    let mut servers = [Server::start(vec![ok(), ok(), ok()]).await];
    let alertmanager = alertmanager(&servers);
    let figures = |title: &str, started_at: &str| Notice {
        title: title.to_owned(),
        text: title.to_owned(),
        started_at: at(started_at),
        ..firing()
    };
    let start = "2026-11-23T00:10:00Z";
    let (first, again) = (figures("80%", start), figures("91%", start));
    let next = figures("85%", "2026-11-23T11:00:00Z");
    let mut seen = Vec::new();
    for notice in [first, again, next] {
        let alert = remembered(&notice, AlertState::Firing, start);
        alertmanager.resend(&[alert], at(NOW)).await.unwrap();
        seen.push(posted(&mut servers[0]).await.remove(0));
    }
    assert_eq!(seen[0]["labels"], seen[1]["labels"]);
    assert_eq!(seen[0]["startsAt"], seen[1]["startsAt"]);
    assert_eq!(seen[1]["annotations"]["summary"], "91%");
    assert_eq!(seen[1]["labels"], seen[2]["labels"]);
    assert_eq!(seen[2]["startsAt"], "2026-11-23T11:00:00Z");
}

#[tokio::test]
async fn nothing_that_a_clock_ahead_has_left_is_in_the_future() {
    let mut servers = [Server::start(vec![ok(), ok()]).await];
    let alertmanager = alertmanager(&servers);
    let ahead = "2026-12-13T00:10:00Z";
    let fires = Notice {
        started_at: at(ahead),
        ..of_rule("fires")
    };
    let over = Notice {
        rule: "over".to_owned(),
        started_at: at(ahead),
        resolved_at: Some(at(ahead)),
        ..resolved()
    };
    let both = message(vec![over.clone(), fires.clone()]);
    alertmanager.send(&both).await.unwrap();
    for alert in posted(&mut servers[0]).await {
        assert_eq!(alert["startsAt"], NOW);
        let is_over = alert["labels"]["alertname"] == "over";
        let end = if is_over { NOW } else { "2026-11-23T12:04:00Z" };
        assert_eq!(alert["endsAt"], end);
    }
    let alerts = [
        remembered(&over, AlertState::Resolved, ahead),
        remembered(&fires, AlertState::Firing, ahead),
    ];
    assert_eq!(alertmanager.resend(&alerts, at(NOW)).await.unwrap(), 1);
    assert_eq!(rules(&posted(&mut servers[0]).await), ["fires"]);
}
