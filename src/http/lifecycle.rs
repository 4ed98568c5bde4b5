//! `/-/reload`: reads the config again, as SIGHUP does, for clients that may ask over HTTP.

use tokio::sync::{mpsc, oneshot};

/// Result of a reload: the reason if it failed.
pub type Reloaded = Result<(), String>;

/// Asks for reloads, one at a time.
#[derive(Debug, Clone)]
pub struct Lifecycle(mpsc::Sender<oneshot::Sender<Reloaded>>);

impl Lifecycle {
    /// Asks, and those who are asked: each is to be told what became of it.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<oneshot::Sender<Reloaded>>) {
        let (ask, asked) = mpsc::channel(1);
        (Self(ask), asked)
    }

    /// Has the config read again; returns when that is done.
    pub(crate) async fn reload(&self) -> Reloaded {
        let (answer, answered) = oneshot::channel();
        let asked = self.0.send(answer).await;
        let answer = match asked {
            Ok(()) => answered.await.ok(),
            Err(_) => None,
        };
        answer.unwrap_or_else(|| Err("the exporter is stopping".to_owned()))
    }
}
