//! `[[hook]]` → [`hook::Settings`]: what all kinds have in common, and which keys are whose.

use std::sync::Arc;

use super::check::{Check, listed, word};
use super::diagnostics::Fault;
use super::read::Section;
use super::rules::alerting::repeat;
use super::rules::hooks as rules;
use super::world::World;
use crate::alert::{Rule, Severity};
use crate::hook::{self, QuietHours};
use crate::roster::printable;
use crate::summary;

const KINDS: [&str; 6] = [
    "webhook",
    "alertmanager",
    "whatsapp",
    "email",
    "exec",
    "heartbeat",
];

/// The keys that only some kinds have.
const KEYS: [(&[&str], &[&str]); 13] = [
    // The kinds that can wait for the morning, and do not repeat by themselves.
    (
        &["webhook", "whatsapp", "email", "exec"],
        &["quiet_hours", "time_zone", "repeat"],
    ),
    // The kinds that connect to a place of the user's choice.
    (
        &["webhook", "alertmanager", "email", "heartbeat"],
        &["allow_private", "ca_file"],
    ),
    (&["webhook", "alertmanager", "heartbeat"], &["proxy"]),
    // The kinds that alerts are sent to.
    (
        &["webhook", "alertmanager", "whatsapp", "email", "exec"],
        &["send_resolved", "group"],
    ),
    (&["webhook", "heartbeat"], &["url_file", "url_env"]),
    (
        &["webhook"],
        &[
            "secret_files",
            "secret_envs",
            "preset",
            "template_file",
            "template",
            "content_type",
            "routing_key_file",
            "routing_key_env",
        ],
    ),
    (&["alertmanager"], &["urls"]),
    (
        &["alertmanager", "heartbeat"],
        &["bearer_token_file", "bearer_token_env"],
    ),
    (
        &["alertmanager", "email"],
        &["username", "password_file", "password_env"],
    ),
    (
        &["whatsapp"],
        &[
            "account",
            "agent",
            "template_name",
            "language",
            "recipients",
            "parameters",
        ],
    ),
    (
        &["email"],
        &[
            "host",
            "port",
            "encryption",
            "hello",
            "token_file",
            "token_env",
            "token_command",
            "from",
            "to",
        ],
    ),
    (
        &["heartbeat"],
        &["failure_url_file", "failure_url_env", "method", "interval"],
    ),
    (&["exec"], &["command"]),
];

impl Check<'_> {
    pub(super) fn hooks(
        &mut self,
        sections: Vec<Section<'_>>,
        world: &World<'_>,
    ) -> Vec<hook::Settings> {
        self.refuse_repeated_names("hook", sections.iter());
        sections
            .into_iter()
            .filter_map(|section| self.hook(section, world))
            .collect()
    }

    fn hook(&mut self, mut hook: Section<'_>, world: &World<'_>) -> Option<hook::Settings> {
        let hook = &mut hook;
        hook.stops = format!("{} sends nothing", hook.owner);
        let name = self.name(hook);
        let kind = self.needed(hook, ["kind", "\"webhook\""], |text| word(text, &KINDS));
        self.refuse_keys_of_others(kind, hook);
        let timeout = self.duration(hook, "timeout", "10s", ["100ms", "2m"]);
        let quiet_hours = self.quiet_hours(hook);
        let repeat = self.optional(hook, "repeat", repeat);
        let ca_file = self.ca_file(hook);
        let allow_private = hook.flag("allow_private", false);
        let proxy = self.proxy(hook, allow_private);
        let kind = match kind? {
            "webhook" => self.webhook(hook, allow_private),
            "alertmanager" => self.alertmanager(hook, allow_private),
            "whatsapp" => self.whatsapp(hook, world),
            "email" => self.email(hook, allow_private),
            "exec" => self.exec(hook),
            _ => self.heartbeat(hook, allow_private),
        }?;
        let written = hook.place("group");
        let group = hook.flag("group", kind.groups());
        if let (Some(place), Some(reason), true) = (written, kind.takes_one_alert(), group) {
            self.refuse(place, Fault::new(reason));
        }
        Some(hook::Settings {
            send_resolved: hook.flag("send_resolved", kind.tells_the_end()),
            name: name?.into(),
            group,
            kind,
            quiet_hours,
            repeat,
            timeout,
            allow_private,
            ca_file,
            proxy,
        })
    }

    fn quiet_hours(&mut self, hook: &mut Section<'_>) -> Option<QuietHours> {
        let written = hook.place("quiet_hours");
        if let (None, Some(place)) = (written, hook.place("time_zone")) {
            let fault = Fault::new("`time_zone` has no effect without `quiet_hours`")
                .help("add the hours, such as `quiet_hours = \"22:00-07:00\"`");
            self.refuse(place, fault);
        }
        let time_zone = self.text(hook, "time_zone", "UTC", rules::time_zone);
        let (from, to) = self.optional(hook, "quiet_hours", rules::quiet_hours)?;
        QuietHours::new(from, to, time_zone)
    }

    /// Refuses keys that say nothing for hooks of this kind.
    fn refuse_keys_of_others(&mut self, kind: Option<&str>, hook: &mut Section<'_>) {
        for (kinds, keys) in KEYS {
            let Some(kind) = kind.filter(|kind| !kinds.contains(kind)) else {
                hook.may_have(keys);
                continue;
            };
            for key in keys {
                let Some(place) = hook.place(key) else {
                    continue;
                };
                let fault = Fault::new(format!(
                    "`{key}` belongs to hooks of kind {}, and this one is of kind `{kind}`",
                    listed(kinds)
                ));
                let fault = match (*key, kind) {
                    ("quiet_hours", "alertmanager") => {
                        Fault::new("hooks of kind `alertmanager` have no quiet hours")
                            .help("Alertmanager has silences and mute times of its own")
                    }
                    ("repeat", "alertmanager") => {
                        Fault::new("hooks of kind `alertmanager` have no `repeat`")
                            .help("Alertmanager repeats by the `repeat_interval` of its routes")
                    }
                    ("proxy", "email") => fault.help(
                        "mail does not go through such a proxy: name a mail server that can be reached as `host`",
                    ),
                    _ => fault,
                };
                self.refuse(place, fault);
                hook.skip(key);
            }
        }
    }

    /// The hooks that are told, each of which must be there.
    pub(super) fn hook_names(
        &mut self,
        section: &mut Section<'_>,
        world: &World<'_>,
    ) -> Vec<Arc<str>> {
        self.hook_names_but(section, world, |_| None)
    }

    /// The same without those that are refused for a reason of their own.
    pub(super) fn hook_names_but(
        &mut self,
        section: &mut Section<'_>,
        world: &World<'_>,
        refused: impl Fn(&str) -> Option<Fault>,
    ) -> Vec<Arc<str>> {
        let written = section.texts("hooks");
        let known: Vec<_> = world.hook_names.iter().map(String::as_str).collect();
        let mut names: Vec<Arc<str>> = Vec::with_capacity(written.len());
        for hook in written {
            let name = hook.get_ref().as_str();
            let shown = printable(name);
            let fault = if !known.contains(&name) {
                let otherwise = match known.is_empty() {
                    true => "add a section `[[hook]]` with this name".to_owned(),
                    false => format!("known hooks: {}", listed(&known)),
                };
                Fault::new(format!("there is no hook `{shown}`")).near(name, &known, otherwise)
            } else if world.heartbeats.iter().any(|other| other == name) {
                Fault::new(format!(
                    "the hook `{shown}` is a heartbeat, which is sent no messages"
                ))
                .help("name a hook of another kind")
            } else if let Some(fault) = refused(name) {
                fault
            } else if names.iter().any(|other| **other == *name) {
                Fault::new(format!("the hook `{shown}` is listed twice"))
            } else {
                names.push(name.into());
                continue;
            };
            self.refuse(hook.span(), fault);
        }
        names
    }

    /// Warns of `repeat` where no alert is ever critical.
    pub(super) fn look_for_idle_repeats(&mut self, rules: &[Rule], hooks: &[hook::Settings]) {
        let never = "so nothing is repeated";
        let is_critical = |rule: &Rule| rule.check.highest_severity() == Severity::Critical;
        let idle = rules.iter();
        let idle = idle.filter(|rule| rule.repeat.is_some() && !is_critical(rule));
        self.warnings.extend(idle.map(|rule| {
            let (section, name) = (rule.check.section(), printable(&rule.name));
            format!(
                "{section} `{name}` has `repeat`, and none of its alerts is ever critical, {never}"
            )
        }));
        for hook in hooks.iter().filter(|hook| hook.repeat.is_some()) {
            let mut told = rules.iter().filter(|rule| rule.hooks.contains(&hook.name));
            if told.clone().next().is_some() && !told.any(is_critical) {
                self.warnings.push(format!(
                    "hook `{}` has `repeat`, and gets no critical alerts, {never}",
                    printable(&hook.name)
                ));
            }
        }
    }

    /// Warns of hooks that nothing names.
    pub(super) fn look_for_unused_hooks(
        &mut self,
        hooks: &[hook::Settings],
        rules: &[Rule],
        summaries: &[summary::Settings],
    ) {
        for hook in hooks {
            let rules = rules.iter().map(|rule| &rule.hooks);
            let summaries = summaries.iter().map(|summary| &summary.hooks);
            let is_named = rules
                .chain(summaries)
                .any(|hooks| hooks.contains(&hook.name));
            if hook.interval().is_none() && !is_named {
                self.warnings.push(format!(
                    "hook `{}` is named by no budget, balance, rule, probe or summary",
                    printable(&hook.name)
                ));
            }
        }
    }
}
