//! `cargo xtask schema`: the JSON schemas of what people write, `preview.toml`, and of what programs read, `result.json`.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};
use preview_core::config::Config;
use preview_core::outcome::ResultFile;
use serde_json::Value;

/// What makes a schema.
type Made = fn() -> Value;

/// The copies in the repository, and what each of them is a copy of.
const COPIES: [(&str, Made); 2] = [
    ("preview.schema.json", Config::schema),
    ("result.schema.json", ResultFile::schema),
];

/// Arguments of `cargo xtask schema`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only say whether the schemas in the repository are current; fails when one is not.
    #[arg(long)]
    check: bool,
}

/// Runs `cargo xtask schema`.
///
/// # Errors
/// When a schema cannot be written or, with `--check`, is not current.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    for (name, schema) in COPIES {
        let mut text =
            serde_json::to_string_pretty(&schema()).context("writing the schema down")?;
        text.push('\n');
        let copy = root().join(name);
        let current = fs::read_to_string(&copy).is_ok_and(|present| present == text);
        match (current, arguments.check) {
            (true, _) => println!("{name} is current"),
            (false, true) => bail!("{name} is not current; `cargo xtask schema` writes it anew"),
            (false, false) => {
                fs::write(&copy, &text).with_context(|| format!("writing {}", copy.display()))?;
                println!("{name} written");
            }
        }
    }
    Ok(())
}

/// As `cargo xtask schema --check`.
///
/// # Errors
/// When a schema in the repository is not current.
pub(crate) fn check() -> anyhow::Result<()> {
    run(Arguments { check: true })
}

fn root() -> &'static Path {
    // The parent of xtask's own folder; cargo fixes it at build time.
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."))
}
