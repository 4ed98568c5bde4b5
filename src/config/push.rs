//! `[push]` → [`push::Settings`].

use std::net::SocketAddr;
use std::ops::Range;

use toml::Spanned;

use super::check::{Check, place};
use super::diagnostics::Fault;
use super::file::{self, Section, Text};
use super::places::{BEARER_TOKEN, WRITE_URL};
use super::rules::{hooks, push as rules};
use crate::day::Day;
use crate::history::{DEFAULT_JOB, Target, push};
use crate::hook::Endpoint;

const DEFAULT_TIMEOUT: &str = "30s";
/// Consequence of a missing file or variable, for messages.
const STOPS: &str = "`[push]` pushes nothing";

impl Check<'_> {
    /// Checks `[push]`; the labels of the scrape follow from the listen addresses.
    pub(super) fn push(
        &mut self,
        section: Option<Section<file::Push>>,
        listen: &[SocketAddr],
        history_start: Day,
    ) -> Option<push::Settings> {
        let Section { span, table } = section?;
        let file::Push {
            write_url,
            write_url_file,
            write_url_env,
            query_url,
            read_back,
            job,
            instance,
            from,
            continuous,
            tenant,
            username,
            password_file,
            password_env,
            bearer_token_file,
            bearer_token_env,
            timeout,
            allow_private,
            ca_file,
            proxy,
        } = table;
        let allow_private = allow_private.is_some_and(Spanned::into_inner);
        let read_back = read_back.unwrap_or(true);
        if let (Some(url), false) = (&query_url, read_back) {
            let fault = Fault::new("`query_url` has no effect with `read_back = false`")
                .help("keep one of them");
            self.refuse(url.span(), fault);
        }
        let needs_path = read_back && query_url.is_none();
        let secret = (write_url_file, write_url_env);
        let write_url = self.write_url(&span, write_url, secret, (allow_private, needs_path));
        let query_url = self.optional(query_url, |text| rules::open_url(text, allow_private));
        let token = (bearer_token_file, bearer_token_env);
        self.user_or_token(&username, &token);
        let basic_auth = self.user(username, (password_file, password_env), STOPS);
        let bearer_token = self.secret(&BEARER_TOKEN, STOPS, token, |_| Ok(()));
        let today = self.today;
        let ca_file = self.ca_file(ca_file, STOPS);
        let proxy = self.proxy(proxy, "`[push]`", allow_private);
        let job = self.text(job, DEFAULT_JOB, |text| rules::label("job", text));
        let instance = self.instance(&span, instance, listen);
        let from = self.optional(from, |text| rules::from(text, today));
        let tenant = self.optional(tenant, |text| rules::tenant(text));
        let timeout = self.text(timeout, DEFAULT_TIMEOUT, hooks::timeout);
        Some(push::Settings {
            write_url: write_url?,
            query_url,
            read_back,
            target: Target {
                job,
                instance: instance?,
            },
            from: from.unwrap_or(history_start),
            continuous: continuous.unwrap_or(true),
            tenant,
            basic_auth,
            bearer_token,
            timeout,
            allow_private,
            ca_file,
            proxy,
        })
    }

    /// Where to push to: a URL that is written, or the place of a secret one.
    fn write_url(
        &mut self,
        header: &Range<usize>,
        written: Option<Text>,
        secret: (Option<Text>, Option<Text>),
        (allow_private, needs_path): (bool, bool),
    ) -> Option<Endpoint> {
        let (file, variable) = &secret;
        let places = [
            ("write_url", place(&written)),
            ("write_url_file", place(file)),
            ("write_url_env", place(variable)),
        ];
        let mut places = places.into_iter().filter(|(_, place)| place.is_some());
        match (places.next(), places.next()) {
            (None, _) => {
                let fault = Fault::new("`[push]` has no `write_url`").help(
                    "add `write_url = \"http://prometheus:9090/api/v1/write\"`, or name a file by \
                     `write_url_file` or an environment variable by `write_url_env`",
                );
                self.refuse(header.clone(), fault);
            }
            // Two places of a secret are refused where they are read.
            (Some(one @ ("write_url", _)), Some(other)) => self.exclusive(one, other),
            _ => {}
        }
        let public = self.optional(written, |text| {
            let url = rules::open_url(text, allow_private)?;
            if needs_path {
                rules::tells_query_path(&url)?;
            }
            Ok(url)
        });
        let secret = self.secret(&WRITE_URL, STOPS, secret, move |text| {
            rules::secret_url(text, allow_private, needs_path)
        });
        public
            .map(Endpoint::Public)
            .or(secret.map(Endpoint::Secret))
    }

    /// The label `instance` of the scrape, which follows from what is listened on unless it is written.
    fn instance(
        &mut self,
        header: &Range<usize>,
        written: Option<Text>,
        listen: &[SocketAddr],
    ) -> Option<String> {
        if written.is_some() {
            return self.optional(written, |text| rules::label("instance", text));
        }
        let instance = Target::instance_of(listen);
        if instance.is_none() {
            let fault = Fault::new(
                "`[push]` has no `instance`, and the first listen address names no machine",
            )
            .help("add the address that Prometheus scrapes: `instance = \"host:13569\"`");
            self.refuse(header.clone(), fault);
        }
        instance
    }
}
