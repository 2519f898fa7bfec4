//! What somebody sees who looks: at pages, and at the cluster itself.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use preview_core::{outcome::ResultFile, ownership::keys};
use serde_json::Value;

use super::{
    super::{
        kube::{Place, until},
        sight::Sight,
    },
    PATIENCE, Stage,
};

/// Until the Service of a Deployment that is complete leads to nothing but its new pods.
const MOMENT: Duration = Duration::from_secs(15);
/// Until the node has collected a dead pod's containers. It looks once a minute.
const GARBAGE: Duration = Duration::from_secs(150);

/// What must stay the same while a preview is updated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The Namespace's uid.
    pub(crate) namespace: String,
    /// The database's volume.
    pub(crate) volume: String,
    /// The database's password, as the cluster encodes it. Never printed.
    pub(crate) password: Secret,
}

/// A text that is compared and not shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str("***")
    }
}

impl Stage {
    /// Opens the preview's page, which shows `commit`.
    ///
    /// # Errors
    /// When it does not.
    pub(crate) async fn look_at_preview(&self, commit: &str) -> anyhow::Result<Sight> {
        self.look(&self.preview()?, "the preview", commit).await
    }

    /// Opens production's page, which shows `commit`.
    ///
    /// # Errors
    /// When it does not.
    pub(crate) async fn look_at_production(&self, commit: &str) -> anyhow::Result<Sight> {
        self.look(&self.production(), "production", commit).await
    }

    /// A Service hears of its pods' coming and going a moment later than a Deployment: for that moment a page may be
    /// the old one, or none because the API that it asks has just ended.
    async fn look(&self, namespace: &str, what: &str, commit: &str) -> anyhow::Result<Sight> {
        let sight = until(Instant::now() + MOMENT, async || {
            let answer = self.ground.kube.page(namespace, "web", 8080, "/").await?;
            Ok(Sight::read(&answer)
                .map_err(|error| format!("{error:#}"))
                .and_then(|sight| self.shows(sight, commit)))
        });
        let sight = sight.await.with_context(|| format!("{what}'s page"))?;
        self.progress.say(&format!("{what}'s page: {sight}"));
        Ok(sight)
    }

    /// The sight, if it is of `commit` and has rows from its database where there can be any.
    fn shows(&self, sight: Sight, commit: &str) -> Result<Sight, String> {
        if sight.commit != commit {
            return Err(format!("it should show {commit}: {sight}"));
        }
        // The sandbox's containers answer with a page that tells commit and environment.
        if sight.rows == 0 && self.ground.world().is_none() {
            return Err(format!("it shows no rows: {sight}"));
        }
        Ok(sight)
    }

    /// What makes this preview this one.
    pub(crate) async fn identity(&self) -> anyhow::Result<Identity> {
        let namespace = self.preview()?;
        let whole = self.object("v1", "Namespace", None, &namespace).await?;
        let secret = self
            .object("v1", "Secret", Some(&namespace), "app-secret")
            .await?;
        let text = |value: &Value, what: &str| {
            let text = value.as_str().map(str::to_owned);
            text.with_context(|| format!("the preview has no {what}"))
        };
        let volumes = self.volumes(&namespace).await?;
        let [volume] = &volumes[..] else {
            bail!("the preview should have one volume; it has {volumes:?}");
        };
        Ok(Identity {
            namespace: text(&whole["metadata"]["uid"], "uid")?,
            volume: volume["metadata"]["name"].as_str().unwrap_or("").to_owned(),
            password: Secret(text(
                &secret["data"]["DATABASE_PASSWORD"],
                "database password",
            )?),
        })
    }

    /// Checks that the pods of production's servers run these images and no others.
    pub(crate) async fn production_runs(&self, images: &ResultFile) -> anyhow::Result<()> {
        let namespace = self.production();
        ensure!(!images.images.is_empty(), "no images were deployed");
        for (component, image) in &images.images {
            let component = component.as_str();
            let digest = image.digest.to_string();
            // The pods of the rollout before may still be ending.
            let ids = until(Instant::now() + PATIENCE, async || {
                let ids = self.image_ids(&namespace, component).await?;
                let all = !ids.is_empty() && ids.iter().all(|id| id.ends_with(&digest));
                Ok(match all {
                    true => Ok(ids),
                    false => Err(format!(
                        "production's {component} should run {digest}; its pods' imageIDs: {ids:?}"
                    )),
                })
            })
            .await?;
            let id = &ids[0];
            self.progress
                .say(&format!("production's {component} runs {id}"));
        }
        Ok(())
    }

    /// The imageIDs of the container `name` in the pods of `app`.
    pub(super) async fn image_ids(
        &self,
        namespace: &str,
        name: &str,
    ) -> anyhow::Result<Vec<String>> {
        let pods = self.list("v1", "Pod", Some(namespace)).await?;
        let of_app = pods
            .iter()
            .filter(|pod| pod["metadata"]["labels"]["app"] == name);
        let containers = of_app.flat_map(|pod| {
            let statuses = pod["status"]["containerStatuses"].as_array();
            statuses.into_iter().flatten()
        });
        let ids = containers
            .filter(|container| container["name"] == name)
            .map(|container| container["imageID"].as_str().unwrap_or("").to_owned());
        Ok(ids.collect())
    }

    /// The volumes that are bound to claims of a namespace.
    pub(super) async fn volumes(&self, namespace: &str) -> anyhow::Result<Vec<Value>> {
        let mut volumes = self.list("v1", "PersistentVolume", None).await?;
        volumes.retain(|volume| volume["spec"]["claimRef"]["namespace"] == namespace);
        Ok(volumes)
    }

    /// The image that production's page is set to, and the commit of the default branch that it is said to be of.
    pub(crate) async fn page_of_production(&self) -> anyhow::Result<(String, Option<String>)> {
        let namespace = self.production();
        let page = self.object("apps/v1", "Deployment", Some(&namespace), "web");
        let page = page.await?;
        let image = page["spec"]["template"]["spec"]["containers"][0]["image"].as_str();
        let image = image.context("production's page has no image")?;
        let commit = page["metadata"]["annotations"][keys::COMMIT].as_str();
        Ok((image.to_owned(), commit.map(str::to_owned)))
    }

    /// Checks that what is about to be destroyed can be seen: what is not seen now proves nothing when it is gone.
    pub(crate) async fn the_preview_can_be_seen(&mut self) -> anyhow::Result<()> {
        let namespace = self.preview()?;
        for kind in ["Pod", "PersistentVolumeClaim"] {
            let there = self.list("v1", kind, Some(&namespace)).await?;
            ensure!(!there.is_empty(), "{namespace} has no {kind}");
        }
        let volumes = self.volumes(&namespace).await?;
        ensure!(!volumes.is_empty(), "{namespace} has no volume");
        let folders = volumes.iter();
        let folders = folders.filter_map(|volume| self.ground.folder_of(volume));
        self.folders = folders.collect();
        for folder in &self.folders {
            let there = std::fs::read_dir(folder);
            let mut there = there.with_context(|| format!("look into {}", folder.display()))?;
            ensure!(
                there.next().is_some(),
                "nothing is in {}, the folder of a volume",
                folder.display()
            );
        }
        if let Some(containers) = self.ground.containers(&namespace).await? {
            ensure!(
                !containers.is_empty(),
                "the node has no containers of {namespace}"
            );
        }
        Ok(())
    }

    /// Checks that nothing of the preview is left: no namespace, claim, volume or container.
    pub(crate) async fn nothing_is_left_of_the_preview(&self) -> anyhow::Result<()> {
        let namespace = self.preview()?;
        self.the_cluster_has_nothing_of_the_preview().await?;
        let seen = self.the_node_has_no_containers_of(&namespace).await?;
        self.progress.say(&format!(
            "nothing is left of {namespace}: no namespace, pod, claim, {seen}"
        ));
        Ok(())
    }

    /// Checks that the node's runtime has no containers of a namespace, where it is ours to ask; gives what was looked for.
    pub(crate) async fn the_node_has_no_containers_of(
        &self,
        namespace: &str,
    ) -> anyhow::Result<&'static str> {
        until(Instant::now() + GARBAGE, async || {
            Ok(match self.ground.containers(namespace).await? {
                None => Ok("volume"),
                Some(left) if left.is_empty() => Ok("volume, container"),
                Some(left) => Err(format!("containers of {namespace} are left: {left:?}")),
            })
        })
        .await
    }

    /// Checks that no namespace, pod, claim or volume of the preview is left. Its node may have containers for a minute more.
    pub(crate) async fn the_cluster_has_nothing_of_the_preview(&self) -> anyhow::Result<()> {
        let namespace = self.preview()?;
        let place = Place {
            api: "v1",
            kind: "Namespace",
            namespace: None,
        };
        let there = self.ground.kube.get(place, &namespace).await?;
        ensure!(there.is_none(), "the namespace {namespace} is still there");
        for kind in ["Pod", "PersistentVolumeClaim"] {
            let left = self.list("v1", kind, Some(&namespace)).await?;
            ensure!(left.is_empty(), "left of {namespace}: {left:?}");
        }
        let volumes = self.volumes(&namespace).await?;
        ensure!(volumes.is_empty(), "left of {namespace}: {volumes:?}");
        for folder in &self.folders {
            let is_there = folder
                .try_exists()
                .with_context(|| format!("look for {}", folder.display()))?;
            ensure!(!is_there, "left on the disk: {}", folder.display());
            self.progress
                .say("the volume's folder is gone from the disk");
        }
        Ok(())
    }

    pub(crate) async fn object(
        &self,
        api: &str,
        kind: &str,
        namespace: Option<&str>,
        name: &str,
    ) -> anyhow::Result<Value> {
        let place = Place {
            api,
            kind,
            namespace,
        };
        let found = self.ground.kube.get(place, name).await?;
        found.with_context(|| format!("there is no {kind} {name}"))
    }

    pub(crate) async fn list(
        &self,
        api: &str,
        kind: &str,
        namespace: Option<&str>,
    ) -> anyhow::Result<Vec<Value>> {
        let place = Place {
            api,
            kind,
            namespace,
        };
        self.ground.kube.list(place).await
    }
}
