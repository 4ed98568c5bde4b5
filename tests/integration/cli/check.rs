//! `check`: what is wrong with a config, and which keys and agents work.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use flowgent_exporter::simulator::{Fault, Times};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use super::{Ran, ran};
use crate::harness::{Scene, TinyDisk, command, day};

const NOW: &str = "2026-03-10T09:00:00";

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_config_is_named() {
    let scene = Scene::new(NOW);
    std::fs::remove_file(scene.path("config.toml")).unwrap();
    let commands: [&[&str]; 5] = [&["check"], &["sync"], &["ledger", "check"], &["serve"], &[]];
    for command in commands {
        ran(&scene, command).await.assert_refused(
            2,
            "error: cannot read config file `config.toml`: No such file or directory (os error 2)\n",
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_config_is_shown_at_its_place_by_every_command() {
    // The day that the messages speak of.
    let scene = Scene::new("2026-11-23T09:00:00");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in [
        "misspelt-key",
        "several",
        "inline-key",
        "history-in-the-future",
    ] {
        let config = format!("tests/fixtures/config/bad/{name}.toml");
        let told = std::fs::read_to_string(root.join(&config).with_extension("txt")).unwrap();
        for subcommand in ["check", "serve"] {
            let output = command(&scene)
                .current_dir(root)
                .args([subcommand, "--config.file", &config])
                .output();
            let ran = Ran::new(output.await.unwrap());
            assert_eq!(ran.stderr.trim_end(), told.trim_end(), "{subcommand}");
            assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{subcommand}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_config_is_counted_and_nobody_is_asked() {
    let scene = Scene::new(NOW);
    let ran = ran(&scene, &["check"]).await;
    let expected = "config.toml is valid: 2 accounts, 5 agents named in it\n\
                    the next poll is due at 2026-03-11 00:10:00 UTC\n";
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), (expected, ""));
    assert_eq!(ran.code, 0);
    assert_eq!(scene.simulator.journal().total(), 0);
    assert!(!scene.path("ledger.db").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn live_every_key_and_agent_that_works_is_told_with_its_figure() {
    let scene = Scene::new(NOW);
    let ran = ran(&scene, &["check", "--live"]).await;
    let credits = |account, name| scene.truth(&scene.agent(account, name), day("2026-03-09"));
    let expected = format!(
        "config.toml is valid: 2 accounts, 5 agents named in it
the next poll is due at 2026-03-11 00:10:00 UTC

account  agent    clock skew  result
acme     legal        +0.0 s  ok, {} credits on 2026-03-09
acme     sales        +0.0 s  ok, {} credits on 2026-03-09
acme     support      +0.0 s  ok, {} credits on 2026-03-09
globex   returns      +0.0 s  ok, {} credits on 2026-03-09
globex   shop         +0.0 s  ok, {} credits on 2026-03-09

all 5 calls succeeded
",
        credits("acme", "legal"),
        credits("acme", "sales"),
        credits("acme", "support"),
        credits("globex", "returns"),
        credits("globex", "shop"),
    );
    assert_eq!((ran.stdout, ran.stderr.as_str()), (expected, ""));
    assert_eq!(ran.code, 0);
    // One request an agent, and nothing is kept.
    assert_eq!(scene.simulator.journal().total(), 5);
    assert!(!scene.path("ledger.db").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn live_a_bad_key_a_foreign_agent_and_a_wrong_clock_are_told_apart() {
    let scene = Scene::new(NOW);
    scene.write("globex.key", "wrong-test-key");
    let foreign = scene.agent("globex", "shop").id;
    let mine = scene.agent("acme", "support").id;
    let api = format!("[api]\nbase_url = \"{}\"\n", scene.simulator.base_url());
    scene.write(
        "config.toml",
        &format!(
            "{api}[[account]]\nname = \"acme\"\napi_key_file = \"acme.key\"\n\
             [[account.agent]]\nid = \"{mine}\"\nname = \"support\"\n\
             [[account.agent]]\nid = \"{foreign}\"\nname = \"stranger\"\n\
             [[account]]\nname = \"globex\"\napi_key_file = \"globex.key\"\ndiscover = true\n"
        ),
    );
    scene.set_exporters_time("2026-03-10T08:58:30");
    let output = command(&scene)
        .args(["check", "--live"])
        .output()
        .await
        .unwrap();
    let ran = Ran::new(output);
    let credits = scene.truth(&scene.agent("acme", "support"), day("2026-03-09"));
    let expected = format!(
        "config.toml is valid: 2 accounts, 2 agents named in it and others listed by FlowGent
the next poll is due at 2026-03-11 00:10:00 UTC, plus up to 10m of jitter

account  agent      clock skew  result
acme     stranger      +90.0 s  access denied: the agent does not belong to the key's organisation
acme     support       +90.0 s  ok, {credits} credits on 2026-03-09
globex   (listing)     +90.0 s  the API key is not valid

2 of 3 calls failed
"
    );
    assert_eq!((ran.stdout, ran.stderr.as_str()), (expected, ""));
    assert_eq!(ran.code, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn live_an_answer_is_judged_as_a_sync_judges_it() {
    let scene = Scene::new(NOW);
    let faults = scene.simulator.faults();
    for (account, name, fault) in [
        ("acme", "legal", Fault::MissingDay),
        ("acme", "sales", Fault::WrongTotal),
        ("acme", "support", Fault::ForeignAgent),
    ] {
        faults.add_for(&scene.agent(account, name), fault, Times::Always);
    }
    let ran = ran(&scene, &["check", "--live"]).await;
    let line = |agent: &str| {
        let found = ran.stdout.lines().find(|line| line.contains(agent));
        let (_, result) = found.unwrap().split_once("+0.0 s  ").unwrap();
        result.to_owned()
    };
    assert_eq!(
        line("legal"),
        "ok, but FlowGent has no figure for 2026-03-09 yet"
    );
    let total = line("sales");
    assert!(total.starts_with("invalid answer: total "), "{total}");
    let other = line("support");
    assert!(
        other.starts_with("invalid answer: asked for agent "),
        "{other}"
    );
    assert!(
        ran.stdout.ends_with("\n2 of 5 calls failed\n"),
        "{}",
        ran.stdout
    );
    assert_eq!(ran.code, 1);
}

/// A FlowGent that leaves the agent `patient` without an answer until another agent was asked for.
async fn that_answers_the_second_first() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut waiting = Vec::new();
        let mut was_another_asked = false;
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            let mut line = String::new();
            while !line.ends_with("\r\n\r\n") {
                stream.read_line(&mut line).await.unwrap();
            }
            let is_patient = line.starts_with("GET /agent/patient/");
            waiting.push((if is_patient { "patient" } else { "quick" }, stream));
            was_another_asked |= !is_patient;
            if !was_another_asked {
                continue;
            }
            for (agent, mut stream) in waiting.drain(..) {
                let body = format!(
                    r#"{{"agent_id":"{agent}","usage":{{"total_credits_used":5,"daily_breakdown":
                    [{{"date":"2026-03-09","credits_used":5}}]}},"time_range":
                    {{"start":"2026-03-09T00:00:00.000Z","end":"2026-03-09T23:59:59.999Z"}}}}"#
                );
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                stream.write_all((head + &body).as_bytes()).await.unwrap();
            }
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn live_an_account_that_hangs_does_not_delay_the_others() {
    let scene = Scene::new(NOW);
    let mut config = format!(
        "[api]\nbase_url = \"{}\"\n",
        that_answers_the_second_first().await
    );
    for agent in ["patient", "quick"] {
        config += &format!(
            "[[account]]\nname = \"of {agent}\"\napi_key_file = \"acme.key\"\n\
             [[account.agent]]\nid = \"{agent}\"\n"
        );
    }
    scene.write("config.toml", &config);
    let ran = ran(&scene, &["check", "--live"]).await;
    assert_eq!(
        ran.stdout.matches("ok, 5 credits on 2026-03-09\n").count(),
        2,
        "{}",
        ran.stdout
    );
    assert_eq!(ran.code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn live_a_flowgent_that_is_not_there_has_no_clock() {
    let scene = Scene::new(NOW);
    // Nobody listens on a port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}/", free.local_addr().unwrap());
    drop(free);
    scene.write(
        "config.toml",
        &format!(
            "[api]\nbase_url = \"{base}\"\n\
             [[account]]\nname = \"acme\"\napi_key_file = \"acme.key\"\n\
             [[account.agent]]\nid = \"a\"\nname = \"support\"\n"
        ),
    );
    let ran = ran(&scene, &["check", "--live"]).await;
    assert_eq!(
        ran.stdout,
        "config.toml is valid: 1 account, 1 agent named in it
the next poll is due at 2026-03-11 00:10:00 UTC, plus up to 10m of jitter

account  agent    clock skew  result
acme     support     unknown  cannot connect: Connection refused (os error 111)

1 call failed
"
    );
    assert_eq!((ran.code, ran.stderr.as_str()), (1, ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_found_among_the_credentials_of_a_service_first() {
    let mut scene = Scene::new(NOW);
    let config = scene.config("");
    for account in ["acme", "globex"] {
        let key = std::fs::read_to_string(scene.path(&format!("{account}.key"))).unwrap();
        // As systemd names what it loads from a folder `keys`.
        scene.write(&format!("keys_{account}.key"), &key);
        std::fs::remove_file(scene.path(&format!("{account}.key"))).unwrap();
    }
    scene.write(
        "config.toml",
        &config.replace("api_key_file = \"", "api_key_file = \"keys/"),
    );
    let told = ran(&scene, &["check", "--live"]).await;
    assert!(told.stdout.contains("cannot read file"), "{}", told.stdout);
    assert_eq!(told.code, 1);

    let credentials = scene.folder().display().to_string();
    scene
        .environment
        .push(("CREDENTIALS_DIRECTORY", credentials));
    let told = ran(&scene, &["check", "--live"]).await;
    assert_eq!((told.code, told.stderr.as_str()), (0, ""));

    std::fs::remove_file(scene.path("keys_acme.key")).unwrap();
    let told = ran(&scene, &["check"]).await;
    let expected = "keys/acme.key`: No such file or directory (os error 2), and systemd gave the \
                    service no credential `keys_acme.key` when it started\n";
    assert!(told.stdout.contains(expected), "{}", told.stdout);

    scene.write("keys_acme.key", "");
    let told = ran(&scene, &["check"]).await;
    assert!(
        told.stdout.contains("keys_acme.key`: it is empty\n"),
        "{}",
        told.stdout
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_config_meets_on_this_machine_is_said() {
    let scene = Scene::new(NOW);
    let rules = "[[budget]]\nname = \"ours\"\nmatch = { agent = \"support\" }\ncredits = 5\nperiod = \"month\"\nhooks = []\n\
                 [[budget]]\nname = \"nobodys\"\nmatch = { agent = \"suport\" }\ncredits = 5\nperiod = \"month\"\nhooks = []\n\
                 [[budget]]\nname = \"each\"\nper = \"agent\"\ncredits = { \"acme/suport\" = 5 }\nperiod = \"month\"\nhooks = []\n";
    let config = scene
        .config_head("")
        .replace("[schedule]", "[schedule]\ncron = \"0 0 6 13 * FRI\"")
        .replace("\"ledger.db\"", "\"sealed/ledger.db\"")
        + rules
        + "[[account]]\nname = \"acme\"\napi_key_file = \"acme.key\"\nagents_file = \"agents.json\"\n";
    scene.write("config.toml", &config);
    let told = ran(&scene, &["check"]).await;
    assert!(
        !told.stdout.contains("matches nobody"),
        "nobody is known:\n{}",
        told.stdout
    );
    let id = scene.agent("acme", "support").id;
    let list = format!("[{{\"id\": \"{id}\", \"name\": \"support\"}}]");
    scene.write("agents.json", &list);
    let mode = |mode| Permissions::from_mode(mode);
    std::fs::set_permissions(scene.path("acme.key"), mode(0o644)).unwrap();
    let sealed = TinyDisk::sealed(&scene, "sealed");
    let told = ran(&scene, &["check"]).await;
    let folder = sealed.path().display();
    let expected = format!(
        "warning: the cron pattern `0 0 6 13 * FRI` polls rarer than daily (a day of the month and a weekday \
         must both be right): not on 2026-03-10, so usage of the day before is known late, and alerts about it \
         come late\n\
         warning: `acme.key` holds a secret and can be read by everybody on this machine (mode 0644): \
         `chmod 600` it, and make the exporter's user its owner\n\
         config.toml is valid: 1 account, agents in agents files\n\
         the next poll is due at 2026-03-13 06:00:00 UTC\n\
         warning: ledger sealed/ledger.db cannot be used: cannot write to {folder}: Read-only file system (os error 30): its \
         file system is read-only here. In a service of systemd add `ReadWritePaths={folder}` or use \
         `StateDirectory=`; in a container mount a volume at {folder}\n\
         warning: budget `nobodys` matches no agent: agent=\"suport\". The config and its lists name 1 agent\n\
         warning: budget `each` has a limit for `acme/suport`, which is none of its subjects; did you mean \
         `acme/support`?\n"
    );
    assert_eq!(told.stdout, expected);
    assert_eq!(told.code, 0);
}
