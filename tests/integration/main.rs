//! The whole program against a simulated FlowGent: the real binary, on a clock that the test moves.

#![allow(unreachable_pub, reason = "nobody imports a test binary")]

mod harness;

mod layout;
mod lifecycle;
