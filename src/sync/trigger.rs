//! The cron trigger: wakes the worker at the pattern's instants, and does nothing else.
//!
//! The scheduler behind it keeps its own clock, forgets runs that the host slept through and does not
//! know whether the last one is over. The worker's pure schedule knows all that.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

use super::schedule;

/// A running cron trigger.
pub struct CronTrigger {
    scheduler: JobScheduler,
}

impl CronTrigger {
    /// Notifies `wake` at every instant of the pattern, from now on.
    ///
    /// # Errors
    /// The scheduler could not be started.
    pub async fn start(
        settings: &schedule::Settings,
        wake: Arc<Notify>,
    ) -> Result<Self, JobSchedulerError> {
        let scheduler = JobScheduler::new().await?;
        let pattern = settings.cron.pattern.to_string();
        let job = Job::new(pattern.as_str(), move |_, _| wake.notify_one())?;
        scheduler.add(job).await?;
        scheduler.start().await?;
        Ok(Self { scheduler })
    }

    /// Stops notifying.
    pub async fn stop(mut self) {
        if let Err(error) = self.scheduler.shutdown().await {
            tracing::debug!("the cron trigger did not stop cleanly: {error}");
        }
    }
}
