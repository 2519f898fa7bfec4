//! The workflow of `preview-promote`.
//!
//! observe → decide → act → report, for each target in its order: all evidence of what was merged and tested
//! ([`evidence`]); the verdict (`preview_core::promote`), once before and once under the target's Lease; the images
//! set, awaited, compared with what runs, and set back where that fails ([`rollout`]); and what of it people see
//! ([`story`]).

mod arguments;
mod attestation;
mod evidence;
mod promotable;
mod rollout;
mod story;
mod world;

pub use arguments::Arguments;

use std::collections::BTreeMap;

use preview_actions::{Conclusion, Failed, Outside as _, Runner, UsageError};
use preview_core::config::{Config, Target};
use preview_core::names::{CommitSha, ComponentName, PinnedImage};
use preview_core::promote::{Nothing, Verdict, chain, decide};
use preview_core::record::Record;
use preview_k8s::{HeldLease, Take};

use evidence::Merged;
use world::World;

/// Promotes the commit that is asked for.
///
/// # Errors
/// When a rule says no, or something outside failed.
pub async fn run(runner: Runner, arguments: Arguments) -> Result<Conclusion, Failed> {
    let config = runner.configuration(&arguments.options)?;
    let targets = targets(&config, &arguments)?;
    let commit = match arguments::asked(&runner, &arguments)? {
        Ok(commit) => commit,
        Err(why) => return Ok(Conclusion::done("nothing", why)),
    };
    runner.know(|result| result.commit = Some(commit.clone()));
    let world = World::connect(&runner, &config, &arguments.options).await?;

    let ended = promoted(&world, &commit, &targets, arguments.target.is_none()).await;
    if arguments.commit.is_none() {
        // Whatever came of it: the default branch has moved on.
        world.reassess_open_pulls().await;
    }
    ended
}

/// Brings the commit to one target after the other; `all` of them, or those that somebody named.
async fn promoted(
    world: &World<'_>,
    commit: &CommitSha,
    targets: &[&Target],
    all: bool,
) -> Result<Conclusion, Failed> {
    let merged = world.merged(commit).await?;
    let mut told = Vec::new();
    for target in targets {
        let promotion = Promotion {
            runner: world.runner,
            world,
            merged: &merged,
            target,
        };
        match promotion.carried_out().await {
            Ok(Ended::GaveWay(why)) => return Ok(Conclusion::done("superseded", why)),
            Ok(ended) => told.push(ended),
            Err(failed) => {
                promotion.tell_failed(&failed).await;
                return Err(failed);
            }
        }
    }
    if all {
        world.put_away(&merged).await?;
    }
    Ok(conclusion(&told))
}

/// The targets that are asked for, in the order of the configuration.
fn targets<'a>(config: &'a Config, arguments: &Arguments) -> Result<Vec<&'a Target>, UsageError> {
    let known = &config.promote.targets;
    let names: Vec<String> = known.iter().map(|target| target.name.to_string()).collect();
    let wanted = |target: &&Target| arguments.target.as_ref().is_none_or(|t| *t == target.name);
    let targets: Vec<&Target> = known.iter().filter(wanted).collect();
    match (&arguments.target, targets.is_empty()) {
        (_, false) => Ok(targets),
        (Some(target), true) => Err(UsageError(format!(
            "there is no target {target}; preview.toml names {}",
            if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            }
        ))),
        (None, true) => Err(UsageError(
            "preview.toml names no target; add one as [[promote.targets]]".to_owned(),
        )),
    }
}

/// How the promotion to one target ended.
enum Ended {
    /// It runs what was merged now.
    Promoted(String),
    /// There was nothing to do.
    Nothing(Nothing),
    /// Another run promotes to it, for this reason.
    GaveWay(String),
}

fn conclusion(told: &[Ended]) -> Conclusion {
    let is_promoted = |ended: &Ended| matches!(ended, Ended::Promoted(_));
    let verdict = if told.iter().any(is_promoted) {
        "promoted"
    } else {
        "nothing"
    };
    let reasons: Vec<String> = told
        .iter()
        .map(|ended| match ended {
            Ended::Promoted(what) | Ended::GaveWay(what) => what.clone(),
            Ended::Nothing(nothing) => nothing.to_string(),
        })
        .collect();
    Conclusion::done(verdict, reasons.join("; "))
}

/// One commit on its way to one target.
struct Promotion<'a> {
    runner: &'a Runner,
    world: &'a World<'a>,
    merged: &'a Merged,
    target: &'a Target,
}

/// What is to run on a target, and the record that proves it.
struct Proven {
    images: BTreeMap<ComponentName, PinnedImage>,
    record: Record,
}

/// What was decided, refusals apart.
enum Decided {
    /// Bring these images to the target.
    Promote(Proven),
    /// The target is set to these images already.
    Runs(Nothing, Proven),
    /// There is nothing to do.
    Nothing(Nothing),
}

impl Promotion<'_> {
    fn commit(&self) -> &CommitSha {
        &self.merged.commit.sha
    }

    async fn carried_out(&self) -> Result<Ended, Failed> {
        match self.decided().await? {
            Decided::Promote(_) => {}
            Decided::Nothing(nothing) => return Ok(Ended::Nothing(nothing)),
            Decided::Runs(nothing, proven) => return self.made_good(nothing, &proven).await,
        }
        let lease = match self.take_lease().await? {
            Ok(lease) => lease,
            Err(why) => return Ok(Ended::GaveWay(why)),
        };
        let ended = self.under(&lease).await;
        let given_back = self.world.cluster.give_back(&lease).await;
        let ended = ended?;
        given_back.outside()?;
        Ok(ended)
    }

    /// Reads again what the target runs, decides again, and acts.
    async fn under(&self, lease: &HeldLease) -> Result<Ended, Failed> {
        let proven = match self.decided().await? {
            Decided::Promote(proven) => proven,
            Decided::Nothing(nothing) => return Ok(Ended::Nothing(nothing)),
            Decided::Runs(nothing, proven) => return self.made_good(nothing, &proven).await,
        };
        self.know(&proven);
        if let Some(why) = self.roll_out(lease, &proven).await? {
            return Ok(Ended::GaveWay(why));
        }
        self.announce(&proven).await?;
        let commit = self.commit().short();
        Ok(Ended::Promoted(format!(
            "{} runs {commit}",
            self.target.name
        )))
    }

    /// The images are set. A run that died after that has not told so.
    async fn made_good(&self, nothing: Nothing, proven: &Proven) -> Result<Ended, Failed> {
        self.know(proven);
        if self.is_announced().await? {
            return Ok(Ended::Nothing(nothing));
        }
        self.runs(proven).await?;
        self.announce(proven).await?;
        Ok(Ended::Promoted(nothing.to_string()))
    }

    fn know(&self, proven: &Proven) {
        self.runner.know(|result| {
            result.images.clone_from(&proven.images);
            result.subject = Some(proven.record.subject.clone());
            result.namespace = Some(self.target.namespace.clone());
        });
    }

    /// The verdict on the evidence as it is now.
    async fn decided(&self) -> Result<Decided, Failed> {
        let evidence = self.evidence().await?;
        self.runner.show_chain(chain(&evidence));
        match decide(&evidence) {
            Verdict::Promote { images, record } => Ok(Decided::Promote(Proven {
                images,
                record: *record,
            })),
            Verdict::Nothing(nothing @ Nothing::AlreadyRunning { .. }) => {
                Ok(match evidence.proven() {
                    Some((images, record)) => Decided::Runs(nothing, Proven { images, record }),
                    None => Decided::Nothing(nothing),
                })
            }
            Verdict::Nothing(nothing) => Ok(Decided::Nothing(nothing)),
            Verdict::Refused(refusals) => Err(Failed::Refused(
                refusals.iter().map(ToString::to_string).collect(),
            )),
        }
    }

    /// The target's Lease; the reason where another run has it.
    async fn take_lease(&self) -> Result<Result<HeldLease, String>, Failed> {
        let fence = self.runner.environment().fence()?;
        let target = self.target.name.as_str();
        let namespace = &self.target.namespace;
        let take = self
            .world
            .cluster
            .take_lease(namespace, target, fence, self.commit());
        let taken = self.runner.step("take", format!("Lease of {target}"), take);
        match taken.await.outside()? {
            Take::Taken(lease) => Ok(Ok(lease)),
            Take::HeldBy { fence, commit } => Ok(Err(format!(
                "run {fence} promotes {} to {target}",
                commit.map_or_else(|| "another commit".to_owned(), |c| c.short().to_owned())
            ))),
            Take::Frozen { reason } => Err(Failed::refused(format!(
                "{target} is frozen: {reason}; take the annotation off its Lease in {namespace} when it may be \
                 promoted to again"
            ))),
        }
    }
}
