//! The way to the service manager: a datagram to the socket that `NOTIFY_SOCKET` names, as `sd_notify(3)` has it.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use sd_notify::NotifyState;

/// Tells the service manager, if there is one.
///
/// # Errors
/// The manager cannot be told.
pub(super) fn tell(said: &[NotifyState<'_>]) -> io::Result<()> {
    match std::env::var_os("NOTIFY_SOCKET") {
        Some(name) => send(&name, said),
        None => Ok(()),
    }
}

fn send(name: &OsStr, said: &[NotifyState<'_>]) -> io::Result<()> {
    let mut message = String::new();
    for state in said {
        // Writing into a string does not fail.
        let _ = writeln!(message, "{state}");
    }
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address(name)?)?;
    socket.send(message.as_bytes())?;
    Ok(())
}

/// The address of a socket: a path, or after an `@` a name that is in no folder.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_is_told_at_a_path_and_at_a_name_in_no_folder() {
        let folder = tempfile::tempdir().unwrap();
        let names = [
            format!("{}/notify", folder.path().display()),
            format!("@flowgent-exporter test {}", std::process::id()),
        ];
        for name in names.iter().map(OsStr::new) {
            let manager = UnixDatagram::bind_addr(&address(name).unwrap()).unwrap();
            let status = NotifyState::Status("all is well");
            send(name, &[NotifyState::Ready, status]).unwrap();
            let mut heard = [0; 64];
            let length = manager.recv(&mut heard).unwrap();
            assert_eq!(&heard[..length], b"READY=1\nSTATUS=all is well\n");
        }
        assert!(send(OsStr::new("@nobody listens there"), &[]).is_err());
    }
}
