//! Commands that run once in production, under the Lease of the target.

use std::time::{Duration, Instant};

use preview_core::names::{CommitSha, Fence};
use preview_core::objects::{Kind, Manifest, ObjectName};
use preview_k8s::{Errand, HeldLease, Take};

use super::stage::{Behaviour, Stage};

const PATIENT: Duration = Duration::from_secs(120);

fn fence(run: u64) -> Fence {
    Fence { run, attempt: 1 }
}

impl Stage {
    async fn lease_of(&self, run: u64) -> HeldLease {
        let commit: CommitSha = "a".repeat(40).parse().unwrap();
        let before = Some(fence(run - 1));
        match self.take_over_from(before, fence(run), &commit).await {
            Take::Taken(lease) => lease,
            other => panic!("{other:?}"),
        }
    }

    async fn errand(&self, lease: &HeldLease, job: &Manifest) -> Errand {
        let deadline = Instant::now() + PATIENT;
        let ran = self.us.run_errand(lease, job, deadline, |_, _| {});
        ran.await.unwrap()
    }

    async fn uid(&self, job: &str) -> String {
        let job = self.object(Kind::Job, job).await.unwrap();
        job["metadata"]["uid"].as_str().unwrap().to_owned()
    }
}

pub(crate) async fn a_migration_runs_once_and_one_that_failed_is_tried_again(stage: &Stage) {
    stage.create().await;
    let lease = stage.lease_of(7).await;
    let failed = stage
        .errand(&lease, &stage.job("migrate", Behaviour::Crashes))
        .await;
    let Errand::Failed(failure) = failed else {
        panic!("{failed:?}")
    };
    assert_eq!(failure.message, "ended with exit code 3 (Error)");
    assert_eq!(failure.log, ["cannot reach the database"]);
    let first = stage.uid("migrate").await;

    let mended = stage.job("migrate", Behaviour::Succeeds);
    assert_eq!(stage.errand(&lease, &mended).await, Errand::Succeeded);
    let second = stage.uid("migrate").await;
    assert_ne!(first, second, "the failed one had to go");
    assert_eq!(stage.errand(&lease, &mended).await, Errand::Succeeded);
    assert_eq!(stage.uid("migrate").await, second, "it was done");
}

pub(crate) async fn a_run_that_lost_its_lease_runs_nothing(stage: &Stage) {
    stage.create().await;
    let late = stage.lease_of(7).await;
    stage.lease_of(8).await;
    let by = Some(fence(8));
    let migrate = stage.job("migrate", Behaviour::Succeeds);
    assert_eq!(
        stage.errand(&late, &migrate).await,
        Errand::Superseded { by }
    );
    assert!(stage.object(Kind::Job, "migrate").await.is_none());
}

pub(crate) async fn the_pods_of_a_workload_are_read_as_its_template_has_them(stage: &Stage) {
    stage.create().await;
    let web = stage.deployment("web", Behaviour::Runs);
    stage.apply(vec![web]).await;
    let template = async |name: &str| {
        let workload = ObjectName::new(Kind::Deployment, name);
        stage
            .us
            .pod_template(&stage.namespace, &workload)
            .await
            .unwrap()
    };
    let pod = template("web").await.unwrap();
    assert_eq!(pod["containers"][0]["name"], "main");
    assert_eq!(template("api").await, None);
}
