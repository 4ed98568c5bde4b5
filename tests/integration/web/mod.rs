//! What protects the exporter, seen with the tools that people have: curl, openssl, htpasswd and
//! Prometheus.

mod pki;
mod sockets;
mod strangers;

use std::process::{Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flowgent_exporter::clock::{Clock, SystemClock};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::harness::{Exporter, Generation, Scene, Tsdb, run, wait_for};
use pki::Pki;

const NOW: &str = "2026-03-10T09:00:00";

/// Runs a tool in the scene's folder, with that on its standard input.
pub async fn tool(scene: &Scene, program: &str, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(scene.folder())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}: tests/run installs it"));
    let mut stdin = child.stdin.take().unwrap();
    // Some do not read it.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    child.wait_with_output().await.unwrap()
}

/// The status code that curl is answered with; 000 if with none.
pub async fn curl(scene: &Scene, arguments: &[&str]) -> String {
    let fixed = [
        "-sS",
        "--max-time",
        "60",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
    ];
    let output = tool(scene, "curl", &[&fixed, arguments].concat(), "").await;
    String::from_utf8(output.stdout).unwrap()
}

/// A line of `basic_auth_users`, as htpasswd makes it.
async fn htpasswd(scene: &Scene, user: &str, password: &str) -> String {
    hashed(scene, "5", user, password).await
}

/// The same with another cost.
async fn hashed(scene: &Scene, cost: &str, user: &str, password: &str) -> String {
    let output = tool(scene, "htpasswd", &["-niBC", cost, user], password).await;
    let line = String::from_utf8(output.stdout).unwrap();
    format!("  {}\n", line.trim().replace(':', ": "))
}

/// Everything that a web config can demand, and one user.
async fn demanding(scene: &Scene, user: &str, password: &str) -> String {
    let user = htpasswd(scene, user, password).await;
    format!(
        "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n  client_ca_file: ca.pem\n  \
         client_auth_type: RequireAndVerifyClientCert\nbasic_auth_users:\n{user}"
    )
}

async fn start(scene: &Scene) -> Exporter {
    Exporter::start(scene, &["--web.config.file", "web.yml"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_is_let_in_with_a_certificate_and_a_password_only() {
    let scene = Scene::new(NOW);
    let pki = Pki::new(&scene);
    pki.issue(&scene, "server", "localhost", 4000);
    pki.issue(&scene, "client", "curl.example", 4000);
    pki.issue(&scene, "expired", "curl.example", 2026);
    Pki::new(&Scene::new(NOW)).issue(&scene, "stranger", "curl.example", 4000);
    scene.write("web.yml", &demanding(&scene, "alice", "swordfish").await);
    let exporter = start(&scene).await;
    let url = format!("https://localhost:{}/metrics", exporter.address().port());
    let asked = async |more: &[&str]| {
        let all = [&["--cacert", "ca.pem", &url][..], more].concat();
        curl(&scene, &all).await
    };
    let with = |name: &str| {
        [
            "--cert".to_owned(),
            format!("{name}.pem"),
            "--key".to_owned(),
            format!("{name}.key"),
        ]
    };
    for (identity, login, expected) in [
        (Some("client"), Some("alice:swordfish"), "200"),
        (Some("client"), Some("alice:Swordfish"), "401"),
        (Some("client"), Some("bob:swordfish"), "401"),
        (Some("client"), None, "401"),
        (None, Some("alice:swordfish"), "000"),
        (Some("expired"), Some("alice:swordfish"), "000"),
        (Some("stranger"), Some("alice:swordfish"), "000"),
    ] {
        let identity = identity.map(with).into_iter().flatten();
        let login = login
            .into_iter()
            .flat_map(|login| ["-u".to_owned(), login.to_owned()]);
        let arguments: Vec<String> = identity.chain(login).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        assert_eq!(asked(&arguments).await, expected, "{arguments:?}");
    }
    let plain = url.replace("https", "http");
    assert_eq!(curl(&scene, &[&plain]).await, "400");
    let told = run(
        &scene,
        &["health", "--url", &format!("http://{}", exporter.address())],
    )
    .await;
    assert_eq!(
        String::from_utf8(told.stdout).unwrap(),
        format!(
            "the exporter on {} is healthy: it answers, and asks for TLS\n",
            exporter.address()
        )
    );
    for secret in ["swordfish", "Swordfish"] {
        assert_eq!(exporter.logged(secret), 0, "{secret}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn openssl_agrees_on_tls_1_2_and_1_3_and_on_nothing_older() {
    let scene = Scene::new(NOW);
    Pki::new(&scene).issue(&scene, "server", "localhost", 4000);
    let tls = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n";
    scene.write("web.yml", tls);
    let exporter = start(&scene).await;
    let address = exporter.address().to_string();
    let shaken = async |version: &str| {
        // Debian's openssl would not offer the old ones by itself.
        let arguments = [
            "s_client",
            "-connect",
            &address,
            "-CAfile",
            "ca.pem",
            "-brief",
            version,
            "-cipher",
            "DEFAULT@SECLEVEL=0",
        ];
        let output = tool(&scene, "openssl", &arguments, "").await;
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    for (version, expected) in [
        // Their hello has none of the extensions that newer versions need.
        ("-tls1", "alert handshake failure"),
        ("-tls1_1", "alert handshake failure"),
        ("-tls1_2", "Protocol version: TLSv1.2"),
        ("-tls1_3", "Protocol version: TLSv1.3"),
    ] {
        let told = shaken(version).await;
        assert!(told.contains(expected), "{version}: {told}");
    }
    scene.write("web.yml", &format!("{tls}  min_version: TLS13\n"));
    let told = shaken("-tls1_2").await;
    assert!(told.contains("alert protocol version"), "{told}");
}

/// What curl needs to be let in, with that login.
fn with<'a>(login: &'a str, url: &'a str) -> [&'a str; 9] {
    [
        "--cacert",
        "ca.pem",
        "--cert",
        "client.pem",
        "--key",
        "client.key",
        "-u",
        login,
        url,
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_and_users_are_changed_without_a_failed_scrape() {
    let scene = Arc::new(Scene::new(NOW));
    let pki = Pki::new(&scene);
    pki.issue(&scene, "server", "localhost", 4000);
    pki.issue(&scene, "client", "curl.example", 4000);
    scene.write("web.yml", &demanding(&scene, "alice", "one").await);
    let exporter = start(&scene).await;
    let url = format!("https://localhost:{}/metrics", exporter.address().port());
    let done = Arc::new(AtomicBool::new(false));
    let scrapers: Vec<_> = (0..2)
        .map(|_| {
            let (scene, url, done) = (Arc::clone(&scene), url.clone(), Arc::clone(&done));
            tokio::spawn(async move {
                let mut scrapes = 0;
                while !done.load(Ordering::SeqCst) {
                    let code = curl(&scene, &with("alice:one", &url)).await;
                    assert_eq!(code, "200", "scrape {scrapes}");
                    scrapes += 1;
                }
                scrapes
            })
        })
        .collect();
    let reloads = |exporter: &Exporter| exporter.logged("web config reloaded");
    let alice = htpasswd(&scene, "alice", "one").await;
    for round in 0..5 {
        let before = reloads(&exporter);
        // As tools do: the file is written anew where it stands, certificate and key one after another.
        pki.issue(&scene, "server", "localhost", 4000);
        let users = htpasswd(&scene, &format!("user-{round}"), "two").await;
        let config = demanding(&scene, "bob", "three").await;
        scene.write("web.yml", &format!("{config}{users}{alice}"));
        wait_for("the new files at work", async || {
            let login = format!("user-{round}:two");
            let code = curl(&scene, &with(&login, &url)).await;
            if code == "200" { Ok(()) } else { Err(code) }
        })
        .await;
        assert!(reloads(&exporter) > before);
    }
    done.store(true, Ordering::SeqCst);
    for scraper in scrapers {
        assert!(scraper.await.unwrap() > 5);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_scrapes_with_a_certificate_and_a_password() {
    let scene = Scene::new(NOW);
    let pki = Pki::new(&scene);
    pki.issue(&scene, "server", "localhost", 4000);
    pki.issue(&scene, "client", "prometheus.example", 4000);
    let config = demanding(&scene, "prometheus", "swordfish").await;
    let names = "  client_allowed_sans: [prometheus.example]\n";
    scene.write(
        "web.yml",
        &config.replace("basic_auth", &format!("{names}basic_auth")),
    );
    let exporter = start(&scene).await;
    let target = format!("localhost:{}", exporter.address().port());
    let folder = scene.folder().display();
    let job = |name: &str, password: &str| {
        format!(
            "  - job_name: {name}\n    scheme: https\n    static_configs: [{{targets: ['{target}']}}]\n    \
             basic_auth: {{username: prometheus, password: {password}}}\n    \
             tls_config: {{ca_file: {folder}/ca.pem, cert_file: {folder}/client.pem, key_file: {folder}/client.key}}\n"
        )
    };
    let config = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n{}{}",
        job("right", "swordfish"),
        job("wrong", "sardine")
    );
    for generation in Generation::BOTH {
        let mut prometheus = Tsdb::prometheus(&config, &[]).of(generation);
        prometheus.start().await;
        wait_for("a scrape by each job", async || {
            let found = prometheus.query("up", SystemClock.now()).await?;
            let up = |job: &str| {
                let series = found.iter().find(|series| series.label("job") == job);
                series
                    .and_then(|series| series.points.last())
                    .map(|(_, value)| *value)
            };
            match (up("right"), up("wrong")) {
                (Some(1.0), Some(0.0)) => Ok(()),
                seen => Err(format!("{seen:?}\n{}", exporter.log())),
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_over_http_says_what_became_of_it() {
    let scene = Scene::new(NOW);
    let good = scene.config("");
    let exporter = Exporter::start(&scene, &["--web.enable-lifecycle"]).await;
    let url = format!("http://{}/-/reload", exporter.address());
    let post = async || {
        let output = tool(
            &scene,
            "curl",
            &["-sS", "-X", "POST", "-w", "%{http_code}", &url],
            "",
        )
        .await;
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(post().await, "config reloaded\n200");
    scene.write("config.toml", &good.replace("jitter", "jiter"));
    let told = post().await;
    assert!(
        told.starts_with("config not reloaded; the previous one stays active: config.toml:"),
        "{told}"
    );
    assert!(told.ends_with("500"), "{told}");
    scene.write("config.toml", &good);
    assert_eq!(post().await, "config reloaded\n200");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_config_that_is_wrong_is_wrong_usage() {
    let scene = Scene::new(NOW);
    scene.write("web.yml", "basic_auth_users:\n  alice: canary\n");
    let refused = run(&scene, &["--web.config.file", "web.yml"]).await;
    assert_eq!(refused.status.code(), Some(2));
    let told = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(
        told,
        "error: web.yml:2:10: user `alice` has no bcrypt hash of a password: make one with `htpasswd -nBC 10 \
         alice`\n"
    );
    let config = scene
        .config("")
        .replace("[server]\n", "[server]\nweb_config_file = \"web.yml\"\n");
    scene.write("config.toml", &config);
    let checked = run(&scene, &["check"]).await;
    assert_eq!(checked.status.code(), Some(2));
    scene.write(
        "web.yml",
        &format!(
            "basic_auth_users:\n{}",
            htpasswd(&scene, "alice", "one").await
        ),
    );
    let checked = run(&scene, &["check"]).await;
    assert_eq!(checked.status.code(), Some(0));
    let told = [checked.stdout, checked.stderr].concat();
    let told = String::from_utf8(told).unwrap();
    assert!(
        told.contains("web config: passwords travel unencrypted"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_config_is_found_among_the_credentials_of_a_service() {
    let mut scene = Scene::new(NOW);
    let config = scene.config("").replace(
        "[server]\n",
        "[server]\nweb_config_file = \"keys/web.yml\"\n",
    );
    scene.write("config.toml", &config);
    let users = htpasswd(&scene, "alice", "one").await;
    // As systemd names what it loads from a folder `keys`.
    scene.write("keys_web.yml", &format!("basic_auth_users:\n{users}"));
    assert_eq!(run(&scene, &["check"]).await.status.code(), Some(2));
    let credentials = scene.folder().display().to_string();
    scene
        .environment
        .push(("CREDENTIALS_DIRECTORY", credentials));
    assert_eq!(run(&scene, &["check"]).await.status.code(), Some(0));
}
