//! `serve`: the daemon.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Common, Failure, ServeArguments};
use crate::app::{App, ReadConfig};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, check_telemetry_path};

/// Serves until the program is told to end; a SIGHUP has it read its config again.
pub(super) async fn serve(common: &Common, arguments: &ServeArguments) -> Result<(), Failure> {
    if let Some(path) = &arguments.telemetry_path {
        check_telemetry_path(path)
            .map_err(|error| Failure::Usage(format!("error: --web.telemetry-path: {error}")))?;
    }
    let (path, arguments) = (common.config_file.clone(), arguments.clone());
    let read_config: ReadConfig = Arc::new(move || {
        let mut config = Config::load(&path, SystemClock.today())?;
        if !arguments.listen.is_empty() {
            config.listen_on(arguments.listen.clone());
        }
        if let Some(path) = &arguments.telemetry_path {
            config.server.telemetry_path.clone_from(path);
        }
        Ok(config)
    });
    // The signals are caught before anything starts: a SIGHUP must not end a daemon that is starting.
    let (reload, stop) = signals()?;
    let app = tokio::select! {
        app = App::start(read_config, Arc::new(SystemClock), None) => app?,
        () = stop.cancelled() => return Ok(()),
    };
    Ok(app.run(reload, stop).await?)
}

/// A message a SIGHUP, and a token that SIGTERM or SIGINT cancels.
pub(super) fn signals() -> std::io::Result<(mpsc::Receiver<()>, CancellationToken)> {
    let (reload, reloads) = mpsc::channel(1);
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            // If a reload is still to be done, it serves for this signal too.
            let _ = reload.try_send(());
        }
    });
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let cancel = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        cancel.cancel();
    });
    Ok((reloads, stop))
}
