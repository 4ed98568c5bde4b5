//! Hooks of kind `heartbeat`.

use super::check::{Check, word};
use super::read::Section;
use super::rules::hooks as rules;
use super::secrets::{BEARER_TOKEN, FAILURE_URL, URL};
use crate::hook;

impl Check<'_> {
    pub(super) fn heartbeat(
        &mut self,
        hook: &mut Section<'_>,
        allow_private: bool,
    ) -> Option<hook::Kind> {
        let rule = move |text: &str| rules::secret_url(text, allow_private).map(drop);
        self.lacks_secret(hook, &URL, "URL");
        let url = self.secret(hook, &URL, rule);
        let failure_url = self.secret(hook, &FAILURE_URL, rule);
        let bearer_token = self.secret(hook, &BEARER_TOKEN, |_| Ok(()));
        let methods = ["GET", "HEAD", "POST", "PUT"];
        let method = self.text(hook, "method", "POST", |text| word(text, &methods));
        let interval = self.duration(hook, "interval", "1h", ["1m", "1day"]);
        Some(hook::Kind::Heartbeat {
            service: hook::Service {
                url: url?,
                failure_url,
                method: method.parse().ok()?,
                bearer_token,
            },
            interval,
        })
    }
}
