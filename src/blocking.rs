//! Work that may block, beside the async threads.

use std::panic::resume_unwind;

use tokio::task;

/// Runs `work` on a thread that may block. A panic in it goes on in the caller.
pub async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // The program ends, and nobody waits for the result.
            Err(_) => std::future::pending().await,
        },
    }
}
