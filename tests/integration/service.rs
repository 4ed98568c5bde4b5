//! The exporter as a service of systemd: its units, and what it tells the manager of itself.

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use tokio::net::UnixDatagram;

use crate::harness::{Exporter, PATIENCE, Scene};

const NOW: &str = "2026-03-10T09:00:00";

/// A service manager that listens for what an exporter says, and takes it for dead after [`Manager::WAIT`].
struct Manager {
    socket: UnixDatagram,
    path: String,
}

impl Manager {
    /// Long enough for a busy machine, and shorter than the ledger waits for who holds its file.
    const WAIT: Duration = Duration::from_secs(4);

    fn new(scene: &Scene) -> Self {
        let path = scene.path("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let path = path.display().to_string();
        Self { socket, path }
    }

    /// One whose socket is in no folder.
    fn abstract_one(scene: &Scene) -> Self {
        let name = scene.path("notify").display().to_string();
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = std::os::unix::net::UnixDatagram::bind_addr(&address).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self {
            socket: UnixDatagram::from_std(socket).unwrap(),
            path: format!("@{name}"),
        }
    }

    async fn start(&self, scene: &Scene) -> Exporter {
        self.start_waiting(scene, Self::WAIT).await
    }

    async fn start_waiting(&self, scene: &Scene, wait: Duration) -> Exporter {
        let wait = wait.as_micros().to_string();
        let variables = [("NOTIFY_SOCKET", &*self.path), ("WATCHDOG_USEC", &*wait)];
        Exporter::start_with(scene, &[], &variables).await
    }

    /// What is said next, a line each.
    async fn next(&self) -> String {
        let mut buffer = [0; 4096];
        let said = tokio::time::timeout(PATIENCE, self.socket.recv(&mut buffer)).await;
        let length = said.expect("nothing is said").unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    /// What is said until something contains `text`, that included.
    async fn until(&self, text: &str) -> Vec<String> {
        let mut all = Vec::new();
        let heard = async {
            loop {
                let said = self.next().await;
                let found = said.contains(text);
                all.push(said);
                if found {
                    break;
                }
            }
        };
        let heard = tokio::time::timeout(PATIENCE, heard).await;
        assert!(heard.is_ok(), "{text} is not said, but {all:?}");
        all
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manager_hears_of_the_start_of_syncs_of_reloads_and_of_the_end() {
    let scene = Scene::new(NOW);
    let manager = Manager::new(&scene);
    let exporter = manager.start(&scene).await;
    let first = manager.next().await;
    assert!(first.starts_with("READY=1\nSTATUS=5 agents"), "{first}");
    // It is true: all is there that is promised.
    let (head, _) = exporter.get("/-/ready", "").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    exporter.wait_until_whole(&scene).await;
    let ended = "STATUS=5 agents, the last sync ended 2026-03-10 09:00 UTC (complete), the next is \
                 due 2026-03-11 00:10 UTC\n";
    manager.until(ended).await;
    manager.until("WATCHDOG=1\n").await;

    exporter.signal("HUP").await;
    let reloading = manager.until("RELOADING=1\nMONOTONIC_USEC=").await;
    let at = reloading.last().unwrap().lines().last().unwrap();
    assert!(
        at["MONOTONIC_USEC=".len()..].parse::<u64>().unwrap() > 0,
        "{at}"
    );
    let ready = manager.next().await;
    assert!(ready.starts_with("READY=1\nSTATUS=5 agents"), "{ready}");
    assert!(!ready.contains("not reloaded"), "{ready}");

    let config = fs::read_to_string(scene.path("config.toml")).unwrap();
    scene.write("config.toml", "[sever]\n");
    exporter.signal("HUP").await;
    manager.until("RELOADING=1").await;
    let ready = manager.next().await;
    assert!(ready.starts_with("READY=1\n"), "{ready}");
    let reason = "; config not reloaded: config.toml:1:2: ";
    assert!(ready.contains(reason), "{ready}");
    scene.write("config.toml", &config);
    exporter.signal("HUP").await;
    manager.until("RELOADING=1").await;
    let ready = manager.next().await;
    assert!(!ready.contains("not reloaded"), "{ready}");

    exporter.stop().await;
    let last = manager.until("STOPPING=1").await;
    let last = last.last().unwrap();
    assert_eq!(
        last,
        "STOPPING=1\nSTATUS=finishing what is under way\nWATCHDOG=1\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_whose_socket_is_in_no_folder_hears_the_same() {
    let scene = Scene::new(NOW);
    let manager = Manager::abstract_one(&scene);
    let exporter = manager.start(&scene).await;
    let first = manager.next().await;
    assert!(first.starts_with("READY=1\nSTATUS=5 agents"), "{first}");
    manager.until("WATCHDOG=1\n").await;
    exporter.stop().await;
    manager.until("STOPPING=1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exporter_whose_reload_hangs_is_no_longer_said_to_be_alive() {
    let scene = Scene::new(NOW);
    let manager = Manager::new(&scene);
    let exporter = manager.start(&scene).await;
    exporter.wait_until_whole(&scene).await;
    // Somebody writes into the ledger, and goes on and on.
    let other = rusqlite::Connection::open(scene.path("ledger.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    exporter.signal("HUP").await;
    manager.until("RELOADING=1").await;
    let stuck = manager.until("the reload has been stuck for ").await;
    let stuck = stuck.last().unwrap();
    assert!(!stuck.contains("WATCHDOG"), "{stuck}");

    other.execute_batch("ROLLBACK").unwrap();
    manager.until("READY=1\n").await;
    manager.until("WATCHDOG=1\n").await;

    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    // One that hangs for good ends all the same when it is told to.
    exporter.signal("HUP").await;
    manager.until("RELOADING=1").await;
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exporter_whose_reload_waits_for_a_locked_ledger_is_said_to_be_alive() {
    let scene = Scene::new(NOW);
    let manager = Manager::new(&scene);
    // Twice as long as SQLite waits for a lock, and more.
    let exporter = manager.start_waiting(&scene, 4 * Manager::WAIT).await;
    exporter.wait_until_whole(&scene).await;
    let other = rusqlite::Connection::open(scene.path("ledger.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    exporter.signal("HUP").await;
    manager.until("RELOADING=1").await;
    for _ in 0..4 {
        let said = manager.until("WATCHDOG=1\n").await;
        assert!(!said.concat().contains("READY=1"), "{said:?}");
    }
    other.execute_batch("ROLLBACK").unwrap();
    manager.until("READY=1\n").await;
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exporter_with_a_part_that_is_stuck_is_no_longer_said_to_be_alive() {
    let scene = Scene::new(NOW);
    let manager = Manager::new(&scene);
    let exporter = manager.start(&scene).await;
    exporter.wait_until_whole(&scene).await;
    manager.until("WATCHDOG=1\n").await;
    // Somebody holds the ledger's file, and there is something to be written.
    let other = rusqlite::Connection::open(scene.path("ledger.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    scene.set_time("2026-03-11T00:10:00");
    manager.until("STATUS=the ledger has been stuck for ").await;
    exporter
        .wait_for_log("unless that changes, systemd stops the exporter within 4 s")
        .await;

    other.execute_batch("ROLLBACK").unwrap();
    let said = manager.until("STATUS=5 agents").await;
    let (goes_on, stuck) = said.split_last().unwrap();
    assert!(goes_on.ends_with("WATCHDOG=1\n"), "{goes_on}");
    for said in stuck {
        assert!(
            said.starts_with("STATUS=the ledger has been stuck for "),
            "{said}"
        );
        assert!(!said.contains("WATCHDOG"), "{said}");
    }
    exporter
        .wait_for_log("all components make progress again")
        .await;
    exporter.wait_until_whole(&scene).await;
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_listens_to_nothing_is_told_nothing_and_misses_nothing() {
    let scene = Scene::new(NOW);
    let gone = scene.path("nobody").display().to_string();
    let exporter = Exporter::start_with(&scene, &[], &[("NOTIFY_SOCKET", &gone)]).await;
    exporter.wait_until_whole(&scene).await;
    let log = exporter.stop().await;
    let told = log.matches("cannot notify systemd: No such file").count();
    assert_eq!(told, 1, "{log}");
}

/// The units that are shipped.
fn units() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/systemd")
}

/// Runs `systemd-analyze`, which looks at files and needs no running systemd.
fn analyze(arguments: &[&str], unit: &Path) -> (bool, String) {
    let output = Command::new("systemd-analyze")
        .arg("--no-pager")
        .args(arguments)
        .arg(unit)
        .output();
    let Output {
        status,
        stdout,
        stderr,
    } = output.expect("systemd-analyze is of package systemd");
    let text = String::from_utf8([stdout, stderr].concat()).unwrap();
    (status.success(), text)
}

/// The text of the service as it would be started here, with that in place of `from`.
fn service_with(folder: &Path, from: &str, to: &str) -> PathBuf {
    let text = fs::read_to_string(units().join("flowgent-exporter.service")).unwrap();
    let program = env!("CARGO_BIN_EXE_flowgent-exporter");
    let here = text.replace("/usr/bin/flowgent-exporter", program);
    assert!(here != text && here.contains(from), "{text}");
    let path = folder.join("flowgent-exporter.service");
    fs::write(&path, here.replace(from, to)).unwrap();
    path
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    let folder = tempfile::tempdir().unwrap();
    let verify = ["verify", "--man=no"];
    let service = service_with(folder.path(), "[Service]", "[Service]");
    assert_eq!(analyze(&verify, &service), (true, String::new()));
    let drop_ins = folder.path().join("flowgent-exporter.service.d");
    fs::create_dir(&drop_ins).unwrap();
    fs::copy(units().join("hooks.conf"), drop_ins.join("hooks.conf")).unwrap();
    assert_eq!(analyze(&verify, &service), (true, String::new()));

    let socket = folder.path().join("flowgent-exporter.socket");
    fs::copy(units().join("flowgent-exporter.socket"), &socket).unwrap();
    assert_eq!(analyze(&verify, &socket), (true, String::new()));

    let service = service_with(folder.path(), "ProtectHome=yes", "ProtectHouse=yes");
    let (_, told) = analyze(&verify, &service);
    assert!(told.contains("'ProtectHouse'"), "{told}");
}

#[test]
fn the_service_is_exposed_to_little() {
    let folder = tempfile::tempdir().unwrap();
    // In tenths: 1.2 of 10.
    let security = ["security", "--offline=true", "--threshold=12"];
    let service = service_with(folder.path(), "[Service]", "[Service]");
    let (good, told) = analyze(&security, &service);
    assert!(good, "{told}");
    let service = service_with(folder.path(), "SystemCallFilter=", "# ");
    let (good, told) = analyze(&security, &service);
    assert!(!good, "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_has_few_heaps_under_its_own_name_unless_somebody_says_otherwise() {
    let scene = Scene::new(NOW);
    for (given, expected) in [(&[][..], "2"), (&[("MALLOC_ARENA_MAX", "5")][..], "5")] {
        let exporter = Exporter::start_with(&scene, &[], given).await;
        let process = format!("/proc/{}", exporter.pid());
        let variables = fs::read(format!("{process}/environ")).unwrap();
        let mut variables = variables.split(|byte| *byte == 0);
        let expected = format!("MALLOC_ARENA_MAX={expected}");
        assert!(variables.any(|variable| variable == expected.as_bytes()));
        let name = fs::read_to_string(format!("{process}/comm")).unwrap();
        assert_eq!(name, "flowgent-export\n");
        exporter.stop().await;
    }
}
