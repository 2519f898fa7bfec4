//! Stages beside one another, and what one of many previews is furnished with.

use std::{fs, time::Instant};

use anyhow::{Context as _, bail};
use sandbox::World;
use serde_json::json;

use super::{
    super::{Ground, Progress, kube::until},
    PATIENCE, Stage,
};

/// So many ids lie between two repositories on one cluster, which must not be the same.
const IDS: u64 = 1_000;

impl Stage {
    /// A stage beside this one, with a GitHub of its own, that nobody watches: on the same cluster and registry where they are
    /// real, and else in a sandbox of its own. Must end before this one, which clears what is left of it.
    ///
    /// # Errors
    /// When it cannot be set.
    pub(crate) async fn beside(&self, nth: u64) -> anyhow::Result<Self> {
        let folder = self.folder.path().join(format!("beside-{nth}"));
        fs::create_dir(&folder).with_context(|| format!("make {}", folder.display()))?;
        let world = World::start().await.context("start the sandbox")?;
        let github = world.github.clone();
        github.skip_ids(IDS * nth);
        let ground = match self.ground.beside(&github) {
            Some(real) => real,
            None => Ground::sandbox(world, &folder)?,
        };
        // With a name like a preview's, its Namespaces are among those that this stage clears.
        let name = format!("{}-pr-{nth}", self.name);
        let (programs, progress) = (self.programs.clone(), Progress::unseen());
        Self::set(&name, github, ground, programs, progress, &folder).await
    }

    /// Somebody adds a volume to the preview, and keeps a file there, where we can put one.
    ///
    /// # Errors
    /// When the cluster provides no volume.
    pub(crate) async fn add_a_volume(&mut self) -> anyhow::Result<()> {
        let namespace = self.preview()?;
        let claim = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": { "name": "kept", "namespace": namespace },
            "spec": {
                "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Mi" } },
            },
        });
        self.ground.kube.create(&claim).await?;
        let volumes = until(Instant::now() + PATIENCE, async || {
            let volumes = self.volumes(&namespace).await?;
            Ok(match volumes.is_empty() {
                false => Ok(volumes),
                true => Err(format!(
                    "PersistentVolumeClaim/kept in {namespace} has no volume"
                )),
            })
        });
        for folder in volumes
            .await?
            .iter()
            .filter_map(|it| self.ground.folder_of(it))
        {
            let file = folder.join("kept");
            fs::write(&file, "here\n").with_context(|| format!("write {}", file.display()))?;
        }
        self.the_preview_can_be_seen().await
    }

    /// The digest of the page that was deployed, by the record that GitHub keeps of its image.
    pub(crate) fn page_of(&self, number: u64) -> anyhow::Result<String> {
        let head = self.repository.head_of(number);
        let packages = self.github.packages();
        match packages.iter().find(|one| one.tags.contains(&head)) {
            Some(page) => Ok(page.digest.clone()),
            None => bail!("GitHub has no image of {head}"),
        }
    }
}
