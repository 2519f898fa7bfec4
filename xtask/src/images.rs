//! images.

/// Arguments of `cargo xtask images`.
#[derive(clap::Args)]
pub(crate) struct Arguments {}

/// Runs `cargo xtask images`.
pub(crate) fn run(_arguments: Arguments) -> anyhow::Result<()> {
    anyhow::bail!("not written yet")
}
