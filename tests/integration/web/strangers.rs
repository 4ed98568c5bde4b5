//! Web pages that want more than they may, and people who try passwords out.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::pki::Pki;
use super::{NOW, curl, hashed, start};
use crate::harness::{Exporter, Scene};

/// The status of a request with those arguments of curl.
async fn asked(scene: &Scene, url: &str, more: &[&str]) -> String {
    curl(scene, &[&[url], more].concat()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_leads_its_name_to_this_machine_reads_nothing() {
    let scene = Scene::new(NOW);
    let config = scene.config("");
    let exporter = scene.start().await;
    let port = exporter.address().port();
    let to = |host: &str| format!("http://{host}:{port}");
    // As a browser finds the name: it leads here.
    let rebound = format!("evil.example:{port}:127.0.0.1");
    let ours = format!("metrics.example.org:{port}:127.0.0.1");
    for path in ["/", "/metrics", "/-/healthy", "/api/v1/status", "/nothing"] {
        let evil = to("evil.example") + path;
        assert_eq!(
            asked(&scene, &evil, &["--resolve", &rebound]).await,
            "421",
            "{path}"
        );
    }
    let metrics = to("metrics.example.org") + "/metrics";
    let resolve = ["--resolve", ours.as_str()];
    assert_eq!(asked(&scene, &metrics, &resolve).await, "421");
    for own in ["localhost", "127.0.0.1"] {
        assert_eq!(asked(&scene, &(to(own) + "/metrics"), &[]).await, "200");
    }
    // A reload is enough to allow for another name.
    let hosts = "[server]\nhosts = [\"metrics.example.org\"]\n";
    scene.write("config.toml", &config.replace("[server]\n", hosts));
    exporter.signal("HUP").await;
    exporter.wait_for_log("config reloaded").await;
    assert_eq!(asked(&scene, &metrics, &resolve).await, "200");
    let evil = to("evil.example") + "/metrics";
    assert_eq!(asked(&scene, &evil, &["--resolve", &rebound]).await, "421");
    assert_eq!(exporter.logged("at the next start"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_sockets_take_any_host_unless_the_config_has_some() {
    let scene = Scene::new(NOW);
    let socket = scene.path("web.sock");
    let config = scene.config("");
    for (hosts, expected) in [("", "200"), ("hosts = [\"metrics.example.org\"]\n", "421")] {
        scene.write(
            "config.toml",
            &config.replace("[server]\n", &format!("[server]\n{hosts}")),
        );
        let listen = format!("unix:{}", socket.display());
        let both = [
            "--web.listen-address",
            "0.0.0.0:0",
            "--web.listen-address",
            &listen,
        ];
        let exporter = Exporter::start(&scene, &both).await;
        let url = format!("http://127.0.0.1:{}/metrics", exporter.address().port());
        let evil = ["-H", "Host: evil.example"];
        assert_eq!(asked(&scene, &url, &evil).await, expected, "{hosts}");
        assert_eq!(asked(&scene, &url, &[]).await, "200");
        let by_socket = ["--unix-socket", "web.sock"];
        let evil = "http://evil.example/metrics";
        assert_eq!(asked(&scene, evil, &by_socket).await, "200", "{hosts}");
        exporter.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_cannot_ask_for_a_reload() {
    let scene = Scene::new(NOW);
    let exporter = Exporter::start(&scene, &["--web.enable-lifecycle"]).await;
    let own = format!("http://localhost:{}", exporter.address().port());
    let url = format!("{own}/-/reload");
    let own = format!("Origin: {own}");
    for header in [
        "Origin: http://evil.example",
        "Origin: http://localhost:3000",
        "Origin: null",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
    ] {
        for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
            let status = asked(&scene, &url, &["-X", method, "-H", header]).await;
            assert_eq!(status, "403", "{method} {header}");
        }
    }
    assert_eq!(exporter.logged("config reloaded"), 0);
    for header in [
        own.as_str(),
        "Sec-Fetch-Site: same-origin",
        "Sec-Fetch-Site: none",
        "X: y",
    ] {
        let status = asked(&scene, &url, &["-X", "POST", "-H", header]).await;
        assert_eq!(status, "200", "{header}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_login_does_not_wait_behind_wrong_ones() {
    const WRONG: usize = 20;
    let scene = Arc::new(Scene::new(NOW));
    let users = ["alice", "bob"];
    let mut config = "basic_auth_users:\n".to_owned();
    for user in users {
        config += &hashed(&scene, "11", user, "swordfish").await;
    }
    scene.write("web.yml", &config);
    // By another address, by another name, and by nothing but the password.
    for (user, address) in [
        ("alice", "127.0.0.2"),
        ("bob", "127.0.0.1"),
        ("alice", "127.0.0.1"),
    ] {
        let exporter = start(&scene).await;
        let url = Arc::new(format!("http://{}/metrics", exporter.address()));
        let mut wrong = JoinSet::new();
        for password in 0..WRONG {
            let (scene, url) = (Arc::clone(&scene), Arc::clone(&url));
            wrong.spawn(async move {
                let login = format!("alice:{password}");
                asked(&scene, &url, &["-u", &login]).await
            });
        }
        // Some have failed by now, and the others wait.
        for _ in 0..2 {
            assert_eq!(wrong.join_next().await.unwrap().unwrap(), "401");
        }
        let login = format!("{user}:swordfish");
        let first = asked(&scene, &url, &["-u", &login, "--interface", address]).await;
        assert_eq!(first, "200");
        let mut waited = 0;
        while let Some(done) = wrong.try_join_next() {
            assert_eq!(done.unwrap(), "401");
            waited += 1;
        }
        assert!(
            waited < WRONG / 2,
            "{user} from {address}: {waited} of {WRONG} came first"
        );
        wrong.shutdown().await;
        exporter.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_file_of_authorities_those_of_the_system_vouch_for_clients() {
    let mut scene = Scene::new(NOW);
    let pki = Pki::new(&scene);
    pki.issue(&scene, "server", "localhost", 4000);
    pki.issue(&scene, "client", "curl.example", 4000);
    let config = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n  \
                  client_auth_type: VerifyClientCertIfGiven\n";
    scene.write("web.yml", config);
    let identity = [
        "--cacert",
        "ca.pem",
        "--cert",
        "client.pem",
        "--key",
        "client.key",
    ];
    for (authorities, with_certificate) in [(None, "000"), (Some("ca.pem"), "200")] {
        if let Some(name) = authorities {
            let path = scene.path(name).display().to_string();
            scene.environment.push(("SSL_CERT_FILE", path));
        }
        let exporter = start(&scene).await;
        exporter.wait_for_log("without `client_ca_file`").await;
        let url = format!("https://localhost:{}/metrics", exporter.address().port());
        assert_eq!(
            asked(&scene, &url, &identity).await,
            with_certificate,
            "{authorities:?}"
        );
        assert_eq!(asked(&scene, &url, &identity[..2]).await, "200");
        exporter.stop().await;
    }
}
