//! The sockets that connections come in by: bound here, or handed over by systemd.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::{fs, net, os};

use listenfd::ListenFd;
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};
use tokio_util::either::Either;

use super::Address;
use crate::protection::origin::Arrival;

/// Mode of a unix socket: its owner and its group may connect.
const MODE: u32 = 0o660;

/// Most connections that may wait to be accepted, as far as the system allows. Where a crowd fills that up, a
/// scraper's connection is tried again only after a second.
const BACKLOG: u32 = 4096;

/// A connection.
pub(super) type Socket = Either<TcpStream, UnixStream>;

/// A socket that listens.
#[derive(Debug)]
pub struct Listener {
    kind: Kind,
    address: Address,
    /// Removed in the end.
    _file: Option<SocketFile>,
}

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A unix socket's file that is ours.
#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Who starts next copes with it if it stays.
        let _ = fs::remove_file(&self.0);
    }
}

impl Listener {
    /// Listens on `address`. The file of a unix socket is made for it, with rights for its owner and its
    /// group; one that nobody listens on any more is replaced.
    ///
    /// # Errors
    /// The operating system's, among them that somebody else listens there.
    pub async fn bind(address: &Address) -> io::Result<Self> {
        match address {
            Address::Tcp(address) => {
                let socket = match address {
                    SocketAddr::V4(_) => TcpSocket::new_v4()?,
                    SocketAddr::V6(_) => TcpSocket::new_v6()?,
                };
                // Or nobody could listen for a while where a connection has just been closed.
                socket.set_reuseaddr(true)?;
                socket.bind(*address)?;
                let listener = socket.listen(BACKLOG)?;
                Ok(Self {
                    address: listener.local_addr().unwrap_or(*address).into(),
                    kind: Kind::Tcp(listener),
                    _file: None,
                })
            }
            Address::Unix(path) => {
                remove_if_nobody_listens(path).await?;
                let listener = UnixListener::bind(path)?;
                let file = SocketFile(path.clone());
                fs::set_permissions(path, fs::Permissions::from_mode(MODE))?;
                Ok(Self {
                    address: address.clone(),
                    kind: Kind::Unix(listener),
                    _file: Some(file),
                })
            }
        }
    }

    /// The address, with the port that the system chose if 0 was asked for.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The next connection, and how it has come.
    pub(super) async fn accept(&self) -> io::Result<(Socket, Arrival)> {
        match &self.kind {
            Kind::Tcp(listener) => {
                let (stream, client) = listener.accept().await?;
                let arrival = Arrival {
                    local: Some(stream.local_addr()?.ip()),
                    client: Some(client.ip()),
                    on_loopback: self.is_on_loopback(),
                };
                // The last packet of a response would otherwise wait for the client's acknowledgement.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "cannot turn off delays");
                }
                Ok((Either::Left(stream), arrival))
            }
            Kind::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Either::Right(stream), Arrival::default()))
            }
        }
    }

    /// Returns true if only this machine can reach it by its address.
    fn is_on_loopback(&self) -> bool {
        match &self.address {
            Address::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Address::Unix(_) => false,
        }
    }

    fn of_tcp(listener: net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        Ok(Self {
            address: listener.local_addr()?.into(),
            kind: Kind::Tcp(listener),
            _file: None,
        })
    }

    fn of_unix(listener: os::unix::net::UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = UnixListener::from_std(listener)?;
        let path = listener.local_addr()?.as_pathname().map(Path::to_owned);
        Ok(Self {
            address: Address::Unix(path.unwrap_or_default()),
            kind: Kind::Unix(listener),
            // It is systemd's.
            _file: None,
        })
    }
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        let nowhere = SocketAddr::from(([0; 4], 0));
        Self {
            address: listener.local_addr().unwrap_or(nowhere).into(),
            kind: Kind::Tcp(listener),
            _file: None,
        }
    }
}

/// Makes room for a socket at `path`, unless something else is there that must stay.
async fn remove_if_nobody_listens(path: &Path) -> io::Result<()> {
    let found = match path.symlink_metadata() {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !found.file_type().is_socket() {
        let message = "there is a file of this name that is no socket";
        return Err(io::Error::new(ErrorKind::AlreadyExists, message));
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        // Somebody listens, or may.
        _ => Err(ErrorKind::AddrInUse.into()),
    }
}

/// The sockets that systemd has opened for this process (`LISTEN_FDS`).
pub struct Inherited(ListenFd);

/// Why they cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InheritedError {
    /// There are none.
    #[error("systemd has handed over no socket: is there a socket unit, and was it started?")]
    None,
    /// One is of another kind, or does not work.
    #[error("socket {number} of systemd cannot be used: {cause}")]
    Socket {
        /// Which of them, counted from 1.
        number: usize,
        /// The obstacle.
        cause: io::Error,
    },
}

impl Inherited {
    /// Takes them over from the environment, which forgets them: to be called before there are threads.
    #[must_use]
    pub fn take() -> Self {
        Self(ListenFd::from_env())
    }

    /// Listens on them all.
    ///
    /// # Errors
    /// There are none, or one that does not listen for streams.
    pub fn listeners(mut self) -> Result<Vec<Listener>, InheritedError> {
        let listeners: Vec<_> = (0..self.0.len())
            .map(|index| {
                self.listener(index)
                    .map_err(|cause| InheritedError::Socket {
                        number: index + 1,
                        cause,
                    })
            })
            .collect::<Result<_, _>>()?;
        if listeners.is_empty() {
            return Err(InheritedError::None);
        }
        Ok(listeners)
    }

    fn listener(&mut self, index: usize) -> io::Result<Listener> {
        // Each is there, since nobody else takes any.
        let missing = || io::Error::from(ErrorKind::NotFound);
        match self.0.take_tcp_listener(index) {
            Ok(found) => Listener::of_tcp(found.ok_or_else(missing)?),
            Err(_) => Listener::of_unix(self.0.take_unix_listener(index)?.ok_or_else(missing)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn a_unix_socket_is_for_its_owner_and_group_and_goes_with_its_listener() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.sock");
        let address = Address::Unix(path.clone());
        let listener = Listener::bind(&address).await.unwrap();
        assert_eq!((mode(&path), listener.address()), (MODE, &address));
        assert!(UnixStream::connect(&path).await.is_ok());
        drop(listener);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_socket_is_replaced_only_if_nobody_listens_on_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.sock");
        let address = Address::Unix(path.clone());
        // As a killed program leaves it.
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let listener = Listener::bind(&address).await.unwrap();
        let refused = Listener::bind(&address).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AddrInUse);
        assert!(UnixStream::connect(&path).await.is_ok());
        drop(listener);
        fs::write(&path, "a diary").unwrap();
        let refused = Listener::bind(&address).await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "there is a file of this name that is no socket"
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), "a diary");
    }
}
