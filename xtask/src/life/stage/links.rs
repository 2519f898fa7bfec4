//! What breaks between a preview and production, and what the pull request tells of it.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use preview_core::{
    deployments::{ENVIRONMENT, RECORD},
    outcome::{Program, ResultFile},
    ownership::keys,
    record::{Record, RecordKey},
};
use reqwest::Client;
use sandbox::github::ACTIONS_TOKEN;
use serde_json::json;

use super::{
    super::{
        kube::{Place, until},
        production::TARGET,
    },
    PATIENCE, Stage,
    runs::{Event, RECORD_KEY},
    short,
};
use crate::images::{Edition, Layout};

impl Stage {
    /// Builds the page of the pull request's head with a layer that no other image has, and pushes it under the head's tag.
    pub(crate) async fn ci_builds_a_page_of_its_own(&self, number: u64) -> anyhow::Result<Layout> {
        let revision = self.repository.merge_commit_of(number);
        let revision = revision.context("the pull request conflicts with its base")?;
        let folder = self.folder.path().join(format!("images-{number}"));
        let page = self.ground.build("web", &revision, Edition::First, &folder);
        let page = page.await?.with_file("built-from", &revision)?;
        self.push_page(number, &page).await?;
        Ok(page)
    }

    /// Pushes the page of the pull request's head: what the registry has of it is not sent again.
    pub(crate) async fn push_page(&self, number: u64, page: &Layout) -> anyhow::Result<()> {
        let head = self.repository.head_of(number);
        self.ground.publish(page, "web", &head).await.map(drop)
    }

    /// The record that the preview of the pull request's head has left.
    pub(crate) fn record_of(&self, number: u64) -> anyhow::Result<Record> {
        let deployments = self.repository.deployments();
        let head = self.repository.head_of(number);
        let mut of_head = deployments.iter().filter(|one| one.sha == head);
        let text = of_head.find_map(|one| one.payload["record"].as_str());
        serde_json::from_str(text.context("there is no record")?).context("read the record")
    }

    /// A workflow keeps a record, as one of any branch can: signed with `key`, or by nobody.
    pub(crate) async fn keeps(&self, record: &Record, key: Option<&str>) -> anyhow::Result<()> {
        let key = key.map(RecordKey::new).transpose()?;
        let deployment = json!({
            "ref": record.head, "task": RECORD, "environment": ENVIRONMENT, "auto_merge": false,
            "required_contexts": [], "payload": record.payload(key.as_ref()),
            "transient_environment": true, "production_environment": false,
        });
        let url = format!(
            "{}/repos/{}/deployments",
            self.github.url(),
            self.repository.slug()
        );
        let client = Client::builder().no_proxy().build();
        let kept = client
            .context("make a client")?
            .post(url)
            .bearer_auth(ACTIONS_TOKEN)
            .header("accept", "application/vnd.github+json")
            .header("content-type", "application/json")
            .header("user-agent", "a workflow")
            .body(deployment.to_string());
        let kept = kept.send().await.context("keep a record")?;
        ensure!(
            kept.status() == 201,
            "keep a record: {}",
            kept.text().await?
        );
        Ok(())
    }

    /// The same, by a job that has the preview's own key.
    pub(crate) async fn keeps_with_our_key(&self, record: &Record) -> anyhow::Result<()> {
        self.keeps(record, Some(RECORD_KEY)).await
    }

    /// Runs `preview-promote` for a push that it refuses: the pull request that was merged tells these broken links and no
    /// others, and production's pods are what they were.
    pub(crate) async fn promotion_is_refused(
        &mut self,
        (number, commit): (u64, &str),
        whys: &[String],
    ) -> anyhow::Result<()> {
        let before = self.pods_of_production().await?;
        let promotion = self.prepared_promotion(commit)?;
        let ended = self.started(promotion).await?;
        ended.with(1, "refused")?;
        let comments = self.repository.comments(number);
        let (_, comment) = comments.last().context("nothing is told")?;
        ensure!(
            comment.contains("⛔ Not promoted — production"),
            "{comment}"
        );
        let comment = as_read(comment);
        let told = comment.lines().filter_map(|line| line.strip_prefix("- "));
        let told = told.filter(|line| !line.starts_with("Namespace: "));
        let (told, wanted): (BTreeSet<&str>, BTreeSet<&str>) =
            (told.collect(), whys.iter().map(String::as_str).collect());
        ensure!(
            told == wanted,
            "it should tell {wanted:#?}, and tells {told:#?}"
        );
        let after = self.pods_of_production().await?;
        ensure!(
            before == after,
            "production had {before:?}, and has {after:?}"
        );
        for why in whys {
            self.progress.say(&format!("#{number} tells: {why}"));
        }
        Ok(())
    }

    /// Names, uids and images of production's pods.
    async fn pods_of_production(&self) -> anyhow::Result<BTreeSet<String>> {
        let pods = self.list("v1", "Pod", Some(&self.production())).await?;
        let told = pods.iter().map(|pod| {
            let (of, spec) = (&pod["metadata"], &pod["spec"]["containers"][0]);
            format!("{} {} {}", of["name"], of["uid"], spec["image"])
        });
        Ok(told.collect())
    }

    /// Checks that the pods of production's page and of its mirror run this image and no other, of the merged `commit`.
    pub(crate) async fn both_pages_run(&self, digest: &str, commit: &str) -> anyhow::Result<()> {
        let namespace = self.production();
        for server in ["web", "mirror"] {
            let deployment = self.object("apps/v1", "Deployment", Some(&namespace), server);
            let brought = &deployment.await?["metadata"]["annotations"][keys::COMMIT];
            ensure!(brought == commit, "{server} should run {commit}: {brought}");
            // The pods of the rollout before may still be ending.
            until(Instant::now() + PATIENCE, async || {
                let ids = self.image_ids(&namespace, server).await?;
                let all = !ids.is_empty() && ids.iter().all(|id| id.ends_with(digest));
                Ok(match all {
                    true => Ok(()),
                    false => Err(format!(
                        "production's {server} should run {digest}: {ids:?}"
                    )),
                })
            })
            .await?;
        }
        let commit = short(commit);
        self.progress
            .say(&format!("production's page and its mirror run {commit}"));
        Ok(())
    }

    /// Runs `preview-promote --commit`, as somebody does by hand.
    pub(crate) async fn promote_commit(&mut self, commit: &str) -> anyhow::Result<ResultFile> {
        let by_hand = ["--commit", commit];
        let ended = self.run_with(Program::Promote, Event::Schedule, &by_hand);
        Ok(ended.await?.with(0, "promoted")?.result)
    }

    /// The same, for a commit that it refuses; gives the reason, and how long it took to tell.
    pub(crate) async fn promote_commit_refused(
        &mut self,
        commit: &str,
    ) -> anyhow::Result<(String, Duration)> {
        let by_hand = ["--commit", commit];
        let ended = self.run_with(Program::Promote, Event::Schedule, &by_hand);
        let result = ended.await?.with(1, "refused")?.result;
        Ok((result.reason, Duration::from_millis(result.took_ms)))
    }

    /// Somebody freezes production by hand.
    pub(crate) async fn freeze(&self, reason: &str) -> anyhow::Result<()> {
        let namespace = self.production();
        let leases = Place {
            api: "coordination.k8s.io/v1",
            kind: "Lease",
            namespace: Some(&namespace),
        };
        let frozen = json!({ "metadata": { "annotations": { keys::FROZEN: reason } } });
        let lease = format!("preview-promote-{TARGET}");
        self.ground.kube.change(leases, &lease, &frozen).await
    }
}

/// Markdown as somebody reads it: without what keeps its characters from meaning something.
pub(crate) fn as_read(markdown: &str) -> String {
    markdown.replace('\\', "").replace("&#8203;", "")
}
