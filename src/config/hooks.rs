//! `[[hook]]` → [`hook::Settings`]: what all kinds have in common, and which keys are whose.

use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;

use super::check::{Check, listed, one_of, place, title};
use super::diagnostics::Fault;
use super::file::{self, Section, Text};
use super::rules::hooks as rules;
use super::world::World;
use crate::hook::{self, Proxy, QuietHours};
use crate::nearest::nearest;
use crate::roster::{self, printable};
use crate::summary;

const DEFAULT_TIMEOUT: &str = "10s";
const DEFAULT_TIME_ZONE: &str = "UTC";

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

/// A hook whose own keys are checked.
pub(super) struct Owner {
    /// Name in messages.
    pub(super) title: String,
    /// Consequence of a missing file or variable, for messages.
    pub(super) stops: String,
    /// Place of its header, for messages.
    pub(super) header: Range<usize>,
    /// True if it may lead to private addresses.
    pub(super) allow_private: bool,
}

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
        sections: Vec<Section<file::Hook>>,
        world: &World<'_>,
    ) -> Vec<hook::Settings> {
        let names = sections
            .iter()
            .filter_map(|section| section.table.name.as_ref());
        self.refuse_repeated_names("hook", names);
        sections
            .into_iter()
            .filter_map(|section| self.hook(section, world))
            .collect()
    }

    fn hook(&mut self, section: Section<file::Hook>, world: &World<'_>) -> Option<hook::Settings> {
        let Section {
            span: header,
            mut table,
        } = section;
        let title = title("hook", table.name.as_ref());
        let name = table.name.take();
        let name = self.required(name, "hook", "name", &header, roster::check_name);
        let written = table.kind.take();
        let kind = self.needed(written, &title, ["kind", "\"webhook\""], &header, |text| {
            one_of(text, &KINDS)
        });
        if let Some(kind) = kind {
            self.refuse_keys_of_others(kind, &table);
        }
        let timeout = self.text(table.timeout.take(), DEFAULT_TIMEOUT, rules::timeout);
        let quiet_hours = self.quiet_hours(table.quiet_hours.take(), table.time_zone.take());
        let stops = format!("{title} sends nothing");
        let ca_file = self.ca_file(table.ca_file.take(), &stops);
        let (group, send_resolved) = (table.group.take(), table.send_resolved.take());
        let allow_private = table.allow_private.take();
        let owner = Owner {
            title,
            stops,
            header,
            allow_private: allow_private.is_some_and(Spanned::into_inner),
        };
        let proxy = self.proxy(table.proxy.take(), &owner.title, owner.allow_private);
        let kind_settings = match kind? {
            Kind::Webhook => self.webhook(table, &owner),
            Kind::Alertmanager => self.alertmanager(table, &owner),
            Kind::Whatsapp => self.whatsapp(table, &owner, world),
            Kind::Email => self.email(table, &owner),
            Kind::Exec => self.exec(table, &owner),
            Kind::Heartbeat => self.heartbeat(table, &owner),
        }?;
        Some(hook::Settings {
            name: name?.into(),
            group: self.group(group, &kind_settings),
            send_resolved: send_resolved.map_or(kind_settings.send_resolved, Spanned::into_inner),
            kind: kind_settings.kind,
            quiet_hours,
            timeout,
            allow_private: owner.allow_private,
            ca_file,
            proxy,
        })
    }

    /// The proxy that `owner` is reached through. That it may come to nothing is warned of.
    pub(super) fn proxy(
        &mut self,
        written: Option<Text>,
        owner: &str,
        allow_private: bool,
    ) -> Option<Proxy> {
        let proxy = self.optional(written, |text| rules::proxy(text, allow_private));
        if proxy == Some(Proxy::Environment) && !Proxy::is_in_environment() {
            self.warnings.push(format!(
                "{owner} has `proxy = \"environment\"`, and the environment names none: neither HTTPS_PROXY nor \
                 HTTP_PROXY nor ALL_PROXY is set"
            ));
        }
        proxy
    }

    fn group(&mut self, written: Option<Spanned<bool>>, kind_settings: &KindSettings) -> bool {
        match (written, kind_settings.alone) {
            (Some(written), Some(reason)) if *written.get_ref() => {
                self.refuse(written.span(), Fault::new(reason));
                false
            }
            (written, _) => written.map_or(kind_settings.group, Spanned::into_inner),
        }
    }

    fn quiet_hours(
        &mut self,
        written: Option<Text>,
        time_zone: Option<Text>,
    ) -> Option<QuietHours> {
        if let (None, Some(time_zone)) = (&written, &time_zone) {
            let fault = Fault::new("`time_zone` has no effect without `quiet_hours`")
                .help("add the hours, such as `quiet_hours = \"22:00-07:00\"`");
            self.refuse(time_zone.span(), fault);
        }
        let time_zone = self.text(time_zone, DEFAULT_TIME_ZONE, rules::time_zone);
        let (from, to) = self.optional(written, |text| rules::quiet_hours(text))?;
        QuietHours::new(from, to, time_zone)
    }

    /// Refuses keys that say nothing for hooks of this kind.
    fn refuse_keys_of_others(&mut self, kind: Kind, hook: &file::Hook) {
        for (key, kinds, written) in keys(hook) {
            let Some(place) = written.filter(|_| !kinds.contains(&kind)) else {
                continue;
            };
            let fault = if key == "quiet_hours" && kind == Kind::Alertmanager {
                Fault::new("hooks of kind `alertmanager` have no quiet hours")
                    .help("Alertmanager has silences and mute times of its own")
            } else {
                let names: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
                let fault = Fault::new(format!(
                    "`{key}` belongs to hooks of kind {}, and this one is of kind `{}`",
                    listed(&names),
                    kind.name()
                ));
                match (key, kind) {
                    ("proxy", Kind::Email) => fault.help(
                        "mail does not go through such a proxy: name a mail server that can be reached as `host`",
                    ),
                    _ => fault,
                }
            };
            self.refuse(place, fault);
        }
    }

    /// The texts of a list that must have one, each by the rule and none twice.
    pub(super) fn each<M: PartialEq>(
        &mut self,
        written: Option<Spanned<Vec<Text>>>,
        owner: &Owner,
        [key, example]: [&str; 2],
        rule: impl Fn(&str) -> Result<M, Fault>,
    ) -> Vec<M> {
        let Owner { title, header, .. } = owner;
        let list = self.needed(
            written,
            title,
            [key, example],
            header,
            |list: &Vec<Text>| {
                if list.is_empty() {
                    let fault = Fault::new(format!("`{key}` is an empty list"));
                    return Err(fault.help(format!("write `{key} = {example}`")));
                }
                Ok(list.clone())
            },
        );
        let mut all = Vec::new();
        for text in list.unwrap_or_default() {
            let place = text.span();
            match self.optional(Some(text), |text| rule(text)) {
                Some(meaning) if all.contains(&meaning) => {
                    let fault = Fault::new(format!("`{key}` has this element twice"));
                    self.refuse(place, fault);
                }
                meaning => all.extend(meaning),
            }
        }
        all
    }

    /// The hooks that are told, each of which must be there.
    pub(super) fn hook_names(&mut self, written: Vec<Text>, world: &World<'_>) -> Vec<Arc<str>> {
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
                    "the hook `{shown}` is a heartbeat, which is sent no messages"
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
                    "hook `{}` is named by no budget and no rule",
                    printable(&hook.name)
                ));
            }
        }
    }
}

type KeyOfKinds = (&'static str, &'static [Kind], Option<Range<usize>>);

/// The keys that only some kinds have, and where they stand.
fn keys(hook: &file::Hook) -> Vec<KeyOfKinds> {
    let file::Hook {
        name: _,
        kind: _,
        send_resolved,
        group,
        timeout: _,
        quiet_hours,
        time_zone,
        allow_private,
        ca_file,
        proxy,
        url_file,
        url_env,
        secret_files,
        secret_envs,
        preset,
        template_file,
        template,
        content_type,
        routing_key_file,
        routing_key_env,
        urls,
        bearer_token_file,
        bearer_token_env,
        username,
        password_file,
        password_env,
        account,
        agent,
        template_name,
        language,
        recipients,
        parameters,
        host,
        port,
        encryption,
        hello,
        from,
        to,
        failure_url_file,
        failure_url_env,
        method,
        interval,
        command,
    } = hook;
    /// Each of these keys, whose it is, and where it stands.
    macro_rules! of {
        ($kinds:expr; $($key:ident),*) => {
            vec![$((stringify!($key), $kinds, place($key))),*]
        };
    }
    let all: [Vec<KeyOfKinds>; 14] = [
        of!(QUIET; quiet_hours, time_zone),
        of!(CONNECTED; allow_private, ca_file),
        of!(PROXIED; proxy),
        of!(TOLD; send_resolved, group),
        of!(SECRET_URL; url_file, url_env),
        of!(&[Kind::Webhook]; secret_files, secret_envs, preset, template_file),
        of!(&[Kind::Webhook]; template, content_type, routing_key_file, routing_key_env),
        of!(&[Kind::Alertmanager]; urls),
        of!(TOKEN; bearer_token_file, bearer_token_env),
        of!(USERS; username, password_file, password_env),
        of!(&[Kind::Whatsapp]; account, agent, template_name, language, recipients, parameters),
        of!(&[Kind::Email]; host, port, encryption, hello, from, to),
        of!(&[Kind::Heartbeat]; failure_url_file, failure_url_env, method, interval),
        of!(&[Kind::Exec]; command),
    ];
    all.into_iter().flatten().collect()
}
