//! Follows the hooks from one config to the next.

use tracing::{info, warn};

use super::Route;
use crate::ledger::{AdoptedHooks, GoneHook, HookIdentity, Ledger, LedgerError};

/// Has renamed hooks take over what they were told under their old names. Returns what is left open by hooks
/// that are gone, of which nothing is said if that is what was `known` to be.
pub(super) async fn adopt(
    ledger: &Ledger,
    routes: &[Route],
    known: &[GoneHook],
) -> Result<Vec<GoneHook>, LedgerError> {
    let identities = routes.iter().map(|route| HookIdentity {
        name: route.hook.clone(),
        identity: route.identity.clone(),
    });
    let AdoptedHooks {
        renamed,
        enabled,
        gone,
    } = ledger.adopt_hooks(identities.collect()).await?;
    for (old, new) in renamed {
        info!(hook = %new, "the hook was renamed from `{old}` and takes over its alerts and messages");
    }
    for hook in enabled {
        info!(%hook, "the hook has a new target, which gets its pending messages");
    }
    if gone != known {
        gone.iter().for_each(|hook| warn!("{hook}"));
    }
    Ok(gone)
}
