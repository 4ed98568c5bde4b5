//! Standings of budgets and balances in the ledger, for commands that show them.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::view;
use crate::alert::{self, Background, Check, Rule};
use crate::balance::Left;
use crate::budget::Standing;
use crate::config::Config;
use crate::ledger::{LedgerError, View};

/// The budgets and balances that have figures, in the order of the config.
#[derive(Default)]
pub(super) struct Standings {
    pub(super) budgets: Vec<(Arc<str>, Option<Arc<str>>, Standing)>,
    pub(super) balances: Vec<(Arc<str>, Left)>,
}

/// Standings at `now` of those that `is_wanted`.
pub(super) async fn purses(
    config: &Config,
    view: &View,
    now: DateTime<Utc>,
    is_wanted: fn(&Check) -> bool,
) -> Result<Standings, LedgerError> {
    let rules = config.alerts.rules.iter();
    let rules: Vec<Rule> = rules
        .filter(|rule| is_wanted(&rule.check))
        .cloned()
        .collect();
    if rules.is_empty() {
        return Ok(Standings::default());
    }
    let settings = alert::Settings {
        rules,
        ..config.alerts.clone()
    };
    let members = view::members(config, view).await?;
    let background = Background {
        watched: Arc::new(view.alert_memory().await?.watched),
        ..Background::of_spectator(now)
    };
    let facts = alert::observe(view, &members, &settings, &background).await?;
    let mut standings = Standings::default();
    for rule in settings.rules {
        let periods = facts.budgets.get(&rule.name).into_iter().flatten();
        for period in periods.filter(|period| period.is_current()) {
            let subject = rule.per().map(|_| Arc::clone(&period.subject));
            let name = Arc::clone(&rule.name);
            standings
                .budgets
                .push((name, subject, period.standing.clone()));
        }
        let name = rule.name;
        if let Some(left) = facts.balances.get(&name) {
            standings.balances.push((name, left.clone()));
        }
    }
    Ok(standings)
}
