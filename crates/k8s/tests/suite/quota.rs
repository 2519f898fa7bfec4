//! What the arithmetic says of a namespace's quota, and what the quota controller says.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use preview_core::health::{FailureClass, Rollout};
use preview_core::objects::{Kind, Manifest, ObjectName};
use preview_core::ownership::{Owner, keys};
use preview_core::quota::{
    Budget, Filled, Left, NAME, Resource, Rules, Running, Update, Usage, in_place,
};
use serde_json::{Value, json};

use super::stage::{Behaviour, REPOSITORY, Stage, deployment, manifest, volume_claim};

/// More than anything that comes up takes.
const PATIENT: Duration = Duration::from_secs(120);
/// Between two looks at what changes by itself.
const PAUSE: Duration = Duration::from_millis(100);

fn quota(hard: &[(&str, &str)]) -> Manifest {
    let hard: BTreeMap<_, _> = hard.iter().copied().collect();
    manifest(
        Kind::ResourceQuota,
        NAME,
        json!({ "spec": { "hard": hard } }),
    )
}

fn limit_range() -> Manifest {
    let limit = json!({
        "type": "Container",
        "default": { "cpu": "100m", "memory": "32Mi" },
        "defaultRequest": { "cpu": "2m", "memory": "8Mi" },
    });
    manifest(
        Kind::LimitRange,
        NAME,
        json!({ "spec": { "limits": [limit] } }),
    )
}

/// So much of everything that nothing is rejected.
fn ample() -> Manifest {
    quota(&[
        ("requests.cpu", "20"),
        ("requests.memory", "20Gi"),
        ("limits.cpu", "20"),
        ("limits.memory", "20Gi"),
        ("persistentvolumeclaims", "9"),
        ("requests.storage", "9Gi"),
    ])
}

/// The container, named and with these amounts.
fn with(mut container: Value, name: &str, resources: Value) -> Value {
    container["name"] = json!(name);
    container["resources"] = resources;
    container
}

/// The object with its pod's spec changed.
fn changed(manifest: &Manifest, change: impl FnOnce(&mut Value)) -> Manifest {
    let mut spec = manifest.body()["spec"].clone();
    change(&mut spec);
    let object = manifest.object();
    super::stage::manifest(object.kind, &object.name, json!({ "spec": spec }))
}

/// One of everything that is counted in a way of its own.
fn motley(stage: &Stage) -> Vec<Manifest> {
    let runs = || stage.container(Behaviour::Runs);
    let succeeds = || stage.container(Behaviour::Succeeds);
    let sidecar = |name: &str, resources: Value| {
        let mut sidecar = with(runs(), name, resources);
        sidecar["restartPolicy"] = json!("Always");
        sidecar
    };
    let cpu = |amount: &str| json!({ "limits": { "cpu": amount } });
    let attended = changed(
        &deployment("attended", with(runs(), "main", json!({}))),
        |spec| {
            spec["replicas"] = json!(2);
            spec["template"]["spec"]["initContainers"] = json!([
                sidecar("before", cpu("30m")),
                with(succeeds(), "prepares", cpu("300m")),
                sidecar("after", json!({ "requests": { "memory": "16Mi" } })),
            ]);
        },
    );
    let whole = changed(
        &deployment("whole", with(runs(), "main", json!({}))),
        |spec| {
            let memory = json!({ "limits": { "cpu": "0.15", "memory": "48Mi" }, "requests": { "cpu": "3m" } });
            spec["template"]["spec"]["resources"] = memory;
        },
    );
    let labels = json!({ "app": "stored" });
    let claim = json!({
        "metadata": { "name": "data" },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": { "requests": { "storage": "4Mi" } },
        },
    });
    let stored = json!({ "spec": {
        "serviceName": "stored",
        "selector": { "matchLabels": labels },
        "template": {
            "metadata": { "labels": labels },
            "spec": { "terminationGracePeriodSeconds": 1, "containers": [runs()] },
        },
        "volumeClaimTemplates": [claim],
    }});
    // The sandbox's containers of a Job end at once unless they are never ready.
    let jobs = changed(&stage.job("jobs", Behaviour::NeverReady), |spec| {
        spec["parallelism"] = json!(2);
        spec["completions"] = json!(3);
    });
    vec![
        attended,
        whole,
        manifest(Kind::StatefulSet, "stored", stored),
        jobs,
        volume_claim("kept"),
    ]
}

fn together(rules: &Rules, manifests: &[Manifest]) -> Usage {
    let needs = rules.needs(manifests).unwrap();
    needs.iter().map(preview_core::quota::Need::at_rest).sum()
}

/// Waits until what is looked at uses exactly this; what was seen beside.
async fn comes_to<T>(expected: &Usage, look: impl AsyncFn() -> (Usage, T)) -> T {
    let deadline = Instant::now() + PATIENT;
    loop {
        let (used, beside) = look().await;
        if used == *expected {
            return beside;
        }
        let late = Instant::now() > deadline;
        assert!(!late, "{used:?} is used, and should be {expected:?}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits until the quota controller counts exactly this.
async fn is_used(stage: &Stage, expected: &Usage) {
    let look = async || {
        let quota = stage.object(Kind::ResourceQuota, NAME).await.unwrap();
        let used: BTreeMap<String, String> =
            serde_json::from_value(quota["status"]["used"].clone()).unwrap_or_default();
        (Usage::try_from(used).unwrap(), ())
    };
    comes_to(expected, look).await;
}

/// Waits until what is seen of the namespace uses exactly this. A quota counts an object before there is one: it is counted
/// when its creation is admitted.
async fn uses(stage: &Stage, expected: &Usage) -> (Vec<Running>, Vec<Left>) {
    let look = async || {
        let in_use = stage.us.in_use(&stage.namespace).await.unwrap();
        let pods = in_use.pods.into_iter();
        let pods: Vec<Running> = pods
            .map(|pod| Running::of(pod.workload, &pod.spec).unwrap())
            .collect();
        let claims = in_use.claims.into_iter();
        let claims: Vec<Left> = claims
            .map(|(name, spec)| Left::of(name, &spec).unwrap())
            .collect();
        let of_pods: Usage = pods.iter().map(|pod| pod.uses.clone()).sum();
        let of_claims: Usage = claims.iter().map(|claim| claim.uses.clone()).sum();
        (of_pods.plus(&of_claims), (pods, claims))
    };
    comes_to(expected, look).await
}

pub(crate) async fn the_arithmetic_is_the_quota_controllers(stage: &Stage) {
    stage.create().await;
    let furniture = vec![ample(), limit_range()];
    let rules = Rules::of(&furniture).unwrap();
    stage.apply(furniture.clone()).await;
    let mut all = motley(stage);
    stage.apply(all.clone()).await;
    let at_rest = together(&rules, &all);
    is_used(stage, &at_rest).await;

    let budget = Budget::of(&furniture, &[], &[], &all).unwrap();
    let (running, left) = uses(stage, &at_rest).await;
    // The claims that the StatefulSet made are its own; the other one is wanted, too.
    assert_eq!(budget.check(&left), Ok(()));
    assert_eq!(budget.at_rest().sum(), at_rest);
    // What runs is seen as what was wanted.
    assert_eq!(budget.update(&running), Update::Surging);

    // A pod that is never ready: the one of the surge comes, and no old one goes.
    all.truncate(1);
    let never = changed(&all[0], |spec| {
        spec["template"]["spec"]["containers"][0] =
            with(stage.container(Behaviour::NeverReady), "main", json!({}));
    });
    let surge = rules.need(&never).unwrap().unwrap().of_surge();
    stage.apply(vec![never]).await;
    is_used(stage, &at_rest.plus(&surge)).await;
}

pub(crate) async fn how_full_quotas_are_is_told_of_all_previews_at_once(stage: &Stage) {
    stage.create().await;
    let all = Owner::selector_of_repository(REPOSITORY);
    let others = format!("{}=1", keys::REPOSITORY_ID);
    let told = async |selector: &str| -> Option<Filled> {
        let quotas = stage.us.quotas(selector).await.unwrap();
        quotas.get(&stage.namespace).cloned()
    };
    assert_eq!(told(&all).await, None);
    let other = json!({ "spec": { "hard": { "limits.cpu": "9" } } });
    stage
        .apply(vec![
            quota(&[("limits.cpu", "2"), ("limits.memory", "1Gi")]),
            limit_range(),
            manifest(Kind::ResourceQuota, "another", other),
        ])
        .await;
    let web = with(stage.container(Behaviour::Runs), "main", json!({}));
    stage.apply(vec![deployment("web", web)]).await;
    let used = Usage::known([("limits.cpu", "100m"), ("limits.memory", "32Mi")]);
    is_used(stage, &used).await;
    let filled = told(&all).await.unwrap();
    assert_eq!(filled.used, used);
    let shares = [
        Resource::LimitsCpu,
        Resource::LimitsMemory,
        Resource::Volumes,
    ];
    let shares = shares.map(|resource| filled.share(resource).unwrap_or_default());
    assert_eq!(shares, ["0.1/2", "32Mi/1Gi", ""]);
    assert_eq!(told(&others).await, None);
}

pub(crate) async fn one_sidecar_too_much_is_rejected_as_foreseen(stage: &Stage) {
    stage.create().await;
    let amounts =
        || json!({ "limits": { "cpu": "100m", "memory": "32Mi" }, "requests": { "cpu": "2m" } });
    let main = || with(stage.container(Behaviour::Runs), "main", amounts());
    let plain = changed(&deployment("web", main()), |spec| {
        spec["replicas"] = json!(2)
    });
    let attended = changed(&plain, |spec| {
        let mut sidecar = with(
            stage.container(Behaviour::Runs),
            "sidecar",
            json!({ "limits": { "cpu": "1m" } }),
        );
        sidecar["restartPolicy"] = json!("Always");
        spec["template"]["spec"]["initContainers"] = json!([sidecar]);
    });
    let furniture = vec![quota(&[("limits.cpu", "200m")]), limit_range()];
    let budget = |workload: &Manifest| {
        Budget::of(&furniture, &[], &[], std::slice::from_ref(workload)).unwrap()
    };
    assert_eq!(budget(&plain).check(&[]), Ok(()));
    let overdraft = budget(&attended).check(&[]).unwrap_err();
    insta::assert_snapshot!(overdraft.table.markdown(), @r"
    | | limits.cpu |
    |---|---:|
    | `Deployment/web` × 2 | 202m |
    | **Together** | **202m** |
    | **Allowed** | **200m** |
    ");

    // Whoever applies it all the same is told at the deadline, not before: rejections by this quota may pass.
    stage.apply(furniture).await;
    let labels = json!({ "app": "set" });
    let set = json!({ "spec": {
        "selector": { "matchLabels": labels },
        "template": { "metadata": { "labels": labels }, "spec": { "containers": [main()] } },
    }});
    let hasty = changed(&attended, |spec| spec["progressDeadlineSeconds"] = json!(2));
    stage.apply(vec![hasty]).await;
    for (kind, name, manifest) in [
        (Kind::Deployment, "web", None),
        (
            Kind::StatefulSet,
            "set",
            Some(manifest(Kind::StatefulSet, "set", set)),
        ),
    ] {
        stage.apply(manifest.into_iter().collect()).await;
        let name = ObjectName::new(kind, name);
        let Rollout::Failed(failure) = stage.rollout(&name, stage.backend.moment).await else {
            panic!("{name} fits")
        };
        assert_eq!(failure.class, FailureClass::Quota, "{failure}");
        let told = format!("exceeded quota: {NAME}, requested: limits.cpu=10");
        assert!(failure.message.contains(&told), "{failure}");
    }
}

pub(crate) async fn an_update_without_room_to_surge_completes_in_place(stage: &Stage) {
    stage.create().await;
    let furniture = vec![
        // 90 % of it are used.
        quota(&[("limits.cpu", "223m"), ("limits.memory", "72Mi")]),
        limit_range(),
    ];
    stage.apply(furniture.clone()).await;
    for image in &stage.backend.images {
        let container = json!({ "name": "main", "image": image.to_string() });
        let web = changed(&deployment("web", container), |spec| {
            spec["replicas"] = json!(2)
        });
        let budget = Budget::of(&furniture, &[], &[], std::slice::from_ref(&web)).unwrap();
        let in_use = stage.us.in_use(&stage.namespace).await.unwrap();
        let running = in_use
            .pods
            .iter()
            .map(|pod| Running::of(pod.workload.clone(), &pod.spec).unwrap());
        assert_eq!(budget.update(&running.collect::<Vec<_>>()), Update::InPlace);
        stage.apply(vec![in_place(web)]).await;
        let name = ObjectName::new(Kind::Deployment, "web");
        let verdict = stage.rollout(&name, PATIENT).await;
        assert!(
            matches!(verdict, Rollout::Complete { ready: 2, .. }),
            "{verdict:?}"
        );
        let pods = stage.us.pods(&stage.namespace, &name).await.unwrap();
        assert!(
            pods.iter()
                .all(|pod| pod.containers[0].image == image.to_string()),
            "{pods:?}"
        );
    }
}
