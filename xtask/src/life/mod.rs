//! A pull request's whole life, played with the three real programs.
//!
//! The same play runs on the sandbox's cluster and registry and on real ones; GitHub is always the sandbox's. It is
//! what `cargo xtask demo` shows, and what the tests assert.

mod broken;
mod certificate;
mod commits;
mod database;
mod ending;
mod every;
mod forks;
mod front;
mod front_door;
mod golden;
mod ground;
mod halfway;
mod isolation;
mod killed;
mod kube;
mod links;
mod numbers;
mod overlay;
mod play;
mod production;
mod programs;
mod progress;
mod promotion;
mod queue;
mod quota;
mod repository;
mod rights;
mod routes;
mod sight;
mod simulated;
mod sleep;
mod stage;
mod unchanged;
mod workflows;

#[cfg(test)]
mod inputs;
#[cfg(test)]
mod interrupted;
#[cfg(test)]
mod story;

use std::{fmt, future::Future, pin::Pin, time::Instant};

use anyhow::{Context as _, bail, ensure};
use futures::{StreamExt as _, stream};
use sandbox::World;

use crate::counterparts::Running;

pub(crate) use front_door::FrontDoor;
pub(crate) use ground::Ground;
pub(crate) use play::play;
pub(crate) use programs::{Like, Programs, is_secret};
pub(crate) use progress::Progress;
pub(crate) use repository::second_edition;
pub(crate) use stage::{Stage, USUAL_PATH};
pub(crate) use workflows::each_is_needed;

/// A play for real servers. On the sandbox each but `rights` and `numbers` is a plain test besides, see `story`.
#[derive(Clone, Copy)]
pub(crate) struct Play {
    name: &'static str,
    acts: for<'a> fn(&'a mut Stage) -> Acts<'a>,
    /// Whether it changes what holds on the whole cluster, and so is played when all others have ended.
    is_alone: bool,
}

type Acts<'a> = Pin<Box<dyn Future<Output = anyhow::Result<()>> + 'a>>;

/// A play by its name, with which its Namespaces' names begin.
macro_rules! play {
    ($name:literal, $acts:path) => {
        Play {
            name: $name,
            acts: |stage| Box::pin($acts(stage)),
            is_alone: false,
        }
    };
}

/// How many plays are on at a time.
const AT_A_TIME: usize = 4;

/// All plays for real servers, in the order in which they are played. The longest is the first, so that nobody waits for it alone.
pub(crate) const PLAYS: &[Play] = &[
    play!("killed", killed::a_preview_goes_although_its_cleanup_dies),
    play!("front", front::is_open),
    play!("life", play),
    play!("missing", broken::an_image_is_missing),
    play!("crash", broken::a_container_crashes),
    play!("quota", quota::nearly_full),
    play!("database", database::rows_stay_until_they_cannot),
    play!("golden", golden::a_copy_of_production),
    play!("unchanged", unchanged::the_page_alone_is_built),
    play!("sleep", sleep::an_idle_preview),
    play!("fork", forks::from_push_to_production),
    play!("commit", commits::a_merge_that_nobody_saw),
    play!("promotion", promotion::production_never_stops_answering),
    play!("links", links::are_refused_where_they_are_broken),
    play!("isolation", isolation::a_preview_is_kept_apart),
    play!("routes", routes::lead_to_the_preview),
    play!("overlay", overlay::manifests_of_the_repository),
    play!("workflows", workflows::from_push_to_production),
    play!("wrong", broken::everything_goes_wrong),
    Play {
        // Its policy is the whole cluster's: while it goes, the API server refuses what others make.
        is_alone: true,
        ..play!("rights", rights::suffice_and_reach_no_further)
    },
];

/// Plays for real servers that begin only where they are asked for by name: they take long there.
const BY_NAME: &[Play] = &[
    play!("queue", queue::eleven_and_ten_slots),
    play!("numbers", numbers::a_thousand_previews),
    play!(
        "halfway",
        halfway::production_gets_there_although_its_promotion_dies
    ),
    play!("every-request", every::the_end_is_the_same),
    play!("fork-workflows", workflows::from_fork_to_production),
    play!("merge-workflows", workflows::from_merge_to_production),
];

impl Play {
    /// What it is called at the command line.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Plays it on real servers, as the one at `index` of those that may be on at a time.
    async fn on_real(
        &self,
        running: &Running,
        index: usize,
        programs: Programs,
        progress: Progress,
    ) -> anyhow::Result<()> {
        let began = Instant::now();
        let played = async {
            let results = tempfile::tempdir().context("make a folder for results")?;
            let github = World::start().await.context("start the sandbox")?.github;
            // Each has a GitHub of its own, and on the one cluster their repositories must not be the same.
            github.skip_ids(1_000 * index as u64);
            let ground = Ground::real(running, &github).await?;
            let set = Stage::set(
                self.name,
                github,
                ground,
                programs,
                progress,
                results.path(),
            );
            let mut stage = set.await.context("set the stage")?;
            (self.acts)(&mut stage).await
        };
        let played = played
            .await
            .with_context(|| format!("the play {}", self.name));
        let word = if played.is_ok() { "passed" } else { "FAILED" };
        println!(
            "the play {} {word} after {} s",
            self.name,
            began.elapsed().as_secs()
        );
        played
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

/// Plays `plays` on real servers, a few at a time: most of a play is waiting. Those that change what holds on the whole cluster
/// come last, each alone. One that fails does not keep the others from being played.
///
/// Must not be called on a thread that drives an async runtime: it has one of its own.
///
/// # Errors
/// When acts end differently than they should, with each play that failed.
pub(crate) fn on_real(running: &Running, plays: &[Play]) -> anyhow::Result<()> {
    let programs = Programs::build(Like::Tests)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("start a runtime")?;
    let (alone, together): (Vec<_>, Vec<_>) = plays
        .iter()
        .enumerate()
        .partition(|(_, play)| play.is_alone);
    let mut failed = Vec::new();
    for (group, at_a_time) in [(together, AT_A_TIME), (alone, 1)] {
        let played = group.into_iter().map(|(index, play)| {
            let progress = match plays {
                [_] => Progress::shown(),
                _ => Progress::beside_others(play.name),
            };
            play.on_real(running, index, programs.clone(), progress)
        });
        let played = stream::iter(played).buffer_unordered(at_a_time);
        let played = played.filter_map(async |done| done.err());
        failed.extend(runtime.block_on(played.collect::<Vec<_>>()));
    }
    ensure!(
        failed.is_empty(),
        "{}",
        failed
            .iter()
            .map(|error| format!("{error:#}"))
            .collect::<Vec<_>>()
            .join("\n")
    );
    Ok(())
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
