//! What each kind of `[[hook]]` has of its own.

use std::ops::Range;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use toml::Spanned;
use url::Url;

use super::check::{Check, place};
use super::diagnostics::Fault;
use super::file::{self, Text};
use super::hooks::{KindSettings, Owner};
use super::places::{
    BEARER_TOKEN, PASSWORD, ROUTING_KEY, SIGNING_SECRET, URL, program, program_name, resolve_path,
    template_text,
};
use super::rules::hooks as rules;
use super::world::World;
use crate::hook::{self, Encryption, Endpoint, Preset, Template, TemplateError};
use crate::nearest::nearest;
use crate::roster::{self, printable};
use crate::secret::SecretSource;

/// Where PagerDuty takes events from everyone.
const PAGERDUTY: &str = "https://events.pagerduty.com/v2/enqueue";

const DEFAULT_CONTENT_TYPE: &str = "application/json";

const PRESETS: [(&str, Preset); 4] = [
    ("slack", Preset::Slack),
    ("discord", Preset::Discord),
    ("teams", Preset::Teams),
    ("pagerduty", Preset::PagerDuty),
];

const ENCRYPTIONS: [(&str, Encryption); 3] = [
    ("starttls", Encryption::StartTls),
    ("tls", Encryption::Tls),
    ("none", Encryption::None),
];

impl Check<'_> {
    pub(super) fn webhook(&mut self, hook: file::Hook, owner: &Owner) -> Option<KindSettings> {
        let file::Hook {
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
            ..
        } = hook;
        let choices = [
            ("preset", place(&preset)),
            ("template_file", place(&template_file)),
            ("template", place(&template)),
        ];
        let mut written = choices.into_iter().filter(|(_, place)| place.is_some());
        if let (Some(first), Some(second)) = (written.next(), written.next()) {
            self.exclusive(first, second);
        }
        self.exclusive(
            ("preset", place(&preset)),
            ("content_type", place(&content_type)),
        );
        let content_type = self.text(content_type, DEFAULT_CONTENT_TYPE, rules::content_type);
        let unknown_preset = preset.is_some();
        let preset = self.optional(preset, |text| super::check::one_of(text, &PRESETS));
        let pagerduty = preset == Some(Preset::PagerDuty);
        let routing_key = self.routing_key(routing_key_file, routing_key_env, pagerduty, owner);
        let url = match (&url_file, &url_env) {
            (None, None) if pagerduty => Url::parse(PAGERDUTY).ok().map(Endpoint::Public),
            (None, None) => {
                let Owner { title, header, .. } = owner;
                let fault = Fault::new(format!("{title} has no URL"))
                    .help("add `url_file = \"…\"` or `url_env = \"…\"`");
                self.refuse(header.clone(), fault);
                None
            }
            _ => {
                let allow_private = owner.allow_private;
                let rule = move |text: &str| rules::webhook_url(text, allow_private);
                self.secret(&URL, &owner.stops, (url_file, url_env), rule)
                    .map(Endpoint::Secret)
            }
        };
        let template = match preset {
            Some(preset) => Some(Template::preset(preset)),
            None if unknown_preset => None,
            None => self
                .template_file(template_file, &content_type)
                .or(template.and_then(|text| self.template(&text, Some(&content_type)))),
        };
        Some(KindSettings {
            kind: hook::Kind::Webhook {
                url: url?,
                secrets: self.signing_secrets(secret_files, secret_envs, owner),
                template,
                content_type,
                routing_key,
            },
            send_resolved: true,
            group: preset.is_some() && !pagerduty,
            alone: pagerduty.then_some("PagerDuty takes one event per message"),
        })
    }

    fn routing_key(
        &mut self,
        file: Option<Text>,
        variable: Option<Text>,
        pagerduty: bool,
        owner: &Owner,
    ) -> Option<SecretSource> {
        match place(&file).or(place(&variable)) {
            None if pagerduty => {
                let fault = Fault::new(format!("{} has no routing key", owner.title))
                    .help("add `routing_key_file = \"…\"` or `routing_key_env = \"…\"`");
                self.refuse(owner.header.clone(), fault);
            }
            Some(place) if !pagerduty => {
                let fault = Fault::new("a routing key belongs to the preset `pagerduty`");
                self.refuse(place, fault);
            }
            _ => {}
        }
        self.secret(&ROUTING_KEY, &owner.stops, (file, variable), |_| Ok(()))
    }

    fn signing_secrets(
        &mut self,
        files: Option<Spanned<Vec<Text>>>,
        variables: Option<Spanned<Vec<Text>>>,
        owner: &Owner,
    ) -> Vec<SecretSource> {
        let texts = |list: Option<Spanned<Vec<Text>>>| list.map_or(Vec::new(), Spanned::into_inner);
        let mut secrets = Vec::new();
        for written in texts(files)
            .into_iter()
            .map(|text| (Some(text), None))
            .chain(texts(variables).into_iter().map(|text| (None, Some(text))))
        {
            let rule = rules::signing_secret;
            secrets.extend(self.secret(&SIGNING_SECRET, &owner.stops, written, rule));
        }
        secrets
    }

    fn template_file(&mut self, written: Option<Text>, content_type: &str) -> Option<Template> {
        let (folder, now) = (self.folder, self.today.start());
        self.optional(written, |text| {
            let path = resolve_path(folder, text)?;
            tried(&template_text(&path)?, Some(content_type), now).map_err(|error| {
                Fault::new(format!(
                    "template `{}`, line {}: {error}",
                    path.display(),
                    error.line
                ))
            })
        })
    }

    /// A template that stands in the config file itself.
    fn template(&mut self, written: &Text, content_type: Option<&str>) -> Option<Template> {
        tried(written.get_ref(), content_type, self.today.start())
            .map_err(|error| {
                let place = self
                    .line_of_text(written, error.line)
                    .unwrap_or(written.span());
                self.refuse(place, Fault::new(format!("this template: {error}")));
            })
            .ok()
    }

    /// Where that line, counted from 1, of a text of several lines is written.
    fn line_of_text(&self, text: &Text, line: usize) -> Option<Range<usize>> {
        let written = self.text.get(text.span())?;
        // The line break after the opening quotes is not part of the text.
        let opening = [
            "\"\"\"\r\n",
            "\"\"\"\n",
            "'''\r\n",
            "'''\n",
            "\"\"\"",
            "'''",
        ]
        .into_iter()
        .find(|opening| written.starts_with(opening))?;
        let body = &written[opening.len()..];
        // With line breaks that are escaped, or escapes that break lines, nothing can be said.
        if body.matches('\n').count() != text.get_ref().matches('\n').count() {
            return None;
        }
        let before: usize = body
            .split_inclusive('\n')
            .take(line.saturating_sub(1))
            .map(str::len)
            .sum();
        let rest = body[before..].lines().next()?;
        let indent = rest.len() - rest.trim_start().len();
        let start = text.span().start + opening.len() + before + indent;
        let quotes = rest.strip_suffix(&written[..3]).unwrap_or(rest);
        (!quotes.trim().is_empty()).then(|| start..start + quotes.trim().len())
    }

    pub(super) fn alertmanager(&mut self, hook: file::Hook, owner: &Owner) -> Option<KindSettings> {
        let file::Hook {
            urls,
            username,
            password_file,
            password_env,
            bearer_token_file,
            bearer_token_env,
            ..
        } = hook;
        let example = "[\"https://alertmanager.example:9093\"]";
        let urls = self.each(urls, owner, ["urls", example], |text| {
            rules::alertmanager_url(text, owner.allow_private)
        });
        let token = (bearer_token_file, bearer_token_env);
        self.user_or_token(&username, &token);
        let basic_auth = self.user(username, (password_file, password_env), &owner.stops);
        let bearer_token = self.secret(&BEARER_TOKEN, &owner.stops, token, |_| Ok(()));
        Some(KindSettings {
            kind: hook::Kind::Alertmanager {
                urls,
                basic_auth,
                bearer_token,
            },
            send_resolved: true,
            group: true,
            alone: None,
        })
    }

    /// A user and the place of the password: both or neither.
    pub(super) fn user(
        &mut self,
        username: Option<Text>,
        (file, variable): (Option<Text>, Option<Text>),
        stops: &str,
    ) -> Option<(String, SecretSource)> {
        let password = place(&file).or(place(&variable));
        match (&username, password) {
            (Some(username), None) => {
                let fault = Fault::new("this user has no password")
                    .help("add `password_file = \"…\"` or `password_env = \"…\"`");
                self.refuse(username.span(), fault);
            }
            (None, Some(place)) => {
                let fault = Fault::new("this password has no user").help("add `username = \"…\"`");
                self.refuse(place, fault);
            }
            _ => {}
        }
        let password = self.secret(&PASSWORD, stops, (file, variable), |_| Ok(()));
        let username = self.optional(username, |text| {
            roster::check_name(text)
                .map(|()| text.clone())
                .map_err(|error| Fault::new(format!("the user's name {error}")))
        });
        Some((username?, password?))
    }

    pub(super) fn whatsapp(
        &mut self,
        hook: file::Hook,
        owner: &Owner,
        world: &World<'_>,
    ) -> Option<KindSettings> {
        let file::Hook {
            account,
            agent,
            template_name,
            language,
            recipients,
            parameters,
            ..
        } = hook;
        let Owner { title, header, .. } = owner;
        let account = self.needed(account, title, ["account", "\"…\""], header, |name| {
            known_account(name, world)
        });
        let agent_id = self.needed(agent, title, ["agent", "\"…\""], header, |text| {
            known_agent(text, account.as_deref(), world)
        });
        let example = ["template_name", "\"credits_alert\""];
        let template_name = self.needed(template_name, title, example, header, |text| {
            rules::template_name(text)
        });
        let language = self.needed(language, title, ["language", "\"en\""], header, |text| {
            rules::language(text)
        });
        let example = ["recipients", "[\"+31612345678\"]"];
        let recipients = self.each(recipients, owner, example, rules::phone_number);
        let parameters = parameters.map_or(Vec::new(), Spanned::into_inner);
        let parameters = parameters
            .iter()
            .filter_map(|text| self.template(text, None))
            .collect();
        let account = account?;
        let account = world.accounts.iter().find(|known| *known.name == account)?;
        Some(KindSettings {
            kind: hook::Kind::Whatsapp {
                account: Arc::clone(&account.name),
                api_key: account.api_key.clone(),
                agent_id: agent_id?.into(),
                template_name: template_name?,
                language: language?,
                recipients,
                parameters,
            },
            send_resolved: false,
            group: false,
            alone: Some("a WhatsApp template carries one alert per message"),
        })
    }

    pub(super) fn email(&mut self, hook: file::Hook, owner: &Owner) -> Option<KindSettings> {
        let file::Hook {
            host,
            port,
            encryption,
            hello,
            username,
            password_file,
            password_env,
            from,
            to,
            ..
        } = hook;
        let Owner { title, header, .. } = owner;
        let host = self.needed(
            host,
            title,
            ["host", "\"smtp.example.org\""],
            header,
            |text| rules::host(text, owner.allow_private),
        );
        let written = place(&encryption);
        let encryption = self.choice(encryption, &ENCRYPTIONS, Encryption::StartTls);
        if let Some(place) = written.filter(|_| encryption == Encryption::None)
            && !owner.allow_private
        {
            let fault = Fault::new("without encryption, others can read your figures").help(
                "use `starttls` or `tls`, or set `allow_private = true` if its address is not public",
            );
            self.refuse(place, fault);
        }
        let usual_port = match encryption {
            Encryption::StartTls => 587,
            Encryption::Tls => 465,
            Encryption::None => 25,
        };
        let port = self.value(port, usual_port, |port| rules::port(*port));
        let hello = self.optional(hello, |text| rules::hello(text));
        let credentials = self.user(username, (password_file, password_env), &owner.stops);
        let example = "\"Credits <credits@example.org>\"";
        let from = self.needed(from, title, ["from", example], header, |text| {
            rules::mailbox(text)
        });
        let to = self.each(to, owner, ["to", "[\"ops@example.org\"]"], rules::mailbox);
        Some(KindSettings {
            kind: hook::Kind::Email {
                host: host?,
                port,
                encryption,
                hello,
                credentials,
                from: from?,
                to,
            },
            send_resolved: false,
            group: true,
            alone: None,
        })
    }

    pub(super) fn exec(&mut self, hook: file::Hook, owner: &Owner) -> Option<KindSettings> {
        let Owner { title, header, .. } = owner;
        let example = "[\"/usr/local/bin/tell\"]";
        let command = self.needed(hook.command, title, ["command", example], header, |list| {
            if list.is_empty() {
                let fault = Fault::new("`command` is an empty list");
                return Err(fault.help(format!("write `command = {example}`")));
            }
            Ok(list.clone())
        })?;
        let mut arguments = Vec::with_capacity(command.len());
        for (number, text) in command.into_iter().enumerate() {
            arguments.extend(self.optional(Some(text), |text: &String| {
                if text.contains('\0') {
                    return Err(Fault::new("an argument cannot have a zero character"));
                }
                if number == 0 {
                    program_name(text)?;
                }
                Ok(text.clone())
            }));
        }
        if let Some(name) = arguments.first().cloned() {
            let stops = format!("{} until its program can be started", owner.stops);
            let look = move || program(&name);
            self.outside(stops, look(), look);
        }
        Some(KindSettings {
            kind: hook::Kind::Exec { command: arguments },
            send_resolved: true,
            group: false,
            alone: None,
        })
    }
}

/// A template that compiles, and gives what it should for an example: a misspelt field or filter would
/// only show once there is something to tell.
fn tried(
    source: &str,
    content_type: Option<&str>,
    now: DateTime<Utc>,
) -> Result<Template, TemplateError> {
    let template = Template::new(source)?;
    hook::check_template(&template, content_type, now)?;
    Ok(template)
}

/// The account that is called so.
fn known_account(name: &str, world: &World<'_>) -> Result<String, Fault> {
    let known: Vec<_> = world.account_names.iter().map(String::as_str).collect();
    if known.contains(&name) {
        return Ok(name.to_owned());
    }
    let fault = Fault::new(format!("there is no account `{}`", printable(name)));
    Err(match nearest(name, &known) {
        Some(near) => fault.help(format!("did you mean `{near}`?")),
        None => fault,
    })
}

/// The identifier of the account's agent with that name or identifier.
fn known_agent(text: &str, account: Option<&str>, world: &World<'_>) -> Result<String, Fault> {
    roster::check_id(text).map_err(|error| Fault::new(format!("the agent's name {error}")))?;
    // An account that is refused is told of where it stands.
    let Some(account) = world
        .accounts
        .iter()
        .find(|known| Some(&*known.name) == account)
    else {
        return Ok(text.to_owned());
    };
    let mut agents = account.agents.iter();
    if let Some(agent) = agents.find(|agent| *agent.name == *text || *agent.id == *text) {
        return Ok(agent.id.to_string());
    }
    if account.discover || account.agents_file.is_some() {
        return Ok(text.to_owned());
    }
    let fault = Fault::new(format!(
        "account `{}` has no agent `{}`",
        printable(&account.name),
        printable(text)
    ));
    let known: Vec<_> = account.agents.iter().map(|agent| &*agent.name).collect();
    Err(match nearest(text, &known) {
        Some(near) => fault.help(format!("did you mean `{near}`?")),
        None => fault.help("name an agent of this account, or its identifier"),
    })
}
