//! HOOKS: alertmanager.
