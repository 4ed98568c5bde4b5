//! The command line: arguments, commands and their output.

mod alerts;
mod ask;
mod check;
mod demo;
mod doctor;
mod examine;
mod export;
mod health;
mod heaps;
mod init;
mod ledger;
mod man;
mod progress;
mod purses;
mod push;
mod report;
mod serve;
mod simulate;
mod sync;
mod view;
mod width;

use std::fmt;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue};
use clap::{Args, CommandFactory, Parser, Subcommand};
use comfy_table::{Cell, CellAlignment, ContentArrangement, Row, Table, presets};
use url::Url;

use crate::clock::{Clock, SystemClock};
use crate::config::{Config, ConfigError};
use crate::nearest::nearest;
use crate::roster::AccountSettings;
use crate::server::{Address, Inherited};
use crate::text::{grouped, visible};
use crate::{logging, secret};

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
            Some(error) => Self::Usage(format!("{}{}", error.render(has_colours()), tip(error))),
            None => Self::Failed(error),
        }
    }
}

/// Columns from which on a table is readable even if some of its cells break.
const WIDE: usize = 100;

/// Path of the config file in packages.
const DEFAULT_CONFIG: &str = "/etc/flowgent-exporter/config.toml";

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "flowgent-exporter",
    version,
    about = "Prometheus exporter and usage monitor for AI agents on FlowGent",
    after_help = "It polls each agent's daily credit usage, keeps every day since 28 May 2025 in a \
        local ledger, serves it to Prometheus, and alerts you before budgets run out. Without a \
        command it serves; `demo` runs everything against a simulated FlowGent.\n\n\
        Exit codes: 0 good, 1 failed, 2 wrong usage or config."
)]
pub struct Arguments {
    // First, since a heading holds for all that follows it.
    #[command(flatten)]
    serve: ServeArguments,
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Common options")]
struct Common {
    /// The config file.
    #[arg(
        long = "config.file",
        global = true,
        value_name = "FILE",
        default_value = DEFAULT_CONFIG
    )]
    config_file: PathBuf,
    /// Log from this level up: debug, info, warn or error [default: info when serving, else warn].
    #[arg(
        long = "log.level",
        global = true,
        value_name = "LEVEL",
        hide_possible_values = true
    )]
    log_level: Option<logging::Level>,
    /// Write the log as logfmt or json.
    #[arg(
        long = "log.format",
        global = true,
        value_name = "FORMAT",
        default_value = "logfmt",
        hide_possible_values = true
    )]
    log_format: logging::Format,
}

/// Options that override the config when serving.
#[derive(Debug, Clone, Default, PartialEq, Args)]
struct ServeArguments {
    /// Address to listen on instead of the config's, such as 127.0.0.1:13569 or unix:/run/web.sock; may be
    /// repeated.
    #[arg(long = "web.listen-address", value_name = "ADDRESS")]
    listen: Vec<Address>,
    /// Listen on the sockets passed by systemd instead.
    #[arg(long = "web.systemd-socket", conflicts_with = "listen")]
    systemd_socket: bool,
    /// File with TLS, users and headers, in the exporters' usual YAML, instead of the config's.
    #[arg(long = "web.config.file", value_name = "FILE")]
    web_config_file: Option<PathBuf>,
    /// Also reload the config on a POST to /-/reload.
    #[arg(long = "web.enable-lifecycle")]
    enable_lifecycle: bool,
    /// Path of the metrics instead of the config's.
    #[arg(long = "web.telemetry-path", value_name = "PATH")]
    telemetry_path: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Poll FlowGent, and serve metrics and pages (the default).
    Serve(ServeArguments),
    /// Run everything against a simulated FlowGent, without a key or any set-up.
    Demo(demo::DemoArguments),
    /// Write a commented config for one account, and check it.
    Init(init::InitArguments),
    /// Check the config; with --live, also the keys and agents.
    Check(check::CheckArguments),
    /// Check everything the exporter needs, and advise on each problem.
    Doctor(doctor::DoctorArguments),
    /// Check that a running exporter is healthy, or with --ready that it is ready.
    Health(health::HealthArguments),
    /// Fetch missing and recent days once, in the foreground, or fetch a range of days.
    Sync(sync::SyncArguments),
    /// Show use by day, week or month; works while the exporter runs.
    Report(report::ReportArguments),
    /// Write the history as OpenMetrics; works while the exporter runs.
    Export(export::ExportArguments),
    /// Push the history to Prometheus, VictoriaMetrics or Mimir once, in the foreground.
    Push(push::PushArguments),
    /// Check or copy the ledger; works while the exporter runs.
    #[command(subcommand)]
    Ledger(ledger::LedgerCommand),
    /// List, explain, test and resend alerts; works while the exporter runs.
    #[command(subcommand)]
    Alerts(alerts::AlertsCommand),
    /// Run a simulated FlowGent API, to try clients against it.
    Simulate(simulate::SimulateArguments),
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write the pages of all commands.
    Man(man::ManArguments),
}

/// Reads the command line. Prints help, or what is wrong, and ends the program where clap does.
#[must_use]
pub fn parse() -> Arguments {
    Arguments::try_parse().unwrap_or_else(|error| with_one_tip(error).exit())
}

/// Reduces several similar commands to the one that was probably meant.
fn with_one_tip(mut error: clap::Error) -> clap::Error {
    let (Some(ContextValue::String(word)), Some(ContextValue::Strings(similar))) = (
        error.get(ContextKind::InvalidSubcommand),
        error.get(ContextKind::SuggestedSubcommand),
    ) else {
        return error;
    };
    let similar: Vec<&str> = similar.iter().map(String::as_str).collect();
    if let Some(near) = nearest(word, &similar) {
        let near = ContextValue::Strings(vec![near.to_owned()]);
        error.insert(ContextKind::SuggestedSubcommand, near);
    }
    error
}

/// Reads an IP address and a port.
fn tcp_address(text: &str) -> Result<SocketAddr, String> {
    match text.parse() {
        Ok(Address::Tcp(address)) => Ok(address),
        Ok(Address::Unix(_)) => {
            Err("it must be an IP address and a port, such as `127.0.0.1:13569`".to_owned())
        }
        Err(error) => Err(error.to_string()),
    }
}

/// Reads the base URL of a web server.
fn web_url(text: &str) -> Result<Url, String> {
    match text.parse::<Url>() {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(url),
        _ => {
            Err("it must begin with http:// or https://, such as http://localhost:9090".to_owned())
        }
    }
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
    let serving = matches!(command, None | Some(Command::Serve(_)));
    if serving {
        heaps::limit();
    }
    // A command in the foreground tells how it goes in its own words.
    let level = if serving {
        logging::Level::Info
    } else {
        logging::Level::Warn
    };
    logging::start(common.log_level.unwrap_or(level), common.log_format);
    if let Err(error) = secret::forbid_core_dumps() {
        tracing::warn!("cannot disable core dumps, so a crash may write keys to one: {error}");
    }
    if serve != ServeArguments::default() && !serving {
        let message = "error: --web. flags are for serving: drop them, or put them after a command that takes \
            them\n\nFor more information, try '--help'.";
        return Err(Failure::Usage(message.to_owned()));
    }
    match command {
        None => start_serving(&common, &serve),
        Some(Command::Serve(arguments)) => start_serving(&common, &arguments.or(serve)),
        Some(Command::Demo(arguments)) => block_on(demo::demo(&arguments)),
        Some(Command::Init(arguments)) => block_on(init::init(&common, &arguments)),
        Some(Command::Check(arguments)) => block_on(check::check(&common, &arguments)),
        Some(Command::Doctor(arguments)) => block_on(doctor::doctor(&common, &arguments)),
        Some(Command::Health(arguments)) => block_on(health::health(&common, &arguments)),
        Some(Command::Sync(arguments)) => block_on(sync::sync(&common, &arguments)),
        Some(Command::Report(arguments)) => block_on(report::report(&common, &arguments)),
        Some(Command::Export(arguments)) => block_on(export::export(&common, &arguments)),
        Some(Command::Push(arguments)) => block_on(push::push(&common, &arguments)),
        Some(Command::Ledger(command)) => ledger::run(&common, &command),
        Some(Command::Alerts(command)) => block_on(alerts::run(&common, command)),
        Some(Command::Simulate(arguments)) => block_on(simulate::simulate(&arguments)),
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            let mut command = Arguments::command();
            clap_complete::generate(shell, &mut command, "flowgent-exporter", &mut script);
            print_exactly(String::from_utf8_lossy(&script))
        }
        Some(Command::Man(arguments)) => man::man(&arguments),
    }
}

/// Serves. The sockets that systemd hands over are taken while there is only this thread.
fn start_serving(common: &Common, arguments: &ServeArguments) -> Result<(), Failure> {
    let sockets = arguments.systemd_socket.then(Inherited::take);
    block_on(serve::serve(common, arguments, sockets))
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
            systemd_socket: self.systemd_socket || other.systemd_socket,
            web_config_file: self.web_config_file.or(other.web_config_file),
            enable_lifecycle: self.enable_lifecycle || other.enable_lifecycle,
            telemetry_path: self.telemetry_path.or(other.telemetry_path),
        }
    }
}

fn block_on(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(command);
    // A thread may wait for a file for ever, as on a mount that has died.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

/// The config of the file that the command line names, as of today.
fn load(common: &Common) -> Result<Config, ConfigError> {
    Config::load(&common.config_file, SystemClock.today())
}

/// Returns true if stderr may have colours.
fn has_colours() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::stderr().is_terminal() && !refused
}

/// Advice about a config that is not there, which is what a newcomer meets.
fn tip(error: &ConfigError) -> &'static str {
    match error {
        ConfigError::File(error)
            if error.path.as_os_str() == DEFAULT_CONFIG && error.fault.is_missing() =>
        {
            "\n\n  tip: name another file with --config.file, or try `flowgent-exporter demo`, which \
             needs none"
        }
        _ => "",
    }
}

/// Writes to stdout with every hidden letter made visible, which leaves JSON as it is to its readers.
fn print(text: impl fmt::Display) -> Result<(), Failure> {
    print_exactly(visible(&text.to_string()))
}

/// Writes to stdout. A reader that has gone away, as `head` does, has seen enough.
fn print_exactly(text: impl fmt::Display) -> Result<(), Failure> {
    match write!(io::stdout(), "{text}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

/// An empty table without lines, its columns two spaces apart. Those in `figures` are flush right.
fn table<const N: usize>(header: [&str; N], figures: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if let Some(columns) = width::columns() {
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(u16::try_from(columns).unwrap_or(u16::MAX));
    }
    table.set_header(header);
    for (place, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if figures.contains(&place) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// The table, or on a terminal too narrow for it, its rows one below the other with a line for each cell.
fn fitted(table: &Table) -> String {
    laid_out(table, width::columns().unwrap_or(usize::MAX))
}

fn laid_out(table: &Table, columns: usize) -> String {
    let widths = table.column_max_content_widths();
    let natural: usize = widths.iter().map(|width| usize::from(*width) + 2).sum();
    if columns >= WIDE || natural <= columns {
        return format!("{}\n", table.trim_fmt());
    }
    let cells = |row: &Row| row.cell_iter().map(Cell::content).collect::<Vec<String>>();
    let names = table.header().map(cells).unwrap_or_default();
    let indent = names.iter().map(String::len).max().unwrap_or(0) + 2;
    let records = table.row_iter().map(|row| {
        let lines = names.iter().zip(cells(row)).map(|(name, cell)| {
            format!("{name:indent$}{}\n", width::wrapped(&cell, indent, columns))
        });
        lines.collect::<String>()
    });
    records.collect::<Vec<_>>().join("\n")
}

/// A number of things, such as `1 agent` or `3 agents`.
/// Number of agents that the config names, and the sources of others.
fn agents(accounts: &[AccountSettings]) -> String {
    let named: usize = accounts.iter().map(|account| account.agents.len()).sum();
    let mut parts = Vec::new();
    if accounts.iter().any(|account| account.discover) {
        parts.push("listed by FlowGent");
    }
    if accounts.iter().any(|account| account.agents_file.is_some()) {
        parts.push("in agents files");
    }
    match (named, parts.join(" and ")) {
        (0, lists) if !lists.is_empty() => format!("agents {lists}"),
        (_, lists) if !lists.is_empty() => {
            format!("{} named in it and others {lists}", count(named, "agent"))
        }
        _ => format!("{} named in it", count(named, "agent")),
    }
}

fn count(number: impl fmt::Display, thing: &str) -> String {
    let number = grouped(&number.to_string());
    let plural = if number == "1" { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::StartError;
    use crate::files::{Fault, FileError};

    #[test]
    fn a_table_on_a_narrow_terminal_has_a_line_for_each_cell() {
        let mut table = table(["rule", "title"], &[]);
        table.add_row(["cx", "used 80% of the credits"]);
        table.add_row(["all", "used 50%"]);
        let narrow =
            "rule   cx\ntitle  used 80% of the\n       credits\n\nrule   all\ntitle  used 50%\n";
        assert_eq!(laid_out(&table, 24), narrow);
        let wide = "rule  title\ncx    used 80% of the credits\nall   used 50%\n";
        assert_eq!(laid_out(&table, 80), wide);
    }

    fn told(path: &str, kind: ErrorKind) -> String {
        let error = FileError {
            name: "config file",
            path: path.into(),
            fault: Fault::System(kind.into()),
        };
        // As it comes from the start of the exporter.
        match Failure::from(StartError::Config(ConfigError::File(error))) {
            Failure::Usage(message) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_newcomer_without_a_config_is_told_of_the_demo() {
        let tip = "\n\n  tip: name another file with --config.file, or try `flowgent-exporter demo`, \
                   which needs none";
        assert!(told(DEFAULT_CONFIG, ErrorKind::NotFound).ends_with(tip));
        assert!(!told(DEFAULT_CONFIG, ErrorKind::PermissionDenied).contains("tip"));
        assert!(!told("mine.toml", ErrorKind::NotFound).contains("tip"));
    }
}
