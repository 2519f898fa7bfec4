//! Production: exactly its images change, by one run at a time.

use std::collections::BTreeMap;

use kube::api::{
    Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams,
};
use preview_core::names::{CommitSha, Fence, PinnedImage};
use preview_core::objects::{Kind, ObjectName};
use preview_core::ownership::{images_annotation, keys};
use preview_k8s::{Bid, HeldLease, LeaseFacts, Take, TargetFacts, Written};
use serde_json::{Value, json};

use super::stage::Stage;

const OLD: &str = "registry.example/acme/web:old";

fn fence(run: u64) -> Fence {
    Fence { run, attempt: 1 }
}

fn commit(digit: char) -> CommitSha {
    digit.to_string().repeat(40).parse().unwrap()
}

fn shop() -> ObjectName {
    ObjectName::new(Kind::Deployment, "shop")
}

/// A Deployment of two containers and an init container, as a person applies it; at zero replicas, because the images
/// are what matters.
fn shop_spec() -> Value {
    let labels = json!({ "app": "shop" });
    json!({
        "replicas": 0,
        "selector": { "matchLabels": labels },
        "template": {
            "metadata": { "labels": labels },
            "spec": {
                "initContainers": [{ "name": "migrate", "image": OLD }],
                "containers": [
                    { "name": "web", "image": OLD, "env": [{ "name": "SIZE", "value": "large" }] },
                    { "name": "api", "image": "registry.example/acme/api:old" },
                ],
            },
        },
    })
}

impl Stage {
    fn theirs(&self, kind: Kind) -> (Api<DynamicObject>, GroupVersionKind) {
        let (group, version) = kind.api_version().split_once('/').unwrap();
        let gvk = GroupVersionKind::gvk(group, version, kind.as_str());
        let resource = ApiResource::from_gvk(&gvk);
        (
            Api::namespaced_with(self.person.clone(), self.namespace.as_str(), &resource),
            gvk,
        )
    }

    /// A person applies with kubectl.
    async fn kubectl_apply(&self, name: &ObjectName, metadata: Value, spec: Value) {
        let (api, _) = self.theirs(name.kind);
        let mut body = json!({
            "apiVersion": name.kind.api_version(),
            "kind": name.kind.as_str(),
            "metadata": { "name": name.name },
            "spec": spec,
        });
        for (key, value) in metadata.as_object().into_iter().flatten() {
            body["metadata"][key] = value.clone();
        }
        let params = PatchParams::apply("kubectl").force();
        api.patch(&name.name, &params, &Patch::Apply(body))
            .await
            .unwrap();
    }

    async fn in_production(&self) -> (HeldLease, TargetFacts) {
        self.create().await;
        self.kubectl_apply(&shop(), json!({}), shop_spec()).await;
        let lease = self.taken(fence(7), &commit('a')).await;
        (lease, self.target(&shop()).await)
    }

    async fn target(&self, workload: &ObjectName) -> TargetFacts {
        let found = self.us.target(&self.namespace, workload).await.unwrap();
        found.expect("the workload is there")
    }

    async fn take(&self, fence: Fence, commit: &CommitSha) -> Take {
        self.take_over_from(None, fence, commit).await
    }

    /// Asks for the Lease, and may take it from `over`.
    pub(super) async fn take_over_from(
        &self,
        over: Option<Fence>,
        fence: Fence,
        commit: &CommitSha,
    ) -> Take {
        let bid = Bid {
            fence,
            commit,
            over,
            freeze: None,
        };
        let taken = self.us.take_lease(&self.namespace, "production", &bid);
        taken.await.unwrap()
    }

    /// Takes the Lease from `over`.
    async fn taken_from(&self, over: Fence, fence: Fence, commit: &CommitSha) -> HeldLease {
        match self.take_over_from(Some(over), fence, commit).await {
            Take::Taken(lease) => lease,
            other => panic!("{other:?}"),
        }
    }

    async fn taken(&self, fence: Fence, commit: &CommitSha) -> HeldLease {
        match self.take(fence, commit).await {
            Take::Taken(lease) => lease,
            other => panic!("{other:?}"),
        }
    }

    async fn set(
        &self,
        lease: &HeldLease,
        read: &TargetFacts,
        images: &[(&str, &PinnedImage)],
        commit: &CommitSha,
    ) -> Written {
        let images: Vec<_> = images
            .iter()
            .map(|(container, image)| ((*container).to_owned(), (*image).clone()))
            .collect();
        let written = self
            .us
            .set_images(lease, read, &images, commit, &BTreeMap::new())
            .await;
        written.unwrap()
    }
}

fn done(written: Written) -> TargetFacts {
    match written {
        Written::Done(facts) => facts,
        other => panic!("{other:?}"),
    }
}

fn images(facts: &TargetFacts) -> Vec<(&str, &str)> {
    let all = facts.containers.iter();
    all.map(|c| (c.name.as_str(), c.image.as_str())).collect()
}

pub(crate) async fn production_runs_what_was_promoted_and_nothing_else_changes(stage: &Stage) {
    let (lease, read) = stage.in_production().await;
    assert_eq!(
        images(&read),
        [
            ("migrate", OLD),
            ("web", OLD),
            ("api", "registry.example/acme/api:old")
        ]
    );
    assert!(read.container("migrate").unwrap().init);
    assert_eq!(
        (read.commit(), read.images(), &read.reconciler),
        (None, None, &None)
    );
    let before = stage.object(Kind::Deployment, "shop").await.unwrap();

    let [image, _] = &stage.backend.images;
    let noted = BTreeMap::from([(keys::IMAGES.to_owned(), images_annotation([("web", image)]))]);
    let pinned = ["migrate", "web"].map(|container| (container.to_owned(), image.clone()));
    let written = stage
        .us
        .set_images(&lease, &read, &pinned, &commit('a'), &noted)
        .await
        .unwrap();
    let after = done(written);
    let promoted = image.to_string();
    let expected = [
        ("migrate", promoted.as_str()),
        ("web", promoted.as_str()),
        ("api", "registry.example/acme/api:old"),
    ];
    assert_eq!(images(&after), expected);
    assert_eq!(
        images(&after),
        images(&stage.target(&shop()).await),
        "read back"
    );
    assert_eq!(after.commit(), Some(commit('a')));
    assert_eq!(after.images().unwrap()["web"], *image);
    assert_eq!(after.generation, read.generation + 1);

    let mut expected = before;
    for container in ["initContainers", "containers"] {
        expected["spec"]["template"]["spec"][container][0]["image"] = json!(promoted);
    }
    let now = stage.object(Kind::Deployment, "shop").await.unwrap();
    assert_eq!(now["spec"], expected["spec"], "nothing but the images");
}

pub(crate) async fn one_promotion_leaves_the_images_of_another(stage: &Stage) {
    let (lease, read) = stage.in_production().await;
    let [first, second] = &stage.backend.images;
    let read = done(
        stage
            .set(&lease, &read, &[("web", first)], &commit('a'))
            .await,
    );
    let read = done(
        stage
            .set(&lease, &read, &[("api", second)], &commit('b'))
            .await,
    );
    let (first, second) = (first.to_string(), second.to_string());
    let expected = [
        ("migrate", OLD),
        ("web", first.as_str()),
        ("api", second.as_str()),
    ];
    assert_eq!(images(&read), expected);
    assert_eq!(read.commit(), Some(commit('b')));
}

pub(crate) async fn a_promotion_is_taken_back(stage: &Stage) {
    let (lease, before) = stage.in_production().await;
    let [first, second] = &stage.backend.images;
    let promoted = done(
        stage
            .set(&lease, &before, &[("web", first)], &commit('a'))
            .await,
    );
    let again = done(
        stage
            .set(&lease, &promoted, &[("web", second)], &commit('b'))
            .await,
    );
    let back = stage
        .us
        .restore_images(&lease, &again, &promoted)
        .await
        .unwrap();
    let back = done(back);
    assert_eq!(
        (images(&back), back.commit()),
        (images(&promoted), Some(commit('a')))
    );
    let back = stage
        .us
        .restore_images(&lease, &back, &before)
        .await
        .unwrap();
    let back = done(back);
    assert_eq!((images(&back), back.commit()), (images(&before), None));
}

pub(crate) async fn a_cron_job_is_a_target_too(stage: &Stage) {
    stage.create().await;
    let report = ObjectName::new(Kind::CronJob, "report");
    let containers = json!([{ "name": "report", "image": OLD }]);
    let spec = json!({
        "schedule": "0 4 * * *",
        "jobTemplate": { "spec": { "template": { "spec": {
            "restartPolicy": "Never",
            "containers": containers,
        }}}},
    });
    stage.kubectl_apply(&report, json!({}), spec).await;
    let lease = stage.taken(fence(7), &commit('a')).await;
    let read = stage.target(&report).await;
    let [image, _] = &stage.backend.images;
    let after = done(
        stage
            .set(&lease, &read, &[("report", image)], &commit('a'))
            .await,
    );
    assert_eq!(images(&after), [("report", image.to_string().as_str())]);

    let gone = ObjectName::new(Kind::CronJob, "gone");
    assert_eq!(
        stage.us.target(&stage.namespace, &gone).await.unwrap(),
        None
    );
    let service = ObjectName::new(Kind::Service, "web");
    let error = stage
        .us
        .target(&stage.namespace, &service)
        .await
        .unwrap_err();
    insta::assert_snapshot!(stage.told(error), @"read Service/web in NAMESPACE: a Service has no containers; name a Deployment, StatefulSet, DaemonSet or CronJob");
}

pub(crate) async fn a_container_that_does_not_exist_is_not_added(stage: &Stage) {
    let (lease, read) = stage.in_production().await;
    let [image, _] = &stage.backend.images;
    let wrong = [("wbe".to_owned(), image.clone())];
    let written = stage
        .us
        .set_images(&lease, &read, &wrong, &commit('a'), &BTreeMap::new())
        .await;
    insta::assert_snapshot!(written.unwrap_err(), @r#"set images of Deployment/shop: it has no container "wbe", only migrate, web, api; correct the target in preview.toml"#);
    assert_eq!(images(&stage.target(&shop()).await), images(&read));
}

pub(crate) async fn a_target_that_changed_since_it_was_read_is_not_written(stage: &Stage) {
    let (lease, read) = stage.in_production().await;
    let [image, _] = &stage.backend.images;
    let mut spec = shop_spec();
    spec["template"]["spec"]["containers"][0]["env"] = json!([]);
    stage.kubectl_apply(&shop(), json!({}), spec).await;
    let late = stage
        .set(&lease, &read, &[("web", image)], &commit('a'))
        .await;
    assert_eq!(late, Written::Changed);
    assert_eq!(images(&stage.target(&shop()).await), images(&read));

    // A pod more or less is no change: promotions go on while production scales.
    let read = stage.target(&shop()).await;
    let status = Patch::Merge(json!({ "status": { "replicas": 3 } }));
    let (api, _) = stage.theirs(Kind::Deployment);
    let params = PatchParams::default();
    api.patch_status("shop", &params, &status).await.unwrap();
    let [image, _] = &stage.backend.images;
    done(
        stage
            .set(&lease, &read, &[("web", image)], &commit('a'))
            .await,
    );
}

pub(crate) async fn a_target_that_git_reconciles_is_told(stage: &Stage) {
    let (_, read) = stage.in_production().await;
    assert_eq!(read.reconciler, None);
    let tracked = json!({ "annotations": { "argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/shop" } });
    stage.kubectl_apply(&shop(), tracked, shop_spec()).await;
    let told = stage.target(&shop()).await.reconciler;
    assert_eq!(
        told.as_deref(),
        Some("Argo CD (argocd.argoproj.io/tracking-id)")
    );

    let other = ObjectName::new(Kind::Deployment, "other");
    let (api, _) = stage.theirs(Kind::Deployment);
    let mut spec = shop_spec();
    spec["selector"]["matchLabels"] = json!({ "app": "other" });
    spec["template"]["metadata"]["labels"] = json!({ "app": "other" });
    let body = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": "other" },
        "spec": spec,
    });
    let params = PatchParams::apply("kustomize-controller");
    api.patch("other", &params, &Patch::Apply(body))
        .await
        .unwrap();
    let told = stage.target(&other).await.reconciler;
    assert_eq!(
        told.as_deref(),
        Some("Flux (field manager kustomize-controller)")
    );
}

pub(crate) async fn a_lease_has_one_holder_until_one_that_may_takes_it_over(stage: &Stage) {
    stage.create().await;
    let facts = async || {
        stage
            .us
            .lease(&stage.namespace, "production")
            .await
            .unwrap()
    };
    assert_eq!(facts().await, None);
    let older = stage.taken(fence(7), &commit('a')).await;
    let by_older = LeaseFacts {
        holder: Some(fence(7)),
        commit: Some(commit('a')),
        frozen: None,
    };
    assert_eq!(facts().await, Some(by_older));
    assert_eq!(
        stage.taken(fence(7), &commit('a')).await,
        older,
        "it is the same run"
    );

    let by_older = Take::HeldBy {
        fence: fence(7),
        commit: Some(commit('a')),
    };
    assert_eq!(stage.take(fence(8), &commit('b')).await, by_older);
    let (not_the_holder, b) = (Some(fence(6)), commit('b'));
    let other = stage.take_over_from(not_the_holder, fence(8), &b).await;
    assert_eq!(other, by_older, "somebody else holds it");

    let newer = stage.taken_from(fence(7), fence(8), &commit('b')).await;
    let held = Take::HeldBy {
        fence: fence(8),
        commit: Some(commit('b')),
    };
    assert_eq!(stage.take(fence(7), &commit('a')).await, held);
    stage.us.give_back(&older).await.unwrap();
    assert_eq!(
        facts().await.unwrap().holder,
        Some(fence(8)),
        "it was not theirs"
    );

    stage.us.give_back(&newer).await.unwrap();
    let free = LeaseFacts {
        holder: None,
        commit: Some(commit('b')),
        frozen: None,
    };
    assert_eq!(facts().await, Some(free));
    stage.taken(fence(7), &commit('a')).await;
}

pub(crate) async fn a_run_that_lost_its_lease_writes_nothing(stage: &Stage) {
    let (lease, read) = stage.in_production().await;
    let [image, _] = &stage.backend.images;
    let newer = stage.taken_from(fence(7), fence(8), &commit('b')).await;
    let by = Some(fence(8));
    let late = stage
        .set(&lease, &read, &[("web", image)], &commit('a'))
        .await;
    assert_eq!(late, Written::Superseded { by });
    assert_eq!(images(&stage.target(&shop()).await), images(&read));
    stage.us.give_back(&newer).await.unwrap();
    let late = stage
        .set(&lease, &read, &[("web", image)], &commit('a'))
        .await;
    assert_eq!(late, Written::Superseded { by: None });
}

pub(crate) async fn a_frozen_target_is_not_taken(stage: &Stage) {
    stage.create().await;
    let lease = stage.taken(fence(7), &commit('a')).await;
    stage.us.give_back(&lease).await.unwrap();
    let leases: Api<k8s_openapi::api::coordination::v1::Lease> =
        Api::namespaced(stage.person.clone(), stage.namespace.as_str());
    let freeze =
        json!({ "metadata": { "annotations": { keys::FROZEN: "inventory until Monday" } } });
    let params = PatchParams::default();
    leases
        .patch("preview-promote-production", &params, &Patch::Merge(freeze))
        .await
        .unwrap();
    let reason = "inventory until Monday".to_owned();
    assert_eq!(
        stage.take(fence(8), &commit('b')).await,
        Take::Frozen { reason }
    );
    let facts = stage
        .us
        .lease(&stage.namespace, "production")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(facts.holder, None);
}

pub(crate) async fn a_target_is_frozen_by_the_run_that_rolls_it_back_and_thawed_by_anybody(
    stage: &Stage,
) {
    stage.create().await;
    let (us, namespace) = (&stage.us, &stage.namespace);
    let take = async |run: u64, freeze: Option<&str>| {
        let bid = Bid {
            fence: fence(run),
            commit: &commit('a'),
            over: None,
            freeze,
        };
        us.take_lease(namespace, "production", &bid).await.unwrap()
    };
    let Take::Taken(lease) = take(7, Some("wrong prices")).await else {
        panic!("nobody has it")
    };
    let frozen = async || {
        let read = us.lease(namespace, "production").await.unwrap();
        read.and_then(|lease| lease.frozen)
    };
    // It lasts longer than the run's hold on the Lease.
    us.give_back(&lease).await.unwrap();
    assert_eq!(frozen().await.as_deref(), Some("wrong prices"));
    let reason = "wrong prices".to_owned();
    assert_eq!(take(8, None).await, Take::Frozen { reason });
    // Going back further is no promotion.
    let Take::Taken(further) = take(9, Some("older prices, too")).await else {
        panic!("a frozen target may be rolled back further")
    };
    us.give_back(&further).await.unwrap();
    assert_eq!(frozen().await.as_deref(), Some("older prices, too"));

    let thawed = async || us.unfreeze(namespace, "production").await.unwrap();
    assert_eq!(thawed().await.as_deref(), Some("older prices, too"));
    assert_eq!(frozen().await, None);
    assert_eq!(thawed().await, None);
    assert!(matches!(take(10, None).await, Take::Taken(_)));

    // What a person froze is thawed just so.
    let leases: Api<k8s_openapi::api::coordination::v1::Lease> =
        Api::namespaced(stage.person.clone(), namespace.as_str());
    let freeze = json!({ "metadata": { "annotations": { keys::FROZEN: "inventory" } } });
    let (params, freeze) = (PatchParams::default(), Patch::Merge(freeze));
    let patched = leases.patch("preview-promote-production", &params, &freeze);
    patched.await.unwrap();
    assert_eq!(thawed().await.as_deref(), Some("inventory"));
    assert_eq!(us.unfreeze(namespace, "staging").await.unwrap(), None);
}

pub(crate) async fn what_ran_before_a_promotion_is_known_to_every_run_of_it(stage: &Stage) {
    let (lease, read) = stage.in_production().await;
    let [first, second] = &stage.backend.images;
    assert_eq!(read.before(&commit('a')), None);
    let set = async |read: &TargetFacts, image, digit| {
        let images = [("web", image)];
        done(stage.set(&lease, read, &images, &commit(digit)).await)
    };
    let promoted = set(&read, first, 'a').await;
    // The run that did this died, and another one does it again.
    let again = set(&promoted, first, 'a').await;
    assert_eq!(again.generation, promoted.generation, "it was so");
    let before = again.before(&commit('a')).unwrap();
    assert_eq!((images(&before), before.commit()), (images(&read), None));
    assert_eq!(
        again.before(&commit('b')),
        None,
        "of another commit nothing is known"
    );

    let next = set(&again, second, 'b').await;
    let before = next.before(&commit('b')).unwrap();
    assert_eq!(
        (images(&before), before.commit()),
        (images(&again), Some(commit('a')))
    );
    let back = stage
        .us
        .restore_images(&lease, &next, &before)
        .await
        .unwrap();
    assert_eq!(images(&done(back)), images(&again));
}

pub(crate) async fn whoever_set_an_image_before_is_known_until_we_set_it(stage: &Stage) {
    stage.create().await;
    let (api, _) = stage.theirs(Kind::Deployment);
    // Helm writes without server-side apply, and an operator applies after it.
    let body = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "shop" }, "spec": shop_spec(),
    });
    let params = PostParams {
        field_manager: Some("helm".to_owned()),
        ..PostParams::default()
    };
    let body = serde_json::from_value(body).unwrap();
    api.create(&params, &body).await.unwrap();
    let operators = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "shop" },
        "spec": { "template": { "spec": {
            "containers": [{ "name": "api", "image": "registry.example/acme/api:newer" }],
        } } },
    });
    let operator = PatchParams::apply("shop-operator").force();
    api.patch("shop", &operator, &Patch::Apply(operators))
        .await
        .unwrap();

    let lease = stage.taken(fence(7), &commit('a')).await;
    let read = stage.target(&shop()).await;
    let owners = |facts: &TargetFacts| -> Vec<(String, String)> {
        facts.owners.clone().into_iter().collect()
    };
    let owned = |container: &str, by: &str| (container.to_owned(), by.to_owned());
    assert_eq!(
        owners(&read),
        [
            owned("api", "shop-operator"),
            owned("migrate", "helm"),
            owned("web", "helm")
        ]
    );
    let [image, _] = &stage.backend.images;
    let both = [("web", image), ("api", image)];
    let after = done(stage.set(&lease, &read, &both, &commit('a')).await);
    assert_eq!(
        owners(&after),
        [owned("migrate", "helm")],
        "what was not set stays theirs"
    );
    let promoted = image.to_string();
    assert_eq!(
        images(&after),
        [
            ("migrate", OLD),
            ("web", promoted.as_str()),
            ("api", promoted.as_str())
        ]
    );
}
