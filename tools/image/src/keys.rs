//! Keys of a feed: Ed25519 in the files of signify and usign for `Packages`, NIST P-256 in PEM files for `.apk` and `packages.adb`.
//!
//! Read first: signify(1) and OpenBSD's `signify.c`; RFC 8032 (Ed25519); RFC 5915, 5958, 7468 (keys in PEM); RFC 6979: the
//! signatures are deterministic, so the same input gives the same feed.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature as Ed25519Signature, Signer as _, SigningKey, VerifyingKey};
use p256::SecretKey;
use p256::ecdsa::signature::hazmat::{PrehashSigner as _, PrehashVerifier as _};
use p256::ecdsa::{self, DerSignature};
use p256::elliptic_curve::sec1::ToSec1Point as _;
use p256::pkcs8::{
    DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _, LineEnding,
};
use sha2::{Digest as _, Sha512};

use crate::adb::Schema;

/// Names of the four files that [`generate`] writes.
pub const USIGN_SECRET: &str = "usign.key";
/// Public key of `Packages`, for `opkg-key add`.
pub const USIGN_PUBLIC: &str = "usign.pub";
/// Private key of `.apk` files.
pub const APK_SECRET: &str = "apk-private.pem";
/// Public key of `.apk` files, for `/etc/apk/keys`.
pub const APK_PUBLIC: &str = "sentinel-appliance.pem";

/// Name of the hash function SHA-512 in apk's signatures.
const APK_SHA512: u8 = 4;

/// Both keys of a feed.
#[derive(Debug)]
pub struct FeedKeys {
    /// Signs `Packages`.
    pub usign: UsignSecret,
    /// Signs `.apk` and `packages.adb`.
    pub apk: ApkSecret,
}

impl FeedKeys {
    /// Reads the private keys that [`generate`] wrote.
    ///
    /// # Errors
    /// If a file is missing or damaged.
    pub fn read(directory: &Path) -> Result<Self> {
        let text = |name: &str| read_text(&directory.join(name));
        Ok(Self {
            usign: UsignSecret::parse(&text(USIGN_SECRET)?)?,
            apk: ApkSecret::parse(&text(APK_SECRET)?)?,
        })
    }
}

/// Makes both key pairs in `directory`; private keys can be read by their owner only.
///
/// # Errors
/// If a file is there already: a feed whose key changes is refused by every device that trusts the old one.
pub fn generate(directory: &Path) -> Result<Vec<PathBuf>> {
    std::fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    let mut seed = [0; 40];
    getrandom::fill(&mut seed).map_err(|error| anyhow!("random numbers: {error}"))?;
    let (number, seed) = seed.split_first_chunk().context("forty bytes")?;
    let usign = UsignSecret { number: *number, key: SigningKey::from_bytes(seed.try_into()?) };
    let apk = loop {
        let mut scalar = [0; 32];
        getrandom::fill(&mut scalar).map_err(|error| anyhow!("random numbers: {error}"))?;
        // One in 2^32 is not below the order of the group.
        if let Ok(key) = SecretKey::from_slice(&scalar) {
            break ApkSecret(key);
        }
    };
    let files = [
        (USIGN_SECRET, 0o600, usign.to_text()),
        (USIGN_PUBLIC, 0o644, usign.public().to_text()),
        (APK_SECRET, 0o600, apk.to_pem()?),
        (APK_PUBLIC, 0o644, apk.public().to_pem()?),
    ];
    let paths: Vec<PathBuf> = files.iter().map(|(name, ..)| directory.join(name)).collect();
    if let Some(taken) = paths.iter().find(|path| path.exists()) {
        bail!(
            "{} is there already; devices that trust it would refuse a feed signed with another key",
            taken.display()
        );
    }
    for (path, (_, mode, text)) in paths.iter().zip(files) {
        let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
        opened
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .with_context(|| path.display().to_string())?;
    }
    Ok(paths)
}

/// Text of a key file.
///
/// # Errors
/// If it cannot be read.
pub fn read_text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("{}: reading a key", path.display()))
}

/// Private key of signify without a password.
pub struct UsignSecret {
    number: [u8; 8],
    key: SigningKey,
}

impl std::fmt::Debug for UsignSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UsignSecret").field("number", &hex(&self.number)).finish_non_exhaustive()
    }
}

impl UsignSecret {
    /// Reads a key file.
    ///
    /// # Errors
    /// If it is damaged, or protected by a password.
    pub fn parse(text: &str) -> Result<Self> {
        let bytes = signify_bytes(text).context("a private key of signify")?;
        let bytes: &[u8; 104] =
            bytes.as_slice().try_into().context("a private key of signify has 104 bytes")?;
        let (head, key) = bytes.split_last_chunk::<64>().context("a private key")?;
        ensure!(head.starts_with(b"EdBK"), "no Ed25519 key of signify");
        ensure!(head.get(4..8) == Some(&[0; 4]), "the key is protected by a password; want one without");
        let sum = Sha512::digest(key);
        ensure!(head.get(24..32) == sum.get(..8), "the key is damaged: its checksum is wrong");
        let number = head.get(32..40).context("a key number")?.try_into()?;
        let key =
            SigningKey::from_keypair_bytes(key).context("public and private half do not belong together")?;
        Ok(Self { number, key })
    }

    fn to_text(&self) -> String {
        let pair = self.key.to_keypair_bytes();
        let sum = Sha512::digest(pair);
        let sum = sum.get(..8).unwrap_or_default();
        // Zero rounds of key derivation: without a password, which makes the salt meaningless.
        let head = [b"EdBK".as_slice(), &[0; 4], &[0; 16], sum, &self.number].concat();
        signify_text("secret key of a feed", &[head.as_slice(), &pair].concat())
    }

    /// Public half.
    #[must_use]
    pub fn public(&self) -> UsignPublic {
        UsignPublic { number: self.number, key: self.key.verifying_key() }
    }

    /// Signature file of a message.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> String {
        let signature = self.key.sign(message).to_bytes();
        signify_text(
            &format!("signed by key {}", hex(&self.number)),
            &[b"Ed", &self.number[..], &signature].concat(),
        )
    }
}

/// Public key of signify.
#[derive(Debug)]
pub struct UsignPublic {
    number: [u8; 8],
    key: VerifyingKey,
}

impl UsignPublic {
    /// Reads a key file.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn parse(text: &str) -> Result<Self> {
        let bytes = signify_bytes(text).context("a public key of signify")?;
        let bytes: &[u8; 42] = bytes.as_slice().try_into().context("a public key of signify has 42 bytes")?;
        ensure!(bytes.starts_with(b"Ed"), "no Ed25519 key of signify");
        let (head, key) = bytes.split_last_chunk::<32>().context("a public key")?;
        let key = VerifyingKey::from_bytes(key).context("no public key of Ed25519")?;
        Ok(Self { number: head.get(2..).context("a key number")?.try_into()?, key })
    }

    fn to_text(&self) -> String {
        signify_text("public key of a feed", &[b"Ed", &self.number[..], self.key.as_bytes()].concat())
    }

    /// Checks a signature file against the message.
    ///
    /// # Errors
    /// If it is by another key, or of another message.
    pub fn verify(&self, message: &[u8], signature: &str) -> Result<()> {
        let bytes = signify_bytes(signature).context("a signature of signify")?;
        let bytes: &[u8; 74] = bytes.as_slice().try_into().context("a signature of signify has 74 bytes")?;
        let (head, signature) = bytes.split_last_chunk::<64>().context("a signature")?;
        let number = head.get(2..).unwrap_or_default();
        ensure!(head.starts_with(b"Ed"), "no Ed25519 signature of signify");
        ensure!(number == self.number, "signed by key {}, want {}", hex(number), hex(&self.number));
        let verified = self.key.verify_strict(message, &Ed25519Signature::from_bytes(signature));
        verified.map_err(|_| anyhow!("the signature is not of this content"))
    }
}

fn signify_text(comment: &str, bytes: &[u8]) -> String {
    format!("untrusted comment: {comment}\n{}\n", STANDARD.encode(bytes))
}

fn signify_bytes(text: &str) -> Result<Vec<u8>> {
    let mut lines = text.lines();
    let comment = lines.next().unwrap_or_default();
    ensure!(comment.starts_with("untrusted comment: "), "want a first line with a comment");
    let bytes = lines.next().context("want a second line with the key or signature")?;
    ensure!(lines.next().is_none(), "want two lines");
    STANDARD.decode(bytes).map_err(|error| anyhow!("the second line is not base64: {error}"))
}

/// Private key of apk-tools.
pub struct ApkSecret(SecretKey);

impl std::fmt::Debug for ApkSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ApkSecret").field(&self.public()).finish()
    }
}

impl ApkSecret {
    /// Reads a PEM file, as `openssl ecparam -name prime256v1 -genkey -noout` or [`generate`] writes it.
    ///
    /// # Errors
    /// If it is no private key on P-256.
    pub fn parse(pem: &str) -> Result<Self> {
        let key = SecretKey::from_pkcs8_pem(pem).or_else(|_| SecretKey::from_sec1_pem(pem));
        key.map(Self).map_err(|error| anyhow!("no private key on the curve P-256: {error}"))
    }

    fn to_pem(&self) -> Result<String> {
        let pem = self.0.to_pkcs8_pem(LineEnding::LF).map_err(|error| anyhow!("writing a key: {error}"))?;
        Ok(pem.as_str().to_owned())
    }

    /// Public half.
    #[must_use]
    pub fn public(&self) -> ApkPublic {
        ApkPublic(self.0.public_key())
    }

    /// Signature block of a database.
    ///
    /// # Errors
    /// None is known.
    pub fn sign(&self, schema: Schema, database: &[u8]) -> Result<Vec<u8>> {
        let head = [&[0, APK_SHA512][..], &self.public().id()].concat();
        let digest = apk_digest(schema, &head, database);
        let key = ecdsa::SigningKey::from(&self.0);
        let signature: DerSignature =
            key.sign_prehash(&digest).map_err(|error| anyhow!("signing: {error}"))?;
        Ok([head.as_slice(), signature.as_bytes()].concat())
    }
}

/// Public key of apk-tools.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ApkPublic(p256::PublicKey);

impl ApkPublic {
    /// Reads a PEM file.
    ///
    /// # Errors
    /// If it is no public key on P-256.
    pub fn parse(pem: &str) -> Result<Self> {
        let key = p256::PublicKey::from_public_key_pem(pem);
        key.map(Self).map_err(|error| anyhow!("no public key on the curve P-256: {error}"))
    }

    fn to_pem(self) -> Result<String> {
        self.0.to_public_key_pem(LineEnding::LF).map_err(|error| anyhow!("writing a key: {error}"))
    }

    /// First half of a quarter of SHA-512 of the point: what a signature names.
    #[must_use]
    pub fn id(&self) -> [u8; 16] {
        let digest = Sha512::digest(self.0.to_sec1_point(false).as_bytes());
        digest.first_chunk().copied().unwrap_or_default()
    }

    /// Checks one signature block.
    ///
    /// # Errors
    /// If it is by another key, or of another database.
    pub fn verify(&self, schema: Schema, database: &[u8], block: &[u8]) -> Result<()> {
        let (head, signature) = block.split_at_checked(18).context("a signature that is cut")?;
        ensure!(head.starts_with(&[0, APK_SHA512]), "a signature of an unknown version");
        let id = head.get(2..).unwrap_or_default();
        ensure!(id == self.id(), "signed by key {}, want {}", hex(id), hex(&self.id()));
        let signature =
            DerSignature::from_bytes(signature).map_err(|_| anyhow!("a signature that is damaged"))?;
        let verified = ecdsa::VerifyingKey::from(&self.0)
            .verify_prehash(&apk_digest(schema, head, database), &signature);
        verified.map_err(|_| anyhow!("the signature is not of this content"))
    }
}

/// SHA-512 of schema, head of the signature, and SHA-512 of the database.
fn apk_digest(schema: Schema, head: &[u8], database: &[u8]) -> [u8; 64] {
    let digest = Sha512::new().chain_update(schema.magic()).chain_update(head);
    digest.chain_update(Sha512::digest(database)).finalize().into()
}

/// Hexadecimal digits, lower case.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
