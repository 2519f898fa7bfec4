//! A pull request's whole life, played with the three real programs.
//!
//! The same play runs on the sandbox's cluster and registry and on real ones; GitHub is always the sandbox's. It is
//! what `cargo xtask demo` shows, and what the tests assert.

mod broken;
mod certificate;
mod commits;
mod database;
mod front;
mod front_door;
mod golden;
mod ground;
mod isolation;
mod kube;
mod overlay;
mod play;
mod production;
mod programs;
mod progress;
mod queue;
mod quota;
mod repository;
mod routes;
mod sight;
mod stage;
mod unchanged;

#[cfg(test)]
mod story;

use std::{fmt, future::Future, pin::Pin};

use anyhow::{Context as _, bail};
use sandbox::World;

use crate::counterparts::Running;

pub(crate) use front_door::FrontDoor;
pub(crate) use ground::Ground;
pub(crate) use play::play;
pub(crate) use programs::{Like, Programs};
pub(crate) use progress::Progress;
pub(crate) use stage::Stage;

/// A play for real servers. On the sandbox each is a plain test besides, see `story`.
#[derive(Clone, Copy)]
pub(crate) struct Play {
    name: &'static str,
    acts: for<'a> fn(&'a mut Stage) -> Acts<'a>,
}

type Acts<'a> = Pin<Box<dyn Future<Output = anyhow::Result<()>> + 'a>>;

/// A play by its name, with which its Namespaces' names begin.
macro_rules! play {
    ($name:literal, $acts:path) => {
        Play {
            name: $name,
            acts: |stage| Box::pin($acts(stage)),
        }
    };
}

/// All plays for real servers, in the order in which they are played.
pub(crate) const PLAYS: &[Play] = &[
    play!("front", front::is_open),
    play!("life", play),
    play!("missing", broken::an_image_is_missing),
    play!("crash", broken::a_container_crashes),
    play!("quota", quota::nearly_full),
    play!("database", database::rows_stay_until_they_cannot),
    play!("golden", golden::a_copy_of_production),
    play!("unchanged", unchanged::the_page_alone_is_built),
    play!("commit", commits::a_merge_that_nobody_saw),
    play!("isolation", isolation::a_preview_is_kept_apart),
    play!("routes", routes::lead_to_the_preview),
    play!("overlay", overlay::manifests_of_the_repository),
    play!("wrong", broken::everything_goes_wrong),
];

/// Plays for real servers that begin only where they are asked for by name: they take long there.
const BY_NAME: &[Play] = &[play!("queue", queue::eleven_and_ten_slots)];

impl Play {
    /// What it is called at the command line.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }
}

impl fmt::Debug for Play {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Play({})", self.name)
    }
}

/// The plays of these names, in the order of the names.
///
/// # Errors
/// When there is none of a name, with the names that there are.
pub(crate) fn named(names: &[String]) -> anyhow::Result<Vec<Play>> {
    let found = names.iter().map(|name| {
        let play = PLAYS.iter().chain(BY_NAME).find(|play| play.name == name);
        play.copied().ok_or(name)
    });
    match found.collect() {
        Ok(plays) => Ok(plays),
        Err(name) => {
            let known = PLAYS.iter().chain(BY_NAME).map(Play::name);
            let known: Vec<_> = known.collect();
            bail!("there is no play {name:?}; there are {}", known.join(", "))
        }
    }
}

/// Plays `plays` on real servers, one after another.
///
/// Must not be called on a thread that drives an async runtime: it has one of its own.
///
/// # Errors
/// When an act ends differently than it should.
pub(crate) fn on_real(running: &Running, plays: &[Play]) -> anyhow::Result<()> {
    let programs = Programs::build(Like::Tests)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("start a runtime")?;
    runtime.block_on(async {
        let results = tempfile::tempdir().context("make a folder for results")?;
        for play in plays {
            let world = World::start().await.context("start the sandbox")?;
            let (github, ground) = (world.github, Ground::real(running).await?);
            let (programs, progress) = (programs.clone(), Progress::shown());
            let set = Stage::set(
                play.name,
                github,
                ground,
                programs,
                progress,
                results.path(),
            );
            let mut stage = set.await.context("set the stage")?;
            (play.acts)(&mut stage)
                .await
                .with_context(|| format!("the play {}", play.name))?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    #[test]
    fn a_play_is_found_by_its_name() {
        let found = named(&["crash".to_owned(), "life".to_owned()]).unwrap();
        assert_eq!(format!("{found:?}"), "[Play(crash), Play(life)]");
        let refused = named(&["lief".to_owned()]).unwrap_err().to_string();
        let (said, known) = refused.split_once(';').unwrap();
        assert_snapshot!(said, @r#"there is no play "lief""#);
        assert!(known.contains("life, missing, crash"), "{known}");
    }

    #[test]
    fn no_two_plays_share_their_namespaces() {
        let mut names: Vec<_> = PLAYS.iter().map(Play::name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), PLAYS.len());
    }
}
