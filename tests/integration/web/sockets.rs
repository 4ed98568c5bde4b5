//! Unix sockets, and sockets that systemd hands over.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use tokio::process::Command;

use super::{NOW, curl, tool};
use crate::harness::{Exporter, Scene, command, run, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn a_unix_socket_is_served_beside_an_address_and_is_gone_in_the_end() {
    let scene = Scene::new(NOW);
    let path = scene.path("web.sock");
    let address = format!("unix:{}", path.display());
    let both = [
        "--web.listen-address",
        "127.0.0.1:0",
        "--web.listen-address",
        &address,
    ];
    let exporter = Exporter::start(&scene, &both).await;
    exporter.wait_for_log(&format!("address={address} ")).await;
    let mode = path.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let by_socket = ["--unix-socket", "web.sock", "http://localhost/metrics"];
    assert_eq!(curl(&scene, &by_socket).await, "200");
    let told = run(&scene, &["--web.listen-address", &address]).await;
    let said = String::from_utf8(told.stderr).unwrap();
    assert!(
        said.contains(&format!("error: cannot listen on {address}: ")),
        "{said}"
    );
    assert_eq!(curl(&scene, &by_socket).await, "200");
    // A killed one leaves its socket behind, and the next one takes its place.
    exporter.kill().await;
    assert!(path.exists());
    let exporter = Exporter::start(&scene, &both).await;
    assert_eq!(curl(&scene, &by_socket).await, "200");
    exporter.stop().await;
    assert!(!path.exists());
}

/// Opens sockets as systemd does, and becomes the program that follows.
const HAND_OVER: &str = "
import os, socket, sys
inet = socket.socket(); inet.bind(('127.0.0.1', 0)); inet.listen()
unix = socket.socket(socket.AF_UNIX); unix.bind('handed.sock'); unix.listen()
print(inet.getsockname()[1], flush=True)
copies = [os.dup(s.fileno()) for s in (inet, unix)]
for number, copy in enumerate(copies, 3):
    os.dup2(copy, number, inheritable=True)
os.environ.update(LISTEN_FDS='2', LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[1], sys.argv[1:])
";

#[tokio::test(flavor = "multi_thread")]
async fn the_sockets_of_systemd_are_served_and_stay() {
    let scene = Scene::new(NOW);
    let prototype = command(&scene);
    let prototype = prototype.as_std();
    let mut child = Command::new("/usr/bin/python3")
        .args(["-c", HAND_OVER])
        .arg(prototype.get_program())
        .args(prototype.get_args())
        .arg("--web.systemd-socket")
        .current_dir(scene.folder())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(scene.path("log")).unwrap())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let by_socket = ["--unix-socket", "handed.sock", "http://localhost/-/healthy"];
    wait_for("an answer by the unix socket", async || {
        match curl(&scene, &by_socket).await.as_str() {
            "200" => Ok(()),
            other => Err(format!(
                "{other}\n{}",
                std::fs::read_to_string(scene.path("log")).unwrap()
            )),
        }
    })
    .await;
    let port = wait_for("the address in the log", async || {
        let log = std::fs::read_to_string(scene.path("log")).unwrap();
        let mut words = log.split_whitespace();
        let port = words.find_map(|word| word.strip_prefix("address=127.0.0.1:"));
        port.map(str::to_owned).ok_or_else(|| log.clone())
    })
    .await;
    let url = format!("http://127.0.0.1:{port}/-/healthy");
    assert_eq!(curl(&scene, &[&url]).await, "200");
    let evil = [&url, "-H", "Host: evil.example"];
    assert_eq!(curl(&scene, &evil).await, "421");
    let by_socket = [&by_socket[..], &evil[1..]].concat();
    assert_eq!(curl(&scene, &by_socket).await, "200");
    let pid = child.id().unwrap().to_string();
    tool(&scene, "kill", &[&pid], "").await;
    child.wait().await.unwrap();
    assert!(scene.path("handed.sock").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_socket_of_systemd_there_is_nothing_to_serve() {
    let scene = Scene::new(NOW);
    let told = run(&scene, &["--web.systemd-socket"]).await;
    assert_eq!(told.status.code(), Some(1));
    let said = String::from_utf8(told.stderr).unwrap();
    assert_eq!(
        said.lines().last(),
        Some(
            "error: systemd has handed over no socket: is there a socket unit, and was it started?"
        ),
        "{said}"
    );
}
