//! `init`: from a key to figures in two commands.

use std::fs;
use std::process::Stdio;

use tokio::io::AsyncWriteExt;

use super::{assert_golden, ran};
use crate::harness::{PATIENCE, Scene};

const NOW: &str = "2026-03-10T09:00:00";

/// A scene without a config.
fn scene() -> Scene {
    let scene = Scene::new(NOW);
    fs::remove_file(scene.path("config.toml")).unwrap();
    scene
}

#[tokio::test(flavor = "multi_thread")]
async fn it_writes_a_config_that_is_good_and_names_the_next_command() {
    let scene = scene();
    let init = ["init", "--name", "acme \"one\"", "--key-file", "acme.key"];
    let told = ran(&scene, &init).await;
    assert_golden("init.txt", &told.stdout);
    assert_eq!((told.code, told.stderr.as_str()), (0, ""));
    let written = fs::read_to_string(scene.path("config.toml")).unwrap();
    assert_golden("init-discover.toml", &written);
    assert!(!written.contains("test-key"), "{written}");

    // With the simulator's address, the ledger lies beside it and the figures are there.
    let api = format!(
        "[api]\nbase_url = \"{}\"\n{written}",
        scene.simulator.base_url()
    );
    scene.write("config.toml", &api);
    let synced = ran(&scene, &["sync"]).await;
    assert_eq!((synced.code, synced.stderr.contains("error")), (0, false));
    assert!(scene.path("ledger.db").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn named_agents_are_written_one_by_one() {
    let scene = scene();
    let init = [
        "init",
        "--name",
        "acme",
        "--key-file",
        "acme.key",
        "--agent",
        "a-1=support",
        "--agent",
        "a-2",
    ];
    assert_eq!(ran(&scene, &init).await.code, 0);
    let written = fs::read_to_string(scene.path("config.toml")).unwrap();
    let agents = "\n[[account.agent]]\nid = \"a-1\"\nname = \"support\"\n\n[[account.agent]]\nid = \"a-2\"\n\n#";
    assert!(written.contains(agents), "{written}");
    assert!(!written.contains("\ndiscover"), "{written}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_overwrites_nothing_writes_no_key_and_leaves_nothing_wrong_behind() {
    let scene = scene();
    let with = |name: &'static str, key: &'static str| ["init", "--name", name, "--key-file", key];
    let refused = ran(&scene, &with("acme", "an-api-key-itself")).await;
    refused.assert_refused(
        2,
        "error: --key-file is not a file: write the API key into a file that only you can read, and give its \
         path. The key itself never goes into the config\n",
    );
    let refused = ran(&scene, &["init", "--name", "acme"]).await;
    refused.assert_refused(2, "error: --key-file is missing\n");
    let refused = ran(&scene, &with("", "acme.key")).await;
    assert_eq!(refused.code, 2, "{}", refused.stdout);
    assert!(!scene.path("config.toml").exists());

    scene.write("config.toml", "mine");
    let refused = ran(&scene, &with("acme", "acme.key")).await;
    refused.assert_refused(
        1,
        "error: config.toml already exists and is not overwritten: choose another file with --config.file\n",
    );
    assert_eq!(
        fs::read_to_string(scene.path("config.toml")).unwrap(),
        "mine"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_terminal_it_asks_for_what_is_not_given() {
    let scene = scene();
    let program = env!("CARGO_BIN_EXE_flowgent-exporter");
    let mut child = tokio::process::Command::new("script")
        .args(["--quiet", "--return", "--command"])
        .arg(format!("{program} init --config.file config.toml"))
        .arg("/dev/null")
        .current_dir(scene.folder())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    // A terminal takes the lines as they are typed, also before they are asked for.
    let mut keyboard = child.stdin.take().unwrap();
    keyboard.write_all(b"acme\nacme.key\n").await.unwrap();
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    let output = output.expect("it ends").unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{shown}");
    for question in ["Name of the account: ", "File that holds its API key: "] {
        assert!(shown.contains(question), "{shown}");
    }
    assert!(shown.contains("config.toml is valid: 1 account"), "{shown}");
    let written = fs::read_to_string(scene.path("config.toml")).unwrap();
    assert!(written.contains("name = \"acme\"\n"), "{written}");
    assert!(
        written.contains("api_key_file = \"acme.key\"\n"),
        "{written}"
    );
}
