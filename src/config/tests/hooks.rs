use crate::egress::{Endpoint, Proxy};
use crate::hook::{
    Alertmanagers, Email, Encryption, Kind, MailProof, Service, Settings, Webhook, Whatsapp,
};

use super::*;

const FILES: &str = "tests/fixtures/config/good/../files";

fn parse(hooks: &str) -> Result<Config, ConfigError> {
    let text = format!(
        "[[account]]\nname = \"acme\"\napi_key_file = \"../files/acme.key\"\n\
         [[account.agent]]\nid = \"a1\"\nname = \"support\"\n\
         [[account]]\nname = \"globex\"\napi_key_file = \"../files/acme.key\"\ndiscover = true\n\
         {hooks}"
    );
    let path = format!("{FIXTURES}/good/text.toml");
    Config::parse(&text, Path::new(&path), today())
}

/// The one hook that is written so.
fn hook(written: &str) -> Settings {
    let config = parse(&format!("[[hook]]\nname = \"ops\"\n{written}"))
        .unwrap_or_else(|error| panic!("{error}"));
    let [hook] = &config.hooks[..] else {
        panic!("{written}");
    };
    hook.clone()
}

fn file(name: &str) -> SecretSource {
    SecretSource::File(format!("{FILES}/{name}").into())
}

const WEBHOOK: &str = "kind = \"webhook\"\nurl_file = \"../files/ops.url\"\n";
const EMAIL: &str = "kind = \"email\"\nhost = \"smtp.example.org\"\nfrom = \"a@example.org\"\nto = [\"b@example.org\"]\n";
const WHATSAPP: &str = "kind = \"whatsapp\"\ntemplate_name = \"t\"\nlanguage = \"en\"\nrecipients = [\"+31612345678\"]\n";

#[test]
fn each_kind_has_its_documented_defaults() {
    let chat = |preset: &str| format!("{WEBHOOK}preset = \"{preset}\"\n");
    let pagerduty =
        "kind = \"webhook\"\npreset = \"pagerduty\"\nrouting_key_file = \"../files/routing.key\"\n";
    let whatsapp = format!("{WHATSAPP}account = \"acme\"\nagent = \"a1\"\n");
    for (written, group, send_resolved) in [
        (WEBHOOK, false, true),
        (&chat("slack"), true, true),
        (&chat("discord"), true, true),
        (&chat("teams"), true, true),
        (pagerduty, false, true),
        (
            "kind = \"alertmanager\"\nurls = [\"https://one.example\"]\n",
            true,
            true,
        ),
        (&whatsapp, false, false),
        (EMAIL, true, false),
        ("kind = \"exec\"\ncommand = [\"sh\"]\n", false, true),
    ] {
        let plain = hook(written);
        assert_eq!(
            (plain.group, plain.send_resolved),
            (group, send_resolved),
            "{written}"
        );
        assert_eq!(plain.timeout, Duration::from_secs(10));
        assert!(!plain.allow_private && plain.ca_file.is_none() && plain.quiet_hours.is_none());
        let other = format!(
            "{written}send_resolved = {}\ngroup = false\n",
            !send_resolved
        );
        let other = hook(&other);
        assert_eq!((other.group, other.send_resolved), (false, !send_resolved));
    }
}

#[test]
fn a_webhook_is_as_it_is_written() {
    let config = load("full");
    let ops = &config.hooks[0];
    assert!(ops.group && !ops.send_resolved && ops.allow_private && ops.quiet_hours.is_some());
    assert_eq!(ops.timeout, Duration::from_secs(120));
    assert_eq!(ops.ca_file, Some(format!("{FILES}/ca.pem").into()));
    let Kind::Webhook(Webhook {
        url: Endpoint::Secret(url),
        secrets,
        template: None,
        content_type,
        routing_key: None,
    }) = &ops.kind
    else {
        panic!("{ops:?}");
    };
    assert_eq!(*url, file("plain.url"));
    assert_eq!(*secrets, [file("ops.secret")]);
    assert_eq!(content_type, "application/json");
    let Kind::Webhook(Webhook {
        url: Endpoint::Public(url),
        template: Some(_),
        routing_key,
        ..
    }) = &config.hooks[2].kind
    else {
        panic!("{:?}", config.hooks[2]);
    };
    assert_eq!(url.as_str(), "https://events.pagerduty.com/v2/enqueue");
    assert_eq!(*routing_key, Some(file("routing.key")));
    let Kind::Webhook(Webhook {
        template: Some(_),
        content_type,
        ..
    }) = &config.hooks[3].kind
    else {
        panic!("{:?}", config.hooks[3]);
    };
    assert_eq!(content_type, "text/plain; charset=utf-8");
}

#[test]
fn the_other_kinds_are_as_they_are_written() {
    let config = load("full");
    let Kind::Alertmanager(Alertmanagers {
        urls,
        basic_auth,
        bearer_token: None,
    }) = &config.hooks[4].kind
    else {
        panic!("{:?}", config.hooks[4]);
    };
    let urls: Vec<_> = urls.iter().map(|url| url.as_str()).collect();
    assert_eq!(
        urls,
        ["https://one.example/", "https://two.example/prefix/"]
    );
    assert_eq!(*basic_auth, Some(("ops".to_owned(), file("ops.password"))));
    let proxies = config.hooks.iter().filter_map(|hook| hook.proxy.as_ref());
    let proxy = Proxy::At("http://proxy.example.org:3128".parse().unwrap());
    assert_eq!(proxies.collect::<Vec<_>>(), [&proxy]);
    let Kind::Email(Email {
        host,
        port: 465,
        encryption: Encryption::Tls,
        hello: Some(hello),
        credentials: Some((user, MailProof::Password(SecretSource::Environment(_)))),
        from,
        to,
    }) = &config.hooks[5].kind
    else {
        panic!("{:?}", config.hooks[5]);
    };
    assert_eq!([host, user], ["smtp.example.org", "credits@example.org"]);
    assert_eq!(hello.to_string(), "alerts.example.org");
    assert_eq!(from.to_string(), "Credits <credits@example.org>");
    assert_eq!(to.len(), 1);
    let Kind::Whatsapp(Whatsapp {
        account,
        agent_id,
        recipients,
        parameters,
        ..
    }) = &config.hooks[6].kind
    else {
        panic!("{:?}", config.hooks[6]);
    };
    assert_eq!(&**account, "acme");
    assert_eq!(&**agent_id, "66a72b17-cb03-4397-ab2a-1eef13847737");
    assert_eq!(recipients, &["31612345678", "4915112345678"]);
    assert_eq!(parameters.len(), 1);
    assert_eq!(config.alerts.routes[6].targets, *recipients);
    let Kind::Exec { command } = &config.hooks[7].kind else {
        panic!("{:?}", config.hooks[7]);
    };
    assert_eq!(command, &["sh", "-c", "cat > /dev/null"]);
    let routes: Vec<_> = config.hooks.iter().map(Settings::route).collect();
    assert_eq!(config.alerts.routes, routes);
}

#[test]
fn the_usual_port_depends_on_the_encryption() {
    for (written, expected) in [
        ("", 587),
        ("encryption = \"starttls\"\n", 587),
        ("encryption = \"tls\"\n", 465),
        ("encryption = \"none\"\nallow_private = true\n", 25),
        ("encryption = \"tls\"\nport = 2525\n", 2525),
    ] {
        let Kind::Email(Email { port, .. }) = hook(&format!("{EMAIL}{written}")).kind else {
            panic!("{written}");
        };
        assert_eq!(port, expected, "{written}");
    }
}

#[test]
fn an_agent_is_named_by_name_or_by_id_and_one_to_be_discovered_by_id() {
    for (account, agent, id) in [
        ("acme", "support", "a1"),
        ("acme", "a1", "a1"),
        ("globex", "b2", "b2"),
    ] {
        let written = format!("{WHATSAPP}account = \"{account}\"\nagent = \"{agent}\"\n");
        let Kind::Whatsapp(Whatsapp { agent_id, .. }) = hook(&written).kind else {
            panic!("{written}");
        };
        assert_eq!(&*agent_id, id);
    }
    assert!(
        parse(&format!(
            "[[hook]]\nname = \"ops\"\n{WHATSAPP}account = \"globex\"\nagent = \"..\"\n"
        ))
        .is_err()
    );
}

#[test]
fn a_hook_that_nothing_names_is_a_warning() {
    let used = "[[rule]]\nname = \"r\"\nkind = \"spike\"\nhooks = [\"used\"]\n";
    let config = parse(&format!(
        "{used}[[hook]]\nname = \"used\"\n{WEBHOOK}[[hook]]\nname = \"spare\"\n{WEBHOOK}"
    ))
    .unwrap();
    assert_eq!(
        config.warnings,
        ["hook `spare` is named by no budget, balance, rule, probe or summary"]
    );
}

#[test]
fn a_heartbeat_is_as_it_is_written_and_beats_hourly_by_post_unless_it_is_written() {
    let config = load("full");
    let alive = config.hooks.iter().find(|hook| &*hook.name == "alive");
    let Kind::Heartbeat {
        service:
            Service {
                url,
                failure_url,
                method,
                bearer_token,
            },
        interval,
    } = &alive.unwrap().kind
    else {
        panic!("{alive:?}");
    };
    assert_eq!(*url, file("ops.url"));
    assert_eq!(*failure_url, Some(file("plain.url")));
    assert_eq!(*bearer_token, Some(file("alertmanager.token")));
    assert_eq!(
        (method.as_str(), *interval),
        ("GET", Duration::from_secs(300))
    );
    let plain = hook("kind = \"heartbeat\"\nurl_file = \"../files/ops.url\"\n");
    let Kind::Heartbeat {
        service:
            Service {
                failure_url: None,
                method,
                bearer_token: None,
                ..
            },
        interval,
    } = plain.kind
    else {
        panic!("{plain:?}");
    };
    assert_eq!(
        (method.as_str(), interval),
        ("POST", Duration::from_secs(3600))
    );
}

#[test]
fn what_is_refused_elsewhere_is_told_once() {
    let text = "[[account]]\nname = \"acme\"\ndiscover = true\n";
    let hook = format!("[[hook]]\nname = \"\"\n{WHATSAPP}account = \"acme\"\nagent = \"a1\"\n");
    let error = Config::parse(&format!("{text}{hook}"), Path::new("config.toml"), today());
    let said = error.unwrap_err().render(false);
    assert_eq!(said.matches("error: ").count(), 2, "{said}");
}

#[test]
fn no_secret_of_a_hook_is_in_the_config() {
    let config = load("full");
    assert!(!format!("{config:?}").contains("canary"));
}

#[test]
fn the_caret_points_at_the_line_of_a_template_where_it_can() {
    for (template, line) in [
        ("'''\n{{ a }}\n{{ b }\n'''", 7),
        ("'''{{ a }}\n{{ b }'''", 6),
        ("\"\"\"\n{{ a }}\r\n  {{ b }\n\"\"\"", 7),
        // What is written over several lines may be one line of text, and the other way round.
        ("\"\"\"\n{{ a }} \\\n\n{{ b }\"\"\"", 5),
        ("\"{{ a }}\\n{{ b }\"", 5),
    ] {
        let hook = format!("[[hook]]\nname = \"ops\"\n{WEBHOOK}template = {template}\n");
        let path = format!("{FIXTURES}/good/text.toml");
        let error = Config::parse(&hook, Path::new(&path), today()).unwrap_err();
        let said = error.render(false);
        assert!(
            said.contains(&format!("text.toml:{line}:")),
            "{template} {said}"
        );
    }
}

#[test]
fn a_template_may_use_what_any_kind_of_rule_tells() {
    for template in [
        "{{ alerts[0].figures.usual_credits | credits }} {{ alerts[0].labels.agent }}",
        "{{ alerts[0].figures.missing_since | day }} {{ alerts[0].url }}",
        "{{ alerts[0].figures.exhausted_at | day }} {{ alerts[0].labels.threshold }}",
        "{% for a in alerts %}{% if a.resolved_at %}{{ a.resolved_at | day }}{% endif %}{% endfor %}",
    ] {
        hook(&format!(
            "{WEBHOOK}template = \"{template}\"\ncontent_type = \"text/plain\"\n"
        ));
    }
    hook(&format!(
        "{WEBHOOK}template = '{{\"text\": {{{{ text | tojson }}}}}}'\n"
    ));
}

proptest! {
    #[test]
    fn what_is_pasted_into_a_hook_is_never_shown(
        kind in prop::sample::select(&["webhook", "alertmanager", "whatsapp", "email", "exec", "heartbeat", "x"][..]),
        key in prop::sample::select(&[
            "url", "webhook_url", "secret", "secrets", "password", "token", "bearer_token", "access_token",
            "token_file", "token_env", "token_command", "token_comand",
            "routing_key", "url_file", "url_env", "secret_files", "secret_envs", "password_file",
            "password_env", "bearer_token_file", "routing_key_file", "routing_key_env",
        ][..]),
        shape in prop::sample::select(&["\"VALUE\"", "[\"VALUE\"]", "{ a = \"VALUE\" }"][..]),
        value in prop_oneof!["canary[a-z0-9]{8}", "whsec_[A-Za-z0-9+/]{32}", "https://h[.]example/[A-Z0-9]{9}"],
        damage in proptest::option::of((any::<prop::sample::Index>(), "[\\[\\]{}=\"'#,./+\n x]")),
    ) {
        let shape = shape.replace("VALUE", &value);
        let mut text = format!("[[hook]]\nkind = \"{kind}\"\n{key} = {shape}\nnome = 5\n");
        if let Some((at, inserted)) = damage {
            text.insert_str(at.index(text.len()), &inserted);
        }
        let error = Config::parse(&text, Path::new("config.toml"), today()).unwrap_err();
        let said = everything_said(&error);
        prop_assert!(!said.contains(&value), "{}\n{}", text, said);
    }
}
