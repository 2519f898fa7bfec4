//! Copies of the certificate that previews share.

use rcgen::{CertificateParams, KeyPair};

use crate::sweep::{previewed, swept};
use crate::*;

/// The name of the certificate's Secret, in its home and in previews.
const NAME: &str = "preview-wildcard-tls";
const HOME: &str = "ingress-nginx";

/// A shop whose previews share a certificate.
async fn shop() -> Shop {
    let shop = Shop::open().await;
    shop.configure("tls = {}");
    shop.world.cluster.create_namespace(HOME).unwrap();
    renew(&shop);
    shop
}

/// Puts another certificate in its home.
fn renew(shop: &Shop) {
    let parameters = CertificateParams::new(["*.pr.example.com".to_owned()]).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = parameters.self_signed(&key).unwrap().pem();
    let cluster = &shop.world.cluster;
    cluster.delete(("Secret", HOME, NAME));
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": { "name": NAME, "namespace": HOME },
        "stringData": { "tls.crt": certificate, "tls.key": key.serialize_pem() } });
    cluster.create("kubectl-create", secret).unwrap();
}

fn held(shop: &Shop, namespace: &str) -> Value {
    let secret = shop.world.cluster.object("Secret", namespace, NAME);
    secret.unwrap()["data"].clone()
}

/// A preview with a copy of what is in the certificate's home now.
fn with_a_copy(shop: &Shop, branch: &str) -> u64 {
    let number = previewed(shop, branch);
    let copy = json!({ "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "data": held(shop, HOME),
        "metadata": { "name": NAME, "namespace": format!("preview-pr-{number}"),
            "labels": owner(shop, number).labels() } });
    shop.world.cluster.create("preview-deploy", copy).unwrap();
    number
}

/// How often a sweep of so many previews, all with the newest certificate, asks the cluster.
async fn requests_of(previews: usize) -> usize {
    let shop = shop().await;
    for index in 0..previews {
        with_a_copy(&shop, &format!("open-{index}"));
    }
    let ran = shop.run(CLEANUP, &["sweep"], &[]).await.exits(0);
    assert_eq!(swept(&ran), "");
    shop.close();
    shop.world.cluster.traffic().exchanges().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn previews_with_the_newest_certificate_cost_no_request() {
    assert_eq!(requests_of(2).await, requests_of(12).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn older_copies_of_the_certificate_are_renewed() {
    let shop = shop().await;
    let older = with_a_copy(&shop, "older");
    renew(&shop);
    let newest = with_a_copy(&shop, "newest");
    let none = previewed(&shop, "none");
    let ran = shop.run(CLEANUP, &["sweep"], &[]).await.exits(0);
    insta::assert_snapshot!(swept(&ran), @"preview-pr-7 renewed: its copy of Secret/preview-wildcard-tls of namespace ingress-nginx was an older one");
    for number in [older, newest] {
        assert_eq!(
            held(&shop, &format!("preview-pr-{number}")),
            held(&shop, HOME)
        );
    }
    let namespace = format!("preview-pr-{none}");
    assert!(
        shop.world
            .cluster
            .object("Secret", &namespace, NAME)
            .is_none()
    );
    let again = shop.run(CLEANUP, &["sweep"], &[]).await.exits(0);
    assert_eq!(again.verdict(), "swept: 3 previews, nothing to do");

    // What may not be listed is warned of, and keeps nothing else.
    renew(&shop);
    shop.repository.close(newest);
    shop.world.cluster.forbid("list", "secrets");
    let ran = shop.run(CLEANUP, &["sweep"], &[]).await.exits(0);
    let warning = ran.stdout.lines().find(|line| line.starts_with("warning"));
    insta::assert_snapshot!(warning.unwrap(), @r#"warning: no copy of Secret/preview-wildcard-tls of namespace ingress-nginx is renewed: list the Secrets preview-wildcard-tls with app.kubernetes.io/managed-by=preview-environments,preview-environments/repository-id=700001003: the cluster forbids it: secrets is forbidden: User "sandbox" cannot list resource "secrets" in API group "" at the cluster scope; grant the account of KUBECONFIG this right, or use another account"#);
    assert!(!is_there(&shop, newest));
    shop.close();
}
