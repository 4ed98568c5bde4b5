//! Every figure is compared with FlowGent's own.

use serde_json::{Value, json};

use flowgent_exporter::simulator::{Agent, Fault, Times};

use super::{NOW, alerting, json, page};
use crate::harness::{DAY_BOUND, Exporter, Receiver, Scene, Scrape, day, many_agents, run};

/// The simulated agent that an answer is about.
fn agent(scene: &Scene, answer: &Value) -> Agent {
    let name = |key: &str| answer[key].as_str().unwrap();
    scene.agent(name("account"), name("agent"))
}

async fn synced(scene: &Scene) -> Exporter {
    let exporter = scene.start().await;
    exporter.wait_until_whole(scene).await;
    exporter
}

/// Credits that acme's agents used from the first day through 9 March, and through 10 March those of them
/// that are not `legal`.
fn acme_total(scene: &Scene) -> f64 {
    let agents = scene.simulator.world().agents("acme").to_vec();
    let last = |agent: &Agent| {
        if &*agent.name == "legal" {
            day("2026-03-09")
        } else {
            day("2026-03-10")
        }
    };
    let used = |agent| scene.sum(agent, day("2025-05-28"), last(agent));
    agents.iter().map(used).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_is_the_truth_for_every_agent_and_day_week_and_month() {
    let scene = Scene::new(NOW);
    let exporter = synced(&scene).await;
    for (step, buckets) in [("day", 286), ("week", 42), ("month", 11)] {
        let path = format!("/api/v1/usage?start=2025-05-28&step={step}");
        let usage = json(&exporter, &path).await;
        let agents = usage["agents"].as_array().unwrap();
        assert_eq!((agents.len(), &usage["total"]), (5, &json!(5)));
        let mut lines = Vec::new();
        for answer in agents {
            let agent = agent(&scene, answer);
            let told = answer["buckets"].as_array().unwrap();
            assert_eq!(told.len(), buckets, "{step}");
            let mut next = day("2025-05-28");
            for bucket in told {
                let date = |key: &str| day(bucket[key].as_str().unwrap());
                assert_eq!(date("start"), next);
                next = date("end").next();
                let truth = scene.sum(&agent, date("start"), date("end"));
                assert_eq!(bucket["credits"], truth, "{bucket}");
                assert_eq!(bucket["known_credits"], truth, "{bucket}");
                assert_eq!(bucket["missing_days"], 0, "{bucket}");
                lines.push(format!(
                    "{},{},{},{},{truth},{truth},0,false",
                    answer["account"].as_str().unwrap(),
                    agent.name,
                    date("start"),
                    date("end"),
                ));
            }
            assert_eq!(next, scene.today());
            let whole = scene.sum(&agent, day("2025-05-28"), scene.today().previous());
            assert_eq!(answer["credits"], whole, "{step}");
        }

        // As CSV it is the same, by its path as well as by what is preferred.
        let header = "account,agent,start,end,credits,known_credits,missing_days,former";
        let csv = format!("{header}\n{}\n", lines.join("\n"));
        let by_path = path.replace("usage?", "usage.csv?");
        for (path, accept) in [(&by_path, ""), (&path, "Accept: text/csv\r\n")] {
            let (head, body) = exporter.get(path, accept).await;
            assert!(head.contains("\r\ncontent-type: text/csv; charset=utf-8\r\n"));
            assert_eq!(String::from_utf8(body).unwrap(), csv, "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_and_accounts_are_told_with_the_figures_of_the_metrics() {
    let scene = Scene::new(NOW);
    let exporter = synced(&scene).await;
    let agents = json(&exporter, "/api/v1/agents").await;
    assert_eq!(agents["today"], "2026-03-10");
    let agents = agents["agents"].as_array().unwrap();
    assert_eq!(agents.len(), 5);
    let scrape = exporter.scrape().await;
    for answer in agents {
        let simulated = agent(&scene, answer);
        for family in DAY_BOUND {
            assert_eq!(answer[family], scene.figure(&simulated, family), "{family}");
        }
        let (account, name) = (answer["account"].as_str().unwrap(), &simulated.name);
        let labels = format!("{{account=\"{account}\",agent=\"{name}\"}}");
        for family in ["used_credits", "forecast_month_credits", "missing_days"] {
            let total = if family == "used_credits" {
                "_total"
            } else {
                ""
            };
            let series = format!("flowgent_agent_{family}{total}{labels}");
            assert_eq!(answer[family].as_f64(), scrape.get(&series), "{series}");
        }
        assert_eq!(answer["agent_id"], *simulated.id);
        assert_eq!(answer["up"], true);
        assert_eq!(answer["problem"], Value::Null);
        assert_eq!(answer["known_through"], "2026-03-09");
        assert_eq!(answer["complete_through"], "2026-03-09");
        let alone = json(&exporter, &format!("/api/v1/agents/{account}/{name}")).await;
        assert_eq!(&alone, answer);
    }

    let accounts = json(&exporter, "/api/v1/accounts").await;
    for (account, number) in [("acme", 3), ("globex", 2)] {
        let all = accounts["accounts"].as_array().unwrap();
        let told = all.iter().find(|told| told["account"] == account).unwrap();
        assert_eq!(told["agents"], number);
        assert_eq!(told["agents_up"], number);
        let its_own = agents.iter().filter(|agent| agent["account"] == account);
        for family in DAY_BOUND {
            let sum = its_own.clone().map(|agent| agent[family].as_f64().unwrap());
            assert_eq!(told[family], sum.fold(0.0, |sum, credits| sum + credits));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_covers_a_missing_day_is_null_and_says_so() {
    let scene = Scene::new(NOW);
    alerting(&scene, &Receiver::start().await);
    let exporter = synced(&scene).await;
    let legal = scene.agent("acme", "legal");
    let fault = Fault::Status(403, None);
    scene
        .simulator
        .faults()
        .add_for(&legal, fault, Times::Always);
    scene.set_time("2026-03-11T09:00:00");
    exporter.wait_for_syncs(2).await;
    let up = r#"flowgent_agent_up{account="acme",agent="legal"}"#;
    let failed = |scrape: &Scrape| scrape.get(up) == Some(0.0);
    exporter.wait_until("the failure to be told", failed).await;

    let usage = json(&exporter, "/api/v1/usage?agent=legal&start=2026-03-08").await;
    let known = scene.sum(&legal, day("2026-03-08"), day("2026-03-09"));
    let agent = &usage["agents"][0];
    assert_eq!(agent["credits"], Value::Null);
    assert_eq!(agent["known_credits"], known);
    assert_eq!(agent["missing_days"], 1);
    assert_eq!(
        agent["buckets"][1]["credits"],
        scene.truth(&legal, day("2026-03-09"))
    );
    assert_eq!(agent["buckets"][2]["credits"], Value::Null);

    let agent = json(&exporter, "/api/v1/agents/acme/legal").await;
    assert_eq!(agent["previous_day_credits"], Value::Null);
    assert_eq!(
        (&agent["up"], &agent["missing_days"]),
        (&json!(false), &json!(1))
    );
    let problem = agent["problem"].as_str().unwrap();
    assert!(problem.contains("denied"), "{problem}");
    let accounts = json(&exporter, "/api/v1/accounts").await;
    let acme = &accounts["accounts"][0];
    assert_eq!(acme["previous_day_credits"], Value::Null);
    assert_eq!(
        (&acme["agents_up"], &acme["agents_down"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(acme["missing_days"], 1);

    let missing = "flowgent_budget_missing_days{budget=\"acme-total\"}";
    let counted = |scrape: &Scrape| scrape.get(missing) == Some(1.0);
    exporter
        .wait_until("the budgets to be looked at", counted)
        .await;
    let budgets = json(&exporter, "/api/v1/budgets").await;
    let total = &budgets["budgets"][1];
    assert_eq!(total["missing_days"], 1);
    let known = acme_total(&scene);
    assert_eq!(total["used_credits"], known);
    let limit = total["limit_credits"].as_f64().unwrap();
    assert_eq!(total["used_ratio"], known / limit);

    let status = json(&exporter, "/api/v1/status").await;
    assert_eq!(status["ledger"]["missing_days"], 1);
    assert_eq!(status["sync"]["last"]["outcome"], "incomplete");
    let problems = status["sync"]["last"]["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0]["account"], "acme");
    assert_eq!(problems[0]["kind"], "access_denied");
    assert_eq!(problems[0]["agents"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_usage_is_never_of_more_than_so_many_days() {
    let scene = Scene::with(NOW, many_agents(15));
    let exporter = synced(&scene).await;
    let path = "/api/v1/usage?start=2016-03-03&step=month";
    let (first, next) = page(&exporter, path).await;
    let next = next.unwrap();
    let (second, last) = page(&exporter, &next).await;
    let agents = |page: &Value| page["agents"].as_array().unwrap().len();
    assert_eq!((agents(&first), agents(&second), last), (13, 2, None));
    assert_eq!(second["offset"], 13);
    // Before anything was tracked, nothing was used.
    assert_eq!(first["agents"][0]["buckets"][0]["credits"], 0.0);
    assert_eq!(first["agents"][0]["missing_days"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn budgets_and_alerts_are_told_without_where_they_are_sent() {
    let scene = Scene::new(NOW);
    let receiver = Receiver::start().await;
    alerting(&scene, &receiver);
    // Rules are evaluated at the start, too: all is known by then.
    assert!(run(&scene, &["sync"]).await.status.success());
    let exporter = scene.start().await;
    crate::alerts::wait_until_told(&exporter, &scene).await;

    let budgets = json(&exporter, "/api/v1/budgets").await;
    let scrape = exporter.scrape().await;
    assert_eq!(budgets["total"], 2);
    for budget in budgets["budgets"].as_array().unwrap() {
        let name = &budget["budget"];
        for figure in [
            "limit_credits",
            "used_credits",
            "used_ratio",
            "missing_days",
        ] {
            let series = format!("flowgent_budget_{figure}{{budget={name}}}");
            let (told, scraped) = (budget[figure].as_f64(), scrape.get(&series));
            // JSON is read as exactly as it needs to be, but for the last bit.
            let is_near = |(told, scraped): (f64, f64)| (told - scraped).abs() <= scraped * 1e-15;
            assert!(
                told.zip(scraped).is_some_and(is_near),
                "{series}: {told:?}, {scraped:?}"
            );
        }
    }
    let month = &budgets["budgets"][0];
    assert_eq!(
        (&month["start"], &month["end"]),
        (&json!("2026-03-01"), &json!("2026-03-31"))
    );
    assert_eq!(month["agents"], 5);
    assert_eq!(month["top"].as_array().unwrap().len(), 3);
    let states: Vec<&Value> = month["thresholds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|threshold| &threshold["state"])
        .collect();
    assert_eq!(states, ["firing", "firing", "inactive"]);

    let (head, body) = exporter.get("/api/v1/alerts", "").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let text = String::from_utf8(body).unwrap();
    let url = receiver.url();
    let host = url.split('/').nth(2).unwrap();
    assert!(!text.contains(host), "{text}");
    let alerts: Value = serde_json::from_str(&text).unwrap();
    let fires = alerts["alerts"].as_array().unwrap();
    let told = fires
        .iter()
        .find(|alert| alert["threshold"] == "used 0.8")
        .unwrap();
    assert_eq!(
        (&told["rule"], &told["state"]),
        (&json!("all-month"), &json!("firing"))
    );
    assert_eq!(told["hooks"], json!(["ops"]));
    assert!(told["title"].as_str().unwrap().contains("all-month"));
    let delivery = &alerts["deliveries"][0];
    assert_eq!(
        (&delivery["hook"], &delivery["state"]),
        (&json!("ops"), &json!("delivered"))
    );
    assert_eq!(delivery["alerts"][0]["rule"], "all-month");
    assert_eq!(delivery["id"], receiver.received()[0].id());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_left_is_in_the_ranges_of_its_days_and_in_no_series() {
    let scene = Scene::new(NOW);
    synced(&scene).await.stop().await;
    let support = scene.agent("acme", "support");
    let rest = [scene.agent("acme", "sales")];
    let config = scene.config_head("") + &scene.config_account("acme", &rest);
    scene.write("config.toml", &config);
    let exporter = scene.start().await;
    exporter.wait_for_syncs(1).await;
    let path = "/api/v1/usage?account=acme&agent=support&start=2026-03-09";
    let answer = json(&exporter, path).await;
    assert_eq!(answer["total"], 1);
    let agent = &answer["agents"][0];
    assert_eq!(
        (&agent["former"], &agent["agent"]),
        (&true.into(), &"support".into())
    );
    assert_eq!(agent["credits"], scene.truth(&support, day("2026-03-09")));
    let scrape = exporter.scrape().await;
    assert_eq!(scrape.of(&support, "missing_days"), None);
    assert!(scrape.of(&rest[0], "missing_days").is_some());
}
