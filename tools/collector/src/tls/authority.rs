//! Certificate authority of one collector, and the server certificate that it signs (RFC 5280).
//!
//! The authority may sign for the collector's own names and for loopback only (name constraints, RFC 5280 section 4.2.1.10): its
//! key, if it is stolen, deceives no browser about any other host.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints,
};
use sentinel_units::Timestamp;
use sha2::{Digest as _, Sha256};

use super::Fingerprint;

/// Names of one collector, at most.
pub const MAX_NAMES: usize = 32;

const DAY: Duration = Duration::from_secs(86_400);
/// Validity of the authority.
const AUTHORITY_DAYS: u32 = 3_650;
/// Validity of the server certificate: the longest that every browser accepts of an authority that its user added.
const SERVER_DAYS: u32 = 825;
/// Both are valid from a day ago: clocks of clients differ.
const BACKDATED: Duration = DAY;

/// A certificate and its key, as PEM.
#[derive(Debug)]
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
    /// SHA-256 of the certificate.
    pub fingerprint: Fingerprint,
}

/// An authority that can sign.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Authority")
    }
}

impl Authority {
    /// A new authority for `names`, and its files.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn generate(names: &[String], now: Timestamp) -> Result<(Self, Issued), AuthorityError> {
        check(names)?;
        let key = KeyPair::generate()?;
        let mut parameters = authority_parameters(&key);
        parameters.name_constraints =
            Some(NameConstraints { permitted_subtrees: permitted(names), excluded_subtrees: Vec::new() });
        valid_for(&mut parameters, now, AUTHORITY_DAYS);
        let certificate = parameters.self_signed(&key)?;
        let issued = Issued {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            fingerprint: Fingerprint::of(certificate.der()),
        };
        Ok((Self { issuer: Issuer::new(parameters, key) }, issued))
    }

    /// The authority of this key, which [`Authority::generate`] made.
    ///
    /// # Errors
    /// [`AuthorityError`] if it is no key.
    pub fn load(key: &str) -> Result<Self, AuthorityError> {
        let key = KeyPair::from_pem(key)?;
        Ok(Self { issuer: Issuer::new(authority_parameters(&key), key) })
    }

    /// A server certificate for `names` and for loopback.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn issue(&self, names: &[String], now: Timestamp) -> Result<Issued, AuthorityError> {
        let first = check(names)?;
        let all = names.iter().cloned().chain(loopback());
        let mut unique: Vec<String> = Vec::new();
        for name in all {
            if !unique.contains(&name) {
                unique.push(name);
            }
        }
        let mut parameters = CertificateParams::new(unique)?;
        parameters.distinguished_name = subject(first);
        parameters.use_authority_key_identifier_extension = true;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        valid_for(&mut parameters, now, SERVER_DAYS);
        let key = KeyPair::generate()?;
        let certificate = parameters.signed_by(&key, &self.issuer)?;
        Ok(Issued {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            fingerprint: Fingerprint::of(certificate.der()),
        })
    }
}

/// Names of the authority that a certificate has. All of them follow from the key, so that the key alone can sign later on.
fn authority_parameters(key: &KeyPair) -> CertificateParams {
    let number: String =
        Sha256::digest(key.public_key_raw()).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = subject(&format!("Sentinel collector {number}"));
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters
}

fn subject(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject
}

fn valid_for(parameters: &mut CertificateParams, now: Timestamp, days: u32) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let now = Duration::from_secs(now.as_secs());
    parameters.not_before = epoch + now.saturating_sub(BACKDATED);
    parameters.not_after = epoch + now.saturating_add(DAY.saturating_mul(days));
}

fn loopback() -> [String; 3] {
    ["localhost".into(), Ipv4Addr::LOCALHOST.to_string(), Ipv6Addr::LOCALHOST.to_string()]
}

/// Names of both kinds, so that neither is without a constraint.
fn permitted(names: &[String]) -> Vec<GeneralSubtree> {
    let loopback = loopback();
    let subtree = |name: &String| match name.parse::<IpAddr>() {
        Ok(address @ IpAddr::V4(_)) => GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, 32)),
        Ok(address) => GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, 128)),
        Err(_) => GeneralSubtree::DnsName(name.clone()),
    };
    names.iter().chain(&loopback).map(subtree).collect()
}

/// The first of 1 to [`MAX_NAMES`] names, each an address or a DNS name (RFC 1123 section 2.1) without a wildcard.
fn check(names: &[String]) -> Result<&str, AuthorityError> {
    if names.len() > MAX_NAMES {
        return Err(AuthorityError::TooMany(names.len()));
    }
    if let Some(wrong) = names.iter().find(|name| !is_host_name(name)) {
        return Err(AuthorityError::Name(wrong.clone()));
    }
    names.first().map(String::as_str).ok_or_else(|| AuthorityError::Name(String::new()))
}

fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_numeric =
        name.split('.').next_back().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    name.parse::<IpAddr>().is_ok() || (name.len() <= 253 && !is_numeric && name.split('.').all(label))
}

/// Reason for which no certificate was made.
#[derive(Debug)]
#[non_exhaustive]
pub enum AuthorityError {
    /// Neither a host name nor an address.
    Name(String),
    /// More names than a certificate takes.
    TooMany(usize),
    /// The library refused.
    Certificate(rcgen::Error),
}

impl fmt::Display for AuthorityError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => {
                write!(
                    out,
                    "{name:?} is no host name and no address: give the name by which browsers reach this collector, such as \
                     collector.example or 192.0.2.7"
                )
            }
            Self::TooMany(count) => write!(out, "{count} names, {MAX_NAMES} at most"),
            Self::Certificate(error) => write!(out, "the certificate cannot be made: {error}"),
        }
    }
}

impl std::error::Error for AuthorityError {}

impl From<rcgen::Error> for AuthorityError {
    fn from(error: rcgen::Error) -> Self {
        Self::Certificate(error)
    }
}
