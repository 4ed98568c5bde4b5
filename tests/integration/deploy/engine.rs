//! A container engine, Debian's podman, with everything that it keeps in a folder of its own.

use std::env::consts::ARCH;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use super::{done, outcome, repository};

/// The engine. Its containers and images are gone when it is dropped.
pub struct Engine {
    folder: TempDir,
}

impl Engine {
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// The program, to be given a command.
    pub fn podman(&self) -> Command {
        let mut command = Command::new("podman");
        command.args(self.flags()).stdin(Stdio::null());
        command
    }

    fn flags(&self) -> Vec<String> {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        [
            // The one that copies needs nothing of the kernel.
            ["--storage-driver", "vfs"].map(str::to_owned),
            ["--root".to_owned(), path("store")],
            ["--runroot".to_owned(), path("run")],
            ["--tmpdir".to_owned(), path("tmp")],
            // The other one, crun, wants its cgroups in one version or the other, not in both.
            ["--runtime", "runc"].map(str::to_owned),
        ]
        .concat()
    }

    /// Builds the image from `deploy/Dockerfile` as a release does, out of a program that is there
    /// already.
    pub async fn build_image(&self, program: &Path, tag: &str) {
        let built = tempfile::tempdir().unwrap();
        let folder = built.path().join("out").join(architecture());
        std::fs::create_dir_all(folder.join("state")).unwrap();
        std::fs::copy(program, folder.join("flowgent-exporter")).unwrap();
        let context = format!("build={}", built.path().display());
        let mut build = self.podman();
        build
            .args(["build", "--quiet", "--format", "docker", "--tag", tag])
            .args(["--build-context", &context, "--file"])
            .arg(repository("deploy/Dockerfile"))
            .arg(built.path());
        done(&mut build).await;
    }

    /// Starts a container by that name and returns the id of its process.
    pub async fn run(&self, name: &str, arguments: &[&str]) -> u32 {
        let mut run = self.podman();
        run.args(["run", "--detach", "--name", name])
            // By default it raises these, which root may not do everywhere.
            .args(["--ulimit", "nofile=1024:1024"])
            .args(["--ulimit", "nproc=1024:1024"])
            .args(arguments);
        done(&mut run).await;
        let pid = self.inspect(name).await["State"]["Pid"].as_u64().unwrap();
        u32::try_from(pid).unwrap()
    }

    /// All that is known of a container or an image.
    pub async fn inspect(&self, name: &str) -> Value {
        let all = done(self.podman().args(["inspect", name])).await;
        let mut all: Vec<Value> = serde_json::from_str(&all).unwrap();
        all.remove(0)
    }

    /// Runs the health check of a container: whether it passed, and what it said.
    pub async fn health(&self, name: &str) -> (bool, String) {
        outcome(self.podman().args(["healthcheck", "run", name])).await
    }

    /// What a container has written.
    pub async fn logs(&self, name: &str) -> String {
        outcome(self.podman().args(["logs", name])).await.1
    }

    /// The paths of all files in an image, without the leading slash.
    pub async fn files(&self, image: &str) -> Vec<String> {
        let archive = self.folder.path().join("files.tar");
        let container = done(self.podman().args(["create", image, "nothing"])).await;
        let mut export = self.podman();
        export.args(["export", "--output"]).arg(&archive);
        done(export.arg(container.trim())).await;
        let list = done(Command::new("tar").arg("--list").arg("--file").arg(archive)).await;
        let files = list.lines().filter(|path| !path.ends_with('/'));
        files.map(str::to_owned).collect()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = std::process::Command::new("podman")
            .args(self.flags())
            .args(["rm", "--all", "--force", "--time", "0"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}

/// What images call the architecture of this machine.
fn architecture() -> &'static str {
    match ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => panic!("no image is made for {other}"),
    }
}

/// What the tests were built with: libraries that are linked, and the files that they came from.
pub struct Built {
    /// Cargo's messages, one a line.
    messages: String,
}

impl Built {
    /// Asks cargo, which has nothing to build any more.
    pub async fn find() -> Self {
        let mut cargo = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
        for (name, _) in std::env::vars() {
            // What cargo tells a test would have it build some crates anew.
            let of_package = ["CARGO_MANIFEST", "CARGO_PKG_", "CARGO_BIN_"];
            if of_package.iter().any(|start| name.starts_with(start)) {
                cargo.env_remove(name);
            }
        }
        cargo
            .current_dir(repository(""))
            .args(["test", "--no-run", "--locked", "--test", "integration"])
            .args(["--message-format", "json"]);
        let messages = done(&mut cargo).await;
        Self { messages }
    }

    /// Where a library is, by its crate.
    fn library(&self, name: &str) -> PathBuf {
        let path = self.messages.lines().find_map(|line| {
            let message: Value = serde_json::from_str(line).unwrap();
            let is_it = message["target"]["name"] == name && message["target"]["kind"][0] == "lib";
            message["filenames"][0]
                .as_str()
                .filter(|_| is_it)
                .map(PathBuf::from)
        });
        path.unwrap_or_else(|| panic!("cargo does not tell of {name}:\n{}", self.messages))
    }

    /// The files that the program's code is in, as the compiler noted them beside its library.
    pub fn sources(&self) -> Vec<String> {
        let library = self.library("flowgent_exporter");
        let name = library.file_stem().unwrap().to_str().unwrap();
        let notes = library.with_file_name(format!("{}.d", name.strip_prefix("lib").unwrap()));
        let notes = std::fs::read_to_string(notes).unwrap();
        let (_, sources) = notes.lines().next().unwrap().split_once(": ").unwrap();
        let root = format!(
            "{}/",
            repository("").display().to_string().trim_end_matches('/')
        );
        sources
            .split_whitespace()
            .map(|path| path.strip_prefix(&root).unwrap_or(path).to_owned())
            .collect()
    }

    /// Links the program once more, without any library of the system, into a folder.
    ///
    /// A release does it with musl, whose target may not be installed. This is the same code with the C
    /// library of the system.
    pub async fn link_statically(&self, folder: &Path) -> PathBuf {
        let own = self.library("flowgent_exporter");
        let external = |name: &str, path: &Path| format!("{name}={}", path.display());
        let program = folder.join("flowgent-exporter");
        let mut rustc = Command::new(std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned()));
        rustc
            .args(["--edition", "2024", "-C", "target-feature=+crt-static"])
            .args(["-C", "strip=debuginfo"])
            .args(["-L", &external("dependency", own.parent().unwrap())])
            .args(["--extern", &external("flowgent_exporter", &own)])
            .args(["--extern", &external("clap", &self.library("clap"))])
            .arg("-o")
            .arg(&program)
            .arg(repository("src/main.rs"));
        done(&mut rustc).await;
        program
    }
}
