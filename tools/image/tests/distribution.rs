//! Agreement with packages that OpenWrt's own tool (apk-tools 3.0.6) made: byte for byte, and field by field with what the tool says
//! of them. `SENTINEL_ROUTER_SAMPLES` names the folder; without it the tests look beside the checkout, or say that they are
//! skipped. The committed packages in `tests/data` are of our own making and keep the format from then on.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use sentinel_image::adb::{self, Block, Schema};
use sentinel_image::apk::{self, Apk, Info, PHASES};
use sentinel_image::feed::{self, ApkIndex};
use sentinel_image::files::{Content, Entry, Files};
use sentinel_image::keys::ApkPublic;
use sentinel_image::show;

fn samples() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/router/samples");
    let folder = std::env::var_os("SENTINEL_ROUTER_SAMPLES").map_or_else(beside, PathBuf::from);
    if folder.join("demo-signed.apk").exists() {
        return Some(folder);
    }
    // Written directly: the test harness captures the output of macros.
    let _written = writeln!(
        std::io::stderr(),
        "skipped: no samples of the distribution; SENTINEL_ROUTER_SAMPLES names them"
    );
    None
}

fn key(folder: &Path) -> Result<ApkPublic> {
    ApkPublic::parse(&fs::read_to_string(folder.join("test.pem"))?)
}

/// The input of which the samples' README tells.
fn demo(folder: &Path) -> Result<(Info, Files, Vec<u8>)> {
    let mut files = Files::default();
    for (path, mode) in
        [("etc/config/demo", 0o600), ("usr/sbin/demo", 0o755), ("lib/apk/packages/demo.conffiles", 0o644)]
    {
        files.file(path, mode, fs::read(folder.join("t").join(path))?)?;
    }
    files.add(Entry { path: "usr/sbin/alias".into(), mode: 0o777, content: Content::Link("demo".into()) })?;
    let texts = [
        ("name", "demo"),
        ("version", "1.2.3-r4"),
        ("description", "A demonstration"),
        ("arch", "mipsel_24kc"),
        ("license", "MIT"),
        ("origin", "demo"),
        ("maintainer", "nobody"),
        ("url", "https://example.invalid/"),
    ];
    let info = Info {
        texts: texts.into_iter().map(|(name, text)| (name, text.to_owned())).collect(),
        depends: vec!["libc".into(), "another>=1.0".into()],
        provides: vec!["demo-any".into()],
        ..Info::default()
    };
    Ok((info, files, fs::read(folder.join("post"))?))
}

fn blocks(bytes: &[u8], schema: Schema) -> Result<Vec<Block>> {
    adb::read_blocks(bytes, schema)
}

#[test]
fn our_package_of_the_same_input_has_the_same_blocks() -> Result<()> {
    let Some(folder) = samples() else { return Ok(()) };
    let (info, files, script) = demo(&folder)?;
    let phase = |name: &str| PHASES.iter().position(|phase| *phase == name).context("a phase");
    let scripts = [(phase("post-install")?, script.clone()), (phase("pre-deinstall")?, script)];
    let ours = apk::assemble(info, &files, scripts.into_iter().collect(), 1_700_000_000, None)?;
    let theirs = fs::read(folder.join("demo-unsigned.apk"))?;
    assert_eq!(blocks(&ours, Schema::Package)?, blocks(&theirs, Schema::Package)?);
    Ok(())
}

#[test]
fn we_read_their_packages_as_their_tool_does() -> Result<()> {
    let Some(folder) = samples() else { return Ok(()) };
    for name in ["demo-unsigned", "demo-signed"] {
        let package = Apk::read(&fs::read(folder.join(format!("{name}.apk")))?)?;
        assert_eq!(show::apk(&package, None)?, fs::read_to_string(folder.join(format!("{name}.txt")))?);
        assert_eq!(package.files()?, demo(&folder)?.1);
    }
    Ok(())
}

#[test]
fn we_read_and_write_their_index() -> Result<()> {
    let Some(folder) = samples() else { return Ok(()) };
    let bytes = fs::read(folder.join("packages.adb"))?;
    assert_eq!(
        show::index(&ApkIndex::read(&bytes)?, None)?,
        fs::read_to_string(folder.join("packages.txt"))?
    );
    let package = fs::read(folder.join("demo-signed.apk"))?;
    let length = u64::try_from(package.len())?;
    let ours = feed::apk_index(&[(Apk::read(&package)?, length)], None)?;
    let theirs = blocks(&bytes, Schema::Index)?;
    assert_eq!(blocks(&ours, Schema::Index)?.first(), theirs.first());
    Ok(())
}

#[test]
fn we_accept_their_signatures_with_their_key_only() -> Result<()> {
    let Some(folder) = samples() else { return Ok(()) };
    let key = key(&folder)?;
    let package = Apk::read(&fs::read(folder.join("demo-signed.apk"))?)?;
    package.verify(&key)?;
    let index = ApkIndex::read(&fs::read(folder.join("packages.adb"))?)?;
    apk::verify_any(Schema::Index, &index.database, &index.signatures, &key)?;
    // A signature of an index is none of a package.
    assert!(apk::verify_any(Schema::Package, &index.database, &index.signatures, &key).is_err());
    let unsigned = Apk::read(&fs::read(folder.join("demo-unsigned.apk"))?)?;
    assert!(unsigned.verify(&key).is_err());
    Ok(())
}
