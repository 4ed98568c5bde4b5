//! `deploy/compose.yml` and the configs that it hands out, read by the programs that they are for. What
//! is not run here: Grafana, which no package has.

use std::io::Write;

use serde_json::Value;

use super::{outcome, text, tool, yaml};

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
