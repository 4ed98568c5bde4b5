//! `[[probe]]` → [`Probe`], and the [`Rule`] of those that have hooks.

use std::sync::Arc;

use regex::Regex;

use super::check::Check;
use super::diagnostics::Fault;
use super::kinds::{known_account, known_agent};
use super::read::Section;
use super::rules;
use super::world::World;
use crate::alert::{self, Rule, Severity};
use crate::probe::{DEFAULT_FAILURES, Probe};
use crate::roster::{Matcher, Pattern, printable};

/// The most characters of a message.
const MESSAGE_CHARACTERS: usize = 4_000;

impl Check<'_> {
    /// The probes, and a rule of the same name for each that has hooks.
    pub(super) fn probes(
        &mut self,
        sections: Vec<Section<'_>>,
        world: &World<'_>,
    ) -> (Vec<Probe>, Vec<Rule>) {
        let sections = sections.into_iter();
        let probes: Vec<_> = sections
            .filter_map(|section| self.probe(section, world))
            .collect();
        let rules = probes.iter().filter_map(|(_, rule)| rule.clone()).collect();
        (probes.into_iter().map(|(probe, _)| probe).collect(), rules)
    }

    fn probe(
        &mut self,
        mut probe: Section<'_>,
        world: &World<'_>,
    ) -> Option<(Probe, Option<Rule>)> {
        let probe = &mut probe;
        let today = self.today;
        if let Some(name) = probe.name()
            && world.hook_names.iter().any(|hook| hook == name.get_ref())
        {
            let shown = printable(name.get_ref());
            let fault = Fault::new(format!("a hook is called `{shown}` already"));
            let help = "`alerts test` finds hooks and probes by their names";
            self.refuse(name.span(), fault.help(help));
        }
        let name = self.name(probe);
        let account = self.needed(probe, ["account", "\"…\""], |name| {
            known_account(name, world)
        });
        let agent = self.needed(probe, ["agent", "\"…\""], |text| {
            known_agent(text, account.as_deref(), world)
        });
        let example = ["message", "\"Reply with the word OK only.\""];
        let message = self.needed(probe, example, message);
        let cron = self.needed(probe, ["cron", "\"0 0 6 * * *\""], |text| {
            rules::cron(text, today)
        });
        let timeout = self.duration(probe, "timeout", "60s", ["1s", "10m"]);
        let expect = probe.table("expect").and_then(|mut expect| {
            "`expect`".clone_into(&mut expect.owner);
            self.needed(&mut expect, ["regex", "\"…\""], regular_expression)
        });
        let hooks = self.hook_names(probe, world);
        let (name, agent): (Arc<str>, Arc<str>) = (name?.into(), agent?.into());
        let account = account?;
        let account = world.accounts.iter().find(|known| *known.name == account)?;
        let is_named = account.agents.iter().any(|known| known.id == agent);
        if !is_named {
            self.warnings.push(format!(
                "{} asks agent `{}`, which this file does not name: it must come by a list of account `{}`",
                probe.owner,
                printable(&agent),
                printable(&account.name)
            ));
        }
        let rule = (!hooks.is_empty()).then(|| Rule {
            name: Arc::clone(&name),
            matcher: Matcher::new(vec![(
                "account".to_owned(),
                Pattern::Equals(account.name.to_string()),
            )]),
            check: alert::Check::Probe {
                only: Some(Arc::clone(&name)),
                times: DEFAULT_FAILURES,
                severity: Severity::Warning,
            },
            hooks,
            repeat: None,
        });
        let probe = Probe {
            name,
            account: Arc::clone(&account.name),
            api_key: account.api_key.clone(),
            agent,
            message: message?,
            cron: cron?,
            timeout,
            expect,
        };
        Some((probe, rule))
    }
}

impl Check<'_> {
    /// Says which rules about probes never fire because no probe asks an agent that they match.
    pub(super) fn look_for_rules_without_probes(
        &mut self,
        rules: &[Rule],
        probes: &[Probe],
        world: &World<'_>,
    ) {
        let asks = |rule: &Rule, probe: &Probe| {
            let mut named = world.accounts.iter().flat_map(|account| &account.agents);
            match named.find(|agent| agent.account == probe.account && agent.id == probe.agent) {
                Some(agent) => rule.matcher.matches(agent),
                None => rule.matcher.concerns(&probe.account),
            }
        };
        let idle = rules.iter().filter(|rule| {
            use alert::Check::{NoCredits, Probe};
            matches!(rule.check, Probe { only: None, .. } | NoCredits { .. })
                && world.may_match(&rule.matcher)
                && !probes.iter().any(|probe| asks(rule, probe))
        });
        let warnings = idle.map(|rule| {
            format!(
                "rule `{}` never fires: no `[[probe]]` asks an agent that it matches",
                printable(&rule.name)
            )
        });
        self.warnings.extend(warnings);
    }
}

fn message(text: &str) -> Result<String, Fault> {
    let characters = text.chars().count();
    if text.trim().is_empty() {
        return Err(Fault::new("the message is empty"));
    }
    if characters > MESSAGE_CHARACTERS {
        return Err(Fault::new(format!(
            "the message has {characters} characters, the limit is {MESSAGE_CHARACTERS}"
        )));
    }
    Ok(text.to_owned())
}

fn regular_expression(text: &str) -> Result<Regex, Fault> {
    if text.is_empty() {
        let fault = Fault::new("an empty regular expression matches every reply");
        return Err(fault.help("leave `expect` out if any reply will do"));
    }
    rules::alerting::regular_expression(text)?;
    Regex::new(text).map_err(|error| Fault::new(error.to_string()))
}
