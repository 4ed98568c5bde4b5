//! The config as the years know it: plain values that are written as TOML for the exporter, and read by
//! the oracle.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};
use std::str::FromStr;

use flowgent_exporter::day::Day;

use super::checks::Rule;
use super::probes::Probe;
use super::roll::Roll;
use super::summaries::SUMMARY;

/// The hook that heartbeats are sent to.
pub(crate) const HEART: &str = "heart";

/// FlowGent's identifier of an agent: `agent-0007`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct AgentId(pub(crate) u32);

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "agent-{:04}", self.0)
    }
}

impl FromStr for AgentId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.trim_start_matches("agent-").parse().map(Self)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    pub(crate) history_start: Day,
    pub(crate) accounts: Vec<Account>,
    pub(crate) budgets: Vec<Budget>,
    pub(crate) balances: Vec<Balance>,
    /// Whether each week is summed up.
    pub(crate) has_summary: bool,
    pub(crate) probes: Vec<Probe>,
    pub(crate) rules: Vec<Rule>,
    /// The rules that a year begins with.
    pub(crate) usual_rules: Vec<Rule>,
    pub(crate) hooks: Vec<Hook>,
    /// Hours after which the alerts of a budget, balance or rule are told again, whatever their hooks have.
    pub(crate) repeats: BTreeMap<String, i64>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) organisation: String,
    /// The label of all its agents that have none of their own.
    pub(crate) team: String,
    /// Whether its agents are listed by FlowGent.
    pub(crate) discover: bool,
    /// Whether a file names its agents.
    pub(crate) has_file: bool,
    pub(crate) agents: Vec<Agent>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Agent {
    pub(crate) id: AgentId,
    pub(crate) name: String,
    pub(crate) team: String,
}

/// Which agents; all that are named must be equal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Matcher {
    pub(crate) account: Option<String>,
    pub(crate) team: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Cycle {
    Day,
    Week,
    Month(u32),
    Total(Day),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Budget {
    pub(crate) name: String,
    pub(crate) matcher: Matcher,
    /// The limit; with `per`, that of a subject without one of its own.
    pub(crate) credits: f64,
    /// What has a limit each; none if all agents together have one.
    pub(crate) per: Option<Per>,
    /// The limits of subjects that have one of their own.
    pub(crate) named: Vec<(String, f64)>,
    pub(crate) cycle: Cycle,
    pub(crate) used: Vec<f64>,
    pub(crate) forecast: Vec<f64>,
    pub(crate) hooks: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Per {
    Account,
    Team,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Balance {
    pub(crate) name: String,
    pub(crate) matcher: Matcher,
    /// What somebody keeps.
    pub(crate) entries: Vec<Entry>,
    /// The file that holds the entries; none if they are in the config.
    pub(crate) file: Option<EntriesFile>,
    pub(crate) credits_left: Vec<f64>,
    pub(crate) days_left: Vec<f64>,
    pub(crate) hooks: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct EntriesFile {
    /// Nobody can read it.
    pub(crate) is_broken: bool,
    /// What was in it when it was last there and not broken.
    pub(crate) read: Option<Vec<Entry>>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Entry {
    pub(crate) on: Day,
    pub(crate) change: Change,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Change {
    Set(f64),
    Add(f64),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Hook {
    pub(crate) name: String,
    /// Where it leads. A hook with another name and the same target is the same hook.
    pub(crate) target: String,
    pub(crate) send_resolved: bool,
    pub(crate) group: bool,
    /// First and last hour in which it is quiet.
    pub(crate) quiet: Option<(u32, u32)>,
    /// Hours after which it is told again of what is critical.
    pub(crate) repeat: Option<i64>,
}

impl Matcher {
    pub(crate) fn matches(&self, account: &str, team: &str) -> bool {
        self.account
            .as_deref()
            .is_none_or(|wanted| wanted == account)
            && self.team.as_deref().is_none_or(|wanted| wanted == team)
    }

    pub(crate) fn toml(&self) -> String {
        let parts = [("account", &self.account), ("team", &self.team)];
        let parts = parts.iter().filter_map(|(name, value)| {
            let value = value.as_ref()?;
            Some(format!("{name} = \"{value}\""))
        });
        let parts: Vec<String> = parts.collect();
        format!("match = {{ {} }}\n", parts.join(", "))
    }
}

impl Hook {
    pub(crate) fn is_quiet(&self, hour: u32) -> bool {
        self.quiet.is_some_and(|(from, to)| {
            if from < to {
                (from..to).contains(&hour)
            } else {
                hour >= from || hour < to
            }
        })
    }
}

impl Plan {
    pub(crate) fn hook(&self, name: &str) -> Option<&Hook> {
        self.hooks.iter().find(|hook| hook.name == name)
    }

    /// Of all budgets, balances, probes and rules.
    pub(crate) fn names(&self) -> BTreeSet<&str> {
        let budgets = self.budgets.iter().map(|budget| &*budget.name);
        let balances = self.balances.iter().map(|balance| &*balance.name);
        let rules = self.rules.iter().map(|rule| &*rule.name);
        let probes = self.probes.iter().map(|probe| &*probe.name);
        budgets.chain(balances).chain(rules).chain(probes).collect()
    }

    /// The hooks of a budget, balance or rule that are in the config.
    pub(crate) fn hooks_of(&self, rule: &str) -> Vec<&Hook> {
        let budgets = self
            .budgets
            .iter()
            .map(|budget| (&budget.name, &budget.hooks));
        let balances = self.balances.iter();
        let balances = balances.map(|balance| (&balance.name, &balance.hooks));
        let rules = self.rules.iter().map(|rule| (&rule.name, &rule.hooks));
        let probes = self.probes.iter().map(|probe| (&probe.name, &probe.hooks));
        let mut all = budgets.chain(balances).chain(rules).chain(probes);
        let hooks = all.find(|(name, _)| *name == rule);
        let hooks = hooks.into_iter().flat_map(|(_, hooks)| hooks);
        hooks.filter_map(|name| self.hook(name)).collect()
    }

    pub(crate) fn toml(&self) -> String {
        let mut text = format!(
            "[storage]\npath = \"ledger.db\"\n[schedule]\njitter = \"0s\"\nhistory_start = \"{}\"\n\
             [api]\nbase_url = \"http://127.0.0.1:9/\"\nrequests_per_second = 1000\nconcurrency = 1\n\
             [push]\nwrite_url = \"https://database.example/api/v1/write\"\ninstance = \"host:13569\"\nread_back = false\n\
             [[hook]]\nname = \"{HEART}\"\nkind = \"heartbeat\"\nurl_file = \"{HEART}.url\"\n\
             failure_url_file = \"{HEART}.url\"\n",
            self.history_start
        );
        for account in &self.accounts {
            account.write(&mut text).unwrap();
        }
        for budget in &self.budgets {
            budget.write(&mut text).unwrap();
            write_repeat(&mut text, self.repeats.get(&budget.name).copied());
        }
        for balance in &self.balances {
            balance.write(&mut text).unwrap();
            write_repeat(&mut text, self.repeats.get(&balance.name).copied());
        }
        for rule in &self.rules {
            rule.write(&mut text).unwrap();
            write_repeat(&mut text, self.repeats.get(&rule.name).copied());
        }
        for probe in &self.probes {
            text += &probe.toml();
        }
        for hook in &self.hooks {
            hook.write(&mut text).unwrap();
        }
        if self.has_summary
            && let Some(hook) = self.hooks.first()
        {
            let hook = &hook.name;
            text += &format!(
                "[[summary]]\nname = \"{SUMMARY}\"\nperiod = \"week\"\nhooks = [\"{hook}\"]\n"
            );
        }
        text
    }
}

fn write_repeat(text: &mut String, hours: Option<i64>) {
    if let Some(hours) = hours {
        writeln!(text, "repeat = \"{hours}h\"").unwrap();
    }
}

impl Account {
    /// Whether a list that others keep names its agents.
    pub(crate) const fn is_listed(&self) -> bool {
        self.discover || self.has_file
    }

    fn write(&self, text: &mut String) -> fmt::Result {
        let Self {
            name,
            team,
            discover,
            has_file,
            ..
        } = self;
        writeln!(
            text,
            "[[account]]\nname = \"{name}\"\napi_key_file = \"{name}.key\""
        )?;
        writeln!(
            text,
            "labels = {{ team = \"{team}\" }}\ndiscover = {discover}"
        )?;
        if *has_file {
            writeln!(text, "agents_file = \"{name}.json\"")?;
        }
        for Agent { id, name, team } in &self.agents {
            writeln!(text, "[[account.agent]]\nid = \"{id}\"\nname = \"{name}\"")?;
            writeln!(text, "labels = {{ team = \"{team}\" }}")?;
        }
        Ok(())
    }
}

impl Budget {
    /// The limits of its subjects, each with the agents that count for it and the subject's name.
    pub(crate) fn limits(&self, roll: &Roll) -> Vec<(String, Matcher, f64)> {
        let Some(per) = self.per else {
            return vec![("all".to_owned(), self.matcher.clone(), self.credits)];
        };
        let agents = roll.agents.iter();
        let agents =
            agents.filter(|((account, _), known)| self.matcher.matches(account, &known.team));
        let subjects: BTreeSet<String> = agents
            .map(|((account, _), known)| match per {
                Per::Account => account.clone(),
                Per::Team => known.team.clone(),
            })
            .collect();
        let limit = |subject: String| {
            let mut matcher = self.matcher.clone();
            match per {
                Per::Account => matcher.account = Some(subject.clone()),
                Per::Team => matcher.team = Some(subject.clone()),
            }
            let named = self.named.iter().find(|(name, _)| *name == subject);
            let credits = named.map_or(self.credits, |(_, credits)| *credits);
            (subject, matcher, credits)
        };
        subjects.into_iter().map(limit).collect()
    }

    fn write(&self, text: &mut String) -> fmt::Result {
        let Self {
            name,
            credits,
            used,
            forecast,
            hooks,
            ..
        } = self;
        writeln!(text, "[[budget]]\nname = \"{name}\"\nhooks = {hooks:?}")?;
        match self.per {
            None => writeln!(text, "credits = {credits}")?,
            Some(per) => {
                let per = match per {
                    Per::Account => "account",
                    Per::Team => "label:team",
                };
                let named = self.named.iter();
                let named = named.map(|(subject, limit)| format!(", {subject:?} = {limit}"));
                let named: String = named.collect();
                writeln!(
                    text,
                    "per = {per:?}\ncredits = {{ default = {credits}{named} }}"
                )?;
            }
        }
        text.push_str(&self.matcher.toml());
        writeln!(
            text,
            "thresholds = {used:?}\nforecast_thresholds = {forecast:?}"
        )?;
        match self.cycle {
            Cycle::Day => writeln!(text, "period = \"day\""),
            Cycle::Week => writeln!(text, "period = \"week\""),
            Cycle::Month(day) => writeln!(text, "period = \"month\"\nanchor_day = {day}"),
            Cycle::Total(start) => writeln!(text, "period = \"total\"\nstart = \"{start}\""),
        }
    }
}

impl Balance {
    /// The entries that a reader of config and file goes by; none if there never were any.
    pub(crate) fn known_entries(&self) -> Option<&[Entry]> {
        match &self.file {
            Some(file) => file.read.as_deref(),
            None => Some(&self.entries),
        }
    }

    /// What stands in its file.
    pub(crate) fn json(&self) -> String {
        let entry = |entry: &Entry| {
            let (key, credits) = entry.written();
            format!("{{\"on\": \"{}\", \"{key}\": {credits:?}}}", entry.on)
        };
        let entries: Vec<String> = self.entries.iter().map(entry).collect();
        format!("[{}]", entries.join(",\n"))
    }

    fn write(&self, text: &mut String) -> fmt::Result {
        let Self {
            name,
            credits_left,
            days_left,
            hooks,
            ..
        } = self;
        writeln!(text, "[[balance]]\nname = \"{name}\"\nhooks = {hooks:?}")?;
        text.push_str(&self.matcher.toml());
        writeln!(
            text,
            "credits_left = {credits_left:?}\ndays_left = {days_left:?}"
        )?;
        if self.file.is_some() {
            return writeln!(text, "entries_file = \"{name}-entries.json\"");
        }
        let entry = |entry: &Entry| {
            let (key, credits) = entry.written();
            format!("{{ on = \"{}\", {key} = {credits:?} }}", entry.on)
        };
        let entries: Vec<String> = self.entries.iter().map(entry).collect();
        writeln!(text, "entries = [{}]", entries.join(", "))
    }
}

impl Entry {
    pub(crate) const fn is_set(&self) -> bool {
        matches!(self.change, Change::Set(_))
    }

    const fn written(&self) -> (&'static str, f64) {
        match self.change {
            Change::Set(credits) => ("set", credits),
            Change::Add(credits) => ("add", credits),
        }
    }
}

impl Hook {
    fn write(&self, text: &mut String) -> fmt::Result {
        let Self {
            name,
            target,
            send_resolved,
            group,
            quiet,
            repeat,
        } = self;
        writeln!(
            text,
            "[[hook]]\nname = \"{name}\"\nkind = \"webhook\"\nurl_file = \"{target}.url\""
        )?;
        writeln!(
            text,
            "send_resolved = {send_resolved}\ngroup = {group}\ntimeout = \"10s\""
        )?;
        if let Some((from, to)) = quiet {
            writeln!(text, "quiet_hours = \"{from:02}:00-{to:02}:00\"")?;
        }
        write_repeat(text, *repeat);
        Ok(())
    }
}
