//! `health`: what containers and people are told of a running exporter.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::{Ran, ran};
use crate::harness::Scene;

const NOW: &str = "2026-03-10T09:00:00";

/// Asks at `address`, with those further arguments.
async fn asked(scene: &Scene, address: impl std::fmt::Display, more: &[&str]) -> Ran {
    let url = format!("http://{address}");
    ran(scene, &[&["health", "--url", &url], more].concat()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_exporter_is_healthy_and_ready_whatever_has_become_of_its_config() {
    let scene = Scene::new(NOW);
    let exporter = scene.start().await;
    exporter.wait_until_whole(&scene).await;
    let address = exporter.address();
    // Everything but the address is wrong by now.
    let config = format!("[server]\nlisten = [\"{address}\"]\n[storage]\npth = 1\n[[account]]\n");
    scene.write("config.toml", &config);
    for (arguments, word) in [
        (&["health"][..], "healthy"),
        (&["health", "--ready"], "ready"),
    ] {
        let told = ran(&scene, arguments).await;
        let expected = format!("the exporter on {address} is {word}\n");
        assert_eq!((told.stdout, told.stderr.as_str()), (expected, ""));
        assert_eq!(told.code, 0);
    }
    let told = asked(&scene, address, &["--ready"]).await;
    assert_eq!(told.code, 0, "{}", told.stderr);

    exporter.stop().await;
    ran(&scene, &["health"]).await.assert_refused(
        1,
        &format!("error: no exporter answers on {address}: Connection refused (os error 111)\n"),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_exporter_or_is_not_ready_fails_and_is_named() {
    let scene = Scene::new(NOW);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answers = [
        (
            "HTTP/1.1 503 Service Unavailable\r\n\r\nnot ready: the ledger is loading\n",
            "the exporter on ADDRESS is not ready: the ledger is loading",
        ),
        (
            "HTTP/1.1 200 OK\r\n\r\n<html>a wiki</html>",
            "the program on ADDRESS is not this exporter: status 200 for /-/ready",
        ),
        (
            "HTTP/1.1 404 Not Found\r\n\r\n",
            "the program on ADDRESS is not this exporter: status 404 for /-/ready",
        ),
        (
            "SSH-2.0-OpenSSH\r\n",
            "the program on ADDRESS does not speak HTTP",
        ),
        ("", "the program on ADDRESS does not speak HTTP"),
    ];
    let (texts, told): (Vec<_>, Vec<_>) = answers.into_iter().unzip();
    tokio::spawn(async move {
        for text in texts {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(text.as_bytes()).await.unwrap();
            // Whatever was asked is taken before the connection ends, or it would end as broken.
            stream.shutdown().await.unwrap();
            let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
        }
    });
    for expected in told {
        let told = asked(&scene, address, &["--ready"]).await;
        let expected = expected.replace("ADDRESS", &address.to_string());
        told.assert_refused(1, &format!("error: {expected}\n"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_address_is_wrong_usage() {
    let scene = Scene::new(NOW);
    for url in [
        "ftp://localhost",
        "http://user:word@localhost",
        "http://localhost/x",
        "mailto:a",
    ] {
        ran(&scene, &["health", "--url", url]).await.assert_refused(
            2,
            "error: --url takes an address such as http://localhost:13569\n",
        );
    }
    scene.write("config.toml", "[server]\nlisten = [\"localhost\"]\n");
    let told = ran(&scene, &["health"]).await;
    assert!(
        told.stderr
            .contains("`localhost` is not an address and a port"),
        "{}",
        told.stderr
    );
    assert_eq!(told.code, 2);
}
