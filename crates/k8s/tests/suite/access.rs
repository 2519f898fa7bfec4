//! Who we are, what we may do, and what the cluster has for all.

use k8s_openapi::api::networking::v1::{IngressClass, IngressClassSpec};
use kube::api::{Api, DeleteParams, PostParams};
use preview_core::cleanup::RetainedVolumes;
use preview_core::doctor::Class;
use preview_core::objects::Kind;
use preview_core::rights::of_deploy;
use serde_json::json;

use super::stage::{Behaviour, Stage, manifest};

pub(crate) async fn an_account_is_told_who_it_is_and_what_it_may_do(stage: &Stage) {
    assert_ne!(stage.us.account().await.unwrap(), "");
    let rights = of_deploy(&Kind::ALL, RetainedVolumes::Go);
    let asked = stage.us.may(rights.clone()).await.unwrap();
    assert!(asked.iter().all(|(_, may)| *may), "{asked:?}");
    let asked: Vec<_> = asked.into_iter().map(|(right, _)| right).collect();
    assert_eq!(asked, rights);
}

pub(crate) async fn classes_are_told_with_the_default(stage: &Stage) {
    let classes = stage.us.storage_classes().await.unwrap();
    let defaults = classes.iter().filter(|class| class.is_default).count();
    assert_eq!(defaults, 1, "{classes:?}");

    let name = stage.namespace.to_string();
    let mut class = IngressClass::default();
    class.metadata.name = Some(name.clone());
    class.spec = Some(IngressClassSpec {
        controller: Some("example.com/ingress".to_owned()),
        parameters: None,
    });
    let classes = Api::<IngressClass>::all(stage.person.clone());
    classes
        .create(&PostParams::default(), &class)
        .await
        .unwrap();
    let found = stage.us.ingress_classes().await.unwrap();
    classes
        .delete(&name, &DeleteParams::default())
        .await
        .unwrap();
    let made = Class {
        name,
        is_default: false,
    };
    assert!(found.contains(&made), "{found:?}");
}

pub(crate) async fn what_runs_on_every_node_is_listed(stage: &Stage) {
    stage.create().await;
    let name = format!("agent-of-{}", stage.namespace);
    let labels = json!({ "app": name });
    let spec = json!({
        "selector": { "matchLabels": labels },
        "template": {
            "metadata": { "labels": labels },
            "spec": { "nodeSelector": { "none": "such" }, "containers": [stage.container(Behaviour::Runs)] },
        },
    });
    let agent = manifest(Kind::DaemonSet, &name, json!({ "spec": spec }));
    stage.apply(vec![agent]).await;
    let found = stage.us.daemon_sets().await.unwrap();
    assert!(found.contains(&name), "{found:?}");
}
