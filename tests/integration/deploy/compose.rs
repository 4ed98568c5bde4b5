//! `deploy/compose.yml` and the configs that it hands out, read by the programs that they are for. What
//! is not run here: Grafana, which no package has.

use std::io::Write;

use serde_json::Value;
use tokio::process::Command;

use super::{done, outcome, repository, text, tool, yaml};

/// The services by their names.
fn services() -> Vec<(String, Value)> {
    let compose = yaml("deploy/compose.yml");
    let services = compose["services"].as_object().unwrap();
    assert_eq!(services.len(), 4);
    services.clone().into_iter().collect()
}

/// The texts of a list.
fn texts(list: &Value) -> Vec<&str> {
    let list = list.as_array().map_or(&[][..], Vec::as_slice);
    list.iter().map(|text| text.as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stack_fits_the_schema_of_compose_files_and_one_with_a_mistake_does_not() {
    let written = text("deploy/compose.yml");
    for (right, wrong, is_right) in [
        ("read_only", "read_only", true),
        ("read_only", "readonly", false),
        ("cap_drop: [ALL]", "cap_drop: ALL", false),
    ] {
        assert!(written.contains(right));
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(written.replace(right, wrong).as_bytes())
            .unwrap();
        let mut check = tool("check-jsonschema");
        check
            .args([
                "--builtin-schema",
                "vendor.compose-spec",
                "--default-filetype",
                "yaml",
            ])
            .arg(file.path());
        let (fits, said) = outcome(&mut check).await;
        assert_eq!(fits, is_right, "{said}");
    }
}

#[test]
fn every_service_has_no_rights_a_health_check_and_no_port_for_strangers() {
    for (name, service) in services() {
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(texts(&service["cap_drop"]), ["ALL"], "{name}");
        assert_eq!(
            texts(&service["security_opt"]),
            ["no-new-privileges:true"],
            "{name}"
        );
        let ports = texts(&service["ports"]);
        assert!(!ports.is_empty() && ports.iter().all(|port| port.starts_with("127.0.0.1:")));
        let image = service["image"].as_str().unwrap();
        let (_, tag) = image.rsplit_once(':').unwrap();
        assert!(tag != "latest", "{image}");
        // The exporter's is in its image.
        assert!(
            name == "exporter" || service["healthcheck"]["test"].is_array(),
            "{name}"
        );
    }
}

#[test]
fn everything_that_is_mounted_is_there_but_for_what_a_person_writes() {
    let compose = yaml("deploy/compose.yml");
    let volumes = compose["volumes"].as_object().unwrap();
    let secrets = compose["secrets"].as_object().unwrap();
    let deploy = repository("deploy");
    let mut files = 0;
    for (name, service) in services() {
        for volume in texts(&service["volumes"]) {
            let from = volume.split(':').next().unwrap();
            if from.starts_with('.') {
                assert!(deploy.join(from).exists(), "{name}: {volume}");
                assert!(volume.ends_with(":ro"), "{name}: {volume}");
                files += 1;
            } else {
                assert!(volumes.contains_key(from), "{name}: {volume}");
            }
        }
        for secret in texts(&service["secrets"]) {
            let file = secrets[secret]["file"].as_str().unwrap();
            assert!(
                deploy.join(file).parent().unwrap().exists(),
                "{name}: {file}"
            );
        }
    }
    assert!(files > 5, "only {files} files are mounted");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_program_takes_the_config_that_it_is_given() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("acme.key"), "test-key-acme").unwrap();
    let config = text("deploy/compose/config.toml");
    let secrets = "/run/secrets/";
    assert!(config.contains(secrets));
    let file = folder.path().join("config.toml");
    std::fs::write(&file, config.replace(secrets, "")).unwrap();
    let mut check = Command::new(env!("CARGO_BIN_EXE_flowgent-exporter"));
    done(check.arg("check").arg("--config.file").arg(file)).await;

    // Where the rules are mounted.
    let rules = folder.path().join("rules");
    std::os::unix::fs::symlink(repository("deploy/prometheus/rules"), rules).unwrap();
    let file = folder.path().join("prometheus.yml");
    std::fs::copy(repository("deploy/compose/prometheus.yml"), &file).unwrap();
    let said = done(Command::new("promtool").args(["check", "config"]).arg(file)).await;
    assert!(said.contains("SUCCESS: 1 rule files found"), "{said}");

    let file = repository("deploy/compose/alertmanager.yml");
    done(Command::new("amtool").arg("check-config").arg(file)).await;
}
