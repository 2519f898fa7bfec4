//! Volumes that their own policy keeps.

use crate::*;

fn volumes(shop: &Shop) -> Vec<Value> {
    shop.world.cluster.objects("PersistentVolume", "")
}

/// A pull request whose preview has a volume of the reclaim policy `Retain`.
async fn with_a_retained_volume(shop: &Shop) -> u64 {
    let number = opened(shop);
    namespace(shop, number, shop.repository.id());
    shop.repository
        .comment_as_bot(number, &format!("{MARKER}\nReady"));
    shop.world.cluster.retain_volumes();
    let claim = json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": { "name": "data-database-0", "namespace": "preview-pr-7" },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } } });
    shop.world.cluster.create("preview-deploy", claim).unwrap();
    shop::soon("the volume is bound", || {
        let all = volumes(shop);
        all.iter()
            .any(|volume| volume["status"]["phase"] == "Bound")
    })
    .await;
    number
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_its_own_policy_keeps_is_named_and_holds_nothing_up() {
    let shop = Shop::open().await;
    let number = with_a_retained_volume(&shop).await;
    shop.repository.close(number);
    on_closed(&shop, number).await.exits(0);
    assert_eq!(volumes(&shop).len(), 1);
    insta::assert_snapshot!(told(&shop, number), @r"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Status**: 🗑️ Destroyed
    **Last Updated**: [now]
    **Commit**: [head]

    ---

    - ✅ `Namespace/preview-pr-7` gone: no Namespace has uid [uid]
    - ✅ `pods` gone
    - ✅ `PersistentVolumeClaim/data-database-0` gone: no claim has uid [uid]
    - ⚠️ `PersistentVolume/pvc-[uid]` kept: its reclaim policy is Retain; delete it when its data is not needed any more

    [The run and its log](https://github.com/acme/shop/actions/runs/100/attempts/1)

    <details>
    <summary>Deployment Details</summary>

    - Nothing is deployed

    </details>
    ");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_its_own_policy_keeps_goes_where_that_is_configured() {
    let shop = Shop::open().await;
    shop.configure("cleanup = { delete_retained_volumes = true }");
    let number = with_a_retained_volume(&shop).await;
    shop.repository.close(number);
    on_closed(&shop, number).await.exits(0);
    assert_eq!(volumes(&shop), Vec::<Value>::new());
    let comment = shop.without_uids(&shop.comment(number));
    let told = comment.lines().filter(|line| line.contains("Volume/"));
    insta::assert_snapshot!(told.collect::<Vec<_>>().join("\n"), @"- ✅ `PersistentVolume/pvc-[uid]` gone: no volume is of claim [uid]; its reclaim policy was Retain, so the storage behind it stays with whoever provides it");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_right_to_delete_it_is_told() {
    let shop = Shop::open().await;
    shop.configure("cleanup = { delete_retained_volumes = true }");
    let number = with_a_retained_volume(&shop).await;
    shop.world.cluster.forbid("delete", "persistentvolumes");
    shop.repository.close(number);
    let ran = on_closed(&shop, number).await.exits(3);
    insta::assert_snapshot!(shop.without_uids(&ran.error()), @r#"error: delete PersistentVolume/pvc-[uid]: the cluster forbids it: persistentvolumes "pvc-[uid]" is forbidden: User "sandbox" cannot delete resource "persistentvolumes" in API group "" at the cluster scope; grant the account of KUBECONFIG this right, or use another account"#);
    assert_eq!(volumes(&shop).len(), 1);
    shop.close();
}
