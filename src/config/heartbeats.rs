//! Hooks of kind `heartbeat`.

use super::check::Check;
use super::diagnostics::Fault;
use super::file;
use super::hooks::{KindSettings, Owner};
use super::places::{BEARER_TOKEN, FAILURE_URL, URL};
use super::rules::hooks as rules;
use crate::hook;

const DEFAULT_INTERVAL: &str = "1h";

const METHODS: [(&str, &str); 4] = [
    ("GET", "GET"),
    ("HEAD", "HEAD"),
    ("POST", "POST"),
    ("PUT", "PUT"),
];

impl Check<'_> {
    pub(super) fn heartbeat(&mut self, hook: file::Hook, owner: &Owner) -> Option<KindSettings> {
        let allow_private = owner.allow_private;
        let rule = move |text: &str| rules::webhook_url(text, allow_private);
        if hook.url_file.is_none() && hook.url_env.is_none() {
            let fault = Fault::new(format!("{} has no URL", owner.title))
                .help("add `url_file = \"…\"` or `url_env = \"…\"`");
            self.refuse(owner.header.clone(), fault);
        }
        let failure_url = (hook.failure_url_file, hook.failure_url_env);
        let failure_url = self.secret(&FAILURE_URL, &owner.stops, failure_url, rule);
        let token = (hook.bearer_token_file, hook.bearer_token_env);
        let bearer_token = self.secret(&BEARER_TOKEN, &owner.stops, token, |_| Ok(()));
        let method = self.choice(hook.method, &METHODS, "POST");
        let interval = self.text(hook.interval, DEFAULT_INTERVAL, rules::interval);
        let url = self.secret(&URL, &owner.stops, (hook.url_file, hook.url_env), rule)?;
        Some(KindSettings {
            kind: hook::Kind::Heartbeat {
                service: hook::Service {
                    url,
                    failure_url,
                    method: method.parse().ok()?,
                    bearer_token,
                },
                interval,
            },
            send_resolved: false,
            group: false,
            alone: None,
        })
    }
}
