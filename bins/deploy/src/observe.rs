//! Facts: the pull request or commit that is meant, and the images that were built for it.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use preview_actions::{Failed, Outside as _};
use preview_core::comment::Note;
use preview_core::commits::BuiltFrom;
use preview_core::config::Component;
use preview_core::deploy::{
    Accepted, CommitFacts, ComponentEvidence, Instead, Meanwhile, Of, Previewed, Request, Revision,
    ShownImages, Tag, accept, choose_by_number, choose_by_run, choose_commit, depends_on_files,
    meanwhile, touches, wanted,
};
use preview_core::names::{CommitSha, PinnedImage};
use preview_core::pulls::{Commit, PullRequest};
use preview_registry::Inspection;

use crate::Deploy;
use crate::approval::{NotAccepted, Permission};
use crate::imported::imported;
use crate::stop::Stop;
use crate::world::World;

/// The branches of groups that GitHub's merge queue for a branch is about to merge to it lie below this.
/// <https://docs.github.com/en/repositories/configuring-branches-and-merges-in-your-repository/configuring-pull-request-merges/managing-a-merge-queue>
const MERGE_QUEUE: &str = "gh-readonly-queue";

impl World<'_> {
    /// What `request` is about, read live. One request, for a pull request that the configuration wants no preview of;
    /// another where that depends on its files.
    pub(crate) async fn choose(
        &self,
        request: &Request,
    ) -> Result<Result<Previewed, Instead>, Failed> {
        if let Err(instead) = request.screen() {
            return Ok(Err(instead));
        }
        let pull = match request {
            Request::Commit(commit) => return self.choose_commit(commit).await,
            Request::Pull { number, head } => {
                let pull = self.github.pull(*number).await.outside()?;
                choose_by_number(*number, head, &self.slug, pull)
            }
            Request::Run(run) => {
                let branch = run.branch.as_deref().unwrap_or_default();
                let repository = run.repository.as_ref().unwrap_or(&self.slug);
                let pulls = self.github.pulls_of_branch(branch, repository);
                choose_by_run(run, pulls.await.outside()?)
            }
        };
        match pull {
            Ok(pull) => self.as_the_rules_want(pull).await,
            Err(instead) => Ok(Err(instead)),
        }
    }

    async fn as_the_rules_want(
        &self,
        pull: PullRequest,
    ) -> Result<Result<Previewed, Instead>, Failed> {
        let (rules, number) = (&self.config.pull_requests, pull.number);
        let mut wanted = wanted(rules, &pull);
        if wanted.is_ok() && depends_on_files(rules) {
            let changed = self.changed_files(number).await?;
            wanted = touches(rules, changed);
        }
        Ok(match wanted {
            Ok(()) => Ok(pull.into()),
            Err(why) => Err(Instead::unwanted(number, why)),
        })
    }

    async fn choose_commit(&self, asked: &CommitSha) -> Result<Result<Previewed, Instead>, Failed> {
        let repository = self.github.repository().await.outside()?;
        let commit = self.github.commit(asked).await.outside()?;
        let branch = &repository.default_branch;
        let facts = CommitFacts {
            merged_or_queued: commit.is_some() && self.is_merged_or_queued(asked, branch).await?,
            commit,
            repository,
        };
        Ok(choose_commit(asked, facts))
    }

    /// Whether `commit` is on `branch`, or the head of a group in its merge queue. The queue is asked first: a group
    /// that is merged meanwhile is on the branch then.
    async fn is_merged_or_queued(&self, commit: &CommitSha, branch: &str) -> Result<bool, Failed> {
        let groups = format!("{MERGE_QUEUE}/{branch}/");
        let groups = self.github.heads_below(&groups).await.outside()?;
        if groups.contains(commit) {
            return Ok(true);
        }
        self.github.is_ancestor(commit, branch).await.outside()
    }

    /// The images that may be deployed: those that were shown, where somebody has approved these; and remarks on tags that
    /// name others by now.
    pub(crate) async fn accepted(
        &self,
        previewed: &Previewed,
        permission: &Permission,
    ) -> Result<(Accepted, Vec<Note>), NotAccepted> {
        let wanted = permission.shown.as_ref();
        let (mut evidence, moved) = self.images_of(previewed, wanted).await?;
        let shown = self.look_for_what_is_unchanged(previewed, &mut evidence);
        let shown = shown.await?;
        let forks = self.config.pull_requests.forks;
        let accepted = accept(&evidence, previewed, shown.as_ref(), forks)?;
        if let Some(wanted) = wanted {
            wanted.check(&accepted).map_err(refused)?;
        }
        Ok((accepted, moved))
    }

    /// What is known of the image of every component.
    async fn images_of(
        &self,
        previewed: &Previewed,
        shown: Option<&ShownImages>,
    ) -> Result<(Vec<ComponentEvidence>, Vec<Note>), Failed> {
        let tags = &previewed.tags();
        let mut moved = Vec::new();
        let named = self.config.components.iter().map(|component| async move {
            let named = self.resolve(component, tags).await?;
            Ok::<_, Failed>((component, named))
        });
        let mut wanted = Vec::new();
        for (component, named) in try_join_all(named).await? {
            let image = shown.map_or_else(
                || named.clone(),
                |shown| shown.of(component, named.as_ref()),
            );
            if let Some(now) = named.filter(|named| image.as_ref() != Some(named)) {
                let component = component.name.clone();
                moved.push(Note::TagMoved { component, now });
            }
            wanted.push((component, image));
        }
        let found = wanted.into_iter().map(|(component, image)| async move {
            let inspection = match &image {
                Some(image) => Some(self.registry.inspect(image).await.outside()?),
                None => None,
            };
            Ok::<_, Failed>((component, image, inspection))
        });
        let found = try_join_all(found).await?;
        let commits = self.commits_of(&found, previewed).await?;
        let imports = self.imports_of(previewed).await?;
        let evidence = found
            .into_iter()
            .map(|(component, image, inspection)| ComponentEvidence {
                component: component.name.clone(),
                name: component.image.clone(),
                tags: tags.clone(),
                missing: inspection.iter().flat_map(missing).collect(),
                revision: inspection.map_or(Revision::None, |i| revision(&i, &commits)),
                imported: imported(imports.as_deref(), previewed, component, image.as_ref()),
                image,
                unchanged: None,
            });
        Ok((evidence.collect(), moved))
    }

    /// What the first of the tags that exists means.
    async fn resolve(
        &self,
        component: &Component,
        tags: &[Tag],
    ) -> Result<Option<PinnedImage>, Failed> {
        for tag in tags {
            let digest = self
                .registry
                .resolve(&component.image, tag.commit().as_str())
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
        previewed: &Previewed,
    ) -> Result<BTreeMap<CommitSha, Option<BuiltFrom>>, Failed> {
        let mut named: Vec<CommitSha> = found
            .iter()
            .filter_map(|(_, _, inspection)| inspection.as_ref()?.revision().ok()?)
            .collect();
        named.sort();
        named.dedup();
        let known = named.into_iter().map(|sha| async move {
            let built_from = self.built_from(&sha, previewed).await?;
            Ok::<_, Failed>((sha, built_from))
        });
        Ok(try_join_all(known).await?.into_iter().collect())
    }

    pub(crate) async fn built_from(
        &self,
        sha: &CommitSha,
        previewed: &Previewed,
    ) -> Result<Option<BuiltFrom>, Failed> {
        let Some((commit, merge_base)) = self.brought(sha, previewed).await? else {
            return Ok(None);
        };
        // Only a merge's parents say anything, and only of a pull request.
        let others: Vec<CommitSha> = match (&previewed.of, commit.parents.as_slice()) {
            (Of::Pull { .. }, [_, _]) if commit.sha != previewed.head => commit.parents.clone(),
            _ => Vec::new(),
        };
        let others = others
            .into_iter()
            .filter(|parent| *parent != previewed.head);
        let merge_base = merge_base.as_ref();
        let on_base = others.map(|parent| async move {
            let on_base = match merge_base == Some(&parent) {
                true => true,
                false => {
                    let on_base = self.github.is_ancestor(&parent, &previewed.base_ref).await;
                    on_base.outside()?
                }
            };
            Ok::<_, Failed>((parent, on_base))
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

impl World<'_> {
    /// The commit `sha`, and the last one that it has in common with the base branch, where the one tells the other. What it
    /// would bring is what the pull request touches, if it is the head or a merge of it.
    async fn brought(
        &self,
        sha: &CommitSha,
        previewed: &Previewed,
    ) -> Result<Option<(Commit, Option<CommitSha>)>, Failed> {
        if let Of::Pull { .. } = previewed.of {
            let brought = self.github.brought(&previewed.base_ref, sha);
            if let Some(brought) = brought.await.outside()? {
                let is_of_head = |sha: &CommitSha| *sha == previewed.head;
                let commit = brought.commit;
                if let Some(files) = brought.files
                    && (is_of_head(&commit.sha) || commit.parents.iter().any(is_of_head))
                {
                    self.learn_changed_files(files);
                }
                return Ok(Some((commit, Some(brought.merge_base))));
            }
        }
        let commit = self.github.commit(sha).await.outside()?;
        Ok(commit.map(|commit| (commit, None)))
    }
}

pub(crate) fn refused<R: ToString>(refusals: Vec<R>) -> Failed {
    Failed::Refused(refusals.iter().map(ToString::to_string).collect())
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
    /// Reads the pull request or commit again: whether the preview is still wanted, at this head.
    pub(crate) async fn still_wanted(&self) -> Result<(), Stop> {
        let head = &self.previewed.head;
        let Of::Pull { number, .. } = self.previewed.of else {
            let branch = &self.previewed.base_ref;
            return match self.world.is_merged_or_queued(head, branch).await? {
                true => Ok(()),
                false => Err(Stop::NotWanted),
            };
        };
        self.is_wanted_by(&self.world.pull_again(number).await?)
    }

    /// Whether the preview is still wanted, at this head, by the pull request as it was read right now.
    pub(crate) fn is_wanted_by(&self, pull: &PullRequest) -> Result<(), Stop> {
        let head = &self.previewed.head;
        match meanwhile(pull, head) {
            Meanwhile::Same => Ok(()),
            Meanwhile::Closed => Err(Stop::NotWanted),
            Meanwhile::Moved(now) => {
                let moved = Instead::Superseded {
                    number: pull.number,
                    asked: head.clone(),
                    now,
                };
                Err(Stop::Superseded(moved.to_string()))
            }
        }
    }
}
