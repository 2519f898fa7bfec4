//! Facts: what was tested of a component before, where CI need not have built it.

use std::collections::BTreeSet;

use futures::future::try_join_all;
use preview_actions::{Failed, Outside as _};
use preview_core::config::Component;
use preview_core::deploy::{
    ComponentEvidence, MustBeBuilt, Past, Previewed, Shown, Unchanged, nearest, unchanged,
};
use preview_core::names::CommitSha;
use preview_core::pulls::{Commit, PullRequest};

use crate::observe::missing;
use crate::world::World;

/// How many commits of the base branch are looked at for a record, the base included: a push past all pull requests,
/// or a merge that no preview showed, has none. Each costs three requests.
const LOOK_BACK: usize = 5;

impl World<'_> {
    /// For every component that CI built no image of and whose configuration says what it is built from: what it was
    /// tested with before, or why that will not do.
    ///
    /// Gives B, as the images that were built say it; where none was, GitHub's test merge, or the head where GitHub
    /// could not merge it. None where no component is looked for.
    pub(crate) async fn look_for_what_is_unchanged(
        &self,
        previewed: &Previewed,
        evidence: &mut [ComponentEvidence],
    ) -> Result<Option<Shown>, Failed> {
        let not_built = evidence.iter().filter(|one| one.image.is_none());
        let wanted: Vec<&Component> = not_built
            .filter_map(|one| self.config.component(&one.component))
            .filter(|component| !component.unchanged.is_empty())
            .collect();
        if wanted.is_empty() {
            return Ok(None);
        }
        let shown = match Shown::by(evidence, previewed) {
            Some(built) => Some(built),
            None => self.merged_by_github(previewed).await?,
        };
        let compared = match &shown {
            Some(shown) => Some(self.compared_with_its_past(previewed, shown).await?),
            None => None,
        };
        let found = wanted.into_iter().map(|component| {
            let compared = compared.as_ref();
            async move { Ok::<_, Failed>((component, self.unchanged(component, compared).await?)) }
        });
        for (component, found) in try_join_all(found).await? {
            let of_it = evidence
                .iter_mut()
                .find(|one| one.component == component.name);
            if let Some(evidence) = of_it {
                evidence.unchanged = Some(found);
            }
        }
        Ok(shown)
    }

    /// What merging the head now would give; the head itself where GitHub has no merge of exactly that; a commit itself.
    async fn merged_by_github(&self, previewed: &Previewed) -> Result<Option<Shown>, Failed> {
        for tag in previewed.tags().iter().rev() {
            let built_from = self.built_from(tag.commit(), previewed).await?;
            let shown = built_from.and_then(|commit| Shown::of(&commit, previewed));
            if shown.is_some() {
                return Ok(shown);
            }
        }
        Ok(None)
    }

    /// The base and the commits before it, up to the first that was tested, and what differs from that.
    async fn compared_with_its_past(
        &self,
        previewed: &Previewed,
        shown: &Shown,
    ) -> Result<Compared, Failed> {
        let base = match &shown.base {
            Some(base) => Some(base.clone()),
            None => {
                let common = self
                    .github
                    .merge_base(&previewed.base_ref, &shown.commit.sha);
                common.await.outside()?
            }
        };
        let past = match base {
            Some(base) => self.past(&base, previewed).await?,
            None => Vec::new(),
        };
        let differs = match nearest(&past) {
            Some((commit, _)) => {
                let paths = self
                    .github
                    .differing_paths(&commit.tree, &shown.commit.tree);
                paths.await.outside()?
            }
            None => None,
        };
        Ok(Compared { past, differs })
    }

    async fn past(&self, base: &CommitSha, previewed: &Previewed) -> Result<Vec<Past>, Failed> {
        let mut past = Vec::new();
        let mut next = Some(base.clone());
        while let Some(sha) = next.filter(|_| past.len() < LOOK_BACK) {
            let Some(commit) = self.github.commit(&sha).await.outside()? else {
                break;
            };
            // Along the branch itself, not into what was merged to it.
            next = commit.parents.first().cloned();
            past.push(self.kept_of(commit, previewed).await?);
            if nearest(&past).is_some() {
                break;
            }
        }
        Ok(past)
    }

    /// A commit of the base branch with the records of how it came there.
    async fn kept_of(&self, commit: Commit, previewed: &Previewed) -> Result<Past, Failed> {
        let pulls = self.github.pulls_of_commit(&commit.sha).await.outside()?;
        let merged: Vec<PullRequest> = pulls
            .into_iter()
            .filter(|merged| merged.base_ref == previewed.base_ref)
            .collect();
        let mut heads: BTreeSet<&CommitSha> = merged.iter().map(|pull| &pull.head).collect();
        heads.insert(&commit.sha);
        let trust = self.config.promote.trust(self.key.as_ref());
        let records = heads
            .into_iter()
            .map(|head| self.github.records(head, trust, previewed.repository.id));
        let records = try_join_all(records).await.outside()?;
        Ok(Past {
            records: records.into_iter().flatten().collect(),
            merged: merged.iter().map(|pull| pull.number).collect(),
            commit,
        })
    }

    async fn unchanged(
        &self,
        component: &Component,
        compared: Option<&Compared>,
    ) -> Result<Result<Unchanged, MustBeBuilt>, Failed> {
        let Some(Compared { past, differs }) = compared else {
            return Ok(Err(MustBeBuilt::NothingToCompare));
        };
        let tested = match unchanged(component, past, differs.as_deref()) {
            Ok(tested) => tested,
            Err(why) => return Ok(Err(why)),
        };
        let image = &tested.recorded.image;
        let found = self.registry.inspect(image).await.outside()?;
        let revision = found.revision().map_err(|disagree| disagree.to_string());
        Ok(tested.checked(missing(&found), revision))
    }
}

/// The past of what a preview shows, and at which paths it differs from the nearest of it that was tested.
struct Compared {
    past: Vec<Past>,
    /// None where there is nothing to compare with, or too much to compare.
    differs: Option<Vec<String>>,
}
