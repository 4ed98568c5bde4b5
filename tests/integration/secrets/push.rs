//! No secret of `[push]` is ever shown, whatever the database sends back.

use super::hooks::{
    ANSWERS, QUERY_CANARY, SECRETS, assert_no_secret, assert_no_secret_was_said,
    assert_nothing_is_kept, assert_nothing_is_served, echo_http, serve,
};
use crate::harness::{Exporter, Scene, run};

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_sends_everything_back_does_not_have_it_shown() {
    let scene = Scene::new("2026-03-04T13:00:00");
    let http = serve(echo_http).await;
    for (file, secret, _) in SECRETS {
        if file != "acme.key" {
            scene.write(file, secret);
        }
    }
    let debug = ["--log.level", "debug"];
    assert!(run(&scene, &["sync"]).await.status.success());
    for (name, ..) in ANSWERS {
        for (login, query) in [
            ("username = \"ops\"\npassword_file = \"basic.password\"", ""),
            ("bearer_token_file = \"bearer.token\"", QUERY_CANARY),
        ] {
            let url = format!("http://{http}/token-canary-7731/{name}/api/v1/write?key={query}");
            scene.write("write.url", &url);
            scene.write(
                "config.toml",
                &scene.config(&format!(
                    "[push]\nwrite_url_file = \"write.url\"\ninstance = \"here\"\nallow_private = true\n{login}"
                )),
            );
            let output = run(&scene, &[&["push"], &debug[..]].concat()).await;
            assert_eq!(output.status.code(), Some(1), "{name}: {output:?}");
            assert_no_secret_was_said(name, &output);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(
                said.contains("the URL in file `write.url`: "),
                "{name}: {said}"
            );
            assert!(!said.contains(&http.to_string()), "{name}: {said}");
            assert_nothing_is_kept(&scene);
        }
        let exporter = Exporter::start(&scene, &debug).await;
        exporter
            .wait_until("a failure", |_| {
                exporter.logged("cannot push") + exporter.logged("pushing is paused") > 0
            })
            .await;
        assert_nothing_is_served(&exporter).await;
        let log = exporter.stop().await;
        assert_no_secret(name, log.as_bytes());
        assert_nothing_is_kept(&scene);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_config_of_push_that_is_wrong_does_not_have_its_secrets_shown() {
    let scene = Scene::new("2026-03-04T13:00:00");
    let url = "https://tsdb.example/api/v1/write";
    for wrong in [
        format!("write_url = \"{url}?key={QUERY_CANARY}\""),
        format!("write_url = \"https://ops:{QUERY_CANARY}@tsdb.example/api/v1/write\""),
        format!("write_url_file = \"{url}/{QUERY_CANARY}\""),
        format!("write_url_env = \"{QUERY_CANARY}\""),
        format!("write_url = \"{url}\"\nusername = \"ops\"\npassword = \"{QUERY_CANARY}\""),
        format!("write_url = \"{url}\"\nbearer_token = \"{QUERY_CANARY}\""),
        format!("write_url = \"{url}\"\nquery_url = \"{url}#{QUERY_CANARY}\""),
        format!("url = \"{url}/{QUERY_CANARY}\""),
        format!("write_url = {QUERY_CANARY}"),
    ] {
        let push = format!("[push]\n{wrong}\ninstance = \"here\"");
        scene.write("config.toml", &scene.config(&push));
        for command in ["serve", "check", "push"] {
            let output = run(&scene, &[command, "--log.level", "debug"]).await;
            assert_eq!(output.status.code(), Some(2), "{command}: {wrong}");
            assert_no_secret_was_said(&wrong, &output);
        }
    }
}
