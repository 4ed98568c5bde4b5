//! Comparison of a Prometheus with the ledger.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use serde::Deserialize;
use url::Url;

use super::super::{Failure, count};
use super::{Finding, NO_LEDGER, known};
use crate::blocking;
use crate::config::Config;
use crate::egress::Roots;
use crate::egress::promql::{Answer, quoted};
use crate::egress::transport::{self, HttpClientError};

/// A Prometheus answers this at once.
const PATIENCE: Duration = Duration::from_secs(30);
/// More of an answer is not read: some hundred bytes per agent.
const ANSWER_BYTES: usize = 128 << 20;
/// The series that is compared last.
const FIGURES: &str = "yesterday's figures";

/// One series at one instant.
#[derive(Debug, Deserialize)]
struct Sample {
    metric: BTreeMap<String, String>,
    value: (f64, String),
}

impl Sample {
    fn label(&self, name: &str) -> &str {
        self.metric.get(name).map_or("", String::as_str)
    }

    fn value(&self) -> f64 {
        self.value.1.parse().unwrap_or(f64::NAN)
    }

    /// The target that it was scraped from.
    fn target(&self) -> String {
        format!(
            "job {}, instance {}",
            self.label("job"),
            self.label("instance")
        )
    }
}

/// Looks at the targets and at yesterday's figures.
pub(super) async fn look(config: &Config, url: &Url) -> Result<Vec<Finding>, Failure> {
    let http = client().await?;
    let targets = match query(
        &http,
        url,
        "last_over_time(flowgent_exporter_build_info[1d])",
    )
    .await
    {
        Ok(targets) => targets,
        Err(error) => {
            let problem = Finding::problem(
                format!("{}: {error:#}", shown(url)),
                "check that this is Prometheus' address and can be reached from here",
            );
            let unseen = Finding::unseen("targets and figures", "Prometheus does not answer");
            return Ok(vec![problem, unseen]);
        }
    };
    if targets.is_empty() {
        let problem = Finding::problem(
            format!("{} has not scraped an exporter within a day", shown(url)),
            "add a scrape_config to Prometheus' config, and look at its targets page",
        );
        let unseen = Finding::unseen(FIGURES, "nothing was scraped");
        return Ok(vec![problem, unseen]);
    }
    let mut findings = Vec::new();
    for target in &targets {
        findings.push(look_at_target(&http, url, target).await?);
    }
    findings.push(look_at_figures(config, &http, url).await?);
    Ok(findings)
}

/// Straight to the server: nothing of the config's proxies is about it.
async fn client() -> Result<reqwest::Client, Failure> {
    let builder = blocking::run(|| transport::client_builder(&Roots::System)).await?;
    let client = builder.no_proxy().timeout(PATIENCE).build();
    Ok(client.map_err(HttpClientError::Build)?)
}

/// A URL without the password that may stand in it.
fn shown(url: &Url) -> String {
    url.origin().ascii_serialization()
}

async fn look_at_target(
    http: &reqwest::Client,
    url: &Url,
    target: &Sample,
) -> Result<Finding, Failure> {
    let (job, instance) = (
        quoted(target.label("job")),
        quoted(target.label("instance")),
    );
    let selector = format!("{{job={job}, instance={instance}}}");
    let up = query(http, url, &format!("up{selector}")).await?;
    let took = query(http, url, &format!("scrape_duration_seconds{selector}")).await?;
    let what = target.target();
    Ok(match (up.first().map(Sample::value), took.first()) {
        (Some(1.0), Some(took)) => Finding::good(format!(
            "{what} is up; the last scrape took {:.3} s",
            took.value()
        )),
        (Some(_), _) => Finding::problem(
            format!("{what} is down for Prometheus"),
            "its targets page shows the cause: address, TLS, password, or body_size_limit",
        ),
        (None, _) => Finding::warning(
            format!("{what} is no longer scraped"),
            "ignore this if the target was renamed",
        ),
    })
}

/// Holds yesterday's figures of Prometheus against those of the ledger.
async fn look_at_figures(
    config: &Config,
    http: &reqwest::Client,
    url: &Url,
) -> Result<Finding, Failure> {
    let name = "flowgent_agent_previous_day_credits";
    let samples = query(http, url, name).await?;
    let mut seen: BTreeMap<(&str, &str), Vec<&Sample>> = BTreeMap::new();
    for sample in &samples {
        let agent = (sample.label("account"), sample.label("agent"));
        seen.entry(agent).or_default().push(sample);
    }
    if let Some(((account, agent), twice)) = seen.iter().find(|(_, samples)| samples.len() > 1) {
        return Ok(Finding::warning(
            format!(
                "{account}/{agent} has {} series: {} and {}",
                twice.len(),
                twice[0].target(),
                twice[1].target()
            ),
            "sums count it more than once: scrape one exporter, by one job",
        ));
    }
    let Some(known) = known(config).await else {
        return Ok(Finding::unseen(FIGURES, NO_LEDGER));
    };
    let mut compared = 0;
    for agent in &known {
        let Some(credits) = agent.figures.previous_day_credits else {
            continue;
        };
        let (account, name) = (&*agent.member.agent.account, &*agent.member.agent.name);
        let seen = seen.get(&(account, name)).map(|samples| samples[0].value());
        if seen != Some(credits) {
            let seen = seen.map_or("nothing".to_owned(), |seen| format!("{seen} credits"));
            return Ok(Finding::problem(
                format!(
                    "{account}/{name}: Prometheus has {seen} for yesterday, the ledger {credits}"
                ),
                "wait for the next scrape; then check the scrape_config's `relabel_configs` and limits",
            ));
        }
        compared += 1;
    }
    if compared == 0 {
        return Ok(Finding::unseen(FIGURES, "the ledger has none"));
    }
    Ok(Finding::good(format!(
        "yesterday's figures of {} match the ledger",
        count(compared, "agent")
    )))
}

/// Present result of `expression`, in the order of the labels: databases give it in any.
async fn query(http: &reqwest::Client, url: &Url, expression: &str) -> anyhow::Result<Vec<Sample>> {
    let mut asked = url.clone();
    asked
        .path_segments_mut()
        .map_err(|()| anyhow!("not a URL of HTTP"))?
        .pop_if_empty()
        .extend(["api", "v1", "query"]);
    asked.query_pairs_mut().append_pair("query", expression);
    let response = http.get(asked).send().await;
    let mut response = response.map_err(transport::broken)?;
    let status = response.status();
    let body = transport::body(&mut response, ANSWER_BYTES).await?;
    let answer = serde_json::from_slice::<Answer<Sample>>(&body);
    let answer = answer.with_context(|| format!("status {status}, not an answer of Prometheus"))?;
    ensure!(
        answer.status == "success",
        "{}",
        answer.error.unwrap_or(answer.status)
    );
    let mut samples = answer.data.map(|data| data.result).unwrap_or_default();
    samples.sort_by(|one, other| one.metric.cmp(&other.metric));
    Ok(samples)
}
