//! Peers: other programs that read a capture, and their command lines.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

use anyhow::{Error, Result, bail};

/// Program that `sentinel` is compared with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Peer {
    /// Name in results.
    pub(crate) name: String,
    program: String,
    /// `FILE` stands for the capture, `DIR` for the peer's working directory.
    arguments: Vec<String>,
}

/// Name of the peer that every ratio refers to.
pub(crate) const REFERENCE: &str = "tcpdump-write";

/// Known peers in the syntax of [`Peer::from_str`]. None resolves names or sends anything; all write their files into
/// `DIR`.
///
/// The filter of `tcpdump-no-match` is a protocol number for experiments (RFC 3692) in a network for documentation
/// (RFC 5737).
const KNOWN: [&str; 11] = [
    "tcpdump-write=tcpdump -n -r FILE -w /dev/null",
    "tcpdump-no-match=tcpdump -n -r FILE ip proto 254 and host 192.0.2.254",
    "darkstat=darkstat -r FILE --no-dns --chroot DIR --user root",
    "softflowd=softflowd -d -r FILE -p DIR/pid -c none",
    "p0f=p0f -r FILE",
    "ndpiReader=ndpiReader -q -i FILE",
    "suricata-no-rules=suricata -r FILE -l DIR -S /dev/null --runmode single",
    "suricata=suricata -r FILE -l DIR --runmode single",
    "zeek=zeek -C -r FILE",
    "snort=snort -q -c /etc/snort/snort.lua -l DIR -r FILE",
    "tshark=tshark -n -r FILE",
];

/// Every known peer, cheap ones first.
pub(crate) fn known() -> Vec<Peer> {
    KNOWN.iter().filter_map(|line| line.parse().ok()).collect()
}

/// `NAME=PROGRAM ARGUMENT...`; arguments are separated by spaces and hold none.
impl FromStr for Peer {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, command) = text.split_once('=').unwrap_or_default();
        let mut words = command.split_whitespace().map(str::to_owned);
        match words.next() {
            Some(program) if !name.is_empty() && command.contains("FILE") => {
                Ok(Self { name: name.into(), program, arguments: words.collect() })
            }
            _ => bail!("'{text}' is not NAME=PROGRAM ARGUMENTS with FILE for the capture"),
        }
    }
}

impl Peer {
    /// Path of the program, if it is installed: in a directory of `PATH`, or in one of the `sbin` directories, which are
    /// not in the `PATH` of every user.
    pub(crate) fn installed(&self) -> Option<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let more = ["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from);
        std::env::split_paths(&path)
            .chain(more)
            .map(|directory| directory.join(&self.program))
            .find(|file| file.is_file())
    }

    /// Command that reads `file`, with `directory` as its working directory.
    pub(crate) fn command(&self, program: &Path, file: &Path, directory: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(directory);
        command.args(self.arguments.iter().map(|word| -> OsString {
            match word.strip_prefix("DIR") {
                _ if word == "FILE" => file.into(),
                Some("") => directory.into(),
                Some(below) => directory.join(below.trim_start_matches('/')).into(),
                None => word.into(),
            }
        }));
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_and_directory_are_substituted() {
        let all = known();
        assert_eq!((all.len(), all[0].name.as_str()), (KNOWN.len(), REFERENCE));
        let softflowd = all.iter().find(|peer| peer.name == "softflowd").unwrap();
        let command = softflowd.command(Path::new("/bin/x"), Path::new("/a/b.pcap"), Path::new("/tmp/d"));
        let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
        assert_eq!(words, ["-d", "-r", "/a/b.pcap", "-p", "/tmp/d/pid", "-c", "none"]);
    }

    #[test]
    fn a_peer_without_file_in_its_arguments_is_an_error() {
        for text in ["", "x", "x=", "=cat FILE", "x=cat", "cat FILE"] {
            assert!(text.parse::<Peer>().is_err(), "{text}");
        }
        let absolute: Peer = "x=/bin/cat FILE".parse().unwrap();
        assert_eq!(absolute.installed(), Some(PathBuf::from("/bin/cat")));
    }
}
