//! Facts: the pull request that is meant, and the images that were built for it.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use preview_actions::{Failed, Outside as _};
use preview_core::commits::BuiltFrom;
use preview_core::config::Component;
use preview_core::deploy::{
    Choice, ComponentEvidence, Meanwhile, Request, Revision, choose_pull, meanwhile,
};
use preview_core::health::FailureClass;
use preview_core::names::{CommitSha, PinnedImage};
use preview_core::pulls::PullRequest;
use preview_registry::Inspection;

use crate::Deploy;
use crate::stop::Stop;
use crate::world::World;

impl World<'_> {
    /// The pull request that `request` is about, read live.
    pub(crate) async fn choose(&self, request: &Request) -> Result<Choice, Failed> {
        let slug = &self.repository.slug;
        if let Some(choice) = request.screen(slug) {
            return Ok(choice);
        }
        let pulls = match request {
            Request::Pull { number, .. } => {
                let pull = self.github.pull(*number).await.outside()?;
                pull.into_iter().collect()
            }
            Request::Run(run) => {
                let branch = run.branch.as_deref().unwrap_or_default();
                self.github.pulls_of_branch(branch, slug).await.outside()?
            }
        };
        Ok(choose_pull(request, slug, &pulls))
    }

    /// What is known of the image of every component.
    pub(crate) async fn images_of(
        &self,
        pull: &PullRequest,
    ) -> Result<Vec<ComponentEvidence>, Failed> {
        let tags: Vec<String> = [Some(&pull.head), pull.test_merge.as_ref()]
            .into_iter()
            .flatten()
            .map(ToString::to_string)
            .collect();
        let tags = &tags;
        let found = self.config.components.iter().map(|component| async move {
            let image = self.resolve(component, tags).await?;
            let inspection = match &image {
                Some(image) => Some(self.registry.inspect(image).await.outside()?),
                None => None,
            };
            Ok::<_, Failed>((component, image, inspection))
        });
        let found = try_join_all(found).await?;
        let commits = self.commits_of(&found, pull).await?;
        let evidence = found
            .into_iter()
            .map(|(component, image, inspection)| ComponentEvidence {
                component: component.name.clone(),
                name: component.image.clone(),
                tags: tags.clone(),
                image,
                missing: inspection.iter().flat_map(missing).collect(),
                revision: inspection.map_or(Revision::None, |i| revision(&i, &commits)),
                unchanged: None,
            });
        Ok(evidence.collect())
    }

    /// What the first of the tags that exists means.
    async fn resolve(
        &self,
        component: &Component,
        tags: &[String],
    ) -> Result<Option<PinnedImage>, Failed> {
        for tag in tags {
            let digest = self
                .registry
                .resolve(&component.image, tag)
                .await
                .outside()?;
            if let Some(digest) = digest {
                return Ok(Some(component.image.at(digest)));
            }
        }
        Ok(None)
    }

    /// The commits that the images say they were built from; one question for each, however many images name it.
    async fn commits_of(
        &self,
        found: &[(&Component, Option<PinnedImage>, Option<Inspection>)],
        pull: &PullRequest,
    ) -> Result<BTreeMap<CommitSha, Option<BuiltFrom>>, Failed> {
        let mut named: Vec<CommitSha> = found
            .iter()
            .filter_map(|(_, _, inspection)| inspection.as_ref()?.revision().ok()?)
            .collect();
        named.sort();
        named.dedup();
        let known = named.into_iter().map(|sha| async move {
            let built_from = self.built_from(&sha, pull).await?;
            Ok::<_, Failed>((sha, built_from))
        });
        Ok(try_join_all(known).await?.into_iter().collect())
    }

    pub(crate) async fn built_from(
        &self,
        sha: &CommitSha,
        pull: &PullRequest,
    ) -> Result<Option<BuiltFrom>, Failed> {
        let Some(commit) = self.github.commit(sha).await.outside()? else {
            return Ok(None);
        };
        // Only a merge's parents say anything.
        let others: Vec<CommitSha> = match commit.parents.as_slice() {
            [_, _] if commit.sha != pull.head => commit.parents.clone(),
            _ => Vec::new(),
        };
        let others = others.into_iter().filter(|parent| *parent != pull.head);
        let on_base = others.map(|parent| async move {
            let on_base = self.github.is_ancestor(&parent, &pull.base_ref).await;
            Ok::<_, Failed>((parent, on_base.outside()?))
        });
        let on_base = try_join_all(on_base).await?;
        Ok(Some(BuiltFrom {
            commit,
            parents_on_base: on_base
                .into_iter()
                .filter_map(|(parent, on_base)| on_base.then_some(parent))
                .collect(),
        }))
    }
}

pub(crate) fn missing(inspection: &Inspection) -> Vec<String> {
    inspection.missing.iter().map(ToString::to_string).collect()
}

fn revision(inspection: &Inspection, commits: &BTreeMap<CommitSha, Option<BuiltFrom>>) -> Revision {
    match inspection.revision() {
        Err(disagree) => Revision::Unclear(disagree.to_string()),
        Ok(None) => Revision::None,
        Ok(Some(sha)) => match commits.get(&sha).cloned().flatten() {
            Some(built_from) => Revision::Commit(built_from),
            None => Revision::Unknown(sha.to_string()),
        },
    }
}

impl Deploy<'_> {
    /// Reads the pull request again: whether the preview is still wanted, at this head.
    pub(crate) async fn still_wanted(&self) -> Result<(), Stop> {
        let number = self.pull.number;
        let pull = self.world.github.pull(number).await.outside()?;
        let Some(pull) = pull else {
            // A 404 never means closed.
            return Err(Failed::Outside(
                FailureClass::GitHub,
                format!(
                    "read pull request #{number} again: GitHub does not find it any more; check that the token may \
                     still see it, and run this again"
                ),
            )
            .into());
        };
        match meanwhile(&pull, &self.pull.head) {
            Meanwhile::Same => Ok(()),
            Meanwhile::Closed => Err(Stop::Closed),
            Meanwhile::Moved(now) => Err(Stop::Superseded(format!(
                "pull request #{number} has moved from {} to {}; the run for that head deploys it",
                self.pull.head.short(),
                now.short()
            ))),
        }
    }
}
