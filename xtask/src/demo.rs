//! `cargo xtask demo`: the whole life of a pull request, to watch.

use std::{path::PathBuf, time::Instant};

use anyhow::Context as _;
use sandbox::World;

use crate::{
    counterparts::{self, Running},
    life::{self, Ground, Like, Programs, Progress, Stage},
};

/// The play's name on a cluster.
const NAME: &str = "demo";

/// Arguments of `cargo xtask demo`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Plays on a real Kubernetes node and a real registry, which are started unless they run. GitHub is the sandbox's.
    #[arg(long)]
    real: bool,
    /// The folder that the programs' result files go to.
    #[arg(long, value_name = "DIR", default_value = "target/demo")]
    out: PathBuf,
}

/// Runs `cargo xtask demo`.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let programs = Programs::build(Like::Programs)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("start a runtime")?;
    if !arguments.real {
        return runtime.block_on(show(&arguments, programs, None));
    }
    let borrowed = counterparts::borrow()?;
    let played = runtime.block_on(show(&arguments, programs, Some(&borrowed.running)));
    // Ends what `kubectl proxy` there is before the cluster goes.
    drop(runtime);
    let given_back = borrowed.give_back();
    played.and(given_back)
}

async fn show(
    arguments: &Arguments,
    programs: Programs,
    real: Option<&Running>,
) -> anyhow::Result<()> {
    let progress = Progress::shown();
    let start = Instant::now();
    let world = World::start().await.context("start the sandbox")?;
    let github = world.github.clone();
    let folder = tempfile::tempdir().context("make a folder for the kubeconfig")?;
    let ground = match real {
        Some(running) => Ground::real(running, &github).await?,
        None => Ground::sandbox(world, folder.path())?,
    };
    let set = Stage::set(
        NAME,
        github,
        ground,
        programs,
        progress.clone(),
        &arguments.out,
    );
    let mut stage = set.await.context("set the stage")?;
    let played = life::play(&mut stage).await;
    println!("\n{}", progress.table());
    println!(
        "\nThe programs' results: {}/result-*.json",
        arguments.out.display()
    );
    played?;
    println!("All as it should be, in {:.1?}.", start.elapsed());
    Ok(())
}
