//! How well the forecast would have done on simulated agents, day after day, against plainer methods:
//! every day the mean of the last 30, and the last week once more.
//!
//! `cargo bench --bench forecast -- [seeds]`; the agents of 12 seeds by default.

use std::collections::BTreeMap;
use std::hint::black_box;

use anyhow::{Context, Result};

use flowgent_exporter::clock::instant;
use flowgent_exporter::day::{Day, TRACKING_START, Usage};
use flowgent_exporter::forecast::{Outlook, PATTERN_DAYS, Pattern};
use flowgent_exporter::series::{Totals, figures, recent_start};
use flowgent_exporter::simulator::{Settings, World};

/// From the first day on which eight weeks are known, over a year and a half.
const DAYS: i32 = 540;
/// The longest span that is forecast.
const SPAN_DAYS: i32 = 31;

fn main() -> Result<()> {
    // Cargo passes `--bench`, which says nothing here.
    let mut arguments = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'));
    let seeds = arguments.next().map_or(Ok(12), |seeds| seeds.parse())?;
    let accounts = accounts(seeds);
    let agents: Vec<Vec<&[Usage]>> = accounts
        .iter()
        .flatten()
        .map(|agent| vec![agent.as_slice()])
        .collect();
    let accounts: Vec<Vec<&[Usage]>> = accounts
        .iter()
        .map(|account| account.iter().map(Vec::as_slice).collect())
        .collect();
    println!(
        "{} agents in {} accounts, forecast on each of {DAYS} days, all of whose past is known",
        agents.len(),
        accounts.len()
    );
    for (known, groups, what) in [
        (PATTERN_DAYS, &agents, "agents, 8 weeks known"),
        (PATTERN_DAYS, &accounts, "accounts, 8 weeks known"),
        (21, &agents, "agents, 21 days known"),
        (14, &agents, "agents, 14 days known"),
        (7, &agents, "agents, 7 days known"),
    ] {
        report(what, &backtest(groups, known)?);
    }
    println!(
        "\nMAPE: mean of |forecast - actual| / actual, without the cases in which nothing was used.\n\
         WAPE: sum of |forecast - actual| / sum of actual, with them.\n\
         bounds: the share of cases that ended between the low and the high one."
    );
    time_figures(&agents);
    Ok(())
}

/// What the forecast costs among all figures of an agent.
fn time_figures(agents: &[Vec<&[Usage]>]) {
    const TIMES: usize = 100_000;
    let today = TRACKING_START.plus(PATTERN_DAYS + DAYS);
    let recent: Vec<&[Usage]> = agents
        .iter()
        .flatten()
        .map(|agent| between(agent, recent_start(today), today))
        .collect();
    let time = |what: &str, work: &dyn Fn(&[Usage])| {
        let started = instant();
        for agent in recent.iter().cycle().take(TIMES) {
            work(agent);
        }
        let milliseconds = started.elapsed().as_secs_f64() * 1e3;
        println!("{what} of {TIMES} agents: {milliseconds:.1} ms");
    };
    println!();
    time("all figures", &|agent| {
        black_box(figures(&Totals::default(), agent, TRACKING_START, today));
    });
    time("the pattern", &|agent| {
        black_box(Pattern::of(agent, today));
    });
}

/// What was used in the end on each day, by account and agent.
fn accounts(seeds: u64) -> Vec<Vec<Vec<Usage>>> {
    let last = TRACKING_START.plus(PATTERN_DAYS + DAYS + SPAN_DAYS);
    let worlds = (1..=seeds).map(|seed| World::new(&Settings::demo(seed)));
    let accounts = worlds.flat_map(|world| {
        let history = |agent| {
            let days = TRACKING_START.through(last);
            let usage = |day| Usage {
                day,
                credits: world.final_truth(agent, day),
            };
            days.map(usage).collect()
        };
        let accounts = world.accounts().iter();
        let accounts = accounts.map(|account| account.agents.iter().map(history).collect());
        accounts.collect::<Vec<_>>()
    });
    accounts.collect()
}

/// How far a method was off.
#[derive(Default)]
struct Errors {
    relative: f64,
    relative_cases: f64,
    absolute: f64,
    actual: f64,
}

impl Errors {
    fn count(&mut self, forecast: f64, actual: f64) {
        let error = (forecast - actual).abs();
        self.absolute += error;
        self.actual += actual;
        if actual > 0.0 {
            self.relative += error / actual;
            self.relative_cases += 1.0;
        }
    }
}

/// How the methods did on one kind of span.
#[derive(Default)]
struct Score {
    /// By method.
    errors: BTreeMap<&'static str, Errors>,
    cases: f64,
    below: f64,
    above: f64,
}

/// The scores by kind of span.
fn backtest(groups: &[Vec<&[Usage]>], known: i32) -> Result<BTreeMap<&'static str, Score>> {
    let mut scores: BTreeMap<&'static str, Score> = BTreeMap::new();
    let first = TRACKING_START.plus(PATTERN_DAYS);
    for group in groups {
        for today in first.through(first.plus(DAYS - 1)) {
            let month = today.month_start();
            let month_end = month.plus(31).month_start();
            let recent: Vec<&[Usage]> = group
                .iter()
                .map(|agent| between(agent, today.plus(-known), today))
                .collect();
            let so_far = sum(group, month.max(TRACKING_START), today);
            for (span, used, end) in [
                ("month total", so_far, month_end),
                ("rest of the month", 0.0, month_end),
                ("next 7 days", 0.0, today.plus(7)),
            ] {
                let score = scores.entry(span).or_default();
                score.count(&recent, used, today, end, sum(group, today, end))?;
            }
        }
    }
    Ok(scores)
}

impl Score {
    fn count(
        &mut self,
        recent: &[&[Usage]],
        used: f64,
        today: Day,
        end: Day,
        actual: f64,
    ) -> Result<()> {
        let actual = used + actual;
        let mut outlook = Outlook::default();
        for agent in recent {
            let pattern = Pattern::of(agent, today).context("seven days make a pattern")?;
            outlook.add(&pattern, today.through(end.previous()));
        }
        let forecast = outlook.forecast(used);
        let days = f64::from(end.since(today));
        let last_30 = recent.iter().map(|agent| {
            let last = &agent[agent.len().saturating_sub(30)..];
            last.iter().map(|usage| usage.credits).sum::<f64>() / last.len() as f64
        });
        let mut week_again = used;
        for day in today.through(end.previous()) {
            let same = today.plus(day.since(today) % 7 - 7);
            week_again += sum(recent, same, same.next());
        }
        for (method, forecast) in [
            ("pattern", forecast.expected_credits),
            ("mean of last 30", used + last_30.sum::<f64>() * days),
            ("week repeated", week_again),
        ] {
            self.errors
                .entry(method)
                .or_default()
                .count(forecast, actual);
        }
        // Rounding may move a sum of whole numbers off a bound that it lies on.
        let slack = 1e-6;
        self.cases += 1.0;
        self.below += f64::from(u8::from(actual < forecast.low_credits - slack));
        self.above += f64::from(u8::from(actual > forecast.high_credits + slack));
        Ok(())
    }
}

/// An agent's days from `start` up to, but not including, `end`. All days are there.
fn between(agent: &[Usage], start: Day, end: Day) -> &[Usage] {
    let place = |day: Day| agent.partition_point(|usage| usage.day < day);
    &agent[place(start)..place(end)]
}

fn sum(agents: &[&[Usage]], start: Day, end: Day) -> f64 {
    let days = agents.iter().flat_map(|agent| between(agent, start, end));
    days.map(|usage| usage.credits).sum()
}

fn report(what: &str, scores: &BTreeMap<&'static str, Score>) {
    println!("\n{what:<26} {:<18} {:>8} {:>8}", "", "MAPE", "WAPE");
    for (span, score) in scores {
        for (method, errors) in &score.errors {
            let mape = 100.0 * errors.relative / errors.relative_cases;
            let wape = 100.0 * errors.absolute / errors.actual;
            println!("  {span:<24} {method:<18} {mape:7.2}% {wape:7.2}%");
        }
        let share = |cases: f64| 100.0 * cases / score.cases;
        println!(
            "  {span:<24} {:<18} {:7.1}%, {:.1}% below and {:.1}% above",
            "bounds",
            share(score.cases - score.below - score.above),
            share(score.below),
            share(score.above)
        );
    }
}
