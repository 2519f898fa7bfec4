//! The Namespace, and the claim on one of the slots that goes with it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use preview_actions::{Conclusion, Failed, Outside as _};
use preview_core::lifecycle::Phase;
use preview_core::names::{CommitSha, ComponentName, PinnedImage};
use preview_core::objects::NamespaceFacts;
use preview_core::outcome::ReceiptItem;
use preview_core::ownership::{Claim, TakeOver, images_annotation, keys};
use preview_core::slots::{Count, Step, Waiting, any_hand_is_up, count, is_free};
use preview_k8s::{Fenced, NamespaceChange, Receipt, TearDown};

use crate::Deploy;
use crate::stop::Stop;
use crate::story::Story;

/// How often a Namespace that keeps changing under our hands is read again.
const ROUNDS: u32 = 5;

/// How often claims are counted while others make room: for some seconds. A hand whose run has died makes none, until the
/// sweep lowers it.
const HANDS: u32 = 20;

/// How long a teardown may take: five minutes, as a promise to those who wait for the slot.
const TEARDOWN: Duration = Duration::from_secs(300);

/// A Namespace of ours, as it was when we last wrote to it.
pub(crate) struct Slot<'a> {
    deploy: &'a Deploy<'a>,
    facts: NamespaceFacts,
    /// Whether something ran there before this run.
    pub(crate) is_update: bool,
}

impl Deploy<'_> {
    /// Takes the Namespace: makes it, or makes it ours.
    pub(crate) async fn take_namespace(&self) -> Result<Slot<'_>, Stop> {
        let facts = self.taken().await?;
        let mut slot = Slot {
            deploy: self,
            is_update: facts.annotations.contains_key(keys::IMAGES),
            facts,
        };
        if let Some(approved) = &self.approved {
            let kept = (keys::APPROVAL.to_owned(), approved.annotation());
            slot.annotate([kept]).await?;
        }
        Ok(slot)
    }

    async fn taken(&self) -> Result<NamespaceFacts, Stop> {
        let name = self.preview.namespace_name();
        let cluster = &self.world.cluster;
        for _ in 0..ROUNDS {
            let existing = cluster.namespace(name).await.outside()?;
            // After the Namespace was read, and before it is taken as it was read: what another head has left behind may be
            // taken over by the run of the live head alone.
            self.still_wanted().await?;
            let taken = match (self.claimant.take_over(existing.as_ref()), &existing) {
                (TakeOver::Refused(foreign), _) => return Err(Failed::refused(foreign).into()),
                (TakeOver::Superseded { by }, _) => return Err(Stop::superseded_by(Some(by))),
                (TakeOver::Finish, Some(read)) => {
                    self.finish_teardown(read).await?;
                    None
                }
                (TakeOver::Take, Some(read)) => {
                    let mut ours = self.claimant.annotations();
                    ours.insert(keys::URL.to_owned(), self.preview.url());
                    ours.insert(keys::ACTIVE.to_owned(), now());
                    let mut change = NamespaceChange::annotate(ours);
                    change.annotations.insert(keys::EXPIRES.to_owned(), None);
                    let change = cluster.change_namespace(read, &change);
                    self.runner
                        .step("take", namespace(name), change)
                        .await
                        .outside()?
                }
                _ => {
                    let create = cluster.create_namespace(self.preview.namespace(self.claimant));
                    self.runner
                        .step("create", namespace(name), create)
                        .await
                        .outside()?
                }
            };
            if let Some(facts) = taken {
                return Ok(facts);
            }
        }
        Err(Stop::cluster(format!(
            "take Namespace/{name}: it changed each of {ROUNDS} times between read and write; run this again"
        )))
    }

    /// A teardown of this preview that somebody began: it has to be over before the preview can be made afresh.
    async fn finish_teardown(&self, read: &NamespaceFacts) -> Result<(), Stop> {
        let receipt = self.tear_down(read).await?;
        if receipt.finished() {
            return Ok(());
        }
        Err(Stop::cluster(format!(
            "make Namespace/{} afresh: its earlier teardown is not finished: {}; clear what blocks it, and run this again",
            read.name,
            one_line(&receipt)
        )))
    }

    async fn tear_down(&self, read: &NamespaceFacts) -> Result<Receipt, Failed> {
        self.runner.enters(Phase::Destroying.as_str());
        self.runner.needs(TEARDOWN);
        let deadline = Instant::now() + TEARDOWN;
        let retained = self.world.config.cleanup.retained_volumes;
        let work = self
            .world
            .cluster
            .tear_down(&self.claimant.owner, read, retained, deadline);
        let done = self.runner.step("tear down", namespace(&read.name), work);
        match done.await.outside()? {
            TearDown::Done(receipt) => {
                self.runner
                    .know(|result| result.receipt.clone_from(&receipt.items));
                Ok(receipt)
            }
            TearDown::Superseded { by } => Err(Failed::cluster(format!(
                "tear down Namespace/{}: run {} took it over; look whether the pull request was reopened",
                read.name,
                by.map_or_else(|| "(unknown)".to_owned(), |by| by.to_string())
            ))),
        }
    }

    /// The preview is not wanted any more: what this run made has to go again.
    pub(crate) async fn destroy(&self, story: &Story<'_>) -> Result<Conclusion, Failed> {
        let name = self.preview.namespace_name();
        let existing = self.world.cluster.namespace(name).await.outside()?;
        let ours = existing.filter(|read| self.claimant.owner.check(read).is_ok());
        // Once more after the Namespace was read: it is torn down as it was read, so a run that has taken it over since
        // keeps it, and so does one that came before, when the pull request was opened again.
        match self.still_wanted().await {
            Err(Stop::NotWanted) => {}
            Err(Stop::Failed(failed)) => return Err(failed),
            Ok(()) | Err(_) => {
                let why = format!("{}, and came back", self.previewed.ended());
                self.gives_way(story, &why).await;
                return Ok(Conclusion::done("superseded", why));
            }
        }
        let receipt: Vec<ReceiptItem> = match ours {
            Some(read) => self.tear_down(&read).await?.items,
            None => Vec::new(),
        };
        let receipt = Receipt { items: receipt };
        if receipt.finished() {
            self.world.start_next(&self.previewed.repository).await;
        }
        story.destroyed(&receipt).await?;
        let ended = self.previewed.ended();
        if !receipt.finished() {
            return Err(Failed::cluster(format!(
                "{ended} while it was deployed, and its preview is not gone yet: {}; run preview-cleanup for it",
                one_line(&receipt)
            )));
        }
        let why = format!("{ended} while it was deployed, so what was made is destroyed again");
        Ok(Conclusion::done("destroyed", why))
    }

    /// What the fence let happen.
    pub(crate) async fn fenced<T>(
        &self,
        done: Result<Fenced<T>, preview_k8s::Error>,
    ) -> Result<T, Stop> {
        match done.outside()? {
            Fenced::Done(value) => Ok(value),
            Fenced::Superseded { by } => Err(Stop::superseded_by(by)),
            Fenced::Gone => Err(self.gone().await),
        }
    }

    /// The Namespace is on its way out: most likely its pull request was closed, and a cleanup runs already.
    pub(crate) async fn gone(&self) -> Stop {
        match self.still_wanted().await {
            Err(why) => why,
            Ok(()) => Stop::cluster(format!(
                "Namespace/{} was deleted while it was deployed; find out by whom, and run this again",
                self.preview.namespace_name()
            )),
        }
    }
}

impl Slot<'_> {
    /// Takes one of the slots (`preview_core::slots`), or a place in the queue.
    pub(crate) async fn claim(&mut self) -> Result<(), Stop> {
        let capacity = self.deploy.world.config.capacity;
        for _ in 0..HANDS {
            match Step::after(self.facts.claim()) {
                Step::Go => return Ok(()),
                Step::RaiseHand => {
                    // Right before claiming: a slot that nobody wants any more is not to be taken.
                    self.deploy.still_wanted().await?;
                    self.flip(Claim::Claiming, Phase::Claiming).await?;
                }
                Step::Count => {}
            }
            let all = self.all_claims().await?;
            match count(&all, &self.facts.uid, capacity) {
                Count::Hold => {
                    self.hold().await?;
                    // Where the hand was lowered meanwhile, from the beginning.
                    if self.facts.claim() == Some(Claim::Held) {
                        return Ok(());
                    }
                }
                Count::Again => moment().await,
                Count::Lower => {
                    self.flip(Claim::Queued, Phase::Queued).await?;
                    self.look_for_a_free_slot().await?;
                }
            }
        }
        self.flip(Claim::Queued, Phase::Queued).await?;
        Err(self.waits(&self.all_claims().await?))
    }

    /// Looks for a free slot once the hand is lowered. Hands of others that are still up are waited for a little: what came
    /// of them is told.
    ///
    /// # Errors
    /// When there is none.
    async fn look_for_a_free_slot(&self) -> Result<(), Stop> {
        let capacity = self.deploy.world.config.capacity;
        for look in 1.. {
            let all = self.all_claims().await?;
            if is_free(&all, &self.facts.uid, capacity) {
                break;
            }
            if look == HANDS || !any_hand_is_up(&all) {
                return Err(self.waits(&all));
            }
            moment().await;
        }
        Ok(())
    }

    fn waits(&self, all: &[NamespaceFacts]) -> Stop {
        let world = self.deploy.world;
        Stop::Queued(Waiting::new(
            all,
            &self.facts.uid,
            self.deploy.claimant.owner.repository,
            world.config.capacity,
        ))
    }

    /// All claims that the capacity is about, in one consistent list.
    async fn all_claims(&self) -> Result<Vec<NamespaceFacts>, Stop> {
        let repository = self.deploy.claimant.owner.repository;
        Ok(self.deploy.world.claims(repository).await?)
    }

    /// Writes that the slot is ours, on condition that the hand is still up: one that somebody has lowered was not counted
    /// by others.
    async fn hold(&mut self) -> Result<(), Stop> {
        let held = NamespaceChange::annotate([
            (keys::CLAIM.to_owned(), Claim::Held.to_string()),
            (keys::PHASE.to_owned(), Phase::Provisioning.to_string()),
            (keys::HELD_SINCE.to_owned(), now()),
        ]);
        let object = format!("slot of {}", self.facts.name);
        let runner = self.deploy.runner;
        runner.enters(Phase::Provisioning.as_str());
        let hold = self.change_while(held, |now| now.claim() == Some(Claim::Claiming));
        runner.step(Claim::Held.as_str(), object, hold).await
    }

    /// Writes a claim that is no slot.
    async fn flip(&mut self, claim: Claim, phase: Phase) -> Result<(), Stop> {
        let claimed = NamespaceChange {
            annotations: BTreeMap::from([
                (keys::CLAIM.to_owned(), Some(claim.to_string())),
                (keys::PHASE.to_owned(), Some(phase.to_string())),
                (keys::HELD_SINCE.to_owned(), None),
            ]),
            ..NamespaceChange::default()
        };
        let object = format!("slot of {}", self.facts.name);
        let runner = self.deploy.runner;
        runner.enters(phase.as_str());
        let flipped = self.change(claimed);
        runner.step(claim.as_str(), object, flipped).await
    }

    /// Wakes what was put to sleep, now that there is a slot for it.
    pub(crate) async fn wake(&mut self) -> Result<(), Stop> {
        if self.facts.asleep_since().is_none() {
            return Ok(());
        }
        let deploy = self.deploy;
        let wake = async {
            let cluster = &deploy.world.cluster;
            let woken = cluster.wake(deploy.claimant, &self.facts.name).await;
            deploy.fenced(woken).await
        };
        let object = format!("what sleeps in {}", self.facts.name);
        deploy.runner.step("wake", object, wake).await?;
        self.change(NamespaceChange {
            annotations: BTreeMap::from([(keys::ASLEEP_SINCE.to_owned(), None)]),
            ..NamespaceChange::default()
        })
        .await
    }

    /// Says how far it is, for eyes.
    pub(crate) async fn is_in(&mut self, phase: Phase) -> Result<(), Stop> {
        self.deploy.runner.enters(phase.as_str());
        self.annotate([(keys::PHASE.to_owned(), phase.to_string())])
            .await
    }

    /// Says that its components are being replaced: until it is ready, nobody can tell which commit answers.
    pub(crate) async fn is_replaced(&mut self, phase: Phase) -> Result<(), Stop> {
        self.deploy.runner.enters(phase.as_str());
        let phase = NamespaceChange::annotate([(keys::PHASE.to_owned(), phase.to_string())]);
        let serving = (keys::SERVING.to_owned(), None);
        self.change(NamespaceChange {
            annotations: phase.annotations.into_iter().chain([serving]).collect(),
            ..phase
        })
        .await
    }

    /// Says that it answers, and with what.
    pub(crate) async fn is_ready(
        &mut self,
        images: &BTreeMap<ComponentName, PinnedImage>,
    ) -> Result<(), Stop> {
        let images = images.iter().map(|(name, image)| (name.as_str(), image));
        let head = self.deploy.claimant.head.to_string();
        let fence = self.deploy.claimant.fence.to_string();
        self.deploy.runner.enters(Phase::Ready.as_str());
        self.annotate([
            (keys::PHASE.to_owned(), Phase::Ready.to_string()),
            (keys::IMAGES.to_owned(), images_annotation(images)),
            (keys::SERVING.to_owned(), head),
            (keys::COMPLETED.to_owned(), fence),
        ])
        .await
    }

    /// The commit H whose components answer, as far as this run has not replaced them.
    pub(crate) fn serves(&self) -> Option<CommitSha> {
        self.facts.annotations.get(keys::SERVING)?.parse().ok()
    }

    /// The images of the version that was ready last, by component.
    pub(crate) fn ready_images(&self) -> BTreeMap<ComponentName, PinnedImage> {
        self.facts.images()
    }

    /// Writes annotations while the Namespace is ours; whoever else wrote to it meanwhile does not matter.
    async fn annotate(
        &mut self,
        annotations: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(), Stop> {
        self.change(NamespaceChange::annotate(annotations)).await
    }

    async fn change(&mut self, change: NamespaceChange) -> Result<(), Stop> {
        self.change_while(change, |_| true).await
    }

    /// Changes the Namespace while it is ours, and as long as it is `fit` for the change; one that is not any more is left
    /// as it is.
    async fn change_while(
        &mut self,
        change: NamespaceChange,
        fit: fn(&NamespaceFacts) -> bool,
    ) -> Result<(), Stop> {
        let cluster = &self.deploy.world.cluster;
        for _ in 0..ROUNDS {
            let changed = cluster
                .change_namespace(&self.facts, &change)
                .await
                .outside()?;
            if let Some(facts) = changed {
                self.facts = facts;
                return Ok(());
            }
            match cluster.namespace(&self.facts.name).await.outside()? {
                Some(now) if self.deploy.claimant.still_owns(&now) => {
                    self.facts = now;
                    if !fit(&self.facts) {
                        return Ok(());
                    }
                }
                Some(now) if !now.terminating => return Err(Stop::superseded_by(now.fence())),
                _ => return Err(self.deploy.gone().await),
            }
        }
        Err(Stop::cluster(format!(
            "annotate Namespace/{}: it changed each of {ROUNDS} times between read and write; run this again",
            self.facts.name
        )))
    }
}

/// A short while, of another length for everybody: hands that went up together do not go on together.
async fn moment() {
    tokio::time::sleep(Duration::from_millis(rand::random_range(50..400))).await;
}

/// The present second, as annotations have it.
fn now() -> String {
    let second = Timestamp::from_second(Timestamp::now().as_second());
    second.unwrap_or_default().to_string()
}

fn namespace(name: impl std::fmt::Display) -> String {
    format!("Namespace/{name}")
}

fn one_line(receipt: &Receipt) -> String {
    receipt.to_string().lines().collect::<Vec<_>>().join(", ")
}
