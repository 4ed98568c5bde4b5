//! `init`: writes a commented config for one account, and checks it.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::Args;

use super::check::{self, CheckArguments};
use super::{Common, DEFAULT_CONFIG, Failure, load, print};

/// Arguments of `init`.
#[derive(Debug, Args)]
pub(super) struct InitArguments {
    /// The account's name in labels and on pages; a terminal prompts for it.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The file that holds the account's API key; a terminal prompts for it.
    #[arg(long, value_name = "FILE")]
    key_file: Option<String>,
    /// An agent: its id, and a name for it; may be repeated. Without any, agents are discovered.
    #[arg(long = "agent", value_name = "ID[=NAME]")]
    agents: Vec<String>,
}

/// Writes the file, which must not be there yet, and removes it again if it would be wrong.
pub(super) async fn init(common: &Common, arguments: &InitArguments) -> Result<(), Failure> {
    let path = &common.config_file;
    if path.exists() {
        return Err(there_already(path).into());
    }
    let name = given(arguments.name.as_deref(), "--name", "Name of the account")?;
    let key_file = given(
        arguments.key_file.as_deref(),
        "--key-file",
        "File that holds its API key",
    )?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let key_file = key_path(folder, Path::new(&key_file))?;
    let has_own_ledger = path.as_os_str() != DEFAULT_CONFIG;
    let text = config(&name, &key_file, &arguments.agents, has_own_ledger);
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    let mut file = match file {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            return Err(there_already(path).into());
        }
        file => file.with_context(|| format!("cannot create {}", path.display()))?,
    };
    let written = file.write_all(text.as_bytes());
    let written = written.with_context(|| format!("cannot write {}", path.display()));
    if let Err(failure) = written
        .map_err(Failure::from)
        .and_then(|()| load(common).map(drop).map_err(Failure::from))
    {
        let _ = fs::remove_file(path);
        return Err(failure);
    }
    check::check(common, &CheckArguments::default()).await?;
    print(format_args!(
        "\nTo try the key: flowgent-exporter check --live --config.file {0}\n\
         To serve:       flowgent-exporter --config.file {0}\n",
        path.display()
    ))
}

fn there_already(path: &Path) -> anyhow::Error {
    anyhow!(
        "{} already exists and is not overwritten: choose another file with --config.file",
        path.display()
    )
}

/// The value of a flag, or else the answer of a person at the terminal.
fn given(value: Option<&str>, flag: &str, question: &str) -> Result<String, Failure> {
    if let Some(value) = value {
        return Ok(value.to_owned());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::Usage(format!("error: {flag} is missing")));
    }
    print(format_args!("{question}: "))?;
    io::stdout().flush()?;
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

/// The path of the key's file as the config in `folder` names it. What is no file may be the key itself: it is
/// neither shown nor written.
fn key_path(folder: &Path, file: &Path) -> Result<PathBuf, Failure> {
    let Some(real) = file.canonicalize().ok().filter(|real| real.is_file()) else {
        let message = "error: --key-file is not a file: write the API key into a file that only you can read, and \
            give its path. The key itself never goes into the config";
        return Err(Failure::Usage(message.to_owned()));
    };
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let folder = folder.canonicalize().unwrap_or_default();
    let beside = real.strip_prefix(&folder).map(Path::to_owned);
    Ok(beside.unwrap_or(real))
}

/// A text as TOML writes it.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn config(name: &str, key_file: &Path, agents: &[String], has_own_ledger: bool) -> String {
    let mut text =
        "# Written by `flowgent-exporter init`. docs/configuration.md explains more.\n\n\
        [server]\n\
        # Only this machine can connect. [\"0.0.0.0:13569\"] lets other machines connect too.\n\
        listen = [\"127.0.0.1:13569\"]\n"
            .to_owned();
    if has_own_ledger {
        text += "\n[storage]\n# The ledger holds every day of every agent. `ledger backup FILE` copies it.\n\
            path = \"ledger.db\"\n";
    }
    let key_file = quoted(&key_file.display().to_string());
    let name = quoted(name);
    text += &format!(
        "\n[[account]]\nname = {name}\n# A file with the API key and nothing else. Only the exporter's user should be \
         able to read it: chmod 600.\napi_key_file = {key_file}\n"
    );
    if agents.is_empty() {
        text += "# All agents that FlowGent lists for the key. To choose some, replace this line with their ids.\n\
            discover = true\n\n# [[account.agent]]\n# id = \"66a72b17-cb03-4397-ab2a-1eef13847737\"\n\
            # name = \"support\"\n";
    }
    for agent in agents {
        let (id, name) = agent.split_once('=').unwrap_or((agent, ""));
        text += &format!("\n[[account.agent]]\nid = {}\n", quoted(id));
        if !name.is_empty() {
            // Writing to a text cannot fail.
            let _ = writeln!(text, "name = {}", quoted(name));
        }
    }
    text + "\n# Alert before credits run out. docs/alerts.md explains hooks, which send the alerts.\n\
        # [[budget]]\n# name = \"month\"\n# credits = 10000\n# period = \"month\"\n# hooks = []\n"
}
