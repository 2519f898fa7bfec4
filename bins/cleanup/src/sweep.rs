//! A sweep: what is left behind goes, of all previews of the repository.
//!
//! One list of Namespaces, one of open pull requests; then whatever is a suspect is looked at by itself, right before it is
//! destroyed. What fails with one preview does not stop the others, and the exit code tells.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use preview_actions::{Conclusion, Failed, Outside as _, write_whole};
use preview_core::approvals::{self, Answer, Approval};
use preview_core::cleanup::{Refusal, Verdict};
use preview_core::comment::Note;
use preview_core::deployments::RECORD;
use preview_core::health::FailureClass;
use preview_core::metrics;
use preview_core::names::{CommitSha, PrNumber, Subject};
use preview_core::objects::NamespaceFacts;
use preview_core::outcome::Exit;
use preview_core::ownership::{Claim, Owner, keys};
use preview_core::promote::CONTEXT;
use preview_core::pulls::PullRequest;
use preview_core::sweep::{
    CONTRADICTIONS, Fate, Measure, Swept, count, lines, most_deletions, sentence,
};
use preview_core::tls::HomeSecret;
use preview_k8s::{NamespaceChange, TearDown};

use crate::Cleanup;
use crate::github::Reached;
use crate::images::Whose;
use crate::world::World;

/// How long a whole sweep may take.
pub(crate) const MOST: Duration = Duration::from_secs(3600);

/// Previews that are looked at, and torn down, at the same time.
pub(crate) const PARALLEL: usize = 4;

/// Why a preview goes that is on its way out already.
const ASKED_FOR: &str = "its deletion was asked for";

/// Sweeps; a dry run only says which previews would go. What came of it goes to the file `metrics`, too, once the previews
/// could be listed.
///
/// # Errors
/// When the previews cannot be listed, something failed with one of them, there are more to destroy than one sweep may, or
/// the metrics cannot be written.
pub(crate) async fn run(
    world: &World<'_>,
    dry_run: bool,
    metrics: Option<&Path>,
) -> Result<Conclusion, Failed> {
    let (stopped, ended) = match carried_out(world, dry_run, metrics).await {
        Ok((stopped, ended)) => (stopped, ended),
        Err(failed) => (None, Err(failed)),
    };
    // Somebody is looking at a dry run.
    if let Err(failed) = &ended
        && !dry_run
    {
        world.alert_of_sweep(stopped, failed).await;
    }
    ended
}

/// Sweeps; why it stopped, if it did, and how it ended.
async fn carried_out(
    world: &World<'_>,
    dry_run: bool,
    metrics: Option<&Path>,
) -> Result<(Option<Stop>, Result<Conclusion, Failed>), Failed> {
    // Before the pull requests: whatever is opened and deployed in between is not among them.
    let all = Owner::selector_of_repository(world.repository.id);
    let previews = world.cluster.namespaces(&all).await.outside()?;
    let done = all_of(world, &previews, dry_run).await;
    let stopped = done.stopped;
    let ended = match metrics {
        Some(file) => done.measured(world, &previews, file),
        None => done.told,
    };
    Ok((stopped, ended))
}

/// What was done, and what is to be told of it.
struct Done {
    swept: Vec<Swept>,
    approvals: Vec<Approval>,
    /// Why it left previews that were to go.
    stopped: Option<Stop>,
    told: Result<Conclusion, Failed>,
}

impl Done {
    /// Writes the metrics. Where nothing else has failed, it is a failure that they cannot be written.
    fn measured(
        self,
        world: &World<'_>,
        previews: &[NamespaceFacts],
        file: &Path,
    ) -> Result<Conclusion, Failed> {
        let metrics = metrics::Sweep {
            repository: &world.repository.slug,
            previews,
            capacity: world.config.capacity,
            swept: &self.swept,
            approvals: &self.approvals,
            succeeded: self.told.is_ok(),
            ended: Timestamp::now(),
            took: world.runner.elapsed(),
        };
        let Err(error) = write_whole(file, &metrics.render()) else {
            return self.told;
        };
        let file = file.display();
        let error = format!("write the metrics to {file}: {error}; make it writable");
        if self.told.is_err() {
            world.runner.console().warning(&error);
            return self.told;
        }
        Err(Failed::Misused(error))
    }
}

async fn all_of(world: &World<'_>, previews: &[NamespaceFacts], dry_run: bool) -> Done {
    let listed = world.github.open_pulls().await.outside();
    let open: BTreeMap<PrNumber, PullRequest> = match &listed {
        Ok(open) => open
            .iter()
            .map(|pull| (pull.number, pull.clone()))
            .collect(),
        Err(_) => BTreeMap::new(),
    };
    let sweep = Sweep {
        world,
        dry_run,
        is_listed: listed.is_ok(),
        open,
        most: most_deletions(previews.len(), world.config.sweep.limit),
        so_far: Mutex::default(),
    };
    let mut swept = sweep.gone(previews).await;
    swept.extend(sweep.aged(previews).await);
    let answered = crate::approvals::run(world, &sweep.open, dry_run).await;
    let (retired, unretired) = apart(sweep.retired(previews).await);
    swept.extend(retired);
    if !dry_run {
        swept.extend(sweep.pruned(previews).await);
        swept.extend(sweep.requeued(previews).await);
        swept.extend(sweep.renewed(previews).await);
        sweep.reassess(previews).await;
        let ended = swept
            .iter()
            .filter(|one| matches!(one.measure, Measure::Destroyed | Measure::Retired));
        let ended: Vec<Subject> = ended.filter_map(|one| one.subject.clone()).collect();
        world.clean_images(&Whose::All(&ended)).await;
        world.start_next().await;
    }
    swept.sort_by(|a, b| (a.measure, &a.namespace).cmp(&(b.measure, &b.namespace)));
    let (answered, unanswered) = apart(answered);
    for line in lines(&swept).into_iter().chain(approvals::lines(&answered)) {
        world.runner.console().line(&line);
    }
    let told = sentence(&swept, previews.len()) + &approvals::ending(&answered);
    world.runner.know(|result| {
        result.swept.clone_from(&swept);
        result.approvals.clone_from(&answered);
    });
    let stopped = sweep.so_far().stops(sweep.most);
    let stopped = stopped.filter(|_| count(&swept, Measure::Left) > 0);
    // Nothing was destroyed that only the list of what is open could have cleared of suspicion.
    let told = match listed.err().or(unanswered).or(unretired) {
        Some(failed) => Err(failed),
        None => conclusion(&swept, &answered, stopped, told),
    };
    Done {
        stopped,
        swept,
        approvals: answered,
        told,
    }
}

/// What was done, and why the rest of it was not.
fn apart<T>(done: Result<Vec<T>, Failed>) -> (Vec<T>, Option<Failed>) {
    match done {
        Ok(done) => (done, None),
        Err(failed) => (Vec::new(), Some(failed)),
    }
}

fn conclusion(
    swept: &[Swept],
    answered: &[Approval],
    stopped: Option<Stop>,
    told: String,
) -> Result<Conclusion, Failed> {
    let failed = |class| {
        let next =
            "look at what failed, and run the sweep again: it goes on where this one stopped";
        Err(Failed::Outside(class, format!("{told}; {next}")))
    };
    if count(swept, Measure::Failed) > 0 {
        return failed(FailureClass::Cluster);
    }
    if approvals::count(answered, Answer::Failed) > 0 {
        return failed(FailureClass::GitHub);
    }
    if let Some(stop) = stopped {
        return Err(Failed::refused(format!(
            "{told}: {stop}; {}",
            stop.next_step()
        )));
    }
    if count(swept, Measure::Refused) > 0 {
        return Err(Failed::refused(told));
    }
    Ok(Conclusion::done("swept", told))
}

/// One sweep.
pub(crate) struct Sweep<'a> {
    pub(crate) world: &'a World<'a>,
    pub(crate) dry_run: bool,
    /// Whether GitHub gave the list of open pull requests.
    pub(crate) is_listed: bool,
    pub(crate) open: BTreeMap<PrNumber, PullRequest>,
    /// How many previews it may destroy.
    most: usize,
    so_far: Mutex<SoFar>,
}

#[derive(Default)]
struct SoFar {
    destroyed: usize,
    /// Pull requests that the list left out and that are open.
    contradictions: usize,
}

/// Why a sweep destroys no further preview.
#[derive(Clone, Copy)]
pub(crate) enum Stop {
    NotBelieved,
    Limit(usize),
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBelieved => f.write_str(
                "GitHub's list leaves out pull requests that are open, so it is not believed",
            ),
            Self::Limit(most) => write!(f, "one sweep destroys no more than {most}"),
        }
    }
}

impl Stop {
    fn next_step(self) -> &'static str {
        match self {
            Self::NotBelieved => "run the sweep again once GitHub lists them",
            Self::Limit(_) => {
                "look whether it is right that so many go, and run the sweep again, or write another sweep.limit in \
                 preview.toml"
            }
        }
    }
}

impl SoFar {
    fn stops(&self, most: usize) -> Option<Stop> {
        if self.contradictions > CONTRADICTIONS {
            return Some(Stop::NotBelieved);
        }
        (self.destroyed >= most).then_some(Stop::Limit(most))
    }
}

impl Sweep<'_> {
    fn so_far(&self) -> MutexGuard<'_, SoFar> {
        self.so_far.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one more preview that is destroyed, if that many may be.
    pub(crate) fn counts(&self) -> Result<(), Stop> {
        let mut so_far = self.so_far();
        if let Some(stop) = so_far.stops(self.most) {
            return Err(stop);
        }
        so_far.destroyed += 1;
        Ok(())
    }

    /// Destroys what is left behind, the oldest first.
    async fn gone(&self, previews: &[NamespaceFacts]) -> Vec<Swept> {
        let open: BTreeSet<PrNumber> = self.open.keys().copied().collect();
        let mut wanted: Vec<(&NamespaceFacts, Fate)> = previews
            .iter()
            .map(|preview| (preview, Fate::of(preview, &open)))
            .filter(|(_, fate)| match fate {
                Fate::Stays => false,
                Fate::Unfinished => true,
                Fate::Suspect => self.is_listed,
            })
            .collect();
        wanted.sort_by_key(|(preview, _)| (preview.created, &preview.uid));
        let looks = wanted.into_iter().map(|(preview, fate)| async move {
            let looked = self.look_at(preview, fate).await;
            looked.unwrap_or_else(|failed| Some(failure(preview, &failed)))
        });
        let swept = futures::stream::iter(looks).buffered(PARALLEL);
        swept.filter_map(std::future::ready).collect().await
    }

    async fn look_at(&self, preview: &NamespaceFacts, fate: Fate) -> Result<Option<Swept>, Failed> {
        let Some(subject) = preview.subject() else {
            return Ok(None);
        };
        let left = |why: Stop| Ok(Some(Swept::new(preview, Measure::Left, why)));
        if fate == Fate::Suspect
            && let Some(why) = self.so_far().stops(self.most)
        {
            return left(why);
        }
        let is_wanted = match &subject {
            // Where there is nowhere to promote to, nothing is proof.
            Subject::Commit(commit) => self.world.reached(commit).await? != Reached::Everywhere,
            Subject::Pr(_) => false,
        };
        if is_wanted && fate == Fate::Suspect {
            return Ok(None);
        }
        let cleanup = Cleanup::of(self.world, subject, Some(preview.clone()), false)
            .await?
            .by_sweep();
        match cleanup.verdict() {
            Verdict::Destroy { .. } | Verdict::AlreadyGone { .. } if !is_wanted => {}
            // Whatever its pull request is: somebody has asked for the end of this Namespace.
            _ if fate == Fate::Unfinished => return self.finish(cleanup, preview).await,
            Verdict::Refused(Refusal::StillOpen { .. }) => {
                self.so_far().contradictions += 1;
                return Ok(None);
            }
            Verdict::Refused(refusal) => {
                return Ok(Some(Swept::new(preview, Measure::Refused, refusal)));
            }
            Verdict::Destroy { .. } | Verdict::AlreadyGone { .. } => return Ok(None),
        }
        if fate == Fate::Suspect
            && let Err(why) = self.counts()
        {
            return left(why);
        }
        if self.dry_run {
            let why = match (fate, preview.subject()) {
                (Fate::Suspect, Some(Subject::Pr(number))) => {
                    format!("pull request #{number} is closed")
                }
                (Fate::Suspect, Some(Subject::Commit(commit))) => {
                    format!("every target runs {} or a later commit", commit.short())
                }
                _ => ASKED_FOR.to_owned(),
            };
            return Ok(Some(Swept::new(preview, Measure::WouldGo, why)));
        }
        let conclusion = cleanup.carried_out(false).await.told?;
        let measure = match conclusion.verdict {
            "destroyed" => Measure::Destroyed,
            "superseded" => Measure::Superseded,
            // It was opened again just now.
            _ => return Ok(None),
        };
        Ok(Some(Swept::new(preview, measure, conclusion.reason)))
    }

    /// Finishes a deletion that somebody asked for although the preview is wanted: the next deploy makes it afresh.
    async fn finish(
        &self,
        cleanup: Cleanup<'_>,
        preview: &NamespaceFacts,
    ) -> Result<Option<Swept>, Failed> {
        if self.dry_run {
            return Ok(Some(Swept::new(preview, Measure::WouldGo, ASKED_FOR)));
        }
        let receipt = match cleanup.tear_down(preview).await? {
            TearDown::Superseded { by } => {
                let why = crate::superseded(by).reason;
                return Ok(Some(Swept::new(preview, Measure::Superseded, why)));
            }
            TearDown::Done(receipt) => receipt,
        };
        if !receipt.finished() {
            let left = receipt.to_string().lines().collect::<Vec<_>>().join(", ");
            let why = format!("its deletion is not finished: {left}");
            return Ok(Some(Swept::new(preview, Measure::Failed, why)));
        }
        let cleanup = cleanup.although_wanted().with_note(Note::Deleted);
        cleanup.tell_unless_back(preview, &receipt).await?;
        let why =
            "its deletion, which somebody had asked for, is finished; deploy it to have it again";
        Ok(Some(Swept::new(preview, Measure::Destroyed, why)))
    }

    /// Takes down the hands of runs that have ended: they would count against the capacity for ever.
    async fn requeued(&self, previews: &[NamespaceFacts]) -> Vec<Swept> {
        let is_up = |preview: &&NamespaceFacts| {
            preview.claim() == Some(Claim::Claiming) && !preview.terminating
        };
        let mut swept = Vec::new();
        for preview in previews.iter().filter(is_up) {
            match self.lower(preview).await {
                Ok(true) => swept.push(Swept::new(
                    preview,
                    Measure::Requeued,
                    "the run that was about to take a slot has ended without one",
                )),
                Ok(false) => {}
                Err(failed) => swept.push(failure(preview, &failed)),
            }
        }
        swept
    }

    /// Whether the hand was up for nobody, and is down now.
    async fn lower(&self, preview: &NamespaceFacts) -> Result<bool, Failed> {
        let Some(run) = preview.fence() else {
            return Ok(false);
        };
        if self.world.github.run_has_ended(run).await.outside()? != Some(true) {
            return Ok(false);
        }
        let queued = (keys::CLAIM.to_owned(), Claim::Queued.to_string());
        let change = NamespaceChange::annotate([queued]);
        // Where it was changed meanwhile, it has another run.
        let changed = self.world.cluster.change_namespace(preview, &change).await;
        Ok(changed.outside()?.is_some())
    }

    /// Renews the copies of the certificate that are other ones by now.
    async fn renewed(&self, previews: &[NamespaceFacts]) -> Vec<Swept> {
        let Some(home) = &self.world.config.tls else {
            return Vec::new();
        };
        let certificate = self.world.cluster.certificate(home).await.outside();
        let data = match certificate {
            Ok(HomeSecret::Certificate { data, .. }) => data,
            Ok(_) => {
                let warning = format!("{home} holds no certificate, so no copy of it is renewed");
                self.world.runner.console().warning(&warning);
                return Vec::new();
            }
            Err(error) => {
                let warning = format!("no copy of {home} is renewed: {error}");
                self.world.runner.console().warning(&warning);
                return Vec::new();
            }
        };
        let cluster = &self.world.cluster;
        let ours = Owner::selector_of_repository(self.world.repository.id);
        let others = cluster.with_other_certificates(&ours, &home.secret, &data);
        let others = match others.await {
            Ok(others) => others,
            Err(error) => {
                let warning = format!("no copy of {home} is renewed: {error}");
                self.world.runner.console().warning(&warning);
                return Vec::new();
            }
        };
        let mut swept = Vec::new();
        let stale = previews.iter().filter(|one| others.contains(&one.name));
        for preview in stale.filter(|preview| !preview.terminating) {
            let Some(subject) = preview.subject() else {
                continue;
            };
            let owner = Owner {
                repository: self.world.repository.id,
                subject,
            };
            let renewed = cluster.refresh_certificate(&owner, preview, &home.secret, &data);
            match renewed.await.outside() {
                Ok(true) => swept.push(Swept::new(
                    preview,
                    Measure::Renewed,
                    format!("its copy of {home} was an older one"),
                )),
                Ok(false) => {}
                Err(failed) => swept.push(failure(preview, &failed)),
            }
        }
        swept
    }

    /// Says of each preview whether merging its pull request now would leave what it shows. Only those of whose head there
    /// is a record are looked at: the others were not tested.
    async fn reassess(&self, previews: &[NamespaceFacts]) {
        let tested = match self.world.preview_deployments().await {
            Ok(all) => all.iter().filter(|deployment| deployment.task == RECORD),
            Err(error) => {
                let warning = format!("the status {CONTEXT} of no preview was set: {error}");
                self.world.runner.console().warning(&warning);
                return;
            }
        };
        let tested: BTreeSet<&CommitSha> = tested.map(|record| &record.reference).collect();
        let subjects = previews.iter().filter_map(NamespaceFacts::subject);
        let open = subjects.filter_map(|subject| match subject {
            Subject::Pr(number) => self.open.get(&number),
            Subject::Commit(_) => None,
        });
        let open = open.filter(|pull| tested.contains(&pull.head));
        let looks = open.map(|pull| async move {
            let run_url = self.world.runner.environment().run_url();
            let told = self
                .world
                .github
                .reassess(pull, self.world.trust(), run_url);
            if let Err(error) = told.await {
                let number = pull.number;
                let warning = format!("the status {CONTEXT} of #{number} was not set: {error}");
                self.world.runner.console().warning(&warning);
            }
        });
        let looks = futures::stream::iter(looks).buffer_unordered(PARALLEL);
        looks.collect::<()>().await;
    }
}

pub(crate) fn failure(preview: &NamespaceFacts, failed: &Failed) -> Swept {
    Swept::new(preview, unable(failed), failed)
}

/// How it is counted that something ended so.
pub(crate) fn unable(failed: &Failed) -> Measure {
    match failed.exit() {
        Exit::Refused => Measure::Refused,
        Exit::Done | Exit::Misused | Exit::OutsideFailed => Measure::Failed,
    }
}
