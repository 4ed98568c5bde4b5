//! The workflows in `.github`, and what has to be the same in several files. What is not run here: the
//! workflows themselves, which take GitHub; their schema is checked, a linter looks for what would let
//! strangers in, and bash reads their scripts.

use std::fs;

use serde_json::Value;
use tokio::process::Command;

use super::{done, outcome, repository, text, tool, yaml};

const WORKFLOWS: [&str; 2] = [".github/workflows/ci.yml", ".github/workflows/release.yml"];

/// Whether a file fits a schema that is published for it, and what there is to say.
async fn fits(schema: &str, file: &std::path::Path) -> (bool, String) {
    let mut check = tool("check-jsonschema");
    outcome(check.args(["--builtin-schema", schema]).arg(file)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn workflows_fit_their_schema_and_let_no_stranger_in_and_ones_with_a_mistake_are_found() {
    for workflow in WORKFLOWS {
        let (fits, said) = fits("vendor.github-workflows", &repository(workflow)).await;
        assert!(fits, "{said}");
    }
    let dependabot = repository(".github/dependabot.yml");
    let (fitting, said) = fits("vendor.dependabot", &dependabot).await;
    assert!(fitting, "{said}");
    let mut lint = tool("zizmor");
    lint.args(["--offline", "--no-progress"])
        .arg(repository(".github"));
    let (safe, said) = outcome(&mut lint).await;
    assert!(safe && said.contains("No findings"), "{said}");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("release.yml");
    let release = text(WORKFLOWS[1]);
    let wrong = release.replace("runs-on:", "run-on:");
    assert_ne!(wrong, release);
    fs::write(&file, wrong).unwrap();
    assert!(!fits("vendor.github-workflows", &file).await.0);
    let pin = release.split("actions/checkout@").nth(1).unwrap();
    let (commit, _) = pin.split_once(" #").unwrap();
    for (right, wrong, finding) in [
        (commit, "v5", "unpinned-uses"),
        (
            "  contents: read\n\njobs",
            "  contents: write\n\njobs",
            "excessive-permissions",
        ),
        ("$GITHUB_ACTOR", "${{ github.actor }}", "template-injection"),
    ] {
        assert!(release.contains(right), "{right}");
        fs::write(&file, release.replace(right, wrong)).unwrap();
        let mut lint = tool("zizmor");
        let (safe, said) = outcome(lint.args(["--offline", "--no-progress"]).arg(&file)).await;
        assert!(!safe && said.contains(finding), "{finding}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bash_can_read_every_script_of_the_workflows() {
    let mut scripts = 0;
    for workflow in WORKFLOWS {
        let jobs = yaml(workflow)["jobs"].take();
        for (name, job) in jobs.as_object().unwrap() {
            for step in job["steps"].as_array().unwrap() {
                let Some(script) = step["run"].as_str() else {
                    continue;
                };
                let (reads, said) = outcome(Command::new("bash").args(["-n", "-c", script])).await;
                assert!(reads, "{workflow}: {name}: {said}");
                scripts += 1;
            }
        }
    }
    assert!(scripts > 5, "only {scripts} scripts were found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_told_with_what_the_changelog_says_of_it() {
    let steps = yaml(WORKFLOWS[1])["jobs"]["publish"]["steps"].take();
    let last = steps.as_array().unwrap().last().unwrap();
    let script = last["run"].as_str().unwrap();
    let (before, publish) = script.split_once("gh release create").unwrap();
    assert!(publish.contains("--notes-file notes.md"), "{script}");
    let folder = tempfile::tempdir().unwrap();
    let changelog = "# Changelog\n\n## Unreleased\n\n## 1.2.3\n\n- New.\n\n## 1.2.2\n\n- Old.\n";
    fs::write(folder.path().join("CHANGELOG.md"), changelog).unwrap();
    let mut bash = Command::new("bash");
    bash.args(["-e", "-c", before])
        .current_dir(folder.path())
        .env("GITHUB_REF_NAME", "v1.2.3");
    done(&mut bash).await;
    let notes = fs::read_to_string(folder.path().join("notes.md")).unwrap();
    assert_eq!(notes.trim(), "- New.");
    // One that is told nowhere is not released.
    let (passed, _) = outcome(bash.env("GITHUB_REF_NAME", "v1.2.4")).await;
    assert!(!passed);
}

#[test]
fn every_file_names_the_same_oldest_rust() {
    let version = env!("CARGO_PKG_RUST_VERSION");
    for (file, words) in [
        ("README.md", format!("Rust {version} or newer")),
        ("CONTRIBUTING.md", format!("Rust {version} or newer")),
        (
            "deploy/Dockerfile",
            format!("library/rust:{version}-alpine"),
        ),
        (WORKFLOWS[0], format!("library/rust:{version}-bookworm")),
        (WORKFLOWS[1], format!("library/rust:{version}-bookworm")),
    ] {
        assert!(text(file).contains(&words), "{file} does not say {words:?}");
    }
}

#[test]
fn every_file_names_the_version_of_this_release() {
    let version = env!("CARGO_PKG_VERSION");
    let image = format!("flowgent-exporter:{version}");
    let compose = yaml("deploy/compose.yml");
    assert_eq!(compose["services"]["exporter"]["image"], image);
    let set = yaml("deploy/kubernetes/base/statefulset.yaml");
    assert_eq!(
        set["spec"]["template"]["spec"]["containers"][0]["image"],
        image
    );
    let example = yaml("deploy/kubernetes/example/kustomization.yaml");
    assert_eq!(example["images"][0]["newTag"], Value::from(version));
    let chart = yaml("deploy/helm/Chart.yaml");
    assert_eq!([&chart["version"], &chart["appVersion"]], [version; 2]);
}

#[test]
fn packages_are_made_by_the_cargo_deb_that_the_tests_know() {
    let run = text("tests/run");
    let line = run.lines().find_map(|line| line.strip_prefix("cargo_deb="));
    let tool = format!("cargo-deb@{}\n", line.unwrap());
    assert!(text(WORKFLOWS[1]).contains(&tool), "{tool}");
}
