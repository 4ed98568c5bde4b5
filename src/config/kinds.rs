//! Keys that only one kind of `[[hook]]` has.

use std::ops::Range;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use toml::Spanned;
use url::Url;

use super::check::{Check, one_of, some};
use super::diagnostics::Fault;
use super::places::{program, program_name, resolve_path, template_text};
use super::read::Section;
use super::rules::hooks as rules;
use super::secrets::{PASSWORD, ROUTING_KEY, SIGNING_SECRET, TOKEN, URL};
use super::world::World;
use crate::egress::Endpoint;
use crate::hook::{self, Encryption, MailProof, Preset, Template, TemplateError};
use crate::roster::{self, printable};
use crate::secret::SecretSource;

/// PagerDuty's public address for events.
const PAGERDUTY: &str = "https://events.pagerduty.com/v2/enqueue";

impl Check<'_> {
    pub(super) fn webhook(
        &mut self,
        hook: &mut Section<'_>,
        allow_private: bool,
    ) -> Option<hook::Kind> {
        self.exclusive(hook, &["preset", "template_file", "template"]);
        self.exclusive(hook, &["preset", "content_type"]);
        let content_type = self.text(hook, "content_type", "application/json", |text| {
            rules::content_type(text)
        });
        let unknown_preset = hook.place("preset").is_some();
        let preset = self.optional(hook, "preset", one_of);
        let pagerduty = preset == Some(Preset::PagerDuty);
        let routing_key = self.routing_key(hook, pagerduty);
        let has_url = [URL.file, URL.variable]
            .iter()
            .any(|key| hook.place(key).is_some());
        let url = if pagerduty && !has_url {
            Url::parse(PAGERDUTY).ok().map(Endpoint::Public)
        } else {
            self.lacks_secret(hook, &URL, "URL");
            let rule = move |text: &str| rules::secret_url(text, allow_private).map(drop);
            self.secret(hook, &URL, rule).map(Endpoint::Secret)
        };
        let from_file = self.template_file(hook, &content_type);
        let written = hook.get("template");
        let written = written.and_then(|text| self.template(&text, Some(&content_type)));
        let template = match preset {
            Some(preset) => Some(Template::preset(preset)),
            None if unknown_preset => None,
            None => from_file.or(written),
        };
        Some(hook::Kind::Webhook(hook::Webhook {
            secrets: self.signing_secrets(hook),
            url: url?,
            template,
            content_type,
            routing_key,
        }))
    }

    fn routing_key(&mut self, hook: &mut Section<'_>, pagerduty: bool) -> Option<SecretSource> {
        let written = hook.place(ROUTING_KEY.file);
        if pagerduty {
            self.lacks_secret(hook, &ROUTING_KEY, ROUTING_KEY.what);
        } else if let Some(place) = written.or(hook.place(ROUTING_KEY.variable)) {
            let fault = Fault::new("a routing key belongs to the preset `pagerduty`");
            self.refuse(place, fault);
        }
        self.secret(hook, &ROUTING_KEY, |_| Ok(()))
    }

    fn signing_secrets(&mut self, hook: &mut Section<'_>) -> Vec<SecretSource> {
        let files = hook.texts(SIGNING_SECRET.file).into_iter();
        let variables = hook.texts(SIGNING_SECRET.variable).into_iter();
        let written = files.map(|text| (Some(text), None));
        let written = written.chain(variables.map(|text| (None, Some(text))));
        let secrets = written.filter_map(|(file, variable)| {
            let found = self.found(&SIGNING_SECRET, file, variable);
            self.looked_into(hook, &SIGNING_SECRET, found, rules::signing_secret)
        });
        secrets.collect()
    }

    fn template_file(&mut self, hook: &mut Section<'_>, content_type: &str) -> Option<Template> {
        let (folder, now) = (self.folder, self.today.start());
        self.optional(hook, "template_file", |text| {
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
    fn template(
        &mut self,
        written: &Spanned<String>,
        content_type: Option<&str>,
    ) -> Option<Template> {
        tried(written.get_ref(), content_type, self.today.start())
            .map_err(|error| {
                let place = self
                    .line_of_text(written, error.line)
                    .unwrap_or(written.span());
                self.refuse(place, Fault::new(format!("this template: {error}")));
            })
            .ok()
    }

    /// Place of a line, counted from 1, of a text of several lines.
    fn line_of_text(&self, text: &Spanned<String>, line: usize) -> Option<Range<usize>> {
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

    pub(super) fn alertmanager(
        &mut self,
        hook: &mut Section<'_>,
        allow_private: bool,
    ) -> Option<hook::Kind> {
        let example = "[\"https://alertmanager.example:9093\"]";
        let urls = self.each(hook, ["urls", example], |text| {
            rules::alertmanager_url(text, allow_private)
        });
        let (basic_auth, bearer_token) = self.login(hook);
        Some(hook::Kind::Alertmanager(hook::Alertmanagers {
            urls,
            basic_auth,
            bearer_token,
        }))
    }

    pub(super) fn whatsapp(
        &mut self,
        hook: &mut Section<'_>,
        world: &World<'_>,
    ) -> Option<hook::Kind> {
        let account = self.needed(hook, ["account", "\"…\""], |name| {
            known_account(name, world)
        });
        let agent_id = self.needed(hook, ["agent", "\"…\""], |text| {
            known_agent(text, account.as_deref(), world)
        });
        let example = ["template_name", "\"credits_alert\""];
        let template_name = self.needed(hook, example, rules::template_name);
        let language = self.needed(hook, ["language", "\"en\""], rules::language);
        let example = ["recipients", "[\"+31612345678\"]"];
        let recipients = self.each(hook, example, rules::phone_number);
        let parameters = hook.texts("parameters");
        let parameters = parameters
            .iter()
            .filter_map(|text| self.template(text, None))
            .collect();
        let account = account?;
        let account = world.accounts.iter().find(|known| *known.name == account)?;
        Some(hook::Kind::Whatsapp(hook::Whatsapp {
            account: Arc::clone(&account.name),
            api_key: account.api_key.clone(),
            agent_id: agent_id?.into(),
            template_name: template_name?,
            language: language?,
            recipients,
            parameters,
        }))
    }

    pub(super) fn email(
        &mut self,
        hook: &mut Section<'_>,
        allow_private: bool,
    ) -> Option<hook::Kind> {
        let host = self.needed(hook, ["host", "\"smtp.example.org\""], |text| {
            rules::host(text, allow_private)
        });
        let written = hook.place("encryption");
        let encryption = self.choice(hook, "encryption", Encryption::StartTls);
        if let Some(place) = written.filter(|_| encryption == Encryption::None)
            && !allow_private
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
        let port = self.whole(hook, "port", usual_port, 1..=65_535);
        let hello = self.optional(hook, "hello", rules::hello);
        let credentials = self.mail_user(hook);
        let example = "\"Credits <credits@example.org>\"";
        let from = self.needed(hook, ["from", example], rules::mailbox);
        let to = self.each(hook, ["to", "[\"ops@example.org\"]"], rules::mailbox);
        Some(hook::Kind::Email(hook::Email {
            host: host?,
            port,
            encryption,
            hello,
            credentials,
            from: from?,
            to,
        }))
    }

    pub(super) fn exec(&mut self, hook: &mut Section<'_>) -> Option<hook::Kind> {
        let command = self.command(hook, ["command", "[\"/usr/local/bin/tell\"]"])?;
        Some(hook::Kind::Exec { command })
    }

    /// The user of a mail server, with a password or a token, or a program that prints one.
    fn mail_user(&mut self, hook: &mut Section<'_>) -> Option<(String, MailProof)> {
        let keys = [TOKEN.file, TOKEN.variable, "token_command"];
        let Some(key) = keys.into_iter().find(|key| hook.place(key).is_some()) else {
            let (user, password) = self.user(hook)?;
            return Some((user, MailProof::Password(password)));
        };
        for others in [
            [PASSWORD.file, key],
            [PASSWORD.variable, key],
            [TOKEN.file, "token_command"],
            [TOKEN.variable, "token_command"],
        ] {
            self.exclusive(hook, &others);
        }
        for other in [PASSWORD.file, PASSWORD.variable] {
            hook.skip(other);
        }
        let place = hook.place(key);
        if let (None, Some(place)) = (hook.place("username"), place) {
            let fault = Fault::new("this token has no user").help("add `username = \"…\"`");
            self.refuse(place, fault);
        }
        let user = self.user_name(hook);
        let proof = if key == "token_command" {
            let example = ["token_command", "[\"/usr/local/bin/token\"]"];
            MailProof::TokenCommand(self.command(hook, example)?)
        } else {
            MailProof::Token(self.secret(hook, &TOKEN, |_| Ok(()))?)
        };
        Some((user?, proof))
    }

    /// A program that can be started, and its arguments.
    fn command(
        &mut self,
        hook: &mut Section<'_>,
        [key, example]: [&'static str; 2],
    ) -> Option<Vec<String>> {
        let command = self.needed_value(hook, [key, example], |list: Vec<Spanned<String>>| {
            some(list, key, example)
        })?;
        let mut arguments = Vec::with_capacity(command.len());
        for (number, text) in command.into_iter().enumerate() {
            arguments.extend(self.meaning(Some(text), |text: String| {
                if text.contains('\0') {
                    return Err(Fault::new("an argument cannot have a zero character"));
                }
                if number == 0 {
                    program_name(&text)?;
                }
                Ok(text)
            }));
        }
        if let Some(name) = arguments.first().cloned() {
            let stops = format!("{} until its program can be started", hook.stops);
            let look = move || program(&name);
            self.outside(stops, look(), look);
        }
        Some(arguments)
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
pub(super) fn known_account(name: &str, world: &World<'_>) -> Result<String, Fault> {
    let known: Vec<_> = world.account_names.iter().map(String::as_str).collect();
    if known.contains(&name) {
        return Ok(name.to_owned());
    }
    let fault = Fault::new(format!("there is no account `{}`", printable(name)));
    Err(fault.near(name, &known, ""))
}

/// The identifier of the account's agent with that name or identifier.
pub(super) fn known_agent(
    text: &str,
    account: Option<&str>,
    world: &World<'_>,
) -> Result<String, Fault> {
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
    let otherwise = "name an agent of this account, or its identifier";
    Err(fault.near(text, &known, otherwise))
}
