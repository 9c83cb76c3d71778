//! `sentinel rpcd` without a running sensor: answers that a page can show.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod support;

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use support::{sentinel, stderr};

/// rpcd takes an answer only with exit code 0, and one that is JSON; a page shows what is wrong.
#[test]
fn rpcd_answers_without_a_sensor_too() {
    let directory = tempfile::tempdir().unwrap();
    let ask = |words: &[&str], arguments: &str| {
        let mut command = sentinel();
        command.args(words);
        for name in ["state_dir", "run_dir"] {
            command.arg("--set").arg(format!("{name}={}", directory.path().join(name).display()));
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // It may have ended without reading its arguments.
        let _read = child.stdin.take().unwrap().write_all(arguments.as_bytes());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{words:?}: {}", stderr(&output));
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(answer.is_object() && output.stdout.len() < 65_536, "{words:?}: {answer}");
        answer
    };
    assert_eq!(ask(&["rpcd", "list"], "")["alerts"]["limit"], 32);
    let status = ask(&["rpcd", "call", "status"], "{}");
    assert_eq!(status["running"], false);
    assert!(status["error"].as_str().unwrap().contains("no sensor is running here"), "{status}");
    for arguments in
        ["", "{}", "{\"limit\":0}", "{\"limit\":-1}", "{\"limit\":\"x\"}", "[[[[", &"[".repeat(100_000)]
    {
        let alerts = ask(&["rpcd", "call", "alerts"], arguments);
        assert_eq!(alerts["alerts"], serde_json::json!([]), "{alerts}");
        assert!(alerts["error"].as_str().unwrap().contains(directory.path().to_str().unwrap()), "{alerts}");
    }
    let all = ask(&["rpcd", "call", "interfaces"], "{}");
    assert!(all["interfaces"].as_array().unwrap().iter().any(|interface| interface["name"] == "lo"), "{all}");
}

/// Quotes, backslashes and control characters of a settings file are in the answer as JSON escapes.
#[test]
fn rpcd_tells_the_problems_of_the_settings() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("settings");
    let check = |text: &str| {
        fs::write(&file, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_sentinel"));
        command.env_clear().args(["rpcd", "call", "check", "--config"]).arg(&file);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(output.stdout.len() < 65_536);
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let good = check("config sentinel 'main'\n\tlist interface 'no-such-if'\n");
    assert_eq!(good["ok"], true, "{good}");
    let bad = check("config sentinel 'main'\n\toption workers 'a\"b\\<script>'\n");
    assert_eq!(bad["ok"], false);
    assert!(bad["problems"].as_str().unwrap().contains("workers"), "{bad}");
    let many = format!("config sentinel 'main'\n{}", "\toption no_such 'x'\n".repeat(2_000));
    assert_eq!(check(&many)["ok"], false);
}
