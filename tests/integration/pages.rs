//! The pages for people, looked at with a real browser.

use std::collections::BTreeSet;

use flowgent_exporter::day::Day;
use flowgent_exporter::simulator::{Agent, Settings};
use serde_json::Value;

use crate::harness::{Browser, Exporter, Scene, Screen, wait_for};

const NOW: &str = "2026-03-10T18:00:00";

/// A budget that is exceeded and one that is not, and a hook that takes what it is told.
const ALERTING: &str = r#"
[[budget]]
name = "all-month"
credits = 100
period = "month"
hooks = ["file"]
[[budget]]
name = "all-year"
credits = 1e9
period = "total"
hooks = []
[[hook]]
name = "file"
kind = "exec"
command = ["/bin/cat"]
"#;

/// What every page is, whatever is on it: nothing when all is well, else what is wrong.
const MISTAKES: &str = r#"(() => {
    const all = (what) => [...document.querySelectorAll(what)];
    const wrong = [];
    const must = (holds, what) => holds || wrong.push(what);
    must(document.documentElement.lang === "en", "no language");
    must(document.title.length > 20, "no title");
    must(document.scripts.length === 0, "scripts");
    for (const landmark of ["body > header", "main", "body > footer", "h1"])
        must(all(landmark).length === 1, `not one ${landmark}`);
    for (const nav of all("nav")) must(nav.ariaLabel, "a nav without a name");
    for (const part of all("section"))
        must(document.getElementById(part.getAttribute("aria-labelledby")), "a section without a name");
    for (const head of all("th")) must(["col", "row"].includes(head.scope), `th ${head.textContent}`);
    for (const chart of all("main svg"))
        must(chart.ariaHidden || chart.querySelector("title").textContent, "a chart without a name");
    for (const field of all("input, select")) must(field.labels.length === 1, `field ${field.name}`);
    for (const link of all("a")) must(link.textContent.trim() || link.ariaLabel, "a link without text");
    for (const mark of all(".state, .word")) must(mark.textContent.trim(), "a colour without text");
    const ids = all("[id]").map((part) => part.id);
    must(new Set(ids).size === ids.length, `an id twice: ${ids}`);
    const width = document.scrollingElement.scrollWidth;
    must(width <= innerWidth, `${width} wide on ${innerWidth}`);
    return wrong.join("; ");
})()"#;

async fn start(settings: Option<Settings>) -> (Scene, Exporter) {
    let scene = match settings {
        Some(settings) => Scene::with(NOW, settings),
        None => Scene::new(NOW),
    };
    scene.write("config.toml", &(scene.config("") + ALERTING));
    let exporter = scene.start().await;
    exporter.wait_until_whole(&scene).await;
    // The page of a sync that runs refreshes, and has no form.
    exporter.wait_for_syncs(1).await;
    (scene, exporter)
}

/// Waits until the alerts of [`ALERTING`] are told.
async fn wait_until_told(exporter: &Exporter) {
    exporter
        .wait_until("the delivery", |scrape| {
            let told = r#"flowgent_hook_deliveries_total{hook="file",outcome="delivered"}"#;
            scrape.get(told).is_some_and(|told| told > 0.0)
        })
        .await;
}

/// What is wrong with the page that is shown, and what it asked for.
async fn assert_sound(browser: &mut Browser, base: &str, allowed: &[&str]) {
    let mistakes = browser.evaluate(MISTAKES).await;
    assert_eq!(mistakes, "", "{:?}", browser.seen());
    let seen = browser.seen();
    let complaints: Vec<&String> = seen
        .complaints
        .iter()
        .filter(|text| !allowed.iter().any(|allowed| text.contains(allowed)))
        .collect();
    assert!(complaints.is_empty(), "{complaints:?}");
    assert!(!seen.requests.is_empty());
    for request in &seen.requests {
        assert!(request.starts_with(base), "{request}");
    }
}

/// A figure as it is shown, and how far it may be from what it stands for.
fn read(text: &str) -> (f64, f64) {
    let figure: f64 = text
        .trim_end_matches(" credits")
        .replace(',', "")
        .parse()
        .unwrap_or_else(|_| panic!("{text}"));
    (figure, if figure < 100.0 { 0.006 } else { 0.501 })
}

fn assert_shown(text: &str, expected: f64, what: &str) {
    let (figure, tolerance) = read(text);
    assert!(
        (figure - expected).abs() < tolerance,
        "{what}: {text} for {expected}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_sound_on_desktops_and_phones_in_light_and_dark() {
    let (_scene, exporter) = start(None).await;
    wait_until_told(&exporter).await;
    let base = format!("http://{}/", exporter.address());
    let mut browser = Browser::start().await;
    for (width, is_dark) in [(1280, false), (1280, true), (390, false), (360, true)] {
        browser.look_on(Screen { width, is_dark }).await;
        for (name, path, allowed) in [
            ("overview", "", &[][..]),
            ("agent", "agents/acme/support", &[]),
            ("account", "accounts/acme", &[]),
            ("alerts", "alerts", &[]),
            ("missing", "agents/acme/suport", &["status of 404"]),
        ] {
            browser.open(&format!("{base}{path}")).await;
            assert_sound(&mut browser, &base, allowed).await;
            let broken = browser.axe().await;
            assert_eq!(broken, "", "{name} on {width}, dark: {is_dark}");
            let scheme = if is_dark { "dark" } else { "light" };
            browser
                .keep_picture(&format!("{name}-{width}-{scheme}"))
                .await;
            let ground = "getComputedStyle(document.body).backgroundColor";
            let ground = browser.evaluate(ground).await;
            let expected = if is_dark {
                "rgb(18, 22, 26)"
            } else {
                "rgb(246, 247, 248)"
            };
            assert_eq!(ground, expected, "{name}: the style is not applied");
        }
    }
    // With keys alone, the focus is always visible, and one key leads past the navigation.
    browser.open(&base).await;
    browser.press("Tab").await;
    let focus = "(() => { const it = document.activeElement; \
                 return [it.textContent, getComputedStyle(it).outlineStyle, \
                 it.getBoundingClientRect().left >= 0].join('|') })()";
    assert_eq!(browser.evaluate(focus).await, "Skip to content|solid|true");
    let outlined = "getComputedStyle(document.activeElement).outlineStyle";
    let seen = "document.activeElement.name || document.activeElement.ariaLabel || \
                document.activeElement.textContent.trim()";
    let mut visited = Vec::new();
    while !visited.iter().any(|seen: &String| seen == "Ready") {
        browser.press("Tab").await;
        assert_eq!(
            browser.evaluate(outlined).await,
            "solid",
            "after {visited:?}"
        );
        visited.push(browser.evaluate(seen).await.as_str().unwrap().to_owned());
        assert!(visited.len() < 100, "{visited:?}");
    }
    for part in [
        "Usage", "Alerts", "q", "state", "Show", "support", "Metrics",
    ] {
        let has = visited.iter().any(|seen| seen.starts_with(part));
        assert!(has, "{part} is not among {visited:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_leads_to_its_budget_or_agent_and_that_to_its_budgets() {
    let (scene, exporter) = start(None).await;
    wait_until_told(&exporter).await;
    let base = format!("http://{}/", exporter.address());
    let mut browser = Browser::start().await;
    let place = "location.pathname + location.hash";
    // From the first page and from the alerts, to the budget's card on the first page.
    for (page, link) in [("", "#alerts ~ ul a.title"), ("alerts", ".alert a")] {
        browser.open(&format!("{base}{page}")).await;
        let link = format!("document.querySelector('{link}')");
        browser.evaluate(&format!("{link}.click()")).await;
        wait_for("the budget's card", async || {
            let card = "document.querySelector(':target h3 bdi')?.innerText ?? location.href";
            match browser.evaluate(card).await.as_str().unwrap() {
                "all-month" => Ok(()),
                other => Err(other.to_owned()),
            }
        })
        .await;
    }
    // From there back to the alert.
    let alert = "document.querySelector('.budgets a').click()";
    browser.follow(alert).await;
    let title = "document.querySelector(':target h3 bdi')?.innerText ?? location.href";
    let title = browser.evaluate(title).await;
    let title = title.as_str().unwrap();
    assert!(title.starts_with("Budget all-month"), "{title}");
    // From an agent to a budget that includes it.
    let agent = &scene.agents()[0];
    let of_agent = format!("{base}agents/{}/{}", agent.account, agent.name);
    browser.open(&of_agent).await;
    let budgets = "[...document.querySelectorAll('#budgets ~ ul a')].map((link) => link.innerText)";
    assert_eq!(
        browser.evaluate(budgets).await,
        serde_json::json!(["all-month", "all-year"])
    );
    browser
        .follow("document.querySelector('#budgets ~ ul a').click()")
        .await;
    assert_eq!(browser.evaluate(place).await, "/#budget-all-month");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_shown_is_what_the_ledger_holds() {
    let (scene, exporter) = start(None).await;
    let base = format!("http://{}/", exporter.address());
    let mut browser = Browser::start().await;
    browser.open(&base).await;
    let rows = "[...document.querySelectorAll('.agents tbody tr')].map((row) => \
                [...row.children].map((cell) => cell.innerText.trim()).concat(\
                row.querySelector('a').getAttribute('href')))";
    let rows = browser.evaluate(rows).await;
    let rows = rows.as_array().unwrap();
    let agents = scene.agents();
    assert_eq!(rows.len(), agents.len());
    let yesterday = scene.today().previous();
    let sum = |agent: &Agent, days: i32| scene.sum(agent, scene.today().plus(-days), yesterday);
    for agent in &agents {
        let link = format!("./agents/{}/{}", agent.account, agent.name);
        let row = rows.iter().find(|row| row[9] == link.as_str());
        let row = row.unwrap_or_else(|| panic!("{link} is not among {rows:?}"));
        let month = sum(agent, yesterday.since(yesterday.month_start()) + 1);
        for (place, expected) in [
            (1, sum(agent, 1)),
            (2, sum(agent, 7)),
            (3, sum(agent, 30)),
            (4, month),
        ] {
            assert_shown(row[place].as_str().unwrap(), expected, &link);
        }
        assert_eq!(
            (&row[7], &row[8]),
            (&"0".into(), &"up to date".into()),
            "{link}"
        );
        browser
            .open(&format!("{base}agents/{}/{}", agent.account, agent.name))
            .await;
        let titles = "[...document.querySelectorAll('.broad .bars g > title, .calendar rect > title')]\
                      .map((title) => title.textContent)";
        let titles = browser.evaluate(titles).await;
        assert_days(&scene, agent, titles.as_array().unwrap());
    }
    // The sums are of all of them.
    browser.open(&base).await;
    let tiles = "[...document.querySelectorAll('.tiles strong')].map((tile) => tile.innerText)";
    let tiles = browser.evaluate(tiles).await;
    for (place, days) in [(0, 1), (1, 7), (2, 30)] {
        let all = agents.iter().fold(0.0, |all, agent| all + sum(agent, days));
        assert_shown(tiles[place].as_str().unwrap(), all, "all agents");
    }
}

/// Holds what the charts say of each day against the truth: the last 90 days and the whole history.
fn assert_days(scene: &Scene, agent: &Agent, titles: &[Value]) {
    let start: Day = "2025-05-28".parse().unwrap();
    let mut counted = 0;
    for title in titles {
        let (day, told) = title.as_str().unwrap().split_once(": ").unwrap();
        if told == "before the history start" {
            continue;
        }
        let date = chrono::NaiveDate::parse_from_str(day, "%a %d %b %Y").unwrap();
        let credits = told.split(' ').next().unwrap();
        assert_shown(credits, scene.truth(agent, Day::from(date)), day);
        counted += 1;
    }
    let history = scene.today().since(start);
    assert_eq!(counted, history + 90);
}

#[tokio::test(flavor = "multi_thread")]
async fn links_and_forms_lead_where_they_say() {
    let (scene, exporter) = start(None).await;
    let base = format!("http://{}/", exporter.address());
    let mut browser = Browser::start().await;
    browser.open(&base).await;
    let first = "document.querySelector('.agents tbody a').innerText";
    let order = |sort: &'static str| {
        format!(
            "[...document.querySelectorAll('.agents th')].find((head) => \
                 head.innerText.startsWith('{sort}')).querySelector('a').click()"
        )
    };
    browser.follow(&order("Agent")).await;
    assert_eq!(browser.evaluate(first).await, "legal");
    browser.follow(&order("Agent")).await;
    assert_eq!(browser.evaluate(first).await, "support");
    let sorted = "document.querySelector('[aria-sort=descending]').innerText";
    assert!(
        browser
            .evaluate(sorted)
            .await
            .as_str()
            .unwrap()
            .starts_with("Agent")
    );

    browser
        .follow("document.querySelector('[name=q]').value = 'SHO'; document.querySelector('.filter button').click()")
        .await;
    assert_eq!(browser.evaluate(first).await, "shop");
    let count = "document.querySelectorAll('.agents tbody tr').length";
    assert_eq!(browser.evaluate(count).await, 1);
    assert_eq!(
        browser
            .evaluate("document.querySelector('[name=q]').value")
            .await,
        "SHO"
    );

    browser
        .follow("document.querySelector('.agents tbody a').click()")
        .await;
    assert_eq!(
        browser
            .evaluate("document.querySelector('h1').innerText")
            .await,
        "shop"
    );
    assert_sound(&mut browser, &base, &[]).await;
    // To its account, and from there to all agents of that.
    browser
        .follow("document.querySelectorAll('.trail a')[1].click()")
        .await;
    let title = "document.querySelector('h1').innerText";
    assert_eq!(browser.evaluate(title).await, "globex");
    browser
        .follow("document.querySelector('main .lead a').click()")
        .await;
    assert_eq!(browser.evaluate(count).await, 2, "the agents of globex");
    browser
        .follow("document.querySelectorAll('.top nav a')[1].click()")
        .await;
    assert_eq!(
        browser
            .evaluate("document.querySelector('h1').innerText")
            .await,
        "Alerts"
    );

    // Every link of every page that the first one leads to.
    let mut open = vec![base.clone()];
    let mut known = BTreeSet::from([base.clone()]);
    while let Some(url) = open.pop() {
        let path = url.strip_prefix(base.trim_end_matches('/')).unwrap();
        let (head, _) = exporter.get(path, "Accept: text/html\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{url}: {head}");
        if !head.contains("text/html") || path.matches(['=', '&']).count() > 1 {
            continue;
        }
        browser.open(&url).await;
        let links = "[...document.links].map((link) => link.href.split('#')[0])";
        for link in browser.evaluate(links).await.as_array().unwrap() {
            let link = link.as_str().unwrap().to_owned();
            assert!(link.starts_with(&base), "{link} on {url}");
            if known.insert(link.clone()) {
                open.push(link);
            }
        }
    }
    for agent in scene.agents() {
        let url = format!("{base}agents/{}/{}", agent.account, agent.name);
        assert!(known.contains(&url), "{url}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_key_is_told_with_what_to_do_until_it_is_right() {
    let scene = Scene::new(NOW);
    scene.write("acme.key", "test-key-that-is-wrong");
    let exporter = scene.start().await;
    exporter.wait_for_syncs(1).await;
    let base = format!("http://{}/", exporter.address());
    let mut browser = Browser::start().await;
    browser
        .look_on(Screen {
            width: 1280,
            is_dark: false,
        })
        .await;
    wait_for("the page with the problem", async || {
        browser.open(&base).await;
        let trouble = "document.querySelector('.troubles')?.innerText ?? document.body.innerText";
        let trouble = browser.evaluate(trouble).await.as_str().unwrap().to_owned();
        let is_told = trouble.contains("FlowGent refuses the key of account acme")
            && trouble.contains("acme.key, on a line of its own");
        if is_told { Ok(()) } else { Err(trouble) }
    })
    .await;
    assert_sound(&mut browser, &base, &[]).await;
    browser.keep_picture("refused-1280-light").await;
    let states = "[...document.querySelectorAll('.agents .state')].map((state) => state.innerText)\
                  .filter((state) => state === 'failing').length";
    assert_eq!(browser.evaluate(states).await, 3);
    let dashes = "[...document.querySelectorAll('.agents .partial')].filter((figure) => \
                  figure.innerText === '–' && /missing|too few/.test(figure.title)).length";
    assert_eq!(
        browser.evaluate(dashes).await,
        15,
        "five figures of three agents"
    );

    scene.write("acme.key", scene.simulator.world().key("acme").expose());
    exporter.signal("HUP").await;
    exporter.wait_until_whole(&scene).await;
    wait_for("the page without the problem", async || {
        browser.open(&base).await;
        let trouble = "document.querySelector('.troubles')?.innerText ?? ''";
        match browser.evaluate(trouble).await.as_str().unwrap() {
            "" => Ok(()),
            trouble => Err(trouble.to_owned()),
        }
    })
    .await;
}
