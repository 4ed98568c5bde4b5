//! HOOKS: webhook.
