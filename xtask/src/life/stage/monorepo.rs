//! A pull request that touches the page alone, and a CI that builds no more than that.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use preview_core::outcome::ResultFile;
use serde_json::Value;

use super::super::repository::SECOND_EDITION;
use super::{Built, Stage, short};
use crate::images::Edition;

/// The one file of the second edition that is the page's.
const HEADLINE: &str = "web/src/headline.txt";

impl Stage {
    /// Opens a pull request that changes the page's headline, and nothing else.
    pub(crate) fn open_another_headline(&mut self) -> anyhow::Result<u64> {
        let headline = SECOND_EDITION.iter().find(|(path, _)| *path == HEADLINE);
        let headline = headline.context("the second edition has no headline of its own")?;
        let number = self
            .repository
            .open_pull_request("feature/another-headline", &[*headline]);
        self.pull = Some(number);
        let head = self.repository.head_of(number);
        let sha = short(&head);
        self.progress.say(&format!(
            "#{number} is open at H = {sha}, and touches {HEADLINE}"
        ));
        Ok(number)
    }

    /// Builds the page of the pull request's test merge, and leaves the API alone.
    pub(crate) async fn ci_builds_the_page(&self, edition: Edition) -> anyhow::Result<Built> {
        let number = self.number()?;
        let run = self.repository.start_run(number, "ci.yml");
        let head = self.repository.head_of(number);
        let test_merge = self.repository.merge_commit_of(number);
        let test_merge = test_merge.context("the pull request conflicts with its base")?;
        let folder = self.folder.path().join(format!("images-{test_merge}"));
        let digest = self
            .ground
            .publish_page(&test_merge, edition, &head, &folder)
            .await?;
        self.repository.finish_run(run, "success");
        let (b, h) = (short(&test_merge), short(&head));
        self.progress.say(&format!(
            "CI built the page alone from B = {b} and tagged it {h}…"
        ));
        Ok(Built {
            head,
            test_merge,
            digests: BTreeMap::from([("web".to_owned(), digest)]),
        })
    }

    /// Checks that the newest record names the page by what was built, and the API by what `tested` ran, with B of
    /// that and since `commit`.
    pub(crate) fn the_record_keeps_both(
        &self,
        built: &Built,
        tested: &Built,
        commit: &str,
    ) -> anyhow::Result<()> {
        let deployments = self.repository.deployments();
        let mut texts = deployments
            .iter()
            .filter_map(|deployment| deployment.payload["record"].as_str());
        let record: Value = serde_json::from_str(texts.next_back().context("there is no record")?)
            .context("read the record")?;
        for (component, of, since) in [("web", built, None), ("api", tested, Some(commit))] {
            let recorded = &record["components"][component];
            let image = recorded["image"].as_str().unwrap_or_default();
            let is_so = image.ends_with(&of.digests[component])
                && recorded["built_from"] == of.test_merge
                && recorded["unchanged_since"].as_str() == since;
            ensure!(is_so, "{component} is recorded as {recorded}");
        }
        let short_api = short(&tested.test_merge);
        let short_web = short(&built.test_merge);
        self.progress.say(&format!(
            "the record: web of B = {short_web}, and api of its own B = {short_api}"
        ));
        Ok(())
    }
}

/// The digest of a component's image as it was deployed.
pub(crate) fn deployed<'a>(result: &'a ResultFile, component: &str) -> anyhow::Result<&'a str> {
    let mut images = result.images.iter();
    let image = images.find(|(name, _)| name.as_str() == component);
    let (_, image) = image.with_context(|| format!("{component} was not deployed"))?;
    Ok(image.digest.as_str())
}
