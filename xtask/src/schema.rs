//! `cargo xtask schema`: the JSON schema of `preview.toml`, for editors.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};
use preview_core::config::Config;

const COPY: &str = "preview.schema.json";

/// Arguments of `cargo xtask schema`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only say whether the schema in the repository is current; fails when it is not.
    #[arg(long)]
    check: bool,
}

/// Runs `cargo xtask schema`.
///
/// # Errors
/// When the schema cannot be written or, with `--check`, is not current.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let mut text =
        serde_json::to_string_pretty(&Config::schema()).context("writing the schema down")?;
    text.push('\n');
    let copy = root().join(COPY);
    let current = fs::read_to_string(&copy).is_ok_and(|present| present == text);
    match (current, arguments.check) {
        (true, _) => println!("{COPY} is current"),
        (false, true) => bail!("{COPY} is not current; `cargo xtask schema` writes it anew"),
        (false, false) => {
            fs::write(&copy, &text).with_context(|| format!("writing {}", copy.display()))?;
            println!("{COPY} written");
        }
    }
    Ok(())
}

/// As `cargo xtask schema --check`.
///
/// # Errors
/// When the schema in the repository is not current.
pub(crate) fn check() -> anyhow::Result<()> {
    run(Arguments { check: true })
}

fn root() -> &'static Path {
    // The parent of xtask's own folder; cargo fixes it at build time.
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."))
}
