//! `check`: is the config good, and with `--live`, are the keys and agents?

mod surroundings;

use clap::Args;

use super::examine::examine;
use super::{Common, Failure, agents, count, load, print, table};
use crate::config::Config;
use crate::files;

/// Arguments of `check`.
#[derive(Debug, Default, Args)]
pub(super) struct CheckArguments {
    /// Also fetch yesterday's usage of every agent, to see which keys and agents work.
    #[arg(long)]
    live: bool,
}

/// Checks and says what it found.
pub(super) async fn check(common: &Common, arguments: &CheckArguments) -> Result<(), Failure> {
    let config = load(common)?;
    for warning in &config.warnings {
        print(format_args!("warning: {warning}\n"))?;
    }
    for exposed in &config.exposed {
        print(format_args!("warning: {exposed}: {}\n", files::CLOSE_IT))?;
    }
    for failure in &config.failures {
        print(format_args!("problem: {failure}\n"))?;
    }
    let verdict = if config.failures.is_empty() {
        "is valid"
    } else {
        "is valid, with problems"
    };
    print(format_args!(
        "{} {verdict}: {}, {}\n",
        common.config_file.display(),
        count(config.accounts.len(), "account"),
        agents(&config.accounts)
    ))?;
    print(format_args!("{}\n", surroundings::next_poll(&config)))?;
    for probe in &config.alerts.probes {
        print(format_args!("{}\n", surroundings::runs(probe)))?;
    }
    for warning in surroundings::warnings(&config).await {
        print(format_args!("warning: {warning}\n"))?;
    }
    if arguments.live {
        live(&config).await?;
    }
    if config.failures.is_empty() {
        Ok(())
    } else {
        Err(Failure::Told)
    }
}

async fn live(config: &Config) -> Result<(), Failure> {
    let header = ["account", "agent", "clock skew", "result"];
    let mut table = table(header, &[2]);
    let (mut failed, mut all) = (0, 0);
    for examination in examine(config, usize::MAX).await? {
        let skew = match examination.skew_seconds {
            Some(seconds) => format!("{seconds:+.1} s"),
            None => "unknown".to_owned(),
        };
        for (tried, result) in examination.lists.iter().chain(&examination.asked) {
            all += 1;
            failed += usize::from(result.is_err());
            let result = match result {
                Ok(text) => text,
                Err(trouble) => &trouble.error,
            };
            table.add_row([&*examination.account, tried, &skew, result]);
        }
    }
    let (rows, tally) = (table.trim_fmt(), tally(failed, all));
    print(format_args!("\n{rows}\n\n{tally}\n"))?;
    if failed == 0 {
        Ok(())
    } else {
        Err(Failure::Told)
    }
}

/// Says how many of all calls failed.
fn tally(failed: usize, all: usize) -> String {
    let calls = count(all, "call");
    match (failed, all) {
        (0, 0) => "no calls: the config names no agents".to_owned(),
        (0, 1) => format!("{calls} succeeded"),
        (0, _) => format!("all {calls} succeeded"),
        (1, 1) => format!("{calls} failed"),
        _ if failed == all => format!("all {calls} failed"),
        _ => format!("{failed} of {calls} failed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_in_words_that_a_reader_need_not_turn_around() {
        for (failed, all, text) in [
            (0, 0, "no calls: the config names no agents"),
            (0, 1, "1 call succeeded"),
            (0, 7, "all 7 calls succeeded"),
            (2, 7, "2 of 7 calls failed"),
            (7, 7, "all 7 calls failed"),
            (1, 1, "1 call failed"),
        ] {
            assert_eq!(tally(failed, all), text);
        }
    }
}
