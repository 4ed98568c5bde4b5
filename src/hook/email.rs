//! HOOKS: email.
