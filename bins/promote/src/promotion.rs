//! One commit on its way to one target.

use std::collections::BTreeMap;
use std::fmt;

use preview_actions::{Failed, Outside as _, Runner};
use preview_core::config::Target;
use preview_core::names::{CommitSha, ComponentName, PinnedImage};
use preview_core::promote::{Intent, Lineage, Nothing, Refusal, Verdict, chain, decide, lines};
use preview_core::record::Record;
use preview_k8s::{Bid, HeldLease, Take};

use crate::evidence::Merged;
use crate::world::World;

/// How often the holder of a Lease may be another one when it is asked for.
const ROUNDS: usize = 5;

/// One commit on its way to one target.
#[derive(Clone, Copy)]
pub(crate) struct Promotion<'a> {
    pub(crate) runner: &'a Runner,
    pub(crate) world: &'a World<'a>,
    pub(crate) merged: &'a Merged,
    pub(crate) target: &'a Target,
    pub(crate) intent: Intent,
    /// Whether only to say what would be done.
    pub(crate) only_plans: bool,
    /// Whether it is the newest that was asked for: what the result tells is about that one.
    pub(crate) is_newest: bool,
}

/// How the promotion to one target ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It runs what was merged now.
    Promoted(String),
    /// It would.
    Planned(String),
    /// There was nothing to do.
    Nothing(Nothing),
    /// Another run promotes to it, for this reason.
    GaveWay(String),
    /// Rules say no.
    Refused(Vec<Refusal>),
}

impl Ended {
    /// One word for it.
    pub(crate) fn verdict(&self) -> &'static str {
        match self {
            Self::Promoted(_) => "promoted",
            Self::Planned(_) => "planned",
            Self::Nothing(_) => "nothing",
            Self::GaveWay(_) => "superseded",
            Self::Refused(_) => "refused",
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Promoted(what) | Self::Planned(what) | Self::GaveWay(what) => f.write_str(what),
            Self::Nothing(nothing) => nothing.fmt(f),
            Self::Refused(refusals) => f.write_str(&reasons(refusals).join("; ")),
        }
    }
}

/// Every broken link with why it is.
pub(crate) fn reasons(refusals: &[Refusal]) -> Vec<String> {
    let reasons = refusals.iter();
    reasons
        .map(|refusal| format!("{}: {refusal}", refusal.link()))
        .collect()
}

/// What is to run on a target, and the record that proves it.
pub(crate) struct Proven {
    pub(crate) images: BTreeMap<ComponentName, PinnedImage>,
    pub(crate) record: Record,
}

/// What was decided.
enum Decided {
    /// Bring these images to the target.
    Promote(Proven),
    /// The target is set to these images already.
    Runs(Nothing, Proven),
    /// There is nothing to do.
    Nothing(Nothing),
    /// Rules say no.
    Refused(Vec<Refusal>),
}

impl Promotion<'_> {
    pub(crate) fn commit(&self) -> &CommitSha {
        &self.merged.commit.sha
    }

    /// Brings the commit to the target, if it may be.
    ///
    /// # Errors
    /// When something outside failed; a rollout that did is set back.
    pub(crate) async fn carried_out(&self) -> Result<Ended, Failed> {
        let decided = self.decided().await?;
        if self.only_plans {
            return Ok(self.planned(decided));
        }
        match decided {
            Decided::Promote(_) => {}
            Decided::Nothing(nothing) => return Ok(Ended::Nothing(nothing)),
            Decided::Refused(refusals) => return Ok(Ended::Refused(refusals)),
            Decided::Runs(nothing, proven) => {
                self.know(&proven);
                if self.is_announced().await? {
                    return Ok(Ended::Nothing(nothing));
                }
            }
        }
        self.under_lease(None).await
    }

    /// Takes the target's Lease, and freezes the target where there is a reason to; then decides again, and acts.
    pub(crate) async fn under_lease(&self, freeze: Option<&str>) -> Result<Ended, Failed> {
        let lease = match self.take_lease(freeze).await? {
            Ok(lease) => lease,
            Err(ended) => return Ok(ended),
        };
        let ended = self.under(&lease).await;
        let given_back = self.world.cluster.give_back(&lease).await;
        let ended = ended?;
        given_back.outside()?;
        Ok(ended)
    }

    /// Reads again what the target runs, decides again, and acts. Where the images are set already, a run that died after
    /// that has neither seen them run nor told so.
    async fn under(&self, lease: &HeldLease) -> Result<Ended, Failed> {
        let proven = match self.decided().await? {
            Decided::Promote(proven) | Decided::Runs(_, proven) => proven,
            Decided::Nothing(nothing) => return Ok(Ended::Nothing(nothing)),
            Decided::Refused(refusals) => return Ok(Ended::Refused(refusals)),
        };
        self.know(&proven);
        self.repair_labels(&proven).await;
        let migration = match self.migrated(lease, &proven).await? {
            Ok(migration) => migration,
            Err(why) => return Ok(Ended::GaveWay(why)),
        };
        let before = match self.roll_out(lease, &proven, migration).await? {
            Ok(before) => before,
            Err(why) => return Ok(Ended::GaveWay(why)),
        };
        Ok(match self.announce(lease, &proven, &before).await? {
            None => Ended::Promoted(self.runs_there()),
            Some(why) => Ended::GaveWay(why),
        })
    }

    /// How it ends before it begins; none where the images may be brought to the target, or are there.
    pub(crate) async fn may_be(&self) -> Result<Option<Ended>, Failed> {
        Ok(match self.decided().await? {
            Decided::Promote(_) | Decided::Runs(..) => None,
            Decided::Nothing(nothing) => Some(Ended::Nothing(nothing)),
            Decided::Refused(refusals) => Some(Ended::Refused(refusals)),
        })
    }

    fn runs_there(&self) -> String {
        format!("{} runs {}", self.target.name, self.commit().short())
    }

    fn planned(&self, decided: Decided) -> Ended {
        match decided {
            Decided::Promote(proven) => {
                self.know(&proven);
                Ended::Planned(format!(
                    "{} would run {}",
                    self.target.name,
                    self.commit().short()
                ))
            }
            Decided::Runs(nothing, _) | Decided::Nothing(nothing) => Ended::Nothing(nothing),
            Decided::Refused(refusals) => Ended::Refused(refusals),
        }
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
        let verdict = decide(&evidence);
        let chain = chain(&evidence);
        if self.only_plans {
            let console = self.runner.console();
            console.line(&format!(
                "{} to {}:",
                self.commit().short(),
                self.target.name
            ));
            for line in lines(&chain) {
                console.line(&format!("  {line}"));
            }
        }
        let refusals: &[Refusal] = match &verdict {
            Verdict::Refused(refusals) => refusals,
            Verdict::Promote { .. } | Verdict::Nothing(_) => &[],
        };
        let is_told = self.is_newest || refusals.is_empty();
        if is_told {
            let is_mended =
                !refusals.is_empty() && refusals.iter().all(Refusal::is_mended_by_a_test);
            let test = is_mended.then(|| self.commit().clone());
            self.runner.know(|result| {
                result.chain = chain;
                if self.is_newest {
                    result.test_commit = test;
                }
            });
        }
        Ok(match verdict {
            Verdict::Promote { images, record } => Decided::Promote(Proven {
                images,
                record: *record,
            }),
            Verdict::Nothing(nothing @ Nothing::AlreadyRunning { .. }) => match evidence.proven() {
                Some((images, record)) => Decided::Runs(nothing, Proven { images, record }),
                None => Decided::Nothing(nothing),
            },
            Verdict::Nothing(nothing) => Decided::Nothing(nothing),
            Verdict::Refused(refusals) => Decided::Refused(refusals),
        })
    }

    /// The target's Lease; how the promotion ends where it is not to be had. It is taken from a run that promotes what ours
    /// contains, whichever began first; left to one that promotes what contains ours; and between others the newer run has
    /// it.
    async fn take_lease(&self, freeze: Option<&str>) -> Result<Result<HeldLease, Ended>, Failed> {
        let fence = self.runner.environment().fence()?;
        let mut over = None;
        for _ in 0..ROUNDS {
            let bid = Bid {
                fence,
                commit: self.commit(),
                over,
                freeze,
            };
            let (held_by, commit) = match self.bid(&bid).await? {
                Take::Taken(lease) => return Ok(Ok(lease)),
                Take::HeldBy { fence, commit } => (fence, commit),
                Take::Frozen { reason } => {
                    return Ok(Err(Ended::Refused(vec![Refusal::Frozen {
                        target: self.target.name.to_string(),
                        reason,
                    }])));
                }
            };
            let lineage = match &commit {
                Some(theirs) if !self.goes_back() => {
                    self.world.lineage(theirs, self.commit()).await?
                }
                _ => Lineage::Unrelated,
            };
            let is_ours = match lineage {
                Lineage::Ancestor => true,
                Lineage::Descendant => false,
                Lineage::Same | Lineage::Unrelated => held_by < fence,
            };
            if !is_ours {
                let theirs =
                    commit.map_or_else(|| "another commit".to_owned(), |c| c.short().to_owned());
                return Ok(Err(Ended::GaveWay(format!(
                    "run {held_by} promotes {theirs} to {}",
                    self.target.name
                ))));
            }
            over = Some(held_by);
        }
        Err(Failed::cluster(format!(
            "take the Lease of {}: it had another holder each of {ROUNDS} times; run this again",
            self.target.name
        )))
    }

    async fn bid(&self, bid: &Bid<'_>) -> Result<Take, Failed> {
        let target = self.target.name.as_str();
        let take = self
            .world
            .cluster
            .take_lease(&self.target.namespace, target, bid);
        let taken = self.runner.step("take", format!("Lease of {target}"), take);
        taken.await.outside()
    }
}
