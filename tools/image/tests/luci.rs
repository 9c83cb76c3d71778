//! Pages of the web interface in a real browser (Debian's chromium), with a small stand-in for its frame and answers that
//! `sentinel rpcd` gave beside a running sensor (`LUCI_BLESS=1` with the lab's test `rpcd` records them anew). Without a browser
//! the test prints `skipped:`.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use sentinel_image::recipe;
use tempfile::TempDir;

const APP: &str = "openwrt/luci-app-sentinel-appliance";
/// Fewer would be a page that stopped early.
const MIN_CHECKS: usize = 33;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn text(path: impl AsRef<Path>) -> Result<String> {
    fs::read_to_string(&path).with_context(|| path.as_ref().display().to_string())
}

/// A JavaScript literal, which may stand in a script element.
fn literal(text: &str) -> Result<String> {
    Ok(serde_json::to_string(text)?.replace('<', "\\u003c"))
}

fn page() -> Result<String> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let resources = repository().join(APP).join("htdocs/luci-static/resources");
    let mut script = text(tests.join("luci/stand-in.js"))?;
    script += "\nconst sources = {}, real = {};\n";
    for (name, path) in [
        ("status", "view/sentinel-appliance/status.js"),
        ("settings", "view/sentinel-appliance/settings.js"),
        ("registry", "sentinel-appliance/registry.js"),
    ] {
        script += &format!("sources.{name} = {};\n", literal(&text(resources.join(path))?)?);
    }
    for method in ["status", "alerts", "check"] {
        let answer = text(tests.join(format!("data/luci/{method}.json")))?;
        script += &format!("real.{method} = JSON.parse({});\n", literal(answer.trim_end())?);
    }
    script += &text(tests.join("luci/test.js"))?;
    // The script is a file of its own, in which `</script>` means nothing.
    Ok(script)
}

#[test]
fn pages_show_answers_as_text_and_stop_when_hidden() -> Result<()> {
    let directory = TempDir::new()?;
    fs::write(directory.path().join("test.js"), page()?)?;
    let html = "<!DOCTYPE html><meta charset=\"utf-8\"><body><script src=\"test.js\"></script>";
    fs::write(directory.path().join("index.html"), html)?;
    let mut command = Command::new("chromium");
    // No sandbox: the test may run as root, and the page is ours. No network is asked for.
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
    ]);
    command.args([
        "--disable-background-networking",
        "--disable-component-update",
        "--virtual-time-budget=10000",
    ]);
    command.arg(format!("--user-data-dir={}", directory.path().join("profile").display()));
    command.arg("--dump-dom").arg(format!("file://{}/index.html", directory.path().display()));
    let output = match command.output() {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            // Written directly: the test harness captures the output of macros.
            return Ok(writeln!(std::io::stderr(), "skipped: chromium is not installed")?);
        }
        Err(error) => return Err(error).context("chromium"),
    };
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(shown.contains("end of checks"), "the page did not end: {shown}\n{errors}");
    let failed: Vec<&str> = shown.lines().filter(|line| line.contains("FAILED ")).collect();
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    let passed = shown.lines().filter(|line| line.starts_with("ok ")).count();
    ensure!(passed >= MIN_CHECKS, "{passed} checks, want {MIN_CHECKS}:\n{shown}");
    Ok(())
}

/// `image registry` writes it; `IMAGE_BLESS=1` does so here.
#[test]
fn the_registry_of_the_page_is_that_of_the_sensor() -> Result<()> {
    let path = repository().join(APP).join("htdocs/luci-static/resources/sentinel-appliance/registry.js");
    let wanted = recipe::registry(&text(repository().join(recipe::REFERENCE))?)?;
    if std::env::var_os("IMAGE_BLESS").is_some() {
        fs::write(&path, &wanted)?;
    }
    let command = "`image registry >FILE`, or IMAGE_BLESS=1, writes it anew";
    ensure!(text(&path)? == wanted, "{} is not of this reference; {command}", path.display());
    Ok(())
}

/// Reading may change nothing: settings are written with the right to write only, and the methods are those of the program.
#[test]
fn rights_to_read_and_to_write_are_apart() -> Result<()> {
    let path = "root/usr/share/rpcd/acl.d/luci-app-sentinel-appliance.json";
    let rights: serde_json::Value = serde_json::from_str(&text(repository().join(APP).join(path))?)?;
    let rights = rights.get("luci-app-sentinel-appliance").context("the rights of the page")?;
    let read = rights.pointer("/read/ubus/sentinel").context("methods to read")?;
    assert_eq!(*read, serde_json::json!(["status", "alerts", "check", "interfaces"]));
    ensure!(rights.pointer("/write/ubus").is_none(), "no method of the sensor writes");
    assert_eq!(rights.pointer("/write/uci"), Some(&serde_json::json!(["sentinel-appliance"])));
    let menu: serde_json::Value = serde_json::from_str(&text(
        repository().join(APP).join("root/usr/share/luci/menu.d/luci-app-sentinel-appliance.json"),
    )?)?;
    for entry in menu.as_object().context("entries of the menu")?.values() {
        let Some(view) = entry.pointer("/action/path").and_then(serde_json::Value::as_str) else { continue };
        let path = format!("{APP}/htdocs/luci-static/resources/view/{view}.js");
        ensure!(repository().join(&path).exists(), "no {path}");
    }
    Ok(())
}
