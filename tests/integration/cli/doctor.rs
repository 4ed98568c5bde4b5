//! `doctor`: what it looks at, what it finds wrong, and what it says to do about it.

use std::fs;

use flowgent_exporter::clock::{Clock, SystemClock};
use flowgent_exporter::simulator::{Fault, Times};

use super::{Ran, assert_golden, ran};
use crate::harness::{Generation, Habit, Receiver, Scene, TinyDisk, Tsdb, wait_for};

const NOW: &str = "2026-03-10T09:00:00";

/// The lines about a part of what was looked at, with what is said of them.
fn part(ran: &Ran, part: &str) -> String {
    let mut is_of_part = false;
    let lines = ran.stdout.lines().filter(|line| {
        if !line.starts_with(' ') {
            is_of_part = line.split_whitespace().next() == Some(part);
        }
        is_of_part
    });
    let lines: String = lines.map(|line| format!("{line}\n")).collect();
    assert!(!lines.is_empty(), "{}{}", ran.stdout, ran.stderr);
    lines
}

/// Makes the exporter listen where it can be found again.
fn listen_at_a_free_port(scene: &Scene) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    replace_in_config(scene, "127.0.0.1:0", &address);
    address
}

fn replace_in_config(scene: &Scene, from: &str, to: &str) {
    let text = fs::read_to_string(scene.path("config.toml")).unwrap();
    assert!(text.contains(from), "{text}");
    scene.write("config.toml", &text.replace(from, to));
}

fn add_to_config(scene: &Scene, more: &str) {
    let text = fs::read_to_string(scene.path("config.toml")).unwrap();
    scene.write("config.toml", &format!("{text}\n{more}"));
}

/// A hook that posts to `url`, which its file names.
fn webhook(scene: &Scene, name: &str, url: &str) -> String {
    scene.write(&format!("{name}.url"), url);
    format!(
        "[[hook]]\nname = \"{name}\"\nkind = \"webhook\"\nurl_file = \"{name}.url\"\nallow_private = true\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_works_is_told_part_by_part() {
    let scene = Scene::new(NOW);
    let address = listen_at_a_free_port(&scene);
    let receiver = Receiver::start().await;
    add_to_config(
        &scene,
        &format!(
            "{}[[hook]]\nname = \"script\"\nkind = \"exec\"\ncommand = [\"true\"]\n",
            webhook(&scene, "chat", &receiver.url())
        ),
    );
    let exporter = scene.start().await;
    exporter.wait_until_whole(&scene).await;
    let asked = scene.simulator.journal().total();

    let ran = ran(&scene, &["doctor"]).await;
    let disk = part(&ran, "disk");
    assert!(disk.starts_with("disk       ok       . has "), "{disk}");
    assert!(disk.contains(" free, the ledger takes "), "{disk}");
    let stable = ran
        .stdout
        .replace(&address, "127.0.0.1:PORT")
        .replace(&disk, "disk …\n");
    assert_golden("doctor.txt", &stable);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    // One request an account; nothing was said to the receivers.
    assert_eq!(scene.simulator.journal().total(), asked + 2);
    assert_eq!(receiver.received().len(), 0);
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_config_ends_it_with_what_check_says() {
    let scene = Scene::new(NOW);
    add_to_config(&scene, "[storag]\n");
    let (doctor, check) = (
        ran(&scene, &["doctor"]).await,
        ran(&scene, &["check"]).await,
    );
    assert!(
        check.stderr.contains("did you mean `storage`"),
        "{}",
        check.stderr
    );
    doctor.assert_refused(2, &check.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_first_start_it_says_what_is_not_there_yet() {
    let scene = Scene::new(NOW);
    let address = listen_at_a_free_port(&scene);
    let ran = ran(&scene, &["doctor"]).await;
    assert_eq!(
        part(&ran, "ledger"),
        "ledger     warning  ledger ledger.db does not exist\n\
         \x20                   -> start the exporter, which creates it\n\
         ledger     skipped  fetches and missing days of agents: there is no ledger yet\n"
    );
    assert_eq!(
        part(&ran, "ports"),
        format!(
            "ports      warning  {address} is free: no exporter is running there\n\
             \x20                   -> start it if it should be running\n"
        )
    );
    assert_eq!(
        part(&ran, "hooks"),
        "hooks      warning  there are none, so alerts are sent nowhere\n\
         \x20                   -> add a [[hook]], and name it in budgets, balances and rules\n"
    );
    assert!(
        ran.stdout
            .ends_with("\n5 ok, 3 warnings, 0 problems, 2 skipped\n"),
        "{}",
        ran.stdout
    );
    assert_eq!(ran.code, 0);
    assert!(!scene.path("ledger.db").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_key_a_foreign_agent_and_a_wrong_clock_are_told_with_what_to_do() {
    let scene = Scene::new(NOW);
    scene.write("globex.key", "wrong-test-key");
    let foreign = scene.agent("globex", "shop").id;
    scene.write(
        "config.toml",
        &format!(
            "{}[[account]]\nname = \"acme\"\napi_key_file = \"acme.key\"\n\
             [[account.agent]]\nid = \"{foreign}\"\nname = \"stranger\"\n\
             [[account]]\nname = \"globex\"\napi_key_file = \"globex.key\"\ndiscover = true\n",
            scene.config_head("")
        ),
    );
    scene.set_exporters_time("2026-03-10T08:58:00");
    let ran = ran(&scene, &["doctor"]).await;
    assert_eq!(
        part(&ran, "flowgent"),
        "flowgent   PROBLEM  account acme, 1 agent, stranger: access denied: the agent does not belong to the key's organisation\n\
         \x20                   -> compare the agent's id and its account with FlowGent's settings\n\
         flowgent   PROBLEM  account globex: the API key is not valid\n\
         \x20                   -> put the account's current key into its file, which is read at every sync; a systemd credential needs `systemctl restart`\n\
         flowgent   skipped  agents of account globex: its key or list failed\n\
         flowgent   PROBLEM  FlowGent's clock is +120.0 s from this machine's\n\
         \x20                   -> set this machine's clock, for example with `timedatectl set-ntp true`: days begin at the wrong time\n"
    );
    assert_eq!(ran.code, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flowgent_that_cannot_be_reached_is_told_for_every_account() {
    let scene = Scene::new(NOW);
    // Nothing listens on a port that was just given back.
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    replace_in_config(
        &scene,
        &scene.simulator.base_url(),
        &format!("http://{free}"),
    );
    let told = part(&ran(&scene, &["doctor"]).await, "flowgent");
    assert_eq!(told.matches("PROBLEM").count(), 2, "{told}");
    let clock = "flowgent   skipped  FlowGent's clock: no request was answered\n";
    assert!(told.ends_with(clock), "{told}");
    assert_eq!(
        told.matches("-> check `[api] base_url`").count(),
        2,
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_ledger_lacks_and_why_is_told() {
    let scene = Scene::new(NOW);
    let legal = scene.agent("acme", "legal");
    scene
        .simulator
        .faults()
        .add_for(&legal, Fault::Status(500, None), Times::Always);
    let synced = ran(&scene, &["sync"]).await;
    assert_eq!(synced.code, 1);
    let sick = ran(&scene, &["doctor"]).await;
    let told = part(&sick, "ledger");
    assert!(
        told.contains("ok       ledger.db is sound: 5 agents, "),
        "{told}"
    );
    assert!(
        told.contains("PROBLEM  the last fetch failed for acme/legal\n"),
        "{told}"
    );
    assert!(
        told.contains("warning  days are missing from acme/legal\n"),
        "{told}"
    );
    assert!(
        told.contains("ok       the last good answer is from 2026-03-10 09:00 UTC\n"),
        "{told}"
    );

    scene.set_time("2026-03-11T12:00:00");
    let told = part(&ran(&scene, &["doctor"]).await, "ledger");
    let late = "PROBLEM  the last good answer is from 2026-03-10 09:00 UTC, 27 hours ago\n\
                \x20                   -> check that the exporter is running: it polls once a day\n";
    assert!(told.contains(late), "{told}");
    let lacking =
        "warning  days are missing from acme/legal, acme/sales, acme/support and 2 more\n";
    assert!(told.contains(lacking), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_ledger_and_one_that_is_damaged_are_told_apart() {
    let scene = Scene::new(NOW);
    scene.write("ledger.db", &"not a database at all ".repeat(100));
    let told = part(&ran(&scene, &["doctor"]).await, "ledger");
    assert!(
        told.contains("-> correct `[storage] path`, or move it away\n"),
        "{told}"
    );

    fs::remove_file(scene.path("ledger.db")).unwrap();
    assert_eq!(ran(&scene, &["sync"]).await.code, 0);
    let mut bytes = fs::read(scene.path("ledger.db")).unwrap();
    let end = bytes.len();
    bytes[end / 2..].fill(0x5a);
    fs::write(scene.path("ledger.db"), bytes).unwrap();
    let sick = ran(&scene, &["doctor"]).await;
    let told = part(&sick, "ledger");
    assert!(told.starts_with("ledger     PROBLEM  "), "{told}");
    assert!(told.contains("restore a backup, or move "), "{told}");
    let unseen = "ledger     skipped  fetches and missing days of agents: the ledger ";
    assert!(told.contains(unseen), "{told}");
    assert_eq!(sick.code, 1);
    assert!(sick.stdout.contains("\nhooks "), "{}", sick.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_without_room_is_told_with_its_figures() {
    let scene = Scene::new(NOW);
    replace_in_config(&scene, "ledger.db", "disk/ledger.db");
    let disk = TinyDisk::mount(&scene);
    disk.fill(1 << 20);
    let sick = ran(&scene, &["doctor"]).await;
    assert_eq!(
        part(&sick, "disk"),
        "disk       PROBLEM  disk has 1.00 MiB free, the ledger takes 0 B\n\
         \x20                   -> free some space: days that cannot be stored are fetched again later, but not served\n"
    );
    assert_eq!(sick.code, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_another_program_uses_is_told() {
    let scene = Scene::new(NOW);
    let other = Receiver::start().await;
    let address = other.address();
    replace_in_config(&scene, "127.0.0.1:0", &address.to_string());
    let sick = ran(&scene, &["doctor"]).await;
    assert_eq!(
        part(&sick, "ports"),
        format!(
            "ports      PROBLEM  {address} is used by another program\n\
             \x20                   -> stop that program, or choose another address in `[server] listen`\n"
        )
    );
    assert_eq!(sick.code, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn hooks_that_cannot_be_reached_are_told_without_their_secrets() {
    let scene = Scene::new(NOW);
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let gone = webhook(&scene, "gone", &format!("http://{free}/secret-path"));
    let mail = format!(
        "[[hook]]\nname = \"mail\"\nkind = \"email\"\nhost = \"{}\"\nport = {}\nfrom = \"flowgent@example.com\"\n\
         to = [\"ops@example.com\"]\nencryption = \"none\"\nallow_private = true\n",
        free.ip(),
        free.port()
    );
    add_to_config(&scene, &format!("{gone}{mail}"));
    let sick = ran(&scene, &["doctor"]).await;
    let refused = format!("cannot connect to {free}: 127.0.0.1: Connection refused (os error 111)");
    let withheld =
        "the URL in file `gone.url`: ".to_owned() + &refused.replace("127.0.0.1", "[withheld]");
    let advice = "                    -> correct the hook's URL or host, or the network; `alerts test` sends a sample";
    assert_eq!(
        part(&sick, "hooks"),
        format!(
            "hooks      PROBLEM  gone: {withheld}\n{advice}\nhooks      PROBLEM  mail: {refused}\n{advice}\n"
        )
    );
    assert!(!sick.stdout.contains("secret-path"), "{}", sick.stdout);
    assert_eq!(sick.code, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_wait_and_a_hook_that_was_given_up_are_told() {
    let scene = Scene::new(NOW);
    let (busy, gone) = (Receiver::start().await, Receiver::start().await);
    busy.set_habit(Habit::Status(503));
    gone.set_habit(Habit::Status(410));
    let hooks = [("busy", &busy), ("gone", &gone)]
        .map(|(name, receiver)| webhook(&scene, name, &receiver.url()));
    add_to_config(
        &scene,
        &format!(
            "{}[[rule]]\nname = \"busy\"\nkind = \"usage\"\nover = 0.001\nhooks = [\"busy\", \"gone\"]\n",
            hooks.concat()
        ),
    );
    let exporter = scene.start().await;
    exporter.wait_for_log("hook=gone").await;
    exporter
        .wait_until("all messages of the sync", |scrape| {
            scrape.sum("flowgent_hook_pending_deliveries") == 8.0
        })
        .await;
    scene.set_time("2026-03-10T09:30:00");
    exporter.wait_for_log("hook=busy").await;
    exporter.stop().await;
    let told = part(&ran(&scene, &["doctor"]).await, "hooks");
    let expected = "\
hooks      PROBLEM  gone is disabled: the URL in file `gone.url`: 410 Gone: noted
                    -> correct its URL, then run `alerts retry --all`
hooks      PROBLEM  busy: 4 messages waiting since 2026-03-10 09:00 UTC
                    -> `alerts list` shows the receiver's answers
hooks      PROBLEM  gone: 4 messages waiting since 2026-03-10 09:00 UTC
                    -> `alerts list` shows the receiver's answers
";
    assert!(told.ends_with(expected), "{told}");
}

/// What `doctor` says of a Prometheus with that scrape config, once `until` is found there.
async fn told_of_prometheus(
    generation: Generation,
    scene: &Scene,
    scrape_configs: &str,
    until: &str,
) -> String {
    let config = format!("global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n{scrape_configs}");
    let mut prometheus = Tsdb::prometheus(&config, &[]).of(generation);
    prometheus.start().await;
    if !until.is_empty() {
        wait_for(until, async || {
            match prometheus.query(until, SystemClock.now()).await {
                Ok(found) if !found.is_empty() => Ok(()),
                found => Err(format!("{found:?}")),
            }
        })
        .await;
    }
    let url = prometheus.url();
    let told = part(
        &ran(scene, &["doctor", "--prometheus.url", &url]).await,
        "prometheus",
    );
    told.replace(&url, "http://PROMETHEUS")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_prometheus_has_is_held_against_the_ledger() {
    // Prometheus lives in the real time.
    let now = SystemClock.now().format("%Y-%m-%dT%H:%M:%S").to_string();
    let scene = Scene::new(&now);
    let address = listen_at_a_free_port(&scene);
    let exporter = scene.start().await;
    exporter.wait_until_whole(&scene).await;
    let job = |name: &str, more: &str| {
        format!("- {{job_name: {name}, static_configs: [{{targets: ['{address}']}}]{more}}}\n")
    };
    let figures = |job: &str| format!("flowgent_agent_previous_day_credits{{job=\"{job}\"}}");

    let once = format!("scrape_configs:\n{}", job("flowgent", ""));
    let up = format!(
        "prometheus ok       job flowgent, instance {address} is up; the last scrape took 0."
    );
    for generation in Generation::BOTH {
        let told = told_of_prometheus(generation, &scene, &once, &figures("flowgent")).await;
        assert!(told.starts_with(&up), "{told}");
        assert!(
            told.ends_with(
                "prometheus ok       yesterday's figures of 5 agents match the ledger\n"
            ),
            "{told}"
        );
    }

    let twice = format!("{once}{}", job("again", ""));
    let both = format!(
        "{} + on (account, agent) {}",
        figures("flowgent"),
        figures("again")
    );
    let told = told_of_prometheus(Generation::Newer, &scene, &twice, &both).await;
    let doubled = format!(
        "acme/legal has 2 series: job again, instance {address} and job flowgent, instance {address}\n\
         \x20                   -> sums count it more than once: scrape one exporter, by one job\n"
    );
    assert!(told.contains(&doubled), "{told}");

    let drop = ", metric_relabel_configs: [{source_labels: [agent], regex: sales, action: drop}]";
    let lossy = format!("scrape_configs:\n{}", job("flowgent", drop));
    let told = told_of_prometheus(Generation::Stable, &scene, &lossy, &figures("flowgent")).await;
    let truth = scene.truth(&scene.agent("acme", "sales"), scene.today().previous());
    let lost =
        format!("PROBLEM  acme/sales: Prometheus has nothing for yesterday, the ledger {truth}\n");
    assert!(told.contains(&lost), "{told}");

    let told = told_of_prometheus(Generation::Newer, &scene, "", "").await;
    assert_eq!(
        told,
        "prometheus PROBLEM  http://PROMETHEUS has not scraped an exporter within a day\n\
         \x20                   -> add a scrape_config to Prometheus' config, and look at its targets page\n\
         prometheus skipped  yesterday's figures: nothing was scraped\n"
    );

    // The exporter itself is no Prometheus.
    let url = format!("http://user:test-key@{address}");
    let told = part(
        &ran(&scene, &["doctor", "--prometheus.url", &url]).await,
        "prometheus",
    );
    let none = format!(
        "prometheus PROBLEM  http://{address}: status 404 Not Found, not an answer of Prometheus: "
    );
    assert!(told.starts_with(&none), "{told}");
    exporter.stop().await;
}
