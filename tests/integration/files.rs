//! Files that a config names, and the ledger's: those that are no files, that hang, that are not there, and
//! that somebody else holds.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Child, Command, Stdio};

use crate::harness::{Exporter, PATIENCE, Receiver, Scene, command, run, wait_for};

const NOW: &str = "2026-03-04T09:00:00";

/// Puts a pipe that nobody writes into in the place of a file.
fn pipe(scene: &Scene, name: &str) {
    let _ = fs::remove_file(scene.path(name));
    let made = Command::new("mkfifo").arg(scene.path(name)).status();
    assert!(made.unwrap().success());
}

/// The config with all agents of acme in a list of their own, and with `more` in `[api]`.
fn listed(scene: &Scene, more: &str) -> String {
    scene.config_head(more)
        + &scene.config_account("globex", scene.simulator.world().agents("globex"))
        + "[[account]]\nname = \"acme\"\napi_key_file = \"acme.key\"\nagents_file = \"agents.json\"\n"
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_stands_in_the_place_of_a_file_is_told_and_the_next_reload_is_taken() {
    let scene = Scene::new(NOW);
    let good = listed(&scene, "");
    let ids = scene.simulator.world().agents("acme");
    let list = format!("[\"{}\"]", ids[0].id);
    scene.write("agents.json", &list);
    scene.write("config.toml", &good);
    let key = fs::read_to_string(scene.path("acme.key")).unwrap();
    let exporter = scene.start().await;
    exporter.wait_for_syncs(1).await;
    symlink("/dev/zero", scene.path("endless.pem")).unwrap();

    let mut reloads = 0;
    let mut reload = async |said: &str| {
        let before = exporter.logged(said);
        exporter.signal("HUP").await;
        wait_for(&format!("another {said:?}"), async || {
            if exporter.logged(said) > before {
                Ok(())
            } else {
                Err(exporter.log())
            }
        })
        .await;
        reloads += 1;
    };
    pipe(&scene, "config.toml");
    reload("cannot read config file `config.toml`: it is a pipe, not a regular file").await;
    fs::remove_file(scene.path("config.toml")).unwrap();
    scene.write("config.toml", &listed(&scene, "ca_file = \"endless.pem\""));
    reload("cannot read ca_file `endless.pem`: it is a device, not a regular file").await;
    let (_, body) = exporter.get("/api/v1/status", "").await;
    let status: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let error = status["config_error"].as_str().unwrap();
    assert!(error.contains("endless.pem"), "{error}");

    scene.write("config.toml", &good);
    pipe(&scene, "agents.json");
    reload("config reloaded").await;
    exporter
        .wait_for_log("cannot read agents file `agents.json`: it is a pipe, not a regular file")
        .await;
    fs::remove_file(scene.path("agents.json")).unwrap();
    scene.write("agents.json", &list);
    pipe(&scene, "acme.key");
    reload("config reloaded").await;
    exporter
        .wait_for_log("cannot read file `acme.key`: it is a pipe, not a regular file")
        .await;
    fs::remove_file(scene.path("acme.key")).unwrap();
    scene.write("acme.key", &key);
    reload("config reloaded").await;
    assert_eq!(reloads, 5);
    let (_, body) = exporter.get("/api/v1/status", "").await;
    let status: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(status["config_error"], serde_json::Value::Null);
    exporter.stop().await;
}

/// A process that has a lease on a file: who opens it waits until the lease is given back.
struct Lease(Child);

impl Lease {
    const PROGRAM: &str = "import fcntl, os, signal, sys\n\
        signal.signal(signal.SIGIO, signal.SIG_IGN)\n\
        fcntl.fcntl(os.open(sys.argv[1], os.O_RDWR), fcntl.F_SETLEASE, fcntl.F_WRLCK)\n\
        print(flush=True)\nsys.stdin.read()\n";

    fn take(scene: &Scene, name: &str) -> Self {
        let mut child = Command::new("python3")
            .args(["-c", Self::PROGRAM])
            .arg(scene.path(name))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = [0];
        let output = child.stdout.as_mut().unwrap();
        std::io::Read::read_exact(output, &mut line).unwrap();
        Self(child)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_does_not_answer_is_given_up_and_holds_up_nothing() {
    let scene = Scene::new(NOW);
    let exporter = scene.start().await;
    exporter.wait_until_whole(&scene).await;
    let lease = Lease::take(&scene, "acme.key");
    exporter.signal("HUP").await;
    // It serves meanwhile.
    let (head, _) = exporter.get("/-/healthy", "").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    exporter
        .wait_for_log("cannot read file `acme.key`: its file system did not answer within 5 s")
        .await;
    exporter.wait_for_log("config reloaded").await;
    // The key that was read before is as good as it was.
    scene.set_time("2026-03-05T00:10:00");
    exporter.wait_until_whole(&scene).await;
    drop(lease);
    let before = exporter.logged("until its key can be read");
    let mut reloads = exporter.logged("config reloaded");
    wait_for("a reload that reads all", async || {
        exporter.signal("HUP").await;
        let failed = exporter.logged("until its key can be read");
        let reloaded = exporter.logged("config reloaded");
        if std::mem::replace(&mut reloads, reloaded) < reloaded && failed == before {
            Ok(())
        } else {
            Err(exporter.log())
        }
    })
    .await;
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_whose_key_is_missing_stands_still_alone_and_goes_on_when_it_is_there() {
    let scene = Scene::new(NOW);
    let key = fs::read_to_string(scene.path("acme.key")).unwrap();
    fs::remove_file(scene.path("acme.key")).unwrap();
    let ran = run(&scene, &["check"]).await;
    assert_eq!(ran.status.code(), Some(1));
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(
        said.contains(
            "problem: account `acme` is not asked for anything until its key can be read: cannot read \
             file `acme.key`: No such file or directory (os error 2)\n"
        ),
        "{said}"
    );
    let exporter = scene.start().await;
    let shop = scene.agent("globex", "shop");
    exporter
        .wait_until("the account with a key", |scrape| {
            scene.gaps_of(&shop, scrape).is_empty()
        })
        .await;
    exporter.wait_for_syncs(1).await;
    let log = exporter.log();
    assert!(
        log.contains("level=error") && log.contains("account `acme` is not asked"),
        "{log}"
    );
    assert!(!log.contains("kind=invalid_key"), "{log}");
    let unreadable =
        "flowgent_exporter_sync_last_problems{account=\"acme\",kind=\"key_unreadable\"}";
    assert_eq!(exporter.scrape().await.get(unreadable), Some(1.0));
    let support = scene.agent("acme", "support");
    let asked = || {
        scene
            .simulator
            .journal()
            .count(&support, flowgent_exporter::simulator::Endpoint::Usage)
    };
    assert_eq!(asked(), 0);
    let (head, body) = exporter.get("/-/healthy", "").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(
        String::from_utf8(body).unwrap(),
        "healthy\nthe key of account acme cannot be read\n"
    );
    let (_, page) = exporter.get("/", "").await;
    let page = String::from_utf8(page).unwrap();
    assert!(
        page.contains("The key of account acme cannot be read"),
        "{page}"
    );

    // It is looked for again when the config is read again, and by each sync.
    exporter.signal("HUP").await;
    exporter.wait_for_log("trigger=keys").await;
    scene.write("acme.key", &key);
    scene.set_time("2026-03-04T09:20:00");
    exporter.wait_until_whole(&scene).await;
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_and_pushing_without_their_secrets_stand_still_alone_and_go_on_when_they_are_there()
{
    let scene = Scene::new(NOW);
    let receiver = Receiver::start().await;
    let more = "[push]\nwrite_url = \"https://tsdb.example/api/v1/write\"\ninstance = \"here:1\"\nusername = \"me\"\n\
         password_file = \"push.password\"\n\
         [[rule]]\nname = \"much\"\nkind = \"usage\"\nover = 0.001\nspan = \"previous_30_days\"\nhooks = [\"ops\"]\n\
         [[hook]]\nname = \"ops\"\nkind = \"webhook\"\nurl_file = \"ops.url\"\nallow_private = true\n";
    scene.write("config.toml", &(scene.config("") + more));
    let hook = "hook `ops` sends nothing until its URL can be used: cannot read file `ops.url`: No such file";
    let push =
        "`[push]` pushes nothing until its password can be used: cannot read file `push.password`";
    let ran = run(&scene, &["check"]).await;
    assert_eq!(ran.status.code(), Some(1));
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(said.contains(&format!("problem: {hook}")), "{said}");
    assert!(said.contains(&format!("problem: {push}")), "{said}");

    let exporter = scene.start().await;
    exporter.wait_until_whole(&scene).await;
    exporter.wait_for_log(hook).await;
    let told = async || {
        let (_, body) = exporter.get("/api/v1/status", "").await;
        let status: serde_json::Value = serde_json::from_slice(&body).unwrap();
        status["config_problems"].to_string()
    };
    let problems = told().await;
    assert!(
        problems.contains(hook) && problems.contains(push),
        "{problems}"
    );
    let (_, page) = exporter.get("/", "").await;
    let page = String::from_utf8(page).unwrap();
    assert!(
        page.contains("Hook <code>ops</code> sends nothing"),
        "{page}"
    );
    exporter
        .wait_for_log("the hook has failed; retrying: cannot read file `ops.url`")
        .await;

    // No reload is needed: it is looked for again at the next try.
    scene.write("ops.url", &receiver.url());
    scene.set_time("2026-03-04T09:02:00");
    receiver.wait_for_deliveries(1).await;
    let problems = told().await;
    assert!(
        !problems.contains(hook) && problems.contains(push),
        "{problems}"
    );
    exporter.stop().await;
}

/// Somebody who writes into the ledger and does not end.
fn hold(scene: &Scene) -> rusqlite::Connection {
    let other = rusqlite::Connection::open(scene.path("ledger.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    other
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_waits_for_who_writes_into_the_ledger_and_ends_when_told_to() {
    let scene = Scene::new(NOW);
    let ran = run(&scene, &["sync"]).await;
    assert!(ran.status.success());
    let waiting =
        "is locked by another program that writes to it: that program must end or commit; waiting";
    let start = |name: &str| {
        let log = fs::File::create(scene.path(name)).unwrap();
        command(&scene).stderr(log).spawn().unwrap()
    };
    let said = async |name: &str, text: &str| {
        wait_for(text, async || {
            let log = fs::read_to_string(scene.path(name)).unwrap();
            if log.contains(text) { Ok(()) } else { Err(log) }
        })
        .await;
    };
    let other = hold(&scene);
    let mut told_to_end = start("first.log");
    said("first.log", waiting).await;
    let pid = told_to_end.id().unwrap().to_string();
    assert!(Command::new("kill").arg(&pid).status().unwrap().success());
    let ended = tokio::time::timeout(PATIENCE, told_to_end.wait()).await;
    assert!(ended.unwrap().unwrap().success());

    let mut goes_on = start("second.log");
    said("second.log", waiting).await;
    other.execute_batch("ROLLBACK").unwrap();
    said("second.log", "the ledger is no longer locked").await;
    said("second.log", "trigger=startup outcome=complete").await;
    goes_on.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_waits_for_who_writes_into_the_ledger() {
    let scene = Scene::new(NOW);
    let exporter = Exporter::start(&scene, &[]).await;
    exporter.wait_until_whole(&scene).await;
    let other = hold(&scene);
    exporter.signal("HUP").await;
    exporter.wait_for_log("is locked by another program").await;
    other.execute_batch("ROLLBACK").unwrap();
    exporter.wait_for_log("config reloaded").await;
    let log = exporter.stop().await;
    assert!(!log.contains("config not reloaded"), "{log}");
}
