//! `[push]` → [`push::Settings`].

use std::net::SocketAddr;

use super::check::{Check, named};
use super::diagnostics::Fault;
use super::read::Section;
use super::rules::{self, hooks, push as push_rules};
use super::secrets::WRITE_URL;
use crate::day::Day;
use crate::egress::Endpoint;
use crate::history::{DEFAULT_JOB, Target, push};
use crate::roster;

impl Check<'_> {
    /// Checks `[push]`; the labels of the scrape follow from the listen addresses.
    pub(super) fn push(
        &mut self,
        mut push: Section<'_>,
        listen: &[SocketAddr],
        history_start: Day,
    ) -> Option<push::Settings> {
        "`[push]`".clone_into(&mut push.owner);
        "`[push]` pushes nothing".clone_into(&mut push.stops);
        let today = self.today;
        let allow_private = push.flag("allow_private", false);
        let read_back = push.flag("read_back", true);
        let written = push.place("query_url");
        if let Some(place) = written.clone().filter(|_| !read_back) {
            let fault = Fault::new("`query_url` has no effect with `read_back = false`")
                .help("keep one of them");
            self.refuse(place, fault);
        }
        let needs_path = read_back && written.is_none();
        let write_url = self.write_url(&mut push, allow_private, needs_path);
        let query_url = self.optional(&mut push, "query_url", |text| {
            push_rules::open_url(text, allow_private)
        });
        let (basic_auth, bearer_token) = self.login(&mut push);
        let label =
            |key: &str, text: &str| named(text, roster::check_name, &format!("the label {key}"));
        let job = self.text(&mut push, "job", DEFAULT_JOB, |text| label("job", text));
        let default = Target::instance_of(listen);
        if default.is_none() && push.place("instance").is_none() {
            let fault = Fault::new(
                "`[push]` has no `instance`, and the first listen address names no machine",
            )
            .help("add the address that Prometheus scrapes: `instance = \"host:13569\"`");
            self.refuse(push.header.clone(), fault);
        }
        let instance = self.optional(&mut push, "instance", |text| label("instance", text));
        let from = self.optional(&mut push, "from", |text| rules::past_day(text, "", today));
        let continuous = push.flag("continuous", true);
        let tenant = self.optional(&mut push, "tenant", push_rules::tenant);
        let timeout = self.duration(&mut push, "timeout", "30s", ["100ms", "2m"]);
        let ca_file = self.ca_file(&mut push);
        let proxy = self.proxy(&mut push, allow_private);
        Some(push::Settings {
            write_url: write_url?,
            query_url,
            read_back,
            target: Target {
                job,
                instance: instance.or(default)?,
            },
            from: from.unwrap_or(history_start),
            continuous,
            tenant,
            basic_auth,
            bearer_token,
            timeout,
            allow_private,
            ca_file,
            proxy,
        })
    }

    /// Target of pushing: a URL that is written, or the place of a secret one.
    fn write_url(
        &mut self,
        push: &mut Section<'_>,
        allow_private: bool,
        needs_path: bool,
    ) -> Option<Endpoint> {
        let keys = ["write_url", WRITE_URL.file, WRITE_URL.variable];
        self.lacks(
            push,
            &keys,
            "`write_url`",
            "`write_url = \"http://prometheus:9090/api/v1/write\"`, or name a file by `write_url_file` or an \
             environment variable by `write_url_env`",
        );
        // Two places of a secret are refused where they are read.
        if push.place("write_url").is_some() {
            self.exclusive(push, &keys);
        }
        let public = self.optional(push, "write_url", |text| {
            let url = push_rules::open_url(text, allow_private)?;
            push_rules::tells_query_path(&url, needs_path)?;
            Ok(Endpoint::Public(url))
        });
        let secret = self.secret(push, &WRITE_URL, move |text| {
            let url = hooks::secret_url(text, allow_private)?;
            push_rules::tells_query_path(&url, needs_path)
        });
        public.or(secret.map(Endpoint::Secret))
    }
}
