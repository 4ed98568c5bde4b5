use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::sync::mpsc::channel;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::*;

const SMALL: Purpose = Purpose { limit: 5, ..SECRET };

fn said(path: &Path, purpose: Purpose) -> String {
    let error = text(path, purpose).unwrap_err().to_string();
    error.replace(&format!("{}/", path.parent().unwrap().display()), "")
}

#[test]
fn what_is_no_regular_file_is_neither_opened_nor_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    mknodat(CWD, at("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    let _socket = UnixListener::bind(at("socket")).unwrap();
    fs::create_dir(at("folder")).unwrap();
    symlink("/dev/zero", at("zero")).unwrap();
    symlink("nowhere", at("dangling")).unwrap();
    symlink("loop", at("loop")).unwrap();
    for (name, fault) in [
        ("pipe", "it is a pipe, not a regular file"),
        ("socket", "it is a socket, not a regular file"),
        ("folder", "it is a directory, not a regular file"),
        ("zero", "it is a device, not a regular file"),
        ("dangling", "No such file or directory (os error 2)"),
        ("loop", "Too many levels of symbolic links (os error 40)"),
    ] {
        assert_eq!(
            said(&at(name), AGENTS),
            format!("cannot read agents file `{name}`: {fault}")
        );
    }
}

#[test]
fn a_pipe_that_takes_the_place_of_a_file_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR, 0).unwrap();
    assert!(matches!(open_at_once(&path), Err(Fault::Kind("a pipe"))));
}

#[test]
fn a_file_is_read_through_links_and_without_its_mark() {
    let folder = tempfile::tempdir().unwrap();
    let (path, link) = (folder.path().join("a"), folder.path().join("b"));
    symlink(&path, &link).unwrap();
    fs::write(&path, "\u{feff}ab").unwrap();
    assert_eq!(text(&link, SMALL).unwrap(), "ab");
    fs::write(&path, "\u{feff}").unwrap();
    assert_eq!(said(&link, SMALL), "cannot read file `b`: it is empty");
    assert_eq!(text(&link, WEB_CONFIG).unwrap(), "");
}

#[test]
fn size_and_encoding_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    for (content, fault) in [
        (&b"abcdef"[..], "it has 6 bytes, and at most 5 are read"),
        (b"", "it is empty"),
        (b"a\n\xff", "line 2 is not UTF-8"),
        (b"\xff\xfea\0", "it is UTF-16: save it as UTF-8"),
    ] {
        fs::write(&path, content).unwrap();
        assert_eq!(said(&path, SMALL), format!("cannot read file `a`: {fault}"));
    }
    fs::write(&path, "abcde").unwrap();
    assert_eq!(text(&path, SMALL).unwrap(), "abcde");
    // It says that it has no bytes at all.
    assert_eq!(
        said(Path::new("/proc/cpuinfo"), SMALL),
        "cannot read file `cpuinfo`: it has more than 5 bytes, and at most 5 are read"
    );
}

#[test]
fn a_file_that_hangs_is_given_up_and_read_again_when_it_answers() {
    let (release, held) = channel::<()>();
    let path = Path::new("/a file that hangs");
    let short = Duration::from_millis(1);
    let given_up = within(path, short, move || held.recv().is_ok());
    assert!(matches!(given_up, Err(Fault::Slow(_))));
    // No second thread is risked at once.
    let mut is_begun = false;
    let refused = within(path, short, || ());
    assert!(matches!(refused, Err(Fault::Slow(_))));
    drop(release);
    while !is_begun {
        is_begun = within(path, PATIENCE, || ()).is_ok();
        thread::yield_now();
    }
    assert!(HANGS.lock().get(path).is_none());
}

#[test]
fn the_threads_that_hang_become_rarer() {
    let now = clock::instant();
    let mut hang = Hang {
        since: now,
        tries: 1,
    };
    let tried = (1..=7 * 24 * 3600).filter(|second| {
        let is_tried = hang.is_worth_a_try(now + Duration::from_secs(*second));
        hang.tries += u32::from(is_tried);
        is_tried
    });
    assert_eq!(tried.count(), 17, "in a week");
}

#[test]
fn what_others_may_read_is_told_with_its_mode() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let told = |mode: u32| {
        fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
        exposure(file.path(), &file.path().metadata().unwrap())
    };
    assert_eq!(told(0o600), None);
    assert_eq!(told(0o400), None);
    let path = file.path().display();
    assert_eq!(
        told(0o640),
        Some(format!(
            "`{path}` holds a secret and can be read by its group (mode 0640)"
        ))
    );
    assert_eq!(
        told(0o604),
        Some(format!(
            "`{path}` holds a secret and can be read by everybody on this machine (mode 0604)"
        ))
    );
}
