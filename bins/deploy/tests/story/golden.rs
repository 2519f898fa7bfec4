//! A database that begins as a copy of the golden snapshot.

use sandbox::cluster::Behaviour;
use serde_json::{Value, json};

use crate::DEPLOY;
use crate::database::{deploy, shop, volume_claim};
use crate::shop::{Ran, Shop};

const SNAPSHOT: &str = "seed.snapshot = { namespace = \"golden\", name = \"shop-sanitised\" }";

/// A shop whose databases are made from the golden snapshot, on a cluster that knows of snapshots.
async fn shop_of_snapshots() -> (Shop, u64) {
    let (shop, number) = shop(SNAPSHOT).await;
    shop.world.cluster.install_volume_snapshots();
    shop.world.cluster.create_namespace("golden").unwrap();
    (shop, number)
}

fn create(shop: &Shop, object: Value) {
    let made = shop.world.cluster.create("kubectl-create", object);
    made.unwrap();
}

/// Somebody takes the golden snapshot, in place of the one before; the storage calls it `handle`.
fn take_golden(shop: &Shop, handle: &str, restore_size: u64) {
    let (snapshot, content) = (
        ("VolumeSnapshot", "golden", "shop-sanitised"),
        ("VolumeSnapshotContent", "", "snapcontent-1"),
    );
    let cluster = &shop.world.cluster;
    for object in [snapshot, content] {
        cluster.delete(object);
    }
    let api = "snapshot.storage.k8s.io/v1";
    create(
        shop,
        json!({
            "apiVersion": api,
            "kind": snapshot.0,
            "metadata": { "name": snapshot.2, "namespace": snapshot.1 },
            "spec": { "source": { "persistentVolumeClaimName": "sanitised" } },
        }),
    );
    create(
        shop,
        json!({
            "apiVersion": api,
            "kind": content.0,
            "metadata": { "name": content.2 },
            "spec": {
                "deletionPolicy": "Delete",
                "driver": "csi.example.com",
                "source": { "volumeHandle": "volume-of-sanitised" },
                "sourceVolumeMode": "Filesystem",
                "volumeSnapshotRef": { "name": snapshot.2, "namespace": snapshot.1 },
            },
        }),
    );
    let ready = json!({ "readyToUse": true, "boundVolumeSnapshotContentName": content.2 });
    assert!(cluster.report(snapshot, ready));
    let stored =
        json!({ "readyToUse": true, "snapshotHandle": handle, "restoreSize": restore_size });
    assert!(cluster.report(content, stored));
}

/// Does what a CSI driver would do once the claim is there: has a volume for it.
fn restore_volume(shop: &Shop, name: &str) {
    create(
        shop,
        json!({
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": { "name": name },
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "capacity": { "storage": "1Gi" },
                "claimRef": { "namespace": "preview-pr-7", "name": "data-database-0" },
                "hostPath": { "path": format!("/tmp/{name}") },
                "persistentVolumeReclaimPolicy": "Delete",
            },
        }),
    );
}

async fn reset(shop: &Shop, number: u64) -> Ran {
    let (head, number) = (shop.repository.head_of(number), number.to_string());
    let arguments = ["--pr", &number, "--sha", &head, "--reset-database"];
    shop.run(DEPLOY, &arguments, &[]).await
}

/// What was done to snapshots and database.
fn steps(shop: &Shop, ran: &Ran) -> String {
    let steps = shop.without_hashes(&ran.steps());
    let of_database = |line: &&str| line.contains("Snapshot") || line.contains("database");
    let lines = steps.lines().filter(of_database);
    lines.collect::<Vec<_>>().join("\n")
}

/// The preview's own VolumeSnapshotContents.
fn contents(shop: &Shop) -> Vec<String> {
    let mut names = shop.world.cluster.names("VolumeSnapshotContent", "");
    names.retain(|name| name.starts_with("preview-"));
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_begins_as_a_copy_of_the_golden_snapshot() {
    let (shop, number) = shop_of_snapshots().await;
    take_golden(&shop, "snap-1", 1 << 30);
    restore_volume(&shop, "restored-1");
    let ran = deploy(&shop, number).await.exits(0);
    insta::assert_snapshot!(steps(&shop, &ran), @r"
    ✓ apply VolumeSnapshotContent/preview-pr-7-database-[x], VolumeSnapshot/database-[x]
    ✓ apply StatefulSet/database, Service/database
    ✓ await StatefulSet/database
    ✓ apply ConfigMap/database-state
    ✓ comment on #7: ⏳ Deploying — migrating the database
    ✓ apply ConfigMap/database-state
    ✓ apply ConfigMap/database-state
    ");
    let made = contents(&shop);
    let content = shop
        .world
        .cluster
        .object("VolumeSnapshotContent", "", &made[0])
        .unwrap();
    insta::assert_snapshot!(shop.without_hashes(&content["spec"].to_string()), @r#"{"deletionPolicy":"Retain","driver":"csi.example.com","source":{"snapshotHandle":"snap-1"},"sourceVolumeMode":"Filesystem","volumeSnapshotRef":{"name":"database-[x]","namespace":"preview-pr-7"}}"#);
    let claim = ("PersistentVolumeClaim", "preview-pr-7", "data-database-0");
    let claim = shop
        .world
        .cluster
        .object(claim.0, claim.1, claim.2)
        .unwrap();
    insta::assert_snapshot!(shop.without_hashes(&claim["spec"]["dataSource"].to_string()), @r#"{"apiGroup":"snapshot.storage.k8s.io","kind":"VolumeSnapshot","name":"database-[x]"}"#);

    // It is kept, whatever becomes of the golden snapshot, and nothing is done to it.
    let golden = ("VolumeSnapshot", "golden", "shop-sanitised");
    assert!(shop.world.cluster.delete(golden));
    let volume = volume_claim(&shop);
    let ran = deploy(&shop, number).await.exits(0);
    insta::assert_snapshot!(steps(&shop, &ran), @r"
    = apply VolumeSnapshotContent/preview-pr-7-database-[x], VolumeSnapshot/database-[x]
    = apply StatefulSet/database, Service/database
    ✓ await StatefulSet/database
    = apply ConfigMap/database-state
    ");
    assert_eq!(volume_claim(&shop), volume);

    // Without one there can be no fresh database, and the one that is there stays.
    let ran = reset(&shop, number).await.exits(1);
    insta::assert_snapshot!(ran.error(), @"error: the golden snapshot VolumeSnapshot/shop-sanitised of namespace golden is not there; take it, or name another one under [database.seed] in preview.toml");
    assert_eq!(volume_claim(&shop), volume);

    take_golden(&shop, "snap-2", 1 << 30);
    restore_volume(&shop, "restored-2");
    reset(&shop, number).await.exits(0);
    assert_ne!(volume_claim(&shop), volume);
    let made_anew = contents(&shop);
    assert_eq!((made.len(), made_anew.len()), (1, 1));
    assert_ne!(made, made_anew);
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_golden_snapshot_that_will_not_do_is_refused_before_anything_is_there() {
    let (shop, number) = shop(SNAPSHOT).await;
    let mut told = vec![deploy(&shop, number).await.exits(1).verdict()];
    shop.world.cluster.install_volume_snapshots();
    shop.world.cluster.create_namespace("golden").unwrap();
    told.push(deploy(&shop, number).await.exits(1).verdict());
    take_golden(&shop, "snap-1", 5 << 30);
    told.push(deploy(&shop, number).await.exits(1).verdict());
    let snapshot = ("VolumeSnapshot", "golden", "shop-sanitised");
    let taking = json!({ "readyToUse": false, "error": { "message": "the driver is busy" } });
    assert!(shop.world.cluster.report(snapshot, taking));
    told.push(deploy(&shop, number).await.exits(1).verdict());
    insta::assert_snapshot!(told.join("\n"), @r#"
    refused: the cluster does not serve VolumeSnapshot of snapshot.storage.k8s.io/v1, and the preview has one: install the definitions of CSI volume snapshots there, or have preview.toml name another seed; the cluster does not serve VolumeSnapshotContent of snapshot.storage.k8s.io/v1, and the preview has one: install the definitions of CSI volume snapshots there, or have preview.toml name another seed
    refused: the golden snapshot VolumeSnapshot/shop-sanitised of namespace golden is not there; take it, or name another one under [database.seed] in preview.toml
    refused: the golden snapshot VolumeSnapshot/shop-sanitised of namespace golden needs a volume of 5Gi at least, and database.size is 1Gi; write size = "5Gi" under [database] in preview.toml
    refused: the golden snapshot VolumeSnapshot/shop-sanitised of namespace golden is not ready to use: the driver is busy; see to it there, and deploy again
    "#);
    let namespace = shop.world.cluster.object("Namespace", "", "preview-pr-7");
    assert!(namespace.is_none());
    assert!(shop.comment(number).contains("⛔ Refused"));
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_cannot_be_used_is_told_with_the_words_of_whoever_looked_at_it() {
    let (shop, number) = shop_of_snapshots().await;
    take_golden(&shop, "snap-1", 1 << 30);
    restore_volume(&shop, "restored-1");
    let log = "the snapshot has data of PostgreSQL 16, and the server is 17.2: set database.version to \"16\"";
    let refuses = Behaviour::Crash {
        exit_code: 1,
        log: vec![log.to_owned()],
    };
    shop.world.cluster.behave("library/postgres", refuses);
    let ran = deploy(&shop, number).await.exits(3);
    assert_eq!(ran.result["failure"]["class"], "database");
    let comment = shop.comment(number);
    let (_, told) = comment.split_once("---\n").unwrap();
    let (told, _) = told.split_once("[The run").unwrap();
    insta::assert_snapshot!(told, @r#"
    **What failed**: database does not come up — `StatefulSet/database`, pod `database-0`, container `restored`
    **Message**: ended with exit code 1 (Error)
    **Who acts**: whoever operates the previews
    **Next**: `kubectl -n preview-pr-7 logs database-0 -c restored`

    The last lines it printed:

    ```text
    the snapshot has data of PostgreSQL 16, and the server is 17.2: set database.version to "16"
    ```
    "#);
    shop.close();
}
