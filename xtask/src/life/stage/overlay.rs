//! Previews of the example's overlay. On real servers Kustomize renders it in the checkout; where there is none, on the
//! sandbox, the workflow has rendered it before.

use std::{fs, path::Path, process::Stdio};

use anyhow::{Context as _, bail, ensure};
use preview_core::outcome::{Program, ResultFile};

use super::{
    super::repository::SECOND_EDITION,
    Alone, Stage,
    runs::{Event, USUAL_PATH},
    short, write,
};

/// What Kustomize makes of the example's overlay.
const RENDERED: &str = include_str!("../overlay.yaml");

/// The example's manifests, where a repository has them.
const MANIFESTS: &[(&str, &str)] = &[
    (
        "deploy/base/api.yaml",
        include_str!("../../../../examples/deploy/base/api.yaml"),
    ),
    (
        "deploy/base/web.yaml",
        include_str!("../../../../examples/deploy/base/web.yaml"),
    ),
    (
        "deploy/base/kustomization.yaml",
        include_str!("../../../../examples/deploy/base/kustomization.yaml"),
    ),
    (
        "deploy/overlays/preview/ingress.yaml",
        include_str!("../../../../examples/deploy/overlays/preview/ingress.yaml"),
    ),
    (
        "deploy/overlays/preview/kustomization.yaml",
        include_str!("../../../../examples/deploy/overlays/preview/kustomization.yaml"),
    ),
];

/// The file of the overlay that a play adds.
const MORE: &str = "deploy/overlays/preview/more.yaml";

impl Stage {
    /// From now on previews are made of the overlay, and of these objects besides.
    pub(crate) fn uses_the_overlay_with(&mut self, more: &'static str) {
        self.overlay = Some(more);
    }

    /// Pushes the second edition to the pull request's branch, and with it another `deploy/base/web.yaml`.
    pub(crate) fn push_second_edition_with_a_manifest(&self) -> anyhow::Result<()> {
        let manifest = ("deploy/base/web.yaml", "# Ten of it, please.\n");
        let changes = [SECOND_EDITION, &[manifest]].concat();
        let head = self.repository.push(self.number()?, &changes);
        self.progress
            .say(&format!("the head is now H = {}", short(&head)));
        Ok(())
    }

    /// Runs `preview-deploy` for what a rule says no to.
    pub(crate) async fn deploy_is_refused(&mut self) -> anyhow::Result<ResultFile> {
        let ended = self.run(Program::Deploy, Event::WorkflowRun).await?;
        Ok(ended.with(1, "refused")?.result)
    }

    /// Puts the manifests into the checkout; gives the arguments that the workflow adds.
    pub(super) fn check_manifests_out(&self, folder: &Path) -> anyhow::Result<Vec<String>> {
        if let Some(Alone { manifests, .. }) = &self.alone {
            write(&folder.join("rendered.yaml"), manifests)?;
            return Ok(vec!["--manifests".to_owned(), "rendered.yaml".to_owned()]);
        }
        let Some(more) = self.overlay else {
            return Ok(Vec::new());
        };
        let here = |text: &str| text.replace("ghcr.io/", &format!("{}/", self.ground.registry));
        if self.ground.world().is_some() {
            let rendered = folder.join("rendered.yaml");
            write(&rendered, &here(&format!("{RENDERED}{more}")))?;
            return Ok(vec!["--manifests".to_owned(), "rendered.yaml".to_owned()]);
        }
        for (path, text) in MANIFESTS.iter().chain(&[(MORE, more)]) {
            let path = folder.join(path);
            let parent = path.parent().context("a file has a folder")?;
            fs::create_dir_all(parent).with_context(|| format!("make {}", parent.display()))?;
            let listed = "  - ingress.yaml\n";
            let text = match more.is_empty() {
                true => here(text),
                false => here(text).replace(listed, &format!("{listed}  - more.yaml\n")),
            };
            write(&path, &text)?;
        }
        Ok(Vec::new())
    }

    /// Checks that what is kept as rendered is what Kustomize makes of the example, where there is one.
    pub(crate) async fn the_overlay_is_as_it_is_kept(&self) -> anyhow::Result<()> {
        let Some(tools) = self.ground.tools() else {
            return Ok(());
        };
        let overlay = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../examples/deploy/overlays/preview"
        );
        let mut kustomize = tokio::process::Command::new("kubectl");
        kustomize
            .args(["kustomize", overlay])
            .env_clear()
            .env("PATH", format!("{}:{USUAL_PATH}", tools.display()))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let done = kustomize.output().await;
        let done = done.with_context(|| format!("start {kustomize:?}"))?;
        let rendered = String::from_utf8_lossy(&done.stdout);
        ensure!(
            done.status.success() && rendered == RENDERED,
            "xtask/src/life/overlay.yaml is not what {kustomize:?} says: {}{rendered}",
            String::from_utf8_lossy(&done.stderr)
        );
        Ok(())
    }

    /// Checks that the preview has these objects, or has none of them: each its version, kind and name.
    pub(crate) async fn the_preview_has(
        &self,
        objects: &[(&str, &str, &str)],
        there: bool,
    ) -> anyhow::Result<()> {
        let namespace = self.preview()?;
        for (api, kind, name) in objects {
            let all = self.list(api, kind, Some(&namespace)).await?;
            let found = all.iter().any(|object| object["metadata"]["name"] == *name);
            if found != there {
                bail!("whether {namespace} has {kind}/{name} should be {there}");
            }
        }
        Ok(())
    }

    /// Checks that the pods of a component have no token and run what was deployed, by digest.
    pub(crate) async fn is_pinned(
        &self,
        result: &ResultFile,
        component: &str,
    ) -> anyhow::Result<()> {
        let namespace = self.preview()?;
        let deployment = self
            .object("apps/v1", "Deployment", Some(&namespace), component)
            .await?;
        let pod = &deployment["spec"]["template"]["spec"];
        let name = component.parse().context("name a component")?;
        let image = result.images.get(&name).context("it was not deployed")?;
        ensure!(
            pod["automountServiceAccountToken"] == false
                && pod["containers"][0]["image"] == image.to_string(),
            "{component} should run {image} without a token: {pod}"
        );
        Ok(())
    }
}
