//! The package for Debian and Raspberry Pi OS.

use anyhow::{Context as _, Result, ensure};
use sentinel_units::Timestamp;

use super::{NAME, Source};
use crate::deb;
use crate::files::Files;
use crate::gzip;
use crate::package::{LICENSE, Package};

const SCRIPTS: [(&str, &str); 3] = [
    ("postinst", include_str!("../debian/postinst")),
    ("prerm", include_str!("../debian/prerm")),
    ("postrm", include_str!("../debian/postrm")),
];

const DETAILS: &str = "\
The program sentinel captures the traffic of the interfaces that its settings
name, detects scans, floods, spoofing, tunnels and other attacks in memory of a
fixed size, keeps alerts in a sealed log and sends them to a collector.

The service captures on eth0 unless /etc/config/sentinel-appliance names other
interfaces. It runs as a user of its own with one capability.";

/// The `.deb` for one name of Debian; `help` is what `sentinel --help` prints.
///
/// # Errors
/// If a file is missing, or the CPU of that name cannot run the program.
pub fn deb(source: &Source, architecture: &str, program: &[u8], help: &str) -> Result<(String, Vec<u8>)> {
    source.boards.check(architecture, program)?;
    let package = Package {
        name: NAME.into(),
        version: source.version.clone(),
        architecture: architecture.into(),
        description: "network sensor that detects attacks in fixed memory".into(),
        details: DETAILS.into(),
        section: "net".into(),
        source: NAME.into(),
        url: source.url.clone(),
        maintainer: source.maintainer.clone(),
        depends: vec!["init-system-helpers (>= 1.52)".into(), "systemd | systemd-standalone-sysusers".into()],
        user: None,
        conffiles: vec![format!("/etc/config/{NAME}")],
        files: files(source, program, help)?,
        after_install: String::new(),
        after_removal: String::new(),
        time: source.time,
    };
    Ok((deb::file_name(&package), deb::write(&package, &SCRIPTS)?))
}

fn files(source: &Source, program: &[u8], help: &str) -> Result<Files> {
    let (mut files, documents) = (Files::default(), format!("usr/share/doc/{NAME}"));
    files.file("usr/sbin/sentinel", 0o755, program)?;
    for path in [format!("lib/systemd/system/{NAME}.service"), format!("usr/lib/sysusers.d/{NAME}.conf")] {
        files.file(&path, 0o644, source.bytes(&format!("rootfs/{path}"))?)?;
    }
    files.file(&format!("etc/config/{NAME}"), 0o644, source.bytes("config/debian.conf")?)?;
    let sample = source.bytes("config/sentinel.conf.sample")?;
    files.file(&format!("{documents}/examples/sentinel.conf.sample"), 0o644, sample)?;
    let changes = gzip::compress(&source.bytes("sentinel-appliance/CHANGELOG.md")?)?;
    files.file(&format!("{documents}/changelog.gz"), 0o644, changes)?;
    let packaged = gzip::compress(changelog(source)?.as_bytes())?;
    files.file(&format!("{documents}/changelog.Debian.gz"), 0o644, packaged)?;
    files.file(&format!("{documents}/copyright"), 0o644, copyright(source)?)?;
    let overrides = format!("usr/share/lintian/overrides/{NAME}");
    files.file(&overrides, 0o644, "# Not a package of Debian's archive.\ninitial-upload-closes-no-bugs\n")?;
    let page = gzip::compress(manual_page(help, source)?.as_bytes())?;
    files.file("usr/share/man/man8/sentinel.8.gz", 0o644, page)?;
    Ok(files)
}

fn changelog(source: &Source) -> Result<String> {
    let (version, date) = (source.version.debian(), mail_date(source.time)?);
    Ok(format!(
        "{NAME} ({version}) unstable; urgency=medium\n\n  * Release {}; changelog.gz lists the changes.\n\n -- {}  {date}\n",
        source.version.upstream, source.maintainer
    ))
}

/// Time as in mail (RFC 5322), UTC.
fn mail_date(time: u64) -> Result<String> {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let text = Timestamp::from_parts(time, 0).rfc3339().to_string();
    let part = |from: usize, to: usize| text.get(from..to).context("a time of RFC 3339");
    // 1 January 1970 was a Thursday.
    let day = DAYS.get(usize::try_from(time / 86_400 % 7)?).context("a day of the week")?;
    let month: usize = part(5, 7)?.parse()?;
    let month = MONTHS.get(month.saturating_sub(1)).context("a month")?;
    Ok(format!("{day}, {} {month} {} {} +0000", part(8, 10)?, part(0, 4)?, part(11, 19)?))
}

/// Both licences, in the format of Debian Policy 12.5.
fn copyright(source: &Source) -> Result<String> {
    let mit = String::from_utf8(source.bytes("LICENSE-MIT")?)?;
    let holder =
        mit.lines().find(|line| line.starts_with("Copyright")).context("LICENSE-MIT without a holder")?;
    let holder = holder.trim_start_matches("Copyright").trim_start_matches(" (c)").trim();
    let year = Timestamp::from_parts(source.time, 0).rfc3339().to_string();
    let year = year.get(..4).unwrap_or_default();
    let indented: String = mit
        .lines()
        .map(|line| if line.trim().is_empty() { " .\n".to_owned() } else { format!(" {line}\n") })
        .collect();
    let (mit_name, apache_name) = LICENSE.split_once(" OR ").context("two licences")?;
    Ok(format!(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: {NAME}\n\n\
         Files: *\nCopyright: {year} {holder}\nLicense: {mit_name} or {apache_name}\n\n\
         License: {mit_name}\n{indented}\n\
         License: {apache_name}\n On Debian systems the text is in /usr/share/common-licenses/Apache-2.0.\n"
    ))
}

/// Manual page of section 8 from the text of `sentinel --help`.
///
/// # Errors
/// If the text is not the help of the program.
pub fn manual_page(help: &str, source: &Source) -> Result<String> {
    let (head, rest) = help.split_once("\n\n").context("help with a first paragraph")?;
    let (name, about) = head.split_once(" - ").context("help that begins with name and purpose")?;
    ensure!(name == "sentinel", "the help of {name}, want that of sentinel");
    let date = Timestamp::from_parts(source.time, 0).rfc3339().to_string();
    let date = date.get(..10).unwrap_or_default();
    let version = &source.version.upstream;
    let mut page = format!(".TH SENTINEL 8 \"{date}\" \"sentinel {version}\" \"System Administration\"\n");
    page += &format!(
        ".SH NAME\nsentinel \\- {}\n.SH SYNOPSIS\n.B sentinel\n.I COMMAND\n[\\fIOPTION\\fR]...\n",
        roff(about)
    );
    page += ".SH DESCRIPTION\n";
    for paragraph in rest.split("\n\n") {
        let (title, body) = paragraph.split_once('\n').unwrap_or((paragraph, ""));
        match title.strip_suffix(':').filter(|_| body.starts_with(' ')) {
            Some(title) => page += &format!(".SS {}\n", roff(title)),
            None => page += &format!(".PP\n{}\n", roff(title)),
        }
        let is_list = body.starts_with(' ');
        page += if is_list { ".nf\n" } else { "" };
        body.lines().for_each(|line| page += &format!("{}\n", roff(line)));
        page += if is_list { ".fi\n" } else { "" };
    }
    page += ".SH FILES\n.TP\n.I /etc/config/sentinel\\-appliance\nsettings; \\fBsentinel config docs\\fR lists them\n";
    page += ".TP\n.I /var/lib/sentinel\\-appliance\nkeys and sealed log\n";
    Ok(page)
}

/// Text in which nothing is a request of roff.
fn roff(line: &str) -> String {
    let text = line.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_mail() -> Result<()> {
        assert_eq!(mail_date(1_700_000_000)?, "Tue, 14 Nov 2023 22:13:20 +0000");
        Ok(())
    }

    #[test]
    fn no_line_of_help_is_a_request() {
        assert_eq!(roff(".so /etc/passwd"), "\\&.so /etc/passwd");
        assert_eq!(roff("'--help' \\n"), "\\&'\\-\\-help' \\en");
    }
}
