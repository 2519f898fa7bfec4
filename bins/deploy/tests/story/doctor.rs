//! What a doctor finds in a shop that is well, and in one that is not.

use std::fs;

use sandbox::github::Environment;
use serde_json::json;

use crate::DEPLOY;
use crate::shop::{Ran, Shop};

/// A shop with everything that it needs.
pub(crate) async fn healthy() -> Shop {
    healthy_in(Shop::open().await)
}

pub(crate) fn healthy_in(shop: Shop) -> Shop {
    shop.open_pull_request();
    let repository = &shop.repository;
    repository.add_workflow("deploy.yml");
    repository.set_environment(Environment::new("preview-approval").reviewers(&["anna"]));
    repository.set_environment(Environment::new("preview").branches(&["main"]));
    repository.set_environment(Environment::new("production").protected_branches());
    let class = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {
            "name": "nginx",
            "annotations": { "ingressclass.kubernetes.io/is-default-class": "true" },
        },
        "spec": { "controller": "k8s.io/ingress-nginx" },
    });
    shop.world.cluster.create("helm", class).unwrap();
    shop
}

pub(crate) async fn doctor(shop: &Shop, variables: &[(&str, String)]) -> Ran {
    shop.run(DEPLOY, &["doctor"], variables).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_shop_lacks_nothing() {
    let shop = healthy().await;
    let ran = doctor(&shop, &[]).await.exits(0);
    insta::assert_snapshot!(ran.stdout, @r"
    ✓ GitHub token: the token of a job, github-actions[bot]; it reads acme/shop
    – GitHub rights: what the token may write shows when it does; a job needs permissions: { actions: write, contents: read, deployments: write, issues: read, pull-requests: write, statuses: write }
    – limits of the token: what it does starts no workflow but by dispatch: what is merged with it is promoted by the schedule; it ends with the job: nodes pull with another (PREVIEW_PULL_PASSWORD); it has 1,000 requests an hour for the repository
    ✓ environment preview-approval: usable from any branch; somebody approves
    ✓ environment preview: limited to branches by name; nobody has to approve
    ✓ environment production: limited to protected branches; nobody has to approve
    ✓ workflows: 2 of them, none switched off
    ✓ record key: PREVIEW_RECORD_KEY is there, and long enough
    ✓ images of web: registry.test/acme/web can be read, and has no latest yet
    ✓ images of api: registry.test/acme/api can be read, and has no latest yet
    ✓ cluster: https://cluster.test answers, to sandbox
    ✓ rights: sandbox has all 91 rights that it needs
    ✓ kinds: all 15 that previews are made of are served
    ✓ default IngressClass: nginx
    ✓ default StorageClass: standard
    – NetworkPolicies: no network plugin runs that is known to enforce them; where none does, a preview reaches all that its node reaches
        kubectl -n preview-pr-N exec deploy/COMPONENT -- wget -T 3 -O - http://169.254.169.254/  # has to time out
    healthy: none of 16 checks misses anything
    ");
    let findings = ran.result["findings"].as_array().unwrap();
    assert!(
        findings
            .iter()
            .all(|finding| finding["health"] != "missing")
    );
    // GraphQL takes questions by POST.
    let writes =
        |exchange: &sandbox::Exchange| exchange.method != "GET" && exchange.target != "/graphql";
    let github = shop.world.github.traffic().exchanges();
    assert!(!github.iter().any(writes), "{github:#?}");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_missing_is_told_with_the_command_that_mends_it() {
    let shop = Shop::open().await;
    shop.open_pull_request();
    let path = shop.path("preview.toml");
    let text = fs::read_to_string(&path).unwrap();
    let seeded = "[database]\nseed.snapshot = { namespace = \"golden\", name = \"shop\" }\n";
    let text = text.replace("[database]\n", seeded);
    fs::write(&path, text + "\n[tls]\n").unwrap();
    shop.repository.set_environment(Environment::new("preview"));
    shop.repository.add_workflow("sweep.yml");
    shop.repository.disable_workflow("sweep.yml");
    let cluster = &shop.world.cluster;
    assert!(cluster.delete(("StorageClass", "", "standard")));
    for verb in ["create", "patch"] {
        cluster.forbid(verb, "networkpolicies.networking.k8s.io");
    }
    cluster.forbid("get", "pods/log");
    cluster.forbid("list", "daemonsets.apps");
    let variables = [
        ("PREVIEW_RECORD_KEY", "short".to_owned()),
        ("PREVIEW_REGISTRY_PASSWORD", "wrong".to_owned()),
    ];
    let ran = doctor(&shop, &variables).await.exits(1);
    insta::assert_snapshot!(ran.stdout, @r#"
    ✓ GitHub token: the token of a job, github-actions[bot]; it reads acme/shop
    – GitHub rights: what the token may write shows when it does; a job needs permissions: { actions: write, contents: read, deployments: write, issues: read, pull-requests: write, statuses: write }
    – limits of the token: what it does starts no workflow but by dispatch: what is merged with it is promoted by the schedule; it ends with the job: nodes pull with another (PREVIEW_PULL_PASSWORD); it has 1,000 requests an hour for the repository
    ✗ environment preview-approval: it is not there, and a workflow that names it creates it without protection
        gh api --method PUT repos/acme/shop/environments/preview-approval -F 'reviewers[][type]=User' -F 'reviewers[][id]=ID'
    ✗ environment preview: usable from any branch; nobody has to approve
        gh api --method PUT repos/acme/shop/environments/preview -F reviewers=null -F 'deployment_branch_policy[protected_branches]=true' -F 'deployment_branch_policy[custom_branch_policies]=false'
    ✗ environment production: it is not there, and a workflow that names it creates it without protection
        gh api --method PUT repos/acme/shop/environments/production -F 'deployment_branch_policy[protected_branches]=true' -F 'deployment_branch_policy[custom_branch_policies]=false'
    ✗ workflow sweep.yml: switched off after 60 days without activity
        gh workflow enable sweep.yml --repo acme/shop
    ✗ record key: the record key (PREVIEW_RECORD_KEY) has 5 bytes and needs 32; make one with `openssl rand -hex 32` and keep it as a secret of the protected environments
        openssl rand -hex 32 | gh secret set PREVIEW_RECORD_KEY --env preview
    ✗ images of web: resolve registry.test/acme/web:latest: registry.test refuses: 403 DENIED: requested access to the resource is denied; check that its credential is valid, that the image exists, and that the account may pull it
        gh secret set PREVIEW_REGISTRY_PASSWORD --env preview
    ✗ images of api: resolve registry.test/acme/api:latest: registry.test refuses: 403 DENIED: requested access to the resource is denied; check that its credential is valid, that the image exists, and that the account may pull it
        gh secret set PREVIEW_REGISTRY_PASSWORD --env preview
    ✓ cluster: https://cluster.test answers, to sandbox
    ✗ rights to pods/log: sandbox may not get
        kubectl create clusterrole preview-deploy-pods-log --verb=get --resource=pods/log && kubectl create clusterrolebinding preview-deploy-pods-log --clusterrole=preview-deploy-pods-log --user=sandbox
    ✗ rights to networkpolicies.networking.k8s.io: sandbox may not create, patch
        kubectl create clusterrole preview-deploy-networkpolicies.networking.k8s.io --verb=create,patch --resource=networkpolicies.networking.k8s.io && kubectl create clusterrolebinding preview-deploy-networkpolicies.networking.k8s.io --clusterrole=preview-deploy-networkpolicies.networking.k8s.io --user=sandbox
    ✗ rights to daemonsets.apps: sandbox may not list
        kubectl create clusterrole preview-deploy-daemonsets.apps --verb=list --resource=daemonsets.apps && kubectl create clusterrolebinding preview-deploy-daemonsets.apps --clusterrole=preview-deploy-daemonsets.apps --user=sandbox
    ✗ kind VolumeSnapshot: the cluster does not serve it in snapshot.storage.k8s.io/v1
        kubectl api-resources --api-group=snapshot.storage.k8s.io
    ✗ kind VolumeSnapshotContent: the cluster does not serve it in snapshot.storage.k8s.io/v1
        kubectl api-resources --api-group=snapshot.storage.k8s.io
    ✗ default IngressClass: no class is the default; the cluster has no IngressClass at all, and ingress.class in preview.toml may name one
        kubectl annotate ingressclass NAME ingressclass.kubernetes.io/is-default-class=true
    ✗ default StorageClass: no class is the default; the cluster has no StorageClass at all, and database.storage_class in preview.toml may name one
        kubectl annotate storageclass NAME storageclass.kubernetes.io/is-default-class=true
    ✗ certificate: the certificate in Secret/preview-wildcard-tls of namespace ingress-nginx is not there; put it there (`kubectl create secret tls`), or name its home under [tls] in preview.toml
        kubectl -n ingress-nginx create secret tls preview-wildcard-tls --cert=FILE --key=FILE
    – NetworkPolicies: list the DaemonSets of all namespaces: the cluster forbids it: daemonsets.apps is forbidden: User "sandbox" cannot list resource "daemonsets" in API group "apps" at the cluster scope; grant the account of KUBECONFIG this right, or use another account
    missing: 15 of 20 checks miss something; what mends it stands below each
    "#);
    assert!(
        ran.summary
            .contains("| ✗ | workflow sweep.yml | switched off after 60 days without activity |"),
        "{}",
        ran.summary
    );
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_cannot_be_reached_stops_no_other_check() {
    let shop = healthy().await;
    let missing = shop.path("none").display().to_string();
    let ran = doctor(&shop, &[("KUBECONFIG", missing)]).await.exits(1);
    let crosses = ran.stdout.lines().filter(|line| line.starts_with('✗'));
    let crosses: Vec<&str> = crosses.collect();
    insta::assert_snapshot!(crosses.join("\n"), @"✗ cluster: connect to the cluster: @JOB@/none: No such file or directory (os error 2); set KUBECONFIG to a file that names a cluster and an account");
    shop.close();
}
