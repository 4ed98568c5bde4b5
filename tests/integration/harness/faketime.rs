//! Where the library is that shows a program another clock. Used by the benches too.

use std::env::consts::ARCH;
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

/// The library that shows a program another clock, wherever the system keeps it.
pub static FAKETIME: LazyLock<PathBuf> = LazyLock::new(|| {
    // Debian has a folder for each architecture; a library of another one would not be loaded.
    let ours = format!("/usr/lib/{ARCH}-");
    let mut folders: Vec<PathBuf> = fs::read_dir("/usr/lib")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort_by_key(|folder| !folder.to_string_lossy().starts_with(&ours));
    folders.extend(["/usr/lib".into(), "/usr/lib64".into()]);
    folders
        .into_iter()
        .map(|folder| folder.join("faketime/libfaketimeMT.so.1"))
        .find(|library| library.exists())
        .expect("libfaketimeMT.so.1 is not there: install libfaketime, as tests/run does")
});
