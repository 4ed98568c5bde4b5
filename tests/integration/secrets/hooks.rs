//! No secret of a hook is ever shown, however the hook fails and whatever its receiver sends back.

use std::fs;
use std::net::SocketAddr;
use std::process::Output;

use base64::prelude::{BASE64_STANDARD, Engine};
use flowgent_exporter::secret::Secret;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::everything_served;
use crate::alerts::configure;
use crate::harness::{Exporter, Scene, Scrape, run, wait_for};

/// The secrets by the files that hold them. Each is one of a kind, and so is what it is found by.
pub(super) const SECRETS: [(&str, &str, &str); 7] = [
    (
        "signing.secret",
        "whsec_SigningCanary7731SigningCanary77",
        "SigningCanary7731",
    ),
    (
        "routing.key",
        "routingcanary7731routingcanary77",
        "routingcanary7731",
    ),
    ("basic.password", "basic-canary-7731", "basic-canary-7731"),
    ("bearer.token", "bearer-canary-7731", "bearer-canary-7731"),
    ("mail.password", "mail-canary-7731", "mail-canary-7731"),
    ("acme.key", "test-key-canary-7731", "key-canary-7731"),
    ("plain.url", "", "token-canary-7731"),
];

/// What a URL from the environment, the query of one, and the password in one are found by.
const VARIABLE_CANARY: &str = "variable-canary-7731";
pub(super) const QUERY_CANARY: &str = "query-canary-7731";
const USER_CANARY: &str = "user-canary-7731";

/// How the receiver of webhooks answers, by the last segment of the path: it sends back all that it was
/// sent, in the status, a header and the body.
pub(super) const ANSWERS: [(&str, &str, &str); 7] = [
    ("failing", "500 ECHO", "X-A: ECHO"),
    ("unknown", "404 ECHO", "X-A: ECHO"),
    ("refusing", "401 ECHO", "Set-Cookie: a=ECHO"),
    ("moved", "302 Found", "Location: http://ECHO.example/ECHO"),
    ("busy", "429 ECHO", "Retry-After: 1"),
    ("gone", "410 Gone", "X-A: ECHO"),
    ("taken", "200 OK", "X-A: ECHO"),
];

/// Everything that nobody may see, also as it goes over the wire.
fn forbidden() -> Vec<String> {
    let found_by = SECRETS.iter().map(|(_, _, canary)| *canary);
    let mut texts: Vec<String> = found_by
        .chain([VARIABLE_CANARY, QUERY_CANARY, USER_CANARY])
        .map(str::to_lowercase)
        .collect();
    for (user, password) in [
        ("ops", SECRETS[2].1),
        ("usage", SECRETS[4].1),
        ("ops", USER_CANARY),
    ] {
        for text in [
            password.to_owned(),
            format!("{user}:{password}"),
            format!("\0{user}\0{password}"),
        ] {
            texts.push(BASE64_STANDARD.encode(text).to_lowercase());
        }
    }
    texts
}

#[track_caller]
pub(super) fn assert_no_secret(place: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).to_lowercase();
    for secret in forbidden() {
        assert!(!text.contains(&secret), "{secret} is in {place}: {text}");
    }
}

#[track_caller]
pub(super) fn assert_no_secret_was_said(place: &str, output: &Output) {
    assert_no_secret(place, &output.stdout);
    assert_no_secret(place, &output.stderr);
}

pub(super) async fn assert_nothing_is_served(exporter: &Exporter) {
    for (path, reply) in everything_served(exporter).await {
        assert_no_secret(&path, &reply);
    }
}

pub(super) fn assert_nothing_is_kept(scene: &Scene) {
    let mut files = 0;
    for entry in fs::read_dir(scene.folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("ledger.db") {
            assert_no_secret(&name, &fs::read(&path).unwrap());
            files += 1;
        }
    }
    assert!(files > 0, "there is no ledger");
}

/// Accepts connections to a port of its own for ever.
pub(super) async fn serve<F>(answer: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream));
        }
    });
    address
}

/// A receiver of webhooks that sends everything back.
pub(super) async fn echo_http(mut stream: TcpStream) -> std::io::Result<()> {
    let mut sent = Vec::new();
    while !sent.ends_with(b"\r\n\r\n") {
        sent.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&sent).into_owned();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let body = String::from_utf8_lossy(&body).into_owned();
    let path = head.split(' ').nth(1).unwrap();
    let (_, status, header) = ANSWERS
        .iter()
        .find(|(name, ..)| path.contains(name))
        .unwrap_or(&ANSWERS[0]);
    let line = head
        .replace("\r\n", " ")
        .replace(|letter: char| !(' '..='~').contains(&letter), "");
    // Only the beginning of it would be shown, so what nobody may see comes first.
    let words = head.split_whitespace().chain(body.split('"'));
    let secrets: Vec<&str> = words
        .clone()
        .zip(words.skip(1))
        .filter(|(before, word)| *before == "Basic" || word.to_lowercase().contains("canary"))
        .map(|(_, word)| word)
        .collect();
    let answer = format!(
        "HTTP/1.1 {}\r\n{}\r\nConnection: close\r\n\r\n{} {head}{body}",
        status.replace("ECHO", &line),
        header.replace(
            "ECHO",
            path.trim_start_matches('/').split('/').next().unwrap()
        ),
        secrets.join(" "),
    );
    stream.write_all(answer.as_bytes()).await
}

/// A mail server that sends everything back and lets nobody log in.
async fn echo_smtp(stream: TcpStream) -> std::io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    writer.write_all(b"220 mail\r\n").await?;
    while let Some(line) = lines.next_line().await? {
        let answer = if line.starts_with("EHLO") {
            "250-mail\r\n250 AUTH PLAIN LOGIN\r\n".to_owned()
        } else {
            let words = line.split(' ').next_back().unwrap_or_default();
            let decoded = BASE64_STANDARD.decode(words).unwrap_or_default();
            let decoded = String::from_utf8_lossy(&decoded).replace('\0', " ");
            format!("535 5.7.8 {line} {decoded}\r\n")
        };
        writer.write_all(answer.as_bytes()).await?;
    }
    Ok(())
}

/// The names of all hooks in [`hooks`].
const HOOKS: [&str; 17] = [
    "plain", "query", "user", "taken", "failing", "unknown", "refusing", "moved", "busy", "gone",
    "variable", "pager", "broken", "basic", "bearer", "mail", "phone",
];

/// Those of them whose receivers take what they are sent.
const TAKEN: [&str; 3] = ["taken", "broken", "phone"];

/// A hook of every kind that has a secret. Most of them fail, each in its own way.
fn hooks(scene: &mut Scene, http: SocketAddr, smtp: SocketAddr) -> String {
    for (file, secret, _) in SECRETS {
        scene.write(file, secret);
    }
    let url = format!("http://{http}/token-canary-7731");
    scene.write("plain.url", &format!("{url}/failing"));
    scene.environment = vec![(
        "OPS_URL",
        format!("http://{http}/{VARIABLE_CANARY}/failing"),
    )];
    let mut hooks = String::new();
    for (name, ..) in ANSWERS {
        scene.write(&format!("{name}.url"), &format!("{url}/{name}"));
        hooks += &format!(
            "[[hook]]\nname = \"{name}\"\nkind = \"webhook\"\nurl_file = \"{name}.url\"\n\
             secret_files = [\"signing.secret\"]\nallow_private = true\n"
        );
    }
    // One without a token, so that what is guarded is the key.
    scene.write("short.url", &format!("http://{http}/v2"));
    scene.write("query.url", &format!("http://{http}/?key={QUERY_CANARY}"));
    scene.write("user.url", &format!("http://ops:{USER_CANARY}@{http}/"));
    let others = [
        ("plain", "webhook\"\nurl_file = \"plain.url", ""),
        ("query", "webhook\"\nurl_file = \"query.url", ""),
        ("user", "webhook\"\nurl_file = \"user.url", ""),
        ("variable", "webhook\"\nurl_env = \"OPS_URL", ""),
        (
            "pager",
            "webhook\"\npreset = \"pagerduty\"\nurl_file = \"short.url",
            "routing_key_file = \"routing.key\"",
        ),
        // It fits the sample, and fails for the alert.
        (
            "broken",
            "webhook\"\nurl_file = \"taken.url",
            "template = \"{% if alerts[0].rule == 'busy' %}{{ alerts[0].figures.nothing.of_this }}{% endif %}{}\"",
        ),
        (
            "basic",
            "alertmanager",
            "username = \"ops\"\npassword_file = \"basic.password\"\nurls = [\"http://ADDRESS\"]",
        ),
        (
            "bearer",
            "alertmanager",
            "bearer_token_file = \"bearer.token\"\nurls = [\"http://ADDRESS\"]",
        ),
        (
            "mail",
            "email",
            "host = \"127.0.0.1\"\nport = SMTP\nencryption = \"none\"\nusername = \"usage\"\n\
             password_file = \"mail.password\"\nfrom = \"usage@example.com\"\nto = [\"ops@example.com\"]",
        ),
        (
            "phone",
            "whatsapp",
            "account = \"acme\"\nagent = \"sales\"\ntemplate_name = \"usage_alert\"\n\
             language = \"en_US\"\nrecipients = [\"31612345678\"]",
        ),
    ];
    for (name, kind, more) in others {
        let private = if kind == "whatsapp" {
            ""
        } else {
            "allow_private = true\n"
        };
        let more = more
            .replace("ADDRESS", &http.to_string())
            .replace("SMTP", &smtp.port().to_string());
        hooks += &format!("[[hook]]\nname = \"{name}\"\nkind = \"{kind}\"\n{private}{more}\n");
    }
    hooks
}

/// A scene with these hooks, and a rule that fires and tells all of them.
async fn scene_of_hooks() -> Scene {
    let mut scene = Scene::new("2026-03-04T09:00:00");
    let (http, smtp) = (serve(echo_http).await, serve(echo_smtp).await);
    let world = scene.simulator.world();
    world.set_key("acme", Secret::new(SECRETS[5].1));
    let hooks = hooks(&mut scene, http, smtp);
    let names = HOOKS.map(|name| format!("\"{name}\"")).join(", ");
    let rule = format!(
        "[[rule]]\nname = \"busy\"\nkind = \"usage\"\nover = 0.5\nspan = \"previous_30_days\"\n\
         match = {{ agent = \"support\" }}\nhooks = [{names}]\n"
    );
    configure(&scene, &(rule + &hooks));
    scene
}

/// How often a hook has been tried.
fn tries(scrape: &Scrape, hook: &str) -> f64 {
    let outcomes = ["failed", "given_up", "delivered"];
    let series = outcomes.map(|outcome| {
        format!("flowgent_hook_deliveries_total{{hook=\"{hook}\",outcome=\"{outcome}\"}}")
    });
    series.iter().filter_map(|series| scrape.get(series)).sum()
}

/// Waits until each of `hooks` has been tried so often.
async fn wait_for_tries(exporter: &Exporter, hooks: &[&str], least: f64) {
    exporter
        .wait_until("each hook to be tried", |scrape| {
            hooks.iter().all(|hook| tries(scrape, hook) >= least)
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn receivers_that_send_everything_back_do_not_have_it_shown() {
    let scene = scene_of_hooks().await;
    let debug = ["--log.level", "debug"];
    let exporter = Exporter::start(&scene, &debug).await;
    wait_for_tries(&exporter, &HOOKS, 1.0).await;
    assert_nothing_is_served(&exporter).await;
    // What came of a try is counted a moment before it is kept.
    let list = wait_for("all answers to be listed", async || {
        let list = run(&scene, &["alerts", "list", "--all", "--log.level", "debug"]).await;
        let text = String::from_utf8_lossy(&list.stdout).into_owned();
        let is_there = |hook: &&str| text.contains(&format!("  {hook}"));
        if HOOKS.iter().all(is_there) && text.contains("withheld") {
            Ok(list)
        } else {
            Err(text)
        }
    })
    .await;
    let mut commands: Vec<Vec<&str>> = HOOKS.map(|hook| vec!["alerts", "test", hook]).into();
    commands.extend([
        vec!["alerts", "list"],
        vec!["alerts", "list", "--all", "--format", "json"],
        vec!["alerts", "why", "busy"],
        vec!["alerts", "retry", "--all"],
        vec!["check"],
        vec!["check", "--live"],
    ]);
    assert_no_secret_was_said("alerts list", &list);
    for command in commands {
        let output = run(&scene, &[&command[..], &debug].concat()).await;
        let told = !output.stdout.is_empty() || !output.stderr.is_empty();
        assert!(told, "{command:?} says nothing");
        let succeeds = !command.contains(&"test") || TAKEN.contains(&command[2]);
        assert_eq!(output.status.success(), succeeds, "{command:?}: {output:?}");
        assert_no_secret_was_said(&command.join(" "), &output);
    }
    exporter.signal("HUP").await;
    exporter.wait_for_log("config reloaded").await;
    // What failed was retried above, by now also to the one that asked for a second of rest.
    scene.set_exporters_time("2026-03-04T09:00:02");
    let failing: Vec<&str> = HOOKS
        .into_iter()
        .filter(|hook| !TAKEN.contains(hook))
        .collect();
    wait_for_tries(&exporter, &failing, 2.0).await;
    assert_nothing_is_served(&exporter).await;
    let log = exporter.stop().await;
    assert!(log.contains("template failed"), "{log}");
    assert_no_secret("log", log.as_bytes());
    assert_nothing_is_kept(&scene);
}

#[tokio::test(flavor = "multi_thread")]
async fn places_of_secrets_that_go_bad_do_not_have_what_is_found_there_shown() {
    let scene = scene_of_hooks().await;
    let debug = ["--log.level", "debug"];
    let exporter = Exporter::start(&scene, &debug).await;
    wait_for_tries(&exporter, &HOOKS, 1.0).await;
    let twice = |secret: &str| format!("{secret}\n{secret}\n");
    let mut reloads = 0;
    for (file, _, canary) in SECRETS {
        let good = fs::read_to_string(scene.path(file)).unwrap();
        let mut wrong = vec![twice(&good), format!("{good}\u{7f}"), canary.repeat(5000)];
        match file {
            "signing.secret" => wrong.extend([format!("{canary}=="), format!("whsec_{canary}")]),
            "plain.url" => wrong.extend([
                format!("ftp://{canary}/"),
                format!("{canary}:"),
                format!("http://[{canary}]/"),
                format!("http://u:{canary}@host:99999/{canary}"),
            ]),
            _ => {}
        }
        for content in wrong {
            scene.write(file, &content);
            let output = run(&scene, &["check", "--log.level", "debug"]).await;
            // It stops those alone that need it.
            assert_eq!(
                output.status.code(),
                Some(1),
                "{file}: {content}: {output:?}"
            );
            assert_no_secret_was_said(file, &output);
            let hook = match file {
                "signing.secret" => "failing",
                "routing.key" => "pager",
                "basic.password" => "basic",
                "bearer.token" => "bearer",
                "mail.password" => "mail",
                "plain.url" => "plain",
                _ => "phone",
            };
            let output = run(&scene, &["alerts", "test", hook]).await;
            assert_eq!(output.status.code(), Some(1), "{hook}: {output:?}");
            assert_no_secret_was_said(file, &output);
            exporter.signal("HUP").await;
            reloads += 1;
            exporter
                .wait_until("the reload", |_| {
                    exporter.logged("config reloaded") == reloads
                })
                .await;
            assert_nothing_is_served(&exporter).await;
        }
        scene.write(file, &good);
    }
    for (file, _, canary) in SECRETS {
        let bad = match file {
            "signing.secret" => format!("whsec_{canary}"),
            "plain.url" => format!("http://[{canary}]/"),
            _ => twice(canary),
        };
        scene.write(file, &bad);
    }

    // All of them are bad now, and the exporter that runs tries again: each says so.
    let failing: Vec<&str> = HOOKS
        .into_iter()
        .filter(|hook| !TAKEN.contains(hook) && *hook != "gone")
        .collect();
    scene.set_exporters_time("2026-03-04T09:00:30");
    wait_for_tries(&exporter, &failing, 2.0).await;
    assert_nothing_is_served(&exporter).await;
    let log = exporter.stop().await;
    assert_no_secret("log", log.as_bytes());
    assert_nothing_is_kept(&scene);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_in_a_variable_that_is_wrong_is_not_shown() {
    let mut scene = scene_of_hooks().await;
    let wrong = [
        format!("{VARIABLE_CANARY}:"),
        format!("ftp://{VARIABLE_CANARY}/"),
        format!("http://x/{VARIABLE_CANARY}\nhttp://x/{VARIABLE_CANARY}"),
        format!("http://[{VARIABLE_CANARY}]/"),
    ];
    let commands = [&["check"][..], &["alerts", "test", "variable"], &["serve"]];
    let assert_failed = async |scene: &Scene, wrong: &str, commands: &[&[&str]], code: i32| {
        for command in commands {
            let output = run(scene, &[command, &["--log.level", "debug"][..]].concat()).await;
            assert_eq!(output.status.code(), Some(code), "{wrong}: {output:?}");
            assert_no_secret_was_said(wrong, &output);
        }
    };
    for wrong in wrong {
        scene.environment = vec![("OPS_URL", wrong.clone())];
        assert_failed(&scene, &wrong, &commands[..2], 1).await;
    }
    // A good one that leads to where hooks may not lead, and secrets in the place of names.
    scene.environment = vec![("OPS_URL", format!("https://127.0.0.1/{VARIABLE_CANARY}"))];
    let config = fs::read_to_string(scene.path("config.toml")).unwrap();
    for (good, wrong) in [
        ("allow_private = true", "".to_owned()),
        (
            "url_env = \"OPS_URL\"",
            format!("url_env = \"{VARIABLE_CANARY}\""),
        ),
        (
            "url_env = \"OPS_URL\"",
            format!("url = \"https://x/{VARIABLE_CANARY}\""),
        ),
        ("\"bearer.token\"", format!("\"{}\"", SECRETS[3].1)),
        (
            "password_file = \"mail.password\"",
            format!("password = \"{}\"", SECRETS[4].1),
        ),
        ("[\"signing.secret\"]", format!("[\"{}\"]", SECRETS[0].1)),
    ] {
        assert!(config.contains(good), "{good}");
        scene.write("config.toml", &config.replace(good, &wrong));
        assert_failed(&scene, &wrong, &commands, 2).await;
    }
}
