//! The manifests in `deploy/kubernetes`, put together by kubectl's kustomize and read by the published
//! schemas. What is not run here: a cluster. Whether its pods are admitted, its volumes mounted and its
//! policies enforced shows there alone; what the strictest Pod Security Standard demands is looked for
//! in the manifests instead.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::{done, outcome, repository, tool, yaml};

/// The example with everything that it refers to, and with the key that a person has to write, in a
/// folder of its own.
fn example() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(
        &repository("deploy/kubernetes"),
        &folder.path().join("deploy/kubernetes"),
    );
    copy(&repository("dashboards"), &folder.path().join("dashboards"));
    let key = folder.path().join("deploy/kubernetes/example/acme.key");
    fs::write(key, "test-key-acme").unwrap();
    folder
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let copied = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &copied);
        } else {
            fs::copy(&path, copied).unwrap();
        }
    }
}

/// What `kubectl apply -k` would apply, as the text that kustomize makes.
async fn rendered() -> String {
    let folder = example();
    let example = folder.path().join("deploy/kubernetes/example");
    done(tool("kubectl").arg("kustomize").arg(example)).await
}

/// The objects in a text.
fn objects(rendered: &str) -> Vec<Value> {
    let documents = rendered.split("\n---\n");
    let objects: Vec<Value> = documents
        .map(|text| serde_saphyr::from_str(text).unwrap())
        .collect();
    assert!(objects.len() > 6, "{rendered}");
    objects
}

/// The one object of a kind.
fn the<'a>(kind: &str, objects: &'a [Value]) -> &'a Value {
    let mut found = objects.iter().filter(|object| object["kind"] == kind);
    let object = found.next().unwrap_or_else(|| panic!("there is no {kind}"));
    assert!(found.next().is_none(), "there is more than one {kind}");
    object
}

/// Whether the objects of Kubernetes itself in a text fit its schemas, and what there is to say.
pub(super) async fn validate(rendered: &str) -> (bool, String) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(rendered.as_bytes()).unwrap();
    outcome(tool("kubernetes-validate").arg("--strict").arg(file.path())).await
}

/// What is wrong with each of some objects of the Prometheus operator, by its definitions. All at once, since
/// these take long to load.
pub(super) async fn wrongs_of_operators(objects: &[Value]) -> Vec<Option<String>> {
    let mut child = tool("python")
        .arg(repository("tests/integration/deploy/operator_kinds.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let text = serde_json::to_vec(objects).unwrap();
    child.stdin.take().unwrap().write_all(&text).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

pub(super) fn is_operators(object: &Value) -> bool {
    object["apiVersion"] == "monitoring.coreos.com/v1"
}

#[tokio::test(flavor = "multi_thread")]
async fn every_object_fits_its_published_schema_and_one_with_a_mistake_does_not() {
    let rendered = rendered().await;
    let (fits, said) = validate(&rendered).await;
    assert!(fits, "{said}");
    let (operators, own): (Vec<_>, Vec<_>) = objects(&rendered).into_iter().partition(is_operators);
    assert_eq!(said.matches("INFO").count(), own.len(), "{said}");
    assert_eq!(operators.len(), 2);
    for (right, wrong) in [
        ("readOnlyRootFilesystem:", "readonlyRootFilesystem:"),
        ("replicas: 1", "replicas: one"),
        ("podSelector:", "podSelectors:"),
        ("containerPort:", "port:"),
    ] {
        assert!(rendered.contains(right), "{rendered}");
        let (fits, said) = validate(&rendered.replace(right, wrong)).await;
        assert!(!fits, "{wrong}: {said}");
    }
    let text = serde_json::to_string(&operators).unwrap();
    let mistakes = [
        ("relabelings", "relabeling"),
        ("\"interval\":\"1m\"", "\"interval\":\"1 minute\""),
        ("\"expr\"", "\"exp\""),
    ];
    let mut checked = operators.clone();
    for (right, wrong) in mistakes {
        let mistaken = text.replace(right, wrong);
        assert_ne!(mistaken, text);
        checked.extend(serde_json::from_str::<Vec<Value>>(&mistaken).unwrap());
    }
    let wrongs = wrongs_of_operators(&checked).await;
    let (right, mistaken) = wrongs.split_at(operators.len());
    assert!(right.iter().all(Option::is_none), "{right:?}");
    for (found, (_, mistake)) in mistaken.chunks(operators.len()).zip(mistakes) {
        let count = found.iter().filter(|wrong| wrong.is_some()).count();
        assert_eq!(count, 1, "{mistake}: {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pod_keeps_to_the_strictest_security_standard_and_writes_only_to_its_ledger() {
    let objects = objects(&rendered().await);
    let pod = &the("StatefulSet", &objects)["spec"]["template"]["spec"];
    let security = &pod["securityContext"];
    assert_eq!(security["runAsNonRoot"], true);
    assert_eq!(security["runAsUser"], 65532);
    assert_eq!(security["fsGroup"], 65532);
    assert_eq!(security["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(pod["automountServiceAccountToken"], false);
    for shared in ["hostNetwork", "hostPID", "hostIPC", "initContainers"] {
        assert_eq!(pod[shared], Value::Null, "{shared}");
    }
    assert_eq!(pod["containers"].as_array().unwrap().len(), 1);
    let container = &pod["containers"][0];
    assert_eq!(
        container["securityContext"],
        json!({
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": { "drop": ["ALL"] },
        })
    );
    let mounts = container["volumeMounts"].as_array().unwrap();
    let writable: Vec<&Value> = mounts
        .iter()
        .filter(|mount| mount["readOnly"] != true)
        .collect();
    assert_eq!(writable.len(), 1);
    assert_eq!(writable[0]["mountPath"], "/var/lib/flowgent-exporter");
    for volume in pod["volumes"].as_array().unwrap() {
        let is_allowed = ["configMap", "secret"]
            .iter()
            .any(|kind| !volume[kind].is_null());
        assert!(is_allowed, "{volume}");
    }
    let enforced = "pod-security.kubernetes.io/enforce";
    assert_eq!(
        the("Namespace", &objects)["metadata"]["labels"][enforced],
        "restricted"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_refers_to_the_pod_finds_it() {
    let objects = objects(&rendered().await);
    let set = the("StatefulSet", &objects);
    let service = the("Service", &objects);
    let labels = &set["spec"]["template"]["metadata"]["labels"];
    assert_eq!(&set["spec"]["selector"]["matchLabels"], labels);
    assert_eq!(&service["spec"]["selector"], labels);
    let policy = the("NetworkPolicy", &objects);
    assert_eq!(&policy["spec"]["podSelector"]["matchLabels"], labels);
    let monitor = the("ServiceMonitor", &objects);
    assert_eq!(
        &monitor["spec"]["selector"]["matchLabels"],
        &service["metadata"]["labels"]
    );

    assert_eq!(set["spec"]["replicas"], 1);
    assert_eq!(set["spec"]["serviceName"], service["metadata"]["name"]);
    let container = &set["spec"]["template"]["spec"]["containers"][0];
    let port = &container["ports"][0];
    for named in [
        &service["spec"]["ports"][0]["targetPort"],
        &service["spec"]["ports"][0]["name"],
        &monitor["spec"]["endpoints"][0]["port"],
        &policy["spec"]["ingress"][0]["ports"][0]["port"],
        &container["livenessProbe"]["httpGet"]["port"],
        &container["readinessProbe"]["httpGet"]["port"],
    ] {
        assert_eq!(named, &port["name"]);
    }
    assert_eq!(container["livenessProbe"]["httpGet"]["path"], "/-/healthy");
    assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/-/ready");
    for object in &objects {
        let namespaced = object["kind"] != "Namespace";
        assert!(
            !namespaced || object["metadata"]["namespace"] == "flowgent",
            "{object}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_config_is_right_where_it_is_mounted() {
    let objects = objects(&rendered().await);
    let set = the("StatefulSet", &objects);
    let named = |kind: &str, name: &Value| {
        let object = objects
            .iter()
            .find(|object| object["kind"] == kind && &object["metadata"]["name"] == name);
        object.unwrap_or_else(|| panic!("there is no {kind} {name}"))
    };
    let volumes = &set["spec"]["template"]["spec"]["volumes"];
    let config = named("ConfigMap", &volumes[0]["configMap"]["name"]);
    let secret = named("Secret", &volumes[1]["secret"]["secretName"]);
    assert!(secret["data"]["acme.key"].is_string(), "{secret}");
    let config = config["data"]["config.toml"].as_str().unwrap();
    let keys = "/run/secrets/flowgent-exporter/";
    assert!(config.contains(&format!("\"{keys}acme.key\"")), "{config}");
    let port = &set["spec"]["template"]["spec"]["containers"][0]["ports"][0]["containerPort"];
    assert!(
        config.contains(&format!("listen = [\"0.0.0.0:{port}\"]")),
        "{config}"
    );

    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("acme.key"), "test-key-acme").unwrap();
    let file = folder.path().join("config.toml");
    fs::write(&file, config.replace(keys, "")).unwrap();
    let mut check = Command::new(env!("CARGO_BIN_EXE_flowgent-exporter"));
    done(check.arg("check").arg("--config.file").arg(file)).await;
}

#[test]
fn prometheus_gets_the_same_rules_in_a_cluster() {
    let kustomization = yaml("deploy/kubernetes/monitoring/kustomization.yaml");
    let applied = kustomization["resources"].as_array().unwrap();
    for (rules, object, is_applied) in [
        ("alerts.yml", "prometheusrule.yaml", true),
        ("usage.yml", "prometheusrule-usage.yaml", false),
    ] {
        let groups = &yaml(&format!("deploy/prometheus/rules/{rules}"))["groups"];
        assert!(groups.is_array(), "{rules}");
        let path = format!("deploy/kubernetes/monitoring/{object}");
        assert_eq!(
            &yaml(&path)["spec"]["groups"],
            groups,
            "{path} differs from deploy/prometheus/rules/{rules}"
        );
        assert_eq!(applied.contains(&object.into()), is_applied, "{object}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn grafana_finds_every_dashboard_each_small_enough_for_kubectl() {
    let objects = objects(&rendered().await);
    let mut shown = Vec::new();
    for object in objects
        .iter()
        .filter(|object| object["kind"] == "ConfigMap")
    {
        if object["metadata"]["labels"]["grafana_dashboard"] != "1" {
            continue;
        }
        // kubectl keeps what it has applied in an annotation, which may have 256 KiB.
        let size = object.to_string().len();
        assert!(
            size < 250 << 10,
            "{}: {size} bytes",
            object["metadata"]["name"]
        );
        for (name, text) in object["data"].as_object().unwrap() {
            let file = repository("dashboards").join(name);
            assert_eq!(text.as_str().unwrap(), fs::read_to_string(file).unwrap());
            shown.push(name.clone());
        }
    }
    shown.sort();
    let mut dashboards: Vec<_> = fs::read_dir(repository("dashboards"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".json"))
        .collect();
    dashboards.sort();
    assert!(!dashboards.is_empty());
    assert_eq!(shown, dashboards);
}
