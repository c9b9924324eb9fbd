//! Sockets: the tables in `/proc/net`, matched by inode.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::leak::footprint::text::printable;

/// What a table tells of one socket.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub(super) struct Socket {
    /// `tcp`, `udp`, `unix` and so on; `tcp` and `udp` are of both address families.
    pub(super) protocol: String,
    /// An address with its port, or the path of a Unix socket.
    pub(super) local: Option<String>,
    /// The other end's address, where it has one.
    pub(super) remote: Option<String>,
    pub(super) state: Option<&'static str>,
}

/// A table: the file's name below `/proc/net`, and the protocol of what is in it.
pub(super) const TABLES: [(&str, &str); 8] = [
    ("unix", "unix"),
    ("tcp", "tcp"),
    ("tcp6", "tcp"),
    ("udp", "udp"),
    ("udp6", "udp"),
    ("raw", "raw"),
    ("raw6", "raw"),
    ("netlink", "netlink"),
];

impl Socket {
    /// A socket that is in no table: one that is not bound yet, or of another family.
    pub(super) fn unlisted(protocol: &[u8]) -> Socket {
        let name = printable(protocol.strip_suffix(&[0]).unwrap_or(protocol)).to_lowercase();
        // The kernel's name is of the family as well.
        let protocol = name.strip_suffix("v6").unwrap_or(&name).to_owned();
        Socket { protocol, local: None, remote: None, state: None }
    }

    /// The path of a Unix socket.
    pub(super) fn path(&self) -> Option<&str> {
        self.local.as_deref().filter(|local| local.starts_with('/'))
    }
}

impl fmt::Display for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("socket")?;
        if self.protocol != "tcp" || self.local.is_none() {
            write!(f, " {}", self.protocol)?;
        }
        match (&self.local, &self.remote) {
            (Some(local), Some(remote)) => write!(f, " {local} -> {remote}")?,
            (Some(local), None) => write!(f, " {local}")?,
            (None, _) => f.write_str(" without an address")?,
        }
        self.state.map_or(Ok(()), |state| write!(f, " {state}"))
    }
}

/// Every socket of a table that is asked for, with its inode. A line that can't be understood is passed over.
pub(super) fn read<'a>(
    protocol: &'a str,
    table: &'a [u8],
    is_wanted: impl Fn(u64) -> bool + 'a,
) -> impl Iterator<Item = (u64, Socket)> + 'a {
    let lines = table.split(|byte| *byte == b'\n').skip(1);
    lines.filter_map(move |line| match protocol {
        "unix" => unix(line, &is_wanted),
        "netlink" => netlink(line, &is_wanted),
        _ => internet(protocol, std::str::from_utf8(line).ok()?, &is_wanted),
    })
}

/// `sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode ...`
fn internet(protocol: &str, line: &str, is_wanted: &impl Fn(u64) -> bool) -> Option<(u64, Socket)> {
    let mut words = line.split_whitespace().skip(1);
    let (local, remote, state) = (words.next()?, words.next()?, words.next()?);
    let inode = words.nth(5)?.parse().ok().filter(|inode| is_wanted(*inode))?;
    let state = u8::from_str_radix(state, 16).ok()?;
    let remote = address(remote)?;
    let socket = Socket {
        protocol: protocol.to_owned(),
        local: Some(address(local)?.to_string()),
        remote: (remote.port() != 0 || !remote.ip().is_unspecified()).then(|| remote.to_string()),
        state: (protocol == "tcp").then(|| tcp_state(state)),
    };
    Some((inode, socket))
}

/// Of [tcp_states.h](https://github.com/torvalds/linux/blob/master/include/net/tcp_states.h), the kernel's own names.
fn tcp_state(state: u8) -> &'static str {
    let states = [
        "ESTABLISHED",
        "SYN_SENT",
        "SYN_RECV",
        "FIN_WAIT1",
        "FIN_WAIT2",
        "TIME_WAIT",
        "CLOSE",
        "CLOSE_WAIT",
        "LAST_ACK",
        "LISTEN",
        "CLOSING",
        "NEW_SYN_RECV",
        "BOUND_INACTIVE",
    ];
    usize::from(state).checked_sub(1).and_then(|at| states.get(at)).copied().unwrap_or("in an unknown state")
}

/// The address in words of 32 bits, each as the machine has it in memory, and the port: `0100007F:1F90`.
fn address(text: &str) -> Option<SocketAddr> {
    let (words, port) = text.split_once(':')?;
    let word = |at: usize| u32::from_str_radix(words.get(at * 8..at * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    let ip = match words.len() {
        8 => IpAddr::from(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut octets = [0; 16];
            for at in 0..4 {
                octets[at * 4..at * 4 + 4].copy_from_slice(&word(at)?);
            }
            IpAddr::from(Ipv6Addr::from(octets)).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

/// `Num RefCount Protocol Flags Type St Inode Path`, and the path may have spaces, or be no text.
fn unix(line: &[u8], is_wanted: &impl Fn(u64) -> bool) -> Option<(u64, Socket)> {
    const LISTENS: u32 = 1 << 16;
    let mut rest = line;
    let mut words = [""; 7];
    for word in &mut words {
        rest = rest.trim_ascii_start();
        let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
        *word = std::str::from_utf8(&rest[..end]).ok()?;
        rest = &rest[end..];
    }
    let inode = words[6].parse().ok().filter(|inode| is_wanted(*inode))?;
    let flags = u32::from_str_radix(words[3], 16).ok()?;
    let state = match words[5] {
        _ if flags & LISTENS != 0 => Some("LISTEN"),
        "02" => Some("CONNECTING"),
        "03" => Some("CONNECTED"),
        "04" => Some("DISCONNECTING"),
        _ => None,
    };
    let path = rest.strip_prefix(b" ").filter(|path| !path.is_empty()).map(printable);
    Some((inode, Socket { protocol: "unix".into(), local: path, remote: None, state }))
}

/// `sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode`
fn netlink(line: &[u8], is_wanted: &impl Fn(u64) -> bool) -> Option<(u64, Socket)> {
    let inode = std::str::from_utf8(line).ok()?.split_whitespace().nth(9)?.parse().ok();
    let socket = Socket { protocol: "netlink".into(), local: None, remote: None, state: None };
    Some((inode.filter(|inode| is_wanted(*inode))?, socket))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(protocol: &str, table: &str) -> Vec<String> {
        read(protocol, table.as_bytes(), |inode| inode != 0)
            .map(|(inode, socket)| format!("{inode}: {socket}"))
            .collect()
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn internet_sockets_have_both_addresses_and_a_state() {
        let tcp = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
          \x20  0: 00000000:07E8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 643 1 0 100\n\
          \x20  1: 0100007F:1092 0100007F:15B3 01 00000000:00000000 00:00000000 00000000     0        0 644 1 0 20\n\
          \x20  2: 0100007F:A61A 0100007F:A73F 06 00000000:00000000 03:00000634 00000000     0        0 0 3 0\n\
          \x20  3: broken\n\
          \x20  4: 0100007F:1092 0100007F:15B3 5D 00000000:00000000 00:00000000 00000000     0        0 645 1 0\n";
        assert_eq!(
            shown("tcp", tcp),
            [
                "643: socket 0.0.0.0:2024 LISTEN",
                "644: socket 127.0.0.1:4242 -> 127.0.0.1:5555 ESTABLISHED",
                "645: socket 127.0.0.1:4242 -> 127.0.0.1:5555 in an unknown state",
            ]
        );
        let six = "header\n\
          0: 00000000000000000000000001000000:99A1 00000000000000000000000000000000:0000 07 0:0 00:0 0 0 0 35 2 0 0\n\
          1: 0000000000000000FFFF00000100007F:1092 0000000000000000FFFF00000100007F:15B3 01 0:0 00:0 0 0 0 36 2 0 0\n";
        assert_eq!(
            shown("udp", six),
            ["35: socket udp [::1]:39329", "36: socket udp 127.0.0.1:4242 -> 127.0.0.1:5555"]
        );
        // A raw socket has its protocol for a port, and its peer has none.
        let raw = "header\n\
          1: 00000000:0001 0100007F:0000 01 0:0 00:0 0 0 0 37 2 0 0\n\
          2: 00000000:0001 00000000:0001 07 0:0 00:0 0 0 0 38 2 0 0\n";
        assert_eq!(
            shown("raw", raw),
            ["37: socket raw 0.0.0.0:1 -> 127.0.0.1:0", "38: socket raw 0.0.0.0:1 -> 0.0.0.0:1"]
        );
    }

    #[test]
    fn unix_sockets_have_a_path_or_none() {
        let unix = "Num       RefCount Protocol Flags    Type St Inode Path\n\
          0000000000000000: 00000002 00000000 00010000 0001 01    21 /run/my orders.sock\n\
          0000000000000000: 00000003 00000000 00000000 0001 03 352776\n\
          0000000000000000: 00000002 00000000 00000000 0002 01   639 @abstract\n\
          0000000000000000: 00000002 00000000 00000000 0001 02   640\n\
          0000000000000000: 00000002 00000000 00000000 0001 04   641\n\
          0000000000000000: 00000003\n";
        assert_eq!(
            shown("unix", unix),
            [
                "21: socket unix /run/my orders.sock LISTEN",
                "352776: socket unix without an address CONNECTED",
                "639: socket unix @abstract",
                "640: socket unix without an address CONNECTING",
                "641: socket unix without an address DISCONNECTING",
            ]
        );
    }

    #[test]
    fn the_name_of_a_unix_socket_is_a_path_unless_it_is_abstract() {
        let bound = |local: &str| Socket { local: Some(local.into()), ..Socket::unlisted(b"UNIX\0") };
        assert_eq!(bound("/run/orders.sock").path(), Some("/run/orders.sock"));
        assert_eq!((bound("@orders").path(), Socket::unlisted(b"UNIX\0").path()), (None, None));
    }

    #[test]
    fn the_rest_is_named() {
        let netlink = "sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode\n\
                       0000000000000000 0   812  00000000 0 0 0 2 0 77\n";
        assert_eq!(shown("netlink", netlink), ["77: socket netlink without an address"]);
        assert_eq!(Socket::unlisted(b"TCPv6\0").to_string(), "socket tcp without an address");
        assert_eq!(Socket::unlisted(b"PACKET\0").to_string(), "socket packet without an address");
    }
}
