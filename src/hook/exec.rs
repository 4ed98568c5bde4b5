//! HOOKS: exec.
