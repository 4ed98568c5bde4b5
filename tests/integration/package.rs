//! The Debian package: built, installed, run, upgraded, removed and purged on this machine, which is then
//! as it was before.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::net::UnixDatagram;
use tokio::process::Command;

use crate::harness::{PATIENCE, Scene, command, wait_for};

const PACKAGE: &str = "flowgent-exporter";
const ETC: &str = "/etc/flowgent-exporter";
const STATE: &str = "/var/lib/flowgent-exporter";

/// What a package leaves on a machine, or a person who uses it.
const TRACES: [&str; 9] = [
    "/usr/bin/flowgent-exporter",
    "/usr/lib/systemd/system/flowgent-exporter.service",
    "/usr/lib/systemd/system/flowgent-exporter.socket",
    "/etc/systemd/system/multi-user.target.wants/flowgent-exporter.service",
    "/etc/default/flowgent-exporter",
    ETC,
    STATE,
    "/var/lib/private/flowgent-exporter",
    "/var/lib/dpkg/info/flowgent-exporter.list",
];

/// This machine while the package is tried on it. It is cleaned when the test ends, however it ends.
struct Machine {
    /// Two tests at once, of two checkouts, would undo each other's work.
    _lock: File,
}

impl Machine {
    async fn take() -> Self {
        let whoami = Command::new("id").arg("-u").output().await.unwrap();
        let is_root = whoami.stdout == b"0\n";
        assert!(
            is_root,
            "to install a package, this test must be run by root"
        );
        let lock = File::create("/run/lock/flowgent-exporter-package-test").unwrap();
        let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock));
        let lock = lock.await.unwrap().unwrap();
        for path in TRACES {
            let there = Path::new(path).symlink_metadata().is_ok();
            assert!(
                !there,
                "{path} is there: this test would overwrite what this machine uses"
            );
        }
        Self { _lock: lock }
    }

    /// Runs dpkg, waiting for whoever else installs something, and returns what it has printed.
    async fn dpkg(&self, arguments: &[&str]) -> String {
        wait_for(&format!("dpkg {arguments:?}"), async || {
            let output = Command::new("dpkg")
                .args(arguments)
                .env("DEBIAN_FRONTEND", "noninteractive")
                .stdin(Stdio::null())
                .output()
                .await
                .unwrap();
            let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            if text.contains("lock") && !output.status.success() {
                return Err(text);
            }
            assert!(output.status.success(), "{arguments:?}: {text}");
            Ok(text)
        })
        .await
    }

    /// Whether dpkg has that version installed.
    async fn has(&self, version: &str) -> bool {
        let asked = Command::new("dpkg-query")
            .args([
                "--show",
                "--showformat=${db:Status-Status} ${Version}",
                PACKAGE,
            ])
            .output()
            .await
            .unwrap();
        asked.stdout == format!("installed {version}").as_bytes()
    }

    /// The service as systemd would start it: the command line of its unit, its environment, its folder.
    /// Returns when it says that it is ready.
    async fn start(&self, scene: &Scene) -> tokio::process::Child {
        let unit = fs::read_to_string("/usr/lib/systemd/system/flowgent-exporter.service").unwrap();
        let setting = |key: &str| {
            let line = unit.lines().find_map(|line| line.strip_prefix(key));
            line.unwrap_or_else(|| panic!("{key} is not in\n{unit}"))
        };
        assert_eq!(
            setting("EnvironmentFile="),
            "-/etc/default/flowgent-exporter"
        );
        let defaults = fs::read_to_string("/etc/default/flowgent-exporter").unwrap();
        let arguments = defaults
            .lines()
            .find_map(|line| line.strip_prefix("ARGS=\""));
        let arguments = arguments.unwrap().strip_suffix('"').unwrap();
        let line = setting("ExecStart=").replace("$ARGS", arguments);
        let (name, folder) = setting("LoadCredential=").split_once(':').unwrap();
        assert_eq!(setting("StateDirectory="), PACKAGE);
        fs::create_dir_all(STATE).unwrap();
        let own = setting("ExecStartPre=+");
        let mut own = own.split_whitespace();
        let owned = Command::new(own.next().unwrap()).args(own).status().await;
        assert!(owned.unwrap().success());
        let credentials = scene.path("credentials");
        fs::create_dir_all(&credentials).unwrap();
        for file in fs::read_dir(folder).unwrap() {
            let file = file.unwrap();
            let credential = format!("{name}_{}", file.file_name().to_str().unwrap());
            fs::copy(file.path(), credentials.join(credential)).unwrap();
        }
        let notify = scene.path("notify");
        let _ = fs::remove_file(&notify);
        let socket = UnixDatagram::bind(&notify).unwrap();
        // From the command of all tests: the clock and the environment.
        let plain = command(scene);
        let mut service = Command::new(line.split_whitespace().next().unwrap());
        for (variable, value) in plain.as_std().get_envs() {
            service.env(variable, value.unwrap_or_default());
        }
        let service = service
            .args(line.split_whitespace().skip(1))
            .env("CREDENTIALS_DIRECTORY", credentials)
            .env("NOTIFY_SOCKET", notify)
            .current_dir("/")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut said = [0; 4096];
        let length = tokio::time::timeout(PATIENCE, socket.recv(&mut said)).await;
        let said = String::from_utf8_lossy(&said[..length.unwrap().unwrap()]).into_owned();
        assert!(said.starts_with("READY=1\n"), "{said}");
        service
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = std::process::Command::new("dpkg")
            .args(["--purge", PACKAGE])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        for folder in [ETC, STATE] {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// Builds the package of that version from the program that is tested, into `folder`.
async fn build(folder: &Path, version: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = env!("CARGO_BIN_EXE_flowgent-exporter");
    // A release is what is packed: this one takes its place, where it overwrites none.
    let target = folder.join("target");
    fs::create_dir_all(target.join("release")).unwrap();
    fs::copy(program, target.join("release").join(PACKAGE)).unwrap();
    let package = folder.join(format!("{version}.deb"));
    let built = Command::new(root.join("deploy/debian/build"))
        .env("FLOWGENT_EXPORTER", program)
        .env("CARGO_TARGET_DIR", target)
        .args(["--no-build", "--fast", "--deb-version", version, "--output"])
        .arg(&package)
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let told = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{told}");
    assert!(!told.contains("warning"), "{told}");
    package
}

/// What the package holds, by its paths without the first dot.
async fn contents(package: &Path) -> Vec<String> {
    let listed = Command::new("dpkg-deb")
        .arg("--contents")
        .arg(package)
        .output()
        .await
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let path = |line: &str| line.split_once(" ./").map(|(_, path)| format!("/{path}"));
    listed.lines().filter_map(path).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_package_is_installed_run_upgraded_removed_and_purged() {
    let scene = Scene::new("2026-03-10T09:00:00");
    let machine = Machine::take().await;
    let old = build(scene.folder(), "0.0.9~test").await;
    let new = build(scene.folder(), "0.0.10~test").await;
    let files = contents(&new).await;
    for path in [
        "/usr/share/man/man1/flowgent-exporter.1.gz",
        "/usr/share/man/man1/flowgent-exporter-ledger-backup.1.gz",
        "/usr/share/bash-completion/completions/flowgent-exporter",
        "/usr/share/zsh/vendor-completions/_flowgent-exporter",
        "/usr/share/fish/vendor_completions.d/flowgent-exporter.fish",
        "/usr/share/doc/flowgent-exporter/copyright",
        "/usr/share/doc/flowgent-exporter/changelog.gz",
        "/usr/share/doc/flowgent-exporter/README.md",
        "/usr/share/doc/flowgent-exporter/docs/alerts.md",
        "/usr/share/doc/flowgent-exporter/docs/images/page.png",
        "/usr/share/doc/flowgent-exporter/examples/config.toml",
        "/usr/share/flowgent-exporter/rules/alerts.yml",
        "/usr/share/flowgent-exporter/rules/usage.yml",
        "/usr/share/flowgent-exporter/consoles/flowgent.html",
        "/usr/share/flowgent-exporter/dashboards/overview.json",
    ] {
        assert!(
            files.iter().any(|file| file == path),
            "{path} is not in {files:#?}"
        );
    }

    // Installed: enabled, and waiting for a config, which is said.
    let told = machine.dpkg(&["--install", old.to_str().unwrap()]).await;
    assert!(
        told.contains("flowgent-exporter starts when it has a config:"),
        "{told}"
    );
    assert!(machine.has("0.0.9~test").await);
    let wanted = "/etc/systemd/system/multi-user.target.wants/flowgent-exporter.service";
    assert!(Path::new(wanted).symlink_metadata().is_ok());
    let keys = Path::new(ETC).join("keys");
    assert_eq!(keys.metadata().unwrap().permissions().mode() & 0o777, 0o700);

    // Run, by what the message says.
    let mut config = scene
        .config("")
        .replace("ledger.db", &format!("{STATE}/ledger.db"));
    for account in ["acme", "globex"] {
        fs::copy(scene.path(&format!("{account}.key")), keys.join(account)).unwrap();
        fs::remove_file(scene.path(&format!("{account}.key"))).unwrap();
        config = config.replace(
            &format!("\"{account}.key\""),
            &format!("\"keys/{account}\""),
        );
    }
    fs::write(Path::new(ETC).join("config.toml"), config).unwrap();
    let service = machine.start(&scene).await;
    let report = reported(&scene).await;
    assert!(report.contains("support"), "{report}");
    stop(service).await;

    // Put back by root, the ledger belongs to the service all the same.
    std::os::unix::fs::chown(STATE, Some(65534), Some(65534)).unwrap();
    let ledger = Path::new(STATE).join("ledger.db");
    fs::copy(&ledger, scene.path("backup")).unwrap();
    fs::remove_file(&ledger).unwrap();
    fs::copy(scene.path("backup"), &ledger).unwrap();
    assert_eq!(ledger.metadata().unwrap().uid(), 0);

    // Upgraded: what people have written and what the exporter knows is as it was.
    fs::write(
        "/etc/default/flowgent-exporter",
        "ARGS=\"--log.level=warn\"\n",
    )
    .unwrap();
    let told = machine.dpkg(&["--install", new.to_str().unwrap()]).await;
    assert!(!told.contains("starts when it has a config"), "{told}");
    assert!(machine.has("0.0.10~test").await);
    let kept = fs::read_to_string("/etc/default/flowgent-exporter").unwrap();
    assert_eq!(kept, "ARGS=\"--log.level=warn\"\n");
    scene.simulator.journal().clear();
    let service = machine.start(&scene).await;
    assert_eq!(reported(&scene).await, report);
    assert_eq!(ledger.metadata().unwrap().uid(), 65534);
    stop(service).await;
    assert_eq!(scene.simulator.journal().total(), 0, "all was known");

    // Removed: the ledger is still there.
    machine.dpkg(&["--remove", PACKAGE]).await;
    assert!(!Path::new("/usr/bin/flowgent-exporter").exists());
    assert!(Path::new(STATE).join("ledger.db").exists());

    // Purged: it is not; what people have written is.
    let told = machine.dpkg(&["--purge", PACKAGE]).await;
    let left = "/etc/flowgent-exporter holds files of yours and is left there";
    assert!(told.contains(left), "{told}");
    assert!(keys.join("acme").exists());
    assert!(!Path::new(STATE).exists());

    drop(machine);
    for path in TRACES {
        assert!(
            Path::new(path).symlink_metadata().is_err(),
            "{path} is left"
        );
    }
}

/// Ends a service as systemd does.
async fn stop(mut service: tokio::process::Child) {
    let pid = service.id().unwrap().to_string();
    let killed = Command::new("kill").args(["-TERM", &pid]).status().await;
    assert!(killed.unwrap().success());
    let ended = tokio::time::timeout(PATIENCE, service.wait()).await;
    assert!(ended.unwrap().unwrap().success());
}

/// What the installed program reports of the installed ledger, once nothing is missing.
async fn reported(scene: &Scene) -> String {
    wait_for("a whole history", async || {
        let mut report = Command::new("/usr/bin/flowgent-exporter");
        for (variable, value) in command(scene).as_std().get_envs() {
            report.env(variable, value.unwrap_or_default());
        }
        let output = report
            .args(["report", "--from", "2025-05-28", "--format", "csv"])
            .output()
            .await
            .unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        let whole = text
            .lines()
            .filter(|line| line.ends_with(",0,false"))
            .count();
        let is_whole = output.status.success() && whole > 0 && whole + 1 == text.lines().count();
        if is_whole { Ok(text) } else { Err(text) }
    })
    .await
}
