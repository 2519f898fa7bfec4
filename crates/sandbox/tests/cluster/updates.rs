//! Updates other than the usual one.

use serde_json::{Value, json};

use crate::client::{Desk, deployment};

fn images(cluster: &sandbox::cluster::Cluster) -> Vec<String> {
    let pods = cluster.pods("shop");
    pods.into_iter().flat_map(|pod| pod.images).collect()
}

/// Waits until exactly one pod is there, ready, with this image.
async fn runs(desk: &Desk, image: &str) {
    desk.until(image, |cluster| {
        let ready = cluster
            .pods("shop")
            .iter()
            .all(|pod| pod.ready && !pod.terminating);
        (ready && images(cluster) == [image]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn going_back_uses_the_earlier_replica_set_under_a_new_revision() {
    let desk = Desk::open().await;
    for image in ["acme/web:1", "acme/web:2", "acme/web:1"] {
        desk.has(deployment("web", image, 1)).await;
        runs(&desk, image).await;
    }
    assert_eq!(desk.cluster.names("ReplicaSet", "shop").len(), 2);
    let web = desk.cluster.object("Deployment", "shop", "web").unwrap();
    let revision = "deployment.kubernetes.io/revision";
    assert_eq!(web["metadata"]["annotations"][revision], "3");
}

#[tokio::test]
async fn a_deployment_that_recreates_never_has_two_pods() {
    let desk = Desk::open().await;
    let web = |image: &str| {
        let mut web = deployment("web", image, 1);
        web["spec"]["strategy"] = json!({ "type": "Recreate" });
        web
    };
    desk.has(web("acme/web:1")).await;
    runs(&desk, "acme/web:1").await;
    desk.has(web("acme/web:2")).await;
    let mut most = 0;
    desk.until("the second pod", |cluster| {
        let images = images(cluster);
        most = most.max(images.len());
        (images == ["acme/web:2"]).then_some(())
    })
    .await;
    runs(&desk, "acme/web:2").await;
    assert_eq!(most, 1);
}

#[tokio::test]
async fn a_daemon_set_has_one_pod_of_its_newest_template() {
    let desk = Desk::open().await;
    let agent = |image: &str| {
        let mut agent = deployment("agent", image, 1);
        agent["kind"] = json!("DaemonSet");
        agent["spec"].as_object_mut().unwrap().remove("replicas");
        agent
    };
    for (image, generation) in [("acme/agent:1", "1"), ("acme/agent:2", "2")] {
        desk.has(agent(image)).await;
        runs(&desk, image).await;
        let set = desk
            .until("a DaemonSet up to date", |cluster| {
                let set = cluster.object("DaemonSet", "shop", "agent")?;
                let status = &set["status"];
                let counts = [
                    "updatedNumberScheduled",
                    "numberAvailable",
                    "desiredNumberScheduled",
                ];
                let seen = status["observedGeneration"] == set["metadata"]["generation"];
                (seen && counts.into_iter().all(|count| status[count] == 1)).then_some(set)
            })
            .await;
        let annotation = "deprecated.daemonset.template.generation";
        assert_eq!(set["metadata"]["annotations"][annotation], generation);
        let pod = desk.cluster.objects("Pod", "shop").remove(0);
        assert_eq!(
            pod["metadata"]["labels"]["pod-template-generation"],
            generation
        );
    }
}

#[tokio::test]
async fn a_broken_pod_of_a_stateful_set_is_in_the_way_of_its_update() {
    let world = sandbox::World::start().await.unwrap();
    let image = sandbox::registry::Image::of("1111111");
    world.registry.publish("acme/db", "1", &image);
    let desk = Desk::at(world.cluster.clone());
    let host = world.registry.host();
    let database = |tag: &str| {
        let mut database = deployment("db", &format!("{host}/acme/db:{tag}"), 1);
        database["kind"] = json!("StatefulSet");
        database["spec"]["serviceName"] = json!("db");
        database
    };
    desk.has(database("absent")).await;
    let is_stuck = |cluster: &sandbox::cluster::Cluster| {
        let pods = cluster.objects("Pod", "shop");
        let waiting = &pods.first()?["status"]["containerStatuses"][0]["state"]["waiting"];
        (waiting["reason"] == "ImagePullBackOff").then_some(())
    };
    desk.until("a pull that fails", is_stuck).await;
    desk.has(database("1")).await;
    desk.until("the new template to be seen", |cluster| {
        let set = cluster.object("StatefulSet", "shop", "db")?;
        (set["status"]["observedGeneration"] == 2).then_some(())
    })
    .await;
    assert_eq!(images(&desk.cluster), [format!("{host}/acme/db:absent")]);
    desk.delete("/api/v1/namespaces/shop/pods/db-0", Value::Null)
        .await;
    runs(&desk, &format!("{host}/acme/db:1")).await;
}
