//! Feeds one target, named by the variable `FUZZ_TARGET`, with what LLVM's fuzzer makes up. See `fuzz/run`.

#![no_main]

#[path = "../tests/integration/fuzz/targets/mod.rs"]
mod targets;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use targets::{TARGETS, Target};

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let target = TARGETS.iter().find(|(other, _)| *other == name);
    target.unwrap_or_else(|| panic!("`{name}` is no target")).1
});

fuzz_target!(|bytes: &[u8]| TARGET(bytes));
