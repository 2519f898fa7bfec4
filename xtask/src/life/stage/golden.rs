//! A snapshot of production's database, and the CSI driver that restores copies of it: there is none to be had, so the
//! play makes each copy, and a volume for the claim that waits for it.

use std::time::Instant;

use anyhow::{Context as _, ensure};
use sandbox::cluster::Behaviour;
use serde_json::{Value, json};

use super::{
    super::kube::{Place, until},
    PATIENCE, Stage,
};

const API: &str = "snapshot.storage.k8s.io/v1";
const CONTENTS: Place<'static> = Place {
    api: API,
    kind: "VolumeSnapshotContent",
    namespace: None,
};
const VOLUMES: Place<'static> = Place {
    api: "v1",
    kind: "PersistentVolume",
    namespace: None,
};
/// The golden VolumeSnapshot.
const GOLDEN: &str = "shop";

/// Copies the files of a server that runs, as a snapshot of its volume would have them, and has them be a replica's; of
/// another version where `$VERSION` names one.
const COPY: &str = "psql --set=ON_ERROR_STOP=1 --command=checkpoint && cp -a /volume/pgdata \"/volume/$COPY/\" && \
    touch \"/volume/$COPY/pgdata/standby.signal\" && test -e \"/volume/$COPY/pgdata/postmaster.pid\" && \
    { test -z \"$VERSION\" || echo \"$VERSION\" >\"/volume/$COPY/pgdata/PG_VERSION\"; }";

impl Stage {
    /// The Namespace of the golden snapshot, and its VolumeSnapshotContent's name.
    pub(super) fn golden(&self) -> String {
        format!("{}-golden", self.name)
    }

    /// The configuration has databases begin as the golden snapshot.
    pub(crate) fn begin_databases_as_the_golden_snapshot(&mut self) {
        let golden = self.golden();
        self.database =
            format!("seed.snapshot = {{ namespace = \"{golden}\", name = \"{GOLDEN}\" }}\n");
    }

    /// Runs SQL on production's database. The sandbox has no rows to type into.
    pub(crate) async fn type_into_production(&self, sql: &str) -> anyhow::Result<()> {
        let script = "psql --set=ON_ERROR_STOP=1 --command=\"$SQL\"";
        self.beside_production("typist", script, &[("SQL", sql)])
            .await?;
        self.progress
            .say(&format!("somebody typed into production: {sql}"));
        Ok(())
    }

    /// Puts a VolumeSnapshot there that is ready, as its controller and a CSI driver would have it.
    pub(crate) async fn take_the_golden_snapshot(&self) -> anyhow::Result<()> {
        if let Some(world) = self.ground.world() {
            world.cluster.install_volume_snapshots();
        }
        let golden = self.golden();
        let snapshots = Place {
            kind: "VolumeSnapshot",
            namespace: Some(&golden),
            ..CONTENTS
        };
        let kube = &self.ground.kube;
        for object in [
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": golden } }),
            json!({
                "apiVersion": API, "kind": snapshots.kind,
                "metadata": { "name": GOLDEN, "namespace": golden },
                "spec": { "source": { "persistentVolumeClaimName": "data-database-0" } },
            }),
            json!({
                "apiVersion": API, "kind": CONTENTS.kind, "metadata": { "name": golden },
                "spec": {
                    "deletionPolicy": "Delete", "driver": "play.example.com",
                    "source": { "volumeHandle": "volume" }, "sourceVolumeMode": "Filesystem",
                    "volumeSnapshotRef": { "name": GOLDEN, "namespace": golden },
                },
            }),
        ] {
            kube.create(&object).await?;
        }
        let ready = json!({ "readyToUse": true, "boundVolumeSnapshotContentName": golden });
        kube.report(snapshots, GOLDEN, &ready).await?;
        let stored =
            json!({ "readyToUse": true, "snapshotHandle": "snapshot-1", "restoreSize": 1 << 30 });
        kube.report(CONTENTS, &golden, &stored).await?;
        self.progress
            .say(&format!("VolumeSnapshot/{GOLDEN} in {golden} is ready"));
        Ok(())
    }

    /// Somebody deletes the golden snapshot.
    pub(crate) async fn lose_the_golden_snapshot(&self) -> anyhow::Result<()> {
        let golden = self.golden();
        let deadline = Instant::now() + PATIENCE;
        self.ground.kube.remove_namespace(&golden, deadline).await?;
        self.ground.kube.delete(CONTENTS, &golden).await?;
        Ok(())
    }

    /// Has a volume there for the next database: a copy that the server can use.
    pub(crate) async fn restore_a_copy(&mut self) -> anyhow::Result<()> {
        self.restore("").await?;
        self.behave(Behaviour::Fine { log: Vec::new() });
        Ok(())
    }

    /// Has a volume there for the next database: a copy with the files of another major version.
    pub(crate) async fn restore_a_copy_of_version(&mut self, version: &str) -> anyhow::Result<()> {
        self.restore(version).await?;
        let log =
            format!("the snapshot has data of PostgreSQL {version}, and the server is another");
        self.behave(Behaviour::Crash {
            exit_code: 1,
            log: vec![log],
        });
        Ok(())
    }

    /// What the sandbox's PostgreSQL does, which has no files to look at.
    fn behave(&self, behaviour: Behaviour) {
        if let Some(world) = self.ground.world() {
            world.cluster.behave("shop-postgres", behaviour);
        }
    }

    async fn restore(&mut self, version: &str) -> anyhow::Result<()> {
        self.behave(Behaviour::Fine { log: Vec::new() });
        self.copies += 1;
        let copy = format!("{}-copy-{}", self.name, self.copies);
        let script = format!("mkdir \"/volume/$COPY\" && {COPY}");
        let variables = [("COPY", copy.as_str()), ("VERSION", version)];
        self.beside_production(&copy, &script, &variables).await?;

        let production = self.production();
        let volumes = self.list("v1", VOLUMES.kind, None).await?;
        let of_production = |volume: &&Value| volume["spec"]["claimRef"]["namespace"] == production;
        let volume = volumes.iter().find(of_production);
        let spec = &volume.context("production has no volume")?["spec"];
        let path = spec["hostPath"]["path"].as_str();
        let path = path.context("production's volume is no folder of the node")?;
        let volume = json!({
            "apiVersion": "v1", "kind": VOLUMES.kind, "metadata": { "name": copy },
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "capacity": { "storage": "1Gi" },
                "claimRef": { "namespace": format!("{}-pr-7", self.name), "name": "data-database-0" },
                "hostPath": { "path": format!("{path}/{copy}") },
                "persistentVolumeReclaimPolicy": "Delete",
                "storageClassName": spec["storageClassName"],
            },
        });
        self.ground.kube.create(&volume).await?;
        self.progress.say(&format!(
            "{copy} is a volume with a copy of production's database"
        ));
        Ok(())
    }

    /// Runs a script on production's volume, with the environment that leads psql to its database, and these variables.
    async fn beside_production(
        &self,
        name: &str,
        script: &str,
        variables: &[(&str, &str)],
    ) -> anyhow::Result<()> {
        let namespace = self.production();
        let password = json!({ "secretKeyRef": { "name": "database", "key": "password" } });
        let mut env = vec![json!({ "name": "PGPASSWORD", "valueFrom": password })];
        let fixed = [
            ("PGHOST", "database"),
            ("PGUSER", "shop"),
            ("PGDATABASE", "shop"),
        ];
        let all = fixed.iter().chain(variables);
        env.extend(all.map(|(name, value)| json!({ "name": name, "value": value })));
        let container = json!({
            "name": "psql", "image": self.ground.postgres(), "command": ["sh", "-c", script], "env": env,
            "volumeMounts": [{ "name": "data", "mountPath": "/volume" }],
        });
        let claim = json!({ "claimName": "data-database-0" });
        let pod = json!({ "spec": {
            "restartPolicy": "Never", "containers": [container],
            "volumes": [{ "name": "data", "persistentVolumeClaim": claim }],
        } });
        let job = json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": name, "namespace": namespace },
            "spec": { "backoffLimit": 0, "template": pod },
        });
        self.ground.kube.create(&job).await?;
        self.job_is_done(&namespace, name).await
    }

    /// Waits until a Job has done its work.
    ///
    /// # Errors
    /// When it fails, or takes too long.
    pub(super) async fn job_is_done(&self, namespace: &str, name: &str) -> anyhow::Result<()> {
        until(Instant::now() + PATIENCE, async || {
            let job = self
                .object("batch/v1", "Job", Some(namespace), name)
                .await?;
            let status = &job["status"];
            // A pod that failed is made once more while the Job allows: on a busy node a server's Service comes late.
            let conditions = status["conditions"].as_array();
            let has_failed = conditions
                .into_iter()
                .flatten()
                .any(|condition| condition["type"] == "Failed" && condition["status"] == "True");
            ensure!(!has_failed, "Job/{name} in {namespace} failed: {status}");
            Ok(match status["succeeded"] == 1 {
                true => Ok(()),
                false => Err(format!("Job/{name} in {namespace} is not done: {status}")),
            })
        })
        .await
    }

    /// Checks that no VolumeSnapshotContent of a preview is left.
    pub(crate) async fn nothing_restores_a_volume(&self) -> anyhow::Result<()> {
        let left = self.of_this_play(CONTENTS).await?;
        ensure!(left.is_empty(), "VolumeSnapshotContents are left: {left:?}");
        Ok(())
    }

    /// Removes what lies in no namespace.
    pub(super) async fn clear_snapshots(&self) -> anyhow::Result<()> {
        for place in [CONTENTS, VOLUMES] {
            for name in self.of_this_play(place).await? {
                self.ground.kube.delete(place, &name).await?;
            }
        }
        Ok(())
    }

    /// The names in `place` that begin as this play's namespaces do.
    async fn of_this_play(&self, place: Place<'_>) -> anyhow::Result<Vec<String>> {
        let all = self.ground.kube.list(place).await?;
        let names = all
            .iter()
            .map(|object| object["metadata"]["name"].as_str().unwrap_or_default());
        let ours = ["golden", "pr-", "copy-"].map(|of| format!("{}-{of}", self.name));
        let ours = names.filter(|name| ours.iter().any(|begin| name.starts_with(begin)));
        Ok(ours.map(str::to_owned).collect())
    }
}
