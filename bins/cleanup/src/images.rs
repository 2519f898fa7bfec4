//! Images that nothing needs any more are deleted: versions of GitHub's packages, by the rule of
//! `preview_core::cleanup::images`.
//!
//! Nothing of it fails a cleanup: what cannot be looked at or deleted is told, and the next cleanup or sweep tries again.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, TryStreamExt as _};
use preview_actions::{Failed, Outside as _};
use preview_core::cleanup::images::{
    CleanedImage, ImageVersion, Owners, PROMOTIONS_KEPT, Tag, children_that_go,
};
use preview_core::deployments::{subject_of, unproven_record};
use preview_core::names::{CommitSha, Digest, ImageName, Subject};
use preview_core::ownership::Owner;
use preview_core::promote::Promotion;
use preview_core::pulls::PullState;
use preview_core::record::Record;
use preview_github::{Deployment, Package, PackageVersion};

use crate::github::{Reached, promotions_to};
use crate::world::World;

/// Manifests that are read at the same time.
const PARALLEL: usize = 8;

/// Whose images are meant.
pub(crate) enum Whose<'a> {
    /// Those of one that has ended just now.
    Of(&'a Subject),
    /// All; these have ended just now.
    All(&'a [Subject]),
}

impl Whose<'_> {
    fn ended(&self) -> &[Subject] {
        match self {
            Self::Of(subject) => std::slice::from_ref(*subject),
            Self::All(ended) => ended,
        }
    }

    fn are_meant(&self, owners: &BTreeSet<Subject>) -> bool {
        match self {
            Self::Of(subject) => owners.contains(subject),
            Self::All(_) => true,
        }
    }
}

/// A package, and which of its versions may go as far as their tags tell.
struct Candidates {
    image: ImageName,
    package: Package,
    versions: Vec<PackageVersion>,
    candidates: Vec<(PackageVersion, BTreeSet<Subject>)>,
}

impl World<'_> {
    /// Deletes the images that nothing needs any more. What could not be deleted, or looked at, each with why.
    pub(crate) async fn clean_images(&self, whose: &Whose<'_>) -> Vec<String> {
        let mut left = Vec::new();
        match self.cleaned_images(whose, &mut left).await {
            Ok(cleaned) => {
                left.extend(cleaned.iter().filter_map(|image| image.kept.clone()));
                self.runner
                    .know(|result| result.cleaned_images.extend(cleaned));
            }
            Err(failed) => left.push(format!("images were not looked at: {failed}")),
        }
        for why in &left {
            self.runner.console().warning(why);
        }
        left
    }

    async fn cleaned_images(
        &self,
        whose: &Whose<'_>,
        left: &mut Vec<String>,
    ) -> Result<Vec<CleanedImage>, Failed> {
        let images = self.images_in_packages();
        if images.is_empty() {
            return Ok(Vec::new());
        }
        let deployments = self.preview_deployments().await?;
        let owners = self.owners(deployments, whose).await?;
        let mut packages = Vec::new();
        for image in images {
            match self.candidates(image, &owners, whose).await {
                Ok(found) => packages.extend(found),
                Err(failed) => left.push(failed.to_string()),
            }
        }
        if packages.is_empty() {
            return Ok(Vec::new());
        }
        let mut judge = Judge::new(self, deployments).await?;
        let mut cleaned = Vec::new();
        for package in packages {
            match judge.cleaned(&package).await {
                Ok(done) => cleaned.extend(done),
                Err(failed) => left.push(failed.to_string()),
            }
        }
        Ok(cleaned)
    }

    /// The components' images that GitHub has as packages.
    fn images_in_packages(&self) -> BTreeSet<&ImageName> {
        let registries = &self.config.registry.github_packages;
        let images = self.config.components.iter().map(|one| &one.image);
        images
            .filter(|image| registries.contains(image.registry()))
            .collect()
    }

    /// Whose images commits are: by the deployments that deploys made, and by the commits of the pull request itself.
    async fn owners(
        &self,
        deployments: &[Deployment],
        whose: &Whose<'_>,
    ) -> Result<Owners, Failed> {
        let mut owners = Owners::default();
        for deployment in deployments {
            if let Some(subject) = subject_of(&deployment.payload, self.repository.id) {
                owners.note(deployment.reference.clone(), subject);
            }
        }
        for subject in whose.ended() {
            if let Subject::Pr(number) = subject {
                for commit in self.github.commits_of_pull(*number).await.outside()? {
                    owners.note(commit, subject.clone());
                }
            }
        }
        Ok(owners)
    }

    async fn candidates(
        &self,
        image: &ImageName,
        owners: &Owners,
        whose: &Whose<'_>,
    ) -> Result<Option<Candidates>, Failed> {
        let Some((package, versions)) = self.github.package(image).await.outside()? else {
            return Ok(None);
        };
        let candidates = versions.iter().filter_map(|version| {
            let owners = owners.of(&version.version)?;
            whose.are_meant(&owners).then(|| (version.clone(), owners))
        });
        let candidates: Vec<_> = candidates.collect();
        Ok((!candidates.is_empty()).then(|| Candidates {
            image: image.clone(),
            package,
            candidates,
            versions,
        }))
    }
}

/// A version of a package, and the manifests in it.
type Listed = (ImageVersion, Vec<Digest>);

/// Knows what is needed, and who has ended.
struct Judge<'a> {
    world: &'a World<'a>,
    /// The images of all previews that are there, and of the newest promotions to every target.
    needed: BTreeSet<Digest>,
    records: Vec<Record>,
    /// Commits that are the head of an open pull request now.
    open_heads: BTreeSet<CommitSha>,
    /// Those of whom there is a Namespace.
    previewed: BTreeSet<Subject>,
    ended: BTreeMap<Subject, bool>,
}

impl<'a> Judge<'a> {
    async fn new(world: &'a World<'a>, deployments: &[Deployment]) -> Result<Self, Failed> {
        let repository = world.repository.id;
        let all = Owner::selector_of_repository(repository);
        let previews = world.cluster.namespaces(&all).await.outside()?;
        let open = world.github.open_pulls().await.outside()?;
        let running = previews.iter().flat_map(|preview| preview.images());
        let mut needed: BTreeSet<Digest> = running.map(|(_, image)| image.digest).collect();
        for target in &world.config.promote.targets {
            let promotions = world.github.deployments(&promotions_to(target)).await;
            let promotions = promotions.outside()?;
            let kept = promotions.iter().take(PROMOTIONS_KEPT);
            let images = kept.flat_map(|promotion| Promotion::images_in(&promotion.payload));
            needed.extend(images.map(|image| image.digest));
        }
        let records = deployments.iter();
        let records = records.filter_map(|one| unproven_record(&one.payload, repository));
        Ok(Self {
            world,
            needed,
            records: records.collect(),
            open_heads: open.into_iter().map(|pull| pull.head).collect(),
            previewed: previews.iter().filter_map(|one| one.subject()).collect(),
            ended: BTreeMap::new(),
        })
    }

    /// Whether nobody will ask for the images of `subject` any more: only what GitHub says just now counts.
    async fn has_ended(&mut self, subject: &Subject) -> Result<bool, Failed> {
        if let Some(known) = self.ended.get(subject) {
            return Ok(*known);
        }
        let world = self.world;
        let merged = match subject {
            Subject::Commit(commit) if !self.previewed.contains(subject) => Some(commit.clone()),
            Subject::Commit(_) => None,
            Subject::Pr(number) => match world.github.pull(*number).await.outside()? {
                Some(pull) => match pull.state {
                    PullState::Merged { commit } => Some(commit),
                    PullState::Closed => {
                        self.ended.insert(subject.clone(), true);
                        return Ok(true);
                    }
                    PullState::Open => None,
                },
                None => None,
            },
        };
        let has_ended = match merged {
            Some(commit) => world.reached(&commit).await? != Reached::NotYet,
            None => false,
        };
        self.ended.insert(subject.clone(), has_ended);
        Ok(has_ended)
    }

    /// Whether nothing needs the version any more.
    async fn may_go(
        &mut self,
        version: &ImageVersion,
        owners: &BTreeSet<Subject>,
    ) -> Result<bool, Failed> {
        let is_head = version.tags.iter().any(|tag| match Tag::parse(tag) {
            Tag::Commit(commit) => self.open_heads.contains(&commit),
            Tag::Pull(_) | Tag::Other => false,
        });
        if is_head || self.needed.contains(&version.digest) {
            return Ok(false);
        }
        let tested = self.records.iter().filter(|record| {
            let mut components = record.components.values();
            components.any(|component| component.image.digest == version.digest)
        });
        let tested: BTreeSet<Subject> = tested.map(|record| record.subject.clone()).collect();
        for subject in owners.union(&tested) {
            if !self.has_ended(subject).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Deletes the versions of a package that nothing needs, each after what was in it alone.
    async fn cleaned(&mut self, package: &Candidates) -> Result<Vec<CleanedImage>, Failed> {
        let mut going = Vec::new();
        for (version, owners) in &package.candidates {
            if self.may_go(&version.version, owners).await? {
                going.push(version);
            }
        }
        let mut cleaned = Vec::new();
        if going.is_empty() {
            return Ok(cleaned);
        }
        let mut there = self.with_children(package).await?;
        for version in going {
            let index = &version.version;
            if let Err(failed) = self
                .delete(package, version, &mut there, &mut cleaned)
                .await
            {
                cleaned.push(package.cleaned(index, Some(failed.to_string())));
            }
        }
        Ok(cleaned)
    }

    /// All versions of a package, each with the manifests in it.
    async fn with_children(&self, package: &Candidates) -> Result<Vec<Listed>, Failed> {
        let versions = package.versions.iter().map(|one| one.version.clone());
        let versions = futures::stream::iter(versions).map(|version| async move {
            let image = package.image.at(version.digest.clone());
            let named = self.world.registry.children(&image).await.outside()?;
            Ok((version, named.unwrap_or_default()))
        });
        versions.buffered(PARALLEL).try_collect().await
    }

    /// Deletes a version as it was listed, the manifests in it first: whoever comes after a run that died in between finds
    /// them by it. What `there` is of the package, and what was `cleaned`, is kept up to date.
    async fn delete(
        &self,
        package: &Candidates,
        version: &PackageVersion,
        there: &mut Vec<Listed>,
        cleaned: &mut Vec<CleanedImage>,
    ) -> Result<(), Failed> {
        let read = &version.version;
        let Some(at) = there.iter().position(|(one, _)| one == read) else {
            return Ok(());
        };
        if !self.is_as_listed(package, version).await? {
            return Ok(());
        }
        let itself = there.swap_remove(at);
        let deleted = self.delete_children(package, &itself.1, there, cleaned);
        let deleted = match deleted.await {
            Ok(()) => self.delete_version(package, version, cleaned).await,
            Err(failed) => Err(failed),
        };
        if !matches!(deleted, Ok(true)) {
            there.push(itself);
        }
        deleted.map(drop)
    }

    async fn delete_children(
        &self,
        package: &Candidates,
        children: &[Digest],
        there: &mut Vec<Listed>,
        cleaned: &mut Vec<CleanedImage>,
    ) -> Result<(), Failed> {
        let going = children_that_go(children, there, &self.needed);
        for child in going {
            let mut versions = package.versions.iter();
            let is_there = there.iter().any(|(one, _)| one.digest == *child);
            let version = versions.find(|version| version.version.digest == *child);
            let Some(version) = version.filter(|_| is_there) else {
                continue;
            };
            if self.delete_version(package, version, cleaned).await? {
                there.retain(|(one, _)| one.digest != *child);
            }
        }
        Ok(())
    }

    /// Deletes one manifest as it was listed; false where it has other tags by now.
    async fn delete_version(
        &self,
        package: &Candidates,
        version: &PackageVersion,
        cleaned: &mut Vec<CleanedImage>,
    ) -> Result<bool, Failed> {
        if !self.is_as_listed(package, version).await? {
            return Ok(false);
        }
        let image = package.image.at(version.version.digest.clone());
        let github = &self.world.github;
        let delete = github.delete_package_version(&package.package, version);
        let step = self.world.runner.step("delete", &image, delete).await;
        step.outside()?;
        cleaned.push(package.cleaned(&version.version, None));
        Ok(true)
    }

    async fn is_as_listed(
        &self,
        package: &Candidates,
        version: &PackageVersion,
    ) -> Result<bool, Failed> {
        let github = &self.world.github;
        let now = github.package_version(&package.package, version).await;
        Ok(now.outside()?.as_ref() == Some(&version.version))
    }
}

impl Candidates {
    fn cleaned(&self, version: &ImageVersion, kept: Option<String>) -> CleanedImage {
        CleanedImage {
            image: self.image.at(version.digest.clone()),
            tags: version.tags.clone(),
            kept,
        }
    }
}
