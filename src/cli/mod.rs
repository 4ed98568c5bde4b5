//! What a person types: arguments, commands, and what is printed.

mod check;
mod demo;
mod ledger;
mod progress;
mod serve;
mod simulate;
mod sync;

use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::clock::{Clock, SystemClock};
use crate::config::{Config, ConfigError};
use crate::logging;

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub enum Failure {
    /// It could not.
    Failed(anyhow::Error),
    /// It was asked the wrong way, or the config is wrong: the text says how.
    Usage(String),
    /// It has already told what is wrong.
    Told,
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        // The chain, since starting the exporter reads the config too.
        match error
            .chain()
            .find_map(|cause| cause.downcast_ref::<ConfigError>())
        {
            Some(error) => Self::Usage(error.render(io::stderr().is_terminal())),
            None => Self::Failed(error),
        }
    }
}

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "flowgent-exporter",
    version,
    about = "Prometheus exporter and usage monitor for AI agents on FlowGent",
    long_about = "Prometheus exporter and usage monitor for AI agents on FlowGent.\n\n\
        It polls each agent's daily credit usage, keeps every day since 28 May 2025 in a local \
        ledger, and serves it to Prometheus. Without a command it serves; `demo` shows it at work \
        without any set-up.",
    after_help = "Exit codes: 0 good, 1 failed, 2 wrong usage or config."
)]
pub struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    serve: ServeArguments,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What every command takes.
#[derive(Debug, Args)]
struct Common {
    /// The config file.
    #[arg(
        long = "config.file",
        global = true,
        value_name = "FILE",
        default_value = "/etc/flowgent-exporter/config.toml"
    )]
    config_file: PathBuf,
    /// The least important events that are logged.
    #[arg(long = "log.level", global = true, value_enum, default_value = "info")]
    log_level: logging::Level,
    /// How the log is written.
    #[arg(
        long = "log.format",
        global = true,
        value_enum,
        default_value = "logfmt"
    )]
    log_format: logging::Format,
}

/// What overrides the config when serving.
#[derive(Debug, Clone, Default, PartialEq, Args)]
struct ServeArguments {
    /// Address to listen on instead of the config's; may be repeated.
    #[arg(long = "web.listen-address", value_name = "ADDRESS")]
    listen: Vec<SocketAddr>,
    /// Path of the metrics instead of the config's.
    #[arg(long = "web.telemetry-path", value_name = "PATH")]
    telemetry_path: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Poll, keep and serve: the default.
    Serve(ServeArguments),
    /// Show it all at work on a simulated FlowGent, without key, network or set-up.
    Demo(demo::DemoArguments),
    /// Check the config, and with --live the keys and agents too.
    Check(check::CheckArguments),
    /// Do one pass in the foreground: fetch what is missing or may have changed, or a range of days.
    Sync(sync::SyncArguments),
    /// Check or copy the ledger, also while the exporter runs.
    #[command(subcommand)]
    Ledger(ledger::LedgerCommand),
    /// Run a simulated FlowGent API to try a client on.
    Simulate(simulate::SimulateArguments),
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page.
    Man,
}

/// Runs what the command line says.
///
/// # Errors
/// Why it could not be done.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments {
        common,
        serve,
        command,
    } = arguments;
    logging::start(common.log_level, common.log_format);
    if serve != ServeArguments::default() && !matches!(command, None | Some(Command::Serve(_))) {
        let message = "error: --web.listen-address and --web.telemetry-path are for serving; put \
            them behind a command that takes them\n\nFor more information, try '--help'.";
        return Err(Failure::Usage(message.to_owned()));
    }
    match command {
        None => block_on(serve::serve(&common, &serve)),
        Some(Command::Serve(arguments)) => block_on(serve::serve(&common, &arguments.or(serve))),
        Some(Command::Demo(arguments)) => block_on(demo::demo(&arguments)),
        Some(Command::Check(arguments)) => block_on(check::check(&common, &arguments)),
        Some(Command::Sync(arguments)) => block_on(sync::sync(&common, &arguments)),
        Some(Command::Ledger(command)) => ledger::run(&common, &command),
        Some(Command::Simulate(arguments)) => block_on(simulate::simulate(&arguments)),
        Some(Command::Completions { shell }) => {
            let mut command = Arguments::command();
            clap_complete::generate(shell, &mut command, "flowgent-exporter", &mut io::stdout());
            Ok(())
        }
        Some(Command::Man) => {
            Ok(clap_mangen::Man::new(Arguments::command()).render(&mut io::stdout())?)
        }
    }
}

impl ServeArguments {
    /// These arguments, and where one is not given, that of `other`.
    fn or(self, other: Self) -> Self {
        Self {
            listen: if self.listen.is_empty() {
                other.listen
            } else {
                self.listen
            },
            telemetry_path: self.telemetry_path.or(other.telemetry_path),
        }
    }
}

fn block_on(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(command)
}

/// The config of the file that the command line names, as of today.
fn load(common: &Common) -> Result<Config, ConfigError> {
    Config::load(&common.config_file, SystemClock.today())
}
