//! HOOKS: target.
