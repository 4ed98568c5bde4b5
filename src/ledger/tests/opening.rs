//! Opening of files: which, by whom, and the errors.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

fn refusal(path: &Path) -> String {
    Ledger::open(path, POLICY, &Telemetry::new())
        .unwrap_err()
        .to_string()
}

#[tokio::test]
async fn a_new_ledger_and_its_directory_are_for_their_owner_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("new/ledger.db");
    let ledger = open(&path);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    for file in ["ledger.db", "ledger.db-wal", "ledger.db.lock"] {
        assert_eq!(mode(&path.with_file_name(file)), 0o600, "{file}");
    }
    ledger.close().await;
}

#[test]
fn only_the_last_directory_of_a_path_is_created() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a/b/ledger.db");
    assert_eq!(
        refusal(&path),
        format!(
            "ledger {} cannot be created: directory {} does not exist: create it, or correct `[storage] path`",
            path.display(),
            directory.path().join("a").display()
        )
    );
    assert!(!directory.path().join("a").exists());
}

#[test]
fn a_directory_is_no_ledger() {
    let directory = tempfile::tempdir().unwrap();
    let shown = directory.path().display();
    assert_eq!(
        refusal(directory.path()),
        format!("ledger {shown} is a directory, not a file: correct `[storage] path`")
    );
    assert_eq!(
        refusal(Path::new("/")),
        "ledger / is a directory, not a file: correct `[storage] path`"
    );
}

#[tokio::test]
async fn a_ledger_is_open_once_and_the_refusal_names_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    let ledger = open(&path);
    let expected = |path: &Path| {
        let pid = std::process::id();
        format!("ledger {} is in use by process {pid}", path.display())
    };
    assert_eq!(refusal(&path), expected(&path));
    // Another name of the same file is no way around the lock.
    let link = directory.path().join("link.db");
    symlink(&path, &link).unwrap();
    assert_eq!(refusal(&link), expected(&link));
    ledger.close().await;
    open(&path).close().await;
}

#[tokio::test]
async fn a_lock_left_by_a_killed_process_holds_nobody_up() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    fs::write(directory.path().join("ledger.db.lock"), "4194304999\n").unwrap();
    let ledger = open(&path);
    let pid = fs::read_to_string(directory.path().join("ledger.db.lock")).unwrap();
    assert_eq!(pid, format!("{}\n", std::process::id()));
    ledger.close().await;
}

#[test]
fn a_file_that_is_not_sqlite_is_refused_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notes.txt");
    let content = "buy milk\n".repeat(1000);
    fs::write(&path, &content).unwrap();
    let expected = format!(
        "ledger {} is not an SQLite file, so it is not a ledger; it was not changed: correct `[storage] path`, or move it away",
        path.display()
    );
    assert_eq!(refusal(&path), expected);
    assert_eq!(check(&path).unwrap_err().to_string(), expected);
    assert_eq!(fs::read_to_string(&path).unwrap(), content);
}

#[test]
fn the_database_of_another_program_is_refused_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    for (name, sql, found) in [
        (
            "marked.db",
            "PRAGMA application_id = 252006675",
            252_006_675,
        ),
        ("unmarked.db", "CREATE TABLE invoice (number)", 0),
        ("versioned.db", "PRAGMA user_version = 1", 0),
    ] {
        let path = directory.path().join(name);
        tamper(&path, sql);
        let content = fs::read(&path).unwrap();
        let expected = format!(
            "ledger {} is an SQLite file of another program (application id {found}, a ledger has 1181513543); it was not changed: correct `[storage] path`, or move it away",
            path.display()
        );
        assert_eq!(refusal(&path), expected);
        assert_eq!(check(&path).unwrap_err().to_string(), expected);
        assert_eq!(fs::read(&path).unwrap(), content, "{name}");
    }
}

#[tokio::test]
async fn a_newer_ledger_is_refused_with_both_versions() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    open(&path).close().await;
    let newer = schema::VERSION + 1;
    tamper(&path, &format!("PRAGMA user_version = {newer}"));
    let expected = format!(
        "ledger {} has schema version {newer}, this program knows versions up to {}: use the newer program that wrote it, or restore a backup from before it",
        path.display(),
        schema::VERSION
    );
    assert_eq!(refusal(&path), expected);
    assert_eq!(check(&path).unwrap_err().to_string(), expected);
    let copy = directory.path().join("copy.db");
    let backup = backup(&path, &copy, |_| {});
    assert_eq!(backup.unwrap_err().to_string(), expected);
}

#[tokio::test]
async fn a_creation_that_was_cut_short_is_begun_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    tamper(&path, "PRAGMA journal_mode = wal");
    assert!(fs::metadata(&path).unwrap().len() > 0);
    let ledger = open(&path);
    register(&ledger, &["support"]).await;
    ledger.close().await;
    assert!(check(&path).unwrap().is_sound());
}

#[tokio::test]
async fn the_instance_stays_and_differs_between_ledgers() {
    let directory = tempfile::tempdir().unwrap();
    let mut instances = Vec::new();
    for name in ["a.db", "a.db", "b.db"] {
        let ledger = open(&directory.path().join(name));
        instances.push(ledger.instance());
        ledger.close().await;
    }
    assert_eq!(instances[0], instances[1]);
    assert_ne!(instances[0], instances[2]);
}

#[tokio::test]
async fn every_transaction_is_a_series_before_it_happens() {
    let directory = tempfile::tempdir().unwrap();
    let telemetry = Telemetry::new();
    let ledger = Ledger::open(&directory.path().join("ledger.db"), POLICY, &telemetry).unwrap();
    register(&ledger, &["support"]).await;
    let count = |transaction: &str| {
        telemetry
            .of::<LedgerMetrics>()
            .transaction_duration
            .with_label_values(&[transaction])
            .get_sample_count()
    };
    let families = telemetry.gather();
    let family = families
        .iter()
        .find(|family| {
            family
                .name()
                .ends_with("ledger_transaction_duration_seconds")
        })
        .unwrap();
    let names: BTreeSet<&str> = transaction_names().collect();
    assert_eq!((family.get_metric().len(), names.len()), (38, 38));
    assert_eq!([count("configure"), count("register")], [1, 1]);
    assert_eq!(names.into_iter().map(count).sum::<u64>(), 2);
    ledger.close().await;
    assert!(telemetry.of::<LedgerMetrics>().size_bytes.get() > 4096);
}

#[test]
fn a_place_that_is_no_file_is_neither_opened_nor_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    let expected = format!(
        "ledger {} is not a regular file: correct `[storage] path`",
        path.display()
    );
    assert_eq!(refusal(&path), expected);
    assert_eq!(may_be_written(&path).unwrap_err().to_string(), expected);
}

#[test]
fn a_place_is_looked_at_without_a_trace() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["ledger.db", "new/ledger.db"] {
        may_be_written(&directory.path().join(name)).unwrap();
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    let too_deep = may_be_written(&directory.path().join("a/b/ledger.db"));
    assert!(matches!(too_deep.unwrap_err().fault, Fault::NoParent(_)));
}

#[test]
fn what_is_to_be_done_about_a_place_that_cannot_be_written_is_said() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let path = directory.path().join("ledger.db");
    let said = |kind: std::io::ErrorKind| {
        let error = Fault::Io {
            action: "open",
            target: path.clone(),
            cause: kind.into(),
        }
        .at(&path);
        error
            .to_string()
            .replace(&directory.path().display().to_string(), "/ledger")
    };
    let user = rustix::process::geteuid().as_raw();
    assert_eq!(
        said(std::io::ErrorKind::PermissionDenied),
        format!(
            "ledger /ledger/ledger.db cannot be used: cannot open /ledger/ledger.db: permission denied: /ledger belongs to user \
             {user} with mode 0555, and this is user {user}. Run `chown -R {user} /ledger`; for a service of \
             systemd use `StateDirectory=` or `ReadWritePaths=/ledger`; for a container mount a volume that user \
             {user} may write"
        )
    );
    let read_only = said(std::io::ErrorKind::ReadOnlyFilesystem);
    assert!(
        read_only.contains("add `ReadWritePaths=/ledger` or use"),
        "{read_only}"
    );
    assert!(!said(std::io::ErrorKind::Other).contains("chown"));
}
