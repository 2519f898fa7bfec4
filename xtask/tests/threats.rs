//! The threat model in docs/security.md names a test for each row, and each is there.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::{fs, path::Path};

/// Who must be thought of, whatever else the table has.
const ACTORS: [&str; 6] = [
    "A fork's author",
    "Somebody who may push to a branch",
    "A triager",
    "A hostile registry",
    "Somebody who has stolen a preview kubeconfig",
    "Code in a preview",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The cells of each row.
fn rows() -> Vec<Vec<String>> {
    let page = fs::read_to_string(root().join("docs/security.md")).unwrap();
    let (_, model) = page.split_once("# Threat model").unwrap();
    let rows = model.lines().filter(|line| line.starts_with("| "));
    let cells = rows.map(|row| {
        let cells = row.trim_matches('|').split(" | ");
        cells.map(|cell| cell.trim().to_owned()).collect()
    });
    cells.skip(1).collect()
}

/// Each link as name and file.
fn links(cell: &str) -> Vec<(&str, &str)> {
    let links = cell.split(", ").map(|link| {
        let link = link.strip_prefix("[`").unwrap_or_else(|| panic!("{link}"));
        let (name, file) = link.split_once("`](../").unwrap();
        (name, file.strip_suffix(')').unwrap())
    });
    links.collect()
}

#[test]
fn each_threat_has_a_test_that_is_there() {
    let rows = rows();
    for row in &rows {
        let [_, attack, stops, shown] = row.as_slice() else {
            panic!("a row of other than four cells: {row:?}");
        };
        assert!(!attack.is_empty() && !stops.is_empty(), "{row:?}");
        for (name, file) in links(shown) {
            let source = fs::read_to_string(root().join(file));
            let source = source.unwrap_or_else(|error| panic!("{file}: {error}"));
            assert!(
                source.contains(&format!("fn {name}(")),
                "{file} has no {name}"
            );
        }
    }
    for actor in ACTORS {
        assert!(rows.iter().any(|row| row[0] == actor), "{actor}");
    }
}
