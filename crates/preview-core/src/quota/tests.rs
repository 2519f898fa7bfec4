use serde_json::{Value, json};

use super::*;
use crate::objects::{Kind, Manifest};

fn manifest(kind: Kind, name: &str, spec: Value) -> Manifest {
    Manifest::new(
        kind,
        name,
        &std::collections::BTreeMap::new(),
        json!({ "spec": spec }),
    )
}

fn quota(hard: Value) -> Manifest {
    manifest(Kind::ResourceQuota, NAME, json!({ "hard": hard }))
}

fn range() -> Manifest {
    let limit = json!({
        "type": "Container",
        "default": { "cpu": "500m", "memory": "256Mi" },
        "defaultRequest": { "cpu": "50m", "memory": "64Mi" },
    });
    manifest(Kind::LimitRange, NAME, json!({ "limits": [limit] }))
}

fn rules() -> Rules {
    Rules::of(&[quota(json!({ "limits.cpu": "4", "pods": "9" })), range()]).unwrap()
}

/// A container of so many millicores and mebibytes, reserved and limited.
fn container(cpu: u32, memory: u32) -> Value {
    let amounts = json!({ "cpu": format!("{cpu}m"), "memory": format!("{memory}Mi") });
    json!({ "name": "main", "resources": { "requests": amounts, "limits": amounts } })
}

fn sidecar(cpu: u32, memory: u32) -> Value {
    let mut container = container(cpu, memory);
    container["restartPolicy"] = json!("Always");
    container
}

fn deployment(name: &str, replicas: u32, container: &Value) -> Manifest {
    let template = json!({ "spec": { "containers": [container] } });
    let strategy = json!({ "rollingUpdate": { "maxSurge": 1, "maxUnavailable": 0 } });
    let spec = json!({ "replicas": replicas, "strategy": strategy, "template": template });
    manifest(Kind::Deployment, name, spec)
}

/// `requests.cpu`, `requests.memory`, `limits.cpu`, `limits.memory` of a pod.
fn pod(spec: &Value) -> String {
    let object = ObjectName::new(Kind::Deployment, "web");
    match rules().pod(&object, spec) {
        Ok(usage) => usage
            .iter()
            .map(|(resource, amount)| resource.show(amount))
            .collect::<Vec<_>>()
            .join(" "),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_pod_is_counted_as_kubernetes_counts_it() {
    let table = [
        // Together.
        (
            json!({ "containers": [container(100, 10), container(20, 2)] }),
            "120m 12Mi 120m 12Mi",
        ),
        // An init container runs alone: the larger of both.
        (
            json!({ "initContainers": [container(300, 1)], "containers": [container(100, 10)] }),
            "300m 10Mi 300m 10Mi",
        ),
        // A sidecar runs on.
        (
            json!({ "initContainers": [sidecar(30, 3)], "containers": [container(100, 10)] }),
            "130m 13Mi 130m 13Mi",
        ),
        // An init container runs beside the sidecars before it, not beside those after it.
        (
            json!({
                "initContainers": [sidecar(30, 3), container(300, 1), sidecar(40, 4)],
                "containers": [container(100, 10)],
            }),
            "330m 17Mi 330m 17Mi",
        ),
        // The LimitRange speaks where the container does not.
        (
            json!({ "containers": [{ "name": "main" }] }),
            "50m 64Mi 500m 256Mi",
        ),
        // A limit alone is a request too, before the LimitRange speaks.
        (
            json!({ "containers": [{ "name": "main", "resources": { "limits": { "cpu": "2" } } }] }),
            "2 64Mi 2 256Mi",
        ),
        // What a pod says of itself as a whole is what counts.
        (
            json!({
                "resources": { "limits": { "cpu": "1" } },
                "containers": [{ "name": "main", "resources": { "limits": { "memory": "32Mi" } } }],
            }),
            "1 32Mi 1 32Mi",
        ),
        (
            json!({
                "resources": { "requests": { "cpu": "200m" }, "limits": { "cpu": "1", "memory": "1Gi" } },
                "containers": [container(100, 10), { "name": "other" }],
            }),
            "200m 10Mi 1 1Gi",
        ),
        // Its overhead is its runtime class's to say, other resources nobody's that limits them.
        (
            json!({ "containers": [{ "name": "main", "resources": { "limits": { "nvidia.com/gpu": 1 } } }] }),
            "50m 64Mi 500m 256Mi",
        ),
        // A volume that lives with the pod.
        (
            json!({
                "volumes": [{ "name": "scratch", "ephemeral": { "volumeClaimTemplate": {
                    "spec": { "resources": { "requests": { "storage": "1G" } } },
                }}}],
                "containers": [container(1, 1)],
            }),
            "1m 1Mi 1m 1Mi 1 1000000000",
        ),
        // Refused by Kubernetes, whatever the quota is.
        (
            json!({ "containers": [{ "name": "main", "resources": { "requests": { "memory": "1Gi" } } }] }),
            "Deployment/web: container main has requests.memory 1Gi and limits.memory 256Mi, so Kubernetes refuses its \
             pods; raise the limit, which is the namespace's default where the container has none of its own",
        ),
        (
            json!({ "containers": [{ "name": "main", "resources": { "requests": { "cpu": "lots" } } }] }),
            "Deployment/web: resources.requests.cpu of container main is \"lots\", which is no amount; write one such \
             as \"250m\" or \"512Mi\"",
        ),
    ];
    for (spec, expected) in table {
        assert_eq!(pod(&spec), expected, "{spec}");
    }
}

#[test]
fn each_kind_has_its_pods_its_surge_and_its_volumes() {
    let template = json!({ "spec": { "containers": [container(100, 1)] } });
    let with = |mut spec: Value| {
        spec["template"] = template.clone();
        spec
    };
    let strategy = |surge: Value| json!({ "rollingUpdate": { "maxSurge": surge } });
    let claims = json!([{ "metadata": { "name": "data" }, "spec": { "resources": { "requests": { "storage": "2Gi" } } } }]);
    let job = json!({ "spec": with(json!({ "parallelism": 2 })) });
    let table = [
        (Kind::Deployment, with(json!({})), "1 pods, 1 surge"),
        (
            Kind::Deployment,
            with(json!({ "replicas": 10 })),
            "10 pods, 3 surge",
        ),
        (
            Kind::Deployment,
            with(json!({ "replicas": 10, "strategy": strategy(json!(0)) })),
            "10 pods, 0 surge",
        ),
        (
            Kind::Deployment,
            with(json!({ "replicas": 4, "strategy": strategy(json!("30%")) })),
            "4 pods, 2 surge",
        ),
        (
            Kind::Deployment,
            with(json!({ "replicas": 0 })),
            "0 pods, 0 surge",
        ),
        (
            Kind::Deployment,
            with(json!({ "replicas": 4, "strategy": { "type": "Recreate" } })),
            "4 pods, 0 surge",
        ),
        (
            Kind::StatefulSet,
            with(json!({ "replicas": 2, "volumeClaimTemplates": claims })),
            "2 pods, 0 surge, 2 persistentvolumeclaims, 4Gi requests.storage: data-it-0 data-it-1",
        ),
        (Kind::DaemonSet, with(json!({})), "1 pods, 0 surge"),
        (
            Kind::DaemonSet,
            with(json!({ "updateStrategy": { "rollingUpdate": { "maxSurge": "10%" } } })),
            "1 pods, 1 surge",
        ),
        (Kind::Job, with(json!({})), "1 pods, 0 surge"),
        (
            Kind::Job,
            with(json!({ "parallelism": 4, "completions": 3 })),
            "3 pods, 0 surge",
        ),
        (
            Kind::Job,
            with(json!({ "suspend": true })),
            "0 pods, 0 surge",
        ),
        (
            Kind::CronJob,
            json!({ "jobTemplate": job }),
            "2 pods, 0 surge",
        ),
        (
            Kind::CronJob,
            json!({ "jobTemplate": job, "suspend": true }),
            "0 pods, 0 surge",
        ),
        (
            Kind::PersistentVolumeClaim,
            json!({ "resources": { "requests": { "storage": "1.5" } } }),
            "0 pods, 0 surge, 1 persistentvolumeclaims, 2 requests.storage: it",
        ),
        (Kind::Service, json!({}), "nothing"),
    ];
    for (kind, spec, expected) in table {
        let need = rules().need(&manifest(kind, "it", spec.clone())).unwrap();
        let shown = need.map_or_else(
            || "nothing".to_owned(),
            |need| {
                let mut shown = format!("{} pods, {} surge", need.pods, need.surge);
                for (resource, amount) in
                    need.beside.iter().filter(|(_, a)| *a != Amount::default())
                {
                    shown += &format!(", {} {resource}", resource.show(amount));
                }
                if !need.claims.is_empty() {
                    let names: Vec<String> = need.claims.into_iter().collect();
                    shown += &format!(": {}", names.join(" "));
                }
                shown
            },
        );
        assert_eq!(shown, expected, "{kind} {spec}");
    }
}

fn budget(hard: Value, jobs: &[Vec<Manifest>], workloads: &[Manifest]) -> Budget {
    Budget::of(&[quota(hard), range()], &[], jobs, workloads).unwrap()
}

fn job(cpu: u32) -> Manifest {
    let template = json!({ "spec": { "containers": [container(cpu, 1)] } });
    let spec = json!({ "template": template });
    manifest(Kind::Job, "api-migrate-0123456789", spec)
        .labelled("app.kubernetes.io/name", "api-migrate")
}

#[test]
fn what_cannot_fit_is_refused_with_the_sum_of_each_object() {
    let workloads = [
        deployment("api", 3, &container(500, 256)),
        deployment("web", 2, &container(250, 100)),
    ];
    let hard = json!({ "limits.cpu": "1900m", "limits.memory": "4Gi", "requests.memory": "900Mi" });
    let overdraft = budget(hard, &[], &workloads).check(&[]).unwrap_err();
    insta::assert_snapshot!(overdraft.reasons().join("\n"), @r"
    the preview does not fit its quota: when everything is up it needs requests.memory 968Mi, and 900Mi is allowed; give its objects less, or raise [quota] in preview.toml
    the preview does not fit its quota: when everything is up it needs limits.cpu 2, and 1900m is allowed; give its objects less, or raise [quota] in preview.toml
    ");
    insta::assert_snapshot!(overdraft.table.markdown(), @r"
    | | requests.memory | limits.cpu |
    |---|---:|---:|
    | `Deployment/api` × 3 | 768Mi | 1500m |
    | `Deployment/web` × 2 | 200Mi | 500m |
    | **Together** | **968Mi** | **2** |
    | **Allowed** | **900Mi** | **1900m** |
    ");
    insta::assert_snapshot!(overdraft.table.lines().join("\n"), @r"
                        requests.memory  limits.cpu
    Deployment/api × 3            768Mi       1500m
    Deployment/web × 2            200Mi        500m
    together                      968Mi           2
    allowed                       900Mi       1900m
    ");
}

#[test]
fn jobs_run_beside_the_database_and_before_the_workloads() {
    let workloads = [deployment("web", 1, &container(900, 1))];
    let fits = |cpu| {
        let budget = budget(json!({ "limits.cpu": "1" }), &[vec![job(cpu)]], &workloads);
        budget
            .check(&[])
            .map_err(|overdraft| (overdraft.when, overdraft.table.lines))
    };
    assert_eq!(fits(1000), Ok(()));
    let (when, lines) = fits(1001).unwrap_err();
    assert_eq!(when, Moment::Jobs);
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].object, "Job/api-migrate");
}

#[test]
fn one_sidecar_can_be_too_much() {
    let mut web = deployment("web", 2, &container(500, 100));
    let hard = json!({ "limits.cpu": "1" });
    assert_eq!(budget(hard.clone(), &[], &[web.clone()]).check(&[]), Ok(()));
    let spec = &mut web.body_mut()["spec"]["template"]["spec"];
    spec["initContainers"] = json!([sidecar(1, 1)]);
    let overdraft = budget(hard, &[], &[web]).check(&[]).unwrap_err();
    assert_eq!(
        Resource::LimitsCpu.show(overdraft.table.sum().of(Resource::LimitsCpu)),
        "1002m"
    );
}

#[test]
fn volumes_that_are_left_from_before_count_and_those_that_are_used_again_do_not() {
    let claims = json!([{ "metadata": { "name": "data" } }]);
    let template = json!({ "spec": { "containers": [container(1, 1)] } });
    let set = json!({ "template": template, "volumeClaimTemplates": claims });
    let budget = budget(
        json!({ "persistentvolumeclaims": "1" }),
        &[],
        &[manifest(Kind::StatefulSet, "database", set)],
    );
    let left = |name: &str| Left {
        name: name.to_owned(),
        uses: Usage::none().with(Resource::Volumes, Amount::count(1)),
    };
    assert_eq!(budget.check(&[left("data-database-0")]), Ok(()));
    let overdraft = budget
        .check(&[left("data-database-0"), left("cache")])
        .unwrap_err();
    insta::assert_snapshot!(overdraft.table.markdown(), @r"
    | | persistentvolumeclaims |
    |---|---:|
    | `StatefulSet/database` | 1 |
    | `PersistentVolumeClaim/cache, left from before` | 1 |
    | **Together** | **2** |
    | **Allowed** | **1** |
    ");
}

#[test]
fn an_update_surges_where_there_is_room_goes_in_place_where_there_is_none_and_stops_what_is_in_its_way()
 {
    let hard = Rules::of(&[quota(json!({ "limits.cpu": "1" }))])
        .unwrap()
        .hard;
    let uses = |cpu: u32| {
        Usage::none().with(
            Resource::LimitsCpu,
            Amount::read(&json!(format!("{cpu}m"))).unwrap(),
        )
    };
    let running = |pods: &[(&str, u32)]| -> Vec<Running> {
        let pods = pods.iter().map(|(name, cpu)| Running {
            workload: ObjectName::new(Kind::Deployment, *name),
            uses: uses(*cpu),
        });
        pods.collect()
    };
    let wanted = |deployments: &[(&str, u32, u32)]| -> Vec<Need> {
        let all = deployments.iter().map(|(name, replicas, cpu)| {
            let manifest = deployment(name, *replicas, &container(*cpu, 1));
            rules().need(&manifest).unwrap().unwrap()
        });
        all.collect()
    };
    use Update::{InPlace, StopFirst, Surging};
    type Case<'a> = (&'a [(&'a str, u32, u32)], &'a [(&'a str, u32)], Update);
    let table: [Case<'_>; 9] = [
        // Whether anything runs yet or the same already makes no difference: a redeploy changes nothing.
        (&[("web", 2, 300)], &[], Surging),
        (&[("web", 2, 300)], &[("web", 300), ("web", 300)], Surging),
        (&[("web", 2, 450)], &[], InPlace),
        (&[("web", 2, 450)], &[("web", 450), ("web", 450)], InPlace),
        // Each of two surges by one.
        (&[("web", 1, 300), ("api", 1, 300)], &[], InPlace),
        // It shrinks: the old ones leave no room to surge.
        (&[("web", 2, 100)], &[("web", 500), ("web", 450)], InPlace),
        // One grows while the other shrinks.
        (
            &[("web", 1, 800), ("api", 1, 100)],
            &[("web", 100), ("api", 800)],
            StopFirst,
        ),
        // What is no longer wanted goes only when the new version is up.
        (&[("web", 1, 600)], &[("worker", 500)], StopFirst),
        (&[("web", 1, 400)], &[("worker", 500)], InPlace),
    ];
    for (new, old, expected) in table {
        assert_eq!(
            update(&hard, &wanted(new), &running(old)),
            expected,
            "{new:?} {old:?}"
        );
    }
    assert!(has_room(
        &hard,
        &wanted(&[("web", 1, 500)]),
        &running(&[("web", 900)])
    ));
    assert!(has_room(
        &hard,
        &wanted(&[("job", 1, 500)]),
        &running(&[("web", 500)])
    ));
    assert!(!has_room(
        &hard,
        &wanted(&[("job", 1, 501)]),
        &running(&[("web", 500)])
    ));
}

#[test]
fn in_place_means_one_less_before_one_more() {
    let changed = |kind, spec: Value| {
        let manifest = in_place(manifest(kind, "web", spec));
        manifest.body()["spec"].clone()
    };
    let rolling = |unavailable: Value| json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 0, "maxUnavailable": unavailable } });
    let table = [
        (json!({}), rolling(json!(1))),
        (
            json!({ "rollingUpdate": { "maxSurge": 1, "maxUnavailable": 0 } }),
            rolling(json!(1)),
        ),
        (
            json!({ "rollingUpdate": { "maxUnavailable": "0%" } }),
            rolling(json!(1)),
        ),
        (
            json!({ "rollingUpdate": { "maxUnavailable": "50%" } }),
            rolling(json!("50%")),
        ),
        (json!({ "type": "Recreate" }), json!({ "type": "Recreate" })),
    ];
    for (strategy, expected) in table {
        let spec = changed(Kind::Deployment, json!({ "strategy": strategy }));
        assert_eq!(spec, json!({ "strategy": expected }), "{strategy}");
        let need = rules().need(&in_place(manifest(
            Kind::Deployment,
            "web",
            json!({ "strategy": strategy }),
        )));
        assert_eq!(need.unwrap().unwrap().surge, 0);
    }
    assert_eq!(
        changed(Kind::StatefulSet, json!({ "replicas": 1 })),
        json!({ "replicas": 1 })
    );
}

#[test]
fn a_preview_of_the_example_fits_and_shows_what_it_needs() {
    use std::collections::BTreeMap;

    use crate::config::Config;
    use crate::manifests::Preview;
    use crate::names::{ComponentName, PinnedImage};
    use crate::ownership::Owner;

    let text = r#"
host = "{pr}.pr.example.com"
[components.web]
image = "ghcr.io/acme/web"
replicas = 2
[components.api]
image = "ghcr.io/acme/api"
migrate = ["/api", "migrate"]
[database]
[quota]
storage = "2Gi"
"#;
    let config = Config::parse("preview.toml", text).unwrap();
    let image = |name: &str| -> (ComponentName, PinnedImage) {
        let image = format!("ghcr.io/acme/{name}@sha256:{}", "0".repeat(64));
        (name.parse().unwrap(), image.parse().unwrap())
    };
    let images = BTreeMap::from(["web", "api"].map(image));
    let owner = Owner {
        repository: crate::RepositoryId(1),
        subject: "pr-7".parse().unwrap(),
    };
    let (slug, head) = (
        "acme/shop".parse().unwrap(),
        "a".repeat(40).parse().unwrap(),
    );
    let preview = Preview::new(&config, &slug, &owner, &head, &images).unwrap();
    let budget = preview.budget().unwrap();
    assert_eq!(budget.check(&[]), Ok(()));
    assert_eq!(budget.update(&[]), Update::Surging);
    insta::assert_snapshot!(budget.at_rest().lines().join("\n"), @r"
                          requests.cpu  requests.memory  limits.cpu  limits.memory  persistentvolumeclaims  requests.storage
    StatefulSet/database          100m            256Mi        500m          512Mi                       1               1Gi
    Deployment/web × 2            100m            128Mi           1          512Mi                       0                 0
    Deployment/api                 50m             64Mi        500m          256Mi                       0                 0
    together                      250m            448Mi           2         1280Mi                       1               1Gi
    allowed                          2              2Gi           4            4Gi                       3               2Gi
    ");
    let jobs = budget.has_room(&preview.jobs(&"1".parse().unwrap())[0], &[]);
    assert_eq!(jobs, Ok(true));
}
