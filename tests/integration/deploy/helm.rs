//! The Helm chart that `deploy/helm/make` makes of the manifests, read by Helm's own library, and held against what
//! kustomize makes of them.

use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::kubernetes::{is_operators, validate, wrongs_of_operators};
use super::{done, repository, text, tool};

/// The chart, in a folder of its own.
async fn chart() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let make = repository("deploy/helm/make");
    let out = folder.path().join("flowgent-exporter");
    done(tool("python").arg(make).arg(out)).await;
    folder
}

/// What Helm finds wrong with the chart and these values, and what it renders.
async fn helm(chart: &TempDir, values: &Value) -> (Vec<String>, Value) {
    let mut child = tool("python")
        .arg(repository("tests/integration/deploy/helm_chart.py"))
        .arg(chart.path().join("flowgent-exporter"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let values = serde_json::to_vec(values).unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(&values)
        .await
        .unwrap();
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success());
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    let lint = serde_json::from_value(all["lint"].clone()).unwrap();
    (lint, all["rendered"].clone())
}

/// The rendered objects that there are.
fn objects(rendered: &Value) -> Vec<Value> {
    let texts = rendered.as_object().unwrap().values();
    // An octal number to Kubernetes and Helm, and a decimal one to YAML 1.2.
    let texts = texts.map(|text| text.as_str().unwrap().replace(": 0440", ": 288"));
    let objects = texts.filter_map(|text| serde_saphyr::from_str(&text).ok());
    objects.filter(Value::is_object).collect()
}

/// Takes away what only a chart has.
fn without_helm(mut object: Value) -> Value {
    fn walk(value: &mut Value) {
        match value {
            Value::Object(map) => {
                map.remove("app.kubernetes.io/instance");
                map.remove("annotations");
                map.values_mut().for_each(walk);
            }
            Value::Array(list) => list.iter_mut().for_each(walk),
            _ => {}
        }
    }
    walk(&mut object);
    object
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chart_is_sound_and_gives_what_kustomize_gives() {
    let chart = chart().await;
    let config = text("deploy/kubernetes/example/config.toml");
    let (lint, rendered) = helm(&chart, &json!({ "config": config })).await;
    assert_eq!(lint, [""; 0]);
    let mut found = objects(&rendered);
    let place = found
        .iter()
        .position(|object| object["kind"] == "ConfigMap");
    let map = found.remove(place.unwrap());
    assert_eq!(map["data"]["config.toml"], config);
    let base = repository("deploy/kubernetes/base");
    let kustomized = done(tool("kubectl").arg("kustomize").arg(base)).await;
    let kustomized = kustomized.split("\n---\n");
    let mut expected: Vec<Value> = kustomized
        .map(|text| serde_saphyr::from_str(text).unwrap())
        .collect();
    let kind = |object: &Value| object["kind"].as_str().unwrap().to_owned();
    let mut found: Vec<Value> = found.into_iter().map(without_helm).collect();
    found.sort_by_key(kind);
    expected.sort_by_key(kind);
    assert_eq!(found, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_chart_gives_fits_the_published_schemas_whatever_the_values() {
    let chart = chart().await;
    let values = json!({
        "config": "[server]\nlisten = [\"[::]:13569\"] # {{ not a template }}\n",
        "image": { "repository": "registry.example.org/exporter", "tag": "1" },
        "keysSecret": "keys",
        "storage": { "size": "5Gi", "className": "fast" },
        "resources": {},
        "networkPolicy": { "enabled": false },
        "monitoring": { "enabled": true, "labels": { "release": "prometheus" } },
    });
    let (lint, rendered) = helm(&chart, &values).await;
    assert_eq!(lint, [""; 0]);
    let objects = objects(&rendered);
    let (operators, own): (Vec<_>, Vec<_>) = objects.into_iter().partition(is_operators);
    assert_eq!((operators.len(), own.len()), (2, 3));
    let texts: Vec<String> = own.iter().map(Value::to_string).collect();
    let (fits, said) = validate(&texts.join("\n---\n")).await;
    assert!(fits, "{said}");
    assert_eq!(said.matches("INFO").count(), 3, "{said}");
    let wrongs = wrongs_of_operators(&operators).await;
    assert!(wrongs.iter().all(Option::is_none), "{wrongs:?}");
    let all = texts.join("\n");
    for value in ["registry.example.org/exporter:1", "\"keys\"", "5Gi", "fast"] {
        assert!(all.contains(value), "{value}: {all}");
    }
    let rules = operators.iter().find(|one| one["kind"] == "PrometheusRule");
    let rules = rules.unwrap();
    assert_eq!(rules["metadata"]["labels"]["release"], "prometheus");
    let written = super::yaml("deploy/kubernetes/monitoring/prometheusrule.yaml");
    assert_eq!(rules["spec"], written["spec"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_make_no_sense_are_refused() {
    let chart = chart().await;
    for (values, reason) in [
        (json!({}), "config is empty: --set-file config=config.toml"),
        (
            json!({ "config": "x", "storge": {} }),
            "'storge' not allowed",
        ),
        (
            json!({ "config": "x", "storage": { "size": "much" } }),
            "does not match pattern",
        ),
    ] {
        let (_, rendered) = helm(&chart, &values).await;
        let error = rendered["error"].as_str().unwrap();
        assert!(error.contains(reason), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_packs_the_chart_with_its_own_image() {
    let steps = super::yaml(".github/workflows/release.yml")["jobs"]["publish"]["steps"].take();
    let mut scripts = steps
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|step| step["run"].as_str());
    let script = scripts
        .find(|script| script.contains("deploy/helm/make"))
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(repository("deploy"), folder.path().join("deploy")).unwrap();
    std::fs::create_dir(folder.path().join("dist")).unwrap();
    let mut bash = Command::new("bash");
    bash.args(["-e", "-c", script])
        .current_dir(folder.path())
        .env("GITHUB_REF_NAME", "v1.2.3")
        .env("GITHUB_REPOSITORY", "Someone/Exporter");
    done(&mut bash).await;
    let unpacked = tempfile::tempdir().unwrap();
    let packed = folder.path().join("dist/flowgent-exporter-chart-1.2.3.tgz");
    let mut tar = Command::new("tar");
    done(tar.arg("-xzf").arg(packed).arg("-C").arg(unpacked.path())).await;
    let (lint, rendered) = helm(&unpacked, &json!({ "config": "x" })).await;
    assert_eq!(lint, [""; 0]);
    let image = format!("ghcr.io/someone/exporter:{}", env!("CARGO_PKG_VERSION"));
    assert!(rendered.to_string().contains(&image), "{rendered}");
}
