use super::*;
use crate::objects::{ContainerEnd, EventFacts};

fn web() -> ObjectName {
    ObjectName::new(Kind::Deployment, "web")
}

fn complete() -> WorkloadFacts {
    WorkloadFacts {
        generation: 2,
        observed_generation: 2,
        desired: 2,
        total: 2,
        updated: 2,
        ready: 2,
        available: 2,
        ..WorkloadFacts::default()
    }
}

fn pod_waiting(reason: &str, message: &str, restarts: u32) -> PodFacts {
    PodFacts {
        name: "web-1".into(),
        current: true,
        containers: vec![ContainerFacts {
            name: "web".into(),
            image: "ghcr.io/acme/web@sha256:1".into(),
            restarts,
            state: ContainerState::Waiting {
                reason: reason.into(),
                message: message.into(),
            },
            last_end: (restarts > 0).then(|| ContainerEnd {
                reason: "Error".into(),
                exit_code: 3,
                message: String::new(),
            }),
            ..ContainerFacts::default()
        }],
        ..PodFacts::default()
    }
}

#[test]
fn a_rollout_is_complete_only_when_its_controller_saw_the_newest_spec_and_no_old_pod_is_left() {
    let waiting =
        |facts: WorkloadFacts| matches!(judge(&web(), &facts, &[]), Rollout::Waiting { .. });
    assert!(matches!(
        judge(&web(), &complete(), &[]),
        Rollout::Complete {
            ready: 2,
            desired: 2
        }
    ));
    assert!(waiting(WorkloadFacts {
        observed_generation: 1,
        ..complete()
    }));
    assert!(waiting(WorkloadFacts {
        total: 3,
        ..complete()
    }));
    assert!(waiting(WorkloadFacts {
        available: 1,
        ..complete()
    }));
    assert!(waiting(WorkloadFacts {
        updated: 1,
        ..complete()
    }));
}

fn unfinished() -> WorkloadFacts {
    WorkloadFacts {
        available: 0,
        ready: 0,
        ..complete()
    }
}

/// The pod of the newest template, to which this was noted.
fn pod_noted(reason: &str, message: &str) -> PodFacts {
    PodFacts {
        events: vec![EventFacts {
            reason: reason.into(),
            message: message.into(),
        }],
        ..pod_waiting("ContainerCreating", "", 0)
    }
}

fn pod_unscheduled(message: &str, events: Vec<EventFacts>) -> PodFacts {
    PodFacts {
        name: "web-1".into(),
        current: true,
        unschedulable: Some(message.into()),
        events,
        ..PodFacts::default()
    }
}

/// What is known of a rollout with this pod: nothing, or which failure is certain, or is after so many seconds.
fn outlook(pod: PodFacts) -> String {
    let pods = [pod];
    match judge(&web(), &unfinished(), &pods) {
        Rollout::Failed(failure) => format!("{:?} at once", failure.class),
        _ => match doubt(&web(), &unfinished(), &pods) {
            Some(doubt) if doubt.patience == Duration::MAX => {
                format!("{:?} at the deadline", doubt.failure.class)
            }
            Some(doubt) => format!("{:?} after {:?}", doubt.failure.class, doubt.patience),
            None => "waits".to_owned(),
        },
    }
}

#[test]
fn failure_is_decided_when_it_is_certain_and_what_may_pass_is_given_time() {
    let nodes = "0/3 nodes are available: 3 Insufficient cpu.";
    let scale_up = EventFacts {
        reason: "TriggeredScaleUp".into(),
        message: "pod triggered scale-up".into(),
    };
    let claim = "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims.";
    let back_off = |why: &str| {
        let message = format!("Back-off pulling image \"x\": ErrImagePull: {why}");
        outlook(pod_waiting("ImagePullBackOff", &message, 0))
    };
    let table = [
        ("starting", outlook(pod_waiting("ContainerCreating", "", 0))),
        (
            "tag is missing",
            outlook(pod_waiting("ErrImagePull", "x: not found", 0)),
        ),
        ("still missing", back_off("x: not found")),
        (
            "not for us",
            back_off("unexpected status: 401 Unauthorized"),
        ),
        (
            "private",
            back_off("pull access denied, repository does not exist"),
        ),
        ("no name", outlook(pod_waiting("InvalidImageName", "x", 0))),
        (
            "registry is down",
            back_off("unexpected status: 503 Service Unavailable"),
        ),
        (
            "too many pulls",
            back_off("toomanyrequests: 429 Too Many Requests"),
        ),
        (
            "slow network",
            back_off("dial tcp 203.0.113.7:443: i/o timeout"),
        ),
        (
            "no reason told",
            outlook(pod_waiting("ImagePullBackOff", "Back-off pulling image", 0)),
        ),
        (
            "crashed once",
            outlook(pod_waiting("CrashLoopBackOff", "back-off 10s", 1)),
        ),
        (
            "crashed and crashed",
            outlook(pod_waiting("CrashLoopBackOff", "back-off 40s", 3)),
        ),
        (
            "no such command",
            outlook(pod_waiting(
                "RunContainerError",
                "exec: \"x\": executable file not found in $PATH",
                0,
            )),
        ),
        (
            "runtime is busy",
            outlook(pod_waiting(
                "CreateContainerError",
                "context deadline exceeded",
                0,
            )),
        ),
        (
            "no such Secret",
            outlook(pod_waiting(
                "CreateContainerConfigError",
                "secret \"x\" not found",
                0,
            )),
        ),
        (
            "Secret not read yet",
            outlook(pod_waiting(
                "CreateContainerConfigError",
                "failed to sync secret cache: timed out waiting for the condition",
                0,
            )),
        ),
        (
            "ConfigMap to mount",
            outlook(pod_noted(
                "FailedMount",
                "MountVolume.SetUp failed for volume \"c\" : configmap \"x\" not found",
            )),
        ),
        (
            "disk elsewhere",
            outlook(pod_noted(
                "FailedAttachVolume",
                "Multi-Attach error for volume",
            )),
        ),
        (
            "no network",
            outlook(pod_noted(
                "FailedCreatePodSandBox",
                "plugin type=\"cni\" failed",
            )),
        ),
        (
            "nodes are full",
            outlook(pod_unscheduled(nodes, Vec::new())),
        ),
        (
            "a node comes",
            outlook(pod_unscheduled(nodes, vec![scale_up])),
        ),
        (
            "claim is pending",
            outlook(pod_unscheduled(claim, Vec::new())),
        ),
    ];
    let lines = table.map(|(what, outlook)| format!("{what}: {outlook}"));
    insta::assert_snapshot!(lines.join("\n"), @"
    starting: waits
    tag is missing: Image at once
    still missing: Image at once
    not for us: Image at once
    private: Image at once
    no name: Image at once
    registry is down: Image after 150s
    too many pulls: Image after 150s
    slow network: Image after 150s
    no reason told: Image after 150s
    crashed once: waits
    crashed and crashed: Crash at once
    no such command: Crash at once
    runtime is busy: Configuration after 60s
    no such Secret: Configuration at once
    Secret not read yet: Configuration after 60s
    ConfigMap to mount: Configuration at once
    disk elsewhere: Volume after 120s
    no network: Cluster after 60s
    nodes are full: Scheduling after 60s
    a node comes: Scheduling at the deadline
    claim is pending: Volume after 120s
    ");
}

#[test]
fn what_forbids_pods_by_rule_is_certain_and_a_full_quota_of_others_may_get_room() {
    let outlook = |message: &str| {
        let facts = WorkloadFacts {
            cannot_create_pods: Some(format!("pods \"web-1-x\" is forbidden: {message}")),
            ..unfinished()
        };
        let certain = matches!(judge(&web(), &facts, &[]), Rollout::Failed(_));
        let doubt = doubt(&web(), &facts, &[]);
        (certain, doubt.map(|doubt| doubt.patience.as_secs()))
    };
    assert_eq!(
        outlook("violates PodSecurity \"baseline:latest\": hostPort"),
        (true, Some(0))
    );
    assert_eq!(
        outlook("exceeded quota: teams, requested: pods=1"),
        (false, Some(60))
    );
    assert_eq!(
        outlook("exceeded quota: preview, requested: pods=1"),
        (false, None)
    );
    assert_eq!(
        outlook("error looking up service account: not found"),
        (false, None)
    );
}

#[test]
fn at_the_deadline_the_class_is_that_of_what_is_known() {
    let told = |pod: PodFacts| overdue(&web(), &unfinished(), &[pod]).to_string();
    let running = |events| PodFacts {
        containers: vec![ContainerFacts {
            name: "web".into(),
            state: ContainerState::Running,
            ..ContainerFacts::default()
        }],
        events,
        ..pod_waiting("", "", 0)
    };
    let unhealthy = EventFacts {
        reason: "Unhealthy".into(),
        message: "Readiness probe failed: HTTP probe failed with statuscode: 503".into(),
    };
    let lines = [
        told(pod_unscheduled("0/3 nodes are available", Vec::new())),
        told(running(vec![unhealthy])),
        told(running(Vec::new())),
        told(pod_waiting("ContainerCreating", "", 0)),
        overdue(&web(), &unfinished(), &[]).to_string(),
    ];
    insta::assert_snapshot!(lines.join("\n"), @"
    Deployment/web: pod cannot be scheduled (pod web-1): 0/3 nodes are available
    Deployment/web: never becomes ready (pod web-1, container web): running and not ready: Readiness probe failed: HTTP probe failed with statuscode: 503
    Deployment/web: deadline exceeded (pod web-1, container web): running and not ready
    Deployment/web: deadline exceeded (pod web-1, container web): waiting: ContainerCreating
    Deployment/web: deadline exceeded: 2 of 2 pods are there
    ");
}

#[test]
fn a_pod_of_the_previous_template_fails_nothing() {
    let mut old = pod_waiting("ImagePullBackOff", "not found", 0);
    old.current = false;
    let unfinished = WorkloadFacts {
        available: 1,
        ..complete()
    };
    assert!(matches!(
        judge(&web(), &unfinished, &[old]),
        Rollout::Waiting { .. }
    ));
}

#[test]
fn a_rejection_by_the_previews_own_quota_is_waited_out() {
    let rejected = |by: &str| WorkloadFacts {
        available: 1,
        updated: 1,
        gave_up: Some("ReplicaSet \"web-1\" has timed out progressing.".into()),
        cannot_create_pods: Some(format!(
            "pods \"web-1-x\" is forbidden: {by} requested: limits.cpu=500m, used: limits.cpu=4, limited: limits.cpu=4"
        )),
        ..complete()
    };
    let verdict = |by: &str| judge(&web(), &rejected(by), &[]);
    assert_eq!(
        verdict("exceeded quota: preview,"),
        Rollout::Waiting {
            ready: 1,
            desired: 2
        }
    );
    for other in [
        "exceeded quota: teams,",
        "failed quota: preview: must specify",
    ] {
        let Rollout::Failed(failure) = verdict(other) else {
            panic!("{other} passes by itself")
        };
        assert_eq!(failure.class, FailureClass::Quota);
    }
}

#[test]
fn a_failure_names_workload_pod_container_and_cause() {
    let unfinished = WorkloadFacts {
        available: 0,
        ..complete()
    };
    let Rollout::Failed(failure) = judge(
        &web(),
        &unfinished,
        &[pod_waiting("CrashLoopBackOff", "back-off 40s", 3)],
    ) else {
        panic!("it does not fail")
    };
    insta::assert_snapshot!(failure, @"Deployment/web: container crashes (pod web-1, container web): ended with exit code 3 (Error)");
}

#[test]
fn the_next_command_shows_more_of_the_failure() {
    use FailureClass as Class;
    let command = |class, kind, pod: Option<&str>| {
        let failure = Failure {
            pod: pod.map(str::to_owned),
            container: pod.map(|_| "main".to_owned()),
            ..Failure::new(class, &ObjectName::new(kind, "web"), "")
        };
        failure.next_command(&"preview-pr-7".parse().unwrap())
    };
    let table = [
        (
            Class::Image,
            Kind::Deployment,
            Some("web-1"),
            "describe pod web-1",
        ),
        (
            Class::Crash,
            Kind::Deployment,
            Some("web-1"),
            "logs web-1 -c main --previous",
        ),
        (Class::Crash, Kind::Job, Some("web-1"), "logs web-1 -c main"),
        (
            Class::Migration,
            Kind::Job,
            None,
            "logs Job/web --all-containers",
        ),
        (
            Class::Probe,
            Kind::Deployment,
            Some("web-1"),
            "logs web-1 -c main",
        ),
        (
            Class::Probe,
            Kind::Deployment,
            None,
            "describe Deployment/web",
        ),
        (
            Class::Quota,
            Kind::Deployment,
            Some("web-1"),
            "describe resourcequota,limitrange",
        ),
    ];
    for (class, kind, pod, expected) in table {
        assert_eq!(
            command(class, kind, pod),
            format!("kubectl -n preview-pr-7 {expected}")
        );
    }
}
