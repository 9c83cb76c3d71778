//! Figures that others publish about themselves, shown beside ours.

use serde_json::{Value, json};

/// Figure of another program or method.
#[derive(Clone, Copy, Debug)]
struct Figure {
    /// Suite beside whose table it stands.
    suite: &'static str,
    peer: &'static str,
    figure: &'static str,
    source: &'static str,
}

const FIGURES: &[Figure] = &[
    Figure {
        suite: "scans",
        peer: "Zeek",
        figure: "a scan after 25 failed contacts within 15 minutes",
        source: "its policy misc/scan, defaults",
    },
    Figure {
        suite: "scans",
        peer: "TRW (sequential test)",
        figure: "4 to 5 failed first contacts on average",
        source: "Jung et al., Fast Portscan Detection Using Sequential Hypothesis Testing, IEEE S&P 2004",
    },
    Figure {
        suite: "scans",
        peer: "Maltrail 3.1",
        figure: "86 % of scan alerts kept with 4 workers, 65 % with 8",
        source: "its own benchmark",
    },
    Figure {
        suite: "channels",
        peer: "ibHH",
        figure: "DNS exfiltration from 0.7 byte/s on, false positives below 0.4 %",
        source: "arXiv 2307.02614",
    },
    Figure {
        suite: "channels",
        peer: "RITA",
        figure: "verdict on a beacon after hours of connection logs",
        source: "its documentation",
    },
    Figure {
        suite: "channels",
        peer: "nDPI",
        figure: "DGA gate: accuracy 69 %, precision 89 %, recall 40 %",
        source: "its performance test of DGA names",
    },
    Figure {
        suite: "corpus",
        peer: "Suricata 8 with 14,087 ET rules",
        figure: "185,126 alerts on 704,000 frames of public captures, not aggregated",
        source: "measured by us",
    },
];

/// Lines below the table of a suite; empty if nobody publishes a figure.
pub(crate) fn lines(suite: &str) -> String {
    of(suite).map(|figure| format!("  {}: {} ({})\n", figure.peer, figure.figure, figure.source)).collect()
}

/// Figures of others for the suites, in JSON.
pub(crate) fn to_json(suite: &str) -> Value {
    of(suite)
        .map(|figure| json!({"peer": figure.peer, "figure": figure.figure, "source": figure.source}))
        .collect()
}

fn of(suite: &str) -> impl Iterator<Item = &'static Figure> {
    FIGURES.iter().filter(move |figure| figure.suite == suite)
}
