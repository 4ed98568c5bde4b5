//! Parts that lack something outside of the config, such as a file.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::blocking;

/// The longest that a page waits for a look.
const PATIENCE: Duration = Duration::from_secs(1);

/// Something that a part of the exporter lacks.
#[derive(Clone)]
pub struct Obstacle {
    stops: String,
    look: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
}

impl Obstacle {
    /// An obstacle that `stops` a part, such as "hook `ops` sends nothing until its URL can be used". Each
    /// `look` may block, and says why the obstacle is still there.
    pub fn new(
        stops: String,
        look: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        let look = Arc::new(look);
        Self { stops, look }
    }

    /// The obstacle in a line; none if it is gone.
    pub(super) async fn now(&self) -> Option<String> {
        let look = Arc::clone(&self.look);
        let found = timeout(PATIENCE, blocking::run(move || look())).await;
        let late = |_| Err(format!("no answer within {} s", PATIENCE.as_secs()));
        let reason = found.unwrap_or_else(late).err()?;
        Some(format!("{}: {reason}", self.stops))
    }
}

impl fmt::Debug for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.stops)
    }
}
