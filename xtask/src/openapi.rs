//! openapi.

/// Arguments of `cargo xtask openapi`.
#[derive(clap::Args)]
pub(crate) struct Arguments {}

/// Runs `cargo xtask openapi`.
pub(crate) fn run(_arguments: Arguments) -> anyhow::Result<()> {
    anyhow::bail!("not written yet")
}
