//! What keeps previews apart, and what they have of the outside: a certificate, and images that are not public.

use std::fs;

use jiff::{ToSpan as _, Zoned, tz::TimeZone};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use sandbox::registry::Image;
use serde_json::{Value, json};

use crate::DEPLOY;
use crate::shop::{Ran, Shop};

const NAMESPACE: &str = "preview-pr-7";
const CERTIFICATE: &str = "preview-wildcard-tls";

type Day = (i32, u8, u8);

/// A day so many days from now.
fn in_days(days: i32) -> Day {
    let today = Zoned::now().with_time_zone(TimeZone::UTC).date();
    let day = today.checked_add(days.days()).unwrap();
    (
        day.year().into(),
        day.month().unsigned_abs(),
        day.day().unsigned_abs(),
    )
}

/// A certificate for `name` in PEM, and its key.
fn certificate(name: &str, from: Day, until: Day) -> [String; 2] {
    let mut parameters = CertificateParams::new([name.to_owned()]).unwrap();
    parameters.not_before = date_time_ymd(from.0, from.1, from.2);
    parameters.not_after = date_time_ymd(until.0, until.1, until.2);
    let key = KeyPair::generate().unwrap();
    [
        parameters.self_signed(&key).unwrap().pem(),
        key.serialize_pem(),
    ]
}

fn good() -> [String; 2] {
    certificate("*.pr.example.com", in_days(-30), in_days(60))
}

/// A shop whose previews share a certificate that is at home in the namespace `ingress-nginx`, once it is there.
async fn shop() -> Shop {
    let shop = Shop::open().await;
    append(&shop, "\n[tls]\n");
    shop.world
        .cluster
        .create_namespace("ingress-nginx")
        .unwrap();
    shop
}

fn append(shop: &Shop, more: &str) {
    let path = shop.path("preview.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(path, text + more).unwrap();
}

/// Puts a certificate in its home, in place of what is there.
fn put(shop: &Shop, of_type: &str, [certificate, key]: [String; 2]) {
    let cluster = &shop.world.cluster;
    cluster.delete(("Secret", "ingress-nginx", CERTIFICATE));
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": of_type,
        "metadata": { "name": CERTIFICATE, "namespace": "ingress-nginx" },
        "stringData": { "tls.crt": certificate, "tls.key": key },
    });
    cluster.create("kubectl-create", secret).unwrap();
}

fn object(shop: &Shop, kind: &str, name: &str) -> Option<Value> {
    shop.world.cluster.object(kind, NAMESPACE, name)
}

/// Deploys pull request `number`, with these variables beside a job's own.
async fn deploy(shop: &Shop, number: u64, variables: &[(&str, String)]) -> Ran {
    let (head, pr) = (shop.repository.head_of(number), number.to_string());
    shop.run(DEPLOY, &["--pr", &pr, "--sha", &head], variables)
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_certificate_nothing_is_made() {
    let shop = shop().await;
    let number = shop.open_pull_request();
    let missing = deploy(&shop, number, &[]).await.exits(1);
    insta::assert_snapshot!(shop.comment(number), @r"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Status**: ⛔ Refused
    **Last Updated**: [now]
    **Commit**: [head]

    ---

    - the certificate in Secret/preview-wildcard-tls of namespace ingress-nginx is not there; put it there (\`kubectl create secret tls\`), or name its home under \[tls\] in preview.toml

    [The run and its log](https://github.com/acme/shop/actions/runs/100/attempts/1)

    <details>
    <summary>Deployment Details</summary>

    - Nothing is deployed

    </details>
    ");
    assert_eq!(shop.world.cluster.object("Namespace", "", NAMESPACE), None);

    let tls = "kubernetes.io/tls";
    let [certificate_of_one, _] = good();
    let bad = [
        ("Opaque", good()),
        (tls, [certificate_of_one, good()[1].clone()]),
        (tls, certificate("*.example.com", in_days(-30), in_days(60))),
        (
            tls,
            certificate("*.pr.example.com", (2019, 1, 1), (2020, 1, 1)),
        ),
        (
            tls,
            certificate("*.pr.example.com", (2100, 1, 1), (2101, 1, 1)),
        ),
        (tls, [String::new(), good()[1].clone()]),
        (tls, [good()[0].clone(), "no key".to_owned()]),
    ];
    let mut told = vec![missing.error()];
    for (of_type, pair) in bad {
        put(&shop, of_type, pair);
        told.push(deploy(&shop, number, &[]).await.exits(1).error());
    }
    insta::assert_snapshot!(told.join("\n"), @r#"
    error: the certificate in Secret/preview-wildcard-tls of namespace ingress-nginx is not there; put it there (`kubectl create secret tls`), or name its home under [tls] in preview.toml
    error: the certificate in Secret/preview-wildcard-tls of namespace ingress-nginx cannot be used: the Secret is of type "Opaque"; make it one of type kubernetes.io/tls
    error: the certificate in Secret/preview-wildcard-tls of namespace ingress-nginx and its key do not belong together; put both there anew
    error: the certificate in Secret/preview-wildcard-tls of namespace ingress-nginx is for *.example.com, and not for 7.pr.example.com; put one there that covers it, or choose another `host` in preview.toml
    error: the certificate in Secret/preview-wildcard-tls of namespace ingress-nginx has expired at 2020-01-01T00:00:00Z; renew it
    error: the certificate in Secret/preview-wildcard-tls of namespace ingress-nginx is not valid before 2100-01-01T00:00:00Z; put one there that is valid now
    error: the certificate in Secret/preview-wildcard-tls of namespace ingress-nginx cannot be used: its tls.crt holds no certificate in PEM; put the certificate there anew
    error: the certificate in Secret/preview-wildcard-tls of namespace ingress-nginx cannot be used: its tls.key holds no private key in PEM; put the certificate there anew
    "#);
    put(
        &shop,
        tls,
        certificate("*.pr.example.com", in_days(-30), in_days(6)),
    );
    let soon = deploy(&shop, number, &[]).await.exits(1).error();
    assert!(soon.ends_with(", within 7 days; renew it"), "{soon}");
    assert_eq!(shop.world.cluster.object("Namespace", "", NAMESPACE), None);
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_copied_and_copied_again_when_it_was_renewed() {
    let shop = shop().await;
    let number = shop.open_pull_request();
    put(&shop, "kubernetes.io/tls", good());
    deploy(&shop, number, &[]).await.exits(0);
    let data = |namespace: &str| {
        let secret = shop.world.cluster.object("Secret", namespace, CERTIFICATE);
        secret.unwrap()["data"].clone()
    };
    let first = data(NAMESPACE);
    assert_eq!(first, data("ingress-nginx"));
    let ingress = object(&shop, "Ingress", "web").unwrap();
    assert_eq!(ingress["spec"]["tls"][0]["secretName"], CERTIFICATE);

    put(&shop, "kubernetes.io/tls", good());
    deploy(&shop, number, &[]).await.exits(0);
    assert_eq!(data(NAMESPACE), data("ingress-nginx"));
    assert_ne!(data(NAMESPACE), first);
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_number_from_another_repository_is_refused_by_name_and_touches_nothing() {
    let shop = Shop::open().await;
    let number = shop.open_pull_request();
    deploy(&shop, number, &[]).await.exits(0);
    let contents = |shop: &Shop| {
        let objects = shop.world.cluster.contents(NAMESPACE);
        let objects = objects.iter().filter_map(|object| {
            let (kind, name) = object.split_once('/')?;
            shop.world.cluster.object(kind, NAMESPACE, name)
        });
        let whole = shop
            .world
            .cluster
            .object("Namespace", "", NAMESPACE)
            .unwrap();
        objects.chain([whole]).collect::<Vec<_>>()
    };
    let before = contents(&shop);
    assert!(before.len() > 20, "{before:#?}");

    let other = shop
        .world
        .github
        .create_repository("acme/other", &[("web/index.html", "another shop")]);
    let same = other.open_pull_request("feature", &[("web/index.html", "changed")]);
    assert_eq!(same, number);
    let (head, built_from) = (other.head_of(same), other.merge_commit_of(same).unwrap());
    for component in ["web", "api"] {
        shop.publish(
            component,
            &head,
            &Image::of(&built_from).containing("other"),
        );
    }
    let arguments = ["--pr", "7", "--sha", &head];
    let slug = [("GITHUB_REPOSITORY", "acme/other".to_owned())];
    let refused = shop.run(DEPLOY, &arguments, &slug).await.exits(1);
    let ids = [shop.repository.id(), other.id()].map(|id| id.to_string());
    let error = refused
        .error()
        .replace(&ids[0], "[shop]")
        .replace(&ids[1], "[other]");
    insta::assert_snapshot!(error, @r#"error: namespace preview-pr-7 is not ours: its label preview-environments/repository-id is "[shop]", not "[other]"; rename that namespace, or choose another `namespace` template in preview.toml"#);
    let comments = other.comments(same);
    assert!(comments[0].1.contains("is not ours"), "{comments:#?}");
    assert_eq!(contents(&shop), before);

    // With the repository in the name there is room for both.
    shop.configure("namespace = \"preview-{repo}-{pr}\"");
    let ran = shop.run(DEPLOY, &arguments, &slug).await.exits(0);
    assert_eq!(ran.output("namespace"), "preview-acme-other-7");
    assert_eq!(
        deploy(&shop, number, &[])
            .await
            .exits(0)
            .output("namespace"),
        "preview-acme-shop-7"
    );
    assert_eq!(contents(&shop), before);
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn images_that_are_not_public_are_pulled_with_a_credential_that_outlives_the_job() {
    let shop = Shop::open().await;
    let number = shop.open_pull_request();
    shop.world.registry.make_private("acme/web");
    let account = shop.world.registry.account();
    let pull = |password: &str| {
        [
            ("PREVIEW_PULL_USER", account.user.clone()),
            ("PREVIEW_PULL_PASSWORD", password.to_owned()),
        ]
    };
    let of_the_job = deploy(&shop, number, &pull("ghs_of_the_job"))
        .await
        .exits(2);
    insta::assert_snapshot!(of_the_job.error(), @"error: PREVIEW_PULL_PASSWORD is the token of a job or an app, which ends within the hour while the preview's nodes go on pulling images; make a token that lives on and may read packages, and keep it as a secret of the environment `preview`");
    assert_eq!(shop.world.cluster.object("Namespace", "", NAMESPACE), None);

    let without = deploy(&shop, number, &[]).await.exits(3);
    assert_eq!(without.result["failure"]["class"], "image", "{without:#?}");
    assert!(without.error().contains("401 Unauthorized"), "{without:#?}");

    deploy(&shop, number, &pull(&account.password))
        .await
        .exits(0);
    let secret = object(&shop, "Secret", "image-pull").unwrap();
    assert_eq!(secret["type"], "kubernetes.io/dockerconfigjson");
    for name in ["preview", "default"] {
        let account = object(&shop, "ServiceAccount", name).unwrap();
        assert_eq!(
            account["imagePullSecrets"],
            json!([{ "name": "image-pull" }])
        );
    }
    // A run that has none takes it away again.
    deploy(&shop, number, &[]).await.exits(3);
    assert_eq!(
        object(&shop, "ServiceAccount", "preview")
            .unwrap()
            .get("imagePullSecrets"),
        None
    );
    shop.close();
}
