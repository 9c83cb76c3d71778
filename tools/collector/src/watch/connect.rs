//! Connections of `watch`: plain to this machine, by TLS to others; and the key it sends.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::store::key::read_private;

/// Certificates that the system trusts, where distributions keep them.
const SYSTEM_ROOTS: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];
/// Longest key, in characters.
const MAX_KEY_LEN: usize = 256;

/// An API key. Not printed.
#[derive(Clone)]
pub struct Key(String);

impl fmt::Debug for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Key")
    }
}

impl Key {
    /// The key in `file`, which only its owner may read, else `given`, the value of a variable; none without both.
    ///
    /// # Errors
    /// A file that cannot be read or that others can read, and a text that is no key.
    pub fn find(file: Option<&Path>, given: Option<String>) -> anyhow::Result<Option<Self>> {
        let text = match file {
            Some(file) => Some(read_private(file).context("cannot read the key")?),
            None => given.filter(|text| !text.is_empty()),
        };
        let Some(text) = text else { return Ok(None) };
        let key = text.trim();
        if key.is_empty() || key.len() > MAX_KEY_LEN || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            bail!(
                "that is no API key: 43 letters, digits, - and _, as `sentinel-collector keys add` prints them"
            );
        }
        Ok(Some(Self(key.into())))
    }

    /// The header that carries it.
    pub(super) fn header(&self) -> String {
        format!("X-API-Key: {}\r\n", self.0)
    }
}

/// A connection that can be read and written.
pub(super) trait Stream: Read + Write + fmt::Debug {}
impl<S: Read + Write + fmt::Debug> Stream for S {}

/// TLS to one server.
#[derive(Clone, Debug)]
pub(super) struct Tls {
    config: Arc<ClientConfig>,
    server: ServerName<'static>,
}

impl Tls {
    /// TLS to `host`, whose certificate has to be signed by one in `authority`, or by one that the system trusts.
    ///
    /// # Errors
    /// A host that no certificate can name, and files without certificates.
    pub(super) fn new(host: &str, authority: Option<&Path>) -> anyhow::Result<Self> {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let server = ServerName::try_from(bare.to_owned()).with_context(|| format!("{bare:?} is no host"))?;
        let roots = roots(authority)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13, &TLS12])?;
        let config = builder.with_root_certificates(roots).with_no_client_auth();
        Ok(Self { config: Arc::new(config), server })
    }

    /// Shakes hands, so that a certificate that is not trusted is an error here.
    pub(super) fn connect(&self, mut stream: TcpStream) -> io::Result<impl Stream + 'static> {
        let connection = ClientConnection::new(Arc::clone(&self.config), self.server.clone());
        let mut connection = connection.map_err(io::Error::other)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        Ok(StreamOwned::new(connection, stream))
    }
}

fn roots(authority: Option<&Path>) -> anyhow::Result<RootCertStore> {
    let system = || SYSTEM_ROOTS.iter().map(PathBuf::from).find(|path| path.exists());
    let Some(path) = authority.map(Path::to_owned).or_else(system) else {
        bail!(
            "this system has no list of trusted certificates: give --ca FILE, the certs/ca.crt that `init` has made"
        );
    };
    let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut roots = RootCertStore::empty();
    let found = CertificateDer::pem_slice_iter(&text).flatten();
    let (added, _) = roots.add_parsable_certificates(found);
    if added == 0 {
        bail!("{} holds no certificate (-----BEGIN CERTIFICATE-----)", path.display());
    }
    Ok(roots)
}

/// Returns true if `host` is this machine: a key may go there without TLS.
pub(super) fn is_local(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
