//! The sockets that the service listens on, and the rule which addresses those may have.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;

use crate::settings::ServerSettings;

/// Why the service can't listen.
#[derive(Debug, Error)]
pub enum ListenError {
    /// Others could get in, and nobody would ask them who they are.
    #[error(
        "{host} is {address}, which other machines may reach, and access control is off: set access.enabled = true and give out keys, or \
         set access.allow_open_network = true if whoever gets there may do everything"
    )]
    OpenNetwork {
        /// The host in the settings.
        host: String,
        /// What it stands for.
        address: SocketAddr,
    },
    /// An address can't be had.
    #[error("{host}:{port} can't be listened on: {source}")]
    Unavailable {
        /// The host in the settings.
        host: String,
        /// The port in the settings.
        port: u16,
        /// Why.
        source: io::Error,
    },
}

/// Listens on the addresses that the host stands for, as far as the machine has them.
///
/// `is_guarded` says that others than loopback may be among them: there is access control, or the settings allow it.
///
/// # Errors
///
/// [`ListenError`] says why it can't.
pub fn listeners(settings: &ServerSettings, is_guarded: bool) -> Result<Vec<TcpListener>, ListenError> {
    let (mut opened, mut failure) = (Vec::new(), io::Error::other("it stands for no address"));
    for address in addresses(settings, is_guarded)? {
        match listener(address, settings) {
            Ok(listener) => opened.push(listener),
            Err(error) => failure = error,
        }
    }
    // A host's name often stands for an IPv6 address, too, which many a container can't have.
    if opened.is_empty() { Err(unavailable(settings, failure)) } else { Ok(opened) }
}

/// The addresses that the host stands for; others than loopback only if `is_guarded`, or if the settings allow it.
///
/// # Errors
///
/// [`ListenError`] says why they can't be listened on.
pub fn addresses(settings: &ServerSettings, is_guarded: bool) -> Result<Vec<SocketAddr>, ListenError> {
    let found = (settings.host.as_str(), settings.port).to_socket_addrs();
    let found: Vec<_> = found.map_err(|source| unavailable(settings, source))?.collect();
    check(&settings.host, &found, is_guarded)?;
    Ok(found)
}

/// The error of a host that can't be listened on.
pub(crate) fn unavailable(settings: &ServerSettings, source: io::Error) -> ListenError {
    ListenError::Unavailable { host: settings.host.clone(), port: settings.port, source }
}

fn check(host: &str, addresses: &[SocketAddr], is_guarded: bool) -> Result<(), ListenError> {
    let is_open = |address: &&SocketAddr| !address.ip().to_canonical().is_loopback();
    match addresses.iter().find(is_open) {
        Some(address) if !is_guarded => Err(ListenError::OpenNetwork { host: host.into(), address: *address }),
        _ => Ok(()),
    }
}

/// A socket whose connections break when their client takes nothing for too long, which they inherit.
fn listener(address: SocketAddr, settings: &ServerSettings) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false).ok(); // `::` is for both kinds, where the system can do it.
    }
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(Duration::from_millis(settings.write_wait_ms_max)))?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(settings.backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_open_without_guard() {
        for (addresses, is_guarded, is_allowed) in [
            (&["127.0.0.1:80"][..], false, true),
            (&["127.9.9.9:80", "[::1]:80"], false, true),
            (&["[::ffff:127.0.0.1]:80"], false, true),
            (&["0.0.0.0:80"], false, false),
            (&["[::]:80"], false, false),
            (&["192.168.1.2:80"], false, false),
            (&["127.0.0.1:80", "10.0.0.1:80"], false, false),
            (&["[fe80::1]:80"], false, false),
            (&["[::ffff:10.0.0.1]:80"], false, false),
            (&["0.0.0.0:80", "[::]:80"], true, true),
        ] {
            let parsed: Vec<SocketAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
            assert_eq!(check("x", &parsed, is_guarded).is_ok(), is_allowed, "{addresses:?} {is_guarded}");
        }
    }
}
