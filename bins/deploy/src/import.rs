//! Brings the images of a pull request whose own runs may push none to the registry.
//!
//! What is imported may have been written by the pull request's author, archive and all. It is read as data and whole before
//! anything of it is pushed; then the record says who built it, and only then the tags are moved: a run that dies leaves
//! nothing that counts.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::str::FromStr;

use clap::ValueEnum;
use jiff::Timestamp;
use preview_actions::{Conclusion, Failed, Outside as _, UsageError};
use preview_core::config::Component;
use preview_core::deploy::{
    Accepted, ComponentEvidence, Imported, Previewed, Request, Revision, accept, choose_by_number,
};
use preview_core::deployments::{ENVIRONMENT, IMPORT};
use preview_core::import::{Import, VERSION};
use preview_core::names::{ComponentName, PrNumber};
use preview_core::outcome::EffectResult;
use preview_core::record::{BuiltBy, RecordKey};
use preview_github::{DeploymentRequest, DeploymentState, NewDeploymentStatus};
use preview_registry::Layout;

use crate::observe::refused;
use crate::story::Story;
use crate::world::World;
use crate::{knows, nothing_is_deployed};

/// What to import.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct ToImport {
    /// A component's OCI layout, a tar archive or a folder; once for each
    #[arg(long = "layout", value_name = "COMPONENT=FILE")]
    pub layouts: Vec<ComponentLayout>,
    /// A folder of OCI layouts, each under its component's name: web.tar, or the folder web
    #[arg(long = "layouts", value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
    /// Who built them. `trusted` is what a workflow of the default branch has built, in a job of its own; all else is the
    /// contributor's, and is never promoted
    #[arg(long, value_enum)]
    pub built_by: Builder,
}

/// Who built what is imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Builder {
    /// A workflow of the default branch.
    Trusted,
    /// The pull request's own workflow.
    Contributor,
}

impl From<Builder> for BuiltBy {
    fn from(builder: Builder) -> Self {
        match builder {
            Builder::Trusted => Self::Trusted,
            Builder::Contributor => Self::Contributor,
        }
    }
}

/// A component and where its layout is: `web=web.tar`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentLayout {
    component: ComponentName,
    path: PathBuf,
}

impl FromStr for ComponentLayout {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (component, path) = text
            .split_once('=')
            .ok_or("write it like web=web.tar, a component and where its layout is")?;
        Ok(Self {
            component: component
                .parse()
                .map_err(|not: preview_core::names::NotA| not.to_string())?,
            path: path.into(),
        })
    }
}

/// Layouts that are whole, by component.
type Layouts<'a> = Vec<(&'a Component, Layout)>;

impl World<'_> {
    /// Imports the layouts for the pull request that `request` is about.
    pub(crate) async fn import(
        &self,
        what: &ToImport,
        request: &Request,
    ) -> Result<Conclusion, Failed> {
        let key = self.key.as_ref().ok_or_else(|| {
            UsageError(
                "PREVIEW_RECORD_KEY is not set, and what nobody has recorded as imported is not deployed; set the secret in \
                 the environment of this job"
                    .to_owned(),
            )
        })?;
        let files = self.files(what)?;
        let previewed = match self.choose(request).await? {
            Ok(previewed) => previewed,
            Err(instead) => return nothing_is_deployed(self.runner, instead),
        };
        knows(self.runner, &previewed);
        let number = self.number_of(&previewed)?;
        let built_by = BuiltBy::from(what.built_by);
        let accepted = self.read(files, &previewed, built_by).await;
        let (layouts, accepted) = match accepted {
            Ok(accepted) => accepted,
            Err(failed) => {
                Story::new(self, &previewed).failed(&failed).await;
                return Err(failed);
            }
        };
        // Reading took its time.
        let pull = self.github.pull(number).await.outside()?;
        if let Err(instead) = choose_by_number(number, &previewed.head, &self.slug, pull) {
            return nothing_is_deployed(self.runner, instead);
        }
        let import = Import {
            version: VERSION,
            repository: previewed.repository.id,
            pull: number,
            head: previewed.head.clone(),
            images: accepted.pinned(),
            built_by,
            run: self.runner.environment().fence()?,
            imported_at: Timestamp::now(),
        };
        self.push(&layouts).await?;
        self.keep(&import, key).await?;
        self.tag(&import).await?;
        let names: Vec<&str> = import.images.keys().map(ComponentName::as_str).collect();
        let reason = format!(
            "the registry has {} of {}, built by: {built_by}",
            names.join(", "),
            previewed.at_head(),
        );
        self.runner.know(|result| result.images = import.images);
        Ok(Conclusion::done("imported", reason))
    }

    /// The layouts, all of them good, and the images in them.
    async fn read<'a>(
        &self,
        files: Vec<(&'a Component, PathBuf)>,
        previewed: &Previewed,
        built_by: BuiltBy,
    ) -> Result<(Layouts<'a>, Accepted), Failed> {
        let layouts = self.layouts(files).await?;
        let accepted = self.images_in(&layouts, previewed, built_by).await?;
        Ok((layouts, accepted))
    }

    /// Where the layout of each component is that has one.
    fn files(&self, what: &ToImport) -> Result<Vec<(&Component, PathBuf)>, Failed> {
        let mut files: Vec<(&ComponentName, PathBuf)> = Vec::new();
        for layout in &what.layouts {
            files.push((&layout.component, layout.path.clone()));
        }
        for component in &self.config.components {
            let Some(folder) = &what.folder else { break };
            let archive = folder.join(format!("{}.tar", component.name));
            let unpacked = folder.join(component.name.as_str());
            let found = [archive, unpacked].into_iter().filter(|path| path.exists());
            files.extend(found.map(|path| (&component.name, path)));
        }
        let known = |name: &ComponentName| {
            let mut components = self.config.components.iter();
            components.find(|component| component.name == *name)
        };
        let mut seen = BTreeSet::new();
        let mut layouts = Vec::new();
        for (name, path) in files {
            if !seen.insert(name) {
                let usage = format!("there are two layouts of component {name}; give one");
                return Err(UsageError(usage).into());
            }
            let component = known(name).ok_or_else(|| {
                UsageError(format!(
                    "preview.toml has no component {name}; give the layouts of those that it has"
                ))
            })?;
            layouts.push((component, path));
        }
        if layouts.is_empty() {
            let usage = "there is nothing to import; give --layout COMPONENT=FILE, or --layouts FOLDER with COMPONENT.tar in it";
            return Err(UsageError(usage.to_owned()).into());
        }
        Ok(layouts)
    }

    /// The pull request, if its images have to be imported.
    fn number_of(&self, previewed: &Previewed) -> Result<PrNumber, Failed> {
        match previewed.number() {
            Some(number) if !previewed.origin().may_push() => Ok(number),
            _ => Err(Failed::refused(format!(
                "{previewed} is of a branch of {}, whose own runs push its images; nothing is imported for it",
                self.slug
            ))),
        }
    }

    /// Reads them all, as data.
    async fn layouts<'a>(
        &self,
        files: Vec<(&'a Component, PathBuf)>,
    ) -> Result<Layouts<'a>, Failed> {
        let limits = self.config.pull_requests.import;
        let (mut layouts, mut refused) = (Vec::new(), Vec::new());
        for (component, path) in files {
            let name = &component.name;
            let read = tokio::task::spawn_blocking(move || Layout::open(&path, limits));
            let read = self
                .runner
                .step("read", format!("OCI layout of {name}"), async {
                    read.await
                        .unwrap_or_else(|died| std::panic::resume_unwind(died.into_panic()))
                });
            match read.await.misused()? {
                Ok(layout) => layouts.push((component, layout)),
                Err(why) => refused.push(format!(
                    "the OCI layout of component {name} is not imported: {why}"
                )),
            }
        }
        match refused.is_empty() {
            true => Ok(layouts),
            false => Err(Failed::Refused(refused)),
        }
    }

    /// Checks that they show what is previewed, as a deploy will.
    async fn images_in(
        &self,
        layouts: &Layouts<'_>,
        previewed: &Previewed,
        built_by: BuiltBy,
    ) -> Result<Accepted, Failed> {
        let mut evidence = Vec::new();
        for (component, layout) in layouts {
            let revision = layout.revision();
            let revision = match self.built_from(revision, previewed).await? {
                Some(built_from) => Revision::Commit(built_from),
                None => Revision::Unknown(revision.to_string()),
            };
            evidence.push(ComponentEvidence {
                component: component.name.clone(),
                name: component.image.clone(),
                tags: previewed.tags(),
                image: Some(component.image.at(layout.digest().clone())),
                missing: Vec::new(),
                revision,
                imported: Imported::By(built_by),
                unchanged: None,
            });
        }
        let forks = self.config.pull_requests.forks;
        accept(&evidence, previewed, None, forks).map_err(refused)
    }

    /// One component after the other: they share layers, and two uploads of one blob at the same time break each other in some
    /// registries.
    async fn push(&self, layouts: &Layouts<'_>) -> Result<(), Failed> {
        let came_of_it = |sent: &usize| match sent {
            0 => EffectResult::Unchanged,
            _ => EffectResult::Done,
        };
        for (component, layout) in layouts {
            let image = component.image.at(layout.digest().clone());
            let push = self.registry.push(layout, &component.image);
            let step = self.runner.step_with("push", image, push, came_of_it);
            step.await.outside()?;
        }
        Ok(())
    }

    /// Keeps the record, where none says the same.
    async fn keep(&self, import: &Import, key: &RecordKey) -> Result<(), Failed> {
        let kept = async {
            let github = &self.github;
            let imports = github.imports(&import.head, key, import.repository);
            if imports.await?.iter().any(|kept| kept.says_the_same(import)) {
                return Ok::<_, preview_github::Error>(EffectResult::Unchanged);
            }
            let request = DeploymentRequest {
                reference: import.head.clone(),
                environment: ENVIRONMENT.to_owned(),
                task: IMPORT.to_owned(),
                description: format!("Imported: pr-{} at {}", import.pull, import.head.short()),
                payload: import.payload(key),
                production: false,
                transient: true,
            };
            let deployment = github.create_deployment(&request).await?;
            let imported = NewDeploymentStatus {
                state: DeploymentState::Success,
                description: "Imported".to_owned(),
                log_url: self.runner.environment().run_url(),
                environment_url: None,
            };
            github
                .set_deployment_status(deployment.id, &imported)
                .await?;
            Ok(EffectResult::Done)
        };
        let object = format!("import for #{}", import.pull);
        let step = self
            .runner
            .step_with("record", object, kept, EffectResult::clone);
        step.await.outside().map(drop)
    }

    async fn tag(&self, import: &Import) -> Result<(), Failed> {
        let tags = [import.head.to_string(), format!("pr-{}", import.pull)];
        for image in import.images.values() {
            for tag in &tags {
                let object = format!("{}:{tag}", image.name);
                let step = self
                    .runner
                    .step("tag", object, self.registry.tag(image, tag));
                step.await.outside()?;
            }
        }
        Ok(())
    }
}
