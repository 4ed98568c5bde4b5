//! Each account's key, its lists and its agents, tried by requests to FlowGent.

use std::sync::Arc;

use futures_util::future::join_all;
use prometheus::core::Collector;
use tokio::task::JoinSet;

use super::Failure;
use crate::blocking;
use crate::clock::{Clock, SharedClock, SystemClock};
use crate::config::Config;
use crate::flowgent::client::Client;
use crate::flowgent::error::ApiError;
use crate::flowgent::metrics::ApiMetrics;
use crate::flowgent::transport::HttpClient;
use crate::roster::{self, AccountSettings, Agent, ListError, ListedAgent};
use crate::telemetry::Telemetry;
use crate::validate;
use crate::window::Window;
use crate::words;

/// Results of trying one account.
pub(super) struct Examination {
    pub(super) account: Arc<str>,
    /// FlowGent's clock minus ours, if it has told its time to this account.
    pub(super) skew_seconds: Option<f64>,
    /// Its key, and the lists that name its agents.
    pub(super) lists: Vec<Step>,
    /// Number of its agents.
    pub(super) agents: usize,
    /// Those of them that were asked for.
    pub(super) asked: Vec<Step>,
}

/// A trial and its result.
pub(super) type Step = (Arc<str>, Result<String, Trouble>);

/// An error, and what to do about it.
pub(super) struct Trouble {
    pub(super) error: String,
    /// Empty if others tell of it.
    pub(super) advice: &'static str,
}

impl Trouble {
    fn new(error: impl ToString, advice: &'static str) -> Self {
        let error = error.to_string();
        Self { error, advice }
    }
}

impl From<ApiError> for Trouble {
    fn from(error: ApiError) -> Self {
        Self::new(&error, error.advice())
    }
}

/// Tries every account with at most that many of its agents, all at once, so that one that hangs does not keep the
/// others waiting.
pub(super) async fn examine(config: &Config, most: usize) -> Result<Vec<Examination>, Failure> {
    let http = HttpClient::open(&config.api).await?;
    let telemetry = Telemetry::new();
    let examinations = config.accounts.iter().map(|account| {
        let clock: SharedClock = Arc::new(SystemClock);
        let name = Arc::clone(&account.name);
        let client = Client::new(&http, &config.api, name, &telemetry, clock);
        of_account(account, client, most)
    });
    let mut all = join_all(examinations).await;
    for examination in &mut all {
        examination.skew_seconds = skew_seconds(&telemetry, &examination.account);
    }
    Ok(all)
}

fn skew_seconds(telemetry: &Telemetry, account: &str) -> Option<f64> {
    let families = telemetry.of::<ApiMetrics>().clock_skew.collect();
    let mut series = families.iter().flat_map(|family| family.get_metric());
    let is_of = |metric: &&prometheus::proto::Metric| {
        let mut labels = metric.get_label().iter();
        labels.any(|label| label.value() == account)
    };
    Some(series.find(is_of)?.get_gauge().get_value())
}

async fn of_account(account: &AccountSettings, client: Client, most: usize) -> Examination {
    let mut examination = Examination {
        account: Arc::clone(&account.name),
        skew_seconds: None,
        lists: Vec::new(),
        agents: 0,
        asked: Vec::new(),
    };
    let lists = &mut examination.lists;
    let advice = "put the API key from FlowGent's settings there, on one line";
    let key = account.api_key.read_aside().await;
    let key = key.map_err(|error| Trouble::new(error, advice));
    if let Err(trouble) = key.and_then(|key| Ok(client.set_key(key)?)) {
        lists.push(("(key)".into(), Err(trouble)));
        return examination;
    }
    let from_file = from_file(account).await.unwrap_or_else(|error| {
        let trouble = Trouble::new(error, "correct the list, or regenerate it");
        lists.push(("(agents_file)".into(), Err(trouble)));
        Vec::new()
    });
    let mut listed = Vec::new();
    if account.discover {
        let listing = client.list_agents().await.map(|listing| {
            listed = listing.agents;
            listing.gap
        });
        let shown = match &listing {
            Ok(_) => Ok(format!("{} agents listed", listed.len())),
            Err(error) => Err(Trouble::from(error.clone())),
        };
        lists.push(("(listing)".into(), shown));
        if let Ok(Some(gap)) = listing {
            let trouble = Trouble::new(format!("not all agents: {gap}"), "");
            lists.push(("(listing)".into(), Err(trouble)));
        }
    }
    let roster = roster::resolve(account, from_file, listed);
    let warnings = roster.warnings.iter();
    let warned = |warning| ("(agents)".into(), Err(Trouble::new(warning, "")));
    lists.extend(warnings.map(warned));
    examination.agents = roster.agents.len();
    examination.asked = ask(Arc::new(client), roster.agents.into_iter().take(most)).await;
    examination
}

/// Asks for yesterday's figure of each agent, at the pace of the client's own limits.
async fn ask(client: Arc<Client>, agents: impl Iterator<Item = Agent>) -> Vec<Step> {
    let mut calls = JoinSet::new();
    for (place, agent) in agents.enumerate() {
        let client = Arc::clone(&client);
        calls.spawn(async move {
            let result = yesterday(&client, &agent).await;
            (place, (agent.name, result.map_err(Trouble::from)))
        });
    }
    // The answers come in any order.
    let mut answers = calls.join_all().await;
    answers.sort_by_key(|(place, _)| *place);
    answers.into_iter().map(|(_, step)| step).collect()
}

/// The agents of the account's file.
pub(super) async fn from_file(account: &AccountSettings) -> Result<Vec<ListedAgent>, ListError> {
    match account.agents_file.clone() {
        None => Ok(Vec::new()),
        Some(path) => blocking::run(move || roster::read_agents(&path)).await,
    }
}

/// The agent's figure for yesterday, in words.
async fn yesterday(client: &Client, agent: &Agent) -> Result<String, ApiError> {
    let today = SystemClock.today();
    let yesterday = today.previous();
    let window = Window::new(yesterday, yesterday, today).map_err(|_| ApiError::InvalidDates)?;
    let judge = |answer| Ok(validate::rows(&window, &agent.id, &answer)?);
    let accepted = client.usage(&agent.id, &window, judge).await?;
    Ok(match accepted.rows.first() {
        Some(usage) => format!("ok, {} on {yesterday}", words::credits(usage.credits)),
        None => format!("ok, but FlowGent has no figure for {yesterday} yet"),
    })
}
