//! A pull request's whole life, played with the three real programs.
//!
//! The same play runs on the sandbox's cluster and registry and on real ones; GitHub is always the sandbox's. It is
//! what `cargo xtask demo` shows, and what the tests assert.

mod broken;
mod ground;
mod kube;
mod play;
mod production;
mod programs;
mod progress;
mod repository;
mod sight;
mod stage;

#[cfg(test)]
mod story;

use anyhow::Context as _;
use sandbox::World;

use crate::counterparts::Running;

pub(crate) use ground::Ground;
pub(crate) use play::play;
pub(crate) use programs::{Like, Programs};
pub(crate) use progress::Progress;
pub(crate) use stage::Stage;

/// Plays a whole life, and previews that cannot come up, on real servers.
///
/// Must not be called on a thread that drives an async runtime: it has one of its own.
///
/// # Errors
/// When an act ends differently than it should.
pub(crate) fn on_real(running: &Running) -> anyhow::Result<()> {
    let programs = Programs::build(Like::Tests)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("start a runtime")?;
    runtime.block_on(async {
        let results = tempfile::tempdir().context("make a folder for results")?;
        let stage = async |name| {
            let world = World::start().await.context("start the sandbox")?;
            let (github, ground) = (world.github, Ground::real(running).await?);
            let (programs, progress) = (programs.clone(), Progress::shown());
            Stage::set(name, github, ground, programs, progress, results.path()).await
        };
        play(&mut stage("life").await?).await?;
        broken::an_image_is_missing(&mut stage("missing").await?).await?;
        broken::a_container_crashes(&mut stage("crash").await?).await
    })
}
