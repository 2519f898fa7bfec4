//! Namespaces end, with all that is in them, and tell what is in the way.

use serde_json::{Value, json};

use crate::client::{Desk, deployment};

const SHOP: &str = "/api/v1/namespaces/shop";

fn told(namespace: &Value, kind: &str) -> Option<(String, String)> {
    let conditions = namespace["status"]["conditions"].as_array()?;
    let told = conditions.iter().find(|c| c["type"] == kind)?;
    let text = |key: &str| told[key].as_str().unwrap_or_default().to_owned();
    Some((text("status"), text("message")))
}

#[tokio::test]
async fn a_namespace_takes_its_contents_along_and_waits_for_its_finalizers() {
    let desk = Desk::open().await;
    desk.has(deployment("web", "acme/web:1", 2)).await;
    desk.until("two pods", |cluster| {
        (cluster.pods("shop").len() == 2).then_some(())
    })
    .await;
    let (status, _) = desk
        .merge(
            SHOP,
            json!({ "metadata": { "finalizers": ["example.com/ours"] } }),
        )
        .await;
    assert_eq!(status, 200);
    desk.has(json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": "held", "finalizers": ["example.com/held"] },
    }))
    .await;

    let (status, answer) = desk.delete(SHOP, Value::Null).await;
    assert_eq!(
        (status, &answer["status"]["phase"]),
        (200, &json!("Terminating"))
    );
    let late = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "late" } });
    let (status, answer) = desk.apply(&format!("{SHOP}/configmaps/late"), late).await;
    assert_eq!(status, 403);
    assert_eq!(
        answer["details"]["causes"][0]["reason"],
        "NamespaceTerminating"
    );
    assert_eq!(
        answer["message"],
        "configmaps \"late\" is forbidden: unable to create new content in namespace shop because it is being \
         terminated"
    );

    let blocked = desk
        .until("only what is held", |cluster| {
            let left = cluster.contents("shop") == ["ConfigMap/held"];
            let shop = cluster.object("Namespace", "", "shop")?;
            let remaining = told(&shop, "NamespaceContentRemaining")?;
            (left && remaining.1.contains("configmaps. has 1") && !remaining.1.contains("pods"))
                .then_some(shop)
        })
        .await;
    assert_eq!(
        told(&blocked, "NamespaceContentRemaining").unwrap().1,
        "Some resources are remaining: configmaps. has 1 resource instances"
    );
    assert_eq!(
        told(&blocked, "NamespaceFinalizersRemaining").unwrap().1,
        "Some content in the namespace has finalizers remaining: example.com/held in 1 resource instances"
    );

    let held = format!("{SHOP}/configmaps/held");
    desk.merge(&held, json!({ "metadata": { "finalizers": null } }))
        .await;
    let waiting = desk
        .until("an empty namespace", |cluster| {
            let shop = cluster.object("Namespace", "", "shop")?;
            shop["spec"].get("finalizers").is_none().then_some(shop)
        })
        .await;
    assert_eq!(
        waiting["metadata"]["finalizers"],
        json!(["example.com/ours"])
    );
    assert_eq!(
        told(&waiting, "NamespaceContentRemaining").unwrap().0,
        "False"
    );
    desk.merge(SHOP, json!({ "metadata": { "finalizers": [] } }))
        .await;
    assert_eq!(desk.get(SHOP).await.0, 404);
    let (status, again) = desk
        .apply(
            SHOP,
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "shop" } }),
        )
        .await;
    assert_eq!(status, 201);
    assert_ne!(again["metadata"]["uid"], waiting["metadata"]["uid"]);
}

#[tokio::test]
async fn a_namespace_is_changed_by_compare_and_set() {
    let desk = Desk::open().await;
    let (_, read) = desk.get(SHOP).await;
    let claim = |who: &str| {
        json!({
            "metadata": {
                "uid": read["metadata"]["uid"],
                "resourceVersion": read["metadata"]["resourceVersion"],
                "annotations": { "example.com/claim": who, "example.com/none": null },
            },
        })
    };
    let (first, changed) = desk.merge(SHOP, claim("one")).await;
    let (second, answer) = desk.merge(SHOP, claim("two")).await;
    assert_eq!((first, second), (200, 409), "{answer}");
    assert_eq!(
        changed["metadata"]["annotations"],
        json!({ "example.com/claim": "one" })
    );
    assert_eq!(
        changed["metadata"]["labels"]["kubernetes.io/metadata.name"],
        "shop"
    );
    let (_, same) = desk
        .merge(
            SHOP,
            json!({ "metadata": { "annotations": { "example.com/claim": "one" } } }),
        )
        .await;
    assert_eq!(
        same["metadata"]["resourceVersion"],
        changed["metadata"]["resourceVersion"]
    );
}

#[tokio::test]
async fn volumes_of_a_namespace_go_with_it_unless_they_are_retained() {
    let desk = Desk::open().await;
    let claim = |name: &str| {
        json!({
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": { "name": name },
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": { "requests": { "storage": "1Gi" } },
            },
        })
    };
    let bound = |count: usize| {
        move |cluster: &sandbox::cluster::Cluster| {
            let volumes = cluster.objects("PersistentVolume", "");
            let all = volumes
                .iter()
                .all(|volume| volume["status"]["phase"] == "Bound");
            (all && volumes.len() == count).then_some(())
        }
    };
    desk.has(claim("first")).await;
    desk.until("a volume", bound(1)).await;
    desk.cluster.retain_volumes();
    desk.has(claim("second")).await;
    desk.until("two volumes", bound(2)).await;
    desk.delete(SHOP, Value::Null).await;
    let left = desk
        .until("the end", |cluster| {
            let volumes = cluster.objects("PersistentVolume", "");
            let gone = cluster.object("Namespace", "", "shop").is_none();
            (gone && volumes.len() == 1).then_some(volumes)
        })
        .await;
    assert_eq!(left[0]["spec"]["persistentVolumeReclaimPolicy"], "Retain");
    desk.until("a released volume", |cluster| {
        let volumes = cluster.objects("PersistentVolume", "");
        (volumes[0]["status"]["phase"] == "Released").then_some(())
    })
    .await;
}
