//! Debian's Chromium, driven over the DevTools protocol through a pair of pipes: no port, no crate.

use std::process::Stdio;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::PATIENCE;

/// Chromium takes its commands from descriptor 3 and answers on 4.
const PIPES: &str = r#"exec chromium "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#;

/// A browser with one tab. It is killed when dropped.
pub struct Browser {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    session: String,
    commands: u64,
    seen: Seen,
    _child: Child,
    _profile: TempDir,
}

/// What a page did while it was shown.
#[derive(Debug, Default)]
pub struct Seen {
    /// The addresses that it asked for, its own first.
    pub requests: Vec<String>,
    /// What it wrote to the console, or the browser about it.
    pub complaints: Vec<String>,
    is_loaded: bool,
}

/// What a page is looked at on.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    pub width: u32,
    pub is_dark: bool,
}

impl Browser {
    /// A browser that shows nothing yet.
    pub async fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut child = Command::new("sh")
            .args(["-c", PIPES, "sh"])
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--hide-scrollbars",
                "--remote-debugging-pipe",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut browser = Self {
            input,
            output: BufReader::new(output),
            session: String::new(),
            commands: 0,
            seen: Seen::default(),
            _child: child,
            _profile: profile,
        };
        let target = browser
            .call("Target.createTarget", json!({ "url": "about:blank" }))
            .await;
        let attached = browser
            .call(
                "Target.attachToTarget",
                json!({ "targetId": target["targetId"], "flatten": true }),
            )
            .await;
        browser.session = attached["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({})).await;
        }
        browser
    }

    /// Looks at pages on that screen from now on.
    pub async fn look_on(&mut self, screen: Screen) {
        let is_phone = screen.width < 600;
        let metrics = json!({
            "width": screen.width, "height": 900, "deviceScaleFactor": 1, "mobile": is_phone,
        });
        self.call("Emulation.setDeviceMetricsOverride", metrics)
            .await;
        let scheme = if screen.is_dark { "dark" } else { "light" };
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        let media = json!({ "features": [feature] });
        self.call("Emulation.setEmulatedMedia", media).await;
    }

    /// Goes to a page; returns once it is loaded.
    pub async fn open(&mut self, url: &str) {
        self.seen = Seen::default();
        self.call("Page.navigate", json!({ "url": url })).await;
        self.loaded().await;
    }

    /// Runs an expression that leads to another page; returns once that is loaded.
    pub async fn follow(&mut self, expression: &str) {
        self.seen = Seen::default();
        self.evaluate(expression).await;
        self.loaded().await;
    }

    /// What the page that is shown did so far.
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// The value of an expression in the page, as JSON has it.
    pub async fn evaluate(&mut self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "returnByValue": true });
        let answer = self.call("Runtime.evaluate", asked).await;
        assert!(
            answer["exceptionDetails"].is_null(),
            "{expression}: {answer:#}"
        );
        answer["result"]["value"].clone()
    }

    /// The rules of axe-core that the page breaks, each with the first place; empty if none.
    pub async fn axe(&mut self) -> String {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let script = root.join("target/axe/node_modules/axe-core/axe.min.js");
        let script = std::fs::read_to_string(&script)
            .unwrap_or_else(|error| panic!("{}: {error}: run tests/run", script.display()));
        self.evaluate(&format!("{script}; void 0")).await;
        let run = "axe.run().then((found) => found.violations.map((rule) => \
                   `${rule.id}: ${rule.nodes[0].html} ${rule.nodes[0].failureSummary}`).join('; '))";
        let asked = json!({ "expression": run, "returnByValue": true, "awaitPromise": true });
        let answer = self.call("Runtime.evaluate", asked).await;
        assert!(answer["exceptionDetails"].is_null(), "{answer:#}");
        answer["result"]["value"].as_str().unwrap().to_owned()
    }

    /// Presses a key, by its name.
    pub async fn press(&mut self, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            let event =
                json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": 9 });
            self.call("Input.dispatchKeyEvent", event).await;
        }
    }

    /// Keeps a picture of the whole page outside of git, for people to look at.
    pub async fn keep_picture(&mut self, name: &str) {
        let asked = json!({ "format": "png", "captureBeyondViewport": true });
        let picture = self.call("Page.captureScreenshot", asked).await;
        let bytes = STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
        let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("../screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), bytes).unwrap();
    }

    async fn loaded(&mut self) {
        while !self.seen.is_loaded {
            let event = self.message().await;
            self.note(&event);
        }
    }

    /// The answer to a command.
    async fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.commands += 1;
        let id = self.commands;
        let mut command = json!({ "id": id, "method": method, "params": parameters });
        if !self.session.is_empty() {
            command["sessionId"] = self.session.as_str().into();
        }
        let mut text = command.to_string().into_bytes();
        text.push(0);
        self.input.write_all(&text).await.unwrap();
        loop {
            let message = self.message().await;
            if message["id"] == id {
                assert!(message["error"].is_null(), "{method}: {message:#}");
                return message["result"].clone();
            }
            self.note(&message);
        }
    }

    /// The next thing that the browser says.
    async fn message(&mut self) -> Value {
        let mut bytes = Vec::new();
        let read = timeout(PATIENCE, self.output.read_until(0, &mut bytes)).await;
        let read = read.unwrap_or_else(|_| panic!("Chromium says nothing: {:?}", self.seen));
        assert!(read.unwrap() > 0, "Chromium has ended: {:?}", self.seen);
        let message = bytes.strip_suffix(&[0]).unwrap();
        serde_json::from_slice(message).unwrap()
    }

    fn note(&mut self, event: &Value) {
        let parameters = &event["params"];
        match event["method"].as_str() {
            Some("Page.loadEventFired") => self.seen.is_loaded = true,
            Some("Network.requestWillBeSent") => {
                let url = parameters["request"]["url"].as_str().unwrap();
                self.seen.requests.push(url.to_owned());
            }
            Some("Log.entryAdded") => {
                let text = parameters["entry"]["text"].as_str().unwrap();
                self.seen.complaints.push(text.to_owned());
            }
            Some("Runtime.exceptionThrown" | "Runtime.consoleAPICalled") => {
                self.seen.complaints.push(parameters.to_string());
            }
            _ => {}
        }
    }
}
