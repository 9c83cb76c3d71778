//! Packages of our own making: what the writers write the strict readers and the tools of Debian read, and nothing else.
//!
//! `IMAGE_BLESS=1` writes `tests/data` anew, with keys whose private halves are thrown away.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, Result, ensure};
use sentinel_image::apk::{self, Apk};
use sentinel_image::boards::Boards;
use sentinel_image::check;
use sentinel_image::deb::{self, Deb};
use sentinel_image::elf::{Cpu, head_of};
use sentinel_image::feed::{self, ApkIndex, Trusted};
use sentinel_image::files::{Content, Entry, Files};
use sentinel_image::ipk::{self, Ipk};
use sentinel_image::keys::{self, ApkPublic, FeedKeys, UsignPublic, UsignSecret};
use sentinel_image::package::{Package, Version};
use sentinel_image::tarball;
use tempfile::TempDir;

const SCRIPT: (&str, &str) = ("postinst", "#!/bin/sh\nset -e\n");

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

fn boards() -> Result<Boards> {
    Boards::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
}

fn demo(architecture: &str, cpu: Cpu) -> Result<Package> {
    let mut files = Files::default();
    files.file("usr/sbin/sentinel", 0o755, head_of(cpu))?;
    files.file("etc/config/demo", 0o644, "config sentinel 'main'\n")?;
    files.file("etc/empty", 0o644, "")?;
    files.file("usr/share/demo/table", 0o644, "row\n".repeat(200))?;
    files.add(Entry {
        path: "usr/sbin/alias".into(),
        mode: 0o777,
        content: Content::Link("sentinel".into()),
    })?;
    Ok(Package {
        name: "demo".into(),
        version: Version { upstream: "1.2.3".into(), release: 4 },
        architecture: architecture.into(),
        description: "A demonstration".into(),
        details: "Of a package.\n\nWith two paragraphs.".into(),
        section: "net".into(),
        source: "feeds/demo".into(),
        url: "https://example.invalid/".into(),
        maintainer: "Nobody <nobody@example.invalid>".into(),
        depends: vec!["libc".into(), "another".into()],
        user: Some("demo=870:demo=870".into()),
        conffiles: vec!["/etc/config/demo".into()],
        files,
        after_install: "true\n".into(),
        after_removal: "exit 0\n".into(),
        time: 1_700_000_000,
    })
}

fn little_mips() -> Result<Package> {
    demo("mipsel_24kc", Cpu::Mips { big_endian: false })
}

/// Feed of one directory and its keys.
struct Feed {
    directory: TempDir,
    keys: FeedKeys,
    trusted: Trusted,
}

impl Feed {
    fn new() -> Result<Self> {
        let (directory, keys) = (TempDir::new()?, TempDir::new()?);
        keys::generate(keys.path())?;
        let feed = Self { directory, trusted: trusted(keys.path())?, keys: FeedKeys::read(keys.path())? };
        let package = little_mips()?;
        fs::write(feed.path(&ipk::file_name(&package)), ipk::write(&package)?)?;
        fs::write(feed.path(&apk::file_name(&package)), apk::write(&package, Some(&feed.keys.apk))?)?;
        feed::write(feed.directory.path(), &feed.keys)?;
        Ok(feed)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn check(&self) -> Result<String> {
        check::check(self.directory.path(), &boards()?, &self.trusted)
    }

    /// Answer of `check` once `change` has been made.
    fn after(change: impl FnOnce(&Self) -> Result<()>) -> Result<String> {
        let feed = Self::new()?;
        change(&feed)?;
        Ok(format!("{:#}", feed.check().err().context("an error")?))
    }
}

fn trusted(directory: &Path) -> Result<Trusted> {
    let usign = UsignPublic::parse(&keys::read_text(&directory.join(keys::USIGN_PUBLIC))?)?;
    let apk = ApkPublic::parse(&keys::read_text(&directory.join(keys::APK_PUBLIC))?)?;
    Ok(Trusted { usign: Some(usign), apk: Some(apk) })
}

/// Output of a tool, or nothing with a word if it is not installed.
fn tool(command: &mut Command) -> Result<Option<Output>> {
    let name = command.get_program().to_string_lossy().into_owned();
    match command.output() {
        Ok(output) => Ok(Some(output)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            // Written directly: the test harness captures the output of macros.
            writeln!(std::io::stderr(), "skipped: {name} is not installed")?;
            Ok(None)
        }
        Err(error) => Err(error).context(name),
    }
}

fn succeeded(output: &Output) -> Result<String> {
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {text}", output.status);
    Ok(text)
}

#[test]
fn the_same_input_gives_the_same_bytes() -> Result<()> {
    let (package, directory) = (little_mips()?, TempDir::new()?);
    keys::generate(directory.path())?;
    let keys = FeedKeys::read(directory.path())?;
    assert_eq!(ipk::write(&package)?, ipk::write(&package)?);
    assert_eq!(apk::write(&package, Some(&keys.apk))?, apk::write(&package, Some(&keys.apk))?);
    assert_eq!(deb::write(&package, &[SCRIPT])?, deb::write(&package, &[SCRIPT])?);
    assert_eq!(keys.usign.sign(b"text"), keys.usign.sign(b"text"));
    Ok(())
}

#[test]
fn committed_packages_are_read_for_ever_and_written_alike() -> Result<()> {
    let package = little_mips()?;
    if std::env::var_os("IMAGE_BLESS").is_some() {
        let feed = Feed::new()?;
        for name in [
            "demo_1.2.3-r4_mipsel_24kc.ipk",
            "demo-1.2.3-r4.apk",
            "Packages",
            "Packages.gz",
            "Packages.sig",
            "packages.adb",
        ] {
            fs::copy(feed.path(name), data().join(name))?;
        }
        fs::write(
            data().join("demo_1.2.3-4_armhf.deb"),
            deb::write(&demo("armhf", Cpu::Arm { hard_float: true })?, &[SCRIPT])?,
        )?;
    }
    let read = |name: &str| fs::read(data().join(name)).with_context(|| name.to_owned());
    let (old, new) =
        (Ipk::read(&read("demo_1.2.3-r4_mipsel_24kc.ipk")?)?, Ipk::read(&ipk::write(&package)?)?);
    assert_eq!((old.control, old.scripts, old.files), (new.control, new.scripts, new.files));
    let (old, new) = (Apk::read(&read("demo-1.2.3-r4.apk")?)?, Apk::read(&apk::write(&package, None)?)?);
    assert_eq!((old.database, old.data), (new.database, new.data));
    let arm = demo("armhf", Cpu::Arm { hard_float: true })?;
    let (old, new) =
        (Deb::read(&read("demo_1.2.3-4_armhf.deb")?)?, Deb::read(&deb::write(&arm, &[SCRIPT])?)?);
    assert_eq!((old.control, old.scripts, old.files), (new.control, new.scripts, new.files));
    assert_eq!(ApkIndex::read(&read("packages.adb")?)?.packages.len(), 1);
    Ok(())
}

#[test]
fn apk_has_the_lists_and_scripts_of_the_distribution() -> Result<()> {
    let apk = Apk::read(&apk::write(&little_mips()?, None)?)?;
    let files = apk.files()?;
    let text = |kind: &str| -> Result<String> {
        Ok(String::from_utf8(files.bytes(&format!("lib/apk/packages/demo.{kind}"))?.to_vec())?)
    };
    assert_eq!(text("rusers")?, "demo=870:demo=870\n");
    assert_eq!(text("conffiles")?, "/etc/config/demo\n");
    let sum = text("conffiles_static")?;
    assert!(sum.starts_with("/etc/config/demo ") && sum.trim_end().len() == 17 + 64, "{sum}");
    let list = "/etc/config/demo\n/etc/empty\n/lib/apk/packages/demo.rusers\n/usr/sbin/alias\n/usr/sbin/sentinel\n\
                /usr/share/demo/table\n";
    assert_eq!(text("list")?, list);
    let script = |phase: usize| {
        String::from_utf8_lossy(apk.scripts.get(&phase).map_or(&[][..], Vec::as_slice)).into_owned()
    };
    let install = "[ \"${IPKG_NO_SCRIPT}\" = \"1\" ] && exit 0\n[ -s ${IPKG_INSTROOT}/lib/functions.sh ] || exit 0\n\
                   . ${IPKG_INSTROOT}/lib/functions.sh\nexport root=\"${IPKG_INSTROOT}\"\nexport pkgname=\"demo\"\n\
                   add_group_and_user\ndefault_postinst\ntrue\n";
    assert_eq!(script(2), format!("#!/bin/sh\n{install}"));
    assert_eq!(script(6), format!("#!/bin/sh\nexport PKG_UPGRADE=1\n{install}"));
    assert!(script(3).ends_with("default_prerm\n") && !script(3).contains("IPKG_NO_SCRIPT"), "{}", script(3));
    Ok(())
}

#[test]
fn control_data_of_an_ipk_are_those_of_the_distribution() -> Result<()> {
    let ipk = Ipk::read(&ipk::write(&little_mips()?)?)?;
    let size = tarball::write(&ipk.files, 1_700_000_000)?.len();
    let wanted = format!(
        "Package: demo\nVersion: 1.2.3-r4\nDepends: libc, another\nSource: feeds/demo\nSourceName: demo\n\
         License: MIT OR Apache-2.0\nSection: net\nRequire-User: demo=870:demo=870\nSourceDateEpoch: 1700000000\n\
         URL: https://example.invalid/\nMaintainer: Nobody <nobody@example.invalid>\nArchitecture: mipsel_24kc\n\
         Installed-Size: {size}\nDescription:  A demonstration\n"
    );
    assert_eq!(ipk.control.to_text(), wanted);
    assert_eq!(ipk.conffiles()?, ["/etc/config/demo"]);
    Ok(())
}

/// Each cut must be an error, each altered bit an error or without effect on what is read: gzip has bits that mean nothing.
fn cut_and_altered<T: PartialEq>(bytes: &[u8], read: impl Fn(&[u8]) -> Result<T>) -> Result<usize> {
    let (good, mut errors) = (read(bytes)?, 0);
    for at in 0..bytes.len() {
        ensure!(read(bytes.get(..at).unwrap_or_default()).is_err(), "cut at {at}");
        let mut altered = bytes.to_vec();
        if let Some(byte) = altered.get_mut(at) {
            *byte ^= 1 << (at % 8);
        }
        match read(&altered) {
            Ok(found) => ensure!(found == good, "altered at {at}, and taken for good"),
            Err(_) => errors += 1,
        }
    }
    Ok(errors)
}

#[test]
fn every_cut_and_every_altered_byte_is_an_error_or_without_effect() -> Result<()> {
    let package = little_mips()?;
    let of_ipk = |bytes: &[u8]| Ipk::read(bytes).map(|read| (read.control, read.scripts, read.files));
    let of_deb = |bytes: &[u8]| Deb::read(bytes).map(|read| (read.control, read.scripts, read.files));
    let of_apk = |bytes: &[u8]| Apk::read(bytes).map(|read| (read.database, read.data));
    for (bytes, errors) in [
        {
            let bytes = ipk::write(&package)?;
            let errors = cut_and_altered(&bytes, of_ipk)?;
            (bytes, errors)
        },
        {
            let bytes = deb::write(&package, &[SCRIPT])?;
            let errors = cut_and_altered(&bytes, of_deb)?;
            (bytes, errors)
        },
        {
            let bytes = apk::write(&package, None)?;
            let errors = cut_and_altered(&bytes, of_apk)?;
            (bytes, errors)
        },
    ] {
        // Names, times and flags of gzip and ar are not looked at; everything else is.
        assert!(errors * 100 >= bytes.len() * 90, "{errors} errors of {} altered bytes", bytes.len());
    }
    Ok(())
}

#[test]
fn a_feed_is_accepted_and_each_fault_has_its_own_words() -> Result<()> {
    let feed = Feed::new()?;
    assert!(feed.check()?.ends_with("2 packages, indices signed"));
    let other = Feed::new()?;
    let package = little_mips()?;
    let faults: [(&str, String); 6] = [
        (
            "is not the index of the .ipk files",
            Feed::after(|feed| {
                let changed = Package { description: "Another".into(), ..little_mips()? };
                Ok(fs::write(feed.path(&ipk::file_name(&changed)), ipk::write(&changed)?)?)
            })?,
        ),
        (
            "Packages.sig: signed by key",
            Feed::after(|feed| {
                Ok(fs::write(
                    feed.path("Packages.sig"),
                    other.keys.usign.sign(&fs::read(feed.path("Packages"))?),
                )?)
            })?,
        ),
        (
            "Packages.sig: the signature is not of this content",
            Feed::after(|feed| {
                Ok(fs::write(feed.path("Packages.sig"), feed.keys.usign.sign(b"something else"))?)
            })?,
        ),
        (
            "demo-1.2.3-r4.apk: not signed",
            Feed::after(|feed| {
                Ok(fs::write(feed.path(&apk::file_name(&package)), apk::write(&package, None)?)?)
            })?,
        ),
        (
            "demo-1.2.3-r4.apk: signed by key",
            Feed::after(|feed| {
                Ok(fs::write(
                    feed.path(&apk::file_name(&package)),
                    apk::write(&package, Some(&other.keys.apk))?,
                )?)
            })?,
        ),
        (
            "packages.adb has another demo",
            Feed::after(|feed| {
                let changed = Package { description: "Another".into(), ..little_mips()? };
                Ok(fs::write(
                    feed.path(&apk::file_name(&changed)),
                    apk::write(&changed, Some(&feed.keys.apk))?,
                )?)
            })?,
        ),
    ];
    for (wanted, said) in faults {
        assert!(said.contains(wanted), "want {wanted:?}, got {said:?}");
    }
    Ok(())
}

#[test]
fn a_package_for_the_wrong_cpu_or_of_the_wrong_name_is_named() -> Result<()> {
    let directory = TempDir::new()?;
    let wrong = demo("mips_24kc", Cpu::Mips { big_endian: false })?;
    let put = |name: &str, bytes: Vec<u8>| -> Result<String> {
        fs::write(directory.path().join(name), bytes)?;
        let said = check::check(&directory.path().join(name), &boards()?, &Trusted::default());
        Ok(said.unwrap_or_else(|error| format!("{error:#}")))
    };
    let cpu = "mips_24kc has big-endian MIPS, but the program is for little-endian MIPS";
    assert!(put(&ipk::file_name(&wrong), ipk::write(&wrong)?)?.ends_with(cpu));
    assert!(put(&apk::file_name(&wrong), apk::write(&wrong, None)?)?.ends_with(cpu));
    let arm = demo("armhf", Cpu::Arm { hard_float: false })?;
    assert!(
        put(&deb::file_name(&arm), deb::write(&arm, &[SCRIPT])?)?.contains("without a floating-point unit")
    );
    let all = demo("all", Cpu::X86_64)?;
    assert!(
        put(&ipk::file_name(&all), ipk::write(&all)?)?
            .ends_with("a package for all CPUs with a program in it")
    );
    let refused = demo("arm_cortex-a9", Cpu::Arm { hard_float: true })?;
    assert!(
        put(&ipk::file_name(&refused), ipk::write(&refused)?)?.contains("may have no floating-point unit")
    );
    assert!(
        put("other.ipk", ipk::write(&little_mips()?)?)?
            .ends_with("its name should be demo_1.2.3-r4_mipsel_24kc.ipk")
    );
    assert!(put("demo_1.2.3-r4_mipsel_24kc.ipk", ipk::write(&little_mips()?)?)?.starts_with("demo_1.2.3-r4"));
    Ok(())
}

#[test]
fn keys_are_made_once_and_only_their_owner_reads_them() -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = TempDir::new()?;
    for path in keys::generate(directory.path())? {
        let mode = fs::metadata(&path)?.permissions().mode() & 0o777;
        let name = path.file_name().context("a name")?.to_string_lossy().into_owned();
        let wanted =
            if [keys::USIGN_SECRET, keys::APK_SECRET].contains(&name.as_str()) { 0o600 } else { 0o644 };
        assert_eq!(mode, wanted, "{name}");
    }
    let error = keys::generate(directory.path()).err().context("refused")?.to_string();
    assert!(error.contains("is there already"), "{error}");
    let text = fs::read_to_string(directory.path().join(keys::USIGN_SECRET))?;
    let damaged = text.replacen("A", "B", 30);
    assert!(UsignSecret::parse(&damaged).is_err());
    Ok(())
}

#[test]
fn signify_verifies_what_we_sign_and_we_what_it_signs() -> Result<()> {
    let feed = Feed::new()?;
    let keys = TempDir::new()?;
    keys::generate(keys.path())?;
    let secret = UsignSecret::parse(&keys::read_text(&keys.path().join(keys::USIGN_SECRET))?)?;
    let (message, signature) = (feed.path("Packages"), keys.path().join("Packages.sig"));
    fs::write(&signature, secret.sign(&fs::read(&message)?))?;
    let signify = |words: &[&str], paths: [(&str, &Path); 3]| {
        let mut command = Command::new("signify-openbsd");
        command.args(words);
        paths.iter().for_each(|(option, path)| {
            command.arg(option).arg(path);
        });
        command
    };
    let public = keys.path().join(keys::USIGN_PUBLIC);
    let verify =
        |message: &Path| tool(&mut signify(&["-V"], [("-p", &public), ("-x", &signature), ("-m", message)]));
    let Some(output) = verify(&message)? else { return Ok(()) };
    succeeded(&output)?;
    let altered = keys.path().join("altered");
    fs::write(&altered, "Package: other\n")?;
    ensure!(verify(&altered)?.is_some_and(|output| !output.status.success()), "it takes another message");

    let (own_public, own_secret) = (keys.path().join("own.pub"), keys.path().join("own.sec"));
    let made = Command::new("signify-openbsd")
        .args(["-G", "-n", "-p"])
        .arg(&own_public)
        .arg("-s")
        .arg(&own_secret)
        .output()?;
    succeeded(&made)?;
    let signed = signify(&["-S"], [("-s", &own_secret), ("-x", &signature), ("-m", &message)]).output()?;
    succeeded(&signed)?;
    let public = UsignPublic::parse(&keys::read_text(&own_public)?)?;
    public.verify(&fs::read(&message)?, &keys::read_text(&signature)?)?;
    // Its private keys work here, too.
    let ours = UsignSecret::parse(&keys::read_text(&own_secret)?)?;
    public.verify(b"text", &ours.sign(b"text"))
}

#[test]
fn archives_are_those_of_gnu_tar() -> Result<()> {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let (package, directory) = (little_mips()?, TempDir::new()?);
    for entry in package.files.iter() {
        let path = directory.path().join(&entry.path);
        match &entry.content {
            Content::Directory => fs::create_dir(&path)?,
            Content::File(bytes) => fs::write(&path, bytes)?,
            Content::Link(target) => {
                symlink(target, &path)?;
                continue;
            }
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(entry.mode))?;
    }
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
    let mut command = Command::new("tar");
    command.args([
        "--format=gnu",
        "--sort=name",
        "--numeric-owner",
        "--owner=0",
        "--group=0",
        "--mtime=@1700000000",
    ]);
    let Some(output) = tool(command.arg("-C").arg(directory.path()).args(["-cf", "-", "."]))? else {
        return Ok(());
    };
    let (ours, theirs) = (tarball::write(&package.files, 1_700_000_000)?, output.stdout);
    // It fills up to 20 blocks.
    let (same, rest) = theirs.split_at_checked(ours.len()).context("as long as ours")?;
    assert!(same == ours && rest.iter().all(|byte| *byte == 0), "the archives differ");
    assert_eq!(tarball::read(&theirs)?.files, package.files);
    Ok(())
}

#[test]
fn dpkg_reads_the_package() -> Result<()> {
    let (package, directory) = (demo("armhf", Cpu::Arm { hard_float: true })?, TempDir::new()?);
    let path = directory.path().join(deb::file_name(&package));
    fs::write(&path, deb::write(&package, &[SCRIPT])?)?;
    let ask = |action: &str| tool(Command::new("dpkg-deb").arg(action).arg(&path));
    let Some(info) = ask("--info")? else { return Ok(()) };
    let info = succeeded(&info)?;
    assert!(info.contains("Version: 1.2.3-4") && info.contains("Architecture: armhf"), "{info}");
    let contents = succeeded(&ask("--contents")?.context("still installed")?)?;
    for line in ["-rwxr-xr-x 0/0              64 2023-11-14", "./usr/sbin/alias -> sentinel"] {
        assert!(contents.contains(line), "{contents}");
    }
    Ok(())
}
