//! `sync`: one pass in the foreground.

use super::{Ran, progress, ran};
use crate::harness::{Scene, day};

const NOW: &str = "2026-03-10T09:00:00";

/// What a sync wrote but for how long it took.
fn told(ran: &Ran) -> &str {
    let (text, took) = ran.stdout.rsplit_once(" in ").unwrap();
    assert!(took.ends_with(" s\n"), "{took}");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_sync_fetches_everything_and_says_so() {
    let scene = Scene::new(NOW);
    let ran = ran(&scene, &["sync"]).await;
    // 286 days are ten windows.
    assert_eq!(
        told(&ran),
        "account  agent    requests  new days  revised  missing  state
acme     legal       10/10       286        0        0  ok
acme     sales       10/10       286        0        0  ok
acme     support     10/10       286        0        0  ok
globex   returns     10/10       286        0        0  ok
globex   shop        10/10       286        0        0  ok

complete: 50 of 50 requests succeeded"
    );
    assert_eq!(ran.stderr, progress(50));
    assert_eq!(ran.code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_fetched_is_told_and_fails_the_command() {
    let scene = Scene::new(NOW);
    scene.write("globex.key", "wrong-test-key");
    let support = scene.agent("acme", "support").id;
    let config = scene.config("");
    let sales = format!("id = \"{support}\"\nname = \"support\"\n");
    let stranger = "[[account.agent]]\nid = \"nobody\"\nname = \"stranger\"\n";
    scene.write(
        "config.toml",
        &config.replace(&sales, &format!("{sales}{stranger}")),
    );
    let ran = ran(&scene, &["sync"]).await;
    assert_eq!(
        told(&ran),
        "account  agent     requests  new days  revised  missing  state
acme     legal        10/10       286        0        0  ok
acme     sales        10/10       286        0        0  ok
acme     stranger      0/10         0        0        0  access denied: the agent does not belong to the key's organisation
acme     support      10/10       286        0        0  ok
globex   returns       0/10         0        0        0  incomplete
globex   shop          0/10         0        0        0  incomplete

account globex: the API key is not valid
incomplete: 30 of 60 requests succeeded"
    );
    assert_eq!(ran.code, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_agents_than_a_screen_holds_are_summed_up_by_account() {
    use flowgent_exporter::secret::Secret;
    use flowgent_exporter::simulator::AccountSettings;

    let mut settings = crate::harness::settings();
    let key = Secret::new("test-key-initech");
    settings
        .accounts
        .push(AccountSettings::numbered("initech", key, 60));
    let scene = Scene::with(NOW, settings);
    let ran = ran(&scene, &["sync"]).await;
    assert_eq!(
        told(&ran),
        "account  agent      requests  new days  revised  missing  state
acme     3 agents      30/30       858        0        0  ok
globex   2 agents      20/20       572        0        0  ok
initech  60 agents   600/600     17160        0        0  ok

complete: 650 of 650 requests succeeded"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_is_not_told_yet_leaves_its_agent_incomplete() {
    let scene = Scene::new(NOW);
    let legal = scene.agent("acme", "legal");
    let later = crate::harness::instant("2026-03-10T12:00:00");
    scene
        .simulator
        .world()
        .set_late(&legal, day("2026-03-09"), later);
    let ran = ran(&scene, &["sync"]).await;
    let row = "acme     legal       10/10       285        0        1  incomplete\n";
    assert!(ran.stdout.contains(row), "{}", ran.stdout);
    assert_eq!(ran.code, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_range_is_refused_by_the_rules_of_the_api() {
    let scene = Scene::new(NOW);
    let cases: [(&[&str], &str); 6] = [
        (
            &["--from", "2026-02-10", "--to", "2026-02-01"],
            "error: start 2026-02-10 must not be after end 2026-02-01\n",
        ),
        (
            &["--from", "2026-03-01", "--to", "2026-03-10"],
            "error: end 2026-03-10 cannot be today or in the future: \
             data is only available up to 2026-03-09\n",
        ),
        (
            &["--from", "2026-03-10"],
            "error: start 2026-03-10 must not be after end 2026-03-09\n",
        ),
        (
            &["--from", "2025-05-27"],
            "error: --from 2025-05-27: usage is tracked from 2025-05-28 on\n",
        ),
        (
            &["--to", "2026-03-09"],
            "error: the following required arguments were not provided:\n  --from <DAY>\n\n\
             Usage: flowgent-exporter sync --from <DAY> --to <DAY>\n\n\
             For more information, try '--help'.\n",
        ),
        (
            &["--from", "1.3.2026"],
            "error: invalid value '1.3.2026' for '--from <DAY>': \
             `1.3.2026` is not in YYYY-MM-DD format\n\n\
             For more information, try '--help'.\n",
        ),
    ];
    for (range, stderr) in cases {
        ran(&scene, &[&["sync"], range].concat())
            .await
            .assert_refused(2, stderr);
    }
    assert_eq!(scene.simulator.journal().total(), 0);
    assert!(!scene.path("ledger.db").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_is_fetched_anew_though_it_is_known_and_settled() {
    let scene = Scene::new(NOW);
    let support = scene.agent("acme", "support");
    assert_eq!(ran(&scene, &["sync"]).await.code, 0);
    let (changed, credits) = (day("2026-01-20"), 12_345.0);
    scene
        .simulator
        .world()
        .set_credits(&support, changed, credits);
    scene.simulator.journal().clear();

    // A sync leaves settled days alone, and asks for the unsettled ones once more.
    let plain = ran(&scene, &["sync"]).await;
    let row = "acme     support       1/1         0        0        0  ok\n";
    assert!(plain.stdout.contains(row), "{}", plain.stdout);
    let windows = scene.simulator.journal().windows(&support);
    assert_eq!(windows, [(day("2026-03-07"), day("2026-03-09"))]);
    scene.simulator.journal().clear();

    let ranged = ran(
        &scene,
        &["sync", "--from", "2026-01-10", "--to", "2026-02-15"],
    )
    .await;
    let row = "acme     support       2/2         0        1        0  ok\n";
    assert!(ranged.stdout.contains(row), "{}", ranged.stdout);
    assert_eq!(ranged.code, 0);
    let mut days: Vec<_> = scene
        .simulator
        .journal()
        .windows(&support)
        .into_iter()
        .flat_map(|(first, last)| first.through(last))
        .collect();
    days.sort_unstable();
    let wanted: Vec<_> = day("2026-01-10").through(day("2026-02-15")).collect();
    assert_eq!(days, wanted);

    // What it brought is what the exporter publishes.
    let exporter = scene.start().await;
    let scrape = exporter.wait_until_whole(&scene).await;
    let february = scene.sum(&support, day("2026-02-01"), day("2026-02-28"));
    assert_eq!(
        scrape.of(&support, "previous_month_credits"),
        Some(february)
    );
    let up = "flowgent_agent_revised_days_total\
              {account=\"acme\",agent=\"support\",direction=\"up\"}";
    assert_eq!(scrape.get(up), Some(1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_in_use_is_told_with_its_process_and_what_to_do() {
    let scene = Scene::new(NOW);
    let exporter = scene.start().await;
    exporter.wait_for_syncs(1).await;
    let asked = scene.simulator.journal().total();
    let ran = ran(&scene, &["sync"]).await;
    let pid = exporter.pid();
    ran.assert_refused(
        1,
        &format!(
            "error: ledger ledger.db is in use by process {pid}\n\n  \
             tip: a running exporter syncs automatically\n"
        ),
    );
    assert_eq!(scene.simulator.journal().total(), asked);
}
