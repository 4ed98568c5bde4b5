//! `demo`: the exporter at work on a simulated FlowGent, in one process, without any set-up.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use clap::Args;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::{Failure, count, print, progress, serve, simulate};
use crate::app::App;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::day::TRACKING_START;
use crate::server::Address;
use crate::simulator::{Account, Fault, Rule, Scope, Settings, Simulator, Times};
use crate::sync::{Event, Outcome, Report};

/// The file in the demo's folder that alerts are written to.
const ALERTS: &str = "alerts.jsonl";
/// The file in it that a running demo holds.
const LOCK: &str = "demo.lock";
/// Message of its probes.
const MESSAGE: &str = "This is an automatic check. Reply with the word OK only, and use no tools.";
/// The port that another may be taken for.
const DEFAULT_PORT: u16 = 13569;

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub(super) struct DemoArguments {
    /// Keep the config, keys and ledger in this folder, instead of a temporary one.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Seed of the simulated usage.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    faults: simulate::FaultArguments,
    /// Address to listen on.
    #[arg(
        long = "web.listen-address",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:13569",
        value_parser = super::tcp_address
    )]
    listen: SocketAddr,
}

/// Fills the history, then serves until told to end.
pub(super) async fn demo(arguments: &DemoArguments) -> Result<(), Failure> {
    if let Some(listing) = arguments.faults.listing() {
        return print(listing);
    }
    let faults = arguments.faults.rules()?;
    let (reload, stop) = serve::signals()?;
    let temporary = tempfile::Builder::new()
        .prefix("flowgent-exporter-demo-")
        .tempdir()?;
    let folder = arguments.data.as_deref().unwrap_or(temporary.path());
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    // Held until the end.
    let _lock = lock(folder)?;
    let listen = free_address(arguments.listen)?;

    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let settings = Settings {
        // Nobody reads them, and a demo may run for weeks.
        record_requests: false,
        ..Settings::demo(arguments.seed)
    };
    let simulator = simulate::start(&settings, any_port)?;
    spoil(&simulator, faults);
    let config = folder.join("config.toml");
    write_config(&simulator, listen, folder)
        .with_context(|| format!("cannot write to {}", folder.display()))?;
    let (filled, when_filled) = oneshot::channel();
    let path = config.clone();
    let app = App::start(
        Arc::new(move |today| Config::load(&path, today)),
        None,
        Arc::new(SystemClock),
        Some(first_sync_observer(filled)),
    )
    .await?;
    let address = address(&app, arguments.listen, listen)?;
    print(format_args!(
        "A simulated FlowGent answers at {}\nThe exporter's config is {}\n\
         Alerts are written to {}\n\
         Filling the history since {TRACKING_START}; http://{address}/ shows the progress …\n",
        simulator.base_url(),
        config.display(),
        folder.join(ALERTS).display()
    ))?;
    let announce = async {
        if let Ok(report) = when_filled.await {
            let is_seen = report
                .as_ref()
                .is_none_or(|report| !report.problems.is_empty());
            let faults = told_faults(
                &arguments.faults,
                simulator.faults().met(),
                is_seen,
                &config,
            );
            print(what_to_try(address, &filling(report.as_deref()), &faults))?;
        }
        std::future::pending::<Result<(), Failure>>().await
    };
    tokio::select! {
        result = app.run(reload, stop) => result?,
        result = announce => result?,
    }
    simulator.shutdown().await;
    Ok(())
}

/// Adds these faults, and that the last account has no credits for chats, as its probe will see.
fn spoil(simulator: &Simulator, faults: Vec<Rule>) {
    let broke = simulator.world().accounts().last().map(|account| Rule {
        fault: Fault::NoCredits,
        scope: Scope::Account(account.name.to_string()),
        times: Times::Always,
    });
    let all = faults.into_iter().chain(broke);
    all.for_each(|fault| simulator.faults().add(fault));
}

/// The address that is listened on. Says so if it is not the one that was `wanted`.
fn address(app: &App, wanted: SocketAddr, bound: SocketAddr) -> Result<SocketAddr, Failure> {
    let tcp = app.addresses().iter().find_map(|address| match address {
        Address::Tcp(address) => Some(*address),
        Address::Unix(_) => None,
    });
    let address = tcp.unwrap_or(bound);
    if address.port() != wanted.port() && wanted.port() != 0 {
        print(format_args!(
            "{wanted} is in use, so the demo listens on {address}\n"
        ))?;
    }
    Ok(address)
}

/// Keeps a second demo off the folder for as long as the file is held.
fn lock(folder: &Path) -> Result<File, Failure> {
    let path = folder.join(LOCK);
    let open = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path);
    let cannot = || format!("cannot lock {}", path.display());
    let mut file = open.with_context(cannot)?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0).with_context(cannot)?;
            write!(file, "{}", std::process::id()).with_context(cannot)?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let pid = fs::read_to_string(&path).unwrap_or_default();
            Err(anyhow!(
                "a demo already runs in {}, as process {}: stop it, or choose another folder with --data",
                folder.display(),
                pid.trim()
            )
            .into())
        }
        Err(TryLockError::Error(error)) => Err(anyhow!("{}: {error}", cannot()).into()),
    }
}

/// The address itself, or a free port beside it if it is the default one and taken.
fn free_address(wanted: SocketAddr) -> Result<SocketAddr, Failure> {
    match TcpListener::bind(wanted) {
        Ok(_) => Ok(wanted),
        Err(error) if error.kind() == ErrorKind::AddrInUse && wanted.port() == DEFAULT_PORT => {
            Ok(SocketAddr::new(wanted.ip(), 0))
        }
        Err(error) => Err(anyhow!("cannot listen on {wanted}: {error}").into()),
    }
}

/// Shows the progress of the first sync and hands on its report, none if the ledger failed.
fn first_sync_observer(filled: oneshot::Sender<Option<Arc<Report>>>) -> crate::sync::Observer {
    let shown = Mutex::new(Some((progress::observer(), filled)));
    Arc::new(move |event| {
        let mut shown = shown.lock();
        let ended = if let Event::Ended(report) = &event {
            Some(report.as_ref().ok().map(Arc::clone))
        } else {
            None
        };
        if let Some((observer, _)) = &*shown {
            observer(event);
        }
        if let Some(report) = ended
            && let Some((_, filled)) = shown.take()
        {
            // Nobody waits any more if the program is ending.
            let _ = filled.send(report);
        }
    })
}

/// Writes the key files and a config for the simulator's accounts: one that lists its agents, and
/// one whose agents are discovered but for the first.
fn write_config(simulator: &Simulator, listen: SocketAddr, folder: &Path) -> anyhow::Result<()> {
    let world = simulator.world();
    let mut text = format!(
        "# Written by `flowgent-exporter demo` at every start.\n\n\
         [server]\nlisten = [\"{listen}\"]\n\n\
         [storage]\npath = \"ledger.db\"\n\n\
         [api]\nbase_url = \"{}\"\nrequests_per_second = 100\n",
        simulator.base_url()
    );
    for (place, account) in world.accounts().iter().enumerate() {
        let name = &account.name;
        let key_file = format!("{name}.key");
        fs::write(folder.join(&key_file), world.key(name).expose())?;
        fs::set_permissions(folder.join(&key_file), Permissions::from_mode(0o600))?;
        write!(
            text,
            "\n[[account]]\nname = \"{name}\"\napi_key_file = \"{key_file}\"\n"
        )?;
        let mut named = account.agents.len();
        if place > 0 {
            writeln!(text, "discover = true")?;
            named = 1;
        }
        for agent in &account.agents[..named] {
            write!(
                text,
                "\n[[account.agent]]\nid = \"{}\"\nname = \"{}\"\n",
                agent.id, agent.name
            )?;
        }
    }
    text += &alerting(simulator, &folder.canonicalize()?.join(ALERTS));
    fs::write(folder.join("config.toml"), text)?;
    Ok(())
}

/// Budgets that recent use makes plausible, rules, a probe of each account, and a hook that appends what it is told to a file.
fn alerting(simulator: &Simulator, alerts: &Path) -> String {
    let (world, today) = (simulator.world(), SystemClock.today());
    // One account is about to run dry: what it used in a month was set a month ago, and five days' use more.
    let dry = &world.accounts()[world.accounts().len() - 1..];
    let used_of = |accounts: &[Account], days: i32| {
        let agents = accounts.iter().flat_map(|account| &account.agents);
        let days = today.plus(-days).through(today.previous());
        let of_day = |day| {
            agents
                .clone()
                .map(|agent| world.final_truth(agent, day))
                .sum::<f64>()
        };
        days.map(of_day).sum::<f64>().ceil()
    };
    let used = |days| used_of(world.accounts(), days);
    let entered = (used_of(dry, 30) * 7.0 / 6.0).ceil();
    let probes = world.accounts().iter().map(|account| {
        format!(
            "\n[[probe]]\nname = \"{account}-replies\"\naccount = \"{account}\"\nagent = \"{}\"\n\
             message = \"{MESSAGE}\"\n# Every minute, so that you need not wait; a real one costs credits.\n\
             cron = \"0 * * * * *\"\nhooks = [\"file\"]\n",
            account.agents[0].name,
            account = account.name
        )
    });
    let probes: String = probes.collect();
    let command = ["sh", "-c", "cat >> \"$0\"", &alerts.display().to_string()];
    format!(
        "\n[[budget]]\nname = \"all-month\"\ncredits = {}\nperiod = \"month\"\nhooks = [\"file\"]\n\
         \n[[budget]]\nname = \"all-week\"\ncredits = {}\nperiod = \"week\"\nhooks = [\"file\"]\n\
         \n[[balance]]\nname = \"{dry}\"\nmatch = {{ account = \"{dry}\" }}\n\
         entries = [{{ on = \"{}\", set = {entered} }}]\nhooks = [\"file\"]\n\
         \n[[rule]]\nname = \"spike\"\nkind = \"spike\"\nhooks = [\"file\"]\n\
         \n[[rule]]\nname = \"missing-data\"\nkind = \"missing_data\"\nhooks = [\"file\"]\n\
         \n[[rule]]\nname = \"key-refused\"\nkind = \"key_refused\"\nhooks = [\"file\"]\n\
         \n[[rule]]\nname = \"agent-refused\"\nkind = \"agent_refused\"\nhooks = [\"file\"]\n{probes}\
         \n[[hook]]\nname = \"file\"\nkind = \"exec\"\ncommand = {command:?}\n",
        used(30),
        // Less than a week's use, so that there is something to be told.
        (used(7) * 0.7).ceil(),
        today.plus(-30),
        dry = dry[0].name,
    )
}

/// Says how much of the history is there, and what failed.
fn filling(report: Option<&Report>) -> String {
    let Some(report) = report else {
        return "The history could not be stored; the log above shows why.".to_owned();
    };
    let mut text = match report.outcome() {
        Outcome::Complete => "The history is filled.".to_owned(),
        // As with the real one, some days come late.
        Outcome::Incomplete if report.problems.is_empty() => {
            "The history is filled, except for days that FlowGent has not published yet.".to_owned()
        }
        Outcome::Incomplete | Outcome::Failed => format!(
            "The history is incomplete: {} of {} succeeded. The others are retried.",
            report.counts.committed,
            count(report.counts.planned, "request")
        ),
    };
    for problem in &report.problems {
        text += &format!("\n  account {}: {problem}", problem.account);
    }
    text
}

/// Says what each fault did so far, and where to see it; nothing without faults.
fn told_faults(
    faults: &simulate::FaultArguments,
    met: u64,
    is_seen: bool,
    config: &Path,
) -> String {
    let explained = faults.explained();
    if explained.is_empty() {
        return String::new();
    }
    let what_to_do = match (met, is_seen) {
        (0, _) => "Probes, which run every minute, meet faults of chats; the pages of their agents show how they went. The demo \
                   sends no WhatsApp messages: `simulate` answers them with these faults.\n"
            .to_owned(),
        (_, false) => {
            "FlowGent's answers were usable all the same, or after retries: no problem is left to show.\n".to_owned()
        }
        (_, true) => format!(
            "The page names each problem and what to do about it; so does\n\n  \
             flowgent-exporter doctor --config.file {}\n",
            config.display()
        ),
    };
    format!(
        "\n{} met a fault:\n{explained}\n{what_to_do}",
        count(met, "request")
    )
}

fn what_to_try(address: SocketAddr, state: &str, faults: &str) -> String {
    format!(
        "\n{state}
{faults}
Open http://{address}/ in a browser, or try

  curl -s http://{address}/metrics | grep ^flowgent_agent_previous_day
  curl -s http://{address}/metrics | grep ^flowgent_agent_used_credits_total
  curl -s http://{address}/metrics | grep ^flowgent_budget_used_ratio
  curl -s http://{address}/metrics | grep ^flowgent_balance_days_left
  curl -s http://{address}/metrics | grep ^flowgent_probe_runs_total
  curl -s http://{address}/-/ready

To have Prometheus scrape it, put this into its config:

  scrape_configs:
    - job_name: flowgent
      scrape_interval: 1m
      static_configs:
        - targets: [\"{address}\"]

Press Ctrl-C to end.\n\n"
    )
}
