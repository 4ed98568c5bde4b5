//! How well the forecast would have done on simulated agents, on every fifth day, against other methods:
//! plain and exponentially weighted means of each weekday, exponential smoothing chosen by likelihood, the
//! mean of the last 30 days, and the last week once more.
//!
//! `cargo bench --bench forecast -- [seeds]`; the agents of 12 seeds by default.

use std::collections::BTreeMap;
use std::hint::black_box;

use anyhow::{Context, Result};
use augurs::ets::AutoETS;
use augurs::{Fit, Predict};

use flowgent_exporter::clock::instant;
use flowgent_exporter::day::{Day, TRACKING_START, Usage};
use flowgent_exporter::forecast::{Forecast, Outlook, PATTERN_DAYS, Pattern};
use flowgent_exporter::series::{Totals, figures, recent_start};
use flowgent_exporter::simulator::{Settings, World};

/// From the first day on which 16 weeks are known, over a year and a half.
const DAYS: i32 = 540;
/// Each weekday comes in turn.
const EVERY_DAYS: usize = 5;
/// The longest span that is forecast.
const SPAN_DAYS: i32 = 31;
/// What is expected of an agent on the days from today on.
type Expected = [f64; SPAN_DAYS as usize];

/// From the known days of an agent to what is expected.
type Method = fn(&[Usage]) -> Expected;

/// What the forecast is held against, by name.
const METHODS: [(&str, Method); 7] = [
    ("plain, 8 weeks", |recent| {
        again(weekday_means(last(recent, 56), 1.0))
    }),
    ("plain, 16 weeks", |recent| {
        again(weekday_means(recent, 1.0))
    }),
    ("half-life 1 week", |recent| {
        again(weekday_means(recent, 0.5))
    }),
    ("half-life 3 weeks", |recent| {
        again(weekday_means(recent, 0.5_f64.cbrt()))
    }),
    ("smoothing (ETS)", smoothed),
    ("mean of last 30", |recent| {
        [mean(last(recent, 30)); SPAN_DAYS as usize]
    }),
    ("week repeated", |recent| {
        again(weekday_means(last(recent, 7), 1.0))
    }),
];

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
        "{} agents in {} accounts, forecast on every fifth of {DAYS} days",
        agents.len(),
        accounts.len()
    );
    for (known, groups, what) in [
        (PATTERN_DAYS, &agents, "agents, 16 weeks known"),
        (PATTERN_DAYS, &accounts, "accounts, 16 weeks known"),
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
        for today in first.through(first.plus(DAYS - 1)).step_by(EVERY_DAYS) {
            let month = today.month_start();
            let month_end = month.plus(31).month_start();
            let recent: Vec<&[Usage]> = group
                .iter()
                .map(|agent| between(agent, today.plus(-known), today))
                .collect();
            let others = METHODS.map(|(name, method)| (name, together(&recent, method)));
            let so_far = sum(group, month.max(TRACKING_START), today);
            for (span, used, end) in [
                ("month total", so_far, month_end),
                ("rest of the month", 0.0, month_end),
                ("next 7 days", 0.0, today.plus(7)),
                ("next 28 days", 0.0, today.plus(28)),
            ] {
                let actual = used + sum(group, today, end);
                let mut outlook = Outlook::default();
                for agent in &recent {
                    let pattern = Pattern::of(agent, today).context("seven days make a pattern")?;
                    outlook.add(&pattern, today.through(end.previous()));
                }
                let score = scores.entry(span).or_default();
                score.count_forecast(outlook.forecast(used), actual);
                let days = end.since(today).unsigned_abs() as usize;
                for (name, expected) in &others {
                    let forecast = used + expected[..days].iter().sum::<f64>();
                    score
                        .errors
                        .entry(name)
                        .or_default()
                        .count(forecast, actual);
                }
            }
        }
    }
    Ok(scores)
}

impl Score {
    fn count_forecast(&mut self, forecast: Forecast, actual: f64) {
        let errors = self.errors.entry("two speeds").or_default();
        errors.count(forecast.expected_credits, actual);
        // Rounding may move a sum of whole numbers off a bound that it lies on.
        let slack = 1e-6;
        self.cases += 1.0;
        self.below += f64::from(u8::from(actual < forecast.low_credits - slack));
        self.above += f64::from(u8::from(actual > forecast.high_credits + slack));
    }
}

/// What `method` expects of several agents together.
fn together(agents: &[&[Usage]], method: Method) -> Expected {
    let mut sum = Expected::default();
    for agent in agents {
        for (sum, credits) in sum.iter_mut().zip(method(agent)) {
            *sum += credits;
        }
    }
    sum
}

/// The mean of each of seven weekdays, each week by `decay` of the week after it: that of the weekday of the
/// day after the last one first.
fn weekday_means(recent: &[Usage], decay: f64) -> [f64; 7] {
    let mut sums = [(0.0, 0.0); 7];
    for (ago, usage) in recent.iter().rev().enumerate() {
        let weight = decay.powi(i32::try_from(ago / 7).expect("a few weeks"));
        let (credits, weights) = &mut sums[6 - ago % 7];
        *credits += weight * usage.credits;
        *weights += weight;
    }
    sums.map(|(credits, weights)| credits / weights)
}

/// A week over and over.
fn again(week: [f64; 7]) -> Expected {
    std::array::from_fn(|day| week[day % 7])
}

/// Exponential smoothing with a damped trend, the likeliest, on what is left when the weekdays' means are taken
/// out. Trends that are not damped foretell worse here, and the library finds no model without one.
fn smoothed(recent: &[Usage]) -> Expected {
    let week = weekday_means(recent, 1.0);
    let level = mean(recent);
    let of_day = |place: usize| week[(place + 7 * recent.len() - recent.len()) % 7] - level;
    let rest: Vec<f64> = (0..)
        .zip(recent)
        .map(|(place, usage)| usage.credits - of_day(place))
        .collect();
    let forecast = AutoETS::new(1, "AAN")
        .and_then(|search| search.damped(true))
        .expect("there are damped trends")
        .fit(&rest)
        .and_then(|model| model.predict(SPAN_DAYS as usize, None));
    // There is no likeliest model of what is always the same.
    let rest = forecast.map_or_else(
        |_| vec![level; SPAN_DAYS as usize],
        |forecast| forecast.point,
    );
    std::array::from_fn(|day| (rest[day] + of_day(recent.len() + day)).max(0.0))
}

fn last(recent: &[Usage], days: usize) -> &[Usage] {
    &recent[recent.len().saturating_sub(days)..]
}

fn mean(recent: &[Usage]) -> f64 {
    recent.iter().map(|usage| usage.credits).sum::<f64>() / recent.len() as f64
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
