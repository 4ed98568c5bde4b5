//! `[[hook]]` → [`hook::Settings`]: what all kinds have in common, and which keys are whose.

use std::sync::Arc;

use super::check::{Check, listed, one_of};
use super::diagnostics::Fault;
use super::read::Section;
use super::rules::hooks as rules;
use super::world::World;
use crate::hook::{self, QuietHours};
use crate::nearest::nearest;
use crate::roster::printable;

pub(super) const KINDS: [(&str, Kind); 6] = [
    ("webhook", Kind::Webhook),
    ("alertmanager", Kind::Alertmanager),
    ("whatsapp", Kind::Whatsapp),
    ("email", Kind::Email),
    ("exec", Kind::Exec),
    ("heartbeat", Kind::Heartbeat),
];

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Webhook,
    Alertmanager,
    Whatsapp,
    Email,
    Exec,
    Heartbeat,
}

/// The kinds that connect to a place of the user's choice.
const CONNECTED: &[Kind] = &[
    Kind::Webhook,
    Kind::Alertmanager,
    Kind::Email,
    Kind::Heartbeat,
];

/// The kinds that a proxy can stand before.
const PROXIED: &[Kind] = &[Kind::Webhook, Kind::Alertmanager, Kind::Heartbeat];

/// The kinds that log in by name and password.
const USERS: &[Kind] = &[Kind::Alertmanager, Kind::Email];

/// The kinds that alerts are sent to.
const TOLD: &[Kind] = &[
    Kind::Webhook,
    Kind::Alertmanager,
    Kind::Whatsapp,
    Kind::Email,
    Kind::Exec,
];

/// The kinds whose URL may be a secret.
const SECRET_URL: &[Kind] = &[Kind::Webhook, Kind::Heartbeat];

/// The kinds that can prove by a token who sends.
const TOKEN: &[Kind] = &[Kind::Alertmanager, Kind::Heartbeat];

/// The kinds that can wait for the morning.
const QUIET: &[Kind] = &[Kind::Webhook, Kind::Whatsapp, Kind::Email, Kind::Exec];

impl Kind {
    fn name(self) -> &'static str {
        KINDS
            .into_iter()
            .find(|(_, kind)| *kind == self)
            .map_or("", |(name, _)| name)
    }
}

/// The keys that only some kinds have.
const KEYS: [(&[Kind], &[&str]); 13] = [
    (QUIET, &["quiet_hours", "time_zone"]),
    (CONNECTED, &["allow_private", "ca_file"]),
    (PROXIED, &["proxy"]),
    (TOLD, &["send_resolved", "group"]),
    (SECRET_URL, &["url_file", "url_env"]),
    (
        &[Kind::Webhook],
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
    (&[Kind::Alertmanager], &["urls"]),
    (TOKEN, &["bearer_token_file", "bearer_token_env"]),
    (USERS, &["username", "password_file", "password_env"]),
    (
        &[Kind::Whatsapp],
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
        &[Kind::Email],
        &["host", "port", "encryption", "hello", "from", "to"],
    ),
    (
        &[Kind::Heartbeat],
        &["failure_url_file", "failure_url_env", "method", "interval"],
    ),
    (&[Kind::Exec], &["command"]),
];

/// Settings of a kind of hook, with the kind's defaults.
pub(super) struct KindSettings {
    pub(super) kind: hook::Kind,
    pub(super) send_resolved: bool,
    pub(super) group: bool,
    /// Why several things cannot go into one message, if they cannot.
    pub(super) alone: Option<&'static str>,
}

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
        let kind = self.needed(hook, ["kind", "\"webhook\""], |text| one_of(text, &KINDS));
        self.refuse_keys_of_others(kind, hook);
        let timeout = self.duration(hook, "timeout", "10s", ["100ms", "2m"]);
        let quiet_hours = self.quiet_hours(hook);
        let ca_file = self.ca_file(hook);
        let allow_private = hook.flag("allow_private", false);
        let proxy = self.proxy(hook, allow_private);
        let of_kind = match kind? {
            Kind::Webhook => self.webhook(hook, allow_private),
            Kind::Alertmanager => self.alertmanager(hook, allow_private),
            Kind::Whatsapp => self.whatsapp(hook, world),
            Kind::Email => self.email(hook, allow_private),
            Kind::Exec => self.exec(hook),
            Kind::Heartbeat => self.heartbeat(hook, allow_private),
        }?;
        let written = hook.place("group");
        let group = hook.flag("group", of_kind.group);
        if let (Some(place), Some(reason), true) = (written, of_kind.alone, group) {
            self.refuse(place, Fault::new(reason));
        }
        Some(hook::Settings {
            send_resolved: hook.flag("send_resolved", of_kind.send_resolved),
            name: name?.into(),
            group,
            kind: of_kind.kind,
            quiet_hours,
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
    fn refuse_keys_of_others(&mut self, kind: Option<Kind>, hook: &mut Section<'_>) {
        for (kinds, keys) in KEYS {
            hook.may_have(keys);
            let Some(kind) = kind.filter(|kind| !kinds.contains(kind)) else {
                continue;
            };
            for key in keys {
                let Some(place) = hook.place(key) else {
                    continue;
                };
                let names: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
                let fault = Fault::new(format!(
                    "`{key}` belongs to hooks of kind {}, and this one is of kind `{}`",
                    listed(&names),
                    kind.name()
                ));
                let fault = match (*key, kind) {
                    ("quiet_hours", Kind::Alertmanager) => {
                        Fault::new("hooks of kind `alertmanager` have no quiet hours")
                            .help("Alertmanager has silences and mute times of its own")
                    }
                    ("proxy", Kind::Email) => fault.help(
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
        let written = section.texts("hooks");
        let known: Vec<_> = world.hook_names.iter().map(String::as_str).collect();
        let mut names: Vec<Arc<str>> = Vec::with_capacity(written.len());
        for hook in written {
            let name = hook.get_ref().as_str();
            let shown = printable(name);
            let fault = if !known.contains(&name) {
                let fault = Fault::new(format!("there is no hook `{shown}`"));
                match nearest(name, &known) {
                    Some(near) => fault.help(format!("did you mean `{near}`?")),
                    None if known.is_empty() => {
                        fault.help("add a section `[[hook]]` with this name")
                    }
                    None => fault.help(format!("known hooks: {}", listed(&known))),
                }
            } else if world.heartbeats.iter().any(|other| other == name) {
                Fault::new(format!(
                    "the hook `{shown}` is a heartbeat, which is sent no alerts"
                ))
                .help("name a hook of another kind")
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

    /// Warns of hooks that nothing names.
    pub(super) fn look_for_unused_hooks(
        &mut self,
        hooks: &[hook::Settings],
        rules: &[crate::alert::Rule],
    ) {
        for hook in hooks {
            if hook.interval().is_none()
                && !rules.iter().any(|rule| rule.hooks.contains(&hook.name))
            {
                self.warnings.push(format!(
                    "hook `{}` is named by no budget and no rule",
                    printable(&hook.name)
                ));
            }
        }
    }
}
