//! A node that is played: kwok says of its pods that they run, beside the real node and on the same API server.
//! <https://kwok.sigs.k8s.io>

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Child;

use super::{
    kube::{Place, until, until_we_end},
    stage::Stage,
};

/// The node's name, and the label and the taint by which pods come there and nowhere else.
const NAME: &str = "simulated";
/// Nodes that kwok plays have this annotation.
const ANNOTATION: (&str, &str) = ("kwok.x-k8s.io/node", "fake");
const STAGES: &str = include_str!("simulated.yaml");
/// Until the node is ready.
const PATIENCE: Duration = Duration::from_secs(60);

const NODES: Place<'_> = Place {
    api: "v1",
    kind: "Node",
    namespace: None,
};

/// kwok, and the node that it plays. Ends with this; the node has to be removed.
pub(super) struct Simulated {
    kwok: Child,
    _folder: TempDir,
}

impl Simulated {
    /// Starts kwok, and waits until its node is ready.
    ///
    /// # Errors
    /// When there is no kwok, or the node does not become ready, with what kwok said.
    pub(super) async fn start(stage: &Stage) -> anyhow::Result<Self> {
        let tools = stage.ground.tools().context("the sandbox has no kwok")?;
        let folder = tempfile::tempdir().context("make a folder for kwok")?;
        let (stages, log) = (folder.path().join("stages.yaml"), folder.path().join("log"));
        fs::write(&stages, STAGES).with_context(|| format!("write {}", stages.display()))?;
        let out = fs::File::create(&log).with_context(|| format!("create {}", log.display()))?;
        let mut kwok = until_we_end(&tools.join("kwok"));
        kwok.arg("--kubeconfig")
            .arg(&stage.ground.kubeconfig)
            .arg("--config")
            .arg(&stages)
            .args([
                "--manage-all-nodes=false",
                "--node-lease-duration-seconds=40",
            ])
            .arg(format!(
                "--manage-nodes-with-annotation-selector={}={}",
                ANNOTATION.0, ANNOTATION.1
            ))
            .env("HOME", folder.path())
            .stdout(out.try_clone().context("share kwok's log")?)
            .stderr(out);
        let mut kwok = kwok
            .spawn()
            .with_context(|| format!("start {}", tools.join("kwok").display()))?;
        stage.ground.kube.delete(NODES, NAME).await?;
        stage.ground.kube.create(&node()).await?;
        let ready = until(Instant::now() + PATIENCE, async || {
            let ended = kwok.try_wait().context("look after kwok")?;
            ensure!(ended.is_none(), "kwok ended: {ended:?}");
            let node = stage.ground.kube.get(NODES, NAME).await?;
            let conditions = node.map_or(Value::Null, |node| node["status"]["conditions"].clone());
            let is_ready = |it: &Value| it["type"] == "Ready" && it["status"] == "True";
            let ready = conditions
                .as_array()
                .is_some_and(|all| all.iter().any(is_ready));
            Ok(match ready {
                true => Ok(()),
                false => Err(format!("Node/{NAME} is not ready: {conditions}")),
            })
        });
        ready.await.with_context(|| {
            let said = fs::read_to_string(&log).unwrap_or_default();
            format!("kwok said: {said}")
        })?;
        Ok(Self {
            kwok,
            _folder: folder,
        })
    }

    /// Removes the node, and ends kwok.
    ///
    /// # Errors
    /// When the cluster does not answer.
    pub(super) async fn end(mut self, stage: &Stage) -> anyhow::Result<()> {
        stage.ground.kube.delete(NODES, NAME).await?;
        drop(self.kwok.stdin.take());
        self.kwok.wait().await.context("end kwok").map(drop)
    }
}

/// What brings a pod to the node that is played.
pub(super) fn placed() -> Value {
    json!({
        "nodeSelector": { NAME: "true" },
        "tolerations": [{ "key": NAME, "operator": "Exists", "effect": "NoSchedule" }],
    })
}

fn node() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {
            "name": NAME, "labels": { NAME: "true" }, "annotations": { ANNOTATION.0: ANNOTATION.1 },
        },
        "spec": { "taints": [{ "key": NAME, "value": "true", "effect": "NoSchedule" }] },
    })
}
