//! counterparts.

/// Arguments of `cargo xtask counterparts`.
#[derive(clap::Args)]
pub(crate) struct Arguments {}

/// Runs `cargo xtask counterparts`.
pub(crate) fn run(_arguments: Arguments) -> anyhow::Result<()> {
    anyhow::bail!("not written yet")
}
