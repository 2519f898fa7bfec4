//! What breaks the chain between a preview and production. Each broken link is refused, and told on the pull request that
//! was merged with both values and what to do; production goes on as it was, and gets there once that is done.
//!
//! Production and previews are the page alone, and production has a mirror of it, so that half of a promotion would be seen.
//! The real registry has to allow deletes, and a bit flips on its disk where that is ours alone.

use std::{pin::pin, time::Duration};

use anyhow::{Context as _, ensure};
use preview_core::{
    names::{ComponentName, RepositoryId},
    record::{BuiltBy, Record, Recorded},
};
use sandbox::{Gate, github::MergeStyle};

use super::{
    database::tells,
    killed::until_held,
    stage::{Stage, as_read, deployed, short},
};
use crate::images::{Edition, Layout};

/// Whoever is refused for certain is not kept waiting for as long as GitHub may be late.
const AT_ONCE: Duration = Duration::from_secs(30);

/// Plays it.
///
/// # Errors
/// When an act ends differently than it should.
pub(crate) async fn are_refused_where_they_are_broken(stage: &mut Stage) -> anyhow::Result<()> {
    let played = acts(stage).await;
    stage.cleared_after(played).await
}

async fn acts(stage: &mut Stage) -> anyhow::Result<()> {
    stage.act("Two pull requests are previewed, and one of them is merged");
    stage.furnish_pages(&["web", "mirror"]).await?;
    let old = opened(stage, "Old", &["old"]).await?;
    let pull = stage.open("feature/page", &[("docs/page.md", "Soon.\n")]);
    let page = stage.ci_builds_a_page_of_its_own(pull).await?;
    let pulls = [("Page", pull), old];
    let [first, old] = <[Tested; 2]>::try_from(previewed(stage, &pulls).await?)
        .ok()
        .context("not both were previewed")?;
    let genuine = stage.record_of(pull)?;
    let first = first.merged(stage);

    pieces_are_lost(stage, &first, &page).await?;
    a_label_is_edited(stage, &first, &genuine).await?;
    let forged = records_are_forged(stage, &genuine).await?;
    let [second, third] = within_seconds(stage).await?;
    merged_late(stage, old, &[&first, &forged, &second, &third]).await?;
    let [before, newest] = two_at_once(stage).await?;
    the_default_branch_is_rewritten(stage, &before, &newest).await?;
    stage.show_page();
    stage.github_is_content()
}

/// A pull request that was previewed.
struct Tested {
    title: &'static str,
    number: u64,
    /// The end of the default branch that it was merged into for the test.
    base: String,
    /// The tree of B.
    tree: String,
    /// The digest of its page.
    page: String,
}

/// The same, merged.
struct Merged {
    tested: Tested,
    /// M.
    commit: String,
}

impl Tested {
    fn merged(self, stage: &Stage) -> Merged {
        let number = self.number;
        let commit = stage.repository.merge(number, MergeStyle::Squash);
        let said = format!("#{number} is merged as M = {}", short(&commit));
        stage.progress.say(&said);
        Merged {
            tested: self,
            commit,
        }
    }
}

impl Merged {
    fn place(&self) -> (u64, &str) {
        (self.tested.number, &self.commit)
    }

    /// What mends most links.
    fn way_on(&self) -> String {
        let commit = &self.commit;
        format!(
            "let CI push images of it, test it by itself with `preview-deploy --commit {commit}`, and promote it again"
        )
    }

    /// What is told of it where the default branch had these besides when it was merged.
    fn skew(&self, stage: &Stage, lacked: &[&Self]) -> String {
        let Tested {
            number, base, tree, ..
        } = &self.tested;
        let (head, commit) = (stage.repository.head_of(*number), &self.commit);
        let lacked = lacked.iter().map(|merged| {
            let Tested { title, number, .. } = merged.tested;
            format!("{} ({title} (#{number}))", short(&merged.commit))
        });
        format!(
            "tree: what was tested is not what was merged: the preview of pr-{number} at {} tested the tree {tree}, \
             and {} has the tree {}: main moved on from {} between the test and the merge, \
             and the tested tree lacked {}; {}",
            short(&head),
            short(commit),
            stage.repository.tree(commit),
            short(base),
            lacked.collect::<Vec<_>>().join(", "),
            self.way_on()
        )
    }
}

/// Opens a pull request with a note of each of these names, and CI builds its page.
async fn opened(
    stage: &mut Stage,
    title: &'static str,
    notes: &[&str],
) -> anyhow::Result<(&'static str, u64)> {
    let files: Vec<_> = notes.iter().map(|note| format!("docs/{note}.md")).collect();
    let changes: Vec<_> = files
        .iter()
        .map(|file| (file.as_str(), "Soon.\n"))
        .collect();
    let number = stage.open(&format!("feature/{title}"), &changes);
    stage.ci_builds_a_page(number).await?;
    Ok((title, number))
}

/// Runs `preview-deploy` for all of these at the same time.
async fn previewed(
    stage: &mut Stage,
    pulls: &[(&'static str, u64)],
) -> anyhow::Result<Vec<Tested>> {
    let base = stage.repository.head("main");
    let numbers: Vec<u64> = pulls.iter().map(|(_, number)| *number).collect();
    let ended = stage.deploy_at_once(&numbers).await?;
    let tested = pulls
        .iter()
        .zip(ended)
        .map(|((title, number), (_, ended))| {
            let result = ended.with(0, "deployed")?.result;
            let built_from = stage.repository.merge_commit_of(*number);
            let built_from = built_from.context("the pull request conflicts with its base")?;
            Ok(Tested {
                title,
                number: *number,
                base: base.clone(),
                tree: stage.repository.tree(&built_from),
                page: deployed(&result, "web")?.to_owned(),
            })
        });
    tested.collect()
}

/// Previews all of these, and merges them one after the other.
async fn merged<const N: usize>(
    stage: &mut Stage,
    pulls: [(&'static str, u64); N],
) -> anyhow::Result<[Merged; N]> {
    let tested = previewed(stage, &pulls).await?;
    let merged: Vec<_> = tested.into_iter().map(|one| one.merged(stage)).collect();
    let merged = <[Merged; N]>::try_from(merged).ok();
    merged.context("not all were previewed")
}

async fn pieces_are_lost(stage: &mut Stage, merged: &Merged, page: &Layout) -> anyhow::Result<()> {
    stage.act("The registry loses pieces of what was tested: each is named, until it is back");
    let image = format!("{}@{}", stage.ground.image("web"), page.digest());
    let (number, way_on) = (merged.tested.number, merged.way_on());
    let manifests = page.manifests()?;
    let manifest = manifests.first().context("the index lists nothing")?;
    let blobs = page.blobs(manifest)?;
    let [_, layer, config] = &blobs[..] else {
        anyhow::bail!("two layers and a config: {blobs:?}");
    };

    stage.ground.lose_manifest("web", page.digest()).await?;
    let gone = format!(
        "web: in the registry: the registry does not have the image of web that was tested, {image}; \
         find out what deleted it; {way_on}"
    );
    stage.promotion_is_refused(merged.place(), &[gone]).await?;
    stage.push_page(number, page).await?;

    let lacks = |what: &str| {
        format!(
            "web: complete: the image of web that was tested, {image}, is incomplete: the registry lacks {what}; \
             find out what deleted them; {way_on}"
        )
    };
    stage.ground.lose_manifest("web", &manifest.digest).await?;
    let child = lacks(&format!("manifest {}", manifest.digest));
    stage.promotion_is_refused(merged.place(), &[child]).await?;
    stage.push_page(number, page).await?;
    stage.ground.lose_blob("web", &layer.digest).await?;
    let layer = lacks(&format!("layer {}", layer.digest));
    stage.promotion_is_refused(merged.place(), &[layer]).await?;
    stage.push_page(number, page).await?;

    // A registry that is not ours has no disk that a bit could flip on.
    let Some(served) = stage.ground.damage_blob("web", &config.digest).await? else {
        return Ok(());
    };
    let damaged = format!(
        "web: complete: the registry serves other bytes than those of the image of web that was tested, {image}: \
         a config should be {} and is {served}; find out what changed them before anything from there runs again; {way_on}",
        config.digest
    );
    let refused = stage.promotion_is_refused(merged.place(), &[damaged]).await;
    stage.ground.mend_blob("web", &config.digest)?;
    refused?;
    stage.push_page(number, page).await
}

/// Nobody is believed but whoever has the key, and nothing that is not signed with it stops what is.
async fn a_label_is_edited(
    stage: &mut Stage,
    merged: &Merged,
    genuine: &Record,
) -> anyhow::Result<()> {
    stage.act(
        "Nothing is lost any more, somebody has edited a label, and a workflow of a branch has written a record: \
         what was tested is promoted, and the label is told",
    );
    let (number, edited) = (merged.tested.number, "image-digest/web:sha256:0123456789ab");
    for label in stage.repository.labels(number) {
        stage.repository.remove_label(number, &label);
    }
    stage.repository.add_label(number, edited);
    let mut forged = genuine.clone();
    forged.tested_at += Duration::from_secs(1);
    stage.keeps(&forged, None).await?;
    let promoted = stage.promote(&merged.commit).await?;
    let told = format!(
        "the labels of #{number} did not show what was tested ({edited}); the record decides, and they are set right"
    );
    let notes: Vec<_> = promoted.notes.iter().map(|note| as_read(note)).collect();
    ensure!(notes.contains(&told), "{notes:?}");
    stage
        .both_pages_run(&merged.tested.page, &merged.commit)
        .await?;
    let labels = stage.repository.labels(number);
    ensure!(labels.is_empty(), "it is promoted, and has {labels:?}");
    Ok(())
}

/// What a preview of `number` would have recorded, but for what it has of another one's record.
fn recorded(
    stage: &Stage,
    number: u64,
    page: &Layout,
    genuine: &Record,
) -> anyhow::Result<(ComponentName, Record)> {
    let built_from = stage.repository.merge_commit_of(number);
    let built_from = built_from.context("the pull request conflicts with its base")?;
    let component: ComponentName = "web".parse()?;
    let image = format!("{}@{}", stage.ground.image("web"), page.digest());
    let web = Recorded {
        image: image.parse()?,
        built_from: built_from.parse()?,
        ..genuine.components[&component].clone()
    };
    let record = Record {
        subject: format!("pr-{number}").parse()?,
        head: stage.repository.head_of(number).parse()?,
        tree: stage.repository.tree(&built_from).parse()?,
        base: Some(stage.repository.head("main").parse()?),
        components: [(component.clone(), web)].into(),
        ..genuine.clone()
    };
    Ok((component, record))
}

async fn records_are_forged(stage: &mut Stage, genuine: &Record) -> anyhow::Result<Merged> {
    stage.act(
        "Another one is merged that nobody previewed, and whoever can write a deployment does",
    );
    let number = stage.open("feature/forged", &[("docs/forged.md", "Soon.\n")]);
    let page = stage.ci_builds_a_page_of_its_own(number).await?;
    let (web, record) = recorded(stage, number, &page, genuine)?;
    let tested = Tested {
        title: "Forged",
        number,
        base: stage.repository.head("main"),
        tree: record.tree.to_string(),
        page: page.digest().to_owned(),
    };
    let merged = tested.merged(stage);
    let (commit, way_on) = (&merged.commit, merged.way_on());
    let never = format!(
        "tested: {commit} was never tested: there is no record of a preview of the pull request it merged, #{number}; \
         {way_on}"
    );
    stage.promotion_is_refused(merged.place(), &[never]).await?;

    let not_believed = |why: &str| format!("tested: a record cannot be believed: {why}");
    let mut whys = vec![not_believed(
        "the record is unsigned, so anybody may have written it; give preview-deploy the secret PREVIEW_RECORD_KEY and \
         deploy the preview again, or set `promote.unsigned_records = true` in preview.toml",
    )];
    stage.keeps(&record, None).await?;
    stage.promotion_is_refused(merged.place(), &whys).await?;
    whys.push(not_believed(
        "the record's signature is not ours: it was changed, forged, or signed with another PREVIEW_RECORD_KEY; \
         deploy the preview again, and if the key is the same, find out who wrote that deployment",
    ));
    let key = "a key that somebody made up for a workflow of a branch";
    stage.keeps(&record, Some(key)).await?;
    stage.promotion_is_refused(merged.place(), &whys).await?;
    let mut theirs = record.clone();
    theirs.repository = RepositoryId(record.repository.0 + 1);
    whys.push(not_believed(&format!(
        "the record is of repository {}, not of {}; deploy a preview of this repository",
        theirs.repository, record.repository
    )));
    stage.keeps_with_our_key(&theirs).await?;
    stage.promotion_is_refused(merged.place(), &whys).await?;

    images_disagree(stage, &merged, (&web, record)).await?;
    Ok(merged)
}

/// Records that can be believed, of images that cannot.
async fn images_disagree(
    stage: &mut Stage,
    merged: &Merged,
    (web, mut record): (&ComponentName, Record),
) -> anyhow::Result<()> {
    let (place, way_on) = (merged.place(), merged.way_on());
    let genuine = record.components[web].clone();
    let (image, built_from, head) = (&genuine.image, &genuine.built_from, record.head.clone());
    let other_commit = Recorded {
        built_from: head.clone(),
        ..genuine.clone()
    };
    record.components.insert(web.clone(), other_commit);
    stage.keeps_with_our_key(&record).await?;
    let revision = format!(
        "web: revision: the image of web, {image}, says it was built from {built_from}, and the record says {head}; \
         {way_on}"
    );
    stage.promotion_is_refused(place, &[revision]).await?;

    let by_its_author = Recorded {
        built_by: BuiltBy::Contributor,
        ..genuine.clone()
    };
    record.components.insert(web.clone(), by_its_author);
    record.tested_at += Duration::from_secs(1);
    stage.keeps_with_our_key(&record).await?;
    let contributor = format!(
        "web: built by: the image of web, {image}, was built by a contributor's own workflow, which proves nothing \
         about what is in it; {way_on}"
    );
    stage.promotion_is_refused(place, &[contributor]).await
}

async fn within_seconds(stage: &mut Stage) -> anyhow::Result<[Merged; 2]> {
    stage.act("Two are merged within seconds: the second one's preview has not seen the first");
    let pulls = [
        opened(stage, "Cart", &["cart"]).await?,
        opened(stage, "Tea", &["tea"]).await?,
    ];
    let [first, second] = merged(stage, pulls).await?;
    stage.promote(&first.commit).await?;
    stage
        .both_pages_run(&first.tested.page, &first.commit)
        .await?;
    let skew = second.skew(stage, &[&first]);
    stage.promotion_is_refused(second.place(), &[skew]).await?;

    stage.act("The second one's commit is tested by itself, and promoted");
    let commit = &second.commit;
    stage.ci_builds_the_commit(commit, Edition::First).await?;
    let tested = stage.deploy_commit(commit).await?;
    stage.promote_commit(commit).await?;
    let page = deployed(&tested, "web")?;
    stage.both_pages_run(page, commit).await?;
    tells(stage, second.tested.number, "🚀 Promoted — production")?;
    Ok([first, second])
}

/// `others` were merged while it was open.
async fn merged_late(stage: &mut Stage, old: Tested, others: &[&Merged]) -> anyhow::Result<()> {
    stage.act("The one that was open all the while is merged");
    let old = old.merged(stage);
    let skew = old.skew(stage, others);
    stage.promotion_is_refused(old.place(), &[skew]).await
}

/// A commit that was merged, and the digest of its page.
struct Landed {
    commit: String,
    page: String,
}

/// What the merge queue has merged, and three that were merged upon that; none of them is promoted yet.
async fn through_the_queue(stage: &mut Stage) -> anyhow::Result<(Landed, [Merged; 3])> {
    stage.act(
        "The merge queue merges what was tested as its group, and three more are previewed and merged upon that",
    );
    let (_, queued) = opened(stage, "Queued", &["queued"]).await?;
    let group = stage.repository.queue(queued);
    stage.ci_builds_the_commit(&group, Edition::First).await?;
    let tested = stage.deploy_commit(&group).await?;
    let (early, took) = stage.promote_commit_refused(&group).await?;
    ensure!(early.contains("is not a commit of main"), "{early}");
    ensure!(took < AT_ONCE, "it took {took:?} to tell: {early}");
    let commit = stage.repository.merge_queued(queued);
    ensure!(commit == group, "{group} was tested, and {commit} merged");
    let page = deployed(&tested, "web")?.to_owned();
    let pulls = [
        opened(stage, "Second", &["second"]).await?,
        opened(stage, "Third", &["second", "third"]).await?,
        opened(stage, "Fourth", &["second", "third", "fourth"]).await?,
    ];
    let upon_it = merged(stage, pulls).await?;
    Ok((Landed { commit, page }, upon_it))
}

/// Gives the newest of those that were merged, and the one before it.
async fn two_at_once(stage: &mut Stage) -> anyhow::Result<[Merged; 2]> {
    let (queued, [second, third, fourth]) = through_the_queue(stage).await?;
    stage.act("Two promotions at once: the older one is promoted while the newer one stands still");
    at_once(stage, (&second.commit, 1), &queued, "promoted").await?;
    stage
        .both_pages_run(&second.tested.page, &second.commit)
        .await?;

    stage.act("Somebody freezes production, and lets it go again");
    stage.freeze("the sale is on").await?;
    let frozen = "production: not frozen: production is frozen: the sale is on; when it may be promoted to again: \
                  `preview-promote resume --target production`";
    stage
        .promotion_is_refused(fourth.place(), &[frozen.to_owned()])
        .await?;
    stage.resume().await?;

    stage.act("Two promotions at once: the newer one is promoted while the older one stands still");
    let newest = Landed {
        commit: fourth.commit.clone(),
        page: fourth.tested.page.clone(),
    };
    at_once(stage, (&third.commit, 2), &newest, "superseded").await?;
    stage.both_pages_run(&newest.page, &newest.commit).await?;
    Ok([third, fourth])
}

/// Freezes the promotion of one commit at its write `nth`, the first of which takes the Lease and the second sets an image,
/// has that of the other one run whole, and lets it go on, to end with this verdict.
async fn at_once(
    stage: &mut Stage,
    (frozen, nth): (&str, usize),
    whole: &Landed,
    verdict: &str,
) -> anyhow::Result<()> {
    let run = stage.prepared_promotion(frozen)?;
    let other = stage.prepared_promotion(&whole.commit)?;
    let gate = Gate::closed_from_write(nth);
    let run = stage.behind_on_cluster(run, &gate).await?;
    let mut run = pin!(stage.started(run));
    let early = until_held(run.as_mut(), &gate).await;
    ensure!(early.is_none(), "it has no write {nth}: {early:?}");
    stage.started(other).await?.with(0, "promoted")?;
    stage.both_pages_run(&whole.page, &whole.commit).await?;
    gate.open();
    run.await?.with(0, verdict).map(drop)
}

async fn the_default_branch_is_rewritten(
    stage: &mut Stage,
    before: &Merged,
    lost: &Merged,
) -> anyhow::Result<()> {
    stage.act("The default branch is forced back behind what production runs, and the next one is merged: nothing is lost");
    stage.repository.force_push_to_base(&before.commit);
    let pulls = [opened(stage, "Next", &["next"]).await?];
    let [next] = merged(stage, pulls).await?;
    let whys = ["web", "mirror"].map(|server| {
        format!(
            "Deployment/{server}: nothing lost: Deployment/{server} runs {}, which {} does not contain, so promoting it \
             would lose changes; promote a commit of main that contains both",
            lost.commit,
            short(&next.commit)
        )
    });
    stage.promotion_is_refused(next.place(), &whys).await
}
