//! The whole program against a simulated FlowGent: the real binary, on a clock that the test moves.

mod harness;

mod lifecycle;
