//! What holds of every quota and every preview.
#![allow(
    clippy::unwrap_used,
    reason = "a law's own material is known to be good"
)]

use std::collections::BTreeMap;

use preview_core::objects::{Kind, Manifest, ObjectName};
use preview_core::quota::{
    Amount, Need, Resource, Rules, Running, Update, Usage, in_place, update,
};
use proptest::prelude::*;
use serde_json::{Value, json};

const CPU: Resource = Resource::LimitsCpu;

fn cpu(millicores: u32) -> Amount {
    Amount::read(&json!(format!("{millicores}m"))).unwrap()
}

fn web() -> ObjectName {
    ObjectName::new(Kind::Deployment, "web")
}

fn container(millicores: u32, is_sidecar: bool) -> Value {
    let amounts = json!({ "cpu": format!("{millicores}m") });
    let mut container = json!({ "name": "c", "resources": { "limits": amounts } });
    if is_sidecar {
        container["restartPolicy"] = json!("Always");
    }
    container
}

fn uses(initial: &[(u32, bool)], containers: &[u32]) -> Amount {
    let initial: Vec<Value> = initial
        .iter()
        .map(|(cpu, sidecar)| container(*cpu, *sidecar))
        .collect();
    let containers: Vec<Value> = containers
        .iter()
        .map(|cpu| container(*cpu, false))
        .collect();
    let spec = json!({ "initContainers": initial, "containers": containers });
    Rules::default().pod(&web(), &spec).unwrap().of(CPU)
}

/// One Deployment of an update: pods of the old version, pods wanted, and what one of either uses.
#[derive(Clone, Copy, Debug)]
struct Replaced {
    old_pods: u32,
    old_cpu: u32,
    new_pods: u32,
    new_cpu: u32,
    surge: u32,
}

prop_compose! {
    fn replaced()(
        old_pods in 0..5u32,
        old_cpu in 1..9u32,
        new_pods in 0..5u32,
        new_cpu in 1..9u32,
        surge in 1..3u32,
    ) -> Replaced {
        Replaced { old_pods, old_cpu, new_pods, new_cpu, surge }
    }
}

impl Replaced {
    fn manifest(&self, index: usize) -> Manifest {
        let template = json!({ "spec": { "containers": [container(self.new_cpu, false)] } });
        let rolling = json!({ "maxSurge": self.surge, "maxUnavailable": 0 });
        let spec = json!({
            "replicas": self.new_pods,
            "strategy": { "rollingUpdate": rolling },
            "template": template,
        });
        Manifest::new(
            Kind::Deployment,
            format!("d{index}"),
            &BTreeMap::new(),
            json!({ "spec": spec }),
        )
    }
}

/// What the Deployment controller and a quota do with one Deployment.
#[derive(Clone, Copy, Debug)]
struct Rollout {
    of: Replaced,
    surge: u32,
    unavailable: u32,
    old: u32,
    new: u32,
    ending: u32,
}

impl Rollout {
    fn uses(&self) -> u32 {
        (self.old + self.ending) * self.of.old_cpu + self.new * self.of.new_cpu
    }

    fn is_complete(&self) -> bool {
        self.old == 0 && self.ending == 0 && self.new == self.of.new_pods
    }

    /// Makes a pod where the Deployment and the quota let it: whether the quota rejected it.
    fn makes_a_pod(&mut self, room: u32) -> Option<bool> {
        let most = self.of.new_pods + self.surge;
        if self.new == self.of.new_pods || self.old + self.new >= most {
            return None;
        }
        let rejected = self.of.new_cpu > room;
        if !rejected {
            self.new += 1;
        }
        Some(rejected)
    }

    fn ends_a_pod(&mut self) -> bool {
        let least = self.of.new_pods.saturating_sub(self.unavailable);
        let may = self.old > 0 && self.old + self.new > least;
        if may {
            self.old -= 1;
            self.ending += 1;
        }
        may
    }

    fn loses_a_pod(&mut self) -> bool {
        let may = self.ending > 0;
        self.ending = self.ending.saturating_sub(1);
        may
    }
}

/// Plays rollouts side by side in the order that `dice` throw, until nothing happens any more; whether all of them
/// are complete then, and whether the quota ever rejected a pod of one that had no pod on its way out.
fn play(mut rollouts: Vec<Rollout>, quota: u32, dice: &[u8]) -> (bool, bool) {
    let mut rejected = false;
    let mut dice = dice.iter().map(|die| usize::from(*die)).cycle();
    loop {
        let die = dice.next().unwrap();
        let first = die % rollouts.len();
        rollouts.rotate_left(first);
        let moved = (0..rollouts.len()).any(|at| {
            let used: u32 = rollouts.iter().map(Rollout::uses).sum();
            let ending = rollouts.iter().any(|rollout| rollout.ending > 0);
            let rollout = &mut rollouts[at];
            (0..3).any(|what| match (what + die / 16) % 3 {
                0 => match rollout.makes_a_pod(quota.saturating_sub(used)) {
                    None => false,
                    Some(was_rejected) => {
                        rejected |= was_rejected && !ending;
                        !was_rejected
                    }
                },
                1 => rollout.ends_a_pod(),
                _ => rollout.loses_a_pod(),
            })
        });
        if !moved {
            return (rollouts.iter().all(Rollout::is_complete), rejected);
        }
    }
}

proptest! {
    #[test]
    fn another_container_never_makes_a_pod_use_less(
        initial in prop::collection::vec((0..9u32, any::<bool>()), 0..4),
        containers in prop::collection::vec(0..9u32, 1..4),
        more in (0..9u32, any::<bool>()),
    ) {
        let before = uses(&initial, &containers);
        let mut longer = initial.clone();
        longer.push(more);
        prop_assert!(uses(&longer, &containers) >= before);
        let mut wider = containers.clone();
        wider.push(more.0);
        prop_assert!(uses(&initial, &wider) >= before);
    }

    #[test]
    fn a_pod_uses_what_its_containers_and_sidecars_use_together_at_least(
        initial in prop::collection::vec((0..9u32, any::<bool>()), 0..4),
        containers in prop::collection::vec(0..9u32, 1..4),
    ) {
        let sidecars = initial.iter().filter(|(_, sidecar)| *sidecar).map(|(cpu, _)| cpu);
        let together: u32 = containers.iter().chain(sidecars).sum();
        let largest = initial.iter().map(|(cpu, _)| *cpu).max().unwrap_or(0);
        let all: u32 = containers.iter().chain(initial.iter().map(|(cpu, _)| cpu)).sum();
        let used = uses(&initial, &containers);
        prop_assert!(used >= cpu(together).max(cpu(largest)));
        prop_assert!(used <= cpu(all));
    }

    #[test]
    fn an_amount_is_read_back_as_it_is_shown(milli in any::<u32>(), mebi in any::<u32>()) {
        let (amount, memory) = (cpu(milli), Amount::read(&json!(format!("{mebi}Mi"))).unwrap());
        prop_assert_eq!(Amount::read(&json!(CPU.show(amount))), Some(amount));
        let shown = Resource::LimitsMemory.show(memory);
        prop_assert_eq!(Amount::read(&json!(shown)), Some(memory));
    }

    /// Whatever the controllers do first: where the old version was admitted and the new one fits, the update comes to
    /// its end in the way that was chosen, and where it surges, nothing is rejected but what waits for pods that end.
    #[test]
    fn an_update_that_fits_completes(
        replaced in prop::collection::vec(replaced(), 1..4),
        room in 0..12u32,
        dice in prop::collection::vec(any::<u8>(), 1..40),
    ) {
        let old: u32 = replaced.iter().map(|d| d.old_pods * d.old_cpu).sum();
        let new: u32 = replaced.iter().map(|d| d.new_pods * d.new_cpu).sum();
        let quota = old.max(new) + room;
        let hard = Usage::none().with(CPU, cpu(quota));
        let wanted: Vec<Need> = replaced
            .iter()
            .enumerate()
            .map(|(index, d)| Rules::default().need(&d.manifest(index)).unwrap().unwrap())
            .collect();
        let running: Vec<Running> = replaced
            .iter()
            .enumerate()
            .flat_map(|(index, d)| {
                let pod = Running {
                    workload: ObjectName::new(Kind::Deployment, format!("d{index}")),
                    uses: Usage::none().with(CPU, cpu(d.old_cpu)),
                };
                vec![pod; d.old_pods as usize]
            })
            .collect();
        let chosen = update(&hard, &wanted, &running);
        let rollouts = replaced.iter().enumerate().map(|(index, d)| {
            let manifest = match chosen {
                Update::Surging => d.manifest(index),
                Update::InPlace | Update::StopFirst => in_place(d.manifest(index)),
            };
            let need = Rules::default().need(&manifest).unwrap().unwrap();
            let rolling = &manifest.body()["spec"]["strategy"]["rollingUpdate"];
            let stopped = chosen == Update::StopFirst;
            Rollout {
                of: *d,
                surge: need.surge,
                unavailable: u32::try_from(rolling["maxUnavailable"].as_u64().unwrap()).unwrap(),
                old: if stopped { 0 } else { d.old_pods },
                ending: if stopped { d.old_pods } else { 0 },
                new: 0,
            }
        });
        let (complete, rejected) = play(rollouts.collect(), quota, &dice);
        prop_assert!(complete, "{chosen:?} in {quota}");
        prop_assert!(!rejected || chosen != Update::Surging, "{chosen:?} in {quota}");
    }
}
