//! `serve`: the daemon.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Common, Failure, ServeArguments};
use crate::app::{App, ReadConfig};
use crate::clock::SystemClock;
use crate::config::{Config, check_telemetry_path};
use crate::protection::check_file;
use crate::server::Inherited;

/// Serves until the program is told to end; a SIGHUP has it read its config again.
pub(super) async fn serve(
    common: &Common,
    arguments: &ServeArguments,
    sockets: Option<Inherited>,
) -> Result<(), Failure> {
    if let Some(path) = &arguments.telemetry_path {
        check_telemetry_path(path)
            .map_err(|error| Failure::Usage(format!("error: --web.telemetry-path: {error}")))?;
    }
    let (path, arguments) = (common.config_file.clone(), arguments.clone());
    let read_config: ReadConfig = Arc::new(move |today| {
        let mut config = Config::load(&path, today)?;
        let ServeArguments {
            listen,
            // It is no business of the config.
            systemd_socket: _,
            web_config_file,
            enable_lifecycle,
            telemetry_path,
        } = &arguments;
        let web_config = web_config_file.as_deref().map(check_file).transpose()?;
        if let Some(file) = &web_config {
            let warnings = file.warnings.iter();
            let warnings = warnings.map(|warning| format!("web config: {warning}"));
            config.warnings.extend(warnings);
            config.exposed.extend(file.exposed.iter().cloned());
        }
        config.serve_otherwise(|server| {
            if !listen.is_empty() {
                server.listen.clone_from(listen);
            }
            if web_config.is_some() {
                server.web_config = web_config;
            }
            if let Some(path) = telemetry_path {
                server.telemetry_path.clone_from(path);
            }
            server.lifecycle = *enable_lifecycle;
        });
        Ok(config)
    });
    // The signals are caught before anything starts: a SIGHUP must not end a daemon that is starting.
    let (reload, stop) = signals()?;
    let app = tokio::select! {
        app = App::start(read_config, sockets, Arc::new(SystemClock), None) => app?,
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
