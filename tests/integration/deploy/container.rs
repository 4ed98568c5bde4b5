//! The image, built and run by podman. What is not run here: the first stage of `deploy/Dockerfile`,
//! which takes an image from a registry; the program is linked from the same code instead, without
//! libraries as there, but with this system's C library. And no Docker: its builder reads the same file,
//! and a linter tells what that would refuse.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt as _;

use flowgent_exporter::clock::{Clock, SystemClock};
use tokio::process::Command;

use super::engine::{Built, Engine};
use super::{done, outcome, repository, text, tool, yaml};
use crate::harness::{Scene, Scrape, free_port, request, settings, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn a_linter_finds_nothing_in_the_dockerfile_but_finds_what_is_wrong_in_another() {
    let ours = repository("deploy/Dockerfile");
    let (passed, said) = outcome(tool("hadolint").arg(ours)).await;
    assert!(passed, "{said}");
    let mut wrong = tempfile::NamedTempFile::new().unwrap();
    wrong.write_all(b"FROM scratch\nUSER root\n").unwrap();
    let (passed, said) = outcome(tool("hadolint").arg(wrong.path())).await;
    assert!(!passed && said.contains("DL3002"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn builders_are_sent_all_that_the_program_is_built_from_and_nothing_else() {
    let engine = Engine::new();
    let mut dockerfile = tempfile::NamedTempFile::new().unwrap();
    dockerfile.write_all(b"FROM scratch\nCOPY . /\n").unwrap();
    let mut build = engine.podman();
    build
        .args(["build", "--quiet", "--tag", "context", "--ignorefile"])
        .arg(repository("deploy/Dockerfile.dockerignore"))
        .arg("--file")
        .arg(dockerfile.path())
        .arg(repository(""));
    done(&mut build).await;
    let sent: BTreeSet<String> = engine.files("context").await.into_iter().collect();

    let mut needed = Built::find().await.sources();
    // Without its benches, the manifest is not whole.
    needed.extend(["Cargo.toml", "Cargo.lock", "benches/scrape.rs"].map(str::to_owned));
    assert!(needed.len() > 100, "{needed:?}");
    for path in &needed {
        assert!(sent.contains(path), "{path} is not sent");
    }
    let folders: BTreeSet<&str> = sent
        .iter()
        .filter_map(|path| path.split('/').next())
        // What the engine itself puts into a container.
        .filter(|folder| !["dev", "etc", "proc", "run", "sys"].contains(folder))
        .collect();
    let expected = BTreeSet::from([
        "Cargo.lock",
        "Cargo.toml",
        "askama.toml",
        "benches",
        "deploy",
        "src",
    ]);
    assert_eq!(folders, expected);
    let deploy = sent.iter().filter(|path| path.starts_with("deploy/"));
    assert_eq!(deploy.collect::<Vec<_>>(), ["deploy/config.toml"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_container_it_has_no_rights_tells_its_health_and_keeps_its_ledger() {
    let engine = Engine::new();
    let folder = tempfile::tempdir().unwrap();
    let program = Built::find().await.link_statically(folder.path()).await;
    engine.build_image(&program, "flowgent-exporter").await;

    let now = SystemClock.now().format("%Y-%m-%dT%H:%M:%S").to_string();
    let scene = Scene::with(&now, settings());
    let address = free_port();
    let mut config = format!(
        "[server]\nlisten = [\"{address}\"]\n[schedule]\njitter = \"0s\"\n\
         [api]\nbase_url = \"{}\"\nrequests_per_second = 1000\n",
        scene.simulator.base_url()
    );
    let mut arguments = run_as_composed();
    arguments.extend(
        [
            "--network=host",
            "--volume=ledger:/var/lib/flowgent-exporter",
        ]
        .map(str::to_owned),
    );
    let mut mount = |name: &str| {
        let from = scene.path(name).display().to_string();
        arguments.push(format!("--volume={from}:/etc/flowgent-exporter/{name}:ro"));
    };
    for account in scene.simulator.world().accounts() {
        config += &scene.config_account(&account.name, &account.agents);
        let key = format!("{}.key", account.name);
        // The user inside is another one.
        fs::set_permissions(scene.path(&key), fs::Permissions::from_mode(0o644)).unwrap();
        mount(&key);
    }
    mount("config.toml");
    scene.write("config.toml", &config);
    arguments.push("flowgent-exporter".to_owned());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();

    let pid = engine.run("first", &arguments).await;
    let scrape = wait_for("the whole truth from a container", async || {
        look(&scene, &engine, "first", address).await
    })
    .await;
    assert_eq!(scene.untruths(&scrape), "");
    assert_has_no_rights(pid);
    let (healthy, said) = engine.health("first").await;
    assert!(healthy, "{said}");

    // One that hangs is not healthy.
    done(Command::new("kill").args(["-STOP", &pid.to_string()])).await;
    let (healthy, said) = engine.health("first").await;
    assert!(!healthy, "{said}");
    done(Command::new("kill").args(["-CONT", &pid.to_string()])).await;

    done(engine.podman().args(["stop", "first"])).await;
    assert_eq!(engine.inspect("first").await["State"]["ExitCode"], 0);
    scene.simulator.journal().clear();
    engine.run("second", &arguments).await;
    wait_for("the whole truth from another container", async || {
        look(&scene, &engine, "second", address).await
    })
    .await;
    // Settled days are not asked for again, so the history cannot have come from FlowGent.
    let asked = scene.simulator.journal().total();
    assert!(asked <= scene.agents().len() as u64, "{asked} requests");
}

/// The scrape of a container that tells everything, or why it does not yet.
async fn look(
    scene: &Scene,
    engine: &Engine,
    name: &str,
    address: std::net::SocketAddr,
) -> Result<Scrape, String> {
    if tokio::net::TcpStream::connect(address).await.is_err() {
        return Err(engine.logs(name).await);
    }
    let (_, body) = request(address, "GET", "/metrics", "").await;
    let scrape = Scrape::parse(String::from_utf8(body).unwrap());
    let gaps = scene.gaps(&scrape);
    if gaps.is_empty() {
        Ok(scrape)
    } else {
        Err(gaps)
    }
}

/// How `deploy/compose.yml` has the exporter's container limited, as podman's flags.
fn run_as_composed() -> Vec<String> {
    let compose = yaml("deploy/compose.yml");
    let exporter = &compose["services"]["exporter"];
    assert_eq!(exporter["read_only"], true);
    let mut flags = vec!["--read-only".to_owned()];
    let texts = |key: &str| {
        let list = exporter[key].as_array().unwrap().iter();
        list.map(|text| text.as_str().unwrap()).collect::<Vec<_>>()
    };
    flags.extend(
        texts("cap_drop")
            .iter()
            .map(|name| format!("--cap-drop={name}")),
    );
    let options = texts("security_opt");
    flags.extend(
        options
            .iter()
            .map(|option| format!("--security-opt={option}")),
    );
    assert_eq!(flags.len(), 3);
    let documented = text("README.md");
    assert!(documented.contains(&flags.join(" ")), "{flags:?}");
    flags
}

/// A process that is nobody, can become nobody else, and finds nothing to write on but its ledger's folder.
fn assert_has_no_rights(pid: u32) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field = |name: &str| {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(field("Uid:"), "65532 65532 65532 65532");
    assert_eq!(field("Gid:"), "65532 65532 65532 65532");
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(field(set), "0000000000000000", "{set}");
    }
    assert_eq!(field("NoNewPrivs:"), "1");

    let mounts = std::fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
    let writable: Vec<&str> = mounts
        .lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split(' ').collect();
            let (place, options) = (fields[4], fields[5]);
            let is_system = ["/proc", "/dev", "/sys"]
                .iter()
                .any(|system| place.starts_with(system));
            (options.starts_with("rw") && !is_system).then_some(place)
        })
        .collect();
    assert!(writable.contains(&"/var/lib/flowgent-exporter"), "{mounts}");
    assert!(!writable.contains(&"/"), "{mounts}");
}
