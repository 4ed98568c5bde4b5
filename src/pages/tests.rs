//! Texts of pages on a real ledger, and texts that they never show.

mod alerts;
mod colours;

use std::sync::Arc;

use chrono::TimeDelta;
use futures_util::future::join_all;
use tempfile::TempDir;

use alerts::{many_alerts, many_troubles};

use super::*;
use crate::alert::{Notification, Severity};
use crate::clock::ManualClock;
use crate::day::{Day, TRACKING_START, Usage};
use crate::exposition::{AlertSeries, BudgetSeries, Exposition};
use crate::http::{Gate, Readiness, months};
use crate::ledger::{AlertChanges, AlertKey, Fetched, Ledger, Member};
use crate::roster::AccountSettings;
use crate::secret::SecretSource;
use crate::series::{self, Figures};
use crate::status::{Alerting, Board};
use crate::sync::{Event, Problem, Report};
use crate::telemetry::Telemetry;
use crate::window::Window;
use crate::window::plan::{self, Policy};

const NOW: &str = "2026-11-26T12:00:00Z";
const POLICY: Policy = Policy {
    history_start: TRACKING_START,
    settle_days: 3,
};

/// State of a server on a ledger in a folder of its own.
struct Scene {
    state: State,
    ledger: Ledger,
    members: Vec<Member>,
    _folder: TempDir,
}

/// An agent by its account and name.
type Names = (String, String);

impl Scene {
    /// A scene of these agents, of whom nothing is known.
    async fn of(agents: &[Names]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&folder.path().join("ledger.db"), POLICY, &Telemetry::new());
        let ledger = ledger.unwrap();
        let agents: Vec<Agent> = agents
            .iter()
            .enumerate()
            .map(|(place, (account, name))| Agent {
                account: account.as_str().into(),
                id: format!("66a72b17-cb03-4397-ab2a-{place:012}").into(),
                name: name.as_str().into(),
                labels: Arc::new([("team".to_owned(), "<b>cx</b>".to_owned())].into()),
            })
            .collect();
        let identities = agents
            .iter()
            .map(|agent| (agent.account.clone(), agent.id.clone()));
        let numbers = ledger.register(identities.collect()).await.unwrap();
        let members = agents.into_iter().zip(numbers);
        let members: Vec<Member> = members
            .map(|(agent, number)| Member::present(agent, number))
            .collect();
        let board = Board::default();
        board.open(crate::ledger::View::clone(&ledger));
        board.enrol(members.clone().into());
        let telemetry = Telemetry::new();
        let state = State {
            exposition: Arc::new(Exposition::new(telemetry.clone())),
            board: Arc::new(board),
            readiness: Readiness::default(),
            clock: ManualClock::at(NOW.parse().unwrap()),
            telemetry,
            telemetry_path: "/metrics".into(),
            hosts: Arc::default(),
            gate: Gate::default(),
            months: Default::default(),
            lifecycle: None,
        };
        Self {
            state,
            ledger,
            members,
            _folder: folder,
        }
    }

    fn today(&self) -> Day {
        self.state.clock.today()
    }

    /// Fills the days of an agent from `first` on, but for those that `credits` knows nothing of.
    async fn fill(&self, place: usize, first: Day, credits: impl Fn(Day) -> Option<f64>) {
        let windows = plan::range(first, self.today().previous(), self.today()).unwrap();
        let commits = windows.into_iter().map(|window| {
            let usage = |day| {
                Some(Usage {
                    day,
                    credits: credits(day)?,
                })
            };
            let fetched = Fetched {
                agent: self.members[place].number,
                window,
                rows: window.days().filter_map(usage).collect(),
                at: self.state.clock.now(),
            };
            self.ledger.commit(fetched)
        });
        for committed in join_all(commits).await {
            committed.unwrap();
        }
    }

    /// Computes the figures of all agents, as the publisher does.
    async fn publish(&self) {
        let today = self.today();
        let numbers = self.members.iter().map(|member| member.number).collect();
        let figures = self.ledger.snapshot(
            numbers,
            series::recent_start(today),
            move |start, totals, recent| series::figures(totals, recent, start, today),
        );
        let figures: Vec<Figures> = figures.await.unwrap();
        self.state
            .board
            .set_figures(today, figures.into_iter().enumerate(), true);
        months::refresh(&self.state.months, &self.state.board, today).await;
    }

    /// A page, as the router asks for it: its status and its text.
    async fn see(&self, kind: PageKind, path: &str, query: &str) -> (StatusCode, String) {
        let headers = hyper::HeaderMap::new();
        let parameters = match kind {
            PageKind::Agent | PageKind::Account => path.split('/').skip(2).map(decoded).collect(),
            _ => Vec::new(),
        };
        let asked = Asked::new(path, parameters, Some(query), &headers);
        let mut reply = answer(kind, &self.state, &asked).await;
        let mut bytes = Vec::new();
        while let Some(part) = reply.body_mut().next().await {
            bytes.extend_from_slice(&part.unwrap());
        }
        (reply.status(), String::from_utf8(bytes).unwrap())
    }

    async fn overview(&self, query: &str) -> String {
        let (status, page) = self.see(PageKind::Overview, "/", query).await;
        assert_eq!(status, StatusCode::OK);
        page
    }
}

fn decoded(segment: &str) -> String {
    let decoded = percent_encoding::percent_decode_str(segment).decode_utf8();
    decoded.unwrap().into_owned()
}

fn names(list: &[(&str, &str)]) -> Vec<Names> {
    let owned = |(account, name): &(&str, &str)| ((*account).to_owned(), (*name).to_owned());
    list.iter().map(owned).collect()
}

/// Whole credits that differ from day to day.
fn plain(day: Day) -> Option<f64> {
    Some(f64::from(day.number() % 17))
}

#[tokio::test]
async fn the_figures_are_those_of_the_ledger_and_with_missing_days_they_are_lower_bounds() {
    let scene = Scene::of(&names(&[("acme", "support"), ("globex", "shop")])).await;
    let today = scene.today();
    scene.fill(0, today.plus(-62), plain).await;
    let yesterday = today.previous();
    scene
        .fill(1, today.plus(-62), |day| {
            plain(day).filter(|_| day != yesterday)
        })
        .await;
    scene.publish().await;
    let page = scene.overview("sort=name").await;
    let sum = |days: i32| -> f64 { today.plus(-days).through(yesterday).filter_map(plain).sum() };
    let cells = |credits: f64| format!("<td>{}</td>", figure::amount(credits));
    let row = page.split("agents/acme/support\">").nth(1).unwrap();
    let row = row.split("</tr>").next().unwrap();
    for days in [1, 7, 30] {
        assert!(row.contains(&cells(sum(days))), "{days} days: {row}");
    }
    let other = page.split("agents/globex/shop\">").nth(1).unwrap();
    let other = other.split("</tr>").next().unwrap();
    let cell = |text: String| {
        format!("<td><span class=\"partial\" title=\"25 Nov is missing\">{text}</span></td>")
    };
    assert!(other.contains(&cell("–".to_owned())), "{other}");
    let known = |days: i32| sum(days) - plain(yesterday).unwrap();
    for days in [7, 30] {
        let bound = cell(format!("≥ {}", figure::amount(known(days))));
        assert!(other.contains(&bound), "{days} days: {other}");
    }
    assert!(other.contains("class=\"gap\"") && other.contains(">incomplete<"));
    // Of all agents together, it is a lower bound.
    let both = format!(
        "≥ {}</span> <small>credits",
        figure::amount(sum(7) + known(7))
    );
    assert!(page.contains(&both), "{both}: {page}");
    assert!(page.contains("25 Nov, 1 of 2 agents incomplete"));
}

#[tokio::test]
async fn names_and_errors_are_text_whatever_they_hold() {
    let nasty = [
        ("a<c", "</title><script>alert(1)</script>"),
        ("a<c", "\" onload=\"x"),
        ("a<c", "مساعد الدعم"),
        ("a<c", "🤖🧑‍🚀"),
        ("a<c", "{{ 7*7 }}{% include \"x\" %}"),
        ("a<c", "../../-/reload?x#y"),
    ];
    let mut names = names(&nasty);
    names.push(("long".repeat(64), "n".repeat(256)));
    let scene = Scene::of(&names).await;
    let problem = Problem {
        account: "a<c".into(),
        kind: "unexpected",
        error: "unexpected status 418: <img src=x onerror=alert(1)>".to_owned(),
        first: None,
        windows: 1,
        agents: Default::default(),
        key: None,
    };
    scene.state.board.observe(&Event::Ended(Ok(Arc::new(Report {
        problems: vec![problem],
        ..Report::default()
    }))));
    scene.publish().await;
    let overview = scene.overview("q=%3Cscript%3E").await;
    let all = scene.overview("").await;
    for page in [&overview, &all] {
        for forbidden in ["<script", "<img", "onload=\"", "<b>cx", "<include"] {
            assert!(!page.contains(forbidden), "{forbidden} in {page}");
        }
    }
    assert!(
        overview.contains("value=\"&#60;script&#62;\""),
        "{overview}"
    );
    assert!(all.contains("&#60;img src=x") && all.contains("مساعد الدعم"));
    for (account, name) in &nasty {
        let agent = scene
            .members
            .iter()
            .find(|member| *member.agent.name == **name);
        let link = agent_link(&agent.unwrap().agent);
        assert!(
            all.contains(&format!("href=\"./{link}\"")),
            "{account}/{name}: {link}"
        );
        let (status, page) = scene.see(PageKind::Agent, &format!("/{link}"), "").await;
        assert_eq!(status, StatusCode::OK, "{link}");
        assert!(
            !page.contains("<script") && !page.contains("<b>cx"),
            "{page}"
        );
    }
    let (status, page) = scene
        .see(PageKind::Agent, "/agents/a%3Cc/%3Cscript%3E", "")
        .await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(page.contains("a&#60;c/&#60;script&#62;") && !page.contains("<script"));
}

#[tokio::test]
async fn a_page_of_ten_thousand_agents_is_small_and_a_hundred_of_them_hold_all() {
    let all: Vec<Names> = (0..10_000)
        .map(|place| {
            let account = format!("customer-{:03}", place % 300);
            (
                account,
                format!("assistant-for-the-customers-of-shop-{place:05}"),
            )
        })
        .collect();
    let scene = Scene::of(&all).await;
    let today = scene.today();
    // Those that the first page shows know every other day: nothing takes more bytes.
    for place in 0..list::PAGE {
        let odd = |day: Day| {
            plain(day)
                .map(|used| used + 0.25)
                .filter(|_| day.number() % 2 == 0)
        };
        scene.fill(place, today.plus(-62), odd).await;
    }
    let figures = (0..10_000).map(|place| {
        let figures = Figures {
            up: Some(place % 3 != 0),
            previous_30_days_credits: Some(1e9 + 0.25 - f64::from(place)),
            missing_days: 400,
            ..Figures::default()
        };
        (usize::try_from(place).unwrap(), figures)
    });
    scene.state.board.set_figures(today, figures, true);
    many_troubles(&scene);
    many_alerts(&scene);
    let first = scene.overview("").await;
    assert!(first.len() < 300_000, "{}", first.len());
    assert!(first.contains("Page 1 of 100"));
    let mut seen = std::collections::BTreeSet::new();
    for page in 1..=100 {
        let text = scene.overview(&format!("page={page}")).await;
        assert!(text.len() < 300_000, "page {page}: {}", text.len());
        let links = text.split("href=\"./agents/").skip(1);
        let links = links.map(|rest| rest.split('"').next().unwrap().to_owned());
        seen.extend(links);
    }
    assert_eq!(seen.len(), 10_000);
}

#[tokio::test]
async fn a_refused_key_is_at_the_top_with_the_file_that_the_right_one_goes_into() {
    let scene = Scene::of(&names(&[("customer-001", "support")])).await;
    scene.publish().await;
    many_troubles(&scene);
    let page = scene.overview("").await;
    let trouble = "FlowGent refuses the key of account customer-001: the API key is not valid.";
    let advice = "Write the right key into file <code>/etc/keys/1.key</code>, on a line of its own";
    let place = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text}: {page}"));
    assert!(place(trouble) < place(advice) && place(advice) < place("<h2 id=\"totals\">"));
    assert!(page.contains("And 280 more"));
}

#[tokio::test]
async fn the_page_of_an_agent_shows_all_days_revisions_and_fetches() {
    let scene = Scene::of(&names(&[("acme", "support")])).await;
    let (today, member) = (scene.today(), &scene.members[0]);
    let missing: Day = "2026-03-05".parse().unwrap();
    scene
        .fill(0, TRACKING_START, |day| {
            plain(day).filter(|_| day != missing)
        })
        .await;
    let yesterday = today.previous();
    let revised = Fetched {
        agent: member.number,
        window: Window::new(yesterday, yesterday, today).unwrap(),
        rows: vec![Usage {
            day: yesterday,
            credits: 1_234.5,
        }],
        at: scene.state.clock.now() + TimeDelta::hours(1),
    };
    scene.ledger.commit(revised).await.unwrap();
    scene.publish().await;
    let (status, page) = scene.see(PageKind::Agent, "/agents/acme/support", "").await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.len() < 300_000, "{}", page.len());
    let days = usize::try_from(today.since(TRACKING_START)).unwrap();
    let squares = page.matches("<rect class=\"l").count();
    assert_eq!(squares, days - 1, "every known day has a square");
    assert!(page.contains("<title>Thu 5 Mar 2026: missing</title>"));
    assert!(page.contains("<title>Wed 25 Nov 2026: 1,234.5 credits</title>"));
    let before = crate::words::number(plain(yesterday).unwrap());
    assert!(
        page.contains(&format!("<td>{before}</td><td>1,234.5</td>")),
        "{page}"
    );
    assert!(
        page.contains("6 Mar – 25 Nov, 28 May 2025 – 4 Mar"),
        "{page}"
    );
    assert!(page.contains("3 days may still change"));
    // By its identifier too, which never changes.
    let by_id = format!("/agents/acme/{}", member.agent.id);
    assert_eq!(
        scene.see(PageKind::Agent, &by_id, "").await.0,
        StatusCode::OK
    );
    let (status, page) = scene.see(PageKind::Agent, "/agents/acme/suport", "").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(
        page.contains("<a href=\"../../?q=suport#agents\">"),
        "{page}"
    );
}

#[tokio::test]
async fn while_figures_are_computed_every_page_says_so() {
    let scene = Scene::of(&names(&[("acme", "support")])).await;
    let page = scene.overview("").await;
    assert!(page.contains("The figures are being computed"), "{page}");
    let (status, page) = scene.see(PageKind::Agent, "/agents/acme/support", "").await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("The figures are being computed"), "{page}");
}

#[tokio::test]
async fn a_ledger_that_cannot_be_read_is_told_and_the_figures_stay() {
    let scene = Scene::of(&names(&[("acme", "support")])).await;
    scene
        .fill(0, scene.today().plus(-62), |_| Some(1_000.0))
        .await;
    scene.publish().await;
    scene.ledger.close().await;
    let page = scene.overview("").await;
    assert!(page.contains("The ledger cannot be read: "), "{page}");
    assert!(page.contains("<td>30,000</td>"), "{page}");
    let (status, page) = scene.see(PageKind::Alerts, "/alerts", "").await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("The ledger cannot be read: "), "{page}");
}

#[test]
fn links_lead_to_the_first_page_from_wherever_they_are() {
    for (path, expected) in [
        ("/", "./"),
        ("/alerts", "./"),
        ("/agents/a/b", "../../"),
        ("/agents/a/", "../../"),
        ("", "./"),
    ] {
        assert_eq!(root(path), expected, "{path}");
    }
}

#[tokio::test]
async fn pages_load_themselves_again_unless_a_query_asks_for_something() {
    let scene = Scene::of(&names(&[("acme", "support")])).await;
    scene.publish().await;
    let header = async |kind: PageKind, path: &str, query: &str| {
        let headers = hyper::HeaderMap::new();
        let reply = answer(
            kind,
            &scene.state,
            &Asked::new(path, Vec::new(), Some(query), &headers),
        )
        .await;
        let refresh = reply.headers().get(REFRESH);
        refresh.map(|seconds| seconds.to_str().unwrap().to_owned())
    };
    let every = |seconds: &str| Some(seconds.to_owned());
    assert_eq!(header(PageKind::Overview, "/", "").await, every("300"));
    assert_eq!(header(PageKind::Alerts, "/alerts", "").await, every("300"));
    assert_eq!(header(PageKind::Overview, "/", "refresh=off").await, None);
    assert_eq!(
        header(PageKind::Alerts, "/alerts", "refresh=off").await,
        None
    );
    let page = scene.overview("").await;
    assert!(page.contains("refreshes itself every 5 min. <a href=\"?refresh=off\">Stop</a>"));
    assert!(!scene.overview("q=a").await.contains("refreshes itself"));

    // While a sync runs, often, with its progress and without a form that would lose what is typed.
    let started = scene.state.clock.now() - TimeDelta::seconds(70);
    scene.state.board.observe(&Event::Started(started));
    scene.state.board.observe(&Event::Planned(18));
    let committed = Event::Committed(scene.members[0].number);
    (0..7).for_each(|_| scene.state.board.observe(&committed));
    assert_eq!(header(PageKind::Overview, "/", "").await, every("5"));
    let page = scene.overview("").await;
    let progress = "(1 min ago): 7 of 18 requests done <progress value=\"7\" max=\"18\"";
    assert!(page.contains(progress), "{page}");
    assert!(!page.contains("<form"), "{page}");
    assert!(scene.overview("refresh=off").await.contains("<form"));
}

#[tokio::test]
async fn an_account_whose_agents_cannot_be_listed_is_shown_with_the_reason() {
    let scene = Scene::of(&names(&[("acme", "support")])).await;
    scene.publish().await;
    many_troubles(&scene);
    let page = scene.overview("").await;
    let row = "<bdi>customer-000</bdi> <span class=\"reason\" dir=\"auto\">the API key is not valid</span>";
    assert!(page.contains(row), "{page}");
    let (status, page) = scene
        .see(PageKind::Account, "/accounts/customer-000", "")
        .await;
    assert_eq!(status, StatusCode::OK, "{page}");
}

#[tokio::test]
async fn months_of_an_account_are_kept_until_figures_change() {
    let scene = Scene::of(&names(&[("acme", "support"), ("acme", "sales")])).await;
    let first = scene.today().plus(-20);
    scene.fill(0, first, |_| Some(1.0)).await;
    scene.publish().await;
    let shown = async || scene.see(PageKind::Account, "/accounts/acme", "").await.1;
    let before = shown().await;
    assert!(
        before.contains("/support\"><bdi>support</bdi></a></th><td>"),
        "{before}"
    );
    let dashes = |page: &str| page.matches(">–</span>").count();
    // Nothing that is shown elsewhere has changed, so neither have the months.
    scene.fill(1, first, |_| Some(2.0)).await;
    assert_eq!(shown().await, before);
    scene.publish().await;
    let after = shown().await;
    assert!(dashes(&after) < dashes(&before), "{after}");
    assert_eq!(
        scene.see(PageKind::Account, "/accounts/acne", "").await.0,
        StatusCode::NOT_FOUND
    );
}
